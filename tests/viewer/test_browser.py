"""The page in a browser: what is drawn, what search, clicks and keys do, and that it holds on every screen."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgeon.graph import DType, Graph, Node, Ref, Shape
from surgeon.viewer import ChangeReport, report_difference, report_graph

PLUGINS = {"GridAnchor", "concat_box_loc", "concat_box_conf", "NMS"}


def test_the_graph_appears_with_the_plugins(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    names = tab.names()
    assert {"Input", "FeatureExtractor", "concat_priorbox", *PLUGINS} <= set(names) and len(names) < 40
    assert (
        set(tab.page.eval_on_selector_all(".box.plugin", "boxes => boxes.map((box) => box.dataset.name)"))
        == PLUGINS
    )
    assert "1×300×300×3" in tab.page.eval_on_selector_all(
        ".edge-text", "texts => texts.map((text) => text.textContent)"
    )
    boxes = tab.page.eval_on_selector_all(
        ".box", "boxes => boxes.map((box) => box.getBoundingClientRect().toJSON())"
    )
    frame = tab.page.eval_on_selector("#canvas", "place => place.getBoundingClientRect().toJSON()")
    assert all(frame["left"] <= box["left"] and box["right"] <= frame["right"] for box in boxes)
    assert all(frame["top"] <= box["top"] and box["bottom"] <= frame["bottom"] for box in boxes)


def test_boxes_do_not_cover_each_other(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    boxes = tab.page.eval_on_selector_all(
        ".box rect:not(.behind):not(.stripe)",
        "boxes => boxes.map((box) => box.getBBox()).map((b) => [b.x, b.y, b.width, b.height])",
    )
    for i, (x, y, w, h) in enumerate(boxes):
        for u, v, m, n in boxes[:i]:
            assert x >= u + m or u >= x + w or y >= v + n or v >= y + h


def test_search_finds_the_plugin_and_shows_its_fields(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("NMS")
    first = tab.page.locator("#found li").first
    assert (
        first.inner_text().startswith("NMS")
        and tab.page.locator("#search").get_attribute("aria-expanded") == "true"
    )
    tab.page.keyboard.press("Enter")
    details = tab.page.locator("#details").inner_text()
    for part in (
        "NMS_TRT",
        "added",
        "recipes/ssd.yaml:",
        "Postprocessor",
        "shareLocation",
        "keepTopK",
        "100",
        "concat_box_loc",
    ):
        assert part in details
    assert tab.page.locator(".box.current").get_attribute("data-name") == "NMS"
    assert tab.page.locator("#found").is_hidden()
    tab.page.fill("#search", "no such node")
    assert tab.page.locator("#found").inner_text() == "nothing found"


def test_a_click_shows_fields_with_their_evidence(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    assert "Choose a box" in tab.page.locator("#details").inner_text()
    tab.page.locator('.box[data-name="NMS"]').click()
    row = tab.page.locator("#details tr", has_text="numClasses")
    assert "7" in row.inner_text() and "derived" in row.inner_text()
    row.locator("summary").click()
    assert "float32[1,1083,7]" in row.inner_text()
    tab.page.locator("#details button.link", has_text="concat_priorbox").click()
    assert tab.page.locator("#details h3").inner_text() == "concat_priorbox"


def test_a_namespace_opens_and_closes(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    before = tab.names()
    tab.page.locator('.box[data-name="BoxPredictor_0"] .sign').click()
    opened = tab.names()
    assert "BoxPredictor_0" not in opened and any(name.startswith("BoxPredictor_0/") for name in opened)
    assert tab.page.locator('.area[data-name="BoxPredictor_0"]').get_attribute("aria-expanded") == "true"
    tab.page.locator('.area[data-name="BoxPredictor_0"] .sign').click()
    assert sorted(tab.names()) == sorted(before)
    tab.page.locator('.box[data-name="BoxPredictor_0"]').dblclick()
    assert sorted(tab.names()) == sorted(opened)
    tab.page.click("#close-all")
    tab.page.click("#open-all")
    assert len(tab.names()) > len(before)


def test_a_node_deep_inside_is_found_and_shown(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    tab.page.fill("#search", "BoxPredictor_3/ClassPredictor/Conv2D")
    tab.page.press("#search", "Enter")
    assert (
        tab.page.locator(".box.current").get_attribute("data-name") == "BoxPredictor_3/ClassPredictor/Conv2D"
    )
    assert "rewired" in tab.page.locator("#details").inner_text()
    assert tab.page.locator(".area").count() >= 2


def test_before_shows_the_original_with_its_fates(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    tab.page.click("[data-side=before]")
    assert {"Postprocessor", "Preprocessor", "MultipleGridAnchorGenerator"} <= set(
        tab.names()
    ) and "NMS" not in tab.names()
    tab.page.locator('.box[data-name="Postprocessor"]').click()
    details = tab.page.locator("#details").inner_text()
    assert "collapsed" in details and "NMS" in details and "recipes/ssd.yaml:" in details
    assert "collapsed" in tab.page.locator("#legend").inner_text()
    assert tab.page.locator("[data-side=before]").get_attribute("aria-pressed") == "true"


def test_keys_move_open_zoom_and_let_go(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    tab.page.locator("#canvas svg").focus()
    tab.page.keyboard.press("ArrowDown")
    first = tab.page.locator(".box.current").get_attribute("data-name")
    tab.page.keyboard.press("ArrowDown")
    assert tab.page.locator(".box.current").get_attribute("data-name") != first
    for _ in range(12):
        tab.page.keyboard.press("ArrowUp")
    assert tab.page.locator(".box.current").get_attribute("data-name") == "Input"
    tab.page.keyboard.press("ArrowDown")
    assert tab.page.locator("#details h3").inner_text() == "FeatureExtractor"
    tab.page.keyboard.press("Enter")
    assert tab.page.locator('.area[data-name="FeatureExtractor"]').count() == 1
    tab.page.keyboard.press("Enter")
    assert tab.page.locator('.area[data-name="FeatureExtractor"]').count() == 0
    width = "document.querySelector('.box').getBoundingClientRect().width"
    was = tab.page.evaluate(width)
    tab.page.keyboard.press("+")
    tab.page.wait_for_timeout(250)
    assert tab.page.evaluate(width) > was
    tab.page.keyboard.press("Escape")
    assert tab.page.locator(".box.current").count() == 0


def test_the_tree_of_namespaces_works_with_keys(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    row = tab.page.locator('.ns-row[data-path="Postprocessor"]')
    assert (
        "collapsed" in row.inner_text()
        and "NMS" in row.inner_text()
        and "recipes/ssd.yaml:" in row.inner_text()
    )
    row.focus()
    inner = tab.page.locator('.ns-row[data-path^="Postprocessor/"]').first
    assert inner.is_hidden()
    tab.page.keyboard.press("ArrowRight")
    assert inner.is_visible()
    tab.page.keyboard.press("ArrowDown")
    assert inner.evaluate("row => row === document.activeElement")
    tab.page.keyboard.press("ArrowLeft")
    assert row.evaluate("row => row === document.activeElement")
    tab.page.keyboard.press("ArrowLeft")
    assert inner.is_hidden()
    row.hover()
    row.locator("button.show").click()
    assert tab.page.locator("#details h3").inner_text() == "Postprocessor"
    tab.page.click("#unfold")
    assert inner.is_visible()
    tab.page.click("#fold")
    assert inner.is_hidden()


def luminance(tab: Any, selector: str) -> float:
    colour = tab.page.eval_on_selector(selector, "(e) => getComputedStyle(e).backgroundColor")
    red, green, blue = (float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_and_its_switch(
    open_page: Callable[..., Any], demo_page: Path, scheme: str
) -> None:
    tab = open_page(demo_page, color_scheme=scheme)
    dark = scheme == "dark"
    assert (luminance(tab, "body") < 0.2) is dark and (luminance(tab, "#summary") < 0.2) is dark
    tab.page.click("#theme")
    assert tab.page.inner_text("#theme") == "Theme: light" and luminance(tab, "body") > 0.8
    tab.page.click("#theme")
    assert tab.page.inner_text("#theme") == "Theme: dark" and luminance(tab, "body") < 0.2


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_nothing_sticks_out_at_any_width(open_page: Callable[..., Any], demo_page: Path, width: int) -> None:
    tab = open_page(demo_page, viewport={"width": width, "height": 800})
    assert tab.width() == width
    tab.page.click("#unfold")
    tab.page.locator("#targets summary").click()
    tab.page.fill("#search", "NMS")
    tab.page.press("#search", "Enter")
    assert tab.width() == width and tab.page.locator("#details h3").is_visible()
    tab.page.evaluate(
        "document.body.append(Object.assign(document.createElement('div'), {style: 'width: 3000px; height: 1px'}))"
    )
    assert tab.width() > width  # what would be seen


def test_constants_are_drawn_when_asked_for(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    assert not any(name.endswith("/axis") for name in tab.names())
    tab.page.check("#constants")
    tab.page.locator('.box[data-name="concat_priorbox"]').dblclick()
    assert "concat_priorbox/axis" in tab.names()


def test_a_constant_that_is_not_drawn_is_shown_with_its_reader(
    open_page: Callable[..., Any], demo_page: Path
) -> None:
    tab = open_page(demo_page)
    tab.page.fill("#search", "BoxPredictor_0/BoxEncodingPredictor/weights")
    tab.page.press("#search", "Enter")
    assert tab.page.locator("#details h3").inner_text() == "BoxPredictor_0/BoxEncodingPredictor/weights"
    assert (
        tab.page.locator(".box.current").get_attribute("data-name")
        == "BoxPredictor_0/BoxEncodingPredictor/Conv2D"
    )
    assert not tab.page.is_checked("#constants")


HOSTILE = (
    "</script><script>window.hurt=1</script>",
    "<img src=x onerror=window.hurt=2>",
    "\"'><svg onload=window.hurt=3>",
    "__proto__",
    "constructor/toString",
    "<!--<script",
    "\x00\x01",
    "\u202eabc",
    "名前/ノード",
    "long" * 3000,
    "a//b",
    "/",
)


def assert_seen(tab: Any) -> None:
    """Assert that no text outside of scripts holds what cannot be seen."""
    text = tab.page.evaluate(
        "[...document.querySelectorAll('#canvas, #details, main, [role=listbox]')].map((e) => e.textContent).join('')"
    )
    assert text and {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")} <= {
        "\n",
        "\t",
    }


def test_hostile_names_are_text(
    open_page: Callable[..., Any], write_page: Callable[[ChangeReport], Path]
) -> None:
    nodes = [Node("x", "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape.of(1)})]
    for name in HOSTILE:
        nodes.append(
            Node(
                name,
                name[:60],
                (Ref(nodes[-1].name),),
                (),
                {name[:60]: name[:60].encode(), "T": DType.FLOAT32},
                name[:60],
            )
        )
    tab = open_page(write_page(report_graph(Graph(nodes, source=HOSTILE[1]))))
    for name in HOSTILE:
        tab.page.fill("#search", name)
        tab.page.press("#search", "Enter")
        assert tab.page.locator("#details h3").count() == 1
        assert_seen(tab)
    tab.page.click("#open-all")
    tab.page.check("#constants")
    assert_seen(tab)
    assert "\\u{202e}abc" in tab.page.locator("#canvas").evaluate("place => place.textContent")
    assert tab.page.evaluate("window.hurt") is None
    assert tab.page.locator("img").count() == 0 and tab.page.locator("#details svg").count() == 0
    assert HOSTILE[1] in tab.names()


def chain(count: int, name: Callable[[int], str]) -> Graph:
    nodes = [Node("x", "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape.of(1)})]
    for i in range(count):
        sources = (Ref(nodes[-1].name), *((Ref(nodes[(i * 7919) % len(nodes)].name),) if i % 7 == 0 else ()))
        nodes.append(Node(name(i), "AddN", sources, (), {"T": DType.FLOAT32}))
    return Graph(nodes)


@pytest.mark.parametrize(
    "name", ["op_{0}", "block_{1}/layer_{2}/op_{0}", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/op_{0}"]
)
def test_many_nodes_are_never_drawn_at_once(
    open_page: Callable[..., Any], write_page: Callable[[ChangeReport], Path], name: str
) -> None:
    tab = open_page(write_page(report_graph(chain(8000, lambda i: name.format(i, i // 1000, i // 10)))))
    assert 1 <= len(tab.names()) <= 65
    tab.page.fill("#search", "op_7777")
    tab.page.press("#search", "Enter")
    assert tab.page.locator(".box.current").get_attribute("data-name").endswith("op_7777")
    assert len(tab.names()) <= 320


def test_a_loop_is_drawn(open_page: Callable[..., Any], write_page: Callable[[ChangeReport], Path]) -> None:
    spec = {"T": DType.FLOAT32}
    nodes = [
        Node("x", "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape.of(1)}),
        Node("loop/enter", "Enter", (Ref("x"),), (), spec),
        Node("loop/merge", "Merge", (Ref("loop/enter"), Ref("loop/next")), (), spec),
        Node("loop/neg", "Neg", (Ref("loop/merge"),), (), spec),
        Node("loop/next", "NextIteration", (Ref("loop/neg"),), (), spec),
        Node("y", "Exit", (Ref("loop/merge"),), (), spec),
    ]
    tab = open_page(write_page(report_graph(Graph(nodes))))
    assert set(tab.names()) == {"x", "loop/enter", "loop/merge", "loop/neg", "loop/next", "y"}


def test_an_empty_graph_and_a_difference_have_pages(
    open_page: Callable[..., Any], write_page: Callable[[ChangeReport], Path], report: ChangeReport
) -> None:
    assert open_page(write_page(report_graph(Graph()))).names() == []
    assert report.before is not None
    tab = open_page(write_page(report_difference(report.before.graph, report.after.graph)))
    assert "clip" in tab.names()
    tab.page.locator('.box[data-name="clip"]').click()
    assert "only in the second graph" in tab.page.locator("#details").inner_text()
    tab.page.click("[data-side=before]")
    assert "removed" in tab.page.locator("#legend").inner_text()


def test_the_name_of_an_open_namespace_is_not_covered(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page)
    tab.page.fill("#search", "BoxPredictor_3/ClassPredictor/Conv2D")
    tab.page.press("#search", "Enter")
    rectangles = "items => items.map((item) => item.getBBox()).map((b) => [b.x, b.y, b.width, b.height])"
    names = tab.page.eval_on_selector_all(".area .name", rectangles)
    boxes = tab.page.eval_on_selector_all(".box rect:not(.behind):not(.stripe)", rectangles)
    assert len(names) >= 2
    for x, y, w, h in names:
        assert not [
            box
            for box in boxes
            if x < box[0] + box[2] and box[0] < x + w and y < box[1] + box[3] and box[1] < y + h
        ]


def test_a_phone_starts_where_names_can_be_read(open_page: Callable[..., Any], demo_page: Path) -> None:
    tab = open_page(demo_page, viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    box = tab.page.eval_on_selector('.box[data-name="NMS"]', "box => box.getBoundingClientRect().toJSON()")
    frame = tab.page.eval_on_selector("#canvas", "place => place.getBoundingClientRect().toJSON()")
    assert box["height"] > 30 and frame["left"] <= box["left"] and box["right"] <= frame["right"]
    assert tab.width() == 360
