"""ImageNet, ImageNet-S and ImageNet-9 on small trees in exactly their layouts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.data.trees import labels, save, solid, write_voc
from vitvis.data.classes import imagenet_ids
from vitvis.data.kinds import guess_kind, open_source
from vitvis.errors import VitvisError

TENCH, GOLDFISH = "n01440764", "n01443537"


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
