"""Draw held-out accuracy against steps from the CSV logs of trainings.

    python benchmarks/training_curves.py OUT.svg "ViT=training/vit.csv" "ResNet=training/resnet.csv"

Each argument is NAME=FILE, a `metrics.csv` of `vitvis.bundled.train`; several files of one name, as a run that was
stopped and resumed leaves them, are one curve (a step that two of them hold counts as the later file says).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path


def read_curve(files: list[Path], column: str = "held_out/top1") -> list[tuple[int, float]]:
    """Return (step, value) pairs of a column of CSV logs, in the order of steps, where there is a value."""
    found: dict[int, float] = {}
    for file in files:
        with file.open(newline="") as stream:
            found |= {int(row["step"]) + 1: float(row[column]) for row in csv.DictReader(stream) if row.get(column)}
    return sorted(found.items())


def main(argv: list[str]) -> int:
    if len(argv) < 2 or not all("=" in word for word in argv[1:]):
        print(__doc__, file=sys.stderr)
        return 2
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "vitvis"  # the same file from the same numbers
    from matplotlib.figure import Figure

    files: dict[str, list[Path]] = {}
    for word in argv[1:]:
        name, _, file = word.partition("=")
        files.setdefault(name, []).append(Path(file))
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for (name, paths), style in zip(files.items(), ("-o", "--s", ":^", "-.d"), strict=False):
        curve = read_curve(paths)
        axes.plot([step for step, _ in curve], [100 * value for _, value in curve], style, label=name, markersize=4)
    axes.set(xlabel="steps of 256 photos", ylabel="top-1 on 2,000 held-out photos, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(argv[0], metadata={"Date": None} if argv[0].endswith(".svg") else None)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
