"""The command: help, errors in one line, two processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vitvis import search
from vitvis.errors import run_main


def test_help_names_the_data_and_needs_no_torch(root: Path) -> None:
    code = "import sys\nfrom vitvis import search\nsearch.COMMAND.main(['--help'])\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "kinds: imagefolder (a folder a class)" in " ".join(done.stdout.split())


def test_without_data_one_line_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(search.main, []) == 2
    error = capsys.readouterr().err
    assert "imagefolder:PATH" in error and error.count("\n") == 1


@pytest.mark.parametrize("setting", ["strips=some", "sample=10", "regions=polygns:x"])
def test_wrong_setting_is_one_line(tmp_path: Path, setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert run_main(search.main, [f"data=folder:{tmp_path}", f"out={tmp_path / 'out'}", setting]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def _wrong(tmp_path: Path, name: str) -> str:
    """Make some data that can't be searched; return its address."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    folder = tmp_path / "data"
    folder.mkdir()
    if name == "empty":
        return f"folder:{folder}"
    if name == "flat":
        Image.new("RGB", (8, 8)).save(folder / "a.png")
        return f"imagefolder:{folder}"
    if name == "file":
        Image.new("RGB", (8, 8)).save(folder / "a.png")
        return f"folder:{folder / 'a.png'}"
    if name == "no image column":
        pq.write_table(pa.table({"label": [1, 2]}), folder / "a.parquet")
    elif name == "no rows":
        pq.write_table(pa.table({"image": pa.array([], pa.binary())}), folder / "a.parquet")
    elif name == "no parquet":
        return f"parquet:{folder}"
    elif name == "cut":
        (folder / "a.parquet").write_bytes(b"PAR1 and no more")
    elif name == "prefix":
        return "hfdss:imagenet"
    return f"parquet:{folder / 'a.parquet'}"


@pytest.mark.parametrize(
    ("name", "says"),
    [("empty", "holds no images"), ("flat", "data=folder:PATH takes them"), ("file", "is a file; give the folder"),
     ("no image column", "no column holds image bytes (there are: label)"), ("no rows", "holds no rows"),
     ("no parquet", "holds no .parquet files"), ("cut", "can't be read as Parquet"),
     ("missing", "no such file"), ("prefix", "did you mean 'hfds'?")],
)  # fmt: skip
def test_wrong_data_is_one_line_and_leaves_nothing(
    tmp_path: Path, name: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_main(search.main, [f"data={_wrong(tmp_path, name)}", f"out={out}"]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not out.exists()


TINY = ("units=blocks.0.mlp:0-3", "workers=0", "trainer.progress=none", "trainer.accelerator=cpu", "sample=0", "k=2")


def test_data_of_broken_images_alone_leaves_nothing_and_can_be_mended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.png").write_text("no image")
    argv = [f"data=folder:{photos}", f"out={out}", *TINY]
    assert run_main(search.main, argv) == 2
    error = capfd.readouterr().err
    assert "no image of it could be used (the first: a.png: can't be decoded" in error and error.count("\n") == 1
    assert not out.exists()
    Image.new("RGB", (64, 64)).save(photos / "a.png")
    assert run_main(search.main, argv) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("where", ["checkpoint", "maps"])
def test_full_disk_is_one_line_and_the_same_command_goes_on(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import errno

    import numpy as np
    from PIL import Image

    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64), (number * 60, 0, 0)).save(photos / f"{number}.png")
    argv = [f"data=folder:{photos}", f"out={out}", *TINY]
    with monkeypatch.context() as patch:
        if where == "checkpoint":
            patch.setattr("torch.save", full)
        else:
            patch.setattr(np, "save", full)
        assert run_main(search.main, argv) == 2
    error = capfd.readouterr().err
    assert "no space is left on the disk" in error and error.count("\n") == 1, error
    assert not list(out.rglob("*.partial")) and not (out / "summary.json").exists()
    assert run_main(search.main, argv) == 0
    assert (out / "summary.json").exists()


KILLED = """
import os, signal, sys
from vitvis.search import COMMAND
from vitvis.search.module import ExemplarSearch

look, seen = ExemplarSearch.look, []
def dies(self, batch):
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    seen.append(batch)
    look(self, batch)

ExemplarSearch.look = dies
sys.exit(COMMAND.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_two_processes_find_what_one_finds_also_where_one_had_begun(root: Path, tmp_path: Path) -> None:
    """To the last bit: batches are fixed sets of photos, and sums do not round. The last batch holds one photo."""
    import numpy as np
    import timm
    import torch
    from PIL import Image
    from safetensors.torch import save_file

    from vitvis.search import read_search

    torch.manual_seed(0)
    save_file(timm.create_model("vit_tiny_patch16_224", img_size=32).state_dict(), tmp_path / "tiny.safetensors")
    (tmp_path / "photos").mkdir()
    (tmp_path / "polygons").mkdir()
    for number in range(13):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
        (tmp_path / "polygons" / f"{number}.txt").write_text("0 0 0 0.5 0 0.5 1 0 1\n")

    def words(out: str, devices: int) -> list[str]:
        return ["model=vit_tiny_patch16_224", "image_size=32", "k=4", "sample=20",
                f"weights={tmp_path / 'tiny.safetensors'}", f"data=folder:{tmp_path / 'photos'}",
                "units=blocks.1.mlp:*", f"regions=polygons:{tmp_path / 'polygons'}", f"trainer.devices={devices}",
                "trainer.accelerator=cpu", "workers=0", "thumbs=none", "trainer.threads=1", "batch_size=3",
                "checkpoint_every=3", f"out={tmp_path / out}"]  # fmt: skip

    def start(*argv: str) -> int:
        done = subprocess.run([sys.executable, *argv], cwd=root, timeout=300, capture_output=True, text=True)
        assert done.returncode <= 0, done.stderr
        return done.returncode

    assert search.COMMAND.main(words("one", 1)) == 0
    assert start("-c", KILLED, *words("two", 1)) == -9 and list((tmp_path / "two" / "state").iterdir())
    assert start("-m", "vitvis.search", *words("two", 2)) == 0
    one, two = read_search(tmp_path / "one"), read_search(tmp_path / "two")
    assert one.records == two.records and one.records[0]["inside_mean"] is not None
    assert np.array_equal(one.maps("blocks.1.mlp"), two.maps("blocks.1.mlp"))
    assert (tmp_path / "one/background.csv").read_text() == (tmp_path / "two/background.csv").read_text()


def test_folders_are_looked_at_before_the_model_is_loaded(tmp_path: Path, monkeypatch, capsys) -> None:
    def load(*args, **kwargs):
        raise AssertionError("loaded")

    monkeypatch.setattr("vitvis.search.engine.load_backbone", load)
    for name in ("other", "data"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "note.txt").write_text("no run")
    words = [f"data=folder:{tmp_path / 'data'}", f"out={tmp_path / 'out'}"]
    assert search.COMMAND.main([*words, f"out={tmp_path / 'other'}"]) == 2
    assert "holds other files and no run" in capsys.readouterr().err
    assert search.COMMAND.main([*words, f"fit={tmp_path / 'other'}"]) == 2
    assert "is no run folder" in capsys.readouterr().err
