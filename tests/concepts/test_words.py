"""Words: the ranking on made embeddings, and the command on a made search run with a small CLIP."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from vitvis.concepts import main
from vitvis.concepts.words import rank_words, read_vocabulary, unit_vectors
from vitvis.errors import VitvisError
from vitvis.runs import RunFolder


def test_ranking_against_a_loop() -> None:
    draw = np.random.default_rng(0)
    photos, words = draw.normal(size=(50, 6)), draw.normal(size=(30, 6)) + 4
    units = draw.integers(0, 50, (5, 4))
    found = rank_words([unit_vectors(photos.astype(np.float32), units)], words.astype(np.float32), top=3)
    centred = photos - photos.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    table = words - words.mean(0)
    for unit, best, values in zip(units, found.words, found.similarity, strict=True):
        vector = centred[unit].mean(0)
        cosines = [float(word @ vector / np.linalg.norm(word) / np.linalg.norm(vector)) for word in table]
        assert best.tolist() == np.argsort(cosines)[::-1][:3].tolist()
        np.testing.assert_allclose(values, np.sort(cosines)[::-1][:3], atol=1e-5)


def test_units_without_an_image_count_their_photos_alone() -> None:
    draw = np.random.default_rng(1)
    first = draw.normal(size=(2, 4)).astype(np.float32)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.stack([first[1], np.zeros(4, np.float32)])
    words = draw.normal(size=(9, 4)).astype(np.float32)
    alone, both = rank_words([first], words, top=9), rank_words([first, second], words, top=9)
    np.testing.assert_allclose(both.similarity[1], alone.similarity[1], atol=1e-6)
    order = np.argsort(both.words[0])
    wanted = [rank_words([kind], words, top=9) for kind in (first, second)]
    mean = sum(one.similarity[0][np.argsort(one.words[0])] for one in wanted) / 2
    np.testing.assert_allclose(both.similarity[0][order], mean, atol=1e-6)


def test_vocabulary_of_our_own(tmp_path: Path) -> None:
    words = read_vocabulary()
    assert len(words) > 1500 and len(set(words)) == len(words)
    assert {"music", "illness", "before and after", "many", "from above"} <= set(words)  # the paper's concepts
    (tmp_path / "one.txt").write_text("# nothing\ndog\n")
    with pytest.raises(VitvisError, match="at least two"):
        read_vocabulary(str(tmp_path / "one.txt"))


@pytest.fixture
def made_run(tmp_path: Path) -> Path:
    """A search run of 12 units over 30 flat photos."""
    identity = {"backbone": {"name": "made", "weights_id": "0" * 12, "image_size": [64, 64]}}
    out = tmp_path / "search"
    draw = np.random.default_rng(0)
    with RunFolder.open(out, kind="search", settings={}, identity=identity) as folder:
        common = {"backbone": "made", "weights_id": "0" * 12, "site": "blocks.0.mlp", "kind": "mlp", "depth": 0}
        rows = [
            {
                **common,
                "unit": unit,
                "address": f"blocks.0.mlp:{unit}",
                "strongest_index": draw.choice(30, 5, replace=False).tolist(),
            }
            for unit in range(12)
        ]
        folder.write_shard("blocks.0.mlp", rows, {})
    (out / "thumbs").mkdir()
    for index in range(30):
        Image.fromarray(draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(out / "thumbs" / f"{index}.jpg")
    return out


def test_command(made_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    open_clip = pytest.importorskip("open_clip")
    from vitvis.backbones import load_backbone
    from vitvis.backbones.openclip import wrap_open_clip

    torch.manual_seed(0)
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    vision = {"image_size": 64, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    clip = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text).eval()
    small = wrap_open_clip(clip, "open_clip:small", "none", open_clip.get_tokenizer("ViT-B-32"))
    with pytest.warns(UserWarning, match="random"):
        look = load_backbone("vit_tiny_patch16_224", "none", 64, depth=1)
    for module in ("engine", "spaces"):
        monkeypatch.setattr(
            f"vitvis.concepts.{module}.load_backbone",
            lambda name, weights: small if name.startswith("open_clip") else look,
        )
    (tmp_path / "words.txt").write_text("dog\ncat\nmusic\nconcert hall\n")
    command = [f"run={made_run}", f"vocabulary={tmp_path / 'words.txt'}", "language=open_clip:small",
               "language_weights=none", "look=made", "k=5", "words=3"]  # fmt: skip
    assert main(command) == 0
    assert "blocks.0.mlp" in capsys.readouterr().out
    rows = pq.ParquetFile(made_run / "concepts" / "concepts.parquet").read().to_pylist()
    assert len(rows) == 12 and all(len(row["words"]) == 3 and row["photos"] == 5 for row in rows)
    assert all(row["score"] == pytest.approx(row["language"] - row["look"], abs=2e-4) for row in rows)
    table = json.loads((made_run / "concepts" / "concepts.json").read_text())["table"]
    assert table[0]["mean"] == pytest.approx(np.mean([row["score"] for row in rows]), abs=1e-3)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("embedded again, although it is in the cache")

    monkeypatch.setattr(small.language, "encode_text", refuse)
    monkeypatch.setattr("vitvis.concepts.embed.Tap", refuse)
    assert main(command) == 0


def test_wrong_commands_are_one_line(made_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, said in (([], "run="), ([f"run={made_run}"], "language="), ([f"run={made_run}x"], "made_run|no ")):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and any(part in error for part in said.split("|"))
    assert not (made_run / "concepts").exists()
