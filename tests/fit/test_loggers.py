"""Loggers by one setting, and W&B that never asks."""

from pathlib import Path

import pytest

from vitvis.fit import run as fit
from vitvis.launch.loggers import build_loggers
from vitvis.launch.settings import LoggerSettings
from vitvis.runs.wandb_mode import wandb_mode

SMALL = ["model=test_vit", "weights=none", "image_size=64", "units=blocks.0.mlp:0-1", "steps=4", "copies=1",
         "trainer.accelerator=cpu", "trainer.progress=none", "regularize.tv=0.01", "logger.every=1"]  # fmt: skip


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """Return a user without a key, without a home, without a mode."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("asked", "env", "key", "mode"),
    [
        ("auto", None, False, "offline"),
        ("auto", None, True, "online"),
        ("online", None, False, "offline"),
        ("online", None, True, "online"),
        ("offline", "online", True, "offline"),
        ("auto", "offline", True, "offline"),
        ("auto", "disabled", True, "disabled"),
        ("disabled", "online", True, "disabled"),
    ],
)
def test_the_mode_of_wandb_needs_no_answer(nobody, monkeypatch, asked, env, key, mode):
    if env:
        monkeypatch.setenv("WANDB_MODE", env)
    if key:
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert wandb_mode(asked) == mode


def test_a_key_in_netrc_counts(nobody, tmp_path):
    assert wandb_mode() == "offline"
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password " + "0" * 40 + "\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert wandb_mode() == "online"


def test_csv_and_none_need_no_logger(tmp_path):
    assert build_loggers(LoggerSettings(kind=["csv"]), tmp_path, {}) == []
    assert build_loggers(LoggerSettings(kind=["wandb"], mode="disabled"), tmp_path, {}) == []


def test_none_writes_no_curves(tmp_path):
    fit([*SMALL, "logger=none"], out=str(tmp_path / "run"))
    assert not (tmp_path / "run/metrics.csv").exists() and (tmp_path / "run/summary.json").exists()


def test_csv_holds_every_term_of_the_loss(tmp_path):
    import csv

    fit(SMALL, out=str(tmp_path / "run"))
    with open(tmp_path / "run/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
    for row in rows:  # the loss is minus the activation, plus its terms
        assert float(row["loss"]) == pytest.approx(float(row["loss/tv"]) - float(row["activation"]), abs=1e-4)
    assert float(rows[-1]["summary/units"]) == 2


@pytest.mark.slow
def test_wandb_offline_keeps_sheet_images_and_curves(nobody, tmp_path):
    fit([*SMALL, "logger=wandb"], out=str(tmp_path / "run"))
    media = {path.name.split("_")[0] for path in (tmp_path / "run/wandb").rglob("media/images/**/*.png")}
    (log,) = Path(tmp_path / "run/wandb").rglob("run-*.wandb")
    content = log.read_bytes()
    for key in (b"loss/tv", b"activation", b"summary/score", b"sheet"):
        assert key in content, key
    assert "sheet" in media


@pytest.mark.slow
def test_tensorboard_gets_curves_and_pictures(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit([*SMALL, "logger=tensorboard"], out=str(tmp_path / "run"))
    events = EventAccumulator(str(tmp_path / "run/tensorboard"), size_guidance={"images": 0}).Reload()
    assert {"loss", "loss/tv", "activation", "summary/score"} <= set(events.Tags()["scalars"])
    assert "sheet" in events.Tags()["images"]
