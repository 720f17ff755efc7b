from lsfa_lite.config import LITE as LITE
from lsfa_lite.config import PAPER as PAPER
from lsfa_lite.config import PAPER_LITERAL as PAPER_LITERAL
from lsfa_lite.config import Config as Config
from lsfa_lite.data.sample import Sample as Sample
from lsfa_lite.detector import LSFADetector as LSFADetector
from lsfa_lite.detector import Scored as Scored

__version__: str
