"""The page as a file: complete, alone, and harmless."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.diagnostics import Diagnostic, Severity
from surgeon.formats.graphdef import save_graph
from surgeon.graph import DType, Graph, Node, Ref, Shape
from surgeon.targets import load_target
from surgeon.verification import Outcome, Tolerances, Verdict, Verification
from surgeon.viewer import ChangeReport, Page, render_page, report_difference, report_graph
from surgeon.viewer.assets import SCRIPTS, asset, licences, script
from surgeon.viewer.drawing_data import drawing_data, script_json
from surgeon.viewer.page_images import MOST, page_images
from surgeon.viewer.plugin_support import support_table

EVIL = "</script><img onerror=alert(1) src=x><!--<script>"


class Document(HTMLParser):
    """Collects the scripts, the ids, the sections' titles and every address of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: dict[str, int] = {}
        self.handlers: list[str] = []
        self.text = ""
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        for name, value in attrs:
            self.ids += [value or ""] if name == "id" else []
            self.addresses += [value or ""] if name in ("href", "src") else []
            self.handlers += [name] if name.startswith("on") else []

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif self.inside != "style":
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


@pytest.fixture(scope="module")
def page(report: ChangeReport) -> str:
    return render_page(Page(report, (Diagnostic("X1", "something", severity=Severity.WARNING),)))


def test_a_page_has_every_section_once(page: str) -> None:
    found = Document(page)
    sections = [
        "summary",
        "graph",
        "contents",
        "namespaces",
        "surgery",
        "derived",
        "diagnostics",
        "verification",
        "targets",
    ]
    assert [name for name in found.ids if name in sections] == sections
    assert len(set(found.ids)) == len(found.ids)
    for part in ("11 → 4", "small.pb", "something", "CustomClipPlugin", "Not run", "1 warning"):
        assert part in found.text
    assert "one graph" not in found.text


def test_a_page_needs_no_network(page: str) -> None:
    found = Document(page)
    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    style = re.findall(r"<style>(.*?)</style>", page, re.S)
    assert style and not any("url(" in text or "@import" in text for text in style)
    assert "sourceMappingURL" not in page


def test_only_the_pages_own_script_may_run(page: str) -> None:
    found = Document(page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    (data, text), (own, code) = found.scripts
    assert data == {"id": "story", "type": "application/json"} and json.loads(text)["kind"] == "plan"
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert own == {} and f"sha256-{digest}" in policy[1] and "default-src &#x27;none&#x27;" in policy[1]
    assert code == script()


def test_names_that_are_html_do_no_harm() -> None:
    nodes = [
        Node("x", "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape.of(1)}),
        Node(EVIL, EVIL, (Ref("x"),), ("x",), {EVIL: EVIL.encode(), "T": DType.FLOAT32}, EVIL),
    ]
    graph = Graph(nodes, source=EVIL)
    for told in (
        report_graph(graph),
        report_difference(graph, Graph(nodes[:1])),
        report_difference(graph, Graph([nodes[0], replace(nodes[1], op="Neg")])),
    ):
        text = render_page(Page(told))
        found = Document(text)
        assert found.handlers == [] and "img" not in found.tags and found.tags["script"] == 2
        names = json.loads(found.scripts[0][1])["graphs"]["after" if told.kind == "graph" else "before"][
            "names"
        ]
        assert [0, EVIL] in names
    assert "img" in Document(text + "<img src=x>").tags  # what a harmful page would show


def test_the_drawing_data_tell_each_node(report: ChangeReport) -> None:
    data = json.loads(script_json(drawing_data(report)))
    after = data["graphs"]["after"]
    parts: list[str] = []
    names = []
    for shared, rest in after["names"]:
        parts = parts[:shared] + rest.split("/")
        names.append("/".join(parts))
    assert names == [node.name for node in report.after.graph]
    clip = names.index("clip")
    assert (
        data["tables"]["ops"][after["ops"][clip]] == "CustomClipPlugin"
        and "CustomClipPlugin" in data["plugins"]
    )
    assert [names[number] for number in after["inputs"][clip]] == ["body/conv"]
    assert [data["tables"]["specs"][number] for number in after["outputs"][clip]] == ["float32[1,4,4,2]"]
    assert ["clipMax", "6"] in [data["tables"]["attributes"][number] for number in after["attributes"][clip]]
    mark = data["tables"]["marks"][after["marks"][clip]]
    assert mark[0] == "added" and mark[3] == "collapse" and mark[4].startswith("small.yaml:")
    assert data["replaced"]["clip"] == [["body", 1]] and "shape" in data["derived"]["Input"]


def test_inputs_are_named_by_the_ports_that_the_plugin_has_them_at() -> None:
    spec = load_catalog()["NMS_TRT"]
    inputs = [Node(name, "Placeholder", (), (), {"dtype": DType.FLOAT32}) for name in ("boxes", "anchors")]
    scores = Node("scores", "Placeholder", (), (), {"dtype": DType.FLOAT32})
    for order, names in (((0, 2, 1), ["loc", "prior", "conf"]), ((0, 1, 2), ["loc", "conf", "prior"])):
        node = Node("NMS", spec.op, (Ref("boxes"), Ref("anchors"), Ref("scores")), (), {"inputOrder": order})
        data = drawing_data(report_graph(Graph([*inputs, scores, node])))
        assert data["graphs"]["after"]["ports"] == {3: names}
        assert list(spec.inputs_by_port(node)) == ["loc", "conf", "prior"]


def test_the_legend_explains_the_colours_that_occur(page: str, graph: Graph) -> None:
    legend = page[page.index('id="legend"') :].partition("</dl>")[0]
    shown = re.findall(r'data-fate="(\w+)"', legend)
    assert len(shown) == len(set(shown)) and {"kept", "collapsed", "added", "partly", "plugin"} <= set(shown)
    assert "a new node took its place" in legend and "renamed" not in legend
    alone = render_page(Page(report_graph(graph)))
    assert "data-fate" not in alone[: alone.index("<script")] and "data-fate" in page


def test_a_page_shows_two_graphs_where_there_are_two(page: str, graph: Graph) -> None:
    sides = r'data-pane="(\w+)"'
    assert re.findall(sides, page) == ["before", "after"] and ">Side by side<" in page
    alone = render_page(Page(report_graph(graph)))
    assert re.findall(sides, alone) == ["after"] and ">Side by side<" not in alone


def test_a_page_of_one_graph_says_nothing_of_a_recipe(graph: Graph) -> None:
    found = Document(render_page(Page(report_graph(graph, title="small.pb"))))
    assert {"summary", "graph", "namespaces", "targets"} <= set(found.ids) and not {
        "surgery",
        "verification",
        "derived",
    } & set(found.ids)


def test_a_page_of_two_graphs_lists_what_changed(report: ChangeReport) -> None:
    assert report.before is not None
    text = Document(render_page(Page(report_difference(report.before.graph, report.after.graph)))).text
    assert "Changed nodes" in text and "body/conv" in text and "removed" in text and "dropped" not in text
    same = Document(render_page(Page(report_difference(report.after.graph, report.after.graph)))).text
    assert "None." in same and "removed" not in same


def verified(*drawn: str) -> Verification:
    return Verification(
        "small",
        "uff@tensorrt-8.5",
        ("a.jpg",),
        False,
        Tolerances(),
        None,
        (Verdict("cut to cut", Outcome.PASSED, ""),),
        drawn=drawn,
    )


def picture(path: Path, size: tuple[int, int] = (8, 8)) -> Path:
    images = pytest.importorskip("PIL.Image", reason="Pillow makes the pictures")
    numpy = pytest.importorskip("numpy")
    noise = numpy.random.default_rng(0).integers(0, 255, (size[1], size[0], 3)).astype("uint8")
    images.fromarray(noise).save(path)
    return path


def test_a_verifications_picture_is_in_the_page(report: ChangeReport, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    text = render_page(Page(report, (), verified(str(path), str(tmp_path / "none.png"))))
    assert base64.b64encode(path.read_bytes()).decode() in text
    assert "the file is not there any more" in text and Document(text).tags["img"] == 1


def test_pictures_are_found_beside_the_verdict_and_bounded(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    assert (
        page_images(["elsewhere/a.png"], tmp_path)[0].address and page_images(["elsewhere/a.png"])[0].problem
    )
    many = page_images([str(path)] * (MOST + 2))
    assert len(many) == MOST + 1 and many[-1].name == "2 more"
    (tmp_path / "b.png").write_text("<svg onload=alert(1)>")
    assert page_images([str(tmp_path / "b.png")])[0].problem == "the file is neither PNG nor JPEG"
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500_000))
    assert "too large" in page_images([str(tmp_path / "c.png")])[0].problem


def test_a_large_picture_is_made_smaller(tmp_path: Path) -> None:
    path = picture(tmp_path / "large.png", (1500, 900))
    found = page_images([str(path)])[0]
    assert (
        found.address.startswith("data:image/jpeg;base64,") and len(found.address) < path.stat().st_size / 4
    )


def test_support_follows_the_catalog_and_the_targets() -> None:
    table = support_table(load_catalog(), ["Conv2D", "NMS_TRT"])
    assert table.used == ("NMS_TRT",) and next(iter(table.plugins)) == "NMS_TRT"
    assert "graphdef" not in [target.name for target in table.targets]
    assert table.support("NMS_TRT", load_target("uff@tensorrt-8.5")).plugin_version == "1"
    assert not table.support("EfficientNMS_TRT", load_target("uff@tensorrt-5.0")).available
    assert table.support("NMS_TRT", load_target("onnx@tensorrt-10")).deprecated
    anywhere = table.support("NMS_TRT", load_target("onnx@onnxruntime"))
    assert anywhere.standard and not anywhere.plugin_version


def test_every_library_has_its_licence_in_the_page(page: str) -> None:
    libraries = [name for name in SCRIPTS if name.startswith("vendor/")]
    readme = asset("README.md")
    for name in libraries:
        assert asset(name) and asset(name.replace(".min.js", ".LICENSE"))
        package = name.removeprefix("vendor/").removesuffix(".min.js")
        assert f"`{package}`" in readme or f"`@dagrejs/{package}`" in readme
        assert package in licences()
    assert "Chris Pettitt" in page and "Mike Bostock" in page and "Robert Penner" in page


def test_own_scripts_never_read_text_as_html() -> None:
    own = [asset(name) for name in SCRIPTS if not name.startswith("vendor/")]
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org)"
    )
    assert own and not [match for text in own for match in forbidden.findall(text)]
    assert forbidden.search("x.innerHTML = y")


def test_the_page_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "import hashlib\nimport surgeon\nfrom surgeon.viewer import Page, render_page, report_plan\nfrom surgeon.zoo import demo\n"
        "page = render_page(Page(report_plan(surgeon.plan('ssd', demo.model_path()))))\nprint(hashlib.sha256(page.encode()).hexdigest())"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1] != ""


def test_a_page_names_no_folder(tmp_path: Path, graph: Graph, recipe_text: str) -> None:
    for name in ("a.pb", "b.pb"):
        save_graph(graph, tmp_path / name)
    (tmp_path / "small.yaml").write_text(recipe_text)
    for made in (
        lambda page: surgeon.diff(tmp_path / "a.pb", tmp_path / "b.pb", html=page),
        lambda page: surgeon.view(tmp_path / "a.pb", tmp_path / "small.yaml", html=page),
        lambda page: surgeon.view(tmp_path / "a.pb", html=page),
    ):
        made(tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "a.pb" in page and str(tmp_path) not in page
    unnamed = Graph(list(graph))
    surgeon.diff(unnamed, unnamed, html=tmp_path / "page.html")
    assert "<title>a graph of 11 nodes and a graph of 11 nodes" in (tmp_path / "page.html").read_text(
        encoding="utf-8"
    )


def test_a_page_says_what_differs_besides_nodes(tmp_path: Path, graph: Graph) -> None:
    for other, text in (
        (Graph(graph, library=b"abc"), "library differs"),
        (graph.replace(outputs=[Ref("body/conv")]), "outputs differ"),
    ):
        surgeon.diff(graph, other, html=tmp_path / "page.html")
        assert text in (tmp_path / "page.html").read_text(encoding="utf-8")
