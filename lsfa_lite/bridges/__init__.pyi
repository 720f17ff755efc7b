from lsfa_lite.bridges.anomalib import AnomalibCategory as AnomalibCategory
from lsfa_lite.bridges.anomalib import from_anomalib as from_anomalib
from lsfa_lite.bridges.anomalib import scans as scans
from lsfa_lite.bridges.anomalib import to_anomalib as to_anomalib
from lsfa_lite.bridges.onnx import export as export
