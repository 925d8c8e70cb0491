"""The atlas: a static site from run folders, for looking at every unit without a server."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
