"""The wheels of a folder that this Python lacks, a line each; our own is always taken."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def there(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


wheels = sorted(Path(sys.argv[1]).glob("*.whl"))
if not any(path.name.startswith("lsfa_lite-") for path in wheels):
    sys.exit(f"{sys.argv[1]}: no lsfa_lite-*.whl; `make gpu-wheels` makes that folder")
for path in wheels:
    name = path.name.split("-")[0]
    if name == "lsfa_lite" or not there(name):
        print(path)
