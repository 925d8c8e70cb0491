"""Sheets of findings: every picture that they are made of can be seen on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vitvis.findings.sheets import kinds_sheet


def records(folder: Path, units: int) -> list[dict[str, Any]]:
    """Return records of two kinds at two depths, each picture of a colour of its own."""
    found = []
    for number, (kind, depth, unit) in enumerate(
        (kind, depth, unit) for kind in ("mlp", "q") for depth in (0, 5) for unit in range(units)
    ):
        file = folder / f"{kind}-{depth}-{unit}.png"
        Image.new("RGB", (32, 32), (10 + 12 * number, 200, 40)).save(file)
        found.append({"kind": kind, "depth": depth, "unit": unit, "file": file})
    return found


@pytest.mark.parametrize("units", [1, 2, 4])
def test_every_unit_is_shown_and_no_half_of_the_sheet_is_empty(tmp_path: Path, units: int) -> None:
    made = records(tmp_path, units)
    pixels = np.asarray(kinds_sheet(made, {"mlp": "FFN neurons", "q": "queries"}, title="kinds")).reshape(-1, 3)
    areas = [
        int((abs(pixels.astype(int) - (10 + 12 * number, 200, 40)).max(axis=1) < 3).sum())
        for number in range(len(made))
    ]
    assert min(areas) > 0.8 * max(areas)
    assert sum(areas) > 0.35 * len(pixels)
