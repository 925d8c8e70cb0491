"""Shards of concepts: each embeds its share; the last one ranks and scores what one process would."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.concepts.conftest import TinyClip
from tests.concepts.test_commands import WORDS, run_search
from vitvis import concepts
from vitvis.concepts.embed import Parts
from vitvis.errors import VitvisError


def test_shards_embed_what_one_process_embeds(
    clip: TinyClip, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_search(clip.words, photos, tmp_path / "run")
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    asked = dict(run=str(run), vocabulary=str(tmp_path / "words.txt"), k=6, words=3, batch_size=2)
    (whole,) = concepts.run(asked)
    kept = {path.name: path.read_bytes() for path in (run / "concepts").glob("concepts.*")}
    shutil.rmtree(run / "concepts")
    with pytest.raises(VitvisError, match="no shard has done anything here yet"):
        concepts.run(asked, finish=True)
    assert not (run / "concepts").exists()
    assert (
        concepts.run(asked, shard="2/3") == concepts.run(asked, shard="0/3") == concepts.run(asked, shard="2/3") == []
    )
    with pytest.raises(VitvisError, match="finish=true, but [0-9]+ of [0-9]+ batches are not done yet"):
        concepts.run(asked, finish=True)
    (last,) = concepts.run(asked, shard="1/3")
    assert last.records == whole.records
    assert {path.name: path.read_bytes() for path in (run / "concepts").glob("concepts.*")} == kept
    assert {path.suffix for path in (run / "concepts" / "cache").iterdir()} == {".npy"}  # no part is left
    (again,) = concepts.run(asked, finish=True)
    assert again.records == whole.records


def test_parts_are_made_once_and_joined_in_order(tmp_path: Path) -> None:
    made: list[int] = []

    def embed(start: int, stop: int) -> np.ndarray:
        made.append(start)
        return np.arange(start, stop, dtype=np.float32)[:, None]

    file = tmp_path / "cache" / "pictures-a.npy"
    first, second = Parts("0/2"), Parts("1/2")
    assert first.make(file, 7, 2, embed) is None and (first.left, first.total) == (2, 4)
    assert second.make(file, 7, 2, embed)[:, 0].tolist() == list(range(7)) and second.left == 0
    assert Parts(finish=True).make(file, 7, 2, embed).shape == (7, 1)
    assert sorted(made) == [0, 2, 4, 6] and [path.name for path in file.parent.iterdir()] == [file.name]
