"""What a machine can do: the measured rate of its matrix products, FLOPs of a step, memory."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def matmul_rate(
    device: torch.device,
    dtype: torch.dtype,
    side: int | None = None,
    repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return FLOP/s of the best of some square matrix products."""
    side = side or (8192 if device.type == "cuda" else 2048)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats + 1):
        synchronize(device)
        began = clock()
        a @ b
        synchronize(device)
        best = min(best, clock() - began)
    return 2 * side**3 / best


def count_flops(work: Callable[[], object]) -> int:
    """Return the FLOPs of matrix products and convolutions that `work` does, by the shapes it meets.

    Attention goes the plain way meanwhile: of fused kernels, which each processor picks for itself, torch counts some,
    and with some of them products that are done twice.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def vit_step_flops(tokens: int, width: int, hidden: int, patch: int, block: int, *, shortcut: bool = True) -> int:
    """Return FLOPs of a step of one copy of a plain ViT: forward to the hidden layer of `block`, back to the image.

    In closed form, to check the counter with. Parameters are frozen, so a layer costs the same backward as forward; the
    two products of attention, of which both sides come from the image, cost twice that.

    Args:
        tokens: with the CLS token.
        width: of the residual stream.
        hidden: neurons of the feed-forward layer.
        patch: side of a patch, pixels.
        block: index of the site's block.
        shortcut: the hidden layer of the last block is read for one unit alone, which counts as nothing.
    """
    linear = 2 * tokens * width * (3 * width + width)  # qkv and the projection
    attention = 2 * 2 * tokens * tokens * width
    mlp = 2 * 2 * tokens * width * hidden
    last = linear + (0 if shortcut else mlp // 2)
    stem = 2 * (tokens - 1) * 3 * patch * patch * width
    return 2 * (stem + block * (linear + mlp) + last) + 3 * (block + 1) * attention


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Memory:
    """Peak memory of a part of a process: of the GPU where there is one, else resident memory (Linux)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def reset(self) -> None:
        """Forget the peak."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> float:
        """Return the peak since then, GiB; NaN where the machine does not say."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 2**20
        return float("nan")


def machine(device: torch.device) -> str:
    """Return what was measured on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {torch.get_num_threads()} threads"
