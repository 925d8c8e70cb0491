"""Settings of `python -m vitvis.judge`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config.core import setting

__all__ = ["JudgeSettings", "JudgeTrainerSettings"]


@dataclass
class JudgeTrainerSettings:
    """Where the work is done: Lightning's own launchers, several devices and nodes."""

    accelerator: str = setting("auto", "hardware", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    devices: Any = setting("auto", "processes on this machine, one a device: a number, a list of indices, or auto")
    num_nodes: int = setting(1, "machines", minimum=1)
    threads: int = setting(0, "CPU threads a process may use; 0: torch's own choice", minimum=0)
    progress: str = setting("auto", "auto: one line that moves on a terminal, lines elsewhere",
                            choices=("auto", "bar", "lines", "none"))  # fmt: skip


@dataclass
class JudgeSettings:
    """Score pictures by an eye that did not make them."""

    run: list[str] = setting([], "run folders of vitvis.fit; also as plain arguments")
    judge: list[str] = setting(["vitvis_resnet"], "models that judge: bundled ones or any of timm, none of them the "
                               "model whose pictures they judge")  # fmt: skip
    weights: list[str] = setting(
        ["hub"], "of each judge: hub (bundled or downloaded) or a file; one for all, or one each"
    )
    search: list[str] = setting([], "searches of the run's model: their photos are what the choice test chooses from; "
                                "of several, each run takes the one of its own model")  # fmt: skip
    data: str | None = setting(None, "photos: those of the search where they have moved; without a search, what "
                               "naturalness is compared with")  # fmt: skip
    split: str | None = setting(None, "part of data=: train, val, ...; val where there is one when null")
    photos: str = setting("auto", "what a judge sees of a photo: data (at its own resolution), thumbs (the thumbnails "
                          "of the search), or data where it is still there",
                          choices=("auto", "data", "thumbs"))  # fmt: skip
    sturdiness: bool = setting(True, "measure how much of its activation a picture keeps under small changes; needs "
                               "the run's own model")  # fmt: skip
    samples: int = setting(512, "photos drawn by chance that pictures are compared with", unit="photos", minimum=20)
    batch_size: int = setting(64, "images a forward pass", unit="images", minimum=1)
    workers: int | None = setting(None, "processes that decode images; chosen for the machine when null", minimum=0)
    seed: int = setting(
        0, "of the draws: photos by chance, other units' pictures, noise, order of a blind page", minimum=0
    )
    trainer: JudgeTrainerSettings = setting(JudgeTrainerSettings, "where the work is done")
    blind: str | None = setting(None, "write a page into this folder on which a person judges the runs, and stop")
    trials: int = setting(60, "questions of the blind page", unit="questions", minimum=1)
    answers: list[str] = setting([], "score files that blind pages have saved, and stop")
