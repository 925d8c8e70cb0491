"""How much models lean on background and foreground: data with boxes or masks, masking, probes, metrics, tables.

Import what you need from its modules; `vitvis.evaluation.run.evaluate` is the whole of it in one call.
"""

from vitvis.evaluation.bootstrap import interval, resampled_means
from vitvis.evaluation.masking import FILLS, apply_mask
from vitvis.evaluation.sample import Entry, Sample, Source, UnusableImage
from vitvis.evaluation.sources import open_source

__all__ = [
    "FILLS",
    "Entry",
    "Sample",
    "Source",
    "UnusableImage",
    "apply_mask",
    "interval",
    "open_source",
    "resampled_means",
]
