"""Where plugins come from, how their files are read, and how hostile ones are refused."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from surgeon.catalog import Catalog, load_catalog
from surgeon.catalog import catalog as catalog_module
from surgeon.diagnostics import Diagnostic, Span, SurgeonError
from surgeon.graph import TensorSpec

FOLDERS = (Path(str(entry)) for entry in importlib.resources.files("surgeon.plugins").iterdir())
SHIPPED = tuple(sorted(folder.name for folder in FOLDERS if (folder / "plugin.yaml").is_file()))


def refused(action: Callable[[], object]) -> Diagnostic:
    with pytest.raises(SurgeonError) as caught:
        action()
    return caught.value.diagnostics[0]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.mark.parametrize("op", SHIPPED)
def test_a_shipped_definition_loads_and_names_its_sources(catalog: Catalog, op: str) -> None:
    plugin = catalog[op]
    assert plugin.op == op and plugin.title and plugin.summary and plugin.sources and plugin.outputs
    assert (plugin.plugin_version, plugin.plugin_namespace) == ("1", "")
    assert all(field.summary and field.source for field in plugin.fields.values())
    assert all(port.summary for port in (*plugin.inputs, *plugin.outputs))
    assert plugin.library == ("own" if op == "CustomClipPlugin" or op.startswith("Surgeon") else "tensorrt")


@pytest.mark.parametrize("op", SHIPPED)
def test_derivable_fields_are_those_that_derive_py_derives(catalog: Catalog, op: str) -> None:
    module = catalog.module(op, "derive")
    derivations = getattr(module, "DERIVATIONS", {})
    assert {name for name, field in catalog[op].fields.items() if field.derivable} == set(derivations)


def test_the_catalog_is_sorted_and_holds_what_ships(catalog: Catalog) -> None:
    assert (
        list(catalog) == sorted(catalog)
        and set(SHIPPED) <= set(catalog)
        and len(catalog) == len(list(catalog))
    )
    assert {"CustomClipPlugin", "EfficientNMS_TRT", "FlattenConcat_TRT", "GridAnchor_TRT", "NMS_TRT"} < set(
        SHIPPED
    )


def test_asking_for_one_plugin_reads_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = catalog_module.load_definition
    monkeypatch.setattr(
        catalog_module, "load_definition", lambda folder, all: read.append(folder.name) or real(folder, all)
    )
    catalog = load_catalog()
    assert "NMS_TRT" in catalog and len(catalog) >= 5 and read == []
    assert catalog["NMS_TRT"] is catalog.get_plugin("NMS_TRT") and catalog.rules().keys() == set(catalog)
    assert read == ["NMS_TRT"]


def test_an_unknown_plugin_is_c101_and_shows_the_nearest(catalog: Catalog) -> None:
    span = Span("r.yaml", 4, 13, 6, "    plugin: NMSTRT")
    diagnostic = refused(lambda: catalog.get_plugin("NMSTRT", span))
    assert diagnostic.code == "C101" and "'NMS_TRT'" in diagnostic.notes[0] and diagnostic.where == span
    assert catalog.get("NMSTRT") is None and catalog.module("NMSTRT", "shape") is None
    with pytest.raises(KeyError):
        catalog["NMSTRT"]


def test_a_folder_of_ones_own(make_plugin: Callable[..., Path]) -> None:
    catalog = load_catalog([make_plugin()])
    assert set(SHIPPED) < set(catalog)
    plugin = catalog["Double"]
    assert plugin.complete({}) == {"factor": 2.0}
    assert plugin.complete({"names": b"a", "steps": [1]}) == {"factor": 2.0, "names": "a", "steps": (1,)}
    assert plugin.output_specs({}, [TensorSpec.of("float32", None, 7)]) == (
        TensorSpec.of("float32", None, 7),
    )
    assert "Double" not in load_catalog()


def test_two_plugins_of_one_name_keep_their_own_python_files(make_plugin: Callable[..., Path]) -> None:
    wide = "from surgeon.graph import TensorSpec\ndef outputs(fields, inputs):\n    return [TensorSpec.of('float32', 99)]\n"
    first, second = load_catalog([make_plugin(root="a")]), load_catalog([make_plugin(shape=wide, root="b")])
    given = [TensorSpec.of("float32", 1, 2)]
    assert first["Double"].output_specs({}, given) != second["Double"].output_specs({}, given)


def test_a_plugin_without_a_shape_rule_has_unknown_outputs(make_plugin: Callable[..., Path]) -> None:
    plugin = load_catalog([make_plugin(shape=None)])["Double"]
    assert plugin.output_specs({}, [TensorSpec.of("float32", 1, 2)]) == (TensorSpec(),)


def test_a_duplicate_is_c112_and_both_files_are_named(make_plugin: Callable[..., Path]) -> None:
    root = make_plugin("NMS_TRT")
    diagnostic = refused(lambda: load_catalog([root]))
    assert diagnostic.code == "C112" and str(root / "NMS_TRT" / "plugin.yaml") in str(diagnostic.where)
    assert "plugin.yaml" in diagnostic.notes[0] and str(root) not in diagnostic.notes[0]


def test_the_same_folder_twice_is_no_duplicate(make_plugin: Callable[..., Path]) -> None:
    root = make_plugin()
    assert "Double" in load_catalog([root, root])


def test_wrong_plugin_paths_are_c113(make_plugin: Callable[..., Path], tmp_path: Path) -> None:
    root = make_plugin()
    (tmp_path / "empty").mkdir()
    for path in (root / "Double", tmp_path / "empty", tmp_path / "missing", root / "Double" / "shape.py"):
        diagnostic = refused(lambda path=path: load_catalog([path]))
        assert diagnostic.code == "C113" and str(path) in diagnostic.message and diagnostic.help


@pytest.fixture
def entry_point(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def install(value: str) -> None:
        point = importlib.metadata.EntryPoint("mine", value, "surgeon.plugins")
        monkeypatch.setattr(
            "surgeon.catalog.discovery.entry_points",
            lambda group: [point] if group == "surgeon.plugins" else [],
        )

    return install


def test_plugins_of_an_entry_point(
    make_plugin: Callable[..., Path], entry_point: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_plugin(root="plugins_of_mine")
    monkeypatch.syspath_prepend(str(root.parent))
    entry_point("plugins_of_mine")
    assert "Double" in load_catalog()
    sys.modules.pop("plugins_of_mine", None)


@pytest.mark.parametrize("value", ["no.such.package", "json.decoder", "surgeon.diagnostics:error"])
def test_an_entry_point_that_names_no_package_is_c114(entry_point: Callable[[str], None], value: str) -> None:
    entry_point(value)
    diagnostic = refused(load_catalog)
    assert diagnostic.code == "C114" and "'mine'" in diagnostic.message


FAILING = {
    "syntax": ("def outputs(:\n", ":1"),
    "import": ("x = 1\nimport no_such_module_of_anyone\n", ":2"),
    "raise": ("def outputs(fields, inputs):\n    return fields['nothing']\n", ":2"),
    "count": ("def outputs(fields, inputs):\n    return []\n", "shape.py"),
    "kind": ("def outputs(fields, inputs):\n    return [1]\n", "shape.py"),
    "nothing": ("def outputs(fields, inputs):\n    return None\n", "shape.py"),
    "check": ("def check(fields):\n    return 1 / 0\n", ":2"),
    "check of no list": ("def check(fields):\n    return 3\n", "shape.py"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_python_file_is_c111_with_its_line(make_plugin: Callable[..., Path], name: str) -> None:
    text, place = FAILING[name]
    plugin = load_catalog([make_plugin(shape=text)])["Double"]
    diagnostic = refused(lambda: plugin.output_specs({}, [TensorSpec.of("float32", 1, 2)]))
    assert diagnostic.code == "C111" and str(diagnostic.where).endswith(place)


GOOD = """\
title: T
summary: S
outputs: [{name: y, summary: out}]
fields: {f: {type: int, summary: F}}
sources: [x]
"""

WRONG = {
    "empty": "",
    "comment": "# nothing\n",
    "a list": "- 1\n",
    "a scalar": "hello\n",
    "no yaml": "title: [1\n",
    "a tab": "title:\n\tx: 1\n",
    "two documents": GOOD + "---\n" + GOOD,
    "control character": "title: \x01\n",
    "duplicate key": GOOD + "title: again\n",
    "unknown key": GOOD + "colour: red\n",
    "missing key": GOOD.replace("summary: S\n", ""),
    "no outputs": GOOD.replace("[{name: y, summary: out}]", "[]"),
    "no sources": GOOD.replace("[x]", "[]"),
    "title of the wrong type": GOOD.replace("title: T", "title: [T]"),
    "unknown field type": GOOD.replace("type: int", "type: long"),
    "unknown field key": GOOD.replace("summary: F", "summary: F, min: 3"),
    "default of the wrong type": GOOD.replace("summary: F", "summary: F, default: x"),
    "default out of range": GOOD.replace("summary: F", "summary: F, default: 3, maximum: 2"),
    "default list for one value": GOOD.replace("summary: F", "summary: F, default: [3]"),
    "a length of one value": GOOD.replace("summary: F", "summary: F, length: 3"),
    "a negative length": GOOD.replace("type: int, summary: F", 'type: "int[]", summary: F, length: -3'),
    "a bound that is not a number": GOOD.replace("summary: F", "summary: F, minimum: nan"),
    "a choice of the wrong type": GOOD.replace("summary: F", "summary: F, choices: [1, b]"),
    "since no version": GOOD + "since: new\n",
    "since a list": GOOD + "since: [8, 5]\n",
    "replacement no mapping": GOOD + "replacement: none\n",
    "replacement without a version": GOOD + "replacement: {new: x}\n",
    "replacement of lists": GOOD + "replacement: {9: [x]}\n",
    "repeat by no field": GOOD.replace("summary: out", "summary: out, repeat: g"),
    "two outputs of one name": GOOD.replace(
        "[{name: y, summary: out}]", "[{name: y, summary: a}, {name: y, summary: b}]"
    ),
    "variadic before another": GOOD
    + "inputs: [{name: a, summary: A, variadic: true}, {name: b, summary: B}]\n",
    "order field of no ports": GOOD + "order_field: f\norder_ports: [a]\n",
    "unknown dtype": GOOD.replace("summary: out", "summary: out, dtype: float33"),
    "no truth value": GOOD.replace("summary: F", "summary: F, required: maybe"),
    "a huge number": GOOD.replace("summary: F", "summary: F, length: " + "9" * 5000),
    "anchor and alias": GOOD.replace("title: T", "title: &a T").replace("summary: S", "summary: *a"),
    "merge of anchors": "a: &a {x: 1}\nb: {<<: *a}\n",
    "python tag": GOOD.replace("title: T", "title: !!python/object/apply:os.system [true]"),
    "own tag": GOOD.replace("title: T", "title: !mine T"),
    "key that is a list": "? [a]\n: b\n",
    "deep lists": "title: " + "[" * 60_000 + "]" * 60_000 + "\n",
    "deep mappings": "".join(" " * i + f"k{i}:\n" for i in range(300)),
    "over the size": GOOD + "#" * 300_000,
    "many faults": GOOD + "".join(f"k{i}: 1\n" for i in range(10_000)),
    "billion laughs": "a: &a [x]\n"
    + "".join(f"a{i}: &a{i} [*a{i - 1 or ''}, *a{i - 1 or ''}]\n" for i in range(1, 40)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_definition_is_c110(make_plugin: Callable[..., Path], name: str) -> None:
    start = time.monotonic()
    catalog = load_catalog([make_plugin(text=WRONG[name])])
    with pytest.raises(SurgeonError) as caught:
        catalog.get_plugin("Double")
    assert {d.code for d in caught.value.diagnostics} == {"C110"} and len(caught.value.diagnostics) <= 20
    assert all("plugin.yaml" in str(d.where) and d.help for d in caught.value.diagnostics)
    assert all(len(d.message) < 600 for d in caught.value.diagnostics)
    assert time.monotonic() - start < 10


def test_the_definition_that_the_wrong_ones_spoil_is_right(make_plugin: Callable[..., Path]) -> None:
    assert load_catalog([make_plugin(text=GOOD)])["Double"].title == "T"


@pytest.mark.parametrize("data", [b"title: \xff\n", b"\xff\xfet\x00", b"\x00" * 10])
def test_bytes_that_are_no_text_are_c110(make_plugin: Callable[..., Path], data: bytes) -> None:
    root = make_plugin()
    (root / "Double" / "plugin.yaml").write_bytes(data)
    assert refused(lambda: load_catalog([root])["Double"]).code == "C110"


@pytest.mark.parametrize(
    ("old", "new", "line", "column"),
    [
        ("title: T", "title: T\nnonsense: 1", 2, 1),
        ("type: int", "type: long", 4, 20),
        ("summary: F", "summary: F, minimum: x", 4, 46),
    ],
)
def test_the_place_of_a_fault_is_shown(
    make_plugin: Callable[..., Path], old: str, new: str, line: int, column: int
) -> None:
    catalog = load_catalog([make_plugin(text=GOOD.replace(old, new))])
    diagnostic = refused(lambda: catalog["Double"])
    assert isinstance(diagnostic.where, Span) and (diagnostic.where.line, diagnostic.where.column) == (
        line,
        column,
    )
    assert "^" in diagnostic.render()


LIKE = """\
like: Double
title: Doubling, and more
outputs:
  - {name: z, summary: another one}
fields:
  factor: {default: 3, minimum: null}
  steps: null
  more: {type: int, summary: More.}
"""


def test_a_definition_is_like_another_one(make_plugin: Callable[..., Path]) -> None:
    make_plugin()
    catalog = load_catalog([make_plugin("Double2", LIKE)])
    base, found = catalog["Double"], catalog["Double2"]
    assert (found.op, found.title, found.creator) == ("Double2", "Doubling, and more", "Double2")
    assert found.summary == base.summary and found.sources == base.sources and found.inputs == base.inputs
    assert [port.name for port in found.outputs] == ["z"]
    assert [*found.fields] == [*(name for name in base.fields if name != "steps"), "more"]
    assert found.fields["factor"].default == 3 and found.fields["factor"].minimum is None
    assert found.fields["factor"].summary == base.fields["factor"].summary


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("like: Dubble\n", "'like' of the plugin definition is 'Dubble'; expected a plugin whose"),
        ("like: Double2\n", "is 'Double2'; expected a plugin whose definition has no 'like'"),
        ("like: [Double]\n", "'like' of the plugin definition is"),
        ("like: Double\nfields:\n  factor: {type: number}\n", "'fields.factor.type' of the plugin"),
        ("like: Double\nsummary: null\n", "lacks the key 'summary'"),
    ],
)
def test_a_definition_that_is_like_nothing_good_is_c110(
    make_plugin: Callable[..., Path], text: str, said: str
) -> None:
    make_plugin()
    catalog = load_catalog([make_plugin("Double2", text)])
    with pytest.raises(SurgeonError) as caught:
        catalog["Double2"]
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "C110" and said in diagnostic.message and "Double2" in str(diagnostic.where)
