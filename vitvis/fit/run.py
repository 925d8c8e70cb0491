"""The command `fit`, from a shell and from Python."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.config import Command, Layer, Option, merge, ready
from vitvis.fit.settings import FitSettings
from vitvis.launch.cluster import check_here, launched
from vitvis.launch.forks import may_fork

if TYPE_CHECKING:
    from vitvis.fit.engine import Fit

__all__ = ["COMMAND", "FitRun", "main", "run"]

#: Columns of a run's table in a notebook.
_SHOWN = ("address", "seed", "status", "activation", "rank", "hf_share", "seconds")
_SHEET = 1200  # px


class FitRun(list[dict[str, Any]]):
    """The records of a fit, one a unit and seed; in a notebook they show themselves.

    Args:
        records: The records.
        path: The run folder.
        summary: Score and its parts; only on rank 0.
        sheet: The contact sheet; None where there is none yet.

    >>> FitRun([{"address": "head:3"}], Path("out/run"))[0]["address"]
    'head:3'
    """

    def __init__(
        self,
        records: Iterable[dict[str, Any]],
        path: Path,
        summary: Mapping[str, float] | None = None,
        sheet: Path | None = None,
    ) -> None:
        super().__init__(records)
        self.path, self.summary, self.sheet = path, dict(summary or {}), sheet

    def atlas(self) -> Path:
        """Return the page of the run's atlas; it is written if it isn't there."""
        page = self.path / "atlas" / "index.html"
        if not page.is_file():
            from vitvis.atlas import write_atlas

            write_atlas([self.path], page.parent, title=self.path.name, link=True)
        return page

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"{len(self)} images in {self.path}")

    def _repr_html_(self) -> str:
        from urllib.parse import quote

        from vitvis.draw import html

        parts = [f"<b>{len(self)} images in <code>{html.escape(str(self.path))}</code></b>"]
        if self.sheet is not None and self.sheet.is_file():
            parts.append(f'<img src="{html.data_uri(self.sheet, _SHEET)}" alt="Contact sheet" style="max-width:100%">')
        ordered = sorted(self, key=lambda record: (record["depth"], record["site"], record["unit"], record["seed"]))
        parts.append(html.table([{name: record.get(name) for name in _SHOWN} for record in ordered]))
        if self.sheet is not None:
            page = self.atlas()
            link = f'<a href="{quote(page.as_posix())}" target="_blank">Open the atlas</a> ({html.escape(str(page))})'
            serve = html.escape(f"python -m vitvis.atlas {self.path} --serve")
            parts.append(f"<p>{link}; where a notebook may not show pages with scripts: <code>{serve}</code></p>")
        return "\n".join(parts)


def run(cfg: Layer = None, /, **settings: Any) -> FitRun:
    """Optimise images for units.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.fit.run(model="vit_tiny_patch16_224", units="head:207")`.

    Returns:
        One record a unit and seed, those that the folder held already among them: a list that knows its folder (`path`)
        and shows sheet, table and atlas in a notebook.

    Raises:
        VitvisError: settings that can't be followed.
    """
    asked = ready(merge(FitSettings, cfg, settings))
    check_here(asked.launch)
    done = _run(asked)
    return FitRun(done.records, done.path, done.summary, done.sheet)


def _run(settings: FitSettings, *, forks: bool = False) -> Fit:
    from vitvis.fit.engine import run_fit

    verdicts = None
    if settings.judge.model is not None or settings.judge.search is not None:
        from vitvis.judge.live import verdicts_of

        verdicts = verdicts_of(settings)
    return run_fit(settings, verdicts=verdicts, forks=forks)


def _act(settings: FitSettings, options: Mapping[str, str]) -> None:
    began, forks = time.perf_counter(), may_fork()
    original = options.get("--from-png")
    if original is not None:
        from vitvis.fit.rebuild import check_paths_given

        check_paths_given(original, settings)
    from vitvis.fit.report import compare, report

    if "--dry-run" in options:
        from vitvis.fit.cost import estimate
        from vitvis.fit.plan import make_plan
        from vitvis.fit.suiting import choose_precision, choose_processes

        plan = choose_precision(make_plan(settings))
        count, setup = choose_processes(plan) if forks else 1, time.perf_counter() - began
        if count > 1:  # each on a thread of its own
            plan = replace(plan, settings=replace(settings, trainer=replace(settings.trainer, threads=1)))
        print(replace(estimate(plan, setup), forks=count).text())
        return
    done = _run(settings, forks=forks)
    if not done.primary:
        return
    if original is not None:
        print(compare(Path(original), done))
        return
    from vitvis.atlas import write_atlas

    print(report(done))
    if done.sheet is None:  # a shard, and not the last
        return
    print(f"atlas   {write_atlas([done.path], done.path / 'atlas', title=done.path.name, link=True).path}")


def _from_png(file: str) -> dict[str, Any]:
    from vitvis.fit.rebuild import rebuild_settings

    return rebuild_settings(file)


COMMAND = Command(
    name="vitvis.fit",
    settings=FitSettings,
    action=launched("vitvis.fit", _act),
    summary="optimise an image for any unit of any timm model",
    description="Optimise an image for each unit that is asked for, and leave a folder with the images, a record of "
    "each, and a contact sheet. The same command run again does only what is missing.",
    examples=(
        "python -m vitvis.fit",
        "python -m vitvis.fit model=vit_base_patch16_224 units='blocks.*.mlp:0-7'",
        "python -m vitvis.fit --config configs/ghiasi2022.yaml weights=FILE trainer.devices=8",
        "python -m vitvis.fit --dry-run units='blocks.*.mlp:*'",
        "python -m vitvis.fit --from-png out/RUN/images/blocks.4.mlp/17_s0.png out=again",
    ),
    options={
        "--dry-run": Option("print the plan (units, chunks, time, disk) and stop; nothing is written"),
        "--from-png": Option(
            "make the image of a PNG again, from what the file says, and compare the two", "FILE", layer=_from_png
        ),
    },
)
main = COMMAND.main
