"""The embedded data set: RGB + 3D scans of ten kinds of parts, in the layout of MVTec 3D-AD."""

from lsfa_book.mini3d.config import CATEGORIES, DEFECTS, KINDS, Mini3DConfig
from lsfa_book.mini3d.generate import make_sample, write

__all__ = ["CATEGORIES", "DEFECTS", "KINDS", "Mini3DConfig", "make_sample", "write"]
