"""Pieces of HTML: what they say, and that nothing that came from a file is HTML in them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import surgeon
from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError, error
from surgeon.display import Displayed
from surgeon.graph import Graph, Node, Ref
from surgeon.inspection import Namespace
from surgeon.language import Recipe, parse_recipe
from surgeon.rewrite import Plan, plan_from_json, plan_to_json
from surgeon.verification import (
    DetectionComparison,
    Difference,
    Outcome,
    Row,
    TensorComparison,
    Tolerances,
    Verdict,
    Verification,
)
from surgeon.viewer import diagnostics_html, graph_html, plan_html, read_verification, verification_html
from surgeon.viewer.assets import asset
from surgeon.viewer.html_parts import folding_table, table, value_of
from surgeon.viewer.markup import Markup, element, escape, join
from surgeon.viewer.notebook_html import nested
from surgeon.viewer.verdict_file import verification_from_json
from surgeon.zoo import demo

REFUSED = "recipe: 1\nname: refused\noutputs: [result]\n"

EVIL = "</script><img src=x onerror=alert(1)>\"'&\x00\u202e\ud800"


class Elements(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("img", "meta", "link", "input", "br", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Elements:
    found = Elements(text)
    assert found.open == []
    return found


def test_markup_escapes_everything_but_markup() -> None:
    made = element("p", EVIL, element("b", "x"), None, class_='a"b', data_path="<", hidden=True, title=None)
    assert made == (
        '<p class="a&quot;b" data-path="&lt;" hidden>&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;\\x00\\u202e\\ud800<b>x</b></p>'
    )
    assert escape(made) is made and join("<", Markup("<br>"), 3) == "&lt;<br>3"
    assert element("img", src="data:,") == '<img src="data:,">'


def verification(name: str = "conv") -> Verification:
    row = Row(1, 0.75, (0.1, 0.2, 0.3, 0.4))
    differences = (
        Difference(row, None),
        Difference(row, row, 0.02, 0.01),
        Difference(row, None, excuse="clip-first"),
    )
    detections = DetectionComparison(
        name, "cat.jpg", Outcome.FAILED, "2 differ", 3, 1, 1, 0.02, 1e-7, 0.01, differences
    )
    tensor = TensorComparison(name, "cat.jpg", Outcome.FAILED, "off by nan", "float32[1]", float("nan"), 1e-5)
    verdicts = (
        Verdict("cut to cut", Outcome.FAILED, "1 of 1 failed", (detections, tensor)),
        Verdict("each alone", Outcome.PASSED, ""),
    )
    return Verification(
        "small",
        "uff@tensorrt-8.5",
        ("cat.jpg",),
        False,
        Tolerances(),
        None,
        verdicts,
        {"clip-first": "the order"},
        {1: name},
        ("drawn/cat.jpg.png",),
    )


def test_a_table_that_folds_is_one_table() -> None:
    rows = [(name, "x", "y", str(number)) for number, name in enumerate("abcde")]
    shown = folding_table("letters", ["letter", "second", "third", "number"], rows, shown=2, right=(3,))
    assert shown.count("<table") == 1 and shown.count('<tbody class="rest">') == 1
    assert "3 more letters" in shown and shown.index(">b<") < shown.index('class="rest"') < shown.index(">c<")
    assert 'data-title="letter"' in shown and 'class="stacks"' in shown
    assert "<thead" not in table(["", ""], [("a", "b")]) and "details" not in table(["a"], [("b",)])


def luminance(colour: tuple[float, ...]) -> float:
    parts = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def mixed(colour: tuple[float, ...], other: tuple[float, ...], part: float) -> tuple[float, ...]:
    return tuple(a * part + b * (1 - part) for a, b in zip(colour, other, strict=True))


@pytest.mark.parametrize(
    ("text", "ground"), [(0x22, 0xFF), (0xDE, 0x11), (0xCC, 0x1F), (0xFF, 0x30)], ids=str
)
def test_badges_can_be_read_in_light_and_dark_notebooks(text: int, ground: int) -> None:
    style = asset("pieces.css")
    bases = re.findall(r"--(\w+): color-mix\(in srgb, #(\w{6}), currentColor\)", style)
    assert len(bases) == 8 and "prefers-color-scheme" not in style  # a notebook has a theme of its own
    for name, code in bases:
        base = tuple(float(value) for value in bytes.fromhex(code))
        colour = mixed(base, (text,) * 3, 0.5)
        behind = mixed(colour, (ground,) * 3, 0.14)
        low, high = sorted((luminance(colour), luminance(behind)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_a_verification_shows_its_verdicts_and_what_nothing_explains() -> None:
    text = read(verification_html(verification())).text
    for part in (
        "failed",
        "cut to cut",
        "each alone",
        "2 differ",
        "missing",
        "differs",
        "box 0.02, score 0.01",
        "clip-first",
        "the order",
    ):
        assert part in text
    assert text.count("missing") == 1  # the excused one is not listed


def test_a_verification_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(verification().to_json()))
    assert read_verification(path).to_json() == verification().to_json()
    changed = verification().to_json()
    changed["verdicts"][0]["outcome"] = "passed"
    assert verification_from_json(changed).outcome is Outcome.PASSED
    assert verification_from_json(changed).to_json() != verification().to_json()
    assert verification_from_json({**changed, "runtime": {"engine": "a.engine"}}).runtime == {
        "engine": "a.engine"
    }
    assert (
        verification_from_json({key: value for key, value in changed.items() if key != "runtime"}).runtime
        == {}
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '"x"',
        "null",
        '{"recipe": "r"}',
        '{"outcome": "passed"}',
        "[" * 100_000,
        "\x00\xff",
    ],
)
def test_other_files_are_no_verification(tmp_path: Path, text: str) -> None:
    path = tmp_path / "verdict.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SurgeonError, match="W101"):
        read_verification(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("verdicts", 3), ("tolerances", {}), ("labels", {"x": "y"}), ("pictures", None), ("drawn", 4)],
)
def test_a_verification_that_was_changed_is_refused(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps({**verification().to_json(), key: value}))
    with pytest.raises(SurgeonError, match="W101"):
        read_verification(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(SurgeonError, match="W102"):
            read_verification(path)


def test_diagnostics_stand_by_gravity_with_line_and_help() -> None:
    span = Span("a.yaml", 3, 5, 4, "key: oops <b>")
    found = read(
        diagnostics_html(
            [
                Diagnostic("W1", "a remark", "node", severity=Severity.NOTE),
                Diagnostic("E1", "wrong <b>", span, ("a fact",), ("do this",)),
            ]
        )
    )
    assert (
        found.text.index("E1") < found.text.index("W1")
        and "a.yaml:3" in found.text
        and "a fact" in found.text
        and "do this" in found.text
    )
    assert "oops" in found.text and found.tags.count("mark") == 1 and "b" in found.tags
    assert "wrong <b>" in found.text
    assert "None." in read(diagnostics_html([])).text


def test_a_graph_shows_its_ends_operations_and_namespaces(graph: Graph) -> None:
    text = read(graph_html(graph)).text
    for part in ("11 nodes", "picture", "uint8[?,4,4,3]", "Conv2D", "body", "spare"):
        assert part in text


def test_a_plan_shows_what_is_put_in_and_the_fate_of_namespaces(plan: Plan) -> None:
    text = read(plan_html(plan)).text
    for part in (
        "small",
        "clip",
        "CustomClipPlugin",
        "clipMax 6",
        "collapsed",
        "small.yaml:7",
        "forward-identities",
        "float32[1,4,4,3]",
    ):
        assert part in text
    again = read(plan_html(plan_from_json(plan_to_json(plan)))).text
    assert "small" in again and "forward-identities" in again and "CustomClipPlugin" not in again


def test_what_the_library_returns_shows_itself(graph: Graph, plan: Plan, recipe: Recipe) -> None:
    assert plan.result is not None
    bad = error("R101", "it is <wrong>; expected it right", Span("a.yaml", 2, 1, 3, "key: oops"))
    shown: dict[str, tuple[Displayed, tuple[str, ...]]] = {
        "graph": (graph, ("11 nodes", "Conv2D")),
        "plan": (plan, ("Plan of the recipe 'small'", "CustomClipPlugin")),
        "recipe": (
            recipe,
            (
                "Recipe 'small'",
                "A small network with a clip.",
                "body/clipped",
                "clip",
                "small.yaml:7",
                "clipMax 6",
            ),
        ),
        "difference": (
            surgeon.diff(graph, plan.result),
            ("removed", "added", "CustomClipPlugin", "outputs of the first", "inputs"),
        ),
        "no difference": (surgeon.diff(graph, graph), ("no difference",)),
        "verification": (verification(), ("cut to cut", "failed")),
        "verdict": (verification().verdicts[0], ("cut to cut", "1 of 1 failed")),
        "diagnostic": (bad.diagnostics[0], ("R101", "it is <wrong>", "a.yaml:2")),
        "error": (bad, ("R101", "oops")),
        "plugin": (surgeon.load_catalog()["NMS_TRT"], ("NMS_TRT", "shareLocation", "loc", "can be derived")),
        "inspection": (
            surgeon.inspect(graph, depth=2),
            ("frozen graph, 11 nodes", "body", "cannot run", "Cast", "picture"),
        ),
        "outputs alone": (
            surgeon.diff(graph, graph.replace(outputs=[Ref("body/conv")])),
            ("outputs differ", "body/conv"),
        ),
        "library alone": (surgeon.diff(graph, Graph(graph, library=b"abc")), ("library differs",)),
        "catalog": (surgeon.load_catalog(), ("plugins", "NMS_TRT", "TensorRT")),
        "target": (surgeon.load_target("uff@tensorrt-8.5"), ("uff@tensorrt-8.5", "UFF for TensorRT 8.5")),
        "authored": (surgeon.init(demo.model_path()), ("ssd_mobilenet_v1", "its text", "numClasses")),
        "story": (surgeon.view(graph), ("11 nodes", "Conv2D")),
    }
    for name, (value, parts) in shown.items():
        text = value._repr_html_()
        assert text is not None, name
        words = read(text).text
        assert [part for part in parts if part not in words] == [], name
        if name not in ("diagnostic", "error", "plugin", "verdict"):
            assert len(repr(value)) < 200 and "object at 0x" not in repr(value), name


def test_answers_show_themselves(tmp_path: Path, graph: Graph, recipe: Recipe) -> None:
    fine = read(surgeon.check(recipe, graph)._repr_html_()).text
    assert "fine" in fine and "recipe 'small' for uff@tensorrt-8.5" in fine and "plugin nodes" in fine
    refused = surgeon.check(parse_recipe(REFUSED, "refused.yaml"), graph)
    assert refused.errors and "refused" in read(refused._repr_html_()).text
    written = read(surgeon.convert(recipe, graph, tmp_path / "small.uff")._repr_html_()).text
    assert "written" in written and "small.uff for uff@tensorrt-8.5" in written and "11 became" in written


def test_inside_a_namespace_stands_what_is_listed_after_it() -> None:
    listed = [
        Namespace("", 1, 1, 0),
        Namespace("a", 1, 5, 8),
        Namespace("a/b", 2, 3, 4),
        Namespace("a/b/c", 3, 2, 0),
        Namespace("a/d", 2, 2, 4),
        Namespace("e", 1, 1, 0),
    ]
    roots = nested(listed)
    assert [one.name for one in roots] == ["", "a", "e"]
    assert [one.name for one in roots[1].inside] == ["a/b", "a/d"] and [
        one.name for one in roots[1].inside[0].inside
    ] == ["a/b/c"]
    assert roots[0].inside == () and roots[1].after == 5


def test_names_from_a_file_are_never_html(plan: Plan) -> None:
    node = Node("x", "Placeholder")
    graph = Graph([node, Node(EVIL, EVIL, (Ref("x"),), (), {EVIL: b"<b>"})], source=EVIL)
    for text in (
        graph_html(graph),
        verification_html(verification(EVIL)),
        diagnostics_html([Diagnostic("E1", EVIL, Span(EVIL, 1, 1, 9, EVIL), (EVIL,), (EVIL,))]),
    ):
        found = read(text)
        assert not {"img", "script"} & set(found.tags)
        assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("src", "href")]
        assert "onerror" in found.text and "\x00" not in text and "\ud800" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.10000000149011612, "0.1"),
        (1e-8, "1e-08"),
        (0.33329999446868896, "0.3333"),
        (3, "3"),
        ((1.0, 2.5), "[1, 2.5]"),
        (b"abc", "abc"),
        (float("nan"), "nan"),
        (1e300, "1e+300"),
        ({"scale": 0.5}, "{scale: 0.5}"),
    ],
)
def test_a_fields_value_is_as_short_as_a_float32_allows(value: object, text: str) -> None:
    assert value_of(value) == text
