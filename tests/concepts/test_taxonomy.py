"""Classes of photos as a space of meanings: WordNet's nouns, and concept scores without a language model."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.concepts.make_wordnet import DATA, all_classes, read_nouns, table
from vitvis import concepts, search
from vitvis.concepts.taxonomy import OWN, Taxonomy, read_taxonomy
from vitvis.errors import VitvisError

#: Two dogs, a cat, and a teapot, of Tiny-ImageNet and of ImageNet.
RETRIEVER, POODLE, TABBY, TEAPOT = "n02099601", "n02113799", "n02123045", "n04398044"


def test_every_class_of_both_data_sets_is_a_kind_of_entity() -> None:
    taxonomy = read_taxonomy()
    assert all("n00001740" in taxonomy.ancestors(wnid) for wnid in all_classes())


def test_the_table_is_wordnets() -> None:
    if not DATA.is_file():
        pytest.skip("needs WordNet's data.noun (apt install wordnet-base)")
    assert table(read_nouns(DATA), all_classes()) == OWN.read_text(encoding="utf-8")


def test_a_cosine_is_the_share_of_common_ancestors() -> None:
    """Against a count by hand: a > b > root and c > root have 1 of 3 and 2 in common."""
    made = Taxonomy(
        {"root": (), "b": ("root",), "a": ("b",), "c": ("root",)}, {name: name for name in "abc"} | {"root": ""}
    )
    a, c = made.vectors(["a", "c"])
    assert a @ c / np.linalg.norm(a) / np.linalg.norm(c) == pytest.approx(1 / math.sqrt(3 * 2))
    dog, other, cat, pot = read_taxonomy().vectors([RETRIEVER, POODLE, TABBY, TEAPOT])
    assert dog @ other > dog @ cat > dog @ pot > 0
    with pytest.raises(VitvisError, match="n99999999: is none of the"):
        made.ancestors("n99999999")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search over 32 photos of four classes; what a photo shows has nothing to do with its class."""
    folder, rows = tmp_path_factory.mktemp("labelled"), []
    draw = np.random.default_rng(0)
    for number in range(32):
        pixels = draw.uniform(0, 255, (16, 16, 3)).repeat(4, 0).repeat(4, 1) + draw.normal(0, 30, (64, 64, 3))
        buffer = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, format="PNG")
        label = number % 4
        wnid = (RETRIEVER, POODLE, TABBY, TEAPOT)[label]
        rows.append({"image": buffer.getvalue(), "label": label, "wnid": wnid, "file": f"{number}.png"})
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in rows[0]}), folder / "val.parquet")
    search.run(units="blocks.{0,8}.mlp:0-7", data=f"parquet:{folder / 'val.parquet'}", k=6, strips="none", thumbs="all",
               workers=0, out=str(folder / "run"), trainer={"accelerator": "cpu", "progress": "none"})  # fmt: skip
    return folder / "run"


def test_scores_follow_from_classes_and_colours(labelled: Path) -> None:
    """One unit's score by a slow loop over pairs of photos, and its words among what its photos are kinds of."""
    from vitvis.search import read_search

    (found,) = concepts.run(run=str(labelled), language="wordnet", look="pixels", k=6, words=3)
    run, taxonomy = read_search(labelled), read_taxonomy()
    pool = sorted({index for record in run.records for index in record["strongest_index"][:6]})
    ids = [(RETRIEVER, POODLE, TABBY, TEAPOT)[run.images[index]["label"]] for index in pool]
    colours = [np.asarray(Image.open(run.thumb(index)).resize((16, 16), Image.Resampling.BICUBIC), float).ravel() / 255
               for index in pool]  # fmt: skip
    spaces = {"language": taxonomy.vectors(ids).astype(float), "look": np.stack(colours)}
    record = run.records[3]
    own = [pool.index(index) for index in record["strongest_index"][:6]]
    for name, space in spaces.items():
        centred = space - space.mean(axis=0)
        centred /= np.linalg.norm(centred, axis=1, keepdims=True)
        cosines = np.round(centred @ centred.T, 5)
        every = [cosines[i, j] for i in range(len(pool)) for j in range(i)]
        shares = []
        for place, i in enumerate(own):
            for j in own[:place]:
                shares.append(np.mean([(one < cosines[i, j]) + 0.5 * (one == cosines[i, j]) for one in every]))
        row = next(row for row in found.records if row["address"] == record["address"])
        assert row[name] == pytest.approx(2 * np.mean(shares) - 1, abs=0.02), name
    kinds = {taxonomy.names[column] for wnid in set(ids) for column in np.flatnonzero(taxonomy.vectors([wnid])[0])}
    assert all(set(row["words"]) <= kinds for row in found.records)
    text = (labelled / "concepts" / "concepts.csv").read_text()
    assert len(list(csv.DictReader(io.StringIO(text)))) == 16


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"vocabulary": "words.txt"}, "vocabulary=words.txt: language=wordnet has words of its own"),
        ({"fit": "out/fit"}, "fit=out/fit: language=wordnet knows classes"),
    ],
)
def test_what_labels_cannot_say_is_refused(
    labelled: Path, settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(VitvisError, match=words):
        concepts.run(run=str(labelled), language="wordnet", **settings)
