"""Is the judge to be trusted? Ladders of damage, shuffled units, and recipes in order, on runs that are there already.

    python benchmarks/judge.py out/A out/B --search out/SEARCH --ladder out/B --out judge.json

The runs are those of one model, one a recipe; pictures that all of them show (first seed) are compared. `--ladder`
names the run whose pictures are damaged step by step. `--chart FILE` draws what several such files hold.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import vitvis.judge
from vitvis.backbones import Site, Unit
from vitvis.backbones.eye import Eye, load_eye
from vitvis.backbones.space import make_space
from vitvis.judge.album import Album, as_tensor, open_album
from vitvis.judge.case import Case, load_model, open_case
from vitvis.judge.classes import match_outputs
from vitvis.judge.controls import blank_directions, noise_directions
from vitvis.judge.naturalness import kernel_distance, radial_spectrum, spectrum_distance
from vitvis.judge.scores import Photos, choice_columns, gate_columns, transfer_columns, verdict_column
from vitvis.judge.sturdiness import read_activation
from vitvis.judge.summary import means, with_intervals
from vitvis.search import read_search

NOISE = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
BLUR = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
SHOWN = ("judge", "choice", "top1", "top5", "class_probability", "kept", "beats_photo")


def damaged(images: torch.Tensor, kind: str, level: float) -> torch.Tensor:
    """Add noise of a standard deviation, or blur by one in px."""
    if level == 0:
        return images
    if kind == "noise":
        return (images + level * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    from torchvision.transforms.functional import gaussian_blur

    return gaussian_blur(images, 2 * int(3 * level + 1) + 1, level)


class Bench:
    """One run's pictures, as tensors, scored again and again."""

    def __init__(self, case: Case, eye: Eye, album: Album) -> None:
        assert case.search is not None and case.backbone is not None
        self.case, self.eye = case, eye
        first = {row["address"]: row for row in reversed(case.records)}
        self.records = [row for row in case.records if first[row["address"]] is row]
        self.images = torch.stack([as_tensor(Image.open(case.path / row["image"])) for row in self.records])
        known = album.read(album.cache_path(eye.name, eye.identity))
        chance = [index for index in album.by_chance(512, 0) if index in known]
        self.by_chance = np.stack([known[index] for index in chance])
        self.space = make_space(self.by_chance, eye.widths)
        order = sorted(known)
        directions = self.space.place(np.stack([known[index] for index in order]))
        size = self.images.shape[-2:]
        rows = {index: row for row, index in enumerate(order)}
        self.photos = Photos(directions, rows, case.search, blank_directions(eye, self.space, size))
        self.noise = noise_directions(eye, self.space, size, 0)
        self.classes = match_outputs(case.backbone, eye)
        transform = case.backbone.transform()
        self.spectra = radial_spectrum(torch.stack([transform(album.load(index)) for index in chance[:256]]))

    def score(self, images: torch.Tensor, records: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """Return the means of what the judge says of images, and of how their own units like them."""
        records = records or self.records
        look = self.eye.look(images)
        features = look.features.numpy()
        rows: list[dict[str, Any]] = [{"address": row["address"], "site": row["site"]} for row in records]
        activation = self.activation(images, records)
        fired = [{**row, "activation": value} for row, value in zip(records, activation, strict=True)]
        logits = None if look.logits is None else look.logits.numpy()
        spectrum = spectrum_distance(radial_spectrum(images), self.spectra).tolist()
        for columns in (
            choice_columns(records, self.space.place(features), self.noise, self.photos),
            transfer_columns(records, logits, self.classes),
            gate_columns(fired, self.case.search, self.case.same_tokens),
            [{"spectrum": value} for value in spectrum],
        ):
            for row, more in zip(rows, columns, strict=True):
                row.update(more)
        for row, value in zip(rows, verdict_column(records, rows), strict=True):
            row["judge"] = value
        kid = kernel_distance(
            torch.from_numpy(self.space.deepest(features)), torch.from_numpy(self.space.deepest(self.by_chance))
        )
        found: dict[str, Any] = {name: list(value) for name, value in with_intervals(rows).items()}
        return found | {"kid": None if kid is None else kid[0], "activation": float(np.mean(activation))}

    def activation(self, images: torch.Tensor, records: list[dict[str, Any]]) -> list[float]:
        """Return the activation of each record's own unit on its image."""
        values = [0.0] * len(records)
        for site in {row["site"] for row in records}:
            places = [place for place, row in enumerate(records) if row["site"] == site]
            known: tuple[Site, list[Unit]] | None = self.case.units([records[place] for place in places])
            assert known is not None and self.case.backbone is not None
            found = read_activation(self.case.backbone, images[places], *known, self.case.tokens)
            for place, value in zip(places, found.tolist(), strict=True):
                values[place] = value
        return values


def shuffled(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give every picture the label of another unit of its site."""
    moved = list(records)
    for site in {row["site"] for row in records}:
        places = [place for place, row in enumerate(records) if row["site"] == site]
        for place, other in zip(places, places[1:] + places[:1], strict=True):
            moved[place] = records[other]
    return moved


def recipes(runs: list[str], judge: str, weights: str, search: list[str]) -> dict[str, dict[str, float]]:
    """Return the means of each run over the pictures that all of them show."""
    done = vitvis.judge.run(run=runs, judge=[judge], weights=[weights], search=search, trainer={"progress": "none"})
    shared = set.intersection(*({row["address"] for row in item.rows} for item in done))
    found = {}
    for item in done:
        rows = [row for row in item.rows if row["address"] in shared and not row["seed"]]
        found[item.path.name] = {name: value for name, value in means(rows).items() if name in SHOWN}
        found[item.path.name]["units"] = len(rows)
        found[item.path.name]["kid"] = (item.about["kid"] or {}).get("mean", float("nan"))
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--judge", default="vitvis_resnet")
    parser.add_argument("--weights", default="hub")
    parser.add_argument("--search", default=None)
    parser.add_argument("--ladder", default=None)
    parser.add_argument("--out", default="out/judge.json")
    parser.add_argument("--chart", nargs="*", default=[], help="FILE.png and what --out wrote before")
    asked = parser.parse_args(argv)
    if asked.chart:
        draw(Path(asked.chart[0]), [json.loads(Path(file).read_text()) for file in asked.chart[1:]])
        return
    search = [asked.search] if asked.search else []
    found: dict[str, Any] = {"judge": asked.judge, "recipes": recipes(asked.runs, asked.judge, asked.weights, search)}
    if asked.ladder and asked.search:
        case = open_case(asked.ladder, [read_search(asked.search)])
        load_model(case)
        album = open_album(case.search, None, split=None, photos="auto", folder=case.path)
        assert album is not None
        bench = Bench(case, load_eye(asked.judge, asked.weights), album)
        found["ladder"] = {
            kind: {str(level): bench.score(damaged(bench.images, kind, level)) for level in levels}
            for kind, levels in (("noise", NOISE), ("blur", BLUR))
        }
        found["shuffled"] = bench.score(bench.images, shuffled(bench.records))
        noise = torch.rand(bench.images.shape, generator=torch.Generator().manual_seed(1))
        found["white noise"] = bench.score(noise)
    Path(asked.out).parent.mkdir(parents=True, exist_ok=True)
    Path(asked.out).write_text(json.dumps(found, indent=1))
    print(json.dumps(found["recipes"], indent=1))


def draw(path: Path, files: list[dict[str, Any]]) -> None:
    """Draw ladders of the first file that has any, and the recipes of all files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ladder = next(file["ladder"] for file in files if "ladder" in file)
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    lines = {"choice": "choice test", "top5": "top-5", "judge": "judge", "choice_other": "another unit's picture"}
    for axis, (kind, levels) in zip(axes, ladder.items(), strict=False):
        x = range(len(levels))
        for name, title in lines.items():
            axis.plot(x, [levels[level][name][0] for level in levels], marker="o", ms=3, label=title)
        axis.axhline(0.5, color="0.7", lw=0.8, ls="--")
        axis.set_xticks(list(x), list(levels))
        axis.set_xlabel("noise, standard deviation" if kind == "noise" else "blur, standard deviation in px")
        axis.set_ylim(-0.05, 1.02)
    axes[0].legend(fontsize=7, frameon=False)
    for file in files:
        names = list(file["recipes"])
        axes[2].plot(
            [name.rpartition("-")[2] for name in names], [file["recipes"][name]["judge"] for name in names],
            marker="o", ms=4, label=f"{names[0].rpartition('-')[0]} by {file['judge']}",
        )  # fmt: skip
    axes[2].set_ylim(-0.05, 1.02)
    axes[2].set_xlabel("recipe")
    axes[2].set_ylabel("judge")
    axes[2].legend(fontsize=7, frameon=False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
