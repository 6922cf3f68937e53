"""The page in a browser: what is drawn, what search, clicks and keys do, and that it holds on every screen."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgeon.graph import DType, Graph, Node, Ref, Shape
from surgeon.viewer import ChangeReport, report_difference, report_graph

pytestmark = pytest.mark.xdist_group("browser")

PLUGINS = {"GridAnchor", "concat_box_loc", "concat_box_conf", "NMS"}


def test_the_graph_appears_with_the_plugins(tab: Any) -> None:
    names = tab.names()
    assert {"Input", "FeatureExtractor", "concat_priorbox", *PLUGINS} <= set(names) and len(names) < 40
    assert (
        set(
            tab.page.eval_on_selector_all(
                "[data-pane=after] .box.plugin", "boxes => boxes.map((box) => box.dataset.name)"
            )
        )
        == PLUGINS
    )
    assert "1×300×300×3" in tab.page.eval_on_selector_all(
        ".edge-text", "texts => texts.map((text) => text.textContent)"
    )
    boxes = tab.page.eval_on_selector_all(
        ".box", "boxes => boxes.map((box) => box.getBoundingClientRect().toJSON())"
    )
    frame = tab.page.eval_on_selector(
        "[data-canvas=after]", "place => place.getBoundingClientRect().toJSON()"
    )
    assert all(frame["left"] <= box["left"] and box["right"] <= frame["right"] for box in boxes)
    assert all(frame["top"] <= box["top"] and box["bottom"] <= frame["bottom"] for box in boxes)


def test_boxes_do_not_cover_each_other(tab: Any) -> None:
    boxes = tab.page.eval_on_selector_all(
        ".box rect:not(.behind):not(.stripe)",
        "boxes => boxes.map((box) => box.getBBox()).map((b) => [b.x, b.y, b.width, b.height])",
    )
    for i, (x, y, w, h) in enumerate(boxes):
        for u, v, m, n in boxes[:i]:
            assert x >= u + m or u >= x + w or y >= v + n or v >= y + h


def test_search_finds_the_plugin_and_shows_its_fields(tab: Any) -> None:
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
    assert tab.current() == "NMS"
    assert tab.page.locator("#found").is_hidden()
    tab.page.fill("#search", "no such node")
    assert tab.page.locator("#found").inner_text() == "nothing found"


def test_a_click_shows_fields_with_their_evidence(tab: Any) -> None:
    assert "Choose a box" in tab.page.locator("#details").inner_text()
    tab.box("NMS").click()
    row = tab.page.locator("#details tr", has_text="numClasses")
    assert "7" in row.inner_text() and "derived" in row.inner_text()
    row.locator("summary").click()
    assert "float32[1,1083,7]" in row.inner_text()
    tab.page.locator("#details button.link", has_text="concat_priorbox").click()
    assert tab.page.locator("#details h3").inner_text() == "concat_priorbox"


def test_a_namespace_opens_and_closes(tab: Any) -> None:
    before = tab.names()
    tab.box("BoxPredictor_0").locator(".sign").click()
    opened = tab.names()
    assert "BoxPredictor_0" not in opened and any(name.startswith("BoxPredictor_0/") for name in opened)
    assert tab.page.locator('.area[data-name="BoxPredictor_0"]').get_attribute("aria-expanded") == "true"
    tab.page.locator('.area[data-name="BoxPredictor_0"] .sign').click()
    assert sorted(tab.names()) == sorted(before)
    tab.box("BoxPredictor_0").dblclick()
    assert sorted(tab.names()) == sorted(opened)
    tab.page.click("#close-all")
    tab.page.click("#open-all")
    assert len(tab.names()) > len(before)


def test_the_list_stays_for_those_who_come_back_to_the_search_at_once(tab: Any) -> None:
    tab.page.focus("#search")
    tab.page.evaluate(
        "() => { const field = document.getElementById('search'); field.blur(); field.focus(); }"
    )
    tab.page.fill("#search", "NMS")
    tab.page.wait_for_timeout(250)  # leaving the field closes the list after 150 ms
    tab.page.press("#search", "Enter")
    assert tab.current() == "NMS"


def test_a_node_deep_inside_is_found_and_shown(tab: Any) -> None:
    tab.page.fill("#search", "BoxPredictor_3/ClassPredictor/Conv2D")
    tab.page.press("#search", "Enter")
    assert tab.current() == "BoxPredictor_3/ClassPredictor/Conv2D"
    assert "rewired" in tab.page.locator("#details").inner_text()
    assert tab.page.locator(".area").count() >= 2


def test_before_shows_the_original_with_its_fates(tab: Any) -> None:
    tab.page.click("[data-mode=before]")
    assert {"Postprocessor", "Preprocessor", "MultipleGridAnchorGenerator"} <= set(
        tab.names("before")
    ) and "NMS" not in tab.names("before")
    tab.box("Postprocessor", "before").click()
    details = tab.page.locator("#details").inner_text()
    assert "collapsed" in details and "NMS" in details and "recipes/ssd.yaml:" in details
    assert "collapsed" in tab.page.locator("#legend").inner_text()
    assert tab.page.locator("[data-mode=before]").get_attribute("aria-pressed") == "true"


def test_keys_move_open_zoom_and_let_go(tab: Any) -> None:
    tab.page.locator("[data-canvas=after] svg").focus()
    tab.page.keyboard.press("ArrowDown")
    first = tab.current()
    tab.page.keyboard.press("ArrowDown")
    assert tab.current() != first
    for _ in range(12):
        tab.page.keyboard.press("ArrowUp")
    assert tab.current() == "Input"
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
    assert tab.current() is None


def test_the_tree_of_namespaces_works_with_keys(tab: Any) -> None:
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
def test_the_page_follows_the_system_and_its_switch(tab: Any, scheme: str) -> None:
    tab.page.emulate_media(color_scheme=scheme)
    dark = scheme == "dark"
    assert (luminance(tab, "body") < 0.2) is dark and (luminance(tab, "#graph") < 0.2) is dark
    tab.page.click("#theme")
    assert tab.page.inner_text("#theme") == "Theme: light" and luminance(tab, "body") > 0.8
    tab.page.click("#theme")
    assert tab.page.inner_text("#theme") == "Theme: dark" and luminance(tab, "body") < 0.2
    tab.page.click("#theme")
    assert tab.page.inner_text("#theme") == "Theme: auto" and (luminance(tab, "body") < 0.2) is dark


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_nothing_sticks_out_at_any_width(tab: Any, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 800})
    assert tab.width() == width
    tab.page.click("#unfold")
    tab.page.locator("#targets summary").click()
    tab.page.fill("#search", "NMS")
    tab.page.press("#search", "Enter")
    assert tab.width() == width and tab.page.locator("#details h3").is_visible()
    wide = "document.body.append(Object.assign(document.createElement('div'), {id: 'wide', style: 'width: 3000px; height: 1px'}))"
    tab.page.evaluate(wide)
    assert tab.width() > width  # what would be seen
    tab.page.evaluate("document.getElementById('wide').remove()")


def test_constants_are_drawn_when_asked_for(tab: Any) -> None:
    assert not any(name.endswith("/axis") for name in tab.names())
    tab.page.check("#constants")
    tab.box("concat_priorbox").dblclick()
    assert "concat_priorbox/axis" in tab.names()


def test_a_constant_that_is_not_drawn_is_shown_with_its_reader(tab: Any) -> None:
    tab.page.fill("#search", "BoxPredictor_0/BoxEncodingPredictor/weights")
    tab.page.press("#search", "Enter")
    assert tab.page.locator("#details h3").inner_text() == "BoxPredictor_0/BoxEncodingPredictor/weights"
    assert tab.current() == "BoxPredictor_0/BoxEncodingPredictor/Conv2D"
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
        "[...document.querySelectorAll('.canvas, #details, main, [role=listbox]')].map((e) => e.textContent).join('')"
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
    assert "\\u{202e}abc" in tab.page.locator("[data-canvas=after]").evaluate("place => place.textContent")
    assert tab.page.evaluate("window.hurt") is None
    assert tab.page.locator("img").count() == 0 and tab.page.locator("#details svg").count() == 0
    assert HOSTILE[1] in tab.names()


def chain(count: int, name: Callable[[int], str]) -> Graph:
    nodes = [Node("x", "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape.of(1)})]
    for i in range(count):
        sources = (Ref(nodes[-1].name), *((Ref(nodes[(i * 7919) % len(nodes)].name),) if i % 40 == 0 else ()))
        nodes.append(Node(name(i), "AddN", sources, (), {"T": DType.FLOAT32}))
    return Graph(nodes)


@pytest.mark.parametrize(
    "name", ["op_{0}", "block_{1}/layer_{2}/op_{0}", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/op_{0}"]
)
def test_many_nodes_are_never_drawn_at_once(
    open_page: Callable[..., Any], write_page: Callable[[ChangeReport], Path], name: str
) -> None:
    tab = open_page(write_page(report_graph(chain(1500, lambda i: name.format(i, i // 1000, i // 10)))))
    assert 1 <= len(tab.names()) <= 65
    tab.page.fill("#search", "op_1277")
    tab.page.press("#search", "Enter")
    assert tab.current().endswith("op_1277")
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
    tab.box("clip").click()
    assert "only in the second graph" in tab.page.locator("#details").inner_text()
    tab.page.click("[data-mode=before]")
    assert "removed" in tab.page.locator("#legend").inner_text()


def test_the_name_of_an_open_namespace_is_not_covered(tab: Any) -> None:
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


def test_a_phone_starts_where_names_can_be_read(phone_tab: Any) -> None:
    box = phone_tab.box("NMS").evaluate("box => box.getBoundingClientRect().toJSON()")
    canvas = phone_tab.page.locator("[data-canvas=after]")
    frame = canvas.evaluate("place => place.getBoundingClientRect().toJSON()")
    assert box["height"] > 30 and frame["left"] <= box["left"] and box["right"] <= frame["right"]
    assert frame["top"] < 500 and phone_tab.width() == 360


def test_a_phone_has_tabs_that_carry_the_choice(phone_tab: Any) -> None:
    page = phone_tab.page
    assert page.locator("[data-mode=both]").is_hidden()
    phone_tab.box("NMS").click()
    page.click("[data-mode=before]")
    assert page.locator("[data-pane=after]").is_hidden() and phone_tab.current("before") == "Postprocessor"
    page.click("[data-mode=after]")
    assert phone_tab.current() == "NMS" and page.locator("#details h3").inner_text() == "NMS"


def test_both_graphs_stand_side_by_side_above_the_fold(tab: Any) -> None:
    tab.reset("both")
    frames = [
        tab.page.eval_on_selector(f"[data-canvas={side}]", "place => place.getBoundingClientRect().toJSON()")
        for side in ("before", "after")
    ]
    assert frames[0]["top"] == frames[1]["top"] < 300 and frames[0]["right"] < frames[1]["left"]
    assert all(frame["bottom"] < 900 and frame["width"] > 400 for frame in frames)
    assert "Postprocessor" in tab.names("before") and "NMS" in tab.names("after")
    tab.page.set_viewport_size({"width": 800, "height": 900})
    tab.page.wait_for_function("view.mode === 'after'")
    assert tab.page.locator("[data-pane=before]").is_hidden() and tab.width() == 800
    tab.page.set_viewport_size({"width": 1280, "height": 900})
    tab.page.wait_for_function("view.mode === 'both'")


COUNTERPARTS = [
    ("after", "NMS", "Postprocessor"),
    ("after", "Input", "Preprocessor"),
    ("after", "FeatureExtractor", "FeatureExtractor"),
    ("before", "Postprocessor", "NMS"),
    ("before", "concat_1", "concat_box_conf"),
]


def test_a_choice_is_carried_to_its_counterpart_and_back(tab: Any) -> None:
    tab.reset("both")
    details = tab.page.locator("#details")
    for side, name, counterpart in COUNTERPARTS:
        other = {"before": "after", "after": "before"}[side]
        tab.box(name, side).dispatch_event("click")
        assert tab.current(side) == name and tab.current(other) == counterpart
        link = details.locator("section", has_text=f"In the graph {other}").locator("button.link").first
        assert details.locator("h3").inner_text() == name and link.inner_text() == counterpart
    link.click()
    assert details.locator("h3").inner_text() == counterpart and tab.current(other) == counterpart


def test_a_choice_comes_back_to_where_it_was_made(tab: Any) -> None:
    tab.reset("before")
    tab.box("image_tensor", "before").click()
    tab.page.click("[data-mode=after]")
    assert tab.current("after") == "Input"  # most of which was the Preprocessor
    tab.page.click("[data-mode=before]")
    assert tab.current("before") == "image_tensor"
    tab.page.click("[data-mode=both]")
    assert (tab.current("before"), tab.current("after")) == ("image_tensor", "Input")


def test_what_has_no_counterpart_says_so(tab: Any) -> None:
    tab.reset("both")
    tab.box("NMS").click()
    dropped = tab.page.locator("[data-pane=before] .box.f-dropped").first
    dropped.dispatch_event("click")
    assert tab.current("after") is None
    section = tab.page.locator("#details section", has_text="In the graph after")
    assert section.locator("button").count() == 0 and "nothing" in section.inner_text()


def test_a_namespace_opens_in_both_graphs(tab: Any) -> None:
    tab.reset("both")
    tab.box("BoxPredictor_0").dblclick()
    for side in ("before", "after"):
        assert tab.page.locator(f'[data-pane={side}] .area[data-name="BoxPredictor_0"]').count() == 1
    conv = "BoxPredictor_0/ClassPredictor/Conv2D"
    tab.page.fill("#search", conv)
    tab.page.press("#search", "Enter")
    assert tab.current("before") == tab.current("after") == conv


def test_inputs_of_a_plugin_stand_beside_their_ports(tab: Any) -> None:
    tab.box("NMS").click()
    rows = (
        tab.page.locator("#details section", has=tab.page.locator("h4", has_text="Inputs"))
        .locator("li")
        .all_inner_texts()
    )
    ports = dict(row.split()[:2] for row in rows)
    assert ports == {"loc": "concat_box_loc", "conf": "concat_box_conf", "prior": "concat_priorbox"}


LABELS = """side => [...document.querySelectorAll(`[data-pane=${side}] .box .name`)].filter((name) => name.checkVisibility())
    .map((name) => ({ size: parseFloat(getComputedStyle(name).fontSize) * name.getScreenCTM().a, text: name.textContent,
                      ...name.getBoundingClientRect().toJSON() }))"""


@pytest.mark.parametrize("mode", ["after", "before", "both"])
def test_names_can_be_read_when_the_whole_graph_is_shown(tab: Any, mode: str) -> None:
    tab.reset(mode)
    tab.page.click("#open-all")  # which also shows the whole
    for side in ("before", "after") if mode == "both" else (mode,):
        labels = tab.page.evaluate(LABELS, side)
        assert len(labels) >= 12 and min(label["size"] for label in labels) >= 9.9
        for i, label in enumerate(labels):
            for other in labels[:i]:
                assert (
                    label["right"] <= other["left"] + 1
                    or other["right"] <= label["left"] + 1
                    or label["bottom"] <= other["top"] + 0.3 * label["height"]
                    or other["bottom"] <= label["top"] + 0.3 * label["height"]
                ), (label["text"], other["text"])


def contrasts(tab: Any) -> list[tuple[float, str, str]]:
    """Return the least contrast of each kind of text with the ground behind it, by WCAG, the worst first."""
    found: list[tuple[float, str, str]] = tab.page.evaluate(CONTRAST)
    return found


CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


def test_every_text_can_be_read_on_its_ground(tab: Any) -> None:
    tab.reset("both")
    tab.box("NMS").click()
    tab.page.evaluate("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        found = contrasts(tab)
        assert len(found) > 60 and [text for text in found if text[0] < 4.5] == []
    tab.page.evaluate("document.querySelector('.brand').style.color = 'rgb(80, 80, 80)'")
    assert contrasts(tab)[0][1].startswith("P.brand")  # what would be found
    tab.page.evaluate("document.querySelector('.brand').style.color = ''")


@pytest.mark.parametrize("width", [360, 1280])
def test_columns_are_aligned_in_every_container(tab: Any, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.page.click("#unfold")
    rows = tab.page.eval_on_selector_all(
        ".ns-row",
        "rows => rows.filter((row) => row.checkVisibility()).map((row) => [...row.querySelectorAll(':scope > .n')]"
        ".map((cell) => Math.round(cell.getBoundingClientRect().right)))",
    )
    assert len(rows) > 40 and len({tuple(row) for row in rows}) == 1
    spilled = (
        "cells => cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)"
    )
    assert tab.page.eval_on_selector_all(".ns-head .n", spilled) == []
    tab.page.evaluate(
        "document.querySelectorAll('.folding > details').forEach((part) => { part.open = true; })"
    )
    columns = tab.page.eval_on_selector_all(
        "#contents .folding tr",
        "rows => rows.map((row) => [...row.cells].map((cell) => Math.round(cell.getBoundingClientRect().right)))",
    )
    assert len(columns) > 20 and len({tuple(row) for row in columns}) == 1
    cut = "all => all.filter((place) => place.scrollWidth > place.clientWidth).map((place) => place.textContent.slice(0, 40))"
    assert (
        tab.page.eval_on_selector_all(
            "#contents .scroll, #surgery .scroll, #derived .scroll, #namespaces", cut
        )
        == []
    )


def test_everything_that_acts_can_be_reached_with_the_keyboard(tab: Any) -> None:
    tab.reset("both")
    tab.page.evaluate("document.body.tabIndex = -1; document.body.focus()")
    reached = set()
    for _ in range(60):
        tab.page.keyboard.press("Tab")
        reached.add(
            tab.page.evaluate(
                "(document.activeElement.id || document.activeElement.dataset.mode || "
                "document.activeElement.closest('[data-pane]')?.dataset.pane || document.activeElement.tagName)"
            )
        )
    tab.page.evaluate("document.body.removeAttribute('tabindex')")
    assert {
        "theme",
        "before",
        "after",
        "both",
        "search",
        "zoom-fit",
        "constants",
        "unfold",
        "details",
    } <= reached
