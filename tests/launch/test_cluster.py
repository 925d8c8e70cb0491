"""`launch=`: shards handed to a scheduler; SLURM by a stand-in that keeps what it gets, local by submitit itself."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.commands import check
from tests.fit.test_command import ARGV, files, pixels, without_timing
from vitvis.cli import find_command
from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit import run
from vitvis.fit.engine import run_fit
from vitvis.fit.settings import FitSettings
from vitvis.launch import cluster
from vitvis.launch.shards import Shard
from vitvis.runs import read_records

LAUNCH = Path(__file__).resolve().parents[2] / "configs" / "launch"


@pytest.fixture()
def slurm(tmp_path, monkeypatch) -> Path:
    """A folder with an `sbatch` that numbers jobs from 71 and keeps their files, and an `srun` that is only there."""
    pytest.importorskip("submitit")
    folder = tmp_path / "slurm"
    folder.mkdir()
    (folder / "sbatch").write_text(
        f'#!/bin/sh\nn=$((71 + $(ls {folder}/*.sbatch 2>/dev/null | wc -l)))\ncp "$1" {folder}/$n.sbatch\n'
        "echo Submitted batch job $n\n"
    )
    (folder / "srun").write_text("#!/bin/sh\n")
    for name in ("sbatch", "srun"):
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_slurm_gets_an_array_that_goes_back_into_the_queue_and_a_job_that_joins(slurm, tmp_path, capsys) -> None:
    words = ["launch=slurm", "launch.shards=64", "launch.array=16", "launch.partition=gpu", "launch.minutes=90",
             "launch.memory=32", f"launch.logs={tmp_path / 'logs'}", "launch.setup=[source a.sh, module load cuda]",
             "units=blocks.*.mlp:*", f"out={tmp_path / 'run'}", "steps=7"]  # fmt: skip
    assert find_command("fit").main(words) == 0
    array, last = ((slurm / f"{number}.sbatch").read_text().splitlines() for number in (71, 72))
    for line in ("--array=0-63%16", "--partition=gpu", "--time=90", "--mem=32GB", "--gpus-per-node=1", "--requeue",
                 "--cpus-per-task=8", "--signal=USR2@120", "--open-mode=append", "--job-name=vitvis-fit"):  # fmt: skip
        assert f"#SBATCH {line}" in array, line
    assert "source a.sh" in array and "module load cuda" in array
    assert "#SBATCH --dependency=afterany:71" in last and "#SBATCH --gpus-per-node=0" in last
    said = capsys.readouterr().out
    assert "64 shards of vitvis.fit are submitted as 71" in said and "job 72 joins them" in said
    assert not (tmp_path / "run").exists()
    from submitit.core.utils import DelayedSubmission

    jobs = [DelayedSubmission.load(path).function for path in sorted((tmp_path / "logs").glob("71_*_submitted.pkl"))]
    assert sorted(job.argv[-1] for job in jobs) == sorted(f"shard={index}/64" for index in range(64))
    settings = merge(FitSettings, Path(jobs[0].argv[3]), [jobs[0].argv[-1]])
    assert settings.units == ["blocks.*.mlp:*"] and settings.steps == 7 and settings.launch.kind == "here"
    assert settings.out == str(tmp_path / "run")


def test_a_job_that_is_told_to_end_ends_its_shard_and_is_to_run_again() -> None:
    submitit = pytest.importorskip("submitit")
    job = cluster.ShardJob("vitvis.fit", Path("a.yaml"), "shard=0/2")
    job._process = process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    again = job.checkpoint()
    assert process.returncode == -signal.SIGTERM
    assert isinstance(again, submitit.helpers.DelayedSubmission) and again.function.argv == job.argv
    job.argv = ["-c", "raise SystemExit(2)"]
    with pytest.raises(RuntimeError, match="ended with status 2"):
        job()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["launch=slurm"], "launch=slurm: Could not detect .srun."),
        (["launch=slurm", "shard=0/2"], "deals out the shards itself"),
        (["launch=slrum"], "did you mean 'slurm'"),
        (["launch=slurm", "launch.gpus=2"], "has to be at most 1"),
    ],
)
def test_what_can_not_be_launched_is_one_line(words, says, tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_command("fit").main([*words, f"launch.logs={tmp_path / 'logs'}"]) == 2
    import re

    assert re.search(says, capsys.readouterr().err)


def test_python_is_told_to_use_shards() -> None:
    with pytest.raises(VitvisError, match="for command lines"):
        run(launch="local")


@pytest.mark.slow
def test_preempted_shards_on_this_machine_end_as_one_run(tmp_path, monkeypatch, capsys) -> None:
    """Two processes; one is told that it is preempted, goes back into the queue, and goes on inside its chunk."""
    pytest.importorskip("submitit")
    more = ["steps=200", "strips=0", "trainer.threads=1"]
    whole, out = tmp_path / "whole", tmp_path / "run"
    plan = run_fit(merge(FitSettings, ARGV, more, {"out": str(whole)})).plan
    assert plan is not None
    owner = {chunk.name: index for index in range(2) for chunk in Shard(index, 2).own(plan.chunks)}
    wait = cluster._await

    def preempt(jobs) -> int:
        end = time.monotonic() + 240
        while not (begun := list((out / "resume").glob("*.ckpt"))) and time.monotonic() < end:
            time.sleep(0.02)
        controller = jobs[owner[begun[0].stem]]._process.pid  # the one that is in the middle of a chunk
        (task,) = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
        os.kill(int(task), signal.SIGUSR2)  # what SLURM sends to each task before it ends a job
        return wait(jobs)

    monkeypatch.setattr(cluster, "_await", preempt)
    words = [*ARGV, *more, f"out={out}", "launch=local", "launch.shards=2", "launch.gpus=0",
             f"launch.logs={tmp_path / 'logs'}"]  # fmt: skip
    assert find_command("fit").main(words) == 0, capsys.readouterr()
    logs = "".join(path.read_text() for path in (tmp_path / "logs").glob("*_log.*"))
    assert "this job is preempted" in logs and "Requeued job" in logs
    assert files(out) - {"atlas"} >= files(whole) and without_timing(read_records(out)) == without_timing(
        read_records(whole)
    )
    for name in files(whole):
        if name.startswith("images/"):
            assert (pixels(out / name) == pixels(whole / name)).all(), name


def test_the_kubernetes_job_is_one(monkeypatch, tmp_path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    job = yaml.safe_load((LAUNCH / "kubernetes.yaml").read_text())
    kubernetes_validate.validate(job, "1.33", strict=True)
    wrong = yaml.safe_load((LAUNCH / "kubernetes.yaml").read_text())
    wrong["spec"]["completionsMode"] = "Indexed"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    _check_shell(container["command"][2], {"JOB_COMPLETION_INDEX": "5"}, monkeypatch, tmp_path)
    assert f"/{job['spec']['completions']}" in container["command"][2]


def test_the_skypilot_task_is_one(monkeypatch, tmp_path) -> None:
    task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
    assert set(task) <= {"name", "resources", "envs", "volumes", "workdir", "setup", "run"}
    _check_shell(task["run"], {**task["envs"], "SHARD": "3/8"}, monkeypatch, tmp_path)
    schemas = pytest.importorskip("sky.utils.schemas", reason="needs skypilot, which brings a hundred packages")
    import jsonschema

    jsonschema.validate(task, schemas.get_task_schema())
    jsonschema.validate(task["resources"], schemas.get_resources_schema())


def _check_shell(text: str, env: dict[str, str], monkeypatch, tmp_path: Path) -> None:
    """Let bash read a line, and the command's own parser what bash made of it."""
    import shlex

    exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in env.items())
    script = exports + 'python() { printf "%s\\0" "$@"; }\n' + text.replace("exec ", "")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    call = ["python", *done.stdout.split("\0")[:-1]]
    assert any(word.startswith("shard=") for word in call)
    check(call, monkeypatch, tmp_path / "mine.yaml")
