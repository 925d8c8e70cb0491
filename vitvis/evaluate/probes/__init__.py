"""What is asked of a model about each image: `probe=masks | lowpass | tokens`."""

from vitvis.evaluate.probes.base import Outcome, Probe
from vitvis.evaluate.probes.lowpass import LowpassProbe, lowpass
from vitvis.evaluate.probes.masks import MasksProbe
from vitvis.evaluate.probes.tokens import TokensProbe

__all__ = ["LowpassProbe", "MasksProbe", "Outcome", "Probe", "TokensProbe", "lowpass"]
