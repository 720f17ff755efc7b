"""LSFA, step by step: anomaly detection in RGB + 3D by self-supervised feature adaptation.

from lsfa_lite import LITE, LSFADetector, PAPER, PAPER_LITERAL, Sample
"""

from lsfa_lite import lazy

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
