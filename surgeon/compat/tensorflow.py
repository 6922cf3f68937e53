"""What needs TensorFlow itself."""

from __future__ import annotations

import os
from typing import Any

from surgeon.compat.remarks import remark, script_place
from surgeon.optional import quiet, require

_PURPOSE = "writing a graph for TensorBoard"


def write_events(graphdef: Any, folder: str | os.PathLike[str]) -> None:
    """Write a GraphDef for TensorBoard, or nothing but a warning for one that TensorFlow refuses.

    Raise SurgeonError E108 without TensorFlow.
    """
    with quiet():
        tf = require("tensorflow", _PURPOSE)
        kind = require("tensorflow.core.framework.graph_pb2", _PURPOSE).GraphDef
        graph = tf.Graph()
        try:
            with graph.as_default():
                tf.compat.v1.import_graph_def(kind.FromString(graphdef.SerializeToString()), name="")
        except (ValueError, TypeError, tf.errors.OpError) as exc:
            remark(
                "P106",
                f"TensorFlow refuses the graph, so nothing is written for TensorBoard to '{folder}': "
                + " ".join(str(exc).split()),
                script_place(),
                help=("plugins are no operations of TensorFlow; see the graph with 'surgeon view' instead",),
            )
            return
        with tf.Graph().as_default():  # an event writer refuses to start in eager mode
            writer = tf.compat.v1.summary.FileWriter(os.fspath(folder), graph)
            writer.close()
