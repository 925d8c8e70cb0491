"""Work that differs by rank: who does what on several devices and nodes, without talking while at it.

Each rank optimises its own chunks, so ranks have no parameter in common and different numbers of steps. Plain DDP would
broadcast rank 0's images to everybody when it wraps the module, and with a process group alive Lightning broadcasts a
SIGTERM flag on every step. Hence a strategy that wraps nothing, joins no group, and lets ranks meet when all is done.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.seed import reset_seed
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_only

from vitvis.errors import VitvisError
from vitvis.launch.settings import TrainerSettings
from vitvis.signals import STARTER, stop_with

__all__ = [
    "IndependentStrategy",
    "check_nodes",
    "device_of",
    "is_first",
    "register",
    "resolve_precision",
    "trainer_arguments",
]


#: A rank waits this long for rank 0 to be where ranks meet.
PATIENCE = timedelta(days=14)

#: Seconds between two looks of one rank for another.
POLL = 0.2
#: Status of a rank whose rank 0 is gone.
EXIT_ORPHAN = 1
#: How CUDA's allocator is told to give memory back in parts; by its old name and its new one.
_ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")


class IndependentStrategy(DDPStrategy):
    """DDP's launchers, ranks and devices without its wrapper, its broadcasts and its process group.

    Args:
        bound: whether ranks that rank 0 has started end when it ends; they have to `meet` then, or the slower ones
            end with work undone.
        arguments: of DDPStrategy.
    """

    def __init__(self, *, bound: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.bound = bound

    def setup_distributed(self) -> None:
        """Learn the ranks; join no process group. Rank 0 and the ranks that it has started watch each other."""
        reset_seed()
        self.set_world_ranks()
        if self.bound and isinstance(self.cluster_environment, LightningEnvironment):
            watch = self._watch_children if self.local_rank == 0 else self._watch_starter
            dismiss_observer()
            threading.Thread(target=watch, name="vitvis-ranks", daemon=True).start()

    def _watch_starter(self) -> None:
        """End this process when rank 0, which has started it, is gone."""
        noted = os.environ.get(STARTER, "")
        starter = int(noted) if noted not in ("", str(os.getpid())) else os.getppid()
        while os.getppid() == starter:
            time.sleep(POLL)
        os._exit(EXIT_ORPHAN)

    def _watch_children(self) -> None:
        """End this process in order when one that it has started has died, and say so."""
        children = list(getattr(self.launcher, "procs", ()))
        while children and not any(child.poll() for child in children):
            children = [child for child in children if child.returncode is None]
            time.sleep(POLL)
        for child in children:
            if child.returncode:
                status = child.returncode
                how = f"by signal {-status}" if status < 0 else f"with status {status}"
                return stop_with(f"process {child.pid} of this run ended {how}, so the others end too")

    def setup(self, trainer: pl.Trainer) -> None:
        """Bring the module to its device; outside of fitting DDP would send rank 0's tensors to all ranks here."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().setup(trainer)
            return
        assert self.accelerator is not None and self.model is not None
        self.accelerator.setup(trainer)
        self.precision_plugin.convert_module(self.model)
        self.model_to_device()
        self.setup_precision_plugin()

    def configure_ddp(self) -> None:
        """Leave the module as it is: every rank keeps its own images."""

    def meet(self) -> None:
        """Let rank 0 wait until every rank has come here; the only moment when ranks talk.

        Through a store and not a barrier, which neither a signal nor the death of a rank would end.
        """
        environment = self.cluster_environment
        if self.world_size < 2 or environment is None:
            return
        theirs = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun keeps a store at that address
        store = torch.distributed.TCPStore(
            environment.main_address,
            environment.main_port,
            is_master=self.global_rank == 0 and not theirs,
            timeout=PATIENCE,
            wait_for_workers=False,
        )
        start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # torchrun's store outlives a start
        if self.global_rank:
            store.set(f"vitvis/{start}/{self.global_rank}", "here")
            return
        keys = [f"vitvis/{start}/{rank}" for rank in range(1, self.world_size)]
        while not store.check(keys):
            time.sleep(POLL)


def dismiss_observer() -> None:
    """Let Lightning's own watch over the ranks end: it would kill all of them, where this one ends them in order."""
    for thread in threading.enumerate():
        if thread.name == "child-process-observer":  # looks every five seconds, by `_run`; True: it has seen enough
            thread._run = lambda: True  # type: ignore[attr-defined]


def register() -> str:
    """Make `strategy="vitvis_independent"` known to Lightning, for the user's own Trainer; return that name."""
    name = "vitvis_independent"
    if name not in StrategyRegistry:
        StrategyRegistry.register(name, IndependentStrategy, description="every rank its own images, no collectives")
    return name


def is_first() -> bool:
    """Say whether this process is rank 0, as Lightning's last Trainer in it found out."""
    return getattr(rank_zero_only, "rank", 0) == 0


def trainer_arguments(settings: TrainerSettings, *, alone: bool = False) -> dict[str, Any]:
    """Return the arguments of a Trainer that say where it runs.

    Where torchrun or SLURM has started this process, `auto` devices and one node mean those that were started.

    Args:
        settings: Hardware, processes, precision.
        alone: One process, whatever torchrun or SLURM have started beside it: a shard.

    Raises:
        VitvisError: the hardware asked for isn't there.
    """
    if not any(name in os.environ for name in _ALLOCATOR):  # read with the first call of CUDA, and never again
        os.environ.update(dict.fromkeys(_ALLOCATOR, "expandable_segments:True"))
    accelerator = _accelerator(settings.accelerator)
    on_gpu = accelerator == "cuda"
    devices, nodes = (1, 1) if alone else (settings.devices, settings.num_nodes)
    started_devices, started_nodes = (0, 0) if alone else _started()
    if devices in ("auto", None):
        devices = started_devices or (torch.cuda.device_count() if on_gpu else 1)
    if nodes == 1 and started_nodes:
        nodes = started_nodes
    count = _count(devices, torch.cuda.device_count() if on_gpu else None)
    many = nodes > 1 or count > 1 or (started_devices or 1) * (started_nodes or 1) > 1
    if many and os.environ.get("LOCAL_RANK", "0") == "0":
        os.environ[STARTER] = str(os.getpid())
    slurm = None if alone else _slurm()
    return {
        "accelerator": accelerator,
        "devices": devices if isinstance(devices, list) else count,
        "num_nodes": nodes,
        "precision": resolve_precision(settings.precision, accelerator),
        # Some kernels have no deterministic way back on a GPU (sampling of a grid): those warn.
        "deterministic": ("warn" if on_gpu else True) if settings.deterministic else False,
        "strategy": IndependentStrategy(bound=True) if many else "auto",
        "plugins": [LightningEnvironment()] if alone else [slurm] if many and slurm is not None else None,
    }


def check_nodes(arguments: Mapping[str, Any]) -> None:
    """Check that somebody has started the other nodes; alone, this one would wait for them for ever.

    Args:
        arguments: of a Trainer, from `trainer_arguments`.

    Raises:
        VitvisError: several nodes are asked for, and nothing says where they are.
    """
    nodes, known = arguments["num_nodes"], ("MASTER_ADDR", "LSB_JOBID", "SLURM_JOB_ID")
    if nodes > 1 and not any(name in os.environ for name in known):
        raise VitvisError(
            f"trainer.num_nodes={nodes}: start every node by torchrun or srun, or set MASTER_ADDR and NODE_RANK on each"
        )


def resolve_precision(precision: str, accelerator: str) -> str:
    """Return what `trainer.precision=auto` means: bfloat16 on a GPU that has it and does not emulate it."""
    if precision != "auto":
        return precision
    able = accelerator == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if able else "32-true"


def device_of(arguments: Mapping[str, Any]) -> torch.device:
    """Return where the process works that has these arguments of a Trainer; its first device, where it has several."""
    if arguments["accelerator"] != "cuda":
        return torch.device(arguments["accelerator"])
    devices = arguments["devices"]
    return torch.device("cuda", devices[0] if isinstance(devices, list) else 0)


def _accelerator(asked: str) -> str:
    """Return `cuda`, `cpu` or `mps`."""
    if asked in ("gpu", "cuda") and not torch.cuda.is_available():
        raise VitvisError(f"trainer.accelerator={asked}: this machine has no usable GPU; try auto or cpu")
    if asked == "mps" and not torch.backends.mps.is_available():
        raise VitvisError("trainer.accelerator=mps: this machine has no usable Apple GPU; try auto or cpu")
    if asked == "auto":  # mps lacks parts of the augmentations
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cuda" if asked == "gpu" else asked


def _count(devices: Any, available: int | None) -> int:
    """Return how many devices are asked for; `available` is the number of GPUs, None on a CPU."""
    wrong = VitvisError(f"trainer.devices={devices}: has to be a number, a list of indices, or auto")
    if isinstance(devices, list):
        if not devices or not all(type(item) is int and item >= 0 for item in devices):
            raise wrong
        if available is None:
            raise VitvisError(f"trainer.devices={devices}: indices name GPUs; on a CPU give a number of processes")
        highest, count = max(devices) + 1, len(set(devices))
        if count < len(devices):
            raise VitvisError(f"trainer.devices={devices}: names a GPU twice")
    else:
        if type(devices) is not int or devices == 0 or devices < -1:
            raise wrong
        highest = count = devices if devices > 0 else available or 1  # -1: all there are
    if available is not None and highest > available:
        raise VitvisError(f"trainer.devices={devices}: this machine has {available} GPUs")
    return count


def _slurm() -> SLURMEnvironment | None:
    """Return the SLURM job that this process is a task of, if it is one.

    A requeued job finds its way by the run folder; Lightning's own checkpoint would restore another rank's chunk.
    """
    try:
        return SLURMEnvironment(auto_requeue=False) if SLURMEnvironment.detect() else None
    except RuntimeError as error:  # tasks that are not counted by node
        raise VitvisError(f"SLURM: {error}") from None


def _started() -> tuple[int, int]:
    """Return processes a node and nodes as torchrun or SLURM started them; zeros when neither did."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        local = int(env.get("LOCAL_WORLD_SIZE", "1"))
        return local, int(env.get("WORLD_SIZE", "1")) // local
    if _slurm() is not None and int(env.get("SLURM_NTASKS", "1")) > 1:
        nodes = int(env.get("SLURM_NNODES", env.get("SLURM_JOB_NUM_NODES", "1")))
        return int(env["SLURM_NTASKS"]) // nodes, nodes
    return 0, 0
