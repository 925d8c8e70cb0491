"""What is asked of a model about each image: `probe=masks | lowpass | tokens`."""

from vitvis.evaluation.probes.base import Outcome, Probe
from vitvis.evaluation.probes.lowpass import LowpassProbe, lowpass
from vitvis.evaluation.probes.masks import MasksProbe
from vitvis.evaluation.probes.tokens import TokensProbe

__all__ = ["LowpassProbe", "MasksProbe", "Outcome", "Probe", "TokensProbe", "lowpass"]
