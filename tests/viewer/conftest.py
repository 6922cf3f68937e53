"""A small graph with a recipe for it, the demo detector, and a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import surgeon
from surgeon.graph import Graph, parse_graph
from surgeon.language import Recipe, parse_recipe
from surgeon.rewrite import Plan
from surgeon.viewer import ChangeReport, Page, render_page, report_plan

GRAPH = """\
graph v1
picture = Placeholder() {dtype: uint8, shape: shape[?,4,4,3]}
pre/float = Cast(picture) {SrcT: uint8, DstT: float32}
pre/scale = Const() {dtype: float32, value: tensor<float32[]: 0.5>}
pre/scaled = Mul(pre/float, pre/scale) {T: float32}
body/weights = Const() {dtype: float32, value: tensor<float32[1,1,3,2]: 1.0, 2.0, 3.0, 4.0, 5.0, 6.0>}
body/conv = Conv2D(pre/scaled, body/weights) {T: float32, data_format: "NHWC", dilations: [1, 1, 1, 1], padding: "SAME", strides: [1, 1, 1, 1]}
body/passed = Identity(body/conv) {T: float32}
body/clipped = Relu6(body/passed) {T: float32}
body/checked = Identity(body/clipped) {T: float32}
result = Identity(body/checked) {T: float32}
spare = Neg(picture) {T: uint8}
"""

RECIPE = """\
recipe: 1
name: small
summary: A small network with a clip.
outputs: [clip]
nodes:
  Input: {op: Placeholder, like: pre/scaled}
  clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}
namespaces:
  picture: Input
  pre: Input
  body/clipped: clip
"""


@pytest.fixture(scope="session")
def graph() -> Graph:
    """Give the small graph."""
    return parse_graph(GRAPH)


@pytest.fixture(scope="session")
def recipe_text() -> str:
    """Give the text of the small recipe."""
    return RECIPE


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Give the small recipe."""
    return parse_recipe(RECIPE, "small.yaml")


@pytest.fixture(scope="session")
def plan(graph: Graph, recipe: Recipe) -> Plan:
    """Give the plan of the small recipe."""
    return surgeon.plan(recipe, graph)


@pytest.fixture(scope="session")
def report(plan: Plan) -> ChangeReport:
    """Give the report of the small plan."""
    return report_plan(plan, title="small.pb")


@pytest.fixture(scope="session")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the page of the demo detector, rewritten by the recipe for its kind."""
    from surgeon.zoo import demo

    page = tmp_path_factory.mktemp("page") / "demo.html"
    surgeon.view(demo.model_path(), "ssd", decode="plugin", html=page)
    return page


@pytest.fixture
def write_page(tmp_path: Path) -> Callable[[ChangeReport], Path]:
    """Give ``write_page(report) -> Path``."""

    def written(report: ChangeReport) -> Path:
        path = tmp_path / "page.html"
        path.write_text(render_page(Page(report)), encoding="utf-8")
        return path

    return written


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Give a headless browser; skip where there is none."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="the page is driven by Playwright: pip install playwright"
    )
    path = os.environ.get("SURGEON_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium, or name one in SURGEON_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


SIZE = {"width": 1280, "height": 900}

RESET = """(mode) => {
  document.activeElement.blur();
  document.getElementById("search").value = "";
  document.getElementById("found").hidden = true;
  for (const part of document.querySelectorAll("main details")) part.open = false;
  for (const pane of view.panes.values()) {
    pane.grouped = pane.drawing.graph = undefined;
    pane.drawing.view.replaceChildren();
  }
  view.chosen = undefined;
  view.use(mode);
}"""


class Tab:
    """An open page, and what went wrong in it: errors, console messages, and requests of the network."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(
            **{"viewport": SIZE, "color_scheme": "light", "reduced_motion": "reduce", **options}
        )
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on(
            "console", lambda message: self.problems.append(f"console {message.type}: {message.text}")
        )
        self.page.on("pageerror", lambda exc: self.problems.append(f"error: {exc}"))
        self.page.on("request", self._request)
        self.go(path)

    def go(self, path: Path) -> None:
        """Open another page."""
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", state="attached", timeout=20_000)

    def reset(self, mode: str = "after") -> None:
        """Let the page be as when it was opened, with one graph shown or ``both``."""
        self.page.set_viewport_size(SIZE)
        self.page.emulate_media(color_scheme="light")
        self.page.evaluate(RESET, mode)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.problems.append(f"request: {request.url}")

    def names(self, side: str = "after") -> list[str]:
        """Return the names of the boxes that are drawn of one graph."""
        return self.page.eval_on_selector_all(
            f"[data-pane={side}] .box", "boxes => boxes.map((box) => box.dataset.name)"
        )

    def current(self, side: str = "after") -> str | None:
        """Return the name of the box that is chosen in one graph."""
        found = self.page.locator(f"[data-pane={side}] .current")
        return found.first.get_attribute("data-name") if found.count() else None

    def box(self, name: str, side: str = "after") -> Any:
        """Return the box of a node or namespace."""
        return self.page.locator(f'[data-pane={side}] .box[data-name="{name}"]')

    def width(self) -> int:
        """Return the width of the content, which is the window's where nothing sticks out."""
        return self.page.evaluate("document.documentElement.scrollWidth")


@pytest.fixture(scope="session")
def demo_tab(chromium: Any, demo_page: Path) -> Iterator[Tab]:
    """Give the demo detector's page, opened once for all tests."""
    tab = Tab(chromium, demo_page)
    yield tab
    tab.context.close()


@pytest.fixture
def tab(demo_tab: Tab) -> Iterator[Tab]:
    """Give the demo detector's page as when it was opened, the graph after alone; it must end without problems."""
    demo_tab.reset()
    yield demo_tab
    problems, demo_tab.problems = demo_tab.problems, []
    assert problems == []


@pytest.fixture
def phone_tab(chromium: Any, demo_page: Path) -> Iterator[Tab]:
    """Give the demo detector's page on a phone; it must end without problems."""
    tab = Tab(chromium, demo_page, viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    yield tab
    tab.context.close()
    assert tab.problems == []


@pytest.fixture(scope="session")
def other_tab(chromium: Any, demo_page: Path) -> Iterator[Tab]:
    """Give a tab for pages of other graphs."""
    tab = Tab(chromium, demo_page)
    yield tab
    tab.context.close()


@pytest.fixture
def open_page(other_tab: Tab) -> Iterator[Callable[[Path], Tab]]:
    """Give ``open_page(path) -> Tab``; the page must end without problems."""

    def opened(path: Path) -> Tab:
        other_tab.go(path)
        return other_tab

    yield opened
    problems, other_tab.problems = other_tab.problems, []
    assert problems == []
