"""``GraphDef -> Graph -> GraphDef`` keeps every field; constants stay in their file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef import (
    check_unchanged,
    from_bytes,
    from_message,
    load_graph,
    save_graph,
    to_bytes,
    to_message,
)
from surgeon.formats.graphdef.protos import GraphDef
from surgeon.graph import (
    DType,
    Func,
    Graph,
    Node,
    Placeholder,
    RawAttr,
    Ref,
    Shape,
    Tensor,
    TensorRef,
    TensorValue,
    Versions,
)


def rich_message() -> Any:
    """A GraphDef that uses every field this package knows of, and some that it does not."""
    g = GraphDef()
    g.versions.producer, g.versions.min_consumer = 24, 12
    g.versions.bad_consumers.extend([3, 4])
    g.debug_info.files.append("model.py")
    made = g.library.function.add()
    made.signature.name = "body"
    made.signature.input_arg.add(name="x", type=1)
    made.node_def.add(name="y", op="Identity", input=["x"])
    g.library.gradient.add(function_name="body", gradient_func="grad")

    a = g.node.add(name="a", op="Placeholder", device="/job:worker/device:GPU:0")
    a.attr["dtype"].type = 4
    a.attr["shape"].shape.unknown_rank = True
    a.attr["named"].shape.dim.add(size=3, name="batch")
    a.attr["static"].shape.dim.add(size=-1)
    a.attr["scalar_shape"].shape.SetInParent()
    b = g.node.add(name="b/ü", op="Everything", input=["a", "a:3", "^a"])
    b.attr["i"].i = -5
    b.attr["f"].f = 0.1
    b.attr["nan"].f = float("nan")
    b.attr["s"].s = b"\xff\x00text"
    b.attr["t"].b = True
    b.attr["no"].b = False
    b.attr["reference"].type = 101
    b.attr["later"].type = 60
    b.attr["nothing"].SetInParent()
    b.attr["unset"].MergeFromString(b"\x98\x06\x07")
    b.attr["p"].placeholder = "T"
    b.attr["fn"].func.name = "body"
    b.attr["fn"].func.attr["T"].type = 1
    b.attr["fn"].func.attr["inner"].func.attr["x"].list.i.append(7)
    lists = b.attr["empty"].list
    lists.SetInParent()
    b.attr["li"].list.i.extend([1, -2])
    b.attr["lf"].list.f.extend([1.5, float("inf")])
    b.attr["ls"].list.s.extend([b"", b"x"])
    b.attr["lb"].list.b.extend([True, False])
    b.attr["lt"].list.type.extend([1, 19])
    b.attr["lsh"].list.shape.add().dim.add(size=2)
    b.attr["lsh"].list.shape.add(unknown_rank=True)
    b.attr["ltensor"].list.tensor.add(dtype=3, int_val=[3]).tensor_shape.SetInParent()
    b.attr["lfn"].list.func.add(name="body")
    b.attr["mixed"].list.i.append(1)
    b.attr["mixed"].list.f.append(1)
    b.experimental_debug_info.original_node_names.append("b0")
    b.experimental_type.type_id = 1000
    for key, (dtype, field, values, dims) in {
        "half": (19, "half_val", [0x3C00, 0x7E01], [2]),
        "bf": (14, "half_val", [0x3F80], [3]),
        "c64": (8, "scomplex_val", [1.0, -2.0], [1]),
        "c128": (18, "dcomplex_val", [1.0, 2.0], [4]),
        "bool": (10, "bool_val", [True, False], [2]),
        "str": (7, "string_val", [b"a", b"\xff"], [2]),
        "q8": (11, "int_val", [-128, 127], [2]),
        "qu8": (12, "int_val", [255], [1]),
        "q32": (13, "int_val", [-1], [1]),
        "q16": (15, "int_val", [-3], [1]),
        "qu16": (16, "int_val", [65535], [1]),
        "u16": (17, "int_val", [65535], [1]),
        "i8": (6, "int_val", [-1], [5]),
        "i16": (5, "int_val", [-300], [1]),
        "u8": (4, "int_val", [200], [1]),
        "i64": (9, "int64_val", [-(1 << 60)], []),
        "u32": (22, "uint32_val", [1 << 31], []),
        "u64": (23, "uint64_val", [1 << 63], []),
        "f64": (2, "double_val", [0.1], []),
        "f32": (1, "float_val", [0.5], [1000, 1000]),
        "zero": (1, "float_val", [], [7]),
        "none": (1, "float_val", [], [0]),
        "res": (20, "float_val", [], []),
        "var": (21, "float_val", [], []),
        "f8": (24, "float_val", [], [2]),
        "odd": (8, "scomplex_val", [1.0], [1]),
    }.items():
        tensor = b.attr[f"tensor_{key}"].tensor
        tensor.dtype = dtype
        tensor.tensor_shape.SetInParent()
        for dim in dims:
            tensor.tensor_shape.dim.add(size=dim)
        getattr(tensor, field).extend(values)
    b.attr["tensor_res"].tensor.resource_handle_val.add(name="v")
    b.attr["tensor_var"].tensor.variant_val.add(type_name="list")
    b.attr["tensor_content_str"].tensor.dtype = 7
    b.attr["tensor_content_str"].tensor.tensor_content = b"\x01x"
    b.attr["tensor_version"].tensor.dtype = 1
    b.attr["tensor_version"].tensor.version_number = 3
    w = g.node.add(name="w", op="Const").attr["value"].tensor
    w.dtype = 1
    w.tensor_shape.dim.add(size=2000)
    w.tensor_content = np.arange(2000, dtype=np.float32).tobytes()
    return g


def exact(message: Any) -> bytes:
    """Return bytes to compare: a NaN makes a message differ from itself."""
    return bytes(message.SerializeToString(deterministic=True))


def constants(count: int = 3, size: int = 4096) -> Any:
    g = GraphDef()
    for i in range(count):
        tensor = g.node.add(name=f"w{i}", op="Const").attr["value"].tensor
        tensor.dtype = 1
        tensor.tensor_shape.dim.add(size=size // 4)
        tensor.tensor_content = np.full(size // 4, i, np.float32).tobytes()
    return g


def value_of(graph: Graph, name: str) -> Tensor:
    value = graph[name].attrs["value"]
    assert isinstance(value, Tensor)
    return value


def test_every_field_comes_back(tmp_path: Path) -> None:
    message = rich_message()
    (tmp_path / "in.pb").write_bytes(message.SerializeToString())
    for graph in (
        from_message(message),
        from_bytes(message.SerializeToString()),
        load_graph(tmp_path / "in.pb"),
    ):
        assert exact(GraphDef.FromString(to_bytes(graph))) == exact(message)
        assert exact(to_message(graph)) == exact(message)
        save_graph(graph, tmp_path / "out.pb")
        again = load_graph(tmp_path / "out.pb")
        assert again == graph and again.digest() == graph.digest()
        assert exact(to_message(again)) == exact(message)
    assert exact(message) == exact(rich_message()), "reading a message changed it"


def test_text_keeps_every_known_field(tmp_path: Path) -> None:
    message = rich_message()
    del message.node[1].attr["unset"]  # its only field is unknown
    graph = from_message(message)
    save_graph(graph, tmp_path / "out.pbtxt")
    assert load_graph(tmp_path / "out.pbtxt") == graph
    assert exact(to_message(load_graph(tmp_path / "out.pbtxt"))) == exact(message)


def test_a_changed_field_does_not_compare_equal() -> None:
    base = to_bytes(from_message(rich_message()))
    for change in ("versions", "library", "debug_info"):
        other = rich_message()
        other.ClearField(change)
        assert from_message(other) != from_message(rich_message()) and to_bytes(from_message(other)) != base
    other = rich_message()
    other.node[1].experimental_debug_info.original_node_names[0] = "b1"
    assert from_message(other) != from_message(rich_message())


def test_fields_become_values() -> None:
    graph = from_message(rich_message())
    node = graph["b/ü"]
    assert graph.versions == Versions(24, 12, (3, 4))
    assert graph["a"].device == "/job:worker/device:GPU:0"
    assert (node.inputs, node.control) == ((Ref("a"), Ref("a", 3)), ("a",))
    attrs = node.attrs
    assert attrs["i"] == -5 and attrs["s"] == b"\xff\x00text" and attrs["t"] is True and attrs["no"] is False
    assert (
        attrs["p"] == Placeholder("T")
        and attrs["empty"] == ()
        and attrs["lt"] == (DType.FLOAT32, DType.FLOAT16)
    )
    assert attrs["fn"] == Func("body", {"T": DType.FLOAT32, "inner": Func("", {"x": (7,)})})
    assert attrs["lsh"] == (Shape.of(2), Shape()) and graph["a"].attrs["static"] == Shape.of(None)
    kept_raw = {
        "reference",
        "later",
        "nothing",
        "unset",
        "mixed",
        "tensor_res",
        "tensor_var",
        "tensor_f8",
        "tensor_odd",
        "tensor_content_str",
        "tensor_version",
    }
    assert {key for key, value in attrs.items() if isinstance(value, RawAttr)} == kept_raw
    splat = attrs["tensor_f32"]
    assert isinstance(splat, TensorValue) and splat.stored == 1 and splat.array().shape == (1000, 1000)


def test_values_equal_those_of_tensorflow(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    (tmp_path / "in.pb").write_bytes(rich_message().SerializeToString())
    graph = load_graph(tmp_path / "in.pb")
    theirs = tf.compat.v1.GraphDef.FromString((tmp_path / "in.pb").read_bytes())
    seen = 0
    for node in theirs.node:
        for key, attr in node.attr.items():
            ours = graph[node.name].attrs[key]
            if isinstance(ours, Tensor) and ours.dtype is not DType.BFLOAT16:
                expected = tf.make_ndarray(attr.tensor)
                np.testing.assert_array_equal(
                    ours.array(),
                    expected.astype(object)
                    if ours.dtype is DType.STRING
                    else expected.astype(ours.array().dtype),
                    err_msg=key,
                )
                assert ours.array().shape == expected.shape
                seen += 1
    assert seen > 20


def test_tensorflow_imports_what_is_written(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    with tf.Graph().as_default() as made:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4], name="x")
        weights = tf.constant(np.arange(2000, dtype=np.float32).reshape(4, 500))
        out = tf.while_loop(lambda i, t: i < 3, lambda i, t: (i + 1, t * 2.0), [0, tf.matmul(x, weights)])[1]
        parts = tf.split(out, 2, axis=1, name="parts")
        with tf.control_dependencies([parts[0]]):
            tf.identity(parts[1], name="out")
    (tmp_path / "in.pb").write_bytes(made.as_graph_def().SerializeToString())
    graph = load_graph(tmp_path / "in.pb")
    results = []
    for suffix in ("pb", "pbtxt"):
        save_graph(graph, tmp_path / f"out.{suffix}")
        if suffix == "pb":
            definition = tf.compat.v1.GraphDef.FromString((tmp_path / "out.pb").read_bytes())
            assert definition == made.as_graph_def()
        else:
            from google.protobuf import text_format

            definition = text_format.Parse((tmp_path / "out.pbtxt").read_text(), tf.compat.v1.GraphDef())
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.compat.v1.import_graph_def(definition, name="")
            results.append(session.run("out:0", {"x:0": np.ones((2, 4), np.float32)}))
    np.testing.assert_array_equal(results[0], results[1])
    assert results[0].shape == (2, 250) and results[0].any()


def test_large_constants_stay_in_the_file(tmp_path: Path) -> None:
    data = constants().SerializeToString()
    (tmp_path / "in.pb").write_bytes(data)
    graph = load_graph(tmp_path / "in.pb")
    for i in range(3):
        value = value_of(graph, f"w{i}")
        assert isinstance(value, TensorRef)
        assert data[value.offset : value.offset + value.length] == np.full(1024, i, np.float32).tobytes()
        np.testing.assert_array_equal(value.array(), np.full(1024, i, np.float32))
        with pytest.raises(ValueError, match="read-only"):
            value.array()[0] = 5
        assert (
            value
            == TensorValue.of(np.full(1024, i, np.float32))
            != TensorValue.of(np.full(1024, i + 1, np.float32))
        )


@pytest.mark.parametrize("size", [1020, 1024, 1028])
def test_the_limit_between_file_and_memory_changes_nothing(size: int, tmp_path: Path) -> None:
    message = constants(1, size)
    (tmp_path / "in.pb").write_bytes(message.SerializeToString())
    graph = load_graph(tmp_path / "in.pb")
    assert isinstance(value_of(graph, "w0"), TensorRef) == (size >= 1024)
    assert graph == from_message(message) and to_bytes(graph) == to_bytes(from_message(message))


def test_output_over_the_input_is_safe(tmp_path: Path) -> None:
    path = tmp_path / "model.pb"
    path.write_bytes(constants().SerializeToString())
    graph = load_graph(path)
    expected = to_bytes(graph)
    for _ in range(2):
        save_graph(graph, path)
        assert path.read_bytes() == expected
    save_graph(graph.replace([n for n in graph if n.name != "w0"]), path)
    assert [n.name for n in load_graph(path)] == ["w1", "w2"]
    assert to_bytes(graph) == expected
    assert os.listdir(tmp_path) == ["model.pb"]


def test_a_link_is_followed_and_permissions_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "model.pb", tmp_path / "link.pb"
    path.write_bytes(constants().SerializeToString())
    path.chmod(0o640)
    link.symlink_to("model.pb")
    save_graph(load_graph(link), link)
    assert link.is_symlink() and not path.is_symlink() and path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["out.pb", "out.pbtxt"])
def test_an_input_that_changes_in_place_is_noticed(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pb"
    path.write_bytes(constants().SerializeToString())
    graph = load_graph(path)
    check_unchanged(graph)
    with open(path, "r+b") as handle:
        handle.write(b"\n")
    os.utime(path, ns=(1, 1))
    with pytest.raises(SurgeonError, match="E107"):
        save_graph(graph, tmp_path / name)
    assert os.listdir(tmp_path) == ["model.pb"]


def test_an_input_that_is_replaced_or_removed_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "model.pb"
    path.write_bytes(constants().SerializeToString())
    graph = load_graph(path)
    expected = to_bytes(graph)
    path.unlink()
    save_graph(graph, tmp_path / "out.pb")
    path.write_bytes(b"something else")
    save_graph(graph, tmp_path / "out.pb")
    assert (tmp_path / "out.pb").read_bytes() == expected


def test_over_two_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "in.pb").write_bytes(constants().SerializeToString())
    graph = load_graph(tmp_path / "in.pb")
    monkeypatch.setattr("surgeon.formats.graphdef.writer.PROTOBUF_LIMIT", 3 * 4096 + 3)
    for name in ("out.pb", "out.pbtxt"):
        if name == "out.pb":
            with pytest.raises(SurgeonError, match="E106"):
                save_graph(graph, tmp_path / name)
        monkeypatch.setattr("surgeon.formats.graphdef.writer.PROTOBUF_LIMIT", 100)
        with pytest.raises(SurgeonError, match="E106"):
            save_graph(graph, tmp_path / name)
    with pytest.raises(SurgeonError, match="E106"):
        to_bytes(graph)
    assert os.listdir(tmp_path) == ["in.pb"]


def test_later_entries_of_one_attribute_hold(tmp_path: Path) -> None:
    first = constants(1).node[0]
    second = constants(2).node[1]
    tiny = GraphDef().node.add()
    tiny.attr["value"].i = 3
    name = b"\x0a\x02w0\x12\x05Const"
    entries = {
        key: node.SerializeToString().partition(b"Const")[2]
        for key, node in (("first", first), ("second", second))
    }
    entries["tiny"] = tiny.SerializeToString()
    for order in (("first", "tiny"), ("tiny", "first"), ("first", "second")):
        data = name + b"".join(entries[key] for key in order)
        framed = GraphDef()
        framed.node.add().MergeFromString(data)
        expected = from_message(framed)
        (tmp_path / "in.pb").write_bytes(b"\x0a" + _varint(len(data)) + data)
        assert load_graph(tmp_path / "in.pb") == expected, order


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def test_unknown_fields_of_a_node_are_kept(tmp_path: Path) -> None:
    data = b"\x0a\x01a\x12\x01P" + b"\xc2\x3e\x03abc"
    (tmp_path / "in.pb").write_bytes(b"\x0a" + _varint(len(data)) + data)
    graph = load_graph(tmp_path / "in.pb")
    assert graph["a"].extra == b"\xc2\x3e\x03abc"
    assert to_bytes(graph) == (tmp_path / "in.pb").read_bytes()


def test_reading_and_writing_need_no_tensorflow() -> None:
    code = "import sys; from surgeon.formats.graphdef import from_bytes, to_bytes; to_bytes(from_bytes(b'')); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_constants_of_a_built_graph_are_written_alike() -> None:
    values = {
        "a": TensorValue.of(np.zeros((3, 0), np.float32)),
        "b": TensorValue.of(np.float32(2)),
        "c": TensorValue.of([True, False]),
        "d": TensorValue.of(["x", "y"]),
        "e": TensorValue.of(np.arange(100)),
    }
    graph = Graph(
        Node(name, "Const", attrs={"dtype": value.dtype, "value": value}) for name, value in values.items()
    )
    assert from_bytes(to_bytes(graph)) == graph
