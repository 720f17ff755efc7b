"""Under the title of every executed notebook: how long it ran when this page was built.

The time is what the notebook's execution took, from the same record as the table of timings.
"""

from __future__ import annotations

import os
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class ChapterTime(SphinxTransform):
    default_priority = 410

    def apply(self, **_: Any) -> None:
        record = NbMetadataCollector.get_exec_data(self.env, self.env.docname)
        title = next(iter(self.document.findall(nodes.title)), None)
        if not record or not record.get("runtime") or title is None:
            return
        cores = os.cpu_count()
        words = f"Runs in {record['runtime']:.0f} s on {cores} CPU cores, measured in this build."
        section = title.parent
        section.insert(section.index(title) + 1, nodes.paragraph("", words, classes=["runtime"]))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(ChapterTime)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
