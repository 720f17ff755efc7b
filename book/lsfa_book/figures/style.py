"""One colour map for depth, one for anomaly, one colour per modality: the same on every page.

Both maps grow in lightness and are safe for colour-blind readers. Words are a grey that can be
read on a white and on a dark page; grounds are transparent.
"""

from __future__ import annotations

DEPTH = "cividis"  # near is dark blue, far is yellow
ANOMALY = "inferno"  # normal is black, anomalous is yellow
SHAPE = ("#2a3149", "#8f8c88", "#f0dcb8")  # a surface in one colour, from shadow to light
MODALITY = {"rgb": "#d1660a", "3d": "#2a7fbf", "both": "#7e57a8"}
LIKENESS = "viridis"  # least alike, or unheeded, is dark blue; most is yellow
DEFECT = "#e5308a"  # outline of the ground truth
INK = "#777777"  # contrast of 4.5 on white, 4.2 on the dark page
EMPTY = (0.5, 0.5, 0.5, 0.6)  # where the sensor saw nothing
