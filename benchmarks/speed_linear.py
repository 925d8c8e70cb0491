"""Does the cost grow linearly: units/hour of 64, 256 and 1,024 units, and of two processes against one.

    python benchmarks/speed_linear.py [--counts 64,256,1024] [--steps 4] [--site blocks.0.mlp]
    python benchmarks/speed_linear.py --processes 2        # one thread each, against one process of one thread

Whole runs of `vitvis.fit`, from the loading of the model to the sheet and the atlas, each in processes of its own.
`cpu` is the seconds that the first of them spent on cores, which a busy machine changes little; `wall` counts on a
quiet machine alone. The time to import everything is measured with a run that has nothing left to do, and left out.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="64,256,1024")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--site", default="blocks.{0,1}.mlp")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--model", default="vitvis_vit")
    arguments = parser.parse_args(argv)
    counts = [int(text) for text in arguments.counts.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        common = [f"model={arguments.model}", f"steps={arguments.steps}", "trainer.accelerator=cpu",
                  "trainer.threads=1", "logger.kind=none", "trainer.progress=none", "chunk=8"]  # fmt: skip
        print("| units | processes | cpu s | units/hour of cpu | wall s | units/hour |")
        print("| --- | --- | --- | --- | --- | --- |")
        for count in counts:
            units = [f"units={arguments.site}:0-{count // sites_of(arguments.site) - 1}"]
            for processes in sorted({1, arguments.processes}):
                out = Path(scratch) / f"{count}-{processes}"
                command = [*common, *units, f"trainer.devices={processes}", f"out={out}"]
                whole, again = run(command), run(command)  # the second finds everything there
                cpu, wall = whole[0] - again[0], whole[1] - again[1]
                print(f"| {count} | {processes} | {cpu:.1f} | {count / cpu * 3600:,.0f} | {wall:.1f} "
                      f"| {count / wall * 3600:,.0f} |", flush=True)  # fmt: skip
    return 0


def sites_of(pattern: str) -> int:
    """Return how many sites a pattern with one brace names."""
    return pattern.count(",") + 1


def run(command: list[str]) -> tuple[float, float]:
    """Run a fit; return seconds on cores and on the wall."""
    before, began = used(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "vitvis.fit", *command], check=True, capture_output=True,
                   env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    return used() - before, time.perf_counter() - began


def used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
