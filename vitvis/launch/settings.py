"""Settings that say where work is done and where its curves go; they decide no picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config.core import setting

__all__ = ["LoggerSettings", "TrainerSettings"]


@dataclass
class TrainerSettings:
    """Where the work is done: Lightning's own launchers, several devices and nodes, precision."""

    accelerator: str = setting("auto", "hardware", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    devices: Any = setting("auto", "devices on this machine: a number, a list of indices, or auto")
    num_nodes: int = setting(1, "machines", minimum=1)
    precision: str = setting("auto", "auto: bf16-mixed on a GPU, 32-true on a CPU; the image stays float32",
                             choices=("auto", "32-true", "bf16-mixed"))  # fmt: skip
    compile: bool = setting(False, "compile the tapped backbone (worth it from about 20 chunks of one site)")
    compile_mode: str = setting("default", "of compiling: reduce-overhead records CUDA graphs, for models so small "
                                "that a GPU waits for its orders", choices=("default", "reduce-overhead"))  # fmt: skip
    checkpoint_every: int = setting(100, "steps between the small checkpoints a killed run resumes from; 0: none",
                                    unit="steps", minimum=0)  # fmt: skip
    threads: int = setting(0, "CPU threads a process may use; 0: torch's own choice", minimum=0)
    deterministic: bool = setting(False, "use deterministic kernels where there are any (slower on a GPU)")
    progress: str = setting("auto", "auto: a bar on a terminal, plain lines elsewhere",
                            choices=("auto", "bar", "lines", "none"))  # fmt: skip


@dataclass
class LoggerSettings:
    """Where curves, sheets and images over time go, beside the run folder."""

    kind: list[str] = setting(["csv"], "one or more of these", choices=("csv", "wandb", "tensorboard", "none"))
    mode: str = setting("auto", "W&B: auto is online with an API key, else offline",
                        choices=("auto", "online", "offline", "disabled"))  # fmt: skip
    project: str = setting("vitvis", "W&B project")
    entity: str | None = setting(None, "W&B team or user")
    name: str | None = setting(None, "name of the run in the logger; the folder's name when null")
    group: str | None = setting(None, "W&B group")
    tags: list[str] = setting([], "W&B tags")
    every: int = setting(10, "log the loss terms every so many steps", unit="steps", minimum=1)
    images: int = setting(4, "units a logger gets images of while they form", unit="units", minimum=0)
