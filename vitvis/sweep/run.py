"""The command `sweep`, from a shell and from Python."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.config import Command, Layer, Option, merge, ready, to_container
from vitvis.errors import VitvisError
from vitvis.sweep.settings import SweepSettings

if TYPE_CHECKING:
    from vitvis.sweep.comparison import Comparison

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> Comparison:
    """Run a sweep file on this machine, or compare runs that are there; write the comparison into its folder.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.sweep.run(spec="sweeps/tv.yaml", run_cap=4)`, or
            `vitvis.sweep.run(report=["out/a", "out/b"], out="out/comparison")`.

    Returns:
        The trials and what they were compared by; its `folder` holds `index.html`.

    Raises:
        VitvisError: settings that can't be followed.
    """
    asked = ready(merge(SweepSettings, cfg, settings))
    if asked.report and (asked.spec or asked.overrides):
        raise VitvisError("--report runs nothing: leave out the sweep file and what follows --")
    if not asked.report and not asked.spec:
        raise VitvisError("give a sweep file (python -m vitvis.sweep sweeps/tv.yaml) or --report RUN RUN")
    comparison = _report(asked) if asked.report else _run(asked)
    from vitvis.sweep.report import write_report

    if (comparison.folder / "trials").is_dir() and comparison.winner is not None:
        _write_atlas(comparison.folder, comparison.name)
    write_report(comparison.folder, comparison)
    return comparison


def _act(settings: SweepSettings, options: Mapping[str, str]) -> int:
    comparison = run(settings)
    _print_table(comparison)
    if comparison.shared is not None and comparison.shared.sentence:
        print(comparison.shared.sentence)
    print(f"comparison in {comparison.folder / 'index.html'}", flush=True)
    return 0 if comparison.winner is not None else 1


COMMAND = Command(
    name="vitvis.sweep",
    settings=SweepSettings,
    action=_act,
    summary="compare recipes",
    description="Run a W&B sweep file on this machine, without an account or a network, and compare the settings: the "
    "same units side by side, a table, a chart, the best setting as a recipe. What follows a -- is laid over every "
    "trial.",
    examples=(
        "python -m vitvis.sweep sweeps/tv.yaml",
        "python -m vitvis.sweep sweeps/bayes.yaml run_cap=12 workers=2 -- units='blocks.{2,8}.mlp:0-7'",
        "python -m vitvis.sweep sweeps/tv.yaml search=runs/search/vitvis_vit",
        "python -m vitvis.sweep --report out/sweeps/tv",
        "python -m vitvis.sweep --report RUN RUN RUN out=out/comparison",
        "wandb sweep sweeps/tv.yaml && wandb agent ENTITY/PROJECT/ID",
    ),
    words="spec",
    rest="overrides",
    options={"--report": Option("compare these runs or sweeps and run nothing", "RUN...", words="report")},
)
main = COMMAND.main


def _run(settings: SweepSettings) -> Comparison:
    from vitvis.runs import RunFolder
    from vitvis.sweep import Comparison, SweepRunner, SweepStudy, read_spec
    from vitvis.sweep.check import check_command, check_settings, drives_fit
    from vitvis.sweep.children import find_slots
    from vitvis.sweep.runner import check_study
    from vitvis.sweep.shared import compare_on_shared
    from vitvis.sweep.study import find_cap

    spec = read_spec(settings.spec or "")
    if drives_fit(spec):
        check_settings(spec, settings.overrides)
    find_cap(spec, settings.run_cap)
    check_command(spec)
    slots = find_slots(settings.devices, settings.workers)
    best = _best(settings)
    folder = Path(settings.out or Path("out") / "sweeps" / spec.path.stem)
    identity = {name: getattr(settings, name) for name in ("overrides", "seed", "search")} | {"sweep": spec.identity()}
    with RunFolder.open(folder, kind="sweep", settings=to_container(settings), identity=identity) as run:
        study = SweepStudy(
            spec,
            folder,
            seed=settings.seed,
            run_cap=settings.run_cap,
            known=lambda known: check_study(known, folder, settings.overrides, best),
        )
        if settings.retry:
            study.queue_failed()
        print(f"{spec.name}: {study.cap} trials, {len(slots)} at once, in {folder}", flush=True)
        runner = SweepRunner(
            study, run, slots, overrides=settings.overrides, best=best, give_up=settings.give_up, poll_s=settings.poll_s
        )
        trials = runner.run()
    shared = compare_on_shared(trials, spec.metric, best)
    size = settings.columns, settings.rows
    return Comparison(spec.name, trials, spec.metric, spec.description, best, *size, shared, folder)


def _report(settings: SweepSettings) -> Comparison:
    from vitvis.runs import check_path, read_manifest
    from vitvis.sweep import Comparison
    from vitvis.sweep.shared import compare_on_shared
    from vitvis.sweep.trials import read_sweep_or_runs

    single = settings.report[0] if len(settings.report) == 1 else None
    inside = single if single and read_manifest(single)["kind"] == "sweep" else None
    folder = check_path(settings.out or inside or Path("out") / "comparison")
    if (folder / "manifest.json").exists() and (inside is None or folder.resolve() != Path(inside).resolve()):
        kind = read_manifest(folder)["kind"]
        raise VitvisError(f"out={folder}: holds a run of vitvis.{kind}, whose files would be replaced; choose another")
    best = _best(settings)
    name, description, metric, trials = read_sweep_or_runs(settings.report, best)
    shared = compare_on_shared(trials, metric, best)
    size = settings.columns, settings.rows
    return Comparison(name, trials, metric, description, best, *size, shared, folder)


def _write_atlas(folder: Path, title: str) -> None:
    """Write one atlas for all trials, which the page links to; a sweep of another program's runs has none."""
    from vitvis.atlas import write_atlas

    try:
        write_atlas([folder], folder / "atlas", title=title, link=True)
    except VitvisError as error:
        print(f"no atlas: {error}")


def _best(settings: SweepSettings) -> dict[str, float] | None:
    from vitvis.runs.summary import dataset_best

    return dataset_best(settings.search) if settings.search else None


def _print_table(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    from vitvis.sweep.charts import label_of, text_of
    from vitvis.sweep.report import table_rows

    rows = table_rows(comparison)
    settings = set(comparison.trials[0].settings) if comparison.trials else set()
    shown = {
        "trial",
        *settings,
        comparison.metric.name,
        "strength",
        "selectivity",
        "clearness",
        "contrast",
        "rank",
        "hf_share",
        "dead_share",
        "seconds",
        "state",
    }
    columns = [name for name in (rows[0] if rows else {}) if name in shown]
    table = Table(box=None)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        texts = [label_of(name, row[name]) if name in settings else row[name] for name in columns]
        table.add_row(
            *("–" if text is None else f"{text:.3g}" if isinstance(text, float) else text_of(text) for text in texts)
        )
    console = Console(file=sys.stdout, width=1000)  # a line that is too long for the terminal may wrap, a word may not
    console.width = Measurement.get(console, console.options, table).maximum
    console.print(table)
