"""Run folders of all kinds with made images, as docs/design.md describes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vitvis.runs import RunFolder, recipe_hash, save_png

BACKBONE = "made_vit"
XSS = '<img src=x onerror="window.hacked=1">'


def pattern(depth: int, unit: int, kind: str, side: int = 64, seed: int = 0) -> Image.Image:
    """Return a picture that grows from gratings to blobs with depth; noise where attention shows noise."""
    draw = np.random.default_rng([depth, unit, seed, len(kind)])
    if kind not in ("mlp", "block", "head"):
        return Image.fromarray(draw.integers(0, 256, (side, side, 3), dtype=np.uint8))
    y, x = np.mgrid[0:side, 0:side] / side
    canvas = np.zeros((side, side, 3))
    for _ in range(1 + depth):
        angle, frequency = draw.uniform(0, np.pi), draw.uniform(3, 14) / (1 + 0.4 * depth)
        wave = np.sin(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)) + draw.uniform(0, 6))
        centre, spread = draw.uniform(0.2, 0.8, 2), 0.1 + 0.5 / (1 + depth)
        window = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * spread**2))
        canvas += (wave * window)[:, :, None] * draw.uniform(-1, 1, 3)
    canvas = 0.5 + 0.45 * canvas / max(1e-6, np.abs(canvas).max())
    return Image.fromarray((canvas * 255).astype(np.uint8))


def sites(depths: int, units: int, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"name": f"blocks.{depth}.{kind}", "kind": kind, "depth": depth, "width": units, "grid": [4, 4]}
        for depth in range(depths)
        for kind in kinds
    ]


def identity(name: str, listed: list[dict[str, Any]], recipe: dict[str, Any] | None = None) -> dict[str, Any]:
    backbone = {"name": name, "weights": "none", "weights_id": "0123456789ab", "image_size": [64, 64], "sites": listed}
    return {"backbone": backbone} | ({"recipe": recipe, "recipe_hash": recipe_hash(recipe)} if recipe else {})


def write_fit(
    path: Path,
    *,
    depths: int = 4,
    units: int = 12,
    kinds: tuple[str, ...] = ("mlp", "attn"),
    seeds: tuple[int, ...] = (0, 1),
    backbone: str = BACKBONE,
    tv: float = 0.1,
    command: str | None = None,
    side: int = 64,
    strips: bool = True,
) -> Path:
    """Write a fit run; unit 3 of each site is dead, unit 5 failed."""
    recipe = {
        "image": {"kind": "pixels"},
        "regularize": {"tv": tv},
        "steps": 40,
        "weights_file": "/home/me/secret/w.pth",
    }
    listed = sites(depths, units, kinds)
    with RunFolder.open(path, kind="fit", settings={"steps": 40}, identity=identity(backbone, listed, recipe)) as run:
        for site in listed:
            records, files = [], {}
            draw = np.random.default_rng([site["depth"], len(site["kind"])])
            for unit in range(units):
                for seed in seeds:
                    name, address = f"images/{site['name']}/{unit}_s{seed}.png", f"{site['name']}:{unit}"
                    picture = pattern(site["depth"], unit, site["kind"], side, seed)
                    line = (
                        command
                        or f"python -m vitvis.fit model={backbone} units={address} seeds=[{seed}] out=/home/me/out"
                    )
                    files[name] = save_png(picture, {"unit": address, "command": line})
                    if strips:
                        strip = Image.new("RGB", (side * 4, side))
                        for step in range(4):
                            blend = Image.blend(
                                Image.new("RGB", (side, side), (128, 128, 128)), picture, (step + 1) / 4
                            )
                            strip.paste(blend, (step * side, 0))
                        files[name.replace("images/", "progress/", 1)] = save_png(strip, {})
                    status = {3: "dead", 5: "failed"}.get(unit, "ok")
                    noisy = site["kind"] in ("attn", "q", "k", "v")
                    records.append({
                        "backbone": backbone, "weights_id": "0123456789ab", "site": site["name"], "kind": site["kind"],
                        "depth": site["depth"], "unit": unit, "address": address, "sign": 1, "direction": None,
                        "seed": seed, "recipe": recipe_hash(recipe), "status": status,
                        "message": "became NaN at step 3" if status == "failed" else "", "image": name,
                        "width": side, "height": side, "activation_start": 0.01,
                        "activation": float(draw.gamma(2, 1 + site["depth"])) if status == "ok" else 0.0,
                        "activation_peak": float(draw.gamma(3, 2)), "activation_pre": None,
                        "rank": int(draw.integers(1, 2 + units // 3)), "site_width": units,
                        "hf_share": float(draw.uniform(0.5, 0.8) if noisy else draw.uniform(0.02, 0.15)),
                        "tv": 12.0, "steps": 40, "seconds": 0.5, "device": "cpu",
                    })  # fmt: skip
            run.write_shard(site["name"], records, files)
        run.write_json("summary.json", {"score": 0.5 + tv})
    return path


def write_search(
    path: Path, *, depths: int = 4, units: int = 12, kinds: tuple[str, ...] = ("mlp", "attn"), photos: int = 30,
    backbone: str = BACKBONE, label: str = "tabby cat", key: str = "/data/photos/n01.jpg", shared: Path | None = None,
) -> Path:  # fmt: skip
    """Write a search: maps whose hottest patch is that of `strongest_token`, thumbs, histograms."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    listed = sites(depths, units, kinds)
    with RunFolder.open(path, kind="search", settings={}, identity=identity(backbone, listed)) as run:
        real = sorted(shared.glob("*.jpg"))[:photos] if shared else []
        for index in range(photos):
            picture = (
                Image.open(real[index]).convert("RGB").resize((96, 96)) if real else pattern(5, index, "mlp", 96, 7)
            )
            file = path / "thumbs" / f"{index}.jpg"
            file.parent.mkdir(exist_ok=True)
            picture.save(file, quality=85)
        table = pa.table({
            "index": pa.array(range(photos), pa.int64()),
            "key": [f"{key}#{index}" for index in range(photos)],
            "label": pa.array([1] * photos, pa.int64()),
            "label_name": [label] * photos,
        })  # fmt: skip
        pq.write_table(table, path / "images.parquet")
        (path / "maps").mkdir(exist_ok=True)
        for site in listed:
            draw = np.random.default_rng([9, site["depth"]])
            maps = draw.uniform(0, 0.5, (units, 9, 4, 4)).astype(np.float16)
            records = []
            for unit in range(units):
                strongest = draw.choice(photos, 9, replace=False)
                token = draw.integers(0, 16, 9)
                for place in range(9):
                    maps[unit, place].reshape(-1)[token[place]] = 2.0
                values = np.sort(draw.gamma(2, 2, 9))[::-1]
                records.append({
                    "backbone": backbone, "weights_id": "0123456789ab", "site": site["name"], "kind": site["kind"],
                    "depth": site["depth"], "unit": unit, "address": f"{site['name']}:{unit}", "mean": 0.3, "std": 0.2,
                    "positive_share": 0.4, "count": photos, "hist_counts": draw.poisson(40, 64).tolist(),
                    "hist_edges": np.linspace(-0.2, 3, 65).tolist(), "strongest_index": strongest.tolist(),
                    "strongest_activation": values.tolist(), "strongest_token": token.tolist(),
                    "weakest_index": strongest[::-1].tolist(), "weakest_activation": (-values).tolist(),
                    "decile_index": [], "decile_activation": [], "decile": [], "inside_mean": 0.7, "outside_mean": 0.1,
                })  # fmt: skip
            np.save(path / "maps" / f"{site['name']}.npy", maps)
            run.write_shard(site["name"], records, {})
    return path


def write_evaluate(path: Path) -> Path:
    """Write an evaluation with two models of the work's table."""
    table = {"vit_base_patch16": (99.22, 95.64, 31.59), "resnet50": (98.00, 89.69, 18.69)}
    rows = []
    for model, (full, foreground, background) in table.items():
        for variant, normal in (("full", None), ("foreground", foreground), ("background", background)):
            five = full if normal is None else normal * full / 100
            rows.append({
                "model": model, "variant": variant, "fill": None if normal is None else "black", "n": 500,
                "top1": five * 0.9, "top1_low": five * 0.9 - 2, "top1_high": five * 0.9 + 2,
                "top5": five, "top5_low": five - 1.5, "top5_high": min(100, five + 1.5),
            } | ({} if normal is None else {"normalized_top5": normal}))  # fmt: skip
    with RunFolder.open(path, kind="evaluate", settings={}, identity={"models": list(table)}) as run:
        about = {"data": "imagenet:/data/ILSVRC", "images": 500, "probe": "masks"}
        run.write_json("results.json", {"about": about, "rows": rows, "differences": [], "probes": {}})
    return path


def write_sweep(path: Path, values: tuple[float, ...] = (0.1, 0.3)) -> Path:
    """Write a sweep of two small fits."""
    with RunFolder.open(path, kind="sweep", settings={}, identity={}) as run:
        run.write_text("summary.json", json.dumps({"trials": []}))
    for number, tv in enumerate(values):
        write_fit(path / "trials" / f"{number:03}", depths=2, units=6, seeds=(0,), tv=tv, strips=False)
    return path
