"""Train a dictionary: a sparse autoencoder on one site, whose latents are units everywhere."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
