"""Several hundred wrong inputs: each is one line and status 2 before anything is loaded or written."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vitvis
from vitvis.cli import COMMANDS, find_command
from vitvis.config.fields import iterate_settings, rules_of
from vitvis.config.values import members
from vitvis.errors import VitvisError

HUGE, LONG = "9" * 23, "9" * 5000
#: Settings that a command needs before anything else of it is looked at.
NEEDED = {
    "search": ["data=folder:photos"],
    "evaluate": ["data=parquet:photos.parquet"],
    "concepts": ["run=run"],
    "atlas": ["run"],
    "sweep": ["sweep.yaml"],
    "judge": ["run=run"],
    "runs": ["run"],
    "bundled.train": ["data.path=photos"],
    "bundled.evaluate": ["data=parquet:photos.parquet"],
    "bundled.export": ["checkpoint=photos.parquet"],
}

#: Command and what is typed, with a part of what is said.
WRONG: list[tuple[str, str, str]] = [
    # names
    ("fit", "stesp=3", "'steps'"),
    ("fit", "std=3", "'image.std'"),
    ("fit", "image.startt=x", "'image.start'"),
    ("fit", "steps.x=3", "one value"),
    ("fit", "augment.affine=3", "is a group"),
    ("fit", "--config=nowhere.yaml", "no such file"),
    ("fit", "--config=list.yaml", "holds no settings"),
    ("fit", "--config=bomb.yaml", "references"),
    ("fit", "--config=deep.yaml", "nested"),
    ("fit", "--config=twice.yaml", "stands twice"),
    ("fit", "--config=long.yaml", "can't be read"),
    ("fit", "--config=binary.yaml", "can't be read"),
    ("fit", "--config=photos", "no such file"),
    ("fit", "recipe=ghiasi", "ghiasi2022"),
    ("fit", "--dryrun", "'--dry-run'"),
    ("fit", "units", "key=value"),
    ("fit", "--from-png", "needs a file"),
    ("fit", "--from-png=nowhere.png", "no such file"),
    ("fit", "--from-png=photos.parquet", "can't be read"),
    ("fit", "{a", "key=value"),
    ("fit", "out=${nothing}", "no setting"),
    ("fit", "out=${oc.env:VITVIS_NO_SUCH_THING}", "no variable"),
    # numbers
    *[("fit", f"{name}={value}", name)
      for name in ("image.std", "image.decay", "augment.affine.zoom", "augment.affine.shift", "augment.noise.start",
                   "optim.lr", "regularize.tv", "augment.color.log_std", "image.contrast", "objective.share",
                   "regularize.extra.mine", "augment.kornia.RandomGrayscale.p")
      for value in ("inf", "-inf", "nan", ".inf", ".nan", "1e999")],
    ("fit", "image.decay=1e30", "at most 10"),
    ("fit", "augment.color.log_std=1e9", "at most 10"),
    ("fit", "optim.lr=1e38", "at most"),
    ("fit", "regularize.l2=-1", "at least 0"),
    ("fit", "objective.share=1.5", "at most 1"),
    ("fit", "augment.affine.zoom=0.5", "at least 1"),
    ("fit", "image.std=wide", "a number"),
    ("fit", "steps=true", "whole number"),
    ("fit", "steps=2.5", "whole number"),
    ("fit", "steps=1e400", "whole number"),
    ("fit", "steps=null", "whole number"),
    *[("fit", f"{name}={value}", name)
      for name in ("steps", "copies", "chunk", "seeds", "strips", "image_size", "augment.shift.pixels",
                   "trainer.threads", "trainer.num_nodes", "trainer.checkpoint_every", "logger.every")
      for value in (HUGE, LONG, "-5", "1.5", "many", "1e30")],
    ("fit", "copies=99999999999", "at most 1,024"),
    ("fit", "image_size=1", "8 to 8192"),
    ("fit", "image_size=64x", "image_size"),
    ("fit", "image_size=64x64x64", "image_size"),
    ("fit", "image_size=[64,0]", "image_size"),
    ("search", f"batch_size={HUGE}", "whole number"),
    ("search", "batch_size=0", "at least 1"),
    ("search", "k=0", "at least 1"),
    ("search", "workers=-1", "at least 0"),
    ("search", "limit=0", "at least 1"),
    ("evaluate", "bootstrap=1000000000", "at most 100,000"),
    ("evaluate", "bootstrap=1e9", "at most 100,000"),
    ("evaluate", "crop_pct=0", "at least 0.1"),
    ("evaluate", "seed=4294967296", "at most 4,294,967,295"),
    ("atlas", "max_mb=nan", "finite"),
    ("atlas", "tile=0", "at least 16"),
    ("sweep", "workers=0", "at least 1"),
    ("sweep", "poll_s=inf", "finite"),
    ("concepts", "k=1", "at least 2"),
    ("concepts", "words=0", "at least 1"),
    ("findings", "share=0", "above 0"),
    ("findings", "share=nan", "finite"),
    ("findings", "units=0", "at least 1"),
    ("judge", "batch_size=1e12", "at most"),
    ("bundled.train", "epochs=inf", "finite"),
    ("bundled.train", "seed=-1", "at least 0"),
    ("bundled.evaluate", "batch=0", "at least 1"),
    # lists
    ("fit", "seeds=[]", "at least 1"),
    ("fit", "seeds=[0,0]", "stands twice"),
    ("fit", "seeds=[0,a]", "seeds[1]"),
    ("fit", "units=[]", "at least 1"),
    *[("fit", f"optim.betas={value}", "optim.betas")
      for value in ("[]", "[0.5]", "[2,3]", "[nan,0.5]", "[0.1,0.2,0.3]", "[0.5,1]", "[-0.1,0.5]", "0.5", "null",
                    "[a,b]")],
    ("fit", "logger.kind=[]", "at least 1"),
    ("fit", "logger.kind=[csv,csv]", "stands twice"),
    ("fit", "logger.kind=wandbb", "'wandb'"),
    ("evaluate", "models=[]", "at least 1"),
    ("evaluate", "models=[a,a]", "twice"),
    ("evaluate", "models=[a,b] weights=[hub,none,hub]", "weights: 3"),
    ("evaluate", "radii=[]", "at least 1"),
    ("evaluate", "radii=[inf]", "finite"),
    ("evaluate", "radii=[0]", "above 0"),
    ("evaluate", "radii=[4,4]", "stands twice"),
    ("evaluate", "variants=[]", "at least 1"),
    ("evaluate", "variants=[ful]", "'full'"),
    ("evaluate", "fill=[]", "at least 1"),
    ("evaluate", "fill=blak", "'black'"),
    ("evaluate", "box_sizes=[0.4,0.1]", "smaller share first"),
    ("evaluate", "box_sizes=[0.4]", "takes 2"),
    ("evaluate", "probe=mask", "'masks'"),
    ("findings", "only=[]", "at least 1"),
    ("findings", "only=[kind]", "'kinds'"),
    ("judge", "judge=[]", "at least 1"),
    ("judge", "judge=[a,a]", "stands twice"),
    ("bundled.train", "data.crop_scale=[1]", "takes 2"),
    # tokens and boxes
    *[(command, f"{group}tokens={value}", f"{group}tokens=")
      for command, group in (("fit", "objective."), ("search", ""))
      for value in ("1.5", "patchez", "[1]", "[1,2]", "[1,2,3]", "[2,2,1,1]", "[0,0,2,2,2]", "[-1,0,2,2]", "[a,b,c,d]",
                    "[0,0,1e9,2]", HUGE, "true", "[]", "{a: 1}")],
    # hardware
    *[("fit", f"trainer.devices={value}", "trainer.devices")
      for value in ("0", "-2", "1.5", "[a]", "[]", "[0,0]", "[-1]", "many", "null", HUGE)],
    ("fit", "trainer.accelerator=tpu", "auto, cpu"),
    ("fit", "trainer.precision=16", "bf16-mixed"),
    ("evaluate", "trainer.devices=[a]", "trainer.devices"),
    # paths
    *[(command, f"out={value}", "out=")
      for command in ("fit", "search", "evaluate", "findings", "atlas", "sweep", "bundled.train")
      for value in ("/etc/passwd", "photos.parquet", "photos.parquet/inside", "/proc/x", "/sys/x/y", "x" * 256, "a\0b",
                    "y/" * 3000)],
    ("fit", "weights=nowhere.safetensors", "no such file"),
    ("fit", "out=~nobody_of_that_name/x", "there is no user nobody_of_that_name"),
    ("fit", "weights=/no/where", "no such file"),
    ("fit", "image.start=nowhere.png", "no such file"),
    ("fit", "image.start=photos", "is a folder"),
    ("fit", "image=phase image.magnitude=/nonexistent", "no such folder"),
    ("fit", "image.magnitude=photos", "means nothing to image.kind=fourier"),
    ("search", "fit=nowhere", "no such folder"),
    ("search", "classes=nowhere.tsv", "no such file"),
    ("search", "strips=some", "all, none"),
    ("search", "sample=10", "too small"),
    ("evaluate", "label_file=nowhere", "no such file"),
    ("evaluate", "labels=nowhere.json", "no such file"),
    ("concepts", "vocabulary=nowhere.txt", "no such file"),
    ("concepts", "run=nowhere", "no such folder"),
    ("concepts", "fit=photos.parquet", "is no folder"),
    ("atlas", "nowhere", "no such folder"),
    ("atlas", "publish=s3://bucket/x", "hf:USER/NAME"),
    ("atlas", "publish=photos.parquet", "is no folder"),
    ("atlas", "publish=/proc/x", "nothing can be written"),
    ("atlas", "run", "stands twice"),
    ("judge", "run=[run,run]", "stands twice"),
    ("concepts", "run=[run,run]", "stands twice"),
    ("runs", "run", "stands twice"),
    ("search", "ablate=4 thumbs=none", "thumbs=none leaves none"),
    ("sweep", "search=nowhere", "no such folder"),
    ("findings", "notes=nowhere.yaml", "no such file"),
    ("findings", "publish=/etc/passwd", "is no folder"),
    ("findings", "clip_weights=/nonexistent", "no such file"),
    ("bundled.train", "init=nowhere.ckpt", "no such file"),
    # settings of settings
    ("fit", "units=blocks.4.mlp", "no unit named"),
    ("search", "units=[blocks.4.mlp:1,blocks.5]", "'blocks.5': no unit named"),
    ("findings", "fit.units=x", "'x': no unit named"),
    ("findings", "clip=foo", "open_clip"),
    ("findings", "evaluate.foo=1", "evaluate: unknown setting 'foo'"),
    ("findings", "fit.stesp=1", "fit: unknown setting 'stesp'"),
    ("findings", "fit.steps=0", "fit: steps=0"),
    ("findings", "paper.optim.lr=inf", "finite"),
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the commands below may name; the working folder."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "run"):
        (tmp_path / folder).mkdir()
    (tmp_path / "photos.parquet").write_bytes(b"")
    (tmp_path / "sweep.yaml").write_text("method: grid\n")
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    (tmp_path / "bomb.yaml").write_text("a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n")
    (tmp_path / "deep.yaml").write_text("[" * 5000)
    (tmp_path / "twice.yaml").write_text("steps: 1\nsteps: 2\n")
    (tmp_path / "long.yaml").write_text(f"steps: {LONG}\n")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    return tmp_path


def unreached(settings: object, options: object) -> int:
    raise AssertionError(f"was taken: {settings}")


@pytest.mark.parametrize(("name", "typed", "said"), WRONG, ids=lambda value: str(value)[:50])
def test_wrong_input_is_one_line(
    name: str, typed: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(place.rglob("*"))
    command = dataclasses.replace(find_command(name), action=unreached)
    words = [typed] if "{" in typed else typed.split(" ")
    assert command.main([*NEEDED.get(name, []), *words]) == 2
    out, error = capsys.readouterr()
    assert not out and error.count("\n") == 1 and error.startswith("vitvis: ")
    assert said in error and len(error) < 500, error
    assert sorted(place.rglob("*")) == before


def numbers() -> Iterator[tuple[str, str]]:
    """Every setting of every command that takes numbers."""
    for command in COMMANDS:
        for name, item, hint in iterate_settings(find_command(command).settings):
            if {int, float, list[int], list[float]} & set(members(hint)) and rules_of(item).parser is None:
                yield command, name


def test_every_number_has_a_range() -> None:
    open_ends = []
    for command, name in numbers():
        (rules,) = (
            rules_of(item) for other, item, _ in iterate_settings(find_command(command).settings) if other == name
        )
        low = rules.minimum if rules.minimum is not None else rules.above
        high = rules.maximum if rules.maximum is not None else rules.below
        if low is None or high is None or not math.isfinite(low) or not math.isfinite(high):
            open_ends.append(f"{command}: {name}")
    assert not open_ends


@pytest.mark.parametrize(("command", "name"), numbers(), ids=str)
@pytest.mark.parametrize("value", ["nan", "inf", "1e300", LONG])
def test_no_number_is_too_large_to_be_refused(command: str, name: str, value: str) -> None:
    with pytest.raises(VitvisError, match=name.replace(".", "|")):
        find_command(command).read([f"{name}={value}"])


def test_python_is_checked_as_the_command_line_is() -> None:
    for wrong in ({"seeds": []}, {"steps": float("nan")}, {"steps": 10**5000}, {"optim": {"betas": [2, 3]}}):
        with pytest.raises(VitvisError):
            vitvis.fit.run(wrong)
    settings = vitvis.FitSettings(steps=0)
    with pytest.raises(VitvisError, match="steps=0"):
        vitvis.fit.run(settings)


def test_scalars_of_numpy_and_paths_are_numbers_and_texts() -> None:
    read = vitvis.fit.COMMAND.settings
    from vitvis.config import merge

    settings = merge(read, {"steps": np.int64(7), "optim.lr": np.float32(0.5), "out": Path("a") / "b"})
    assert (settings.steps, settings.optim.lr, settings.out) == (7, 0.5, "a/b")


def test_the_home_folder_is_meant_wherever_a_path_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    read = {name: find_command(name).read for name in ("fit", "search", "evaluate", "atlas", "findings")}
    assert read["fit"](["out=~/a", "weights=~/w.pth"])[0].out == f"{tmp_path}/a"
    assert read["fit"](["units=[blocks.4.block@~/d.npy:0,blocks.1.mlp:~8]"])[0].units == [
        f"blocks.4.block@{tmp_path}/d.npy:0", "blocks.1.mlp:~8"]  # fmt: skip
    assert (
        read["search"](["data=imagefolder:~/photos", "regions=masks:~/m"])[0].data == f"imagefolder:{tmp_path}/photos"
    )
    assert read["evaluate"](["weights=[~/a.pth,hub]", "models=[a,b]"])[0].weights == [f"{tmp_path}/a.pth", "hub"]
    assert read["atlas"](["~/run"])[0].runs == [f"{tmp_path}/run"]
    assert vitvis.config.merge(vitvis.FitSettings, {"image": {"start": "~/x.png"}}).image.start == f"{tmp_path}/x.png"
