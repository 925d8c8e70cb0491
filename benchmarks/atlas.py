"""Build an atlas of 10,000 units from made records and say how long it took and what the index weighs.

python benchmarks/atlas.py [UNITS_A_SITE SITES]
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "gallery" / "atlas"))

import made_runs as made  # noqa: E402

from vitvis.gallery.site import write_atlas  # noqa: E402


def main() -> None:
    units, sites = (int(text) for text in sys.argv[1:3] or (1250, 8))
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            made.write_fit(Path(folder) / "fit", depths=sites, units=units, kinds=("mlp",), seeds=(0,), strips=False),
            made.write_search(Path(folder) / "search", depths=sites, units=units, kinds=("mlp",), photos=2000),
        ]
        wall, cpu = time.perf_counter(), time.process_time()
        done = write_atlas(runs, Path(folder) / "atlas")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        site = done.path.parent
        page = done.path.read_text()
        first = {site / name for name in re.findall(r'(?:src|href)="((?:assets|data|sprites)/[^"]+)"', page)}
        first -= set(site.glob("sprites/*-*.webp"))  # those stand within <noscript>
        index = sum(path.stat().st_size for path in {done.path, *first})
        print(f"{done.units} units in {wall:.1f} s ({cpu:.1f} s of processor time), {done.bytes / 1e6:.1f} MB")
        print(f"index with all its mosaics: {index / 1e6:.2f} MB; largest data file of a site: "
              f"{max(path.stat().st_size for path in site.glob('data/s?.js')) / 1e6:.2f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
