"""Shards handed to a scheduler through submitit: a job array on SLURM, or processes of this machine to try it.

Each job runs the very command with `shard=I/N` in a process of its own. It is put back into the queue when it is
preempted or its time is up, and goes on where it was; the last shard that ends joins what all have made. A last job
that depends on the array joins once more with `finish=true`, in case shards were lost for good.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from vitvis.config.core import to_container, to_yaml
from vitvis.errors import VitvisError
from vitvis.launch.settings import LaunchSettings
from vitvis.launch.shards import Shard
from vitvis.runs import atomic_write, digest
from vitvis.runs.files import utf8

__all__ = ["ShardJob", "check_here", "launched", "submit"]

S = TypeVar("S")
#: Seconds that a scheduler warns before it ends a job; a step, a chunk's files and a checkpoint take less.
WARNING_S = 120
#: How often a job whose time is up goes back into the queue; of preemptions there is no limit.
TIMEOUTS = 100
#: Seconds between two looks at a process.
POLL_S = 0.1


class ShardJob:
    """One share of a command, as submitit pickles it, runs it, and puts it back into the queue.

    Args:
        command: Module of the command, `vitvis.fit`.
        file: Its settings, YAML.
        share: `shard=I/N`, or `finish=true`.
    """

    def __init__(self, command: str, file: Path, share: str) -> None:
        self.argv = ["-m", command, "--config", str(file), share]
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run it; returns its exit status.

        Raises:
            RuntimeError: it did not end well; the scheduler is to show the job as failed.
        """
        self._process = process = subprocess.Popen([sys.executable, *self.argv])
        while (status := process.poll()) is None:  # `wait` would hold a lock that a signal's handler needs
            time.sleep(POLL_S)
        if status:
            raise RuntimeError(f"{' '.join(self.argv)}: ended with status {status}; its log says why")
        return status

    def checkpoint(self) -> Any:
        """End the process in order; return what is to be run in its place. Called by submitit before a job ends."""
        from submitit.helpers import DelayedSubmission

        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            end = time.monotonic() + WARNING_S / 4
            while process.poll() is None and time.monotonic() < end:
                time.sleep(POLL_S)
            process.kill()
        return DelayedSubmission(self)


def launched(
    command: str, action: Callable[[S, Mapping[str, str]], int | None]
) -> Callable[[S, Mapping[str, str]], int | None]:
    """Return the action of a command that can be handed to a scheduler: `launch=slurm` submits it instead.

    Args:
        command: Its module.
        action: What it does where `launch` says nothing.
    """

    def act(settings: S, options: Mapping[str, str]) -> int | None:
        where: LaunchSettings = settings.launch  # type: ignore[attr-defined]
        if where.kind == "here" or options:
            return action(settings, options)
        return submit(command, settings)

    return act


def check_here(launch: LaunchSettings) -> None:
    """Refuse to start a scheduler's jobs from a call in Python, which has to return what was made.

    Raises:
        VitvisError: `launch` names a scheduler.
    """
    if launch.kind != "here":
        raise VitvisError(f"launch={launch.kind}: is for command lines; from Python give shard= to each process")


def submit(command: str, settings: Any) -> int:
    """Hand a command to a scheduler as shards and say where its logs are; wait for processes of this machine.

    Args:
        command: Its module.
        settings: Of it; `settings.launch` says where it runs.

    Returns:
        The exit status: 1 where a shard on this machine has failed.

    Raises:
        VitvisError: submitit is not installed, or there is no such scheduler.
    """
    try:
        import submitit
    except ImportError:
        raise VitvisError("launch: needs submitit; pip install 'vitvis[slurm]'") from None
    where: LaunchSettings = settings.launch
    logs = Path(where.logs).expanduser().absolute()
    logs.mkdir(parents=True, exist_ok=True)
    plain = to_container(replace(settings, launch=LaunchSettings()))
    plain = {name: value for name, value in plain.items() if name not in ("launch", "shard", "finish")}
    file = logs / f"{command.rpartition('.')[2]}-{digest(plain, 8)}.yaml"
    atomic_write(file, utf8(to_yaml(plain)))
    name = command.replace(".", "-")
    try:
        executor = submitit.AutoExecutor(logs, cluster=where.kind, slurm_max_num_timeout=TIMEOUTS)
    except (RuntimeError, ValueError) as error:
        raise VitvisError(f"launch={where.kind}: {str(error).splitlines()[0]}; try launch=local") from None
    executor.update_parameters(name=name, **_parameters(where))
    with executor.batch():
        jobs = [
            executor.submit(ShardJob(command, file, f"shard={index}/{where.shards}")) for index in range(where.shards)
        ]
    array = jobs[0].job_id.partition("_")[0]
    print(f"{where.shards} shards of {command} are submitted as {array if where.kind == 'slurm' else 'processes'}")
    if where.kind == "slurm":
        last = _parameters(replace(where, gpus=0, array=1)) | {"slurm_dependency": f"afterany:{array}"}
        executor.update_parameters(name=f"{name}-finish", **last)
        print(f"job {executor.submit(ShardJob(command, file, 'finish=true')).job_id} joins them when all have ended")
    print(f"logs    {logs}")
    return 0 if where.kind == "slurm" else _await(jobs)


def _parameters(where: LaunchSettings) -> dict[str, Any]:
    """Return submitit's words for what is asked for."""
    asked = {"partition": where.partition, "account": where.account, "qos": where.qos, "constraint": where.constraint}
    found: dict[str, Any] = {
        "timeout_min": where.minutes,
        "cpus_per_task": where.cpus,
        "gpus_per_node": where.gpus,
        "nodes": 1,
        "tasks_per_node": 1,
        "slurm_signal_delay_s": WARNING_S,
        "slurm_array_parallelism": where.array,
        "slurm_setup": list(where.setup),
        "slurm_additional_parameters": {"requeue": True, "open_mode": "append"},
        **{f"slurm_{key}": value for key, value in asked.items() if value is not None},
    }
    if where.memory is not None:
        found["mem_gb"] = where.memory
    return found


def _await(jobs: list[Any]) -> int:
    """Wait for processes of this machine; name those that have failed."""
    failed = []
    for index, job in enumerate(jobs):
        try:
            job.result()
        except Exception as error:  # submitit's own, of several kinds
            failed.append(f"shard {Shard(index, len(jobs)).name}: {str(error).strip().splitlines()[-1]}")
    print("\n".join(failed), file=sys.stderr, end="\n" if failed else "")
    return 1 if failed else 0
