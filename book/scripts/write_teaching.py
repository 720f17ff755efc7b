"""Make the teachers' pages that are made: `python book/scripts/write_teaching.py`.

book/exercises.md from the notebooks, book/lessons.md from lsfa_book/teaching/plans. A test fails
while they are not what this writes.
"""

from __future__ import annotations

from pathlib import Path

from lsfa_book.teaching.pages import PAGES
from lsfa_lite.data.files import written_beside

BOOK = Path(__file__).resolve().parents[1]


def main() -> None:
    for name, make in PAGES.items():
        with written_beside(BOOK / f"{name}.md") as temporary:
            temporary.write_text(make(BOOK), encoding="utf-8")
        print(f"book/{name}.md")


if __name__ == "__main__":
    main()
