"""The network that computes a detector's features, by the names of its nodes."""

from __future__ import annotations

import re
from collections.abc import Collection

from surgeon.families.finding import Finding
from surgeon.graph import Graph

_BACKBONE = re.compile(
    r"(mobilenet|inception|resnet|pnasnet|nasnet|vgg|efficientnet|densenet)_?(v\d+|resnet)?(?:_v?(\d+))?",
    re.IGNORECASE,
)


def named_backbone(graph: Graph, varying: Collection[str]) -> Finding[str] | None:
    """Return the network's name, such as ``mobilenet_v2``; None where no node of ``varying`` has one."""
    for node in graph:
        for part in node.name.split("/")[:4]:
            match = _BACKBONE.match(part)
            if match and node.name in varying:
                kind, version, depth = match.groups()
                words = [word.lower() for word in (kind, version, depth) if word]
                return Finding("_".join(words), (f"the name of '{node.name}'",))
    return None
