"""UFF files: written, read back, damaged, and opened by another reader."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.catalog import load_catalog
from surgeon.diagnostics import SurgeonError
from surgeon.formats import open_model
from surgeon.formats.graphdef import load_graph, save_graph
from surgeon.formats.uff import (
    Blob,
    UffDescriptor,
    UffModel,
    UffNode,
    UffValue,
    describe,
    export_uff,
    print_uff,
    read_uff,
    write_uff,
)
from surgeon.formats.uff.model import CORE, DTYPE_NUMBERS, orders
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorRef, TensorValue, parse_graph
from surgeon.viewer import report_file
from surgeon.viewer.explorer import explorer_files

HERE = Path(__file__).parent

SMALL = """graph v1
outputs: NMS
Input = Placeholder() {dtype: float32, shape: shape[?,8,8,3]}
w = Const() {dtype: float32, value: tensor<float32[1,1,3,2]: 1.0, 2.0, 3.0, 4.0, 5.0, 6.0>}
c = Conv2D(Input, w) {strides: [1,2,2,1], padding: "SAME", data_format: "NHWC"}
loc = FlattenConcat_TRT(c) {axis: 1, ignoreBatch: 0}
NMS = NMS_TRT(loc, loc, loc) {inputOrder: [0,2,1], confidenceThreshold: 0.3, mode: "fast"}
"""

names = st.text(min_size=1, max_size=8)
ints = st.integers(-(2**63), 2**63 - 1)
doubles = st.floats(allow_nan=False)
dim_orders = st.dictionaries(
    st.integers(-(2**31), 2**31 - 1), st.lists(ints, max_size=3).map(tuple), max_size=2
).map(lambda d: tuple(sorted(d.items())))
values = st.one_of(
    st.builds(UffValue, st.just("s"), st.text(max_size=5)),
    st.builds(UffValue, st.just("d"), doubles),
    st.builds(UffValue, st.just("b"), st.booleans()),
    st.builds(UffValue, st.just("i"), ints),
    st.builds(UffValue, st.just("dtype"), st.sampled_from([*DTYPE_NUMBERS, 7])),
    st.builds(UffValue, st.just("s_list"), st.lists(st.text(max_size=3), max_size=3).map(tuple)),
    st.builds(UffValue, st.just("d_list"), st.lists(doubles, max_size=3).map(tuple)),
    st.builds(UffValue, st.just("b_list"), st.lists(st.booleans(), max_size=3).map(tuple)),
    st.builds(UffValue, st.just("i_list"), st.lists(ints, max_size=3).map(tuple)),
    st.builds(
        UffValue, st.just("dtype_list"), st.lists(st.sampled_from([*DTYPE_NUMBERS, 7]), max_size=3).map(tuple)
    ),
    st.just(UffValue("unset", None)),
    st.builds(UffValue, st.just("dim_orders"), dim_orders),
    st.builds(UffValue, st.just("dim_orders_list"), st.lists(dim_orders, max_size=2).map(tuple)),
)
blobs = st.binary(max_size=40).map(lambda data: UffValue("blob", Blob.of(data)))


@st.composite
def models(draw):
    ids = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    data = draw(st.dictionaries(names, st.one_of(values, blobs), max_size=3))
    refs = [UffValue("ref", key) for key in data]
    nodes = []
    for i, name in enumerate(ids):
        inputs = draw(st.lists(st.sampled_from(ids[: i + 1]), max_size=3).map(tuple))
        fields = draw(
            st.dictionaries(names, st.one_of(values, st.sampled_from(refs)) if refs else values, max_size=3)
        )
        nodes.append(UffNode(name, draw(names), inputs, fields))
    descriptors = draw(st.lists(st.builds(UffDescriptor, names, ints, st.booleans()), max_size=2).map(tuple))
    small = st.integers(0, 2**31)
    return UffModel(tuple(nodes), data, descriptors, draw(small), draw(small), draw(names))


@given(model=models())
def test_what_is_written_reads_back_equal(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("uff") / "m.uff"
    write_uff(model, path)
    read = read_uff(path)
    assert read == model
    first = path.read_bytes()
    write_uff(read, path)
    assert path.read_bytes() == first


def test_a_blob_that_differs_is_seen():
    one = UffModel((), {"w": UffValue("blob", Blob.of(b"abcd"))})
    assert one != UffModel((), {"w": UffValue("blob", Blob.of(b"abce"))})


@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_diagnostic_or_a_model(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("uff") / "m.uff"
    path.write_bytes(data)
    try:
        read_uff(path)
    except SurgeonError as exc:
        assert exc.diagnostics[0].code in ("X120", "E103", "E104")


def test_unset_attributes_are_read_and_shown(tmp_path, exported):
    """NVIDIA's converter leaves attributes of some kinds without a value."""
    model = exported(SMALL)
    unset = UffValue("unset", None)
    nodes = [replace(node, fields={**node.fields, "T": unset, "flag_u_int": unset}) for node in model.nodes]
    write_uff(replace(model, nodes=tuple(nodes), data={**model.data, "spare": unset}), tmp_path / "m.uff")
    read = read_uff(tmp_path / "m.uff")
    assert read.nodes[0].fields["T"] == unset and read.data["spare"] == unset
    assert "T: unset" in print_uff(read) and "@spare = unset" in print_uff(read)
    assert json.loads(json.dumps(describe(read)))["plugins"][0]["fields"]["T"] is None
    file = open_model(tmp_path / "m.uff")
    file.describe()
    catalog = load_catalog()
    assert all("flag" not in use.fields for use in file.plugin_uses(catalog))
    graph, _ = file.graph(catalog)
    assert graph["NMS"].attrs["T"] == b"(unset)" and len(graph) >= len(SMALL.splitlines()) - 2
    page = explorer_files(report_file(tmp_path / "m.uff"))["graph.json"]
    assert "(unset)" in page


def test_an_input_whose_shape_is_unset(tmp_path, exported):
    model = exported(SMALL)
    first = replace(
        model.nodes[0], fields={"shape": UffValue("unset", None), "dtype": UffValue("unset", None)}
    )
    write_uff(replace(model, nodes=(first, *model.nodes[1:])), tmp_path / "m.uff")
    assert describe(read_uff(tmp_path / "m.uff"))["inputs"] == [
        {"name": "Input", "dtype": None, "shape": None}
    ]
    file = open_model(tmp_path / "m.uff")
    assert file.describe().inputs == {"Input": "?[?]"}
    assert file.interface(load_catalog()).inputs[0].name == "Input"


def test_every_truncation_is_noticed_or_harmless(tmp_path, exported):
    path, cut = tmp_path / "m.uff", tmp_path / "cut.uff"
    write_uff(exported(SMALL), path)
    whole = path.read_bytes()
    for length in range(1, len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(SurgeonError) as caught:
            read_uff(cut)
        assert [d.code for d in caught.value.diagnostics] == ["X120"]


def test_every_changed_byte_gives_a_model_or_X120(tmp_path, exported):
    path, bad = tmp_path / "m.uff", tmp_path / "bad.uff"
    write_uff(exported(SMALL), path)
    whole = bytearray(path.read_bytes())
    for at in range(len(whole)):
        changed = bytes(whole[:at]) + bytes([whole[at] ^ 0xFF]) + bytes(whole[at + 1 :])
        bad.write_bytes(changed)
        try:
            print_uff(read_uff(bad))
        except SurgeonError as exc:
            assert exc.diagnostics[0].code == "X120"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "E103"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "E104"),
        (b"\x08\x01\x10\x01", "X120"),
        (b"PK\x03\x04 a zip archive", "X120"),
    ],
)
def test_files_that_are_no_uff(tmp_path, content, code):
    path = tmp_path / "m.uff"
    path.write_bytes(content)
    with pytest.raises(SurgeonError) as caught:
        read_uff(path)
    assert caught.value.diagnostics[0].code == code


def test_a_missing_file_is_E101(tmp_path):
    with pytest.raises(SurgeonError) as caught:
        read_uff(tmp_path / "none.uff")
    assert caught.value.diagnostics[0].code == "E101"


@pytest.mark.parametrize(
    "model",
    [
        UffModel((UffNode("a", "Identity", ("b",)),)),
        UffModel((UffNode("a", "Const", (), {"values": UffValue("ref", "weights_a")}),)),
        UffModel((UffNode("a", "Input"), UffNode("a", "Input"))),
        UffModel((UffNode("a", ""),)),
    ],
)
def test_edges_and_references_that_lead_nowhere_are_X120(tmp_path, model):
    write_uff(model, tmp_path / "m.uff")
    with pytest.raises(SurgeonError, match="X120"):
        read_uff(tmp_path / "m.uff")


def test_bytes_are_deterministic(tmp_path, exported):
    write_uff(exported(SMALL), tmp_path / "a.uff")
    write_uff(exported(SMALL), tmp_path / "b.uff")
    assert (tmp_path / "a.uff").read_bytes() == (tmp_path / "b.uff").read_bytes()


def test_weights_are_slices_of_the_input_file(tmp_path):
    weights = TensorValue(DType.FLOAT32, (1, 1, 64, 64), os.urandom(64 * 64 * 4))
    graph = Graph(
        [
            Node("x", "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape.of(1, 8, 8, 64)}),
            Node("w", "Const", (), (), {"dtype": DType.FLOAT32, "value": weights}),
            Node("y", "Conv2D", (Ref("x"), Ref("w")), (), {"strides": (1, 1, 1, 1), "padding": b"SAME"}),
        ]
    )
    save_graph(graph, tmp_path / "g.pb")
    model = export_uff(load_graph(tmp_path / "g.pb").replace(outputs=[Ref("y")]), plugins={})
    assert isinstance(model.data["weights_w"].value.tensor, TensorRef)
    write_uff(model, tmp_path / "m.uff")
    read = read_uff(tmp_path / "m.uff")
    assert read == model
    assert bytes(read.data["weights_w"].value.buffer()) == weights.data
    assert isinstance(read.data["weights_w"].value.tensor, TensorRef)


def test_an_input_changed_meanwhile_is_refused_and_nothing_written(tmp_path, exported):
    graph = parse_graph(
        "graph v1\noutputs: y\nx = Placeholder() {dtype: float32, shape: shape[1,2]}\ny = Relu(x)\n"
    )
    big = Node(
        "w",
        "Const",
        (),
        (),
        {"dtype": DType.FLOAT32, "value": TensorValue(DType.FLOAT32, (1, 1000), os.urandom(4000))},
    )
    add = Node("z", "Add", (Ref("y"), Ref("w")))
    save_graph(graph.replace([*graph, big, add], [Ref("z")]), tmp_path / "g.pb")
    model = export_uff(load_graph(tmp_path / "g.pb"), plugins={})
    with open(tmp_path / "g.pb", "ab") as handle:
        handle.write(b"\x00")
    with pytest.raises(SurgeonError, match="E107"):
        write_uff(model, tmp_path / "m.uff")
    assert not (tmp_path / "m.uff").exists()


def test_a_repeated_value_is_tiled_in_the_file(tmp_path):
    splat = TensorValue(DType.FLOAT32, (3, 700_000), b"\x00\x00\x80\x3f")
    model = UffModel((), {"weights_w": UffValue("blob", Blob(splat))}, (CORE,))
    write_uff(model, tmp_path / "none.uff")
    data = (tmp_path / "none.uff").read_bytes()
    assert data.endswith(b"\x00\x00\x80\x3f" * 2_100_000)
    assert len(data) - 8_400_000 < 100


def test_past_2_gib_is_X110_and_nothing_written(tmp_path):
    huge = TensorValue(DType.FLOAT32, (1 << 29,), b"\x00\x00\x80\x3f")
    model = UffModel((), {"weights_w": UffValue("blob", Blob(huge))})
    with pytest.raises(SurgeonError) as caught:
        write_uff(model, tmp_path / "m.uff")
    assert caught.value.diagnostics[0].code == "X110"
    assert "'w' holds 2147483648 bytes" in caught.value.diagnostics[0].notes
    assert not list(tmp_path.iterdir())


def test_describe(exported):
    told = describe(exported(SMALL))
    assert told["ops"] == {
        "Const": 1,
        "Conv": 1,
        "Input": 1,
        "MarkOutput": 1,
        "_FlattenConcat_TRT": 1,
        "_NMS_TRT": 1,
    }
    assert told["inputs"] == [{"name": "Input", "dtype": "float32", "shape": [1, 3, 8, 8]}]
    assert told["outputs"] == [{"name": "MarkOutput_0", "marks": ["NMS"]}]
    assert told["weight_bytes"] == 24
    assert told["plugins"][1]["fields"]["inputOrder"] == [0, 2, 1]
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize(
    ("formats", "key", "encoded"),
    [
        (("N+C", "+CK"), "orders_N+C_+CK", ((0, 2, 2**31 - 1, 1), (2, 2**31 - 1, 1, 0))),
        (("N+C", "+KC"), "orders_N+C_+KC", ((0, 2, 2**31 - 1, 1), (2, 2**31 - 1, 0, 1))),
        (("NC+",), "orders_NC+", ((0, 1, 2, 2**31 - 1),)),
        (("NC", "CK"), "orders_NC_CK", ((0, 1), (1, 0))),
    ],
)
@pytest.mark.determinism
def test_dimension_orders(formats, key, encoded):
    assert orders(*formats) == (key, UffValue("dim_orders_list", tuple(((-1, ints),) for ints in encoded)))


def _netron(tmp_path: Path) -> Path:
    """Return a folder where node takes netron's sources for modules; skip where either is missing."""
    if shutil.which("node") is None:
        pytest.skip("netron's reader needs node")
    netron = pytest.importorskip("netron", reason="the reader of another tool needs the netron package")
    source = Path(netron.__file__).parent
    wanted = ("base.js", "protobuf.js", "text.js", "uff.js", "uff-proto.js")
    if not all((source / name).exists() for name in wanted):
        pytest.skip("this netron has its reader in other files")
    folder = tmp_path / "netron"
    folder.mkdir()
    for name in wanted:
        shutil.copy(source / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def test_netron_opens_what_is_written(tmp_path, exported):
    folder = _netron(tmp_path)
    write_uff(exported(SMALL), tmp_path / "m.uff")
    command = ["node", str(HERE.parent / "netron_read.mjs"), str(folder), str(tmp_path / "m.uff")]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    assert (found["format"], found["imports"], found["name"]) == (
        "UFF v1",
        ["tensorflow_extension v1", "custom v1"],
        "main",
    )
    assert found["inputs"] == [["Input", "float32[1,3,8,8]"]]
    assert found["outputs"] == [["MarkOutput_0", "NMS"]]
    nodes = {node["name"]: node for node in found["nodes"]}
    assert nodes["c"]["type"] == "Conv"
    assert nodes["c"]["inputs"] == ["Input", "w"]
    assert nodes["c"]["weights"] == [None, "float32[1,1,3,2]"]
    assert nodes["c"]["attributes"]["strides"] == [2, 2]
    assert nodes["c"]["attributes"]["implicit_padding"] == "same"
    assert nodes["NMS"]["type"] == "_NMS_TRT"
    assert nodes["NMS"]["attributes"]["inputOrder_u_ilist"] == [0, 2, 1]
