"""Images/s of a search beside those of the bare forward pass of the same model, in one process, with one loader.

    python benchmarks/search.py data=parquet:val.parquet [model=vitvis_vit] [limit=10000] [trainer.threads=2] ...

takes the settings of `python -m vitvis.search`. Every batch comes from the loader once and goes through both, in turns
first and second, so that whatever else the machine does hits both alike. The time to load a batch counts for both.
On a machine that is busy with other things, `cpu` (seconds of this process on a core) is the number to trust.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping

from vitvis.config import Command
from vitvis.search.settings import SearchSettings

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def measure(settings: SearchSettings, options: Mapping[str, str]) -> None:
    import torch

    from vitvis.backbones import Tap, load_backbone, parse_units
    from vitvis.data.kinds import open_source
    from vitvis.data.loader import ModelView, make_loader
    from vitvis.search.layout import make_layout
    from vitvis.search.readings import SiteReader
    from vitvis.search.state import observe, start

    torch.set_num_threads(settings.trainer.threads or 2)
    source = open_source(settings.data, regions=settings.regions, limit=settings.limit)
    backbone = load_backbone(settings.model, settings.weights, settings.image_size)
    units = parse_units(settings.units, backbone.sites, settings.seed)
    layout = make_layout(units, {unit.site: backbone.site(unit.site) for unit in units}, settings.tokens)
    state = start(layout, settings.k, sample=settings.sample, seed=settings.seed, maps=settings.maps)
    view = ModelView(backbone.transform(), masks=source.has_objects)
    loader = make_loader(source, view, batch_size=settings.batch_size or 32, workers=settings.workers or 0)
    sites = [group.site for group in layout.groups]
    seconds = {clock: {"load": 0.0, "bare": 0.0, "search": 0.0} for clock in CLOCKS}
    images, report = 0, 2000
    with torch.inference_mode():
        backbone(torch.rand(4, 3, *backbone.image_size))  # warm up
        before = now()
        for number, batch in enumerate(loader):
            charge(seconds, "load", before)
            pixels = batch.images
            for arm in ("bare", "search") if number % 2 else ("search", "bare"):
                began = now()
                if arm == "bare":
                    backbone(pixels)
                else:
                    with Tap(backbone, sites) as tap:
                        reader = SiteReader(layout, state.strongest, batch.indices, batch.masks, maps=settings.maps)
                        observe(state, layout, tap(pixels, reader), batch.indices)
                charge(seconds, arm, began)
            images += len(batch)
            if images >= report:
                report += 2000
                _print(images, layout.width, seconds)
            before = now()
    _print(images, layout.width, seconds)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def now() -> dict[str, float]:
    return {name: clock() for name, clock in CLOCKS.items()}


def charge(seconds: dict[str, dict[str, float]], arm: str, began: dict[str, float]) -> None:
    for name, value in now().items():
        seconds[name][arm] += value - began[name]


def _print(images: int, units: int, seconds: dict[str, dict[str, float]]) -> None:
    for name, spent in seconds.items():
        bare, search = (images / (spent["load"] + spent[arm]) for arm in ("bare", "search"))
        print(
            f"{images:,} images, {units:,} units, {name}: bare {bare:.1f} images/s, search {search:.1f} images/s, "
            f"ratio {search / bare:.3f} (without loading {spent['bare'] / spent['search']:.3f})",
            flush=True,
        )


COMMAND = Command(
    name="benchmarks.search",
    settings=SearchSettings,
    action=measure,
    summary="images/s of a search beside those of the bare forward pass",
    description=(__doc__ or "").splitlines()[0],
)

if __name__ == "__main__":
    sys.exit(COMMAND.main())
