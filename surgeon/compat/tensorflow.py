"""What needs TensorFlow itself."""

from __future__ import annotations

import os
from typing import Any

from surgeon.diagnostics import error
from surgeon.optional import quiet, require

_PURPOSE = "writing a graph for TensorBoard"


def write_events(graphdef: Any, folder: str | os.PathLike[str]) -> None:
    """Write a GraphDef for TensorBoard.

    Raise SurgeonError E108 without TensorFlow, P106 for a graph that TensorFlow refuses.
    """
    with quiet():
        tf = require("tensorflow", _PURPOSE)
        kind = require("tensorflow.core.framework.graph_pb2", _PURPOSE).GraphDef
        graph = tf.Graph()
        try:
            with graph.as_default():
                tf.compat.v1.import_graph_def(kind.FromString(graphdef.SerializeToString()), name="")
        except (ValueError, TypeError, tf.errors.OpError) as exc:
            raise error(
                "P106",
                "TensorFlow refuses the graph, so nothing is written for TensorBoard: "
                + " ".join(str(exc).split()),
                str(folder),
                help=["plugins are no operations of TensorFlow; see the graph with 'surgeon view' instead"],
            ) from None
        with tf.Graph().as_default():  # an event writer refuses to start in eager mode
            writer = tf.compat.v1.summary.FileWriter(os.fspath(folder), graph)
            writer.close()
