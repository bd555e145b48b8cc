"""The site of the documentation: what `make docs` makes with Sphinx of the Markdown that a code host shows.

The source of the site is the whole checkout, so links between pages are plain relative links. A link or an
anchor that leads nowhere ends the build.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]

project = "multinic"
copyright = "the multinic developers"  # noqa: A001 - the name that Sphinx asks for
release = re.findall(r'__version__ = "(.*)"', (ROOT / "multinic/__init__.py").read_text(encoding="utf-8"))[0]
html_title = f"multinic {release}"

NAVIGATION = {
    "Start": ("docs/getting-started", "docs/concepts", "docs/packages", "docs/migrating"),
    "Use": (
        *("docs/commands", "docs/settings", "docs/database", "docs/networking", "docs/backends"),
        *("docs/troubleshooting", "docs/reference"),
    ),
    "Run": (
        *("docs/systemd", "docs/agent", "docs/fleet", "docs/dashboard", "docs/observability"),
        *("docs/performance", "docs/scale*", "ansible/README", "deployments/helm/multinic/README"),
    ),
    "Trust": ("docs/safety", "docs/security", "docs/decisions/*"),
    "Take part": ("CONTRIBUTING", "CHANGELOG"),
    "한국어": ("README.ko", "docs/ko/*"),
}
"""The headings of the navigation and their pages; a pattern stands for the pages that there are."""

TITLES = {
    "ansible/README": "Ansible collection",
    "deployments/helm/multinic/README": "Helm chart",
    "README.ko": "multinic (한국어)",
}
"""What the navigation calls pages whose heading says too little there."""

root_doc = "README"
PAGES = ("*.md", "docs/**/*.md", "ansible/README.md", "deployments/helm/multinic/README.md")
include_patterns = sorted(str(path.relative_to(ROOT)) for pattern in PAGES for path in ROOT.glob(pattern))
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 6
myst_links_external_new_tab = False
templates_path = ["templates"]

html_theme = "furo"
html_additional_pages = {"index": "index.html"}
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_use_index = False
html_static_path = ["static"]
html_css_files = ["site.css"]
nitpicky = True


def _navigation(_app: Sphinx, name: str, source: list[str]) -> None:
    """Add the navigation to the first page, which as Markdown has only a list of links."""
    if name == root_doc:
        for heading, patterns in NAVIGATION.items():
            pages = [page for pattern in patterns for page in _pages(pattern)]
            lines = [":hidden:", f":caption: {heading}", "", *map(_entry, pages)]
            source[0] += "\n```{toctree}\n" + "\n".join(lines) + "\n```\n"


def _entry(page: str) -> str:
    """Return the line of a page in the navigation."""
    return f"{TITLES[page]} </{page}>" if page in TITLES else f"/{page}"


def _pages(pattern: str) -> list[str]:
    """Return the pages that a pattern stands for; a name without a pattern is a page that must be there."""
    if "*" not in pattern:
        return [pattern]
    return sorted(str(path.relative_to(ROOT).with_suffix("")) for path in ROOT.glob(f"{pattern}.md"))


def _fences(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Leave of the words after a fence only the language: the others are marks for tests."""
    source[0] = re.sub(r"^```(\w+) [\w -]+$", r"```\1", source[0], flags=re.MULTILINE)


def setup(app: Sphinx) -> None:
    app.connect("source-read", _fences)
    app.connect("source-read", _navigation)
