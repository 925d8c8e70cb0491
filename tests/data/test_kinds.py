"""Each layout on a small tree in exactly that layout."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.data.trees import save, solid, write_voc
from vitvis.data.classes import imagenet_ids
from vitvis.data.kinds import guess_kind, open_source
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Source
from vitvis.errors import VitvisError

TENCH, GOLDFISH = "n01440764", "n01443537"


def labels(source: Source) -> list[int]:
    """Return the labels of the photos that can be measured."""
    return [int(source.labels[index]) for index in source.measurable]


def faults(source: Source) -> list[tuple[str, str]]:
    return [(source.key(index), reason) for index, reason in sorted(source.faults.items())]


def imagenet_train(root):
    data, boxes = root / "ILSVRC/Data/CLS-LOC/train", root / "ILSVRC/Annotations/CLS-LOC/train"
    for wnid in (TENCH, GOLDFISH):
        for number in (1, 2):
            save(solid(100, (20, 30)), data / wnid / f"{wnid}_{number}.JPEG")
    both = [(TENCH, 2, 3, 9, 12), (TENCH, 12, 3, 20, 12), (GOLDFISH, 0, 0, 29, 19), (TENCH, 5, 5, 5, 9)]
    write_voc(boxes / TENCH / f"{TENCH}_1.xml", both, (20, 30))
    write_voc(boxes / TENCH / f"{TENCH}_2.xml", [(GOLDFISH, 0, 0, 9, 9)], (20, 30))  # none of its own class
    write_voc(
        boxes / GOLDFISH / f"{GOLDFISH}_1.xml", [(GOLDFISH, 20, 20, 39, 39)], (40, 60)
    )  # annotated at twice the size
    return root  # goldfish 2 has no annotation, as most training images


def test_imagenet_train_layout(tmp_path):
    source = open_source(f"imagenet:{imagenet_train(tmp_path)}", split="train")
    assert [source.key(index) for index in source.measurable] == [
        f"{TENCH}/{TENCH}_1.JPEG", f"{TENCH}/{TENCH}_2.JPEG", f"{GOLDFISH}/{GOLDFISH}_1.JPEG"
    ]  # fmt: skip
    assert source.labels.tolist() == [0, 0, 1, 1]  # labels of ImageNet-1k; one has no annotation
    assert source.classes.names[:2] == ["tench", "goldfish"] and len(source.classes) == 1000
    assert source.counts["images without annotation"] == 1
    sample = source.read(0)
    expected = np.zeros((20, 30), bool)
    expected[3:13, 2:10] = expected[3:13, 12:21] = True  # both boxes of its class, not the goldfish's
    assert (sample.mask == expected).all()
    assert sample.counts == {"boxes": 3, "boxes of other classes": 1, "degenerate boxes": 1}
    assert source.read(1).mask is None and source.read(1).fault == "no box of its own class"
    rescaled = source.read(2).mask
    assert rescaled[10:20, 10:20].all() and rescaled.sum() == 100


@pytest.mark.parametrize("labels", ["kaggle", "wnids", "numbers", "boxes", "sorted"])
def test_imagenet_val_layouts(tmp_path, labels):
    data, boxes = tmp_path / "Data/CLS-LOC/val", tmp_path / "Annotations/CLS-LOC/val"
    names = [f"ILSVRC2012_val_{number:08d}" for number in (1, 2)]
    for name, wnid in zip(names, (GOLDFISH, TENCH), strict=True):
        save(solid(100), (data / wnid if labels == "sorted" else data) / f"{name}.JPEG")
        write_voc(boxes / f"{name}.xml", [(wnid, 1, 1, 4, 4)], (16, 16))
    if labels == "kaggle":
        lines = [f"{names[0]},{GOLDFISH} 1 1 4 4 {GOLDFISH} 2 2 3 3", f"{names[1]},{TENCH} 1 1 4 4"]
        (tmp_path / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *lines]))
        (tmp_path / "LOC_synset_mapping.txt").write_text(f"{TENCH} tench, Tinca tinca\n{GOLDFISH} goldfish\n")
    elif labels == "wnids":
        (data / "val.txt").write_text(f"{names[0]}.JPEG {GOLDFISH}\n{names[1]}.JPEG {TENCH}\n")
    elif labels == "numbers":
        (data.parent / "labels.txt").write_text(f"{names[0]}.JPEG 1\n{names[1]}.JPEG 0\n")
    source = open_source(f"imagenet:{tmp_path}", split="val")
    found = {source.key(index).rpartition("/")[2][:-5]: source.labels[index] for index in source.measurable}
    assert found == {names[0]: 1, names[1]: 0}
    assert all(source.read(index).mask.sum() == 16 for index in range(2))


def test_kaggles_lists_lie_beside_the_root(tmp_path):
    """`data=imagenet:.../ILSVRC`, while `LOC_val_solution.csv` lies one folder up."""
    data, boxes = tmp_path / "ILSVRC/Data/CLS-LOC/val", tmp_path / "ILSVRC/Annotations/CLS-LOC/val"
    save(solid(100), data / "ILSVRC2012_val_00000001.JPEG")
    write_voc(boxes / "ILSVRC2012_val_00000001.xml", [(TENCH, 1, 1, 4, 4), (GOLDFISH, 1, 1, 2, 2)], (16, 16))
    line = f"ILSVRC2012_val_00000001,{GOLDFISH} 1 1 2 2"
    (tmp_path / "LOC_val_solution.csv").write_text(f"ImageId,PredictionString\n{line}\n")
    source = open_source(f"imagenet:{tmp_path / 'ILSVRC'}", split="val")
    assert labels(source) == [1] and source.read(0).mask.sum() == 4


def test_imagenet_refuses_labels_in_the_order_of_the_kit(tmp_path):
    save(solid(9), tmp_path / "Data/CLS-LOC/val/a.JPEG")
    (tmp_path / "Annotations/CLS-LOC/val").mkdir(parents=True)
    file = tmp_path / "ground_truth.txt"
    file.write_text("1000\n")
    with pytest.raises(VitvisError, match="counts from 1"):
        open_source(f"imagenet:{tmp_path}", split="val", label_file=str(file))


def imagenet9(root):
    for variant in ("original", "mixed_same", "mixed_rand", "only_fg", "no_fg"):
        for category in ("00_dog", "01_bird"):
            for number in (1, 2):
                fg = f"n0{category[:2]}_{number}"
                name = fg if variant == "original" else f"fg_{fg}_bg_n09_{number + 5}"
                save(solid(50), root / variant / "val" / category / f"{name}.JPEG")
    mask = np.zeros((16, 16), bool)
    mask[:4] = True
    (root / "fg_mask/val/00_dog").mkdir(parents=True)
    np.save(root / "fg_mask/val/00_dog/n000_1.npy", mask)  # as original/val/00_dog/n000_1.JPEG is called
    return root


def test_imagenet9_layout(tmp_path):
    source = open_source(f"imagenet9:{imagenet9(tmp_path)}")
    assert source.variants == ["original", "mixed_same", "mixed_rand", "no_fg", "only_fg"]
    assert source.classes.names == ["dog", "bird"] and source.length == 5 * 4
    pairs = {}
    entries = [source.entry(index) for index in range(source.length)]
    for entry in entries:
        pairs.setdefault(entry.pair, set()).add(entry.variant)
    assert len(pairs) == 4 and all(len(found) == 5 for found in pairs.values())  # every foreground, in every variant
    masked = [entry.index for entry in entries if entry.pair == "00_dog/n000_1"]
    assert len(masked) == 5 and all(source.read(index).mask.sum() == 4 * 16 for index in masked)
    assert source.read(max(masked) + 1).mask is None and len(source.measurable) == 20


def test_all_variants_of_the_release_are_known(tmp_path):
    """The folders of Xiao et al.'s release; `fg_mask` holds masks, not images."""
    names = "mixed_next mixed_rand mixed_same no_fg only_bg_b only_bg_t only_fg original".split()
    for name in names:
        save(solid(50), tmp_path / name / "val/00_dog/n02085936_10395.JPEG")
    (tmp_path / "fg_mask/val/00_dog").mkdir(parents=True)
    source = open_source(f"imagenet9:{tmp_path}")
    assert sorted(source.variants) == names and source.variants[0] == "original"


def test_imagenet_s_layout(tmp_path):
    codes = np.zeros((8, 10, 3), np.uint8)
    codes[:2] = (2, 0, 0)  # the second category
    codes[2:4] = (1000 % 256, 1000 // 256, 0)  # to be ignored
    codes[4:6] = (300 % 256, 300 // 256, 0)  # another category
    save(solid(80, (8, 10)), tmp_path / f"validation/{GOLDFISH}/ILSVRC2012_val_00000001.JPEG")
    save(Image.fromarray(codes), tmp_path / f"validation-segmentation/{GOLDFISH}/ILSVRC2012_val_00000001.png")
    save(solid(80), tmp_path / f"validation/{TENCH}/without.JPEG")
    assert guess_kind(tmp_path) == "imagenet-s"
    source = open_source(f"imagenet-s:{tmp_path}")
    assert labels(source) == [1] and source.counts["images without mask"] == 1
    (index,) = source.measurable
    assert source.read(index).mask.sum() == 4 * 10  # categories are not known: every one, but not the ignored
    (tmp_path / "ImageNetS_categories_im50.txt").write_text(f"{TENCH}\n{GOLDFISH}\n")
    assert open_source(f"imagenet-s:{tmp_path}").read(index).mask.sum() == 2 * 10


def test_imagenet_s_numbers_follow_sorted_ids(tmp_path):
    """The 919's list of categories is published unsorted; its README says that masks count sorted ids."""
    codes = np.zeros((8, 10, 3), np.uint8)
    codes[:2] = (2, 0, 0)
    codes[2:5] = (1, 0, 0)
    root = tmp_path / "ImageNetS919"
    save(solid(80, (8, 10)), root / f"validation/{GOLDFISH}/a.JPEG")
    save(Image.fromarray(codes), root / f"validation-segmentation/{GOLDFISH}/a.png")
    (root / "ImageNetS_categories_im919.txt").write_text(f"{GOLDFISH}\n{TENCH}\n")
    assert guess_kind(tmp_path) == "imagenet-s"
    source = open_source(f"imagenet-s:{tmp_path}")  # the folder around it
    assert source.read(0).mask.sum() == 2 * 10
    save(solid(80, (8, 10)), tmp_path / f"ImageNetS50/validation/{GOLDFISH}/a.JPEG")
    save(Image.fromarray(codes), tmp_path / f"ImageNetS50/validation-segmentation/{GOLDFISH}/a.png")
    with pytest.raises(VitvisError, match="ImageNetS50, ImageNetS919; name one"):
        open_source(f"imagenet-s:{tmp_path}")
    with pytest.raises(VitvisError, match="test are not published"):
        open_source(f"imagenet-s:{root}", split="test")


def test_classes_that_imagenet_s_merges_are_both_right(tmp_path):
    import torch

    from tests.data.trees import block_backbone
    from vitvis.data.labels import make_label_map

    glasses, glass = "n04356056", "n04355933"  # sunglasses count as sunglass
    root = tmp_path / "ImageNetS919"
    save(solid(80, (8, 8)), root / f"validation/{glass}/a.JPEG")
    save(Image.fromarray(np.ones((8, 8, 3), np.uint8)), root / f"validation-segmentation/{glass}/a.png")
    source = open_source(f"imagenet-s:{root}")
    label, other = (list(imagenet_ids()).index(wnid) for wnid in (glass, glasses))
    assert source.entry(0).label == label
    logits = torch.zeros(2, 1000)
    logits[0, other] = logits[1, 7] = 1
    assert make_label_map(block_backbone(classes=1000), source).reduce(logits).argmax(1).tolist() == [label, 7]


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


def test_in9_map_is_read_from_its_file(tmp_path):
    import torch

    from tests.data.trees import block_backbone
    from vitvis.data.labels import make_label_map

    source = open_source(f"imagenet9:{imagenet9(tmp_path)}")
    file = tmp_path / "in_to_in9.json"
    file.write_text(json.dumps({str(output): {0: 0, 1: 1, 2: 0}.get(output, -1) for output in range(12)}))
    labels = make_label_map(block_backbone(), source, str(file))
    logits = torch.zeros(4, 12)
    logits[[0, 1, 2, 3], [2, 1, 7, 0]] = 1  # -> dog, bird, none of them, dog
    assert labels.reduce(logits).argmax(1).tolist() == [0, 1, 2, 0]


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
