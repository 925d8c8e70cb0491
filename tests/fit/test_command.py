"""The main job, end to end, on a small random ViT: files, records, resume after SIGKILL, rebuilding, errors."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vitvis
from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit import main
from vitvis.fit.engine import run_fit
from vitvis.fit.settings import FitSettings
from vitvis.runs import read_manifest, read_png_text, read_records

HERE = Path(__file__).resolve().parent
SMALL = ["model=test_vit", "weights=none", "image_size=64", "steps=6", "copies=2", "trainer.accelerator=cpu"]
SMALL += ["trainer.progress=none"]
ARGV = [*SMALL, "units=blocks.{0,1}.mlp:0-2", "chunk=2", "trainer.checkpoint_every=2", "logger.every=2", "strips=3"]
TIMING = {"seconds", "summary/seconds"}


@pytest.fixture(scope="module")
def children():
    """Send fits to a process that forks a child for each; returns `run(argv, kill) -> signal or exit status`."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "fit_child.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def run(argv, kill=None):
        process.stdin.write(json.dumps({"argv": argv, "kill": kill}) + "\n")
        process.stdin.flush()
        status = json.loads(process.stdout.readline())
        return -(status & 0x7F) if status & 0x7F else status >> 8

    yield run
    process.stdin.close()
    process.wait()


@pytest.fixture(scope="module")
def undisturbed(children, tmp_path_factory):
    out = tmp_path_factory.mktemp("fit") / "run"
    assert children([*ARGV, f"out={out}"]) == 0
    return out


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def without_timing(records):
    return [{key: value for key, value in record.items() if key not in TIMING} for record in records]


def curves(folder):
    """Rows of the curves without what is a matter of time."""
    with open(folder / "metrics.csv", newline="") as file:
        return [{key: row[key] for key in row if key not in TIMING} for row in csv.DictReader(file)]


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_a_run_leaves_what_the_design_says(undisturbed):
    images = {f"images/blocks.{block}.mlp/{unit}_s0.png" for block in (0, 1) for unit in range(3)}
    shards = {name for name in files(undisturbed) if name.startswith("records/")}
    assert len(shards) == 4  # two chunks a site: a chunk never mixes sites
    expected = {"config.yaml", "manifest.json", "metrics.csv", "sheet.png", "summary.json", "SHA256SUMS"} | images
    expected |= {".manifest.json"} | {name.replace("images/", "progress/") for name in images}
    assert files(undisturbed) == expected | shards
    records = read_records(undisturbed)
    assert {record["image"] for record in records} == images
    assert {pixels(undisturbed / name).shape for name in files(undisturbed) if "progress" in name} == {(64, 192, 3)}
    for record in records:
        assert record["status"] in ("ok", "dead") and record["site_width"] == 192 and 1 <= record["rank"] <= 192
        assert 0 <= record["hf_share"] <= 1 and record["steps"] == 6 and record["recipe"]
        assert pixels(undisturbed / record["image"]).shape == (record["height"], record["width"], 3) == (64, 64, 3)
    manifest = read_manifest(undisturbed)
    assert {site["name"] for site in manifest["backbone"]["sites"]} == {"blocks.0.mlp", "blocks.1.mlp"}
    assert any("random" in warning for warning in manifest["warnings"])


def test_a_record_says_what_the_model_says_about_the_picture(undisturbed):
    import torch

    record = next(record for record in read_records(undisturbed) if record["address"] == "blocks.1.mlp:2")
    torch.manual_seed(0)
    backbone = vitvis.load_backbone("test_vit", weights="none", image_size=64)
    kept = {}
    backbone.model.blocks[1].mlp.act.register_forward_hook(lambda module, args, output: kept.update(value=output))
    picture = torch.from_numpy(pixels(undisturbed / record["image"]) / 255.0).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        backbone(picture)
    patches = kept["value"][0, 1:]  # without CLS
    assert patches[:, 2].mean().item() == pytest.approx(record["activation"], abs=2e-3)  # 8 bits a channel
    rank = 1 + (patches.mean(0) > patches[:, 2].mean()).sum().item()
    assert abs(rank - record["rank"]) <= 2


@pytest.mark.parametrize(
    "kill",
    [
        "step:10",  # inside the second chunk, after a checkpoint
        "write:records:3",  # images of the third chunk are there, its records are not
        "torn:images:4",  # half a picture
        "write:sheet:1",  # all is made, nothing is drawn
        "write:manifest:1",  # before anything
    ],
)
def test_a_killed_run_started_again_ends_like_an_undisturbed_one(children, undisturbed, tmp_path, kill):
    out = tmp_path / "run"
    assert children([*ARGV, f"out={out}"], kill) == -signal.SIGKILL
    assert not (out / "sheet.png").exists()
    kept = {name: (out / name).stat().st_mtime_ns for name in files(out) if name.startswith("records/")}
    assert children([*ARGV, f"out={out}"]) == 0
    assert files(out) == files(undisturbed)
    assert without_timing(read_records(out)) == without_timing(read_records(undisturbed))
    for name in files(out):
        if name.startswith(("images/", "progress/")):
            assert (pixels(out / name) == pixels(undisturbed / name)).all(), name
    for name, stamp in kept.items():
        assert (out / name).stat().st_mtime_ns == stamp  # what was done was not done again
    assert curves(out) == curves(undisturbed)


@pytest.mark.parametrize("harm", ["gone", "half"])
def test_a_lost_picture_is_made_again(children, undisturbed, tmp_path, harm):
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    picture = out / "images/blocks.1.mlp/2_s0.png"
    if harm == "gone":
        picture.unlink()
    else:
        picture.write_bytes(picture.read_bytes()[:-200])
    others = {name: (out / name).stat().st_mtime_ns for name in files(out) if name.startswith("images/")}
    assert children([*ARGV, f"out={out}"]) == 0
    assert abs(pixels(picture) - pixels(undisturbed / "images/blocks.1.mlp/2_s0.png")).max() <= 1
    made = {name for name, stamp in others.items() if (out / name).stat().st_mtime_ns != stamp}
    assert made <= {"images/blocks.1.mlp/2_s0.png"}
    assert len(read_records(out)) == 6


def test_a_start_that_wrote_nothing_is_not_a_run(children, tmp_path):
    out = tmp_path / "run"
    assert children([*ARGV, f"out={out}", "optim.lr=0.3"], "step:1") == -signal.SIGKILL
    assert (out / "manifest.json").exists()
    assert children([*ARGV, f"out={out}", "optim.lr=0.1"]) == 0
    assert read_manifest(out)["recipe"]["optim"]["lr"] == 0.1 and len(read_records(out)) == 6


def test_a_folder_grows_by_units_and_nothing_is_made_twice(children, undisturbed, tmp_path):
    out = tmp_path / "run"
    first = [argument for argument in ARGV if not argument.startswith("units=")]
    assert children([*first, "units=blocks.1.mlp:1", f"out={out}"]) == 0
    stamp = (out / "images/blocks.1.mlp/1_s0.png").stat().st_mtime_ns
    assert children([*ARGV, f"out={out}"]) == 0
    assert (out / "images/blocks.1.mlp/1_s0.png").stat().st_mtime_ns == stamp
    records = sorted(without_timing(read_records(out)), key=lambda record: record["address"])
    reference = sorted(without_timing(read_records(undisturbed)), key=lambda record: record["address"])
    for one, other in zip(records, reference, strict=True):  # contract 1: whatever chunk a unit was in
        assert one["address"] == other["address"] and one["activation"] == pytest.approx(other["activation"], abs=1e-4)
        assert abs(pixels(out / one["image"]) - pixels(undisturbed / other["image"])).max() <= 1


def test_one_command_rebuilds_an_image_from_its_png(undisturbed, tmp_path, capsys):
    original = undisturbed / "images/blocks.1.mlp/2_s0.png"
    assert read_png_text(original)["unit"] == "blocks.1.mlp:2"
    for picture in (original, undisturbed / "images/blocks.0.mlp/1_s0.png"):  # two into one folder
        assert main(["--from-png", str(picture), f"out={tmp_path / 'again'}", "trainer.accelerator=cpu"]) == 0
        again = tmp_path / "again" / picture.relative_to(undisturbed)
        assert abs(pixels(again) - pixels(picture)).max() <= 1
        said = capsys.readouterr().out
        assert str(again) in said and str(picture) in said
    assert len(read_records(tmp_path / "again")) == 2


def test_python_returns_the_records_of_the_folder(undisturbed):
    records = vitvis.fit.run(ARGV, out=str(undisturbed))  # all done: nothing is made
    assert without_timing(records) == without_timing(read_records(undisturbed))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["units=blocks.9.mlp:0"], "blocks.9.mlp"),
        (["units=blocks.0.mlp:999"], "999"),
        (["units=blcks.0.mlp:0"], "blocks"),
        (["model=tset_vit"], "test_vit"),
        (["weights=nowhere.safetensors"], "nowhere.safetensors"),
        (["image_size=big"], "image_size"),
        (["optim.lrr=1"], "'optim.lr'"),
        (["trainer.devices=many"], "trainer.devices"),
        (["image.kind=fourrier"], "'fourier'"),
        (["recipe=ghiasi"], "ghiasi2022"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, words, tmp_path, capsys):
    assert main([*SMALL, "units=blocks.0.mlp:0", *arguments, f"out={tmp_path / 'run'}"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(error) == 1 and words in error[0], error
    assert not (tmp_path / "run").exists()


def test_another_recipe_in_the_same_folder_is_refused(undisturbed):
    with pytest.raises(VitvisError, match="recipe.optim.schedule was cosine, now constant"):
        vitvis.fit.run([*ARGV, "optim.schedule=constant"], out=str(undisturbed))


def test_a_full_disk_is_one_line(tmp_path, capsys, monkeypatch):
    import vitvis.runs.ledger as ledger

    write = ledger.atomic_write

    def full(path, data, **how):
        if "images" in str(path):
            raise OSError(28, "No space left on device", str(path))
        write(path, data, **how)

    monkeypatch.setattr(ledger, "atomic_write", full)
    assert main([*SMALL, "units=blocks.0.mlp:0", f"out={tmp_path / 'run'}"]) == 2
    assert "no space is left on the disk" in capsys.readouterr().err
    monkeypatch.undo()
    assert main([*SMALL, "units=blocks.0.mlp:0", f"out={tmp_path / 'run'}"]) == 0


def test_a_nan_is_a_record_not_a_crash(tmp_path):
    from pytorch_lightning import Callback

    class Spoil(Callback):
        def on_after_backward(self, trainer, pl_module):
            pl_module.image.grad[0] = float("nan")

    settings = merge(FitSettings, SMALL, ["units=blocks.0.mlp:0-1"], {"out": str(tmp_path / "run")})
    records = run_fit(settings, [Spoil()]).records
    assert [record["status"] for record in records] == ["failed", "ok"]
    assert all((tmp_path / "run" / record["image"]).is_file() for record in records)


def test_help_needs_nothing_heavy():
    code = "import sys\nfrom vitvis.fit import COMMAND\nCOMMAND.main(['--help'])\n"
    code += "sys.exit(len({'torch', 'numpy', 'PIL', 'pyarrow'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "objective.tokens" in done.stdout


def test_memory_does_not_grow_with_the_number_of_chunks(tmp_path):
    import gc

    import torch
    from pytorch_lightning import Callback

    class Watch(Callback):
        tensors: list[int] = []
        objects: list[int] = []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if not batch.last:
                return
            gc.collect()
            held = (item for item in gc.get_objects() if isinstance(item, torch.Tensor))
            self.tensors.append(sum(item.untyped_storage().nbytes() for item in held))
            self.objects.append(len(gc.get_objects()))

    watch = Watch()
    settings = merge(
        FitSettings, SMALL, ["units=blocks.0.mlp:0-19", "chunk=1", "steps=2"], {"out": str(tmp_path / "run")}
    )
    run_fit(settings, [watch])
    assert len(watch.tensors) == 20
    assert watch.tensors[-1] <= watch.tensors[2] * 1.01
    assert watch.objects[-1] - watch.objects[4] < 150  # over 15 chunks: nothing is kept of each
