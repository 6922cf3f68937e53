"""The documentation site: it builds without a warning, holds every page, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LACKING = [name for name in ("sphinx", "myst_nb", "furo") if importlib.util.find_spec(name) is None]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]
needs_sphinx = pytest.mark.skipif(
    bool(LACKING),
    reason=f"the site is built with Sphinx: pip install '.[docs]' ({', '.join(LACKING)} missing)",
)


class References(HTMLParser):
    """Collects what a page loads, where it leads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and "href" in given:
            self.leads.append(given["href"])
        elif tag in ("script", "img", "iframe", "source") and "src" in given:
            self.loads.append(given["src"])
        elif tag == "link" and given.get("rel") != "canonical":
            self.loads.append(given.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the built site; the sources are copied, since building writes beside them."""
    work = tmp_path_factory.mktemp("site")
    for name in ("docs", "notebooks", "plugins", "recipes", "surgeon/kernels"):
        shutil.copytree(
            ROOT / name, work / name, ignore=shutil.ignore_patterns("site", "work", "__pycache__", "_build")
        )
    for path in (*ROOT.glob("*.md"), ROOT / "LICENSE"):
        shutil.copy(path, work / path.name)
    out = work / "html"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-q",
            "-W",
            "--keep-going",
            "-b",
            "html",
            str(work / "docs"),
            str(out),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return out


@needs_sphinx
def test_every_page_and_every_notebook_is_there(site: Path) -> None:
    expected = {f"{path.stem}.html" for path in DOCS.glob("*.md")} | {
        f"site/{path.stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")
    }
    found = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert expected - found == set()
    menu = References((site / "index.html").read_text(encoding="utf-8")).leads
    assert {name for name in expected if name != "index.html" and name not in menu} == set()


@needs_sphinx
def test_the_site_needs_no_network(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        found = References(page.read_text(encoding="utf-8"))
        assert [target for target in found.loads if urlsplit(target).netloc] == [], page.name
    for style in site.rglob("*.css"):
        assert re.findall(r"url\(\s*['\"]?https?:", style.read_text(encoding="utf-8")) == [], style.name


@needs_sphinx
def test_links_within_the_site_lead_somewhere(site: Path) -> None:
    anchors = {page: References(page.read_text(encoding="utf-8")) for page in sorted(site.rglob("*.html"))}
    broken = []
    for page, found in anchors.items():
        for target in found.leads:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or page.name in ("search.html", "genindex.html"):
                continue
            goal = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not goal.exists() or (
                parts.fragment and goal in anchors and unquote(parts.fragment) not in anchors[goal].anchors
            ):
                broken.append(f"{page.relative_to(site)}: {target}")
    assert broken == []


@needs_sphinx
def test_codes_can_be_linked_to(site: Path) -> None:
    found = References((site / "diagnostics.html").read_text(encoding="utf-8")).anchors
    from surgeon.diagnostics import all_codes

    assert {code.lower() for code in all_codes()} <= found


@needs_sphinx
def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A page\n\n[nowhere](nothing.md)\n")
    (tmp_path / "docs" / "conf.py").write_text("extensions = ['myst_nb']\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-q",
            "-W",
            "-b",
            "html",
            str(tmp_path / "docs"),
            str(tmp_path / "html"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0


def test_the_command_line_is_described_whole() -> None:
    from surgeon.cli import verbs

    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)$", text, re.M) == list(verbs())
    for option in (
        "--plugin-path DIR",
        "--anchors {auto,plugin,constant}",
        "-o, --output",
        "--under NAMESPACE",
    ):
        assert option in text


def test_the_library_is_described_whole() -> None:
    import surgeon

    text = (DOCS / "library.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^### (\S+)$", text, re.M)) == sorted(
        name for name in surgeon.__all__ if not name.startswith("__")
    )
    assert ":func:" not in text and ":class:" not in text


def contrast(colour: str, ground: str) -> float:
    """Return the contrast of two colours in hexadecimal digits, by WCAG."""

    def luminance(code: str) -> float:
        parts = (value / 255 for value in bytes.fromhex(code))
        lights = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return sum(weight * light for weight, light in zip((0.2126, 0.7152, 0.0722), lights, strict=True))

    low, high = sorted((luminance(colour), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def faint(style: str) -> list[str]:
    """Return the kinds of token of a code style that cannot be read on its ground."""
    styles = pytest.importorskip("pygments.styles")
    pytest.importorskip("a11y_pygments", reason="it comes with furo: pip install furo")
    found = styles.get_style_by_name(style)
    ground = found.background_color.lstrip("#")
    return [str(kind) for kind, look in found if look["color"] and contrast(look["color"], ground) < 4.5]


def test_code_can_be_read_on_its_ground() -> None:
    chosen = re.findall(
        r'^pygments_\w*style = "([^"]+)"', (ROOT / "docs" / "conf.py").read_text(), re.MULTILINE
    )
    assert len(chosen) == 2 and [faint(style) for style in chosen] == [[], []]
    assert "Token.Comment" in faint("friendly")
