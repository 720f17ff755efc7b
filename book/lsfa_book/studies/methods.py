"""What a row can run on a category's parts, by name; every method is measured in the same way.

"lsfa" is the detector with the row's configuration. The others: "joined", "crossmodal:...",
"finetune:...", "earlier:..." and "peer:...", where the word behind the colon says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import torch

from lsfa_lite.config import Config
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector
from lsfa_lite.errors import LSFAError
from lsfa_lite.evaluation import Table, evaluate

Samples = Sequence[Sample]
# method -> library and the extra that installs it
EXTRAS = {
    "peer": ("anomalib", "peers"),
    "finetune:lora": ("peft", "peft"),
    "finetune:adalora": ("peft", "peft"),
}
MODULES = {
    "joined": "joined",
    "crossmodal": "crossmodal",
    "finetune": "finetuned",
    "earlier": "earlier",
    "peer": "peers",
}


class CannotRun(LSFAError):
    """The row asks for more than there is here: more parts, or a library that is not installed."""


def run(
    method: str,
    config: Config,
    train: Samples,
    validation: Samples,
    test: Samples,
    device: str | torch.device = "cpu",
) -> Table:
    """Fit on good parts, score the test split, measure (`evaluation.evaluate`).

    Raises ValueError for an unknown method, CannotRun where a library is missing.
    """
    kind, _, what = method.partition(":")
    library, extra = EXTRAS.get(method) or EXTRAS.get(kind) or ("", "")
    if library and not find_spec(library):
        raise CannotRun(f"{method} needs {library}: pip install 'lsfa-lite[{extra}]'")
    if kind == "lsfa":
        detector = LSFADetector(config, device).fit(train, validation)
        return evaluate(detector.score(test), test)
    if kind not in MODULES:
        raise LSFAError(f"no method {method!r}; there are lsfa, {', '.join(MODULES)}")
    module = import_module(f"lsfa_book.baselines.{MODULES[kind]}")
    return module.run(what, config, train, validation, test, device)
