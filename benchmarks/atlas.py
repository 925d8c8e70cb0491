"""Build an atlas of 10,000 units from made records: time, weight of the index, blanks while a page scrolls.

python benchmarks/atlas.py [UNITS_A_SITE SITES] [--scroll]

`--scroll` opens a site of 3,072 units in a Chromium (needs playwright) and turns the wheel through it, 700 px an event,
as fast as events go. At each frame it asks whether tiles cover the window, and after jumps it looks at the pixels.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

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


def main() -> None:
    numbers = [int(text) for text in sys.argv[1:] if text.isdigit()]
    units, sites = numbers or (1250, 8)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), units, sites)
        if "--scroll" in sys.argv:
            scroll(Path(folder))


def build(folder: Path, units: int, sites: int) -> None:
    runs = [
        made.write_fit(folder / "fit", depths=sites, units=units, kinds=("mlp",), seeds=(0,), strips=False),
        made.write_search(folder / "search", depths=sites, units=units, kinds=("mlp",), photos=2000),
    ]
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
    from playwright.sync_api import sync_playwright

    run = made.write_fit(folder / "long", depths=1, units=3072, kinds=("mlp",), seeds=(0,), strips=False)
    done = write_atlas([run], folder / "long-atlas")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
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
        browser.close()


if __name__ == "__main__":
    main()
