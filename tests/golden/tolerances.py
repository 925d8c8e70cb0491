"""How far a golden number may be off on another processor or with other threads.

Measured on an AMD EPYC (avx512_bf16, torch 2.14, float32) against its own kernels for other processors: one and two
threads, ONEDNN_MAX_CPU_ISA=AVX2, ATEN_CPU_CAPABILITY=default (no vector instructions at all), and both with SSE 4.1
and MKL_CBWR=COMPATIBLE. All random streams, all orders and all hits were the same, no pixel differed by one level, and
the largest differences are in the second column. What is allowed is 50 to 500 times that, since kernels of processors
that were not there add up in orders of their own; it is still far below what a change of the arithmetic makes.
"""

from __future__ import annotations

__all__ = ["allowed"]

#: In the facts of a fit: name, what is allowed.
PICTURE = {
    "mean": 0.05,  # 1e-3, of levels 0..255
    "std": 0.05,  # 6e-4
    "pixels": 2.0,  # 0
    "bands": 1e-3,  # 2e-5
    "hf_share": 1e-3,  # 1e-6
    "activation": 2e-3,  # 1e-5
    "activation_start": 2e-4,  # 1e-6
    "tv": 0.05,  # 1e-4
    "log_rank": 0.35,  # 0; four more than ten units may come before it, one more than three
}
#: In tables: what is not named here has to be the same, as hits, orders, counts and percentages.
TABLE = {
    "strongest_activation": 1e-4,  # 1e-6
    "weakest_activation": 1e-4,  # 1e-7
    "decile_activation": 1e-3,  # 1e-5
    "mean": 1e-4,  # 0
    "std": 1e-4,  # 0
    "activation": 2e-3,  # 4e-5
    "activation_start": 2e-3,
    "activation_peak": 2e-3,  # 4e-5
    "hf_share": 1e-3,  # 0
    "tv": 0.05,  # 1e-4
    "rank": 2.0,  # 0
    "summary/score": 1e-3,  # 1e-7
    "strength": 1e-3,
    "selectivity": 0.05,  # 0; from ranks
    "clearness": 1e-3,  # 3e-7
    "contrast": 1e-3,
    "a": 1e-3,  # the atlas has these to few digits
    "scale": 1e-3,
    "strongest": 1e-3,
}
#: Tables are written to six digits or fewer, and percentages with them.
DIGITS = 1e-5


def allowed(path: tuple[str, ...], value: float) -> float:
    """Return how far a number may be from the golden one."""
    name = next(part for part in reversed(path) if not part.isdigit())
    return (PICTURE if path[0].startswith("fit ") else TABLE).get(name, 0.0) + DIGITS * abs(value)
