"""The messages of a GraphDef: TensorFlow's field numbers, and nothing lost between the two."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import text_format

from surgeon.formats.graphdef import from_message, to_message
from surgeon.formats.graphdef.protos import AttrValue, GraphDef, NodeDef, TensorProto


def described(descriptor: Any, seen: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """Add the fields of a message, and of the messages inside it, to ``seen`` by name."""
    name = descriptor.full_name.partition(".")[2]
    if name in seen:
        return seen
    fields = seen[name] = {}
    for field in descriptor.fields:
        oneof = field.containing_oneof.name if field.containing_oneof else None
        values = {v.name: v.number for v in field.enum_type.values} if field.enum_type else None
        inner = field.message_type.full_name.partition(".")[2] if field.message_type else None
        rule = (
            field.is_repeated if isinstance(getattr(field, "is_repeated", None), bool) else field.label == 3
        )
        fields[field.name] = (field.number, field.type, rule, oneof, inner, values)
        if field.message_type:
            described(field.message_type, seen)
    return seen


def missing(ours: dict[str, dict[str, Any]], theirs: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield each field of theirs that ours lacks or describes otherwise; enums of ours may know more values."""
    for name, fields in theirs.items():
        for field, (*facts, values) in fields.items():
            known = ours.get(name, {}).get(field)
            if (
                known is None
                or list(known[:-1]) != facts
                or not (values or {}).items() <= (known[-1] or {}).items()
            ):
                yield f"{name}.{field}: {facts}, here {known}"


@pytest.mark.slow
def test_the_fields_are_tensorflows() -> None:
    pytest.importorskip("tensorflow", reason="the messages are compared with those of TensorFlow")
    from tensorflow.core.framework import graph_pb2

    ours, theirs = described(GraphDef.DESCRIPTOR, {}), described(graph_pb2.GraphDef.DESCRIPTOR, {})
    assert list(missing(ours, theirs)) == []
    wrong = {**ours, "NodeDef": {**ours["NodeDef"], "op": (7, *ours["NodeDef"]["op"][1:])}}
    assert [text.partition(":")[0] for text in missing(wrong, theirs)] == ["NodeDef.op"]


@pytest.mark.slow
def test_messages_of_tensorflow_in_the_same_process_are_read() -> None:
    pytest.importorskip("tensorflow", reason="its messages are read")
    from tensorflow.core.framework import graph_pb2

    theirs = graph_pb2.GraphDef()
    theirs.node.add(name="a", op="Placeholder").attr["dtype"].type = 1
    theirs.versions.producer = 27
    assert type(theirs) is not GraphDef
    graph = from_message(theirs)
    assert [node.name for node in graph] == ["a"] and theirs.node[0].name == "a"
    assert graph_pb2.GraphDef.FromString(to_message(graph).SerializeToString()) == theirs


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_every_implementation_of_protobuf_serves(implementation: str) -> None:
    code = """
import google.protobuf.internal.api_implementation as api
from surgeon.formats.graphdef import from_bytes, to_bytes
from surgeon.formats.uff.schema import message
from surgeon.zoo import build_lenet
data = build_lenet()
assert to_bytes(from_bytes(data)) == data
node = message("Node")
node.fields["x"].s_list.val.append("a")
assert type(node).FromString(node.SerializeToString()) == node
print(api.Type())
"""
    env = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation, "PATH": "/usr/bin:/bin"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert (ran.stdout.strip(), ran.returncode) == (implementation, 0), ran.stderr


def test_fields_of_a_later_release_stay() -> None:
    later = b"\xfa\x3f\x03new"  # field 1023, of three bytes
    node = NodeDef.FromString(NodeDef(name="a", op="Relu").SerializeToString() + later)
    assert node.SerializeToString().endswith(later)
    number = AttrValue.FromString(b"\x30\xe7\x07")  # an element type 999 that nobody knows
    assert number.WhichOneof("value") == "type" and number.type == 999
    assert number.SerializeToString() == b"\x30\xe7\x07"


def test_the_text_form_has_tensorflows_names() -> None:
    text = """
    node { name: "a" op: "Const" attr { key: "value" value { tensor { dtype: DT_FLOAT8_E5M2
      tensor_shape { dim { size: 1 } } float8_val: "x" } } }
      experimental_type { type_id: TFT_PRODUCT args { type_id: TFT_LEGACY_VARIANT } } }
    debug_info { files: "f" name_to_trace_id { key: "a" value: 3 } }
    library { function { signature { name: "g" attr { name: "T" type: "type" allowed_values { list { type: DT_HALF_REF } } } }
      arg_attr { key: 0 value { attr { key: "k" value { b: true } } } } ret { key: "y" value: "z" } } }
    """
    message = text_format.Parse(text, GraphDef())
    assert text_format.Parse(text_format.MessageToString(message), GraphDef()) == message
    assert message.node[0].attr["value"].tensor.dtype == 24
    with pytest.raises(text_format.ParseError):
        text_format.Parse("node { names: 'a' }", GraphDef())


def test_a_nested_message_has_its_own_name() -> None:
    assert AttrValue.ListValue.DESCRIPTOR.full_name == "tensorflow.AttrValue.ListValue"
    assert TensorProto(dtype=3, int_val=[1, 2]).SerializeToString() == b"\x08\x03\x3a\x02\x01\x02"
