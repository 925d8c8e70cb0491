"""`--dry-run`: how long a fit would take, and what it would leave; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from vitvis.fit.chunks import Chunk
from vitvis.fit.plan import PNG_BYTES_A_PIXEL, Plan
from vitvis.fit.remembered import device_name, recall, remember, speed_key
from vitvis.fit.timing import step_seconds
from vitvis.launch.isolation import own_world

__all__ = ["Cost", "SiteCost", "clock", "estimate", "interpolate"]

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
class Cost:
    """What a plan costs; times are seconds, sizes bytes.

    Attributes:
        plan: itself.
        sites: those with something to do.
        setup: seconds before the first step.
        source: where the times come from.
        forks: processes that are started unasked on a CPU.
    """

    plan: Plan
    sites: tuple[SiteCost, ...]
    setup: float
    source: str
    forks: int = 1

    @property
    def images(self) -> int:
        """Images that are missing."""
        return sum(site.images for site in self.sites)

    @property
    def processes(self) -> int:
        """How many processes share the work."""
        devices = self.plan.trainer["devices"]
        return self.forks * (len(devices) if isinstance(devices, list) else devices) * self.plan.trainer["num_nodes"]

    @property
    def work(self) -> float:
        """Estimated seconds of one process that does it all."""
        # Each chunk is measured before and after on clean images, which is about a step.
        return sum(site.seconds * site.images for site in self.sites) * (self.plan.settings.steps + 1)

    @property
    def seconds(self) -> float:
        """Estimated seconds of the whole run, of all its processes side by side."""
        return self.setup + self.work / self.processes

    @property
    def disk(self) -> int:
        """Bytes of the images, once more in sheet and atlas."""
        rows, columns = self.plan.backbone.image_size
        return int(self.images * (rows * columns * PNG_BYTES_A_PIXEL * 2 + BYTES_AN_IMAGE))

    def text(self) -> str:
        """Return the plan for people."""
        plan, settings, backbone = self.plan, self.plan.settings, self.plan.backbone
        rows, columns = backbone.image_size
        seeds, chunks = len(plan.seeds), sum(site.chunks for site in self.sites)
        asked = len(plan.units) * seeds
        size = max((len(chunk) for chunk in plan.missing()), default=plan.chunk_size)
        names = dict.fromkeys(unit.site for unit in plan.units)
        lines = [
            f"model   {backbone.name} ({backbone.weights} weights {backbone.weights_id}), {rows} x {columns} px",
            f"on      {device_name(plan.device)}, {plan.precision}{f' ({plan.why})' if plan.why else ''}, "
            f"{self.processes} {_plural('process', self.processes)}",
            f"units   {len(plan.units):,} at {len(names)} {_plural('site', len(names))} x {seeds} "
            f"{_plural('seed', seeds)} = {asked:,} images; {asked - self.images:,} are there, {self.images:,} to make",
            f"work    {chunks:,} {_plural('chunk', chunks)} of up to {size} images, {settings.steps} steps of "
            f"{settings.copies} {_plural('copy', settings.copies)}; a step needs about {_bytes(plan.memory)} of memory",
        ]
        if self.images:
            rate = self.images / self.seconds * 3600
            lines += [
                "",
                f"  {'site':<28}{'images':>8}{'chunks':>8}{'ms a step and image':>22}{'time':>10}",
                *(
                    f"  {site.name:<28}{site.images:>8,}{site.chunks:>8,}{site.seconds * 1e3:>22.1f}"
                    f"{clock(site.seconds * site.images * settings.steps / self.processes):>10}"
                    for site in self.sites
                ),
                "",
                f"time    about {clock(self.seconds)} ({rate:,.0f} images/hour, {clock(self.setup)} of it to start; "
                f"{self.source})",
                f"disk    about {_bytes(self.disk)}",
            ]
        return "\n".join([*lines, f"folder  {plan.path} (nothing was written)"])


def estimate(plan: Plan, setup: float = 0.0) -> Cost:
    """Return what a plan costs, from real steps at some of its sites.

    Args:
        plan: not executed.
        setup: seconds that it took to make.
    """
    by_site = {name: list(group) for name, group in groupby(plan.missing(), key=lambda chunk: chunk.site.name)}
    with own_world(plan.settings.trainer.threads):
        plan.module.to(plan.device)
        seconds, source = _time_sites(plan, [max(group, key=len) for group in by_site.values()])
    sites = tuple(
        SiteCost(name, sum(len(chunk) for chunk in group), len(group), seconds[name]) for name, group in by_site.items()
    )
    return Cost(plan, sites, setup, source)


def _time_sites(plan: Plan, chunks: Sequence[Chunk]) -> tuple[dict[str, float], str]:
    """Return seconds of a step and image by site, and where they come from."""
    if not chunks:
        return {}, ""
    by_depth = sorted(chunks, key=lambda chunk: chunk.site.depth)
    places = sorted({round(i * (len(by_depth) - 1) / (TIMED - 1)) for i in range(TIMED)})
    backbone, copies = plan.backbone, plan.settings.copies
    known, measured = [], []
    for chunk in (by_depth[place] for place in places):
        name = chunk.site.name
        key = speed_key(backbone.name, name, backbone.image_size, copies, plan.device, plan.precision)
        found = (recall(key) or {}).get("seconds")
        if not isinstance(found, float) or found * len(chunk) <= SLOW:  # quick to measure: as the machine is now
            found = _time_chunk(plan, chunk)
            remember(key, {"seconds": found})
            measured.append(name)
        known.append((chunk.site.depth, found))
    seconds = {chunk.site.name: interpolate(known, chunk.site.depth) for chunk in chunks}
    return seconds, f"real steps at {', '.join(measured)}" if measured else "as measured on this machine before"


def _time_chunk(plan: Plan, chunk: Chunk) -> float:
    """Return seconds of a step and image, from real steps."""
    single = Chunk(chunk.site, chunk.units[:1], chunk.seeds[:1])
    first = step_seconds(plan.module, single, plan.precision, steps=1)
    if len(chunk) == 1 or first * len(chunk) > SLOW:
        return first
    return step_seconds(plan.module, chunk, plan.precision, steps=3) / len(chunk)


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
