"""What suits a CPU: the precision that is faster there, and one process a core. Found out by real steps."""

from __future__ import annotations

from dataclasses import replace

import torch

from vitvis.fit.chunks import Chunk
from vitvis.fit.cost import estimate
from vitvis.fit.plan import Plan
from vitvis.fit.remembered import recall, remember, speed_key
from vitvis.fit.timing import step_seconds
from vitvis.launch.cores import count_cores
from vitvis.launch.isolation import own_world
from vitvis.launch.machine import machine_memory

__all__ = ["GAIN", "WORTH_S", "choose_precision", "choose_processes", "multiplies_bfloat16"]

#: A run that takes less is neither timed nor shared out; seconds.
WORTH_S = 20.0
#: bfloat16 is taken where its steps are so many times as fast as those of float32.
GAIN = 1.5
#: More processes than this are not started unasked.
PROCESSES = 8
#: Bytes that a forked process needs beside its step: Python's objects, and what it writes.
EACH = 0.5 * 2**30


def multiplies_bfloat16() -> bool:
    """Say whether this CPU has instructions for products in bfloat16 (avx512_bf16 or AMX)."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def choose_precision(plan: Plan) -> Plan:
    """Return the plan in the precision that is faster on this CPU, where `trainer.precision=auto` leaves it open.

    A folder that was begun keeps its precision. Nothing is timed where all is done soon.
    """
    if plan.settled or plan.device.type != "cpu" or not multiplies_bfloat16() or _seconds(plan) < WORTH_S:
        return plan
    gain = _gain(plan)
    words = f"{gain:.1f} times as fast as float32 here"
    return plan.at("bf16-mixed", f"{words}; trainer.precision=32-true for float32") if gain >= GAIN else plan


def choose_processes(plan: Plan) -> int:
    """Return how many processes the chunks of a plan are best shared out to on this CPU; 1 where that was asked for.

    Several processes of one thread make more of several cores than one process of several threads, whose layers are
    small; they are worth their memory where there is work for some time.
    """
    where, loggers = plan.settings.trainer, set(plan.settings.logger.kind)
    asked = where.devices != "auto" or where.threads or where.compile or plan.settings.shard
    if asked or plan.device.type != "cpu" or plan.trainer["strategy"] != "auto" or not loggers <= {"csv", "none"}:
        return 1
    count = min(count_cores(), len(plan.missing()), PROCESSES)
    memory = machine_memory()
    if memory is not None:
        count = min(count, int(memory / 2 / (plan.memory + EACH)))
    return count if count > 1 and _seconds(plan) >= WORTH_S else 1


def _deepest(plan: Plan) -> Chunk | None:
    """Return one image of the deepest site that has something to do."""
    chunks = plan.missing()
    if not chunks:
        return None
    chunk = max(chunks, key=lambda item: item.site.depth)
    return Chunk(chunk.site, chunk.units[:1], chunk.seeds[:1])


def _seconds(plan: Plan) -> float:
    """Return the seconds of a plan's steps; no more than roughly where that is far below `WORTH_S`."""
    chunk = _deepest(plan)
    if chunk is None:
        return 0.0
    key = _key(plan, chunk)
    single = (recall(key) or {}).get("seconds")
    if not isinstance(single, float):
        with own_world(plan.settings.trainer.threads):
            plan.module.to(plan.device)
            single = step_seconds(plan.module, chunk, plan.precision, steps=1)
        remember(key, {"seconds": single})
    images = sum(len(chunk) for chunk in plan.missing())
    most = single * images * plan.settings.steps
    return most if most < WORTH_S else estimate(plan).work


def _gain(plan: Plan) -> float:
    """Return how many times as fast the steps of a plan are in bfloat16; remembered for model, site and size."""
    chunk = _deepest(plan)
    assert chunk is not None
    key = _key(plan, chunk)
    known = (recall(key) or {}).get("gain")
    if not isinstance(known, float):
        known = estimate(plan).work / estimate(replace(plan, precision="bf16-mixed")).work
        remember(key, {"gain": known})
    return known


def _key(plan: Plan, chunk: Chunk) -> str:
    backbone = plan.backbone
    return speed_key(
        f"{backbone.name} alone",
        chunk.site.name,
        backbone.image_size,
        plan.settings.copies,
        plan.device,
        plan.precision,
    )
