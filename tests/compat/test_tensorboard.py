"""Graphs for TensorBoard, and nodes of TensorFlow's own classes."""

from __future__ import annotations

from pathlib import Path

import pytest

import surgeon.compat.graphsurgeon as gs
from surgeon.compat.remarks import ScriptWarning
from surgeon.formats.graphdef.protos import GraphDef

tf = pytest.importorskip("tensorflow")


def test_a_graph_is_written_and_one_with_a_plugin_is_not(tmp_path: Path) -> None:
    """Scripts write graphs with plugins before they convert them; nothing may keep them from that."""
    found = gs.DynamicGraph()
    found.append(gs.create_node("x", "Placeholder", dtype=tf.float32, shape=[1, 2]))
    found.write_tensorboard(tmp_path / "events")
    assert list((tmp_path / "events").iterdir())
    found.append(gs.create_plugin_node("NMS", op="NMS_TRT", inputs=["x"]))
    with pytest.warns(ScriptWarning, match=r"P106.*others.*NMS_TRT"):
        found.write_tensorboard(tmp_path / "others")
    assert not (tmp_path / "others").exists()


def test_nodes_are_tensorflows_own_where_it_is_loaded() -> None:
    node = gs.create_node("x", "Placeholder", dtype=tf.float32)
    assert isinstance(node, tf.compat.v1.NodeDef)
    node.attr["shape"].CopyFrom(tf.compat.v1.AttrValue(i=3))
    message = GraphDef()
    message.node.add(name="N/a", op="Relu", input=["y"])
    found = gs.DynamicGraph(message)
    found.collapse_namespaces({"N": node})
    assert [(n.name, list(n.input), n.attr["shape"].i) for n in found] == [("x", ["y"], 3)]
    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(tf.float32, [1], "p")
    assert [n.name for n in gs.StaticGraph(graph)] == ["p"]
