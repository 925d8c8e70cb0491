"""Kill commands at random moments, run them again, and compare with a run that nothing disturbed.

    python -m tests.torture.kills [fit] [search] [evaluate] [sweep] [count=100] [seed=0] [work=FOLDER]

Each attempt begins in an empty folder, is killed (SIGKILL to the whole group) up to six times, and then runs to its
end. It held when every file is there and says the same, but for times, and `vitvis.runs` finds nothing wrong.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

from tests.torture import runs
from vitvis.runs.verify import verify

__all__ = ["main"]


def main() -> int:
    """Run the script; return its exit status."""
    names, count, seed, work = runs.arguments(100)
    runs.prepare(work)
    table, kills = runs.Table(), dict.fromkeys(runs.RUNS, 0)
    for name in names or runs.RUNS:
        argv = runs.RUNS[name](work)
        whole, log = work / f"{name}-whole", work / f"{name}.log"
        first = runs.run(argv, whole, log)
        if first.status != 0:
            print(first.err)
            return 1
        seconds = runs.run(argv, work / f"{name}-timed", log).seconds
        for chance in runs.moments(seed, name, count):
            out = work / f"{name}-killed"
            shutil.rmtree(out, ignore_errors=True)
            for number in range(1, 1 + chance.randint(1, 6)):
                pid = runs.start(argv, out, log)
                time.sleep(chance.uniform(0, seconds / number))  # less and less is left to do
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                kills[name] += runs.finish(pid, log).status == -signal.SIGKILL
            last = runs.run(argv, out, log)
            wrong = [last.err[-500:]] if last.status else runs.differences(whole, out)
            wrong += [] if last.status else [problem for verdict in verify(out) for problem in verdict.problems]
            table.add(name, not wrong, "; ".join(wrong[:4]))
        print(f"{name}: {kills[name]} kills in {count} runs of {seconds:.1f} s", flush=True)
    return table.print()


if __name__ == "__main__":
    sys.exit(main())
