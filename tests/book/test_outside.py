"""Figures outside the book, in a browser: the HTML that plotly's own renderers write, no network.

What they fetch from a CDN comes from the installed package instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import plotly
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from lsfa_book import figures
from lsfa_book.figures import renderer
from lsfa_lite.data.sample import Sample

LIBRARY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
EXTENSION = Path(plotly.__file__).parent / "labextension" / "static"
ALT = 'Two waves, "one" <b>dented</b> & one not'

# JupyterLab's half: plotly's own extension, which keeps the library to itself, draws the JSON.
LAB = """<div id="output" style="width:700px"></div>
<script src="http://lab/ENTRY"></script>
<script>(async () => {
  const plugin = _JUPYTERLAB["jupyterlab-plotly"];
  await plugin.init({});
  const {rendererFactory} = (await plugin.get("./mimeExtension"))();
  const mimeType = rendererFactory.mimeTypes[0];
  const widget = rendererFactory.createRenderer({mimeType});
  document.getElementById("output").append(widget.node);
  await widget.renderModel({data: {[mimeType]: FIGURE}, setData: () => {}});
})()</script>"""


@pytest.fixture(scope="module")
def figure() -> go.Figure:
    row, column = np.mgrid[:32, :32] / 1000
    xyz = np.dstack([column, row, 0.5 + 0.002 * np.sin(400 * row)]).astype(np.float32)
    wave = Sample(np.full((32, 32, 3), 0.5, dtype=np.float32), xyz, path=Path("wave"))
    return figures.clouds([wave, wave, wave], points=600, titles=["a", "b", "c"], alt=ALT)


@pytest.fixture(scope="module")
def tab(browser: Any) -> Iterator[Any]:
    tab = browser.new_page(viewport={"width": 800, "height": 700})
    tab.route("**/*", from_the_package)
    yield tab
    tab.close()


def from_the_package(route: Any) -> None:
    url = urlsplit(route.request.url)
    path = {"cdn.plot.ly": LIBRARY, "lab": EXTENSION / url.path[1:]}.get(url.netloc)
    if path is None:
        route.abort()
    else:
        headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "text/javascript"}
        route.fulfill(body=path.read_text(encoding="utf-8"), headers=headers)


def written(name: str, figure: go.Figure, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the renderer `name` writes into a notebook for the figure, on activation and after."""
    shown: list[str] = []
    if name == "jupyterlab":
        monkeypatch.setattr(
            "IPython.display.display", lambda it, raw: shown.append(it["text/html"])
        )
        bundle = pio.renderers[name].to_mimebundle(figure.to_dict())
        (data,) = bundle.values()
        renderer.Beside().render(figure.to_dict())
        (entry,) = EXTENSION.glob("remoteEntry.*.js")
        lab = LAB.replace("ENTRY", entry.name).replace("FIGURE", json.dumps(data))
        return lab + shown[0]
    monkeypatch.setattr(
        "IPython.display.display_html", lambda text, raw: shown.append(text), raising=False
    )
    pio.renderers[name].activate()
    return "".join(shown) + pio.renderers[name].to_mimebundle(figure.to_dict())["text/html"]


def drag(tab: Any) -> None:
    """Turn the cloud in the middle by hand."""
    tab.mouse.move(400, 250)
    tab.mouse.down()
    tab.mouse.move(460, 290, steps=4)
    tab.mouse.up()
    tab.wait_for_timeout(700)


CAMERAS = """plot => ["scene", "scene2", "scene3"].map(name => {
  const {eye} = plot._fullLayout[name]._scene.getCamera();
  return [eye.x, eye.y, eye.z];
})"""


# plotly 5 leaves the library of the other two to the old notebook's require.js
RENDERERS = ["colab", "notebook_connected", "jupyterlab"]
RENDERERS = RENDERERS[: 1 if plotly.__version__.startswith("5.") else None]


@pytest.mark.parametrize("name", RENDERERS)
def test_clouds_turn_together_and_the_words_are_there(
    name: str, figure: go.Figure, tab: Any, monkeypatch: pytest.MonkeyPatch
):
    page = written(name, figure, monkeypatch)
    assert page.count("</script>") == len(re.findall(r"<script\b", page))
    tab.set_content(f"<!doctype html><body style='margin:0'>{page}", timeout=120_000)
    plot = tab.locator(".js-plotly-plot")
    tab.wait_for_function(
        "document.querySelector('.js-plotly-plot')?.getAttribute('aria-label')", timeout=60_000
    )
    assert plot.get_attribute("aria-label") == ALT
    assert plot.get_attribute("role") == "figure"
    assert tab.locator("p").count() == 0  # said once
    before = np.array(plot.evaluate(CAMERAS))
    drag(tab)
    after = np.array(plot.evaluate(CAMERAS))
    assert np.abs(after[1] - before[1]).max() > 0.1
    assert np.allclose(after, after[1], atol=1e-6)


def test_clouds_that_are_not_linked_turn_alone(
    figure: go.Figure, tab: Any, monkeypatch: pytest.MonkeyPatch
):
    alone = go.Figure(figure).update_layout(meta={"alt": ALT, "linked": False})
    page = written("colab", alone, monkeypatch)
    tab.set_content(f"<!doctype html><body style='margin:0'>{page}", timeout=120_000)
    plot = tab.locator(".js-plotly-plot[aria-label]")
    before = np.array(plot.evaluate(CAMERAS))
    drag(tab)
    after = np.array(plot.evaluate(CAMERAS))
    assert np.abs(after - before).max(axis=1).round(6).astype(bool).tolist() == [False, True, False]


def test_words_stay_where_no_script_runs():
    assert "&lt;b&gt;dented&lt;/b&gt; &amp; one not</p>" in renderer.beside(ALT)


def test_a_chosen_renderer_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LSFA_BOOK", raising=False)
    before = pio.renderers.default
    try:
        for chosen, wanted in {"": "plotly_mimetype+beside", "yes": "plotly_mimetype"}.items():
            monkeypatch.setenv("PLOTLY_RENDERER", chosen)
            if not chosen:
                monkeypatch.delenv("PLOTLY_RENDERER")
            pio.renderers.default = "plotly_mimetype"
            renderer.register()
            assert pio.renderers.default == wanted
    finally:
        pio.renderers.default = before
