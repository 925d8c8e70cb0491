"""The tables and the chart of a run, to Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitvis.config.core import to_container
from vitvis.evaluate.report import clean
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.runs.wandb_mode import wandb_mode

__all__ = ["log_results"]


def log_results(settings: EvaluateSettings, folder: Path, results: dict[str, Any]) -> None:
    """Send rows, differences, sizes and classes as tables, accuracies as numbers, and the chart as an image."""
    import wandb

    chosen = settings.logger
    with wandb.init(
        project=chosen.project,
        entity=chosen.entity,
        name=chosen.name or folder.name,
        job_type="evaluate",
        dir=str(folder),
        config=to_container(settings),
        mode=wandb_mode(chosen.mode),
    ) as run:
        content: dict[str, Any] = {}
        for name in ("rows", "differences", "by_box_size", "per_class"):
            rows = clean(results[name])
            if rows:
                columns = list(dict.fromkeys(key for row in rows for key in row))
                content[name] = wandb.Table(columns=columns, data=[[row.get(key) for key in columns] for row in rows])
        for row in clean(results["rows"]):
            path = "/".join(str(row[key]) for key in ("model", "variant", "fill") if row.get(key))
            for metric in ("top1", "top5", "normalized_top1", "normalized_top5"):
                if row.get(metric) is not None:
                    run.summary[f"{path}/{metric}"] = row[metric]
        content["chart"] = wandb.Image(str(folder / "results.png"))
        run.log(content)
