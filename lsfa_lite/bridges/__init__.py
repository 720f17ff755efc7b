"""Bridges to other programs: anomalib's data and predictions, and an ONNX file."""

from lsfa_lite import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
