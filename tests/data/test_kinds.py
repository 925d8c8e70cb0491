"""Each layout on a small tree in exactly that layout."""

from __future__ import annotations

import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.data.trees import faults, labels, save, solid
from vitvis.data.classes import imagenet_ids
from vitvis.data.kinds import open_source
from vitvis.data.photo import UnusableImage
from vitvis.errors import VitvisError

TENCH, GOLDFISH = "n01440764", "n01443537"


def encoded(image, format="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, format=format)
    return buffer.getvalue()


def test_parquet_with_box_columns(tmp_path):
    rows = {
        "image": [encoded(solid(level)) for level in (10, 20)] + [encoded(solid(30))[:40], encoded(solid(40)), b""],
        "label": [0, 1, 1, 0, None],
        "wnid": [TENCH, GOLDFISH, GOLDFISH, TENCH, None],
        "xmin": [0, 4, 0, 7, 0], "ymin": [0, 4, 0, 3, 0], "xmax": [3, 15, 3, 6, 3], "ymax": [1, 15, 3, 9, 3],
    }  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "val.parquet")
    source = open_source(f"parquet:{tmp_path / 'val.parquet'}")
    assert labels(source) == [0, 1, 1] and source.labels.tolist() == [0, 1, 1, 0, -1]
    assert source.classes.ids == [TENCH, GOLDFISH] and source.classes.names == ["tench", "goldfish"]
    assert source.read(0).mask.sum() == 4 * 2 and source.read(1).mask.sum() == 12 * 12
    with pytest.raises(UnusableImage, match="decoded"):
        source.read(2)
    assert source.counts["degenerate boxes"] == 1
    assert faults(source) == [("row 3", "no usable box"), ("row 4", "no label")]


def test_parquet_with_lists_of_boxes_and_huggingface_images(tmp_path):
    boxes = {"xmin": [[0, 8]], "ymin": [[0, 8]], "xmax": [[3, 11]], "ymax": [[3, 11]]}
    pq.write_table(
        pa.table({"image": [{"bytes": encoded(solid(9)), "path": "a"}], "label": [0], **boxes}),
        tmp_path / "val-0.parquet",
    )
    assert open_source(f"parquet:{tmp_path}").read(0).mask.sum() == 32


def test_parquet_without_classes_says_which_columns_there_are(tmp_path):
    pq.write_table(pa.table({"image": [b""], "kind": [0]}), tmp_path / "a.parquet")
    source = open_source(f"parquet:{tmp_path / 'a.parquet'}")
    assert not len(source.measurable) and "there are image, kind; give label or labels" in source.unlabelled


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("label", [0.5], "column label: holds double; give whole numbers or names"),
        ("label", [2**62], "class 4611686018427387904 in row 0 is no number from 0 to 999999"),
        ("xmin", ["left"], "column xmin holds string; give numbers"),
        ("image", ["a.jpg"], "no column holds image bytes"),
    ],
)
def test_parquet_with_columns_of_another_kind(tmp_path, column, values, message):
    rows = {"image": [encoded(solid(9))], "label": [0], "xmin": [0], "ymin": [0], "xmax": [3], "ymax": [3]}
    pq.write_table(pa.table(rows | {column: values}), tmp_path / "a.parquet")
    with pytest.raises(VitvisError, match=message) as error:
        open_source(f"parquet:{tmp_path / 'a.parquet'}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "values", "fault"),
    [
        ("xmin", [[0, 1]], "box columns hold lists of different lengths"),
        ("xmax", [-1], "no usable box"),
        ("xmax", [float("inf")], "no usable box"),
    ],
)
def test_boxes_that_can_not_be_drawn_are_listed_and_the_photo_is_still_read(tmp_path, column, values, fault):
    rows = {"image": [encoded(solid(9))], "label": [0], "xmin": [0], "ymin": [0], "xmax": [3], "ymax": [3]}
    pq.write_table(pa.table(rows | {column: values}), tmp_path / "a.parquet")
    source = open_source(f"parquet:{tmp_path / 'a.parquet'}")
    assert faults(source) == [("row 0", fault)] and not len(source.measurable)
    photo = source.read(0)
    assert photo.image.size == (16, 16) and photo.mask is None and photo.fault


def test_parquet_of_names_is_numbered_and_a_folder_is_read_by_its_split(tmp_path):
    for split, names in (("train", ["cat", "dog"]), ("test", ["dog", "cat", None]), ("validation", ["owl"])):
        rows = {"img": [encoded(solid(9))] * len(names), "label": names}
        pq.write_table(pa.table(rows), tmp_path / f"{split}-00000-of-00001.parquet")
    test = open_source(f"parquet:{tmp_path}", split="test")
    assert test.length == 3 and test.labels.tolist() == [1, 0, -1] and test.classes.names == ["cat", "dog"]
    assert [open_source(f"parquet:{tmp_path}", split=split).length for split in (None, "val", "train")] == [1, 1, 2]
    with pytest.raises(VitvisError, match="no .parquet files of that split .there are: test, train, val"):
        open_source(f"parquet:{tmp_path}", split="dev")
    with pytest.raises(VitvisError, match="is no folder, so split=test says nothing"):
        open_source(f"parquet:{tmp_path}/test-00000-of-00001.parquet", split="test")


@pytest.mark.parametrize("size", [0, 6, 200])
def test_parquet_that_is_cut_off(tmp_path, size):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [b""], "label": [0]}), buffer)
    (tmp_path / "a.parquet").write_bytes(buffer.getvalue()[:size])
    with pytest.raises(VitvisError, match="can't be read as Parquet"):
        open_source(f"parquet:{tmp_path / 'a.parquet'}")


def test_folder_with_polygons(tmp_path):
    save(solid(10, (10, 20)), tmp_path / "images/a.jpg")
    save(solid(10, (10, 20)), tmp_path / "images/b.jpg")
    save(solid(10, (10, 20)), tmp_path / "images/c.jpg")
    (tmp_path / "polygons").mkdir()
    small, large = "3 0 0 0.1 0 0.1 0.1 0 0.1", "5 0 0.5 1 0.5 1 1 0 1"
    (tmp_path / "polygons/a.txt").write_text(f"{small}\n{large}\n")
    (tmp_path / "polygons/b.txt").write_text("")
    (tmp_path / "classes.txt").write_text("\n".join("person bike car moto plane bus".split()))
    source = open_source(f"folder:{tmp_path}")
    assert [(source.key(index), source.labels[index]) for index in source.measurable] == [
        ("a.jpg", 5)
    ]  # the largest polygon's class
    assert source.classes.names[5] == "bus"
    mask = source.read(0).mask
    assert mask[5:].all() and not mask[:4].any()
    assert faults(source) == [("b.jpg", "polygon file is empty"), ("c.jpg", "no polygon file")]


@pytest.mark.parametrize("how", ["folders", "list"])
def test_folder_with_mask_files(tmp_path, how):
    mask = np.zeros((10, 10), np.uint8)
    mask[:3] = 255
    for name, wnid in (("x", TENCH), ("y", GOLDFISH)):
        place = f"{wnid}/{name}" if how == "folders" else name
        save(solid(10, (10, 10)), tmp_path / f"images/{place}.png")
        save(Image.fromarray(mask), tmp_path / f"masks/{place}.png")
    if how == "list":
        (tmp_path / "labels.csv").write_text("x.png,0\ny.png,1\n")
    source = open_source(f"folder:{tmp_path}")
    assert labels(source) == [0, 1]
    assert source.read(1).mask.sum() == 30
    assert (source.classes.ids == list(imagenet_ids())) == (how == "folders")


def test_coco128(shared_dir):
    source = open_source(f"folder:{shared_dir / 'data/coco128'}")
    assert 120 <= len(source.measurable) <= source.length == 128
    shares = [source.read(index).mask.mean() for index in source.measurable[::16]]
    assert all(0 < share <= 1 for share in shares)


def test_tiny_imagenet(shared_dir):
    source = open_source(f"parquet:{shared_dir / 'data/tiny-imagenet/val.parquet'}")
    assert len(source.measurable) + len(source.faults) == source.length == 10_000 and len(source.classes) == 200
    assert set(source.classes.ids) <= set(imagenet_ids())
    assert source.read(0).image.size == (64, 64)


def test_wrong_kind_and_path_name_the_nearest(tmp_path):
    with pytest.raises(VitvisError, match="did you mean 'imagenet'"):
        open_source(f"imagnet:{tmp_path}")
    (tmp_path / "photos").mkdir()
    with pytest.raises(VitvisError, match="did you mean '.*photos'"):
        open_source(f"folder:{tmp_path / 'fotos'}")
    with pytest.raises(VitvisError, match="Data and Annotations"):
        open_source(f"imagenet:{tmp_path}")


@pytest.mark.parametrize("kind", ["imagefolder", "imagenet", "folder"])
def test_links_to_folders_are_followed_and_circles_are_not(tmp_path, kind):
    """`Path.rglob` follows no links before Python 3.13: whole classes were gone, and labels shifted."""
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "root"
    base = root / "Data/CLS-LOC/val" if kind == "imagenet" else root
    for wnid in (TENCH, GOLDFISH):
        save(solid(9), elsewhere / wnid / f"{wnid}_1.png")
    base.mkdir(parents=True)
    (root / "Annotations").mkdir()
    for wnid in (TENCH, GOLDFISH):
        (base / wnid).symlink_to(elsewhere / wnid)
    (elsewhere / TENCH / "circle").symlink_to(base)
    source = open_source(f"{kind}:{root}")
    assert source.length == 2, [source.key(index) for index in range(source.length)]
    if kind != "folder":
        assert source.labels.tolist() == [0, 1] and source.entry(1).label_name == "goldfish"


def test_names_that_are_no_text_are_read_and_written_out(tmp_path):
    import os

    try:
        (tmp_path / os.fsdecode(b"a\xff.png")).write_bytes(encoded(solid(9)))
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    source = open_source(f"folder:{tmp_path}")
    assert source.key(0) == "a\\xff.png" and source.read(0).image.size == (16, 16)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("hfds/timm/mini-imagenet", "is written data=hfds:timm/mini-imagenet"),
        ("wds//data/shards", "is written data=wds:/data/shards"),
        ("{photos}", "say of which kind it is: data=imagefolder:"),
        ("{photos}/cat", "say of which kind it is: data=folder:"),
        ("{table}", "say of which kind it is: data=parquet:"),
        ("imagefolder:", "give data=imagefolder:PATH"),
    ],
)
def test_old_spellings_are_one_line_with_the_new_one(tmp_path, written, says):
    save(solid(9), tmp_path / "photos/cat/a.png")
    pq.write_table(pa.table({"image": [encoded(solid(9))]}), tmp_path / "val.parquet")
    with pytest.raises(VitvisError, match=re.escape(says)) as error:
        open_source(written.format(photos=tmp_path / "photos", table=tmp_path / "val.parquet"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"label_file": "x"}, "only data=imagenet:PATH has one"),
        ({"regions": "boxes:x"}, "auto, none, polygons:FOLDER"),
        ({"regions": "masks:nowhere"}, "no such folder"),
        ({"split": "val"}, "no folder .*val"),
        ({"classes": "nowhere.txt"}, "classes=nowhere.txt: no such file"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(tmp_path, options, says):
    save(solid(9), tmp_path / "a.png")
    with pytest.raises(VitvisError, match=says):
        open_source(f"folder:{tmp_path}", **options)


def test_regions_lie_where_the_user_says(tmp_path):
    save(solid(9, (10, 10)), tmp_path / "photos/cat/a.png")
    save(solid(9, (10, 10)), tmp_path / "photos/cat/b.png")
    (tmp_path / "polygons").mkdir()
    (tmp_path / "polygons/a.txt").write_text("7 0 0 0.5 0 0.5 1 0 1\n")
    source = open_source(f"imagefolder:{tmp_path / 'photos'}", regions=f"polygons:{tmp_path / 'polygons'}")
    assert source.measurable.tolist() == [0] and source.read(0).mask[:, :5].all() and source.read(1).mask is None
    assert not open_source(f"imagefolder:{tmp_path / 'photos'}").has_objects


def test_class_lists_of_every_form(tmp_path):
    from vitvis.data.classes import read_classes

    file = tmp_path / "classes.txt"
    for text, names, ids in (
        ("traffic light\nfire hydrant\n", ["traffic light", "fire hydrant"], None),
        (f"0\t{TENCH}\ttench, Tinca tinca\n1\t{GOLDFISH}\tgoldfish\n", ["tench, Tinca tinca", "goldfish"],
         [TENCH, GOLDFISH]),
        ("0 person\n2 car\n", ["person", "1", "car"], None),
        ("0,person\n1,traffic light\n", ["person", "traffic light"], None),
    ):  # fmt: skip
        file.write_text(text)
        classes = read_classes(file)
        assert (classes.names, classes.ids) == (names, ids)
    file.write_text("99999999999 x\n")
    with pytest.raises(VitvisError, match="is no number from 0 to 999999"):
        read_classes(file)
