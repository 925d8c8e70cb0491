"""Charts of runs in which a model knows nothing."""

import math

from vitvis.evaluate.charts import lowpass_chart


def test_a_model_without_a_hit_and_a_cut_off_of_zero_can_be_drawn() -> None:
    variants = ["full", "radius 0", "radius 4", "radius 16"]
    numbers = {f"{name}{end}": value for name, value in (("top1", 0.0), ("normalized_top1", math.nan))
               for end in ("", "_low", "_high")}  # fmt: skip
    rows = [{"model": "a", "variant": variant, **numbers} for variant in variants]
    assert lowpass_chart(rows, [0, 4, 16]).startswith(b"\x89PNG")
