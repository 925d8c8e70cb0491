"""Work that differs by rank: who does what on several devices and nodes, without talking while at it.

Each rank optimises its own chunks, so ranks have no parameter in common and different numbers of steps. Plain DDP would
broadcast rank 0's images to everybody when it wraps the module, and with a process group alive Lightning broadcasts a
SIGTERM flag on every step. Hence a strategy that wraps nothing and joins a group only once, when the work is done.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.seed import reset_seed
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_only

from vitvis.errors import VitvisError
from vitvis.launch.settings import TrainerSettings

__all__ = ["IndependentStrategy", "is_first", "own", "register", "trainer_arguments"]

T = TypeVar("T")

#: The fastest rank waits this long for the slowest one before the sheet is drawn.
PATIENCE = timedelta(days=14)

#: Environment variable with the process of rank 0, in those that it starts.
_STARTER = "VITVIS_STARTER"


class IndependentStrategy(DDPStrategy):
    """DDP's launchers, ranks and devices without its wrapper, its broadcasts and its process group."""

    def _configure_launcher(self) -> None:
        """Tell the processes that are about to be started who started them."""
        super()._configure_launcher()
        if self.local_rank == 0:
            os.environ[_STARTER] = str(os.getpid())

    def setup_distributed(self) -> None:
        """Learn the ranks; join no process group."""
        reset_seed()
        self.set_world_ranks()

    def on_exception(self, exception: BaseException) -> None:
        """Let the processes that rank 0 has started end with it, when it ends."""
        super().on_exception(exception)
        if self.local_rank == 0 and self._launcher is not None:
            atexit.register(self._launcher.kill, signal.SIGTERM)  # now, Lightning's observer would kill rank 0 as well

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
        """Wait until every rank has come here; the only moment when ranks talk."""
        if self.world_size < 2:
            return
        environment, met = self.cluster_environment, threading.Event()
        if isinstance(environment, LightningEnvironment) and self.local_rank > 0 and _STARTER in os.environ:
            threading.Thread(target=_end_with, args=(int(os.environ[_STARTER]), met), daemon=True).start()
        assert environment is not None
        os.environ.setdefault("MASTER_ADDR", environment.main_address)
        os.environ.setdefault("MASTER_PORT", str(environment.main_port))
        torch.distributed.init_process_group(
            "gloo", rank=self.global_rank, world_size=self.world_size, timeout=PATIENCE
        )
        try:
            torch.distributed.barrier()
        finally:
            met.set()
            torch.distributed.destroy_process_group()


def _end_with(parent: int, met: threading.Event) -> None:
    """End this process when the one that started it is gone: rank 0 was killed, and will never come to the meeting."""
    while not met.wait(0.5):
        if os.getppid() != parent:
            os._exit(1)


def register() -> str:
    """Make `strategy="vitvis_independent"` known to Lightning, for the user's own Trainer; return that name."""
    name = "vitvis_independent"
    if name not in StrategyRegistry:
        StrategyRegistry.register(name, IndependentStrategy, description="every rank its own images, no collectives")
    return name


def is_first() -> bool:
    """Say whether this process is rank 0, as Lightning's last Trainer in it found out."""
    return getattr(rank_zero_only, "rank", 0) == 0


def own(items: Sequence[T], rank: int, world: int) -> list[T]:
    """Return the items of one rank: every `world`-th, so that each gets shallow and deep ones alike.

    The split is over all items, done or not: ranks start at different moments and see different things done.
    """
    return list(items[rank::world])


def trainer_arguments(settings: TrainerSettings) -> dict[str, Any]:
    """Return the arguments of a Trainer that say where it runs.

    Where torchrun or SLURM has started this process, `auto` devices and one node mean those that were started.

    Raises:
        VitvisError: the hardware asked for isn't there.
    """
    accelerator = {"gpu": "gpu", "cuda": "cuda"}.get(settings.accelerator, settings.accelerator)
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise VitvisError(f"trainer.accelerator={accelerator}: this machine has no usable GPU; try auto or cpu")
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"  # mps lacks parts of the augmentations
    devices, nodes = settings.devices, settings.num_nodes
    started_devices, started_nodes = _started()
    if devices in ("auto", None):
        devices = started_devices or (torch.cuda.device_count() if accelerator in ("gpu", "cuda") else 1)
    if nodes == 1 and started_nodes:
        nodes = started_nodes
    count = len(devices) if isinstance(devices, list) else devices
    if not isinstance(count, int) or isinstance(count, bool) or count == 0:
        raise VitvisError(f"trainer.devices={devices}: has to be a number, a list of indices, or auto")
    if accelerator in ("gpu", "cuda") and (count if count > 0 else 1) > torch.cuda.device_count():
        raise VitvisError(f"trainer.devices={devices}: this machine has {torch.cuda.device_count()} GPUs")
    precision = settings.precision
    if precision == "auto":
        precision = "bf16-mixed" if accelerator in ("gpu", "cuda") and torch.cuda.is_bf16_supported() else "32-true"
    many = nodes > 1 or count != 1 or (started_devices or 1) * (started_nodes or 1) > 1
    slurm = _slurm()
    return {
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": nodes,
        "precision": precision,
        "deterministic": settings.deterministic,
        "strategy": IndependentStrategy() if many else "auto",
        "plugins": [slurm] if many and slurm is not None else None,
    }


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
