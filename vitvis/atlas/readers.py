"""Run folders to the model of an atlas. Reads records and manifests; opens no image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vitvis.atlas.judgements import join_judgements
from vitvis.atlas.model import Backbone, Picture, Run, Site
from vitvis.atlas.privacy import tidy
from vitvis.bundled import weights_origin
from vitvis.config.values import flatten_values
from vitvis.errors import VitvisError
from vitvis.runs import Ledger, read_json, read_manifest, read_records

__all__ = ["read_backbones", "read_runs"]

KINDS = ("fit", "search", "evaluate", "sweep")
_NEEDED = ("backbone", "site", "kind", "depth", "unit", "address")


def read_runs(folders: Iterable[str | Path]) -> list[Run]:
    """Return the runs of some folders; a sweep is followed by its trials.

    Raises:
        VitvisError: a folder isn't there or is no run.
    """
    runs: list[Run] = []
    seen: set[Path] = set()

    def add(path: Path, sweep: str | None = None) -> None:
        if path.resolve() in seen:
            return
        seen.add(path.resolve())
        manifest = read_manifest(path)
        if manifest["kind"] not in KINDS:
            raise VitvisError(f"{path}: is a run of kind '{manifest['kind']}'; an atlas shows {', '.join(KINDS)}")
        own = path.resolve().name
        run = Run(f"r{len(runs)}", f"{sweep} / {own}" if sweep else own, path, manifest["kind"], manifest, sweep)
        run.summary = _read_summary(path)
        runs.append(run)
        if run.kind == "sweep":
            trials = sorted(item.parent for item in path.glob("trials/*/manifest.json"))
            run.found = len(trials)
            for trial in trials:
                add(trial, own)

    for folder in folders:
        _check_is_run(Path(folder))
        add(Path(folder))
    _name_apart(runs)
    _mark_differences([run for run in runs if run.kind == "fit"])
    return runs


def read_backbones(runs: Sequence[Run]) -> list[Backbone]:
    """Return the backbones of fit and search runs with their sites, shallow first, and all units of these."""
    tables: dict[tuple[str, str], dict[str, list[tuple[Run, dict[str, Any]]]]] = {}
    about: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        if run.kind not in ("fit", "search"):
            continue
        described = run.manifest.get("backbone") or {}
        records = read_records(run.path)
        if run.kind == "fit":
            records = join_judgements(run.path, records)
        run.found = len(records)
        for record in records:
            _check_record(run, record)
            key = (str(record["backbone"]), str(record.get("weights_id") or ""))
            kept = about.setdefault(key, {**described, "sites": {}})
            kept["sites"].update({site["name"]: site for site in described.get("sites") or []})
            tables.setdefault(key, {}).setdefault(record["site"], []).append((run, record))
    names = [name for name, _ in tables]
    backbones = []
    number = 0
    for (name, weights_id), sites in tables.items():
        kept = about[name, weights_id]
        backbone = Backbone(
            name if names.count(name) == 1 else f"{name}@{weights_id[:6]}",
            name,
            weights_origin(name, str(kept.get("weights") or "")),
            weights_id,
            kept.get("image_size"),
        )
        order = {site: place for place, site in enumerate(kept["sites"])}
        for site in sorted(sites, key=lambda item: (order.get(item, len(order)), sites[item][0][1]["depth"], item)):
            entry = _make_site(f"s{number}", backbone.id, site, kept["sites"].get(site) or {}, sites[site])
            backbone.sites.append(entry)
            number += 1
        backbones.append(backbone)
    return backbones


def _check_is_run(path: Path) -> None:
    """Say which runs lie in a folder that is none itself."""
    if path.is_dir() and not (path / "manifest.json").is_file():
        within = sorted(item.parent for item in path.glob("*/manifest.json"))
        if within:
            shown = " ".join(str(item) for item in within[:3]) + (" ..." if len(within) > 3 else "")
            raise VitvisError(f"{path}: is no run folder but holds {len(within)}; give those: {shown}")


def _check_record(run: Run, record: dict[str, Any]) -> None:
    lacking = [name for name in _NEEDED if record.get(name) is None]
    if lacking:
        raise VitvisError(
            f"{run.path}: its records have no {', '.join(lacking)}; it was written by"
            f" vitvis {run.manifest.get('vitvis') or '(no version)'}, make it again with this one"
        )
    for name in _NEEDED:
        if not isinstance(record[name], int if name in ("depth", "unit") else str):
            raise VitvisError(f"{run.path}: a record has {name}={record[name]!r}, which vitvis never writes")


def _make_site(
    number: str, backbone: str, name: str, described: dict[str, Any], rows: list[tuple[Run, dict[str, Any]]]
) -> Site:
    first = rows[0][1]
    width = described.get("width") or next((row["site_width"] for _, row in rows if row.get("site_width")), 0)
    grid = described.get("grid")
    shape = (int(grid[0]), int(grid[1])) if grid else None
    site = Site(number, backbone, name, str(first["kind"]), int(first["depth"]), int(width), shape)
    units = {row["address"]: row for _, row in rows}
    ordered = sorted(units, key=lambda address: (units[address]["unit"], address))
    place = {address: position for position, address in enumerate(ordered)}
    site.addresses = ordered
    site.indices = [int(units[address]["unit"]) for address in ordered]
    site.keys = _keys(ordered, name)
    tiles: list[Picture | None] = [None] * len(ordered)
    others: list[Picture] = []
    searches: dict[str, tuple[Run, dict[int, dict[str, Any]]]] = {}
    for run, row in sorted(rows, key=lambda item: (item[0].number, item[1].get("seed") or 0)):
        unit = place[row["address"]]
        if run.kind == "search":
            searches.setdefault(run.id, (run, {}))[1][unit] = row
            continue
        picture = Picture(run, unit, row, run.file(row.get("image")), _strip(run, row.get("image")))
        if tiles[unit] is None:
            tiles[unit] = picture
        else:
            others.append(picture)
    site.searches = list(searches.values())
    for unit, tile in enumerate(tiles):
        site.pictures.append(tile or _photo(site, unit))
    site.pictures += sorted(others, key=lambda picture: picture.unit)
    return site


def _photo(site: Site, unit: int) -> Picture:
    run, record = next((run, records[unit]) for run, records in site.searches if unit in records)
    strongest = record.get("strongest_index") or []
    return Picture(run, unit, {}, run.file(f"thumbs/{int(strongest[0])}.jpg") if strongest else None)


def _keys(addresses: Sequence[str], site: str) -> list[str]:
    keys: list[str] = []
    for address in addresses:
        key = address.replace(site, "", 1)
        whole = "@" in key or key.startswith(("text:", "-text:", "image:", "-image:"))
        key = tidy(key if whole else key.replace(":", "", 1))
        keys.append(key if key not in keys[-8:] else f"{key}~{len(keys)}")
    return keys


def _strip(run: Run, relative: Any) -> Path | None:
    if not relative or not str(relative).startswith("images/"):
        return None
    return run.file("progress" + str(relative).removeprefix("images"))


def _read_summary(path: Path) -> dict[str, float]:
    if not (path / "summary.json").is_file():  # a courtesy of fit
        return {}
    try:
        content = read_json(path / "summary.json")
    except VitvisError:
        return {}
    known = content if isinstance(content, dict) and Ledger(path).is_whole("summary.json") else {}
    return {str(key): float(value) for key, value in known.items() if isinstance(value, int | float)}


def _name_apart(runs: Sequence[Run]) -> None:
    names = [run.name for run in runs]
    for run in runs:
        if names.count(run.name) > 1:
            run.name = f"{run.path.resolve().parent.name} / {run.name}"


def _mark_differences(runs: Sequence[Run]) -> None:
    flat = [flatten_values(run.manifest.get("recipe") or {}) for run in runs]
    names = dict.fromkeys(name for settings in flat for name in settings)
    varied = [name for name in names if len({json.dumps(settings.get(name), default=str) for settings in flat}) > 1]
    for run, settings in zip(runs, flat, strict=True):
        run.differs = {name: settings[name] for name in varied if name in settings}
