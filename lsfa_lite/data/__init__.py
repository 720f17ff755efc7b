"""Data: samples, the loaders, background removal, and a doctor for folders."""

from lsfa_lite.data.background import clean_folder, remove_background
from lsfa_lite.data.doctor import Report, examine
from lsfa_lite.data.folder import Folder, Intrinsics, depth_to_xyz
from lsfa_lite.data.mvtec3d import MVTec3D, categories
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import Scans

__all__ = [
    "Folder",
    "Intrinsics",
    "MVTec3D",
    "Report",
    "Sample",
    "Scans",
    "categories",
    "clean_folder",
    "depth_to_xyz",
    "examine",
    "remove_background",
]
