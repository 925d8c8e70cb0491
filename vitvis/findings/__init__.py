"""The statements of the work that vitvis follows, each measured and laid out on a page.

A statement is a function from a `Bench`, which runs and remembers fits, searches and evaluations, to a `Finding`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
