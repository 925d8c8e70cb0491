from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.data.test_imagenet import GOLDFISH, TENCH
from tests.data.test_kinds import encoded
from tests.data.trees import block_backbone, solid
from vitvis.data.kinds import open_source
from vitvis.data.labels import make_label_map
from vitvis.errors import VitvisError
from vitvis.evaluate.module import transform_key


def two_classes(tmp_path, wnids=(GOLDFISH, TENCH)):
    sides = {"xmin": [0, 0], "ymin": [0, 0], "xmax": [3, 3], "ymax": [3, 3]}
    rows = {"image": [encoded(solid(9))] * 2, "label": [0, 1], "wnid": list(wnids), **sides}
    pq.write_table(pa.table(rows), tmp_path / "val.parquet")
    return open_source(f"parquet:{tmp_path / 'val.parquet'}")


def test_an_imagenet_model_is_matched_by_wordnet_id_and_restricted(tmp_path):
    labels = make_label_map(block_backbone(classes=1000), two_classes(tmp_path))
    logits = torch.zeros(2, 1000)
    logits[0, [0, 1, 2]] = torch.tensor([1.0, 2.0, 9.0])  # tench 1, goldfish 2, shark 9: the data knows no shark
    logits[1, [0, 1]] = torch.tensor([2.0, 1.0])
    assert labels.reduce(logits).tolist() == [[2, 1], [1, 2]]  # the data's goldfish is 0


def test_a_bundled_model_is_matched_by_its_own_wordnet_ids(tmp_path):
    labels = make_label_map(block_backbone("vitvis_vit", classes=200), two_classes(tmp_path, ("n01629819", GOLDFISH)))
    logits = torch.arange(200.0)[None]
    assert labels.reduce(logits).tolist() == [[1, 0]]  # its goldfish is 0, its salamander 1


def test_classes_a_model_does_not_know_are_named(tmp_path):
    with pytest.raises(VitvisError, match="can't name 1 classes of the data .n99999999"):
        make_label_map(block_backbone(classes=1000), two_classes(tmp_path, ("n99999999", TENCH)))


def test_a_map_by_hand(tmp_path):
    source, file = two_classes(tmp_path), tmp_path / "map.tsv"
    file.write_text("0\t4\t5\n1\t2\n")
    logits = torch.tensor([[9.0, 9, 3, 9, 1, 4, 9]])
    assert make_label_map(block_backbone(classes=7), source, str(file)).reduce(logits).tolist() == [[4, 3]]
    file.write_text("0\t4\n1\t7\n")
    with pytest.raises(VitvisError, match="output 7"):
        make_label_map(block_backbone(classes=7), source, str(file))
    file.write_text("0\t4\n")
    with pytest.raises(VitvisError, match="no output stands for class 1"):
        make_label_map(block_backbone(classes=7), source, str(file))


def test_models_with_one_transform_share_it_and_others_do_not():
    first, second, larger = block_backbone("a"), block_backbone("b"), block_backbone("c", size=32)
    assert transform_key(first) == transform_key(second) != transform_key(larger)


@pytest.mark.parametrize("labels", ["auto", "same", "FILE"])
def test_a_model_without_a_classifier_is_told_so(tmp_path, labels):
    file = tmp_path / "map.tsv"
    file.write_text("0\t0\n1\t1\n")
    with pytest.raises(VitvisError, match="model headless: has no classifier"):
        make_label_map(block_backbone("headless", classes=0), two_classes(tmp_path), labels.replace("FILE", str(file)))
