"""Whole runs: a classifier that reads one block of pixels, and boxes that decide by hand what it says."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.data.test_imagenet import imagenet9
from tests.data.trees import block_backbone
from vitvis.config.core import merge
from vitvis.data.kinds import open_source
from vitvis.data.loader import to_bytes
from vitvis.errors import VitvisError
from vitvis.evaluate import engine as run_module
from vitvis.evaluate.engine import evaluate
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.evaluate.variants import VariantPlan, VariantView

# The reader looks at rows and columns 2..3 of 16x16 pictures and says class level // 40.
# Rows: label, level inside the box, level outside, box (xmin, ymin, xmax, ymax; inclusive)
OVER, BESIDE = (0, 0, 7, 7), (8, 8, 15, 15)  # boxes over the block, and away from it
IMAGES = [
    (3, 120, 240, OVER),  # full 3, foreground 3, background 0 (3 is among its first five)
    (6, 240, 80, OVER),  # full 6, foreground 6, background 0 (6 is not among its first five)
    (2, 80, 80, BESIDE),  # full 2, foreground 0 (2 is among its first five), background 2
    (5, 200, 200, BESIDE),  # full 5, foreground 0 (5 is not), background 5
    (0, 160, 0, OVER),  # full 4 (0 is not among 2..6), foreground 4, background 0
]
BY_HAND = {  # right answers of five: top-1, top-5
    "full": (4, 4),
    "foreground": (2, 3),
    "background": (3, 4),
}


def picture(inside: int, outside: int, box: tuple[int, int, int, int]) -> bytes:
    pixels = np.full((16, 16, 3), outside, np.uint8)
    pixels[box[1] : box[3] + 1, box[0] : box[2] + 1] = inside
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path):
    """Five pictures whose answers are known, one that is cut off, and one whose box lies outside."""
    rows = [{"image": picture(*image[1:]), "label": image[0], "box": image[3]} for image in IMAGES]
    rows.append({"image": rows[0]["image"][:50], "label": 1, "box": OVER})
    rows.append({"image": rows[0]["image"], "label": 1, "box": (20, 20, 30, 30)})
    table = {key: [row[key] for row in rows] for key in ("image", "label")}
    table |= {side: [row["box"][i] for row in rows] for i, side in enumerate(("xmin", "ymin", "xmax", "ymax"))}
    path = tmp_path / "val.parquet"
    pq.write_table(pa.table(table), path)
    (tmp_path / "classes.tsv").write_text("".join(f"{label}\tx{label}\tclass {label}\n" for label in range(12)))
    return path


@pytest.fixture
def models(monkeypatch):
    """Serve rigged backbones instead of timm models; count how often each runs."""
    served = {"over": block_backbone("over"), "beside": block_backbone("beside", slice(12, 14), slice(12, 14))}
    calls = dict.fromkeys(served, 0)

    def load(name, weights, image_size):
        backbone = served[name]

        def count(module, inputs, output):
            calls[name] += 1

        backbone.register_forward_hook(count)
        return backbone

    monkeypatch.setattr(run_module, "load_backbone", load)
    return calls


def settings(data, out, *overrides):
    base = ["trainer.accelerator=cpu", "trainer.progress=none", "workers=0", "models=[over]", "bootstrap=200"]
    return merge(
        EvaluateSettings, [*base, f"data={data if ':' in str(data) else f'parquet:{data}'}", f"out={out}", *overrides]
    )


def test_accuracies_follow_from_the_boxes_to_the_digit(photos, models, tmp_path):
    results = evaluate(settings(photos, tmp_path / "run"))
    assert [row["variant"] for row in results["rows"]] == list(BY_HAND)
    for row in results["rows"]:
        top1, top5 = BY_HAND[row["variant"]]
        assert (row["n"], row["top1"], row["top5"]) == (5, 100 * top1 / 5, 100 * top5 / 5)
        if row["variant"] != "full":
            assert row["normalized_top5"] == pytest.approx(100 * top5 / 4)
            assert row["normalized_top1"] == pytest.approx(100 * top1 / 4)


def test_broken_images_are_skipped_counted_and_listed(photos, models, tmp_path):
    results = evaluate(settings(photos, tmp_path / "run"))
    assert results["about"]["skipped"] == 2 and results["about"]["images"] == 5
    listed = list(csv.reader((tmp_path / "run/skipped.csv").open()))
    assert listed[0] == ["image", "reason"] and [row[0] for row in listed[1:]] == ["row 5", "row 6"]
    assert "decoded" in listed[1][1] and "outside" in listed[2][1]


def test_the_folder_holds_everything_and_json_is_strict(photos, models, tmp_path):
    evaluate(settings(photos, tmp_path / "run", "models=[over,beside]", "fill=[black,mean,blur,noise,inpaint]"))
    found = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"results.json", "results.csv", "results.md", "results.png", "per_class.csv", "skipped.csv"} <= found
    results = json.loads((tmp_path / "run/results.json").read_text(), parse_constant=pytest.fail)
    assert len(results["rows"]) == 2 * (1 + 2 * 5)
    assert {row["minus"] for row in results["differences"]} == {"beside"}
    rows = list(csv.DictReader((tmp_path / "run/results.csv").open()))
    assert float(rows[0]["top1"]) == results["rows"][0]["top1"]
    with Image.open(tmp_path / "run/results.png") as image:
        assert min(image.size) > 400


def test_a_second_model_is_measured_without_asking_the_first_again(photos, models, tmp_path):
    first = evaluate(settings(photos, tmp_path / "run"))
    assert (models["over"], models["beside"]) == (1, 0)
    both = evaluate(settings(photos, tmp_path / "run", "models=[over,beside]"))
    assert (models["over"], models["beside"]) == (1, 1)
    assert both["rows"][:3] == first["rows"]
    fresh = evaluate(settings(photos, tmp_path / "other", "models=[over,beside]"))
    assert fresh["rows"] == both["rows"] and fresh["differences"] == both["differences"]


@pytest.mark.parametrize("probe", ["masks", "lowpass"])
def test_a_killed_run_goes_on_from_the_image_it_had_reached(photos, models, tmp_path, monkeypatch, probe):
    """Stopped at the fourth of seven images, with scores kept after each: three are not asked about again."""
    from vitvis.data.layouts.parquet import Parquet

    whole = evaluate(settings(photos, tmp_path / "whole", f"probe={probe}", "radii=[2,8]", "batch_size=1"))
    monkeypatch.setattr(run_module, "KEEP_EVERY", 0.0)
    load, seen = Parquet.load, []

    def stop(self, index):
        seen.append(index)
        if len(seen) == 5:  # the loader is an image ahead
            raise KeyboardInterrupt
        return load(self, index)

    command = settings(photos, tmp_path / "run", f"probe={probe}", "radii=[2,8]", "batch_size=1")
    with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, SystemExit)):
        patch.setattr(Parquet, "load", stop)
        evaluate(command)
    assert list((tmp_path / "run/state").iterdir()) and not (tmp_path / "run/predictions").exists()
    asked = []
    monkeypatch.setattr(Parquet, "load", lambda self, index: asked.append(index) or load(self, index))
    again = evaluate(command)
    assert asked == list(range(7))[-len(asked) :] and 0 < len(asked) < 5
    assert again["rows"] == whole["rows"] and again["per_class"] == whole["per_class"]
    assert again["about"]["skipped"] == 2 and again["about"]["counts"] == whole["about"]["counts"]
    assert not (tmp_path / "run/state").exists()


def test_what_was_kept_for_other_models_is_not_taken_up(photos, models, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(run_module.RunFolder, "remove", lambda folder, relative: None)
    evaluate(settings(photos, tmp_path / "run", "batch_size=1"))
    (kept,) = (tmp_path / "run/state").iterdir()
    results = evaluate(settings(photos, tmp_path / "run", "batch_size=1", "models=[beside]"))
    assert models["beside"] == 5 and results["about"]["skipped"] == 2
    kept.write_bytes(b"cut off")
    assert evaluate(settings(photos, tmp_path / "run", "models=[over,beside]"))["rows"]


def test_damaged_predictions_are_measured_again_and_the_list_is_written_again(photos, models, tmp_path):
    first = evaluate(settings(photos, tmp_path / "run", "models=[over,beside]"))
    listed, path = (tmp_path / "run/skipped.csv").read_bytes(), tmp_path / "run/predictions/over.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "run/skipped.csv").write_text("")  # a backbone that is served twice counts twice
    again = evaluate(settings(photos, tmp_path / "run", "models=[over,beside]"))
    assert (models["over"], models["beside"]) == (1 + 2, 1) and again["rows"] == first["rows"]
    assert again["about"] == first["about"] and path.read_bytes() == whole
    assert (tmp_path / "run/skipped.csv").read_bytes() == listed


@pytest.mark.parametrize("probe", ["masks", "lowpass"])
def test_shards_join_to_the_tables_of_one_process(photos, models, tmp_path, probe):
    command = [f"probe={probe}", "radii=[2,8]", "batch_size=6", "models=[over,beside]", "fill=noise"]
    whole = evaluate(settings(photos, tmp_path / "whole", *command))
    run = tmp_path / "run"
    with pytest.raises(VitvisError, match="no shard has done anything here yet"):
        evaluate(settings(photos, run, *command, "finish=true"))
    assert not run.exists()
    for shard in ("2/3", "0/3", "0/3"):
        assert evaluate(settings(photos, run, *command, f"shard={shard}")) is None
    with pytest.raises(VitvisError, match="finish=true, but .* batches are not done yet"):
        evaluate(settings(photos, run, *command, "finish=true"))
    joined = evaluate(settings(photos, run, *command, "shard=1/3"))
    assert {**joined, "out": 0} == {**whole, "out": 0}
    for name in ("results.csv", "results.md", "per_class.csv", "skipped.csv", "predictions/over.parquet"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not (run / "state").exists() and not list(run.glob(".lock*"))


def test_other_settings_do_not_go_into_the_same_folder(photos, models, tmp_path):
    evaluate(settings(photos, tmp_path / "run"))
    with pytest.raises(VitvisError, match="holds another run"):
        evaluate(settings(photos, tmp_path / "run", "fill=mean"))


def test_nan_logits_name_model_and_image(photos, models, tmp_path, monkeypatch):
    backbone = block_backbone("over")
    forward = backbone.model.forward
    backbone.model.forward = lambda images: forward(images) * (float("nan") if len(images) else 1)
    monkeypatch.setattr(run_module, "load_backbone", lambda name, weights, image_size: backbone)
    with pytest.raises(VitvisError, match="model over: NaN logits for image row 0"):
        evaluate(settings(photos, tmp_path / "run"))
    assert not list((tmp_path / "run").glob("results*")) and not (tmp_path / "run/predictions").exists()


def test_each_image_is_decoded_once_for_all_models_and_variants(photos, models, tmp_path, monkeypatch):
    from vitvis.data.layouts.parquet import Parquet

    decoded = []
    load = Parquet.load
    monkeypatch.setattr(Parquet, "load", lambda self, index: decoded.append(index) or load(self, index))
    evaluate(settings(photos, tmp_path / "run", "models=[over,beside]", "fill=[black,noise]"))
    assert sorted(decoded) == list(range(7))


def test_batches_and_workers_change_nothing(photos, models, tmp_path):
    rows = [
        evaluate(settings(photos, tmp_path / f"run{size}", f"batch_size={size}", f"workers={workers}", "fill=noise"))[
            "rows"
        ]
        for size, workers in ((1, 0), (7, 1), (64, 0))
    ]
    assert rows[0] == rows[1] == rows[2]


def test_limit_draws_by_seed(photos, models, tmp_path):
    results = evaluate(settings(photos, tmp_path / "run", "limit=3", "seed=1"))
    assert results["about"]["images"] + results["about"]["skipped"] == 3


def test_one_crop_for_all_models(tmp_path, monkeypatch):
    """The reader looks at the corner: of the frame, or, under a crop of half the side, of the square in it."""
    box = (4, 4, 11, 11)
    row = {"image": [picture(120, 0, box)], "label": [0]}
    row |= {side: [value] for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)}
    photos = tmp_path / "val.parquet"
    pq.write_table(pa.table(row), photos)
    (tmp_path / "classes.tsv").write_text("".join(f"{label}\tx{label}\tclass {label}\n" for label in range(12)))

    def load(name, weights, image_size):
        backbone = block_backbone("corner", slice(0, 2), slice(0, 2))
        backbone.eval_settings["crop_pct"] = 0.5
        return backbone

    monkeypatch.setattr(run_module, "load_backbone", load)
    own = evaluate(settings(photos, tmp_path / "own", "variants=full"))["rows"][0]["top1"]
    whole = evaluate(settings(photos, tmp_path / "whole", "variants=full", "crop_pct=1"))
    assert (own, whole["rows"][0]["top1"]) == (0.0, 100.0)
    assert whole["about"]["models"][0]["transform"]["crop_pct"] == "1.0"


def test_imagenet9_gives_the_bg_gap(models, tmp_path):
    root = imagenet9(tmp_path / "bg_challenge")
    for path in (root / "mixed_same/val/00_dog").iterdir():  # the reader is right about dogs on their own background
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path, quality=100)
    labels = tmp_path / "in_to_in9.json"
    labels.write_text(json.dumps({str(output): {0: 0, 6: 1}.get(output, -1) for output in range(12)}))
    results = evaluate(settings(f"imagenet9:{root}", tmp_path / "run", f"labels={labels}"))
    assert [(row["variant"], row["n"], row["top1"]) for row in results["rows"]] == [
        ("original", 4, 0), ("mixed_same", 4, 50), ("mixed_rand", 4, 0), ("no_fg", 4, 0), ("only_fg", 4, 0)
    ]  # fmt: skip
    assert results["bg_gap"][0]["bg_gap"] == 50.0


def test_pictures_travel_as_bytes_without_loss(shared_dir):
    source = open_source(f"folder:{shared_dir / 'data/coco128'}")
    from vitvis.backbones import load_backbone

    transform = load_backbone("resnet18", weights="none", image_size=64).transform()
    photo = source.read(3)
    (travelled,) = VariantView(VariantPlan(("full",)), {"a": transform})(photo)["images/a"]
    exact = transform(photo.image)
    assert torch.equal(travelled.float() / 255, exact) and torch.equal(to_bytes(exact), travelled)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("variants=[]", "takes at least 1"), ("fill=[]", "takes at least 1"), ("box_sizes=[0.1]", "takes 2"),
     (["probe=lowpass", "radii=[]"], "takes at least 1"), ("models=[]", "takes at least 1"),
     (["probe=lowpass", "radii=[inf]"], "has to be a finite number"), ("models=[over,over]", "stands twice"),
     ("bootstrap=1000000000", "has to be at most"), ("regions=boxes:x", "auto, none, polygons:FOLDER")],
)  # fmt: skip
def test_settings_that_can_not_be_followed_fail_before_anything_is_written(photos, models, tmp_path, wrong, message):
    with pytest.raises(VitvisError, match=message):
        evaluate(settings(photos, tmp_path / "run", *([wrong] if isinstance(wrong, str) else wrong)))
    assert models["over"] == 0 and not (tmp_path / "run").exists()


def test_models_whose_classes_do_not_match_are_refused(photos, models, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "load_backbone", lambda *args, **kwargs: block_backbone("over", classes=7))
    with pytest.raises(VitvisError, match="has 7 classes and the data 12"):
        evaluate(settings(photos, tmp_path / "run"))


def test_wandb_gets_tables_and_chart(photos, models, tmp_path, monkeypatch):
    import wandb

    monkeypatch.setattr(wandb.Table, "__init__", lambda self, columns, data: setattr(self, "seen", (columns, data)))
    logged = {}

    class Run:
        summary = {}

        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

        def log(self, content):
            logged.update(content)

    monkeypatch.setattr(wandb, "init", lambda **kwargs: Run())
    monkeypatch.setattr(wandb, "Image", lambda path: path)
    evaluate(settings(photos, tmp_path / "run", "logger.kind=wandb"))
    assert {"rows", "per_class", "by_box_size", "chart"} <= set(logged)
    assert Run.summary["over/foreground/black/top1"] == 40.0
