"""Stands in for `vitvis.fit` in a sweep: a run folder of its own kind, made in a moment from the settings alone."""

from __future__ import annotations

import math
import sys
from typing import Any

from PIL import Image

from vitvis.runs import RunFolder, save_png
from vitvis.runs.summary import summarize


def main() -> None:
    """Make four images."""
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    tv, steps = float(words["regularize.tv"]), int(words["steps"])
    settings: dict[str, Any] = {"regularize": {"tv": tv}, "steps": steps}
    with RunFolder.open(words["out"], kind="fit", settings=settings, identity={"recipe": settings}) as folder:
        done = folder.done()
        for unit in range(4):
            if (f"a:{unit}", 0) in done:
                continue
            level = abs(math.sin(unit + tv * 7 + steps))
            image = f"images/a/{unit}_s0.png"
            record = {
                "address": f"a:{unit}", "site": "a", "kind": "mlp", "depth": 0, "unit": unit, "seed": 0, "image": image,
                "backbone": "made", "weights_id": "0", "status": "ok", "activation": level, "activation_start": 0.0,
                "rank": 1, "site_width": 9, "hf_share": 0.1, "tv": 1.0, "seconds": 0.1, "width": 16, "height": 16,
            }  # fmt: skip
            picture = Image.new("RGB", (16, 16), (int(255 * level), 0, 60 * unit))
            folder.write_shard(f"a-{unit}", [record], {image: save_png(picture, {"unit": f"a:{unit}"})})
        folder.write_json("summary.json", summarize(folder.records()))


main()
