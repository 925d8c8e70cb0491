"""Make the screenshots of README and docs/atlas.md from the bundled ViT, with a real browser.

python docs/screenshots.py [--work out/screenshots] [--images docs/images] [--units 24] [--steps 60] [--dry-run]

Fits, searches and judges `units` neurons of every block and all 200 classes, lays them out as an atlas, and looks at
it with Chromium (playwright). Photos are crops of pictures, free of copyright, that come with scikit-image. What is in
the work folder is not made again, unless the bundled weights or the default recipe have changed. Needs the extra `dev`.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
MODEL, JUDGE = "vitvis_vit", "vitvis_resnet"
PHOTOS = "astronaut brick cat coffee coins grass gravel hubble_deep_field immunohistochemistry moon retina rocket"
#: File, page, height of the window in px, and what to do on the page before the picture is taken.
SHOTS = (
    ("atlas-index", "#/", 900, ""),
    ("atlas-map", "#/map/{model}", 860, ""),
    ("atlas-map-close", "#/map/{model}", 860, "close"),
    ("atlas-unit", "#/{model}/{site}/{unit}", 1180, ""),
    ("atlas-compare", "#/compare/{model}/blocks.5.mlp?by=depth", 900, ""),
)


def plan(work: Path, units: int, steps: int) -> dict[str, dict[str, Any]]:
    """Return the settings of each command, in the order in which they run."""
    from vitvis.bundled import find_bundled
    from vitvis.config import merge
    from vitvis.fit import recipe_of
    from vitvis.fit.settings import FitSettings
    from vitvis.runs import recipe_hash

    weights = find_bundled(MODEL).sha256[:6]  # other weights, or another default recipe, are other runs
    recipe = recipe_hash(recipe_of(merge(FitSettings, {"steps": steps})))[:6]
    fit, search = work / f"fit-{weights}-{recipe}", work / f"search-{weights}-{units}"
    listed = [f"blocks.*.mlp:~{units}", "head:*"]
    return {
        "fit": {"model": MODEL, "units": listed, "steps": steps, "out": str(fit)},
        "search": {"model": MODEL, "data": f"imagefolder:{work / 'photos'}", "units": listed, "k": 12, "labels": 100,
                   "ablate": 2, "strips": "none", "out": str(search)},
        "judge": {"run": [str(fit)], "judge": [JUDGE], "search": [str(search)], "sturdiness": 0},
        "atlas": {"runs": [str(fit), str(search)], "out": str(work / "atlas"), "title": "vitvis"},
    }  # fmt: skip


def write_photos(folder: Path, crops: int = 50) -> None:
    """Write crops of each photo into a folder of its name; the same each time."""
    from skimage import data

    draw = np.random.default_rng(0)
    for name in PHOTOS.split():
        whole = Image.fromarray(getattr(data, name)()).convert("RGB")
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(crops):
            side = int(min(whole.size) * draw.uniform(0.2, 0.8))
            left, top = (int(draw.integers(0, room - side + 1)) for room in whole.size)
            crop = whole.crop((left, top, left + side, top + side)).resize((128, 128))
            crop.save(folder / name / f"{number}.jpg", quality=92)


def choose(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the neuron of the middle blocks that its picture excites most clearly: by rank, then activation."""
    middle = [row for row in records if row["kind"] == "mlp" and 5 <= row["depth"] <= 8 and row["status"] == "ok"]
    return min(middle or records, key=lambda row: (row["rank"] or 1e9, -(row["activation"] or 0), row["address"]))


def shoot(page_file: Path, images: Path, model: str, site: str, unit: str) -> list[Path]:
    """Take the pictures of an atlas, dark, 1400 px wide; return their files."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("needs a chromium on this machine")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            return take(browser, page_file, images, model, site, unit)
        finally:
            browser.close()


def take(browser: Any, page_file: Path, images: Path, model: str, site: str, unit: str) -> list[Path]:
    """Take the pictures with a browser that is there; see `shoot`."""
    taken = []
    images.mkdir(parents=True, exist_ok=True)
    for name, route, height, act in SHOTS:
        page = browser.new_page(
            viewport={"width": 1400, "height": height}, color_scheme="dark", reduced_motion="reduce"
        )
        page.goto(page_file.resolve().as_uri() + route.format(model=model, site=site, unit=unit))
        page.wait_for_selector("[data-view][data-ready]:not([hidden])", timeout=60_000, state="attached")
        page.wait_for_function("[...document.images].every(image => image.complete || !image.offsetParent)")
        if act == "close":
            box = page.locator(".plane").bounding_box()
            page.mouse.move(box["x"] + 0.42 * box["width"], box["y"] + 0.5 * box["height"])
            for _ in range(4):
                page.mouse.wheel(0, -300)
            page.wait_for_selector(".card:not([hidden]) b")
        page.wait_for_timeout(800)
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        page.close()
        taken.append(images / f"{name}.jpg")
        shot.save(taken[-1], quality=84, optimize=True, progressive=True)
    return taken


def main(argv: Sequence[str] | None = None) -> int:
    """Make runs and pictures, or with `--dry-run` check that all of it could be made, and say what."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "screenshots")
    parser.add_argument("--images", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--units", type=int, default=24, help="neurons of each block")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--dry-run", action="store_true", help="check the settings, say what would be made, and stop")
    asked = parser.parse_args(argv)
    planned = plan(asked.work, asked.units, asked.steps)
    import vitvis
    from vitvis.cli import find_command
    from vitvis.config import merge

    for name, settings in planned.items():
        merge(find_command(name).settings, settings)  # a setting that is gone is found before the work
    if asked.dry_run:
        for name, settings in planned.items():
            print(f"vitvis {name}", *(f"{key}={value}" for key, value in settings.items()))
        print(*(asked.images / f"{name}.jpg" for name, *_ in SHOTS), sep="\n")
        return 0
    write_photos(asked.work / "photos")
    records = vitvis.fit.run(planned["fit"])
    vitvis.search.run(planned["search"])
    vitvis.judge.run(planned["judge"])
    atlas = vitvis.atlas.run(planned["atlas"])
    chosen = choose(records)
    for path in shoot(atlas.path, asked.images, MODEL, chosen["site"], str(chosen["unit"])):
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
