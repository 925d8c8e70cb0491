"""vitvis shows what the units of a vision model look for."""

__version__ = "0.1.0"
