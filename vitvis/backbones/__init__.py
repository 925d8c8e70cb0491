"""Models, their sites, and how activations are read: everything about the network that is looked into.

Importing this package is cheap; torch and timm come with the first name that is used.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
