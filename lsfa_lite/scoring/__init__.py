"""Scoring: the bank of normal patches, maps, fusion, thresholds and metrics."""

from lsfa_lite import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
