"""Time `collapse_namespaces` of surgeon.compat.graphsurgeon on a graph of so many nodes; print it as JSON.

Half the nodes are in a namespace that becomes a plugin, the others read them. Run as a process of its own, so
that its memory is not the benchmark's: collapse.py NODES
"""

from __future__ import annotations

import json
import resource
import sys
import time

import surgeon.compat.graphsurgeon as gs
from surgeon.formats.graphdef import protos


def graph(nodes: int) -> gs.DynamicGraph:
    """Return a graph with so many nodes."""
    message = protos.GraphDef()
    for number in range(nodes // 2):
        inside = message.node.add(name=f"Postprocessor/map/while/node_{number}", op="Relu")
        inside.input.append(f"Postprocessor/map/while/node_{number - 1}" if number else "image")
        outside = message.node.add(name=f"Extractor/node_{number}", op="Relu")
        outside.input.extend([f"Extractor/node_{number - 1}" if number else "image", inside.name])
    message.node.add(name="image", op="Placeholder")
    return gs.DynamicGraph(message)


def main() -> None:
    """Collapse once, and print seconds and the peak of the whole process in bytes."""
    found = graph(int(sys.argv[1]))
    plugin = gs.create_plugin_node("NMS", op="NMS_TRT")
    started = time.process_time()
    found.collapse_namespaces({"Postprocessor": plugin})
    seconds = time.process_time() - started
    if len(found) != int(sys.argv[1]) // 2 + 2:
        raise SystemExit(f"{len(found)} nodes are left; expected half of them, the input and the plugin")
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
