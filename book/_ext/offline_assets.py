"""Nothing from another host: plotly.js and MathJax come out of installed Python packages."""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import plotly
from sphinx.application import Sphinx

MATHJAX = Path(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline"))
FONTS = Path("output/chtml/fonts/woff-v2")  # MathJax looks for them here, beside its script


def copy_assets(app: Sphinx) -> None:
    """Put both libraries into _static; pages load plotly.js only when a figure is in view."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    source = MATHJAX / "static" / "mathjax"
    (static / "plotly").mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", static / "plotly")
    shutil.copytree(source / FONTS, static / "mathjax" / FONTS, dirs_exist_ok=True)
    shutil.copy(source / "tex-chtml-full.js", static / "mathjax")


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], _: Any) -> None:
    """jupyter-book adds thebe to every page, even when it is off; its script names a CDN."""
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "sphinx-thebe" not in str(getattr(script, "filename", script))
        and "THEBE_JS_URL" not in getattr(script, "attributes", {}).get("body", "")
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", copy_assets)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
