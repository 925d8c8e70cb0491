"""The largest numbers that settings take: beyond them nothing useful happens, or a machine stands still."""

from __future__ import annotations

__all__ = ["COPIES", "COUNT", "DIGITS", "IMAGES", "LENGTH", "NAME", "PIXELS", "PROCESSES", "SEED", "STEPS", "WEIGHT"]

#: Seeds: what torch, numpy and Lightning all take.
SEED = 2**32 - 1
#: Optimisation steps, and steps between two events.
STEPS = 1_000_000
#: Copies of an image in a step.
COPIES = 1024
#: Images, units or draws that are held in memory together: a batch, a chunk, a list of exemplars.
COUNT = 100_000
#: Images of a whole dataset.
IMAGES = 10**10
#: Lengths within an image.
PIXELS = 8192
#: Processes, threads, devices, machines.
PROCESSES = 4096
#: Weights of terms, rates, standard deviations: float32 still tells sums of them apart.
WEIGHT = 1e6
#: Digits of a whole number, as a text.
DIGITS = 20
#: Bytes of a path, and of a name in it.
LENGTH, NAME = 4096, 255
