"""Damaged ONNX files: they are read, described and shown as a graph, or refused."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import damaged_bytes
from onnx import TensorProto, helper, numpy_helper

from surgeon.catalog import load_catalog
from surgeon.diagnostics import SurgeonError
from surgeon.display import some
from surgeon.formats import open_model
from surgeon.graph import diff_graphs, print_graph
from surgeon.viewer import report_file
from surgeon.viewer.explorer import explorer_files

CATALOG = load_catalog()


def small_model() -> Any:
    """Return a ModelProto with something of each kind that the reader looks at."""
    branch = helper.make_graph(
        [helper.make_node("Relu", ["c"], ["t"], "inner")],
        "branch",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, 4])],
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "layer/conv", strides=[1, 1], auto_pad="VALID"),
        helper.make_node("If", ["flag"], ["i"], "choose", then_branch=branch, else_branch=branch),
        helper.make_node("NMS_TRT", ["c", "i"], ["y", "n"], "NMS", domain="trt.plugins", topK=3, s="text"),
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.arange(3.0), "k")),
        helper.make_node("Scale", ["k"], ["z"], domain="other", fs=[1.0, 2.0], ss=["a", "b"]),
    ]
    values = TensorProto(data_type=TensorProto.FLOAT, dims=[1], name="sparse", float_data=[1.0])
    indices = TensorProto(data_type=TensorProto.INT64, dims=[1], name="at", int64_data=[2])
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 4, 4]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "z")],
        [numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")],
        sparse_initializer=[helper.make_sparse_tensor(values, indices, [4])],
        value_info=[helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 2, 4, 4])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("trt.plugins", 1)]
    model = helper.make_model(graph, producer_name="test", opset_imports=opsets)
    properties = {
        "surgeon.recipe": "r",
        "surgeon.labels": '{"1":"a"}',
        "surgeon.detections": '{"detections":"y"}',
        "surgeon.plugins": '[{"node":"NMS","op":"NMS_TRT","rendering":"native"}]',
        "surgeon.nchw_inputs": '["x"]',
        "surgeon.image": '{"size":[4,4]}',
        "note": "free text",
    }
    helper.set_model_props(model, properties)
    return model


def attempt(data: bytes, folder: Path) -> str:
    """Return ``read``, or the code of the refusal; whatever else is raised escapes."""
    path = folder / "in.onnx"
    path.write_bytes(data)
    try:
        file = open_model(path)
        file.describe()
        file.interface(CATALOG)
        some(sorted({f"{use.op} {use.node}" for use in file.plugin_uses(CATALOG)}))
        graph, _ = file.graph(CATALOG)
        print_graph(graph, limit=8)
        explorer_files(report_file(path, catalog=CATALOG))
    except SurgeonError as exc:
        str(exc).encode()
        return exc.diagnostics[0].code
    assert not diff_graphs(graph, file.graph(CATALOG)[0])
    return "read"


def code_of(change: Callable[[Any], None], folder: Path, marked: bool = False) -> str:
    """Return the outcome for the small model with a change; marked texts become bytes that are not UTF-8."""
    model = small_model()
    change(model)
    data = model.SerializeToString()
    return attempt(data.replace(b"XXXX", b"X\xff\xfeX") if marked else data, folder)


TEXTS: dict[str, Callable[[Any], None]] = {
    "node": lambda m: setattr(m.graph.node[0], "name", "XXXX"),
    "input": lambda m: m.graph.node[0].input.append("XXXX"),
    "attribute": lambda m: setattr(m.graph.node[0].attribute[0], "name", "XXXX"),
    "attribute's tensor": lambda m: setattr(m.graph.node[3].attribute[0].t, "name", "XXXX"),
    "inner node": lambda m: setattr(m.graph.node[1].attribute[0].g.node[0], "op_type", "XXXX"),
    "axis": lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_param", "XXXX"),
    "property's key": lambda m: setattr(m.metadata_props[0], "key", "XXXX"),
    "property": lambda m: setattr(m.metadata_props[0], "value", "XXXX"),
    "maker": lambda m: setattr(m, "producer_name", "XXXX"),
    "opset": lambda m: setattr(m.opset_import[1], "domain", "XXXX"),
    "graph": lambda m: setattr(m.graph, "name", "XXXX"),
    "constant": lambda m: setattr(m.graph.initializer[0], "name", "XXXX"),
    "shape": lambda m: setattr(m.graph.value_info[0], "name", "XXXX"),
    "description": lambda m: setattr(m, "doc_string", "XXXX"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_that_are_not_utf8(name: str, tmp_path: Path) -> None:
    assert code_of(TEXTS[name], tmp_path) in ("read", "X151")
    assert code_of(TEXTS[name], tmp_path, marked=True) == "X150"


def test_the_place_of_a_damaged_text(tmp_path: Path) -> None:
    model = small_model()
    model.graph.node[2].attribute[0].name = "XXXX"
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString().replace(b"XXXX", b"X\xff\xfeX"))
    with pytest.raises(SurgeonError, match=r"text graph\.node\[2\]\.attribute\[0\]\.name is not UTF-8"):
        open_model(tmp_path / "x.onnx")


def test_initializers_without_a_name(tmp_path: Path) -> None:
    assert code_of(lambda m: m.graph.initializer[0].ClearField("name"), tmp_path) == "X150"
    assert code_of(lambda m: m.graph.sparse_initializer[0].values.ClearField("name"), tmp_path) == "X150"


def test_a_file_without_damage_is_shown(tmp_path: Path) -> None:
    assert code_of(lambda m: None, tmp_path) == "read"
    assert "layer/conv" in explorer_files(report_file(tmp_path / "in.onnx"))["graph.json"]


def test_a_property_that_names_an_input_of_other_axes(tmp_path: Path) -> None:
    assert code_of(lambda m: m.graph.input[0].type.tensor_type.shape.dim.pop(), tmp_path) == "X151"
    assert code_of(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"), tmp_path) == "X151"


def messages(message: Any) -> list[Any]:
    """Return a message and all that are in it."""
    found = [message]
    for descriptor, value in message.ListFields():
        if descriptor.type == descriptor.TYPE_MESSAGE:
            for part in (value,) if hasattr(value, "ListFields") else value:
                found += messages(part)
    return found


def damaged_structure(rng: random.Random) -> bytes:
    """Return a file that protobuf reads, with one to three fields that are cleared, doubled or of another value."""
    model = small_model()
    for _ in range(rng.choice((1, 1, 2, 3))):
        message = rng.choice(messages(model))
        fields = list(message.ListFields())
        if not fields:
            continue
        descriptor, value = rng.choice(fields)
        kind = rng.randrange(3)
        if kind == 0:
            message.ClearField(descriptor.name)
        elif descriptor.type == descriptor.TYPE_MESSAGE:
            if not hasattr(value, "ListFields"):
                value.add().CopyFrom(rng.choice(value))
        else:
            _set(message, descriptor, value, rng)
    return bytes(model.SerializeToString())


def _set(message: Any, descriptor: Any, value: Any, rng: random.Random) -> None:
    """Give a field that is not a message another value."""
    others: dict[int, list[Any]] = {
        descriptor.TYPE_STRING: ["", "x", "NMS", "/", "a/b", "ai.onnx", "{}", "[1]", "\0", "\ud7ff"],
        descriptor.TYPE_BYTES: [b"", b"\xff\xfe", bytes(5)],
        descriptor.TYPE_FLOAT: [float("nan"), -1.0],
        descriptor.TYPE_DOUBLE: [float("inf")],
    }
    new = rng.choice(others.get(descriptor.type, [0, 1, -1, 7, 21, 99, (1 << 31) - 1]))
    try:
        if isinstance(value, (str, bytes, int, float)):
            setattr(message, descriptor.name, new)
        else:
            value.append(new)
    except ValueError:  # a number that its enumeration does not have
        message.ClearField(descriptor.name)


def fuzz(make: Callable[[random.Random], bytes], folder: Path, count: int, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        data = make(rng)
        try:
            outcomes[attempt(data, folder)] += 1
        except Exception as exc:
            raise AssertionError(f"escaped for {data.hex()}") from exc
    return outcomes


def test_damaged_bytes_are_read_or_refused(tmp_path: Path, tries: Callable[[int], int]) -> None:
    base = small_model().SerializeToString()
    outcomes = fuzz(lambda rng: damaged_bytes(rng, base), tmp_path, tries(1500), seed=1)
    assert {"read", "X150", "X151"} == set(outcomes) and outcomes["read"] > tries(100), outcomes


def test_damaged_structure_is_read_or_refused(tmp_path: Path, tries: Callable[[int], int]) -> None:
    outcomes = fuzz(damaged_structure, tmp_path, tries(1500), seed=2)
    assert {"read", "X150", "X151"} == set(outcomes) and outcomes["read"] > tries(500), outcomes
