"""The embedded data set: RGB + 3D scans of four parts, made by code, laid out as MVTec 3D-AD."""

from lsfa_book.mini3d.config import CATEGORIES, DEFECTS, Mini3DConfig
from lsfa_book.mini3d.generate import make_sample, write

__all__ = ["CATEGORIES", "DEFECTS", "Mini3DConfig", "make_sample", "write"]
