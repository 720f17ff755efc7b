"""LSFA, step by step: anomaly detection in RGB + 3D by self-supervised feature adaptation.

from lsfa_lite import LITE, LSFADetector, PAPER, Sample
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsfa_lite.config import LITE, PAPER, Config
    from lsfa_lite.data.sample import Sample
    from lsfa_lite.detector import LSFADetector, Scored

__version__ = "0.1.0"
__all__ = ["LITE", "PAPER", "Config", "LSFADetector", "Sample", "Scored"]

_HOME = {
    "LITE": "config",
    "PAPER": "config",
    "Config": "config",
    "Sample": "data.sample",
    "LSFADetector": "detector",
    "Scored": "detector",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `lsfa-lite --help` need not load torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'lsfa_lite' has no attribute {name!r}")
    return getattr(import_module(f"lsfa_lite.{_HOME[name]}"), name)
