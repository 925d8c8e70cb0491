"""Settings that say where work is done and where its curves go; they decide no picture."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting
from vitvis.config.parsers import parse_devices
from vitvis.errors import VitvisError

__all__ = ["LaunchSettings", "LoggerSettings", "PlaceSettings", "TrainerSettings", "check_shard"]


@dataclass
class PlaceSettings:
    """Where the work is done: Lightning's own launchers, several devices and nodes."""

    accelerator: str = setting("auto", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    """Hardware."""
    devices: str | int | list[int] = setting("auto", parser=parse_devices)
    """Processes on this machine, one a device: a number, a list of indices, or auto."""
    num_nodes: int = setting(1, minimum=1, maximum=limits.PROCESSES)
    """Machines."""
    threads: int = setting(0, minimum=0, maximum=limits.PROCESSES)
    """CPU threads a process may use; 0: torch's own choice."""
    progress: str = setting("auto", choices=("auto", "bar", "lines", "none"))
    """auto: a bar on a terminal, plain lines elsewhere."""


@dataclass
class TrainerSettings(PlaceSettings):
    """Where the work of a fit is done, and how."""

    precision: str = setting("auto", choices=("auto", "32-true", "bf16-mixed"))
    """auto: bf16-mixed on a GPU that has it, and on a CPU where it is faster by half; the image stays float32."""
    compile: bool = setting(False)
    """Compile the tapped backbone (worth it from about 20 chunks of one site)."""
    compile_mode: str = setting("default", choices=("default", "reduce-overhead"))
    """Of compiling: reduce-overhead records CUDA graphs, for models so small that a GPU waits for its orders."""
    checkpoint_every: int = setting(100, unit="steps", minimum=0, maximum=limits.STEPS)
    """Steps between the small checkpoints a killed run resumes from; 0: none."""
    deterministic: bool = setting(False)
    """Use deterministic kernels where there are any (slower on a GPU)."""


@dataclass
class LoggerSettings:
    """Where curves, sheets and images over time go, beside the run folder."""

    kind: list[str] = setting(["csv"], choices=("csv", "wandb", "tensorboard", "none"), length=(1, 4), unique=True)
    """One or more of these."""
    mode: str = setting("auto", choices=("auto", "online", "offline", "disabled"))
    """W&B: auto is online with an API key, else offline."""
    project: str = setting("vitvis")
    """W&B project."""
    entity: str | None = setting(None)
    """W&B team or user."""
    name: str | None = setting(None)
    """Name of the run in the logger; the folder's name when null."""
    group: str | None = setting(None)
    """W&B group."""
    tags: list[str] = setting([])
    """W&B tags."""
    every: int = setting(10, unit="steps", minimum=1, maximum=limits.STEPS)
    """Log the loss terms every so many steps."""
    images: int = setting(4, unit="units", minimum=0, maximum=limits.COUNT)
    """Units a logger gets images of while they form."""


@dataclass
class LaunchSettings:
    """Hand the work to a scheduler as shards and return; `launch=slurm` is short for `launch.kind=slurm`."""

    kind: str = setting("here", choices=("here", "local", "slurm"))
    """here: this process; slurm: a job array; local: processes of this machine, to try what slurm would do."""
    shards: int = setting(8, minimum=1, maximum=limits.PROCESSES)
    """Jobs that the work is shared out to."""
    array: int = setting(256, unit="jobs", minimum=1, maximum=limits.PROCESSES)
    """Jobs of the array that may run at the same time."""
    partition: str | None = setting(None)
    """Partition of the cluster; its default when null."""
    account: str | None = setting(None)
    """Account that pays."""
    qos: str | None = setting(None)
    """Quality of service."""
    constraint: str | None = setting(None)
    """Features that nodes need to have."""
    gpus: int = setting(1, unit="GPUs", minimum=0, maximum=1)
    """Of each job: a shard is one process, and uses one."""
    cpus: int = setting(8, unit="cores", minimum=1, maximum=limits.PROCESSES)
    """Of each job."""
    memory: int | None = setting(None, unit="GiB", minimum=1, maximum=limits.COUNT)
    """Of each job; the cluster's default when null."""
    minutes: int = setting(240, unit="minutes", minimum=3, maximum=limits.COUNT)
    """Time of each job; one whose time is up goes back into the queue and goes on."""
    setup: list[str] = setting([])
    """Lines of shell before the command, such as source ~/vitvis/.venv/bin/activate."""
    logs: str = setting("out/launch", path="out")
    """Folder for what jobs print; it has to be on a disk that nodes see, as the run folder has."""


def check_shard(shard: str | None, finish: bool, place: PlaceSettings, launch: LaunchSettings) -> None:
    """Refuse a shard that is to join all of them as well, that is to be several processes, or several jobs.

    Raises:
        VitvisError: naming the settings that do not go together.
    """
    if shard and finish:
        raise VitvisError(f"shard={shard} finish=true: does a part, or joins all of them; give one of the two")
    if shard and (place.devices not in ("auto", 1) or place.num_nodes > 1):
        raise VitvisError(f"shard={shard}: is one process; start more shards in place of trainer.devices")
    if launch.kind != "here" and (shard or finish):
        raise VitvisError(f"launch={launch.kind}: deals out the shards itself; leave shard= and finish= out")
