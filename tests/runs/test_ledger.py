"""What a run has written is known by its digest; what is lost or damaged is named, made again, or refused."""

import json
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from tests.runs.test_folder import open_folder, record
from vitvis.errors import VitvisError
from vitvis.runs import Ledger, inside, read_json, read_manifest, read_records, read_yaml, run, save_png
from vitvis.runs.checkpoint import load_checkpoint, save_checkpoint
from vitvis.runs.records import encode_records


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "run"
    with open_folder(path) as folder:
        for shard in range(2):
            images = {
                f"images/a/{unit}.png": Image.new("RGB", (4, 4), (9 * unit, 0, 0))
                for unit in (2 * shard, 2 * shard + 1)
            }
            records = [record(unit, image=f"images/a/{unit}.png") for unit in (2 * shard, 2 * shard + 1)]
            folder.write_shard(f"a-{shard}", records, images)
    return path


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)


def test_coreutils_reads_the_ledger(made):
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=made).returncode == 0
    flip(made / "images/a/1.png")
    done = subprocess.run(check, cwd=made, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "images/a/1.png: FAILED\n"


@pytest.mark.parametrize(
    ("spoil", "again"),
    [
        (lambda path: (path / "images/a/3.png").unlink(), {3}),
        (lambda path: flip(path / "images/a/3.png"), {3}),
        (lambda path: (path / "images/a/3.png").write_bytes((path / "images/a/2.png").read_bytes()), {3}),
        (lambda path: flip(path / "records/a-1.parquet"), {2, 3}),
        (lambda path: (path / "records/a-1.parquet").write_bytes(b""), {2, 3}),
        (lambda path: (path / "records/a-1.parquet").write_bytes(encode_records([{"x": 1}])), {2, 3}),
        (lambda path: (path / "records/a-1.parquet").write_bytes(encode_records([record(7)])), {2, 3}),
    ],
)
def test_what_is_damaged_is_not_done(made, spoil, again):
    spoil(made)
    assert len(run(folders=[str(made)])[0].problems) >= 1
    with open_folder(made) as folder:
        assert {address for address, _ in folder.done()} == {f"a:{unit}" for unit in {0, 1, 2, 3} - again}
        folder.write_shard(  # as a fit does: what is missing, in a shard of its own
            "a-2",
            [record(unit, image=f"images/a/{unit}.png") for unit in again],
            {f"images/a/{unit}.png": Image.new("RGB", (4, 4)) for unit in again},
        )
    assert sorted(item["address"] for item in read_records(made)) == ["a:0", "a:1", "a:2", "a:3"]
    assert run(folders=[str(made)])[0].problems == []


def test_a_shard_that_is_asked_for_as_a_whole_is_done_again_as_a_whole(made):
    """Then its work has the same name again, and the folder is what an undisturbed run leaves."""
    flip(made / "images/a/3.png")
    with open_folder(made) as folder:
        assert folder.done(asked={("a:3", 0)}) == {("a:0", 0), ("a:1", 0), ("a:2", 0)}
    flip(made / "images/a/1.png")
    with open_folder(made) as folder:
        assert folder.done(asked={(f"a:{unit}", 0) for unit in range(4)}) == {("a:2", 0)}


def test_a_damaged_shard_is_one_line_for_readers(made):
    flip(made / "records/a-0.parquet")
    with pytest.raises(VitvisError, match=r"a-0\.parquet: .*remove it and run the command of this folder again"):
        read_records(made)


def test_a_folder_without_a_ledger_is_read_as_it_is(made):
    (made / "SHA256SUMS").unlink()
    assert len(read_records(made)) == 4
    (made / "images/a/0.png").write_bytes(b"\x89PNG half")
    with open_folder(made) as folder:
        assert len(folder.done()) == 3


def test_a_kill_between_digest_and_name_leaves_a_whole_file(made):
    """The digest is noted before the file takes its name: the old content is then still whole, and so is the new."""
    ledger = Ledger(made)
    ledger.note("images/a/0.png", "ab" * 32)
    ledger.note("images/a/new.png", "cd" * 32)
    assert Ledger(made).is_whole("images/a/0.png")
    open_folder(made).close()
    assert "new" not in (made / "SHA256SUMS").read_text() and Ledger(made).damaged() == []


@pytest.mark.parametrize("tail", [b"12ab", b"\n\xff\xfe\x00garbage\n", b"0" * 63])
def test_a_broken_line_of_the_ledger_is_dropped(made, tail):
    with open(made / "SHA256SUMS", "ab") as file:
        file.write(tail)
    assert len(read_records(made)) == 4 and Ledger(made).damaged() == []
    open_folder(made).close()
    assert Ledger(made).damaged() == []


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"kind": "fit", "units": {}}', '{"kind": 3}'])
def test_a_damaged_manifest_is_taken_from_its_copy(made, content):
    before = read_manifest(made)
    (made / "manifest.json").write_text(content)
    assert read_manifest(made) == before
    open_folder(made).close()
    assert json.loads((made / "manifest.json").read_text())["created"] == before["created"]


def test_flipped_bytes_that_are_still_json_are_noticed(made):
    text = (made / "manifest.json").read_text()
    (made / "manifest.json").write_text(text.replace('"name": "a"', '"name": "b"'))
    assert read_manifest(made)["backbone"]["name"] == "a"


@pytest.mark.parametrize("site", ["../../x", "/etc", "a/../../b", "a\0b", "", 3, None])
def test_a_record_names_no_place_outside(tmp_path, site):
    with open_folder(tmp_path / "run") as folder:
        folder.write_shard("a", [record(0) | {"site": site}])
    with pytest.raises(VitvisError, match="which is none"):
        read_records(tmp_path / "run")


def test_paths_stay_inside(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to("/etc")
    for bad in ("../x", "/etc/passwd", "link/passwd", "a\0", "", None, 3):
        assert inside(tmp_path / "run", bad) is None, bad
    assert inside(tmp_path / "run", "images/a.png") == tmp_path / "run/images/a.png"


def test_bombs_in_json_and_yaml_are_one_line(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "nested.json").write_text("[" * 60 + "]" * 60)
    (tmp_path / "digits.json").write_text("1" * 100_000)
    laughs = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (tmp_path / "laughs.yaml").write_text(laughs)
    (tmp_path / "deep.yaml").write_text("[" * 5000)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(VitvisError, match=path.name) as caught:
            (read_json if path.suffix == ".json" else read_yaml)(path)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("damage", ["half", "flip", "tail", "other", "empty"])
def test_a_checkpoint_is_whole_or_it_is_none(tmp_path, damage):
    path = tmp_path / "state" / "a.pt"
    content = {
        "step": 3,
        "image": torch.arange(3000.0),
        "rows": [{"x": 1.5, "name": "a"}],
        "nested": {"y": torch.ones(2)},
    }
    assert load_checkpoint(path) is None
    save_checkpoint(path, content)
    found = load_checkpoint(path)
    assert torch.equal(found["image"], content["image"]) and found["rows"] == content["rows"]
    data = path.read_bytes()
    path.write_bytes({
        "half": data[: len(data) // 2], "flip": data[:500] + bytes([data[500] ^ 1]) + data[501:], "tail": data[:-3],
        "other": b"\x89PNG" * 100, "empty": b"",
    }[damage])  # fmt: skip
    assert load_checkpoint(path) is None and not path.exists()


def test_a_checkpoint_can_run_nothing(tmp_path):
    import pickle

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    with pytest.raises(Exception):  # noqa: B017  nothing of ours writes such a file
        save_checkpoint(tmp_path / "a.pt", Payload())
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Payload()))
    assert load_checkpoint(tmp_path / "a.pt") is None and not (tmp_path / "ran").exists()


def test_a_stream_is_noted_and_whole(tmp_path):
    values = np.arange(10_000, dtype=np.float16).reshape(10, -1)
    with open_folder(tmp_path / "run") as folder:
        with folder.stream("maps/a.npy") as file:
            np.save(file, values)
        assert folder.is_whole("maps/a.npy")
        with pytest.raises(ZeroDivisionError), folder.stream("maps/b.npy"):
            1 / 0  # noqa: B018
    assert np.array_equal(np.load(tmp_path / "run/maps/a.npy"), values)
    assert not list((tmp_path / "run/maps").glob("*b.npy*"))
    flip(tmp_path / "run/maps/a.npy")
    assert Ledger(tmp_path / "run").damaged("maps/") == ["maps/a.npy"]


def test_names_that_are_no_text_survive(tmp_path):
    name = "caf\udce9"
    data = save_png(Image.new("RGB", (2, 2)), {"command": f"vitvis out={name}"})
    assert b"vitvis out=caf" in data
    with open_folder(tmp_path / name, details={"command": name}) as folder:
        folder.write_shard("a", [record(0)])
    assert read_manifest(tmp_path / name)["command"] == name and Ledger(tmp_path / name).damaged() == []


def test_a_ledger_that_is_damaged_itself_accuses_no_file(made):
    path = made / "SHA256SUMS"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1  # in a file's name: a file of that name was never there
    path.write_bytes(bytes(content))
    assert Ledger(made).damaged() == [] and Ledger(made).known == {}
