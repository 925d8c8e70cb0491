"""`--dry-run`: what a fit would do, how long it would take, and what it would leave; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from vitvis.fit.chunks import Chunk, without
from vitvis.fit.memory import saved_bytes
from vitvis.fit.remembered import device_name, recall, remember, speed_key
from vitvis.fit.timing import step_seconds
from vitvis.runs.records import read_keys

if TYPE_CHECKING:
    from vitvis.fit.engine import Fit

__all__ = ["Plan", "SiteCost", "interpolate", "make_plan"]

#: Of 64 px and of 224 px images made so far, text chunks left out; white noise has 3.
PNG_BYTES_A_PIXEL = 2.7
#: Text chunks of a PNG, and a row of records.
BYTES_AN_IMAGE = 4096
#: A step slower than this is timed with one image and scaled; seconds.
SLOW = 1.0
#: Sites that are timed; those between are interpolated by depth.
TIMED = 3


@dataclass(frozen=True)
class SiteCost:
    """One site of a plan.

    Attributes:
        name: of the site.
        images: that are missing.
        chunks: they fall into.
        seconds: of one step of one image; measured or interpolated.
    """

    name: str
    images: int
    chunks: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a fit would do; times are seconds, sizes bytes."""

    title: str
    where: str
    path: str
    units: int
    seeds: int
    done: int
    sites: tuple[SiteCost, ...]
    steps: int
    copies: int
    chunk: int
    processes: int
    setup: float
    source: str
    backward: int
    disk: int
    hint: str = ""

    @property
    def images(self) -> int:
        """Images that are missing."""
        return sum(site.images for site in self.sites)

    @property
    def seconds(self) -> float:
        """Estimated seconds of the whole run, of all its processes side by side."""
        steps = sum(site.seconds * site.images for site in self.sites) * self.steps
        # Each chunk is measured before and after on clean images, which is about a step.
        measuring = sum(site.seconds * site.images for site in self.sites)
        return self.setup + (steps + measuring) / self.processes

    def text(self) -> str:
        """Return the plan for people."""
        chunks = sum(site.chunks for site in self.sites)
        lines = [
            f"model   {self.title}",
            f"on      {self.where}",
            f"units   {self.units:,} at {len(self.sites)} sites x {self.seeds} {_plural('seed', self.seeds)} = "
            f"{self.images + self.done:,} images; {self.done:,} are there, {self.images:,} to make",
            f"work    {chunks:,} {_plural('chunk', chunks)} of up to {self.chunk} images, "
            f"{self.steps} steps of {self.copies} {_plural('copy', self.copies)}; about {_bytes(self.backward)} for "
            "the backward pass",
        ]
        if self.images:
            rate = self.images / self.seconds * 3600
            lines += [
                "",
                f"  {'site':<28}{'images':>8}{'chunks':>8}{'ms a step and image':>22}{'time':>10}",
                *(
                    f"  {site.name:<28}{site.images:>8,}{site.chunks:>8,}{site.seconds * 1e3:>22.1f}"
                    f"{clock(site.seconds * site.images * self.steps / self.processes):>10}"
                    for site in self.sites
                    if site.images
                ),
                "",
                f"time    about {clock(self.seconds)} ({rate:,.0f} images/hour, {clock(self.setup)} of it to start; "
                f"{self.source})",
                f"disk    about {_bytes(self.disk)}",
            ]
        lines += [f"hint    {self.hint}"] if self.hint and self.images else []
        return "\n".join([*lines, f"folder  {self.path} (nothing was written)"])


def make_plan(fit: Fit, setup: float = 0.0) -> Plan:
    """Return what a fit would do.

    Args:
        fit: made from settings, not run.
        setup: seconds that it took until now.
    """
    settings, backbone = fit.settings, fit.backbone
    done = read_keys(fit.path, ("address", "seed")) if fit.path.is_dir() else set()
    chunks = [chunk for chunk in (without(chunk, done) for chunk in fit.plan()) if chunk.units]
    by_site = {name: list(group) for name, group in groupby(chunks, key=lambda chunk: chunk.site.name)}
    seconds, source = _time_sites(fit, [max(group, key=len) for group in by_site.values()])
    sites = tuple(
        SiteCost(name, sum(len(chunk) for chunk in group), len(group), seconds[name]) for name, group in by_site.items()
    )
    images = sum(site.images for site in sites)
    total = len(fit.units) * len(settings.seeds)
    rows, columns = backbone.image_size
    backward = 0
    if chunks:
        deepest = max(chunks, key=lambda chunk: chunk.site.depth)
        backward = saved_bytes(backbone, deepest.site, fit.device) * settings.copies * max(len(c) for c in chunks)
    return Plan(
        title=f"{backbone.name} ({backbone.weights} weights {backbone.weights_id}), {rows} x {columns} px",
        where=f"{device_name(fit.device)}, {fit.precision}, {fit.processes} {_plural('process', fit.processes)}",
        path=str(fit.path),
        units=len(fit.units),
        seeds=len(settings.seeds),
        done=total - images,
        sites=sites,
        steps=settings.steps,
        copies=settings.copies,
        chunk=max((len(chunk) for chunk in chunks), default=fit.chunk_size),
        processes=fit.processes,
        setup=setup,
        source=source,
        backward=backward,
        disk=int(images * (rows * columns * PNG_BYTES_A_PIXEL * 2 + BYTES_AN_IMAGE)),  # once more in sheet and atlas
        hint=_hint(fit.device, fit.precision),
    )


def _hint(device: torch.device, precision: str) -> str:
    """Say what would be faster on this machine."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    able = any(getattr(torch.cpu, name, lambda: False)() for name in names)
    if device.type != "cpu" or precision != "32-true" or not able:
        return ""
    return (
        "this CPU multiplies in bfloat16 by itself: trainer.precision=bf16-mixed takes about 0.6 of the time; "
        "images come out slightly different"
    )


def _time_sites(fit: Fit, chunks: Sequence[Chunk]) -> tuple[dict[str, float], str]:
    """Return seconds of a step and image by site, and where they come from."""
    if not chunks:
        return {}, ""
    by_depth = sorted(chunks, key=lambda chunk: chunk.site.depth)
    last = len(by_depth) - 1
    chosen = {by_depth[round(i * last / (TIMED - 1))].site.name: by_depth[round(i * last / (TIMED - 1))] for i in
              range(TIMED)}  # fmt: skip
    known, measured = [], []
    for name, chunk in chosen.items():
        key = speed_key(
            fit.backbone.name, name, fit.backbone.image_size, fit.settings.copies, fit.device, fit.precision
        )
        found = (recall(key) or {}).get("seconds")
        if not isinstance(found, float) or found * len(chunk) <= SLOW:  # quick to measure: as the machine is now
            found = _time_chunk(fit, chunk)
            remember(key, {"seconds": found})
            measured.append(name)
        known.append((chunk.site.depth, found))
    seconds = {chunk.site.name: interpolate(known, chunk.site.depth) for chunk in chunks}
    real = f"real steps at {', '.join(measured)}" if measured else "as measured on this machine before"
    return seconds, real


def _time_chunk(fit: Fit, chunk: Chunk) -> float:
    """Return seconds of a step and image, from real steps."""
    single = Chunk(chunk.site, chunk.units[:1], chunk.seeds[:1])
    args = (fit.settings, fit.device, fit.precision)
    first = step_seconds(fit.backbone, single, *args, steps=1)
    if len(chunk) == 1 or first * len(chunk) > SLOW:
        return first
    return step_seconds(fit.backbone, chunk, *args, steps=3) / len(chunk)


def interpolate(known: Sequence[tuple[float, float]], x: float) -> float:
    """Return y at x on the line through known points `(x, y)`, sorted by x; the nearest one outside of them."""
    import numpy as np

    return float(np.interp(x, [point[0] for point in known], [point[1] for point in known]))


def clock(seconds: float) -> str:
    """Return seconds as `12 s`, `3:05` (minutes) or `2:03:05`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}es" if word.endswith("s") else f"{word}s"
