"""Data: samples, the loaders, background removal, and a doctor for folders."""

from lsfa_lite import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
