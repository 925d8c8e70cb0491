"""vitvis shows what the units of a vision model look for.

`import vitvis` is cheap: torch, timm and Lightning come with the first name that is used.
"""

import lazy_loader as lazy

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
