"""Images for units: parameterisations, augmentations, regularisers, objectives, and the training that joins them.

Importing this package is cheap; torch and Lightning come with the first name that is used.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
