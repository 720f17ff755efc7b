"""Features: the two frozen networks, and the way from points to patches (Eq. 1)."""

from lsfa_lite import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
