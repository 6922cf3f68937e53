"""The documentation site: Sphinx with MyST. The pages are Markdown that a code-hosting page shows as well.

What lies outside this folder and belongs to the site (README, notebooks, changes, the native library's page)
is copied into ``site`` before the build, with its links turned around; ``make docs`` builds.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SITE = HERE / "site"

project = "surgeon"
author = "the surgeon authors"
copyright = f"2026, {author}"

extensions = ["myst_nb"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
smartquotes = False

html_theme = "furo"
html_title = "surgeon"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

PAGES = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "plugins/native/README.md": "native-library.md",
    "notebooks/README.md": "notebooks.md",
}
"""Files outside this folder that are pages of the site, by the name of their copies."""


def gather() -> None:
    """Copy the pages and notebooks from outside this folder."""
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir()
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        (SITE / name).write_text(relinked(text, (ROOT / source).parent), encoding="utf-8")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        content = json.loads(notebook.read_text(encoding="utf-8"))
        for cell in content["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = relinked("".join(cell["source"]), notebook.parent)
        content["metadata"]["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
        (SITE / notebook.name).write_text(json.dumps(content), encoding="utf-8")


def relinked(text: str, folder: Path) -> str:
    """Return Markdown of ``folder`` with its links as they are from the copies' folder."""

    def turned(match: re.Match[str]) -> str:
        target, hash_, anchor = match[2].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        return f"{match[1]}({link_to((folder / target).resolve(), '../')}{hash_}{anchor})"

    return re.sub(r"(\]|!\[[^\]]*\])\(([^()\s]+)\)", turned, text)


def link_to(path: Path, up: str) -> str:
    """Return the link to a file of the project from a page; ``up`` leads from its folder to this one."""
    inside = path.relative_to(ROOT).as_posix()
    if inside in PAGES:
        return f"{up}site/{PAGES[inside]}"
    if path.suffix == ".ipynb":
        return f"{up}site/{path.name}"
    if path.is_relative_to(HERE):
        return f"{up}{path.relative_to(HERE).as_posix()}"
    # A folder is nothing that can be opened from a page; what it holds is described by its README or
    # definition.
    return f"{up}../{inside}"


def rewrite_links(app: object, name: str, source: list[str]) -> None:
    """Turn links of pages in this folder to what was copied."""
    if "/" not in name:
        source[0] = re.sub(
            r"\]\((\.\./[^()\s#]+)(#[^()\s]*)?\)",
            lambda match: f"]({link_to((HERE / match[1]).resolve(), '')}{match[2] or ''})",
            source[0],
        )


def setup(app: object) -> None:
    """Prepare the build."""
    gather()
    app.connect("source-read", rewrite_links)  # type: ignore[attr-defined]
