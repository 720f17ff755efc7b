"""What every page owes its reader: which version this is, and links to the repository or none.

The foot of a page names the version, the commit and the commit's date, so that two builds of one
commit are alike. Without git the version stands alone. All links to the repository come from
`repository.url` in _config.yml; without it the buttons that would lead nowhere are left out.
"""

from __future__ import annotations

import subprocess
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

ROOT = Path(__file__).resolve().parents[2]
BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button")


def git(*arguments: str, root: Path = ROOT) -> str:
    """What git says of the folder `root`, or "" where it is no repository or git is not there."""
    if not (root / ".git").exists():  # a folder inside someone else's repository is not ours
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def imprint(url: str, root: Path = ROOT) -> str:
    """HTML: version, date and commit, as far as they are known; `url` is the repository's or ""."""
    try:
        words = [f"Version {escape(version('lsfa-lite'))}"]
    except PackageNotFoundError:
        words = []
    known = git("log", "-1", "--format=%cs %H", root=root).split()
    if known:
        date, commit = known
        short = f"<code>{commit[:7]}</code>"
        link = f'<a href="{escape(url)}/commit/{commit}">{short}</a>' if url else short
        changed = git("status", "--porcelain", "--untracked-files=no", root=root)
        words += [date, f"commit {link}" + (" with changes" if changed else "")]
    return f'<p class="imprint">{", ".join(words)}.</p>' if words else ""


def repository(config: Config) -> str:
    return (config.html_theme_options.get("repository_url") or "").rstrip("/")


def prepare(app: Sphinx, config: Config) -> None:
    """Before the theme reads them: no buttons without an address, and the imprint of this build."""
    url = repository(config)
    config.imprint = imprint(url)
    if not url:
        options = config.html_theme_options
        options.update(dict.fromkeys(BUTTONS, False), launch_buttons={})
        options.pop("repository_url", None)


def at_the_foot(app: Sphinx, page: str, template: str, context: dict[str, Any], _: Any) -> None:
    context["theme_extra_footer"] = context.get("theme_extra_footer", "") + app.config.imprint


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("imprint", "", "html")  # all pages are written anew when it changes
    app.connect("config-inited", prepare, priority=1)
    app.connect("html-page-context", at_the_foot)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
