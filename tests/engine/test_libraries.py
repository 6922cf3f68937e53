"""Plugin libraries, and plugin nodes against what is registered: everything is said before a parser meets the file."""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from surgeon.catalog import Catalog, load_catalog
from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError
from surgeon.engine import (
    CreatorField,
    LoadedLibrary,
    PluginUse,
    RegisteredCreator,
    Registry,
    check_libraries,
    check_plugins,
    plugin_uses,
    read_registry,
    version_of,
)
from surgeon.formats.onnx.model_file import plugin_uses_of_onnx
from surgeon.formats.uff import UffModel, UffNode, UffValue, export_uff
from surgeon.formats.uff.model_file import plugin_uses_of_uff
from surgeon.graph import parse_graph
from surgeon.targets import load_target

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="TensorRT's plugin libraries are those of Linux here"
)
genuine = pytest.mark.skipif(find_spec("tensorrt") is None, reason="TensorRT is not installed")

MACHINE = {"x86_64": 62, "aarch64": 183}.get(platform.machine(), 62)

NMS = {
    "shareLocation": 1,
    "varianceEncodedInTarget": 0,
    "backgroundLabelId": 0,
    "numClasses": 91,
    "topK": 100,
    "keepTopK": 100,
    "confidenceThreshold": 0.5,
    "nmsThreshold": 0.5,
    "inputOrder": (0, 2, 1),
    "confSigmoid": 1,
    "isNormalized": 1,
    "codeType": 3,
    "scoreBits": 16,
    "isBatchAgnostic": 1,
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def elf(kind: int = 3, machine: int = MACHINE, bits: int = 2, order: str = "<") -> bytes:
    """Return the head of an ELF file."""
    return (
        b"\x7fELF"
        + bytes([bits, 1 if order == "<" else 2, 1])
        + bytes(9)
        + struct.pack(f"{order}HH", kind, machine)
        + bytes(44)
    )


def codes(found: tuple[Diagnostic, ...]) -> list[str]:
    return [one.code for one in found]


# Libraries


@linux
def test_libraries_are_given_back_once_by_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.so").write_bytes(elf())
    (tmp_path / "b.so").symlink_to(tmp_path / "a.so")
    (tmp_path / "c.so").write_bytes(elf())
    monkeypatch.chdir(tmp_path)
    assert check_libraries([Path("a.so"), Path("./b.so"), Path("c.so"), tmp_path / "a.so"]) == (
        tmp_path / "a.so",
        tmp_path / "c.so",
    )
    assert check_libraries([]) == ()


@linux
@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        (None, "B120", "cannot be read: No such file or directory"),
        (b"", "B121", "not a shared library but empty"),
        (b"#include <NvInfer.h>", "B121", "source text"),
        (b"!<arch>\n", "B121", "a static library"),
        (b"version https://git-lfs.github.com/spec/v1\n", "B121", "Git LFS"),
        (b"anything", "B121", "something else"),
        (b"\x7fELF", "B121", "something else"),
        (elf(kind=1), "B121", "an object file"),
        (elf(kind=2), "B121", "a program"),
        (elf(machine=183 if MACHINE == 62 else 62), "B122", f"expected {platform.machine()}"),
        (elf(machine=243), "B122", "is for RISC-V"),
        (elf(machine=40, bits=1), "B122", "is for 32-bit ARM"),
        (elf(machine=22, order=">"), "B122", "is for machine 22"),
    ],
)
def test_files_that_are_no_library_of_this_machine_are_refused(
    tmp_path: Path, content: bytes | None, code: str, text: str
) -> None:
    library = tmp_path / "plugin.so"
    if content is not None:
        library.write_bytes(content)
    with pytest.raises(SurgeonError) as caught:
        check_libraries([library])
    assert codes(caught.value.diagnostics) == [code] and text in caught.value.diagnostics[0].message


@linux
def test_all_libraries_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "good.so").write_bytes(elf())
    (tmp_path / "bad.so").write_bytes(b"x")
    with pytest.raises(SurgeonError) as caught:
        check_libraries([tmp_path / "bad.so", tmp_path / "good.so", tmp_path / "gone.so", tmp_path])
    assert codes(caught.value.diagnostics) == ["B121", "B120", "B120"]


# Plugin nodes of graphs and files


GRAPH = """\
graph v1
outputs: out
x = Placeholder() {dtype: float32, shape: shape[1,2,4,4]}
order = ResizeNearest_TRT(x) {dtype: float32, scale: 0.1, _note: "mine"}
out = CustomClipPlugin(order) {clipMin: 0, clipMax: 6.0}
"""


def test_plugin_nodes_of_a_graph_have_the_catalog_s_types(catalog: Catalog) -> None:
    place = Span("r.yaml", 3, 4)
    first, second = plugin_uses(parse_graph(GRAPH), catalog, {"out": place})
    assert (first.node, first.op, first.where, first.place) == ("order", "ResizeNearest_TRT", None, "order")
    assert first.fields == {"scale": pytest.approx(0.1, abs=1e-8)} and first.fields["scale"] != 0.1
    assert second == PluginUse("out", "CustomClipPlugin", {"clipMin": 0.0, "clipMax": 6.0}, place)
    assert type(second.fields["clipMin"]) is float and second.place is place


def test_plugin_nodes_of_a_file_are_those_of_the_graph(catalog: Catalog) -> None:
    graph = parse_graph(GRAPH)
    model = export_uff(graph, plugins=catalog, target=load_target("uff@tensorrt-8.5"))
    assert {(use.node, use.op): use.fields for use in plugin_uses_of_uff(model, catalog)} == {
        (use.node, use.op): use.fields for use in plugin_uses(graph, catalog)
    }
    assert {use.version for use in plugin_uses_of_uff(model, catalog)} == {"1"}


def test_a_plugin_of_a_file_is_found_by_its_creator(catalog: Catalog) -> None:
    nodes = (
        UffNode(
            "a",
            "_Split",
            fields={
                "axis_u_int": UffValue("i", 1),
                "output_lengths_u_ilist": UffValue("i_list", (1, 2)),
                "other": UffValue("i", 1),
            },
        ),
        UffNode("b", "_Unheard", fields={"mode_u_str": UffValue("s", "x")}),
        UffNode("c", "Conv"),
    )
    assert plugin_uses_of_uff(UffModel(nodes), catalog) == (
        PluginUse("a", "Split_TRT", {"axis": 1, "output_lengths": (1, 2)}, version="1"),
        PluginUse("b", "Unheard", {"mode": "x"}, version="1"),
    )


def test_plugin_nodes_of_an_onnx_model(catalog: Catalog) -> None:
    helper = pytest.importorskip("onnx.helper")
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], name="ordinary", axis=1),
        helper.make_node(
            "Split",
            ["x"],
            ["c"],
            name="own",
            domain="trt.plugins",
            axis=1,
            plugin_version="2",
            plugin_namespace="mine",
        ),
        helper.make_node("EfficientNMS_TRT", ["a"], ["d"], name="nms", score_threshold=0.5, box_coding=1),
        helper.make_node("Unheard", ["a"], ["e"], domain="elsewhere", shape=[1, 2], mode="x"),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))
    assert plugin_uses_of_onnx(model, catalog) == (
        PluginUse("own", "Split_TRT", {"axis": 1}, None, "2", "mine"),
        PluginUse("nms", "EfficientNMS_TRT", {"score_threshold": 0.5, "box_coding": 1}, None, "1", ""),
        PluginUse("Unheard", "Unheard", {"shape": (1, 2), "mode": "x"}, None, "1", ""),
    )


# What is registered


def registered(catalog: Catalog, *ops: str, version: str = "8.5.3.1", **changes: Any) -> Registry:
    """Return a registry with plugins as the catalog defines them."""
    creators = tuple(
        RegisteredCreator(
            catalog[op].creator,
            "1",
            "",
            tuple(
                CreatorField(field.name, field.type, field.length or 1)
                for field in catalog[op].fields_of(tuple(map(int, version.split(".")[:3])))
            ),
        )
        for op in ops
    )
    return replace(Registry(version, ("uff",), True, creators), **changes)


def nms(**changes: Any) -> PluginUse:
    fields: Mapping[str, Any] = {**NMS, **changes}
    return PluginUse(
        "NMS",
        "NMS_TRT",
        {name: value for name, value in fields.items() if value is not None},
        Span("r.yaml", 7, 3),
    )


def check(catalog: Catalog, use: PluginUse, **changes: Any) -> tuple[Diagnostic, ...]:
    return check_plugins(
        [use], registered(catalog, "NMS_TRT", "FlattenConcat_TRT", "GridAnchor_TRT", **changes), catalog
    )


def test_plugins_that_fit(catalog: Catalog) -> None:
    assert check(catalog, nms()) == ()
    assert (
        check(catalog, PluginUse("b", "FlattenConcat_TRT", {"axis": 1, "ignoreBatch": 0}, version="1")) == ()
    )


def test_a_tensorrt_that_cannot_be_used(catalog: Catalog) -> None:
    (found,) = check_plugins([nms()], Registry(problem="importing it ends with SIGSEGV"), catalog)
    assert found.code == "B125" and "SIGSEGV" in found.message


def test_a_library_that_cannot_be_loaded(catalog: Catalog) -> None:
    found = check(catalog, nms(), libraries=(LoadedLibrary("/l/a.so", "a.so: undefined symbol: f"),))
    assert codes(found) == ["B123"] and "undefined symbol: f" in found[0].message


def test_a_library_that_adds_nothing(catalog: Catalog) -> None:
    found = check(catalog, nms(), libraries=(LoadedLibrary("/l/a.so"),))
    assert codes(found) == ["B124"] and found[0].severity is Severity.WARNING
    creator = RegisteredCreator("Mine", "1", library="/l/a.so")
    assert (
        check_plugins([], Registry("8.5.3.1", (), True, (creator,), (LoadedLibrary("/l/a.so"),)), catalog)
        == ()
    )


def test_a_name_that_is_not_registered(catalog: Catalog) -> None:
    (found,) = check(catalog, PluginUse("n", "NMS_TR"))
    assert (
        found.code == "B126"
        and found.where == "n"
        and "nearest: 'NMS_TRT'" in found.notes[0]
        and "--plugin-path" in found.help[0]
    )


def test_a_plugin_of_one_s_own_without_its_library(catalog: Catalog) -> None:
    use = PluginUse("clip", "CustomClipPlugin", {"clipMin": 0.0, "clipMax": 6.0})
    other = RegisteredCreator("Mine", "1", library="/l/a.so")
    (found,) = check_plugins(
        [use], Registry("8.5.3.1", (), True, (other,), (LoadedLibrary("/l/a.so"),)), catalog
    )
    assert (
        found.code == "B126" and "--plugin-library" in found.help[0] and "'/l/a.so' adds Mine" in found.notes
    )
    clip = RegisteredCreator(
        "CustomClipPlugin",
        "1",
        "",
        (CreatorField("clipMin", "float"), CreatorField("clipMax", "float")),
        "/l/a.so",
    )
    assert (
        check_plugins([use], Registry("8.5.3.1", (), True, (clip,), (LoadedLibrary("/l/a.so"),)), catalog)
        == ()
    )


@pytest.mark.parametrize(
    ("op", "version", "text", "help"),
    [
        (
            "NMS_TRT",
            "11.0.0.1",
            "is not in TensorRT 11.0.0; it exists from 5.0 until before 11.0",
            "use EfficientNMS_TRT",
        ),
        ("EfficientNMS_TRT", "7.2.1.6", "is not in TensorRT 7.2.1; it exists from 8", "use another TensorRT"),
        ("NMS_TRT", "8.5.3.1", "is not in this build of TensorRT 8.5.3", "open-source plugin library"),
    ],
)
def test_a_plugin_of_another_release(catalog: Catalog, op: str, version: str, text: str, help: str) -> None:
    (found,) = check_plugins([PluginUse("n", op)], Registry(version, (), True), catalog)
    assert found.code == "B126" and text in found.message and help in found.help[0]


def test_a_plugin_library_that_is_not_initialised(catalog: Catalog) -> None:
    (found,) = check_plugins([nms()], Registry("8.5.3.1", (), False), catalog)
    assert found.code == "B126" and "init_libnvinfer_plugins fails" in found.message


@pytest.mark.parametrize(
    ("version", "namespace", "wanted"), [("2", "", None), ("1", "mine", None), ("1", "", "2")]
)
def test_another_version_or_namespace(
    catalog: Catalog, version: str, namespace: str, wanted: str | None
) -> None:
    there = replace(registered(catalog, "NMS_TRT").creators[0], version=version, namespace=namespace)
    (found,) = check_plugins(
        [replace(nms(), version=wanted)], Registry("8.5.3.1", (), True, (there,)), catalog
    )
    assert found.code == "B127" and f"version {version} in the namespace '{namespace}'" in found.message
    assert f"expected version {wanted or '1'} in the namespace ''" in found.message


def test_the_namespace_that_a_file_names_is_asked_for(catalog: Catalog) -> None:
    (found,) = check(catalog, replace(nms(), namespace="mine"))
    assert found.code == "B127" and "expected version 1 in the namespace 'mine'" in found.message


def test_one_of_several_versions_is_taken(catalog: Catalog) -> None:
    right = registered(catalog, "NMS_TRT").creators[0]
    others = (
        replace(right, version="0", fields=(CreatorField("x"),)),
        right,
        replace(right, namespace="n", fields=(CreatorField("x"),)),
    )
    assert check_plugins([nms()], Registry("8.5.3.1", (), True, others), catalog) == ()


def test_a_field_that_is_not_declared_is_a_warning(catalog: Catalog) -> None:
    (found,) = check(catalog, nms(numClases=91))
    assert (found.code, found.severity, found.where) == ("B128", Severity.WARNING, Span("r.yaml", 7, 3))
    assert "'numClases'" in found.message and "nearest: 'numClasses'" in found.notes[0]


def test_a_field_of_a_newer_release_says_since_when_it_exists(catalog: Catalog) -> None:
    found = check(catalog, nms(), version="7.2.1.6")
    assert codes(found) == ["B128", "B128"] and "scoreBits: it exists from 8.0.1" in found[0].notes


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"numClasses": 91.0}, "is of the type float; NMS_TRT expects int"),
        ({"nmsThreshold": 1}, "is of the type int; NMS_TRT expects float"),
        ({"inputOrder": (0, 1.0, 2)}, "is a list of int and float; NMS_TRT expects int"),
        ({"codeType": "three"}, "is of the type text; NMS_TRT expects int"),
    ],
)
def test_a_field_of_another_type(catalog: Catalog, changes: dict[str, Any], text: str) -> None:
    (found,) = check(catalog, nms(**changes))
    assert (found.code, found.severity) == ("B129", Severity.ERROR) and text in found.message


def test_a_field_that_the_creator_demands(catalog: Catalog) -> None:
    use = PluginUse("boxes", "FlattenConcat_TRT", {"axis": 1})
    (found,) = check(catalog, use)
    assert (
        (found.code, found.severity) == ("B130", Severity.ERROR)
        and "'ignoreBatch'" in found.message
        and "refuses" in found.message
    )
    (found,) = check(catalog, use, version="8.4.3.1")
    assert (found.code, found.severity) == ("B130", Severity.WARNING)


def test_fields_that_a_creator_remembers_are_one_warning(catalog: Catalog) -> None:
    (found,) = check(catalog, nms(topK=None, keepTopK=None))
    assert (found.code, found.severity) == ("B130", Severity.WARNING)
    assert "'topK', 'keepTopK'" in found.message and len(found.help) == 2


def test_a_creator_that_tells_no_fields_is_believed(catalog: Catalog) -> None:
    silent = RegisteredCreator("NMS_TRT", "1")
    assert check_plugins([nms(foo=1, topK=None)], Registry("8.5.3.1", (), True, (silent,)), catalog) == ()
    untyped = RegisteredCreator("Mine", "1", "", (CreatorField("a", "", 0), CreatorField("b", "dims")))
    assert (
        check_plugins(
            [PluginUse("m", "Mine", {"a": 1, "b": "x"})], Registry("8.5.3.1", (), True, (untyped,)), catalog
        )
        == ()
    )


def test_the_version_is_three_numbers() -> None:
    assert version_of(Registry("8.5.3.1")) == (8, 5, 3) and version_of(Registry("10.16.0")) == (10, 16, 0)


# The genuine package


@genuine
def test_plugins_with_the_genuine_registry(catalog: Catalog, zoo_ssd: Callable[..., Path]) -> None:
    import surgeon

    rewritten = surgeon.apply(
        surgeon.plan("ssd", graph := surgeon.load_graph(zoo_ssd()), decode="plugin"), graph
    )
    uses = plugin_uses(rewritten, catalog)
    registry = read_registry()
    assert registry is not None and {use.op for use in uses} == {
        "GridAnchor_TRT",
        "FlattenConcat_TRT",
        "NMS_TRT",
    }
    assert check_plugins(uses, registry, catalog) == ()
    last = uses[-1]
    spoiled = [
        replace(last, fields={**last.fields, "inputOrder": (0.0, 1.0, 2.0), "inputorder": (0, 1, 2)}),
        PluginUse("c", "CustomClipPlugin"),
    ]
    assert codes(check_plugins(spoiled, registry, catalog)) == ["B129", "B128", "B126"]
