"""Build an atlas of 10,000 units from made records, without a map and with one: time, weight, blanks, frames.

python benchmarks/atlas.py [UNITS_A_SITE SITES] [--map] [--scroll] [--runs FOLDER]

`--runs FOLDER` keeps the made runs there for the next time. `--map` builds the map too, once with an eye that has seen
nothing and once more, says which part of it is the eye's forward pass, opens it in a Chromium, and pans and zooms it.
`--scroll` opens a site of 3,072 units in a Chromium (needs playwright) and turns the wheel through it, 700 px an event,
as fast as events go. At each frame it asks whether tiles cover the window, and after jumps it looks at the pixels.
"""

from __future__ import annotations

import io
import math
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "atlas"))

import made_runs as made  # noqa: E402

from vitvis.atlas import write_atlas  # noqa: E402

#: Counts frames, and those in which a part of the window below the bar has no tile.
_WATCH = """() => {
  window.frames_seen = 0; window.frames_blank = 0;
  const look = () => {
    const boxes = [...document.querySelectorAll('.tile')].map((tile) => tile.getBoundingClientRect());
    const grid = document.querySelector('.grid').getBoundingClientRect();
    const top = Math.max(120, grid.top), bottom = Math.min(innerHeight, grid.bottom);
    const covered = boxes.length && Math.min(...boxes.map((b) => b.top)) <= top + 1
      && Math.max(...boxes.map((b) => b.bottom)) >= bottom - 30;
    window.frames_seen++; window.frames_blank += covered ? 0 : 1;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


#: Writes down when each frame came, in ms.
_FRAMES = """() => {
  const own = window.frames = [];
  const look = (now) => { own.push(now); if (own === window.frames) requestAnimationFrame(look); };
  requestAnimationFrame(look);
}"""


def main() -> None:
    numbers = [int(text) for text in sys.argv[1:] if text.isdigit()]
    units, sites = numbers or (1250, 8)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(sys.argv[sys.argv.index("--runs") + 1]) if "--runs" in sys.argv else Path(folder)
        runs = make_runs(kept, units, sites)
        build(Path(folder), runs)
        if "--map" in sys.argv:
            build_map(Path(folder), runs)
        if "--scroll" in sys.argv:
            scroll(Path(folder))


def make_runs(folder: Path, units: int, sites: int) -> list[Path]:
    fit, search = folder / f"fit-{units}-{sites}", folder / f"search-{units}-{sites}"
    if not fit.is_dir():
        made.write_fit(fit, depths=sites, units=units, kinds=("mlp",), seeds=(0,), strips=False)
    if not search.is_dir():
        made.write_search(search, depths=sites, units=units, kinds=("mlp",), photos=2000)
    return [fit, search]


def build_map(folder: Path, runs: list[Path]) -> None:
    from vitvis.backbones.eye import Eye

    look, spent = Eye.look, 0.0

    def timed(*args: object, **settings: object) -> object:
        nonlocal spent
        began = time.perf_counter()
        try:
            return look(*args, **settings)
        finally:
            spent += time.perf_counter() - began

    Eye.look = timed
    for run in runs:
        shutil.rmtree(run / "map", ignore_errors=True)
    for what in ("nothing seen before", "all seen before"):
        spent, wall, cpu = 0.0, time.perf_counter(), time.process_time()
        done = write_atlas(runs, folder / "mapped", eye="vitvis_resnet")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{done.units} units with a map, {what}: {wall:.1f} s ({cpu:.1f} s of processor time), of which the eye "
              f"{spent:.1f} s, {done.bytes / 1e6:.1f} MB", flush=True)  # fmt: skip
    Eye.look = look
    with chromium() as browser:
        for _ in range(3):
            page = browser.new_page(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
            page.goto(f"{done.path.as_uri()}#/map/{made.BACKBONE}")
            page.wait_for_selector(".plane[data-painted]")
            print(f"map painted {page.get_attribute('.plane', 'data-painted')} ms after navigation")
            page.wait_for_selector("[data-view=map][data-ready]:not([hidden])", state="attached")
            box = page.locator(".plane").bounding_box()
            x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            page.mouse.move(x, y)
            for name, wheel in (("all of it", 0), ("close, 22 px a unit and more", -900)):
                if wheel:
                    page.mouse.wheel(0, wheel)
                    page.wait_for_timeout(1500)
                page.evaluate(_FRAMES)
                page.mouse.down()
                for step in range(180):
                    page.mouse.move(x + 200 * math.sin(step / 15), y + 120 * math.cos(step / 11))
                page.mouse.up()
                times = page.evaluate("window.frames")
                gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
                late = sum(round(gap / (1000 / 60)) - 1 for gap in gaps if gap > 25)
                print(f"  panned, {name}: {len(gaps)} frames in {times[-1] - times[0]:.0f} ms, {late} dropped, longest "
                      f"{max(gaps):.0f} ms", flush=True)  # fmt: skip
            page.close()


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def build(folder: Path, runs: list[Path]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    done = write_atlas(runs, folder / "atlas")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    site = done.path.parent
    page = done.path.read_text()
    first = {site / name for name in re.findall(r'(?:src|href)="((?:assets|data|sprites)/[^"]+)"', page)}
    first -= set(site.glob("sprites/*-*.webp"))  # those stand within <noscript>
    index = sum(path.stat().st_size for path in {done.path, *first})
    print(f"{done.units} units in {wall:.1f} s ({cpu:.1f} s of processor time), {done.bytes / 1e6:.1f} MB")
    print(f"index with all its mosaics: {index / 1e6:.2f} MB; largest data file of a site: "
          f"{max(path.stat().st_size for path in site.glob('data/s?.js')) / 1e6:.2f} MB")  # fmt: skip


def scroll(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    run = made.write_fit(folder / "long", depths=1, units=3072, kinds=("mlp",), seeds=(0,), strips=False)
    done = write_atlas([run], folder / "long-atlas")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
        route = f"#/{made.BACKBONE}/blocks.0.mlp"
        start = time.perf_counter()
        page.goto(done.path.as_uri() + route)
        page.wait_for_selector(f'[data-ready="{route}"]', state="attached")
        print(f"site page of 3,072 units drawn after {time.perf_counter() - start:.2f} s")
        page.evaluate(_WATCH)
        page.mouse.move(700, 600)
        start, height = time.perf_counter(), page.evaluate("document.documentElement.scrollHeight")
        for _ in range(height // 700 + 1):
            page.mouse.wheel(0, 700)
        page.wait_for_function("scrollY + innerHeight >= document.documentElement.scrollHeight - 2")
        seen, blank = page.evaluate("[frames_seen, frames_blank]")
        print(f"{height} px in {time.perf_counter() - start:.1f} s: {seen} frames, {blank} with a blank")
        late = []
        for share in (0.1, 0.35, 0.6, 0.85):  # jump; what is in the window at once, and what comes later?
            page.evaluate("y => new Promise(done => { scrollTo(0, y);"
                          " requestAnimationFrame(() => requestAnimationFrame(done)) })", share * height)  # fmt: skip
            shots = [page.screenshot()]
            page.wait_for_timeout(1000)
            shots.append(page.screenshot())
            first, second = (np.asarray(Image.open(io.BytesIO(shot)).convert("L"), dtype=float) for shot in shots)
            late.append(float(np.mean(np.abs(first - second) > 8)))
        print("share of pixels that changed in the second after a jump: " + " ".join(f"{share:.1%}" for share in late))


if __name__ == "__main__":
    main()
