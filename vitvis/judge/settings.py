"""Settings of `python -m vitvis.judge`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting
from vitvis.config.sizes import parse_image_size
from vitvis.errors import VitvisError
from vitvis.launch.settings import LaunchSettings, PlaceSettings, check_shard
from vitvis.launch.shards import parse_shard

__all__ = ["JudgeSettings"]


@dataclass
class JudgeSettings:
    """Score pictures by an eye that did not make them."""

    run: list[str] = setting([], path="folder", unique=True)
    """Run folders of vitvis.fit; also as plain arguments."""
    judge: list[str] = setting(["vitvis_resnet"], length=(1, 100), unique=True)
    """Models that judge: bundled ones or any of timm, none of them the model whose pictures they judge."""
    weights: list[str] = setting(["hub"], length=(1, 100), path="weights")
    """Of each judge: hub (bundled or downloaded) or a file; one for all, or one each."""
    image_size: int | list[int] | None = setting(None, unit="px", parser=parse_image_size)
    """Height and width at which judges look; each one's own when null."""
    search: list[str] = setting([], path="folder")
    """Searches of the run's model: their photos are what the choice test chooses from; of several, each run takes the
    one of its own model."""
    data: str | None = setting(None, path="any")
    """Photos: those of the search where they have moved; without a search, what naturalness is compared with."""
    split: str | None = setting(None)
    """Part of data=: train, val, ...; val where there is one when null."""
    photos: str = setting("auto", choices=("auto", "data", "thumbs"))
    """What a judge sees of a photo: data (at its own resolution), thumbs (the thumbnails of the search), or data where
    it is still there."""
    sturdiness: int | None = setting(128, unit="pictures", minimum=0, maximum=limits.COUNT)
    """Pictures of each site whose activation is read again under small changes, those with the smallest hashes of
    their addresses; all of them when null. It needs the run's own model, and is most of the work."""
    samples: int = setting(512, unit="photos", minimum=20, maximum=limits.COUNT)
    """Photos drawn by chance that pictures are compared with."""
    batch_size: int = setting(64, unit="images", minimum=1, maximum=limits.COUNT)
    """Images a forward pass."""
    workers: int | None = setting(None, minimum=0, maximum=limits.PROCESSES)
    """Processes that decode images; chosen for the machine when null."""
    seed: int = setting(0, minimum=0, maximum=limits.SEED)
    """Of the draws: photos by chance, other units' pictures, noise, order of a blind page."""
    trainer: PlaceSettings = setting(PlaceSettings)
    """Where the work is done."""
    shard: str | None = setting(None, parser=parse_shard)
    """Look at one share of the photos and pictures, `I/N` with I from 0 to N - 1; any number of such processes may work
    on the same runs, and the last to end scores them."""
    finish: bool = setting(False)
    """Score what shards have looked at, and refuse if any part is missing."""
    launch: LaunchSettings = setting(LaunchSettings)
    """Hand the work to a scheduler as shards, and return."""
    blind: str | None = setting(None, path="out")
    """Write a page into this folder on which a person judges the runs, and stop."""
    trials: int = setting(60, unit="questions", minimum=1, maximum=10000)
    """Questions of the blind page."""
    answers: list[str] = setting([], path="file")
    """Score files that blind pages have saved, and stop."""

    def __post_init__(self) -> None:
        check_shard(self.shard, self.finish, self.trainer, self.launch)
        page = "blind" if self.blind is not None else "answers" if self.answers else ""
        if page and (self.shard or self.finish):
            raise VitvisError(f"{page}=: is one process's work; leave shard= and finish= out")
