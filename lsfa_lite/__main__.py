"""`python -m lsfa_lite` is the command `lsfa-lite`."""

import sys

from lsfa_lite.cli import main

sys.exit(main())
