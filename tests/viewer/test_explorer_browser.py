"""The genuine Model Explorer in a browser: both graphs appear, search finds a plugin, a click shows its fields."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import surgeon
from surgeon.zoo import demo

pytestmark = pytest.mark.exhaustive

SEARCH = "input[placeholder='Search nodes/layers by regex']"


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """Give the address of the demo detector before and after in Model Explorer; skip where that is not installed."""
    with serving(str(demo.model_path()), "ssd") as address:
        yield address


@contextmanager
def serving(*what: str) -> Iterator[str]:
    """Run ``surgeon view`` for the length of a block, and give its address."""
    pytest.importorskip("model_explorer", reason="Model Explorer is not installed: pip install '.[view]'")
    command = [sys.executable, "-m", "surgeon", "view", *what, "--no-open", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGTERM)
    talk = process.communicate(timeout=20)[1]
    assert process.returncode == 0 and "Traceback" not in talk and "Ctrl-C ends it" in talk


class Explorer:
    """An open window of Model Explorer, and the errors in it."""

    def __init__(self, browser: Any, address: str, graphs: int = 2) -> None:
        self.context = browser.new_context(viewport={"width": 1600, "height": 900}, reduced_motion="reduce")
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on(
            "console", lambda message: self.problems.append(message.text) if message.type == "error" else None
        )
        self.page.on("pageerror", lambda exc: self.problems.append(str(exc)))
        # Model Explorer asks Google's servers for its fonts; a test asks nobody, and wants no error from that.
        self.context.route(
            lambda url: not url.startswith(address.partition("/?")[0]),
            lambda route: route.fulfill(status=204),
        )
        self.page.goto(address)
        self.wait_for("(document.body.innerText.match(/op node count/g) || []).length === " + str(graphs))

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript condition holds."""
        self.page.wait_for_function(condition, timeout=30_000)

    def says(self, *texts: str) -> None:
        """Wait until the window says all of these."""
        self.wait_for(f"{json.dumps(texts)}.every((text) => document.body.innerText.includes(text))")

    def locate(self, pane: int, name: str) -> None:
        """Search a node in a pane, and choose it among what is found: it then stands in the middle of its pane."""
        self.page.locator(SEARCH).nth(pane).fill(name)
        self.page.locator("span.node-label", has_text=name).first.click()
        self.page.locator(SEARCH).nth(pane).fill("")
        self.page.wait_for_timeout(1500)  # it moves there

    def click_middle(self, pane: int) -> None:
        """Click what stands in the middle of a pane."""
        boxes = self.page.eval_on_selector_all(
            "canvas", "all => all.map((c) => c.getBoundingClientRect().toJSON()).filter((b) => b.width > 200)"
        )
        boxes = sorted({(box["left"], box["top"], box["width"], box["height"]) for box in boxes})
        left, top, width, height = boxes[0] if pane == 0 else boxes[-1]
        self.page.mouse.move(left + width / 2, top + height / 2)
        self.page.mouse.click(left + width / 2, top + height / 2)


@pytest.fixture
def explorer(chromium: Any, served: str) -> Iterator[Explorer]:
    """Give a window with both graphs, in which no error may occur."""
    opened = Explorer(chromium, served)
    yield opened
    opened.context.close()
    assert opened.problems == []


def test_both_graphs_appear_side_by_side_and_coloured(explorer: Explorer) -> None:
    explorer.says(
        "before: model.pb | before",
        "after: model.pb, ssd | after",
        "2,742",
        "664",
        "violet: 4 nodes",
        "what became of it",
        "#collapsed",
        "#derived",
    )
    panes = explorer.page.eval_on_selector_all(
        SEARCH, "all => all.map((field) => field.getBoundingClientRect().left)"
    )
    assert len(panes) == 2 and panes[0] < 800 < panes[1]
    assert picture_colours(explorer) == {"blue", "red", "green", "violet"}


def picture_colours(explorer: Explorer) -> set[str]:
    """Return which of the colours of nodes are on the screen."""
    from io import BytesIO

    image = (
        pytest.importorskip("PIL.Image", reason="Pillow reads the picture")
        .open(BytesIO(explorer.page.screenshot()))
        .convert("RGB")
    )
    seen = {colour for _, colour in image.getcolors(1 << 24)}
    named = {
        "blue": (0x1F, 0x6F, 0xD6),
        "red": (0xC4, 0x38, 0x2E),
        "green": (0x1A, 0x8A, 0x3C),
        "violet": (0x7A, 0x46, 0xE0),
        "pink": (0xFF, 0x14, 0x93),
    }
    return {
        name
        for name, colour in named.items()
        if any(max(abs(a - b) for a, b in zip(colour, other, strict=True)) < 4 for other in seen)
    }


def test_search_finds_a_plugin_and_a_click_shows_its_fields(explorer: Explorer) -> None:
    assert "numClasses" not in explorer.page.inner_text("body")
    explorer.locate(1, "NMS")
    explorer.click_middle(1)
    explorer.says(
        "NODE INFO",
        "NMS_TRT",
        "numClasses",
        "7 (derived: ",
        "keepTopK",
        "Took the place of",
        "recipes/ssd.yaml:",
        "float32[1,7668,1,1]",
    )
    assert explorer.page.locator(SEARCH).nth(1).input_value() == ""


def test_with_the_mapping_a_plugin_leads_to_what_it_took_the_place_of(
    explorer: Explorer, served: str
) -> None:
    model = json.loads(unquote(served.partition("data=")[2].partition("&")[0]))["models"][0]["url"]
    explorer.page.get_by_text("Sync", exact=True).first.click()
    explorer.page.get_by_text("Upload mapping from computer").click()
    explorer.page.set_input_files("input.upload-mapping-input", Path(model).with_name("sync.json"))
    explorer.says("sync.json")
    explorer.page.mouse.click(800, 20)
    explorer.locate(1, "NMS")
    explorer.click_middle(1)
    explorer.says(
        "LAYER INFO", "LAYER ATTRIBUTES", "Postprocessor", "collapsed 812, dropped 12, forwarded 10"
    )


def test_errors_would_be_seen(chromium: Any, served: str) -> None:
    opened = Explorer(chromium, served)
    opened.page.evaluate("console.error('broken')")
    opened.context.close()
    assert opened.problems == ["broken"]


@pytest.mark.parametrize("name", ["ssd.uff", "ssd.onnx"])
def test_files_of_other_formats_appear_with_plugins_and_shapes(
    chromium: Any, tmp_path: Path, name: str
) -> None:
    pytest.importorskip("model_explorer", reason="Model Explorer is not installed: pip install '.[view]'")
    surgeon.convert(
        "ssd", demo.model_path(), tmp_path / name, target=f"{name.partition('.')[2]}@tensorrt-8.5"
    )
    with serving(str(tmp_path / name)) as address:
        opened = Explorer(chromium, address, graphs=1)
        opened.says(f"graph: {name}", "violet: 4 nodes")
        opened.locate(0, "NMS")
        opened.click_middle(0)
        opened.says("NMS_TRT", "numClasses", "float32[1,1,100,7]")
        opened.context.close()
        assert opened.problems == []
