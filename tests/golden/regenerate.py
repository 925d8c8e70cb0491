"""Make the golden numbers anew, on purpose: `python -m tests.golden.regenerate`.

With `--compare` nothing is written: the largest difference of each kind of number is printed, which is how the
tolerances were chosen (see `tests/golden/tolerances.py`). Names choose what is made.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.golden.runs import FACTS, deviations

GOLDEN = Path(__file__).with_name("golden.json")


def rounded(tree: Any) -> Any:
    """Return a tree with its numbers to six digits."""
    if isinstance(tree, dict):
        return {key: rounded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [rounded(item) for item in tree]
    return float(f"{tree:.6g}") if isinstance(tree, float) else tree


def regenerate(names: list[str]) -> dict[str, Any]:
    """Run the commands; return their facts by name."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        return {name: rounded(FACTS[name](Path(folder))) for name in names}


def compare(golden: dict[str, Any], found: dict[str, Any]) -> None:
    """Print the largest difference of each kind of number, and every difference of anything else."""
    spread: dict[tuple[str, str], float] = {}
    for path, expected, other in deviations({name: golden[name] for name in found}, found):
        if isinstance(expected, int | float) and isinstance(other, int | float):
            kind = (path[0], next(part for part in reversed(path) if not part.isdigit()))
            spread[kind] = max(spread.get(kind, 0.0), abs(expected - other))
        else:
            print(" / ".join(path), expected, other)
    for (name, kind), value in sorted(spread.items()):
        print(f"{name:20}{kind:24}{value:.2e}")


def main(argv: list[str]) -> None:
    """Write the file, or compare."""
    os.environ.update(HF_HUB_OFFLINE="1", WANDB_MODE="disabled")
    names = [word for word in argv if word in FACTS] or list(FACTS)
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    if "--compare" in argv:
        compare(golden, regenerate(names))
        return
    text = json.dumps(golden | regenerate(names), indent=1)
    inner = re.compile(r"\[[^\[\]{}]*\]")  # short lists on one line each
    GOLDEN.write_text(inner.sub(lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
