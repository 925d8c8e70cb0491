"""Sweeps on this machine: W&B's sweep files, run and compared without an account or a network."""

from vitvis.sweeps.report import Comparison, write_report
from vitvis.sweeps.runner import SweepRunner
from vitvis.sweeps.spec import SweepSpec, read_spec
from vitvis.sweeps.study import SweepStudy
from vitvis.sweeps.trials import Trial, read_runs

__all__ = ["Comparison", "SweepRunner", "SweepSpec", "SweepStudy", "Trial", "read_runs", "read_spec", "write_report"]
