"""Measure statements one after the other, remember what is done, write the page."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import yaml

from vitvis import __version__
from vitvis.config.core import to_container
from vitvis.errors import VitvisError, nearest
from vitvis.findings import accuracy, agreement, concepts, depth, kinds
from vitvis.findings.bench import ROLES, Bench
from vitvis.findings.finding import Finding, Statement, not_run
from vitvis.findings.page import write_page
from vitvis.findings.settings import STATEMENTS, FindingsSettings
from vitvis.launch.isolation import isolated
from vitvis.runs import atomic_write, check_path, digest, read_manifest
from vitvis.runs.files import utf8

__all__ = ["ALL", "run_findings"]

#: Every statement, in the order of the page.
ALL: tuple[Statement, ...] = (
    Statement("kinds", kinds.measure, needs_data=False),
    Statement("depth", depth.measure),
    Statement("agreement", agreement.measure),
    Statement("background", accuracy.measure_background),
    Statement("lowpass", accuracy.measure_lowpass),
    Statement("tokens", accuracy.measure_tokens),
    Statement("clip", concepts.measure, needs_data=False),
)
#: Settings that change no finding.
_ELSEWHERE = ("only", "notes", "publish", "page", "trainer", "out")


@isolated
def run_findings(settings: FindingsSettings) -> list[Finding]:
    """Measure what `settings.only` names and isn't done yet; write `OUT/findings.md` and `OUT/findings.json`.

    Returns:
        All findings that the folder holds now, in the order of the page.

    Raises:
        VitvisError: settings that can't be followed.
    """
    notes = read_notes(settings.notes)
    out = check_path(settings.out)
    if (out / "manifest.json").exists():
        kind = read_manifest(out)["kind"]
        raise VitvisError(f"out={out}: holds a run of vitvis.{kind}; choose another out=FOLDER")
    bench, key = Bench(settings), _key(settings)
    bench.check()
    log = logging.getLogger("vitvis")
    for statement in (item for item in ALL if item.name in settings.only):
        if _read(out, statement.name, key) is not None:
            continue
        begun = time.perf_counter()
        if statement.needs_data and not settings.data:
            finding = not_run(statement.name, "needs photos (data=parquet:FILE, imagefolder:PATH, ...)")
        else:
            log.info("%s", statement.name)
            finding = statement.measure(bench)
        finding.seconds = round(time.perf_counter() - begun, 1)
        data = json.dumps({"key": key, **finding.to_json()}, indent=1, ensure_ascii=False)
        atomic_write(out / statement.name / "finding.json", utf8(data))
    return _write(settings, notes, bench, key)


def read_notes(path: str | None) -> dict[str, str]:
    """Read remarks by statement.

    Raises:
        VitvisError: no such file, no mapping, no such statement.
    """
    if path is None:
        return {}
    try:
        notes = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise VitvisError(f"notes={path}: can't be read ({error})") from None
    if not isinstance(notes, Mapping):
        raise VitvisError(f"notes={path}: has to hold remarks by statement, such as 'kinds: TEXT'")
    names = (*STATEMENTS, "page")
    for name in notes:
        if name not in names:
            raise VitvisError(f"notes={path}: no statement '{name}'{nearest(str(name), names)}")
    return {str(name): str(text) for name, text in notes.items()}


def _key(settings: FindingsSettings) -> str:
    kept = {name: value for name, value in to_container(settings).items() if name not in _ELSEWHERE}
    return digest({**kept, "version": __version__}, 12)


def _read(out: Path, name: str, key: str) -> Finding | None:
    """Return a finding that was made with these very settings; those that were not run are tried again."""
    try:
        data = json.loads((out / name / "finding.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if data.pop("key", None) != key:
        return None
    finding = Finding.from_json(data)
    missing = [file for file in finding.pictures if not (out / name / file).is_file()]
    return None if missing else finding


def _write(settings: FindingsSettings, notes: dict[str, str], bench: Bench, key: str) -> list[Finding]:
    out = Path(settings.out)

    def published(statement: str, file: str) -> str:
        return f"images/{settings.page}-{statement}-{file}"

    found = {item.name: finding for item in ALL if (finding := _read(out, item.name, key)) is not None}
    about = describe(settings, bench)
    page = write_page(found, about, notes, lambda statement, file: f"{statement}/{file}")
    data = {"about": about, "findings": {name: finding.to_json() for name, finding in found.items()}}
    atomic_write(out / "findings.json", utf8(json.dumps(data, indent=1, ensure_ascii=False) + "\n"))
    atomic_write(out / "findings.md", utf8(page))
    if settings.publish:
        target = Path(settings.publish)
        (target / "images").mkdir(parents=True, exist_ok=True)
        for name, finding in found.items():
            for file in finding.pictures:
                shutil.copyfile(out / name / file, target / published(name, file))
        page = write_page(found, about, notes, published)
        atomic_write(target / f"{settings.page}.md", utf8(page))
    return list(found.values())


def describe(settings: FindingsSettings, bench: Bench) -> dict[str, str]:
    """Return what was measured on, in words."""
    lines = {}
    for role, word in zip(ROLES, ("transformer", "CNN"), strict=True):
        backbone = bench.backbone(role)
        height, width = backbone.image_size
        lines[word] = f"`{backbone.name}`, weights `{backbone.weights_id}`, {height} x {width} px"
    if settings.data:
        limited = f", the first {settings.limit:,}" if settings.limit else ""
        lines["photos"] = f"`{settings.data.rpartition('/')[2]}`, {bench.source.length or 0:,} photos{limited}"
    lines["images"] = (
        f"{settings.units} units of each kind at each depth, seed {settings.seed}; photos of {settings.more} units more"
    )
    lines["vitvis"] = __version__
    return lines
