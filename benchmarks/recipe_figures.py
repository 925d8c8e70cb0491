"""Figures of a recipe per block: mean clean activation, and units asleep, beside those of a bare script.

Make the run, then read it:

    python -m vitvis.fit model=sam2_hiera_tiny image_size=224 trainer.precision=bf16-mixed out=out/recipe \
        weights=../shared/weights/sam2_hiera_tiny.fp16.safetensors units="blocks.{0,3,5,7,9,10}.mlp:3,17,42,101"
    python benchmarks/recipe_figures.py out/recipe
"""

from __future__ import annotations

import sys
from collections import defaultdict
from statistics import fmean

from vitvis.runs import read_records

ASLEEP = 0.1
#: A bare script after the paper: pixels, 60 steps of 4 copies, TV weight 5e-4, bf16 (activation, mean over tokens).
BARE = {0: 10.4, 3: 0.35, 5: 0.35, 7: 0.15, 9: 0.22, 10: 0.00}


def main(folder: str) -> None:
    by_depth: dict[int, list[dict]] = defaultdict(list)
    for record in read_records(folder):
        by_depth[record["depth"]].append(record)
    print("| block | bare script | this run | units | asleep | best rank | hf_share |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for depth, records in sorted(by_depth.items()):
        asleep = sum((record["activation_peak"] or 0) < ASLEEP for record in records)
        mean, share = (fmean(record[name] or 0 for record in records) for name in ("activation", "hf_share"))
        ranks = sorted(record["rank"] for record in records)
        bare = f"{BARE[depth]:.2f}" if depth in BARE else "-"
        print(f"| {depth} | {bare} | {mean:.2f} | {len(records)} | {asleep} | {ranks[0]} | {share:.2f} |")


if __name__ == "__main__":
    main(sys.argv[1])
