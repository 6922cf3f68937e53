"""What nothing but the nodes that are taken out depends on."""

from __future__ import annotations

from collections import Counter
from typing import Any

from surgeon.compat.messages import clean
from surgeon.compat.remarks import remark, script_place


def exclusive_dependencies(graph: Any, removed: set[str]) -> set[str]:
    """Return the nodes to take out with ``removed``, in time linear in the graph.

    A node goes when all that read it go. As in graphsurgeon, one that is read by a port or a control edge
    (``S:1``, ``^B``) goes with its reader even if others read it; a warning names those.
    """
    gone: set[str] = set()
    lost: Counter[str] = Counter()
    forced: dict[str, str] = {}
    waiting = sorted(removed)
    while waiting:
        node = graph.node_map.get(waiting.pop())
        if node is None:
            continue
        for spelling in dict.fromkeys(node.input):
            name = clean(spelling)
            if name in gone or name in removed or name not in graph.node_map:
                continue
            if spelling != name:
                forced[name] = spelling
            else:
                lost[name] += 1
                if lost[name] < len(graph.node_outputs[name]):
                    continue
            gone.add(name)
            waiting.append(name)
    everything = gone | removed
    for name, spelling in forced.items():
        readers = [n.name for n in graph.node_outputs[name] if n.name not in everything]
        if readers:
            remark(
                "P108",
                f"'{name}' is taken out, since a node that is taken out reads '{spelling}'; "
                f"'{readers[0]}' reads it, too",
                script_place(),
                help=(
                    "call 'remove' without 'remove_exclusive_dependencies', or name the nodes to take out",
                ),
            )
    return gone
