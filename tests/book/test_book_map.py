"""The map of the book against the chapters themselves: their names, and what each says it needs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from conftest import ROOT
from test_pages import CHAPTERS, load

BOOK = ROOT / "book"


@pytest.fixture(scope="module")
def book_map() -> Any:
    return load(BOOK / "_ext" / "book_map.py")


def test_the_map_names_every_chapter_once_and_in_order(book_map: Any):
    listed = book_map.chapters(BOOK)
    assert sorted(chapter.name for chapter in listed) == [path.stem for path in CHAPTERS]
    assert [chapter.number for chapter in listed] == list(range(1, len(CHAPTERS) + 1))
    svg = ElementTree.fromstring(book_map.drawing(listed))
    links = [link.get("href") for link in svg.iter("a")]
    assert links == [f"{chapter.name}.html" for chapter in listed]
    assert len(list(svg.iter("path"))) == sum(len(chapter.needs) for chapter in listed)
    said = re.findall(r'<li><a href="([\w-]+)\.html">', book_map.words(listed))
    assert said == [chapter.name for chapter in listed]


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda path: path.stem)
def test_the_map_knows_what_a_chapter_says_it_needs(notebook: Path):
    first = "".join(json.loads(notebook.read_text())["cells"][0]["source"])
    needs = re.search(r"\*\*You need\*\*(.*?)\*\*It takes\*\*", first, re.DOTALL)
    assert needs is not None
    named = set(re.findall(r"\(([\w-]+)\.ipynb\)", needs[1]))
    assert named <= set(yaml.safe_load((BOOK / "map.yml").read_text())[notebook.stem])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda needs: needs.pop("adaptors"), "differ in adaptors"),
        (lambda needs: needs.update(extra=[]), "differ in extra"),
        (lambda needs: needs["adaptors"].append("algorithm-one"), "adaptors needs algorithm-one"),
        (lambda needs: needs["adaptors"].append("adaptors"), "adaptors needs adaptors"),
    ],
)
def test_a_wrong_map_is_refused(book_map: Any, tmp_path: Path, change: Any, words: str):
    needs = yaml.safe_load((BOOK / "map.yml").read_text())
    change(needs)
    (tmp_path / "map.yml").write_text(yaml.safe_dump(needs))
    shutil.copy(BOOK / "_toc.yml", tmp_path)
    with pytest.raises(ValueError, match=words):
        book_map.chapters(tmp_path)
