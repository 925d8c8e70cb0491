"""Sweeps on this machine: W&B's sweep files, run and compared without an account or a network."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
