"""Random numbers that depend on what they are for, and on nothing else."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["keyed_generator"]


def keyed_generator(*key: int | str) -> torch.Generator:
    """Return a CPU generator whose seed is a digest of `key`, such as `(seed, step, copy, "noise")`.

    Draws made with it are the same whatever was drawn before, in whatever order, on whatever device the work is done.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
