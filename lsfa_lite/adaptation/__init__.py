"""Adaptation: adaptors, memory banks, losses, and Algorithm 1, which trains them."""

from lsfa_lite import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
