"""The looking itself: batches of photos and pictures through models, shared out over processes, kept as they are done.

A batch is a job with a file of its own. Jobs and their files are the same for any number of processes, and those that
are done and whole are skipped: a killed judge goes on where it was.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from vitvis.backbones import Site, Unit
from vitvis.backbones.backbone import Backbone
from vitvis.backbones.eye import Eye
from vitvis.data.photo import UnusableImage
from vitvis.judge.album import Album, as_tensor
from vitvis.judge.naturalness import clipped, radial_spectrum
from vitvis.judge.seam import seam
from vitvis.judge.sturdiness import sturdiness
from vitvis.launch.cores import count_cores
from vitvis.launch.progress import Progress
from vitvis.launch.shards import deal
from vitvis.runs import atomic_write

__all__ = ["Job", "Passes", "PhotoJob", "PictureJob", "is_whole", "read_job"]

Arrays = dict[str, np.ndarray]


class Job(Protocol):
    """A batch: what is to be decoded, what is to be computed of it, and the file that keeps the answer."""

    path: Path

    def load(self) -> tuple[Tensor, list[int]]:
        """Decode; return images `[B, 3, H, W]` in [0, 1] and the places of those that could be read."""
        ...

    def see(self, images: Tensor, places: list[int]) -> Arrays:
        """Compute."""
        ...


@dataclass
class PhotoJob:
    """An eye looks at some photos, through the judge's own transform or at thumbnails."""

    path: Path
    eye: Eye
    album: Album
    indices: Sequence[int]

    def load(self) -> tuple[Tensor, list[int]]:
        """Decode the photos; those that can't be read are left out."""
        transform = self.eye.backbone.transform() if self.album.source is not None else as_tensor
        images, places = [], []
        for place, index in enumerate(self.indices):
            try:
                images.append(transform(self.album.load(index)))
            except UnusableImage:
                continue
            places.append(place)
        return torch.stack(images) if images else torch.zeros(0, 3, 1, 1), places

    def see(self, images: Tensor, places: list[int]) -> Arrays:
        """Return `index` `[B]` and `features` `[B, D]`."""
        index = np.asarray([self.indices[place] for place in places], np.int64)
        if not places:
            return {"index": index, "features": np.zeros((0, sum(self.eye.widths)), np.float32)}
        return {"index": index, "features": self.eye.look(images).features.cpu().numpy()}


@dataclass
class PictureJob:
    """Eyes look at some pictures of one site, and the run's own model at changed ones of the places in `sturdy`."""

    path: Path
    eyes: Sequence[Eye]
    files: Sequence[Path]
    units: Sequence[Unit] | None
    site: Site | None
    grid: tuple[int, int] | None
    backbone: Backbone | None
    tokens: Any = "patches"
    sturdy: Sequence[int] = ()

    def load(self) -> tuple[Tensor, list[int]]:
        """Decode the pictures."""
        from PIL import Image

        return torch.stack([as_tensor(Image.open(file)) for file in self.files]), list(range(len(self.files)))

    def see(self, images: Tensor, places: list[int]) -> Arrays:
        """Return features and logits by eye, and the measures that need no eye, a row a picture."""
        found: dict[str, Tensor] = {"clipped": clipped(images), "spectrum": radial_spectrum(images)}
        if self.grid is not None and (self.backbone is None or self.backbone.channels in (1, 3)):  # no tiles
            found["seam"] = seam(images, self.grid)
        for eye in self.eyes:
            look = eye.look(images)
            found[f"features/{eye.name}"] = look.features
            if look.logits is not None:
                found[f"logits/{eye.name}"] = look.logits
        if self.backbone is not None and self.site is not None and self.units is not None and self.sturdy:
            chosen = list(self.sturdy)
            units = [self.units[place] for place in chosen]
            seen = torch.stack([_as_made(images[place], self.files[place], self.backbone.channels) for place in chosen])
            kept = sturdiness(self.backbone, seen, self.site, units, self.tokens)
            for name, value in kept.items():
                found[f"kept/{name}"] = torch.full((len(images),), torch.nan).index_copy(
                    0, torch.tensor(chosen), value.cpu()
                )
        return {name: value.float().cpu().numpy() for name, value in found.items()}


def _as_made(picture: Tensor, file: Path, channels: int) -> Tensor:
    """Return a picture as the model takes it, `[C, H, W]`: of many bands, those that lie beside the picture."""
    if channels == 3:
        return picture
    if channels == 1:
        return picture[:1]
    return torch.from_numpy(np.load(file.with_suffix(".npy"), allow_pickle=False)).float().to(picture.device)


def read_job(job: Job) -> Arrays:
    """Return what a finished job has left."""
    with np.load(job.path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def is_whole(path: Path) -> bool:
    """Say whether a job's file is there and every part of it has its checksum."""
    try:
        with zipfile.ZipFile(path) as kept:
            return kept.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


class _Decoded(Dataset[tuple[int, Tensor, list[int]]]):
    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, place: int) -> tuple[int, Tensor, list[int]]:
        images, places = self.jobs[place].load()
        return place, images, places


class Passes(pl.LightningModule):
    """Does this rank's share of jobs under a Trainer: `trainer.predict(Passes(...), return_predictions=False)`.

    Args:
        jobs: All jobs, the same on every rank.
        models: What has to be on the device.
        workers: Processes that decode.
        progress: `auto`, `bar`, `lines` or `none`.
    """

    def __init__(self, jobs: Sequence[Job], models: Sequence[nn.Module], *, workers: int, progress: str) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.jobs, self.workers, self.style = list(jobs), workers, progress
        self._left: list[Job] = []
        self._progress: Progress | None = None

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the loader of this rank's jobs that are not done yet."""
        mine = deal(self.jobs, self.trainer.global_rank, self.trainer.world_size)
        self._left = [job for job in mine if not is_whole(job.path)]
        style = "none" if self.trainer.global_rank else self.style
        self._progress = Progress(len(mine), "batches", style, done=len(mine) - len(self._left))
        return DataLoader(_Decoded(self._left), batch_size=None, num_workers=self.workers if len(self._left) > 1 else 0)

    def predict_step(self, batch: tuple[int, Tensor, list[int]], batch_idx: int) -> None:
        """Do one job and keep its answer."""
        place, images, places = batch
        job = self._left[int(place)]
        buffer = io.BytesIO()
        arrays: Mapping[str, np.ndarray] = job.see(images.to(self.device), [int(item) for item in places])
        np.savez(buffer, allow_pickle=False, **arrays)
        atomic_write(job.path, buffer.getvalue())
        assert self._progress is not None
        self._progress.advance(1)

    def on_predict_end(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.close()

    def on_exception(self, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self.on_predict_end()


def decoding_processes(workers: int | None, on_gpu: bool) -> int:
    """Return how many processes decode: what was asked for, or what suits the machine."""
    if workers is not None:
        return workers
    return min(8, count_cores()) if on_gpu else 0
