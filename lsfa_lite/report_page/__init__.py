"""A batch of scored parts as one page that opens from the disk, and files beside it."""

from lsfa_lite import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
