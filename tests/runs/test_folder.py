"""The run folder: whole files or none, one live run, and no run mixed with another."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit.settings import FitSettings
from vitvis.runs import RunFolder, atomic_write, read_manifest, read_png_text, read_records, recipe_hash, save_png
from vitvis.runs.manifest import difference

IDENTITY = {"backbone": {"name": "a", "weights_id": "0"}, "recipe": {"optim": {"lr": 0.1}}, "recipe_hash": "x"}


EMPTY = [".manifest.json", "SHA256SUMS", "config.yaml", "manifest.json"]  # what a run leaves that made nothing


def open_folder(path, identity=IDENTITY, **changes):
    return RunFolder.open(path, **{"kind": "fit", "settings": {"steps": 3}, "identity": identity} | changes)


def record(unit, seed=0, **changes):
    return {"address": f"a:{unit}", "seed": seed, "activation": 0.5, "message": None} | changes


def files(path):
    return sorted(str(item.relative_to(path)) for item in path.rglob("*") if item.is_file())


def test_a_folder_remembers_what_is_done(tmp_path):
    with open_folder(tmp_path / "run", details={"units": ["a:0"]}) as folder:
        folder.write_shard("a-0", [record(0), record(1)], {"images/a/0.png": Image.new("RGB", (4, 4))})
    with open_folder(tmp_path / "run") as folder:
        assert folder.resumed and folder.done() == {("a:0", 0), ("a:1", 0)}
        folder.write_shard("a-1", [record(2, message="nan")])  # a column that was all null in the shard before
    assert [item["address"] for item in read_records(tmp_path / "run")] == ["a:0", "a:1", "a:2"]
    assert read_manifest(tmp_path / "run")["units"] == ["a:0"]
    assert files(tmp_path / "run") == [
        ".manifest.json", "SHA256SUMS", "config.yaml", "images/a/0.png", "manifest.json", "records/a-0.parquet",
        "records/a-1.parquet",
    ]  # fmt: skip


def test_config_loads_again(tmp_path):
    settings = merge(FitSettings, ["units=blocks.{0,5}.mlp:3,17", "image_size=32x64"])
    with open_folder(tmp_path, settings=__import__("dataclasses").asdict(settings)):
        pass
    assert merge(FitSettings, tmp_path / "config.yaml") == settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"identity": IDENTITY | {"recipe": {"optim": {"lr": 0.2}}}}, "recipe.optim.lr was 0.1, now 0.2"),
        ({"identity": IDENTITY | {"backbone": {"name": "b", "weights_id": "0"}}}, "backbone.name was a, now b"),
        ({"kind": "search"}, "vitvis.fit"),
        ({"resume": False}, "holds a run already"),
    ],
)
def test_another_run_in_the_folder_is_refused_and_nothing_changes(tmp_path, changes, words):
    with open_folder(tmp_path) as folder:
        folder.write_shard("a-0", [record(0)])
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(VitvisError, match=words):
        open_folder(tmp_path, **changes)
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert files(tmp_path) == [*EMPTY, "records/a-0.parquet"]


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(VitvisError, match="holds other files"):
        open_folder(tmp_path)
    with pytest.raises(VitvisError, match="is a file"):
        open_folder(tmp_path / "thesis.tex")
    with pytest.raises(VitvisError, match="can't be made"):
        open_folder(tmp_path / "thesis.tex" / "below")


def test_a_live_run_keeps_others_out_and_a_dead_one_does_not(tmp_path):
    code = (
        "import sys, os, signal\n"
        "from vitvis.runs import RunFolder\n"
        f"f = RunFolder.open({str(tmp_path)!r}, kind='fit', settings={{}}, identity={IDENTITY!r})\n"
        "print('open', flush=True); sys.stdin.read(1); os.kill(os.getpid(), signal.SIGKILL)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "open\n"
    with pytest.raises(VitvisError, match=f"process {child.pid} .* is working in this folder"):
        open_folder(tmp_path)
    child.communicate("x")
    open_folder(tmp_path).close()
    assert ".lock" not in files(tmp_path)


def test_other_ranks_need_no_lock_and_write_no_manifest(tmp_path):
    with open_folder(tmp_path) as rank0, open_folder(tmp_path, primary=False) as rank1:
        before = files(tmp_path)
        rank1.write_shard("a-1", [record(1)])
        assert files(tmp_path) == sorted([*before, "records/a-1.parquet"])
        assert ".lock" in before and rank0.records() == rank1.records()
    assert files(tmp_path) == [*EMPTY, "records/a-1.parquet"]


def test_half_written_files_are_removed_and_never_read(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.write_shard("a-0", [record(0)])
    (tmp_path / "records" / ".a-1.parquet.77.partial").write_bytes(b"half")
    assert len(read_records(tmp_path)) == 1
    open_folder(tmp_path).close()
    assert files(tmp_path) == [*EMPTY, "records/a-0.parquet"]


def test_a_write_that_fails_leaves_the_old_file_and_no_remains(tmp_path, monkeypatch):
    atomic_write(tmp_path / "a", b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        atomic_write(tmp_path / "a", b"new")
    assert error.value.filename == str(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old" and files(tmp_path) == ["a"]


def test_png_text_survives(tmp_path):
    text = {"unit": "-blocks.4.mlp:17", "command": "python -m vitvis.fit units='ä ✓'", "settings": "{}" * 3000}
    (tmp_path / "a.png").write_bytes(save_png(Image.new("RGB", (5, 4), (1, 2, 3)), text))
    assert read_png_text(tmp_path / "a.png") == text
    assert Image.open(tmp_path / "a.png").getpixel((4, 3)) == (1, 2, 3)


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\nhalf"])
def test_a_bad_png_is_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(VitvisError, match=r"a\.png"):
        read_png_text(tmp_path / "a.png")


def test_a_damaged_shard_and_manifest_are_one_line(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.write_shard("a-0", [record(0)])
    (tmp_path / "records" / "a-0.parquet").write_bytes(b"PAR1")
    with pytest.raises(VitvisError, match=r"a-0\.parquet"):
        read_records(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    open_folder(tmp_path).close()  # its copy is whole
    for name in ("manifest.json", ".manifest.json"):
        (tmp_path / name).write_text("{")
    with pytest.raises(VitvisError, match="JSON"):
        open_folder(tmp_path)


def test_the_recipe_hash_sees_values_and_nothing_else():
    one = recipe_hash({"a": 1, "b": {"c": [1.0, None], "d": "x"}})
    assert one == recipe_hash({"b": {"d": "x", "c": [1, None]}, "a": 1.0})
    assert one != recipe_hash({"a": 1, "b": {"c": [1.5, None], "d": "x"}})
    assert len(one) == 12 and int(one, 16) >= 0


def test_difference_names_the_first_place():
    assert difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == "a.c was 2, now 3"
    assert difference({"a": 1, "more": 2}, {"a": 1}) is None


def test_other_ranks_wait_for_rank_0_and_check_for_themselves(tmp_path, monkeypatch):
    """A rank that is ready first would else fill the new folder, and rank 0 take it for somebody else's."""
    path = tmp_path / "run"
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(open_folder, path, primary=False)
        with pytest.raises(TimeoutError):
            early.result(timeout=0.2)
        assert not path.exists()
        with open_folder(path) as folder:
            assert early.result(timeout=60).path == path
            folder.write_shard("a-0", [record(0)])
    with pytest.raises(VitvisError, match="holds another run"):  # and not a wait for a rank 0 that has given up
        open_folder(path, IDENTITY | {"recipe_hash": "y"}, primary=False)
    monkeypatch.setattr("vitvis.runs.checks.PATIENCE_S", 0.0)
    with pytest.raises(VitvisError, match="rank 0 has not opened it"):
        open_folder(tmp_path / "never", primary=False)
