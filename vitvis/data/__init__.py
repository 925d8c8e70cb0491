"""Photos: kinds of data, decoding, boxes and masks, classes, batches.

Importing this package is cheap; torch comes with the first name that needs it.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
