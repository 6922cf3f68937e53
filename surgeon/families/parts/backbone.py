"""The network that computes a detector's features, by the names of its nodes."""

from __future__ import annotations

import re
from collections.abc import Collection

from surgeon.families.finding import Finding
from surgeon.graph import Graph

_BACKBONE = re.compile(
    r"(?:ssd_|faster_rcnn_|center_net_)?"
    r"(mobile_?net|inception|resnet|pnasnet|nasnet|vgg|efficientnet|efficientdet|densenet|hourglass)"
    r"[_-]?(v\d+|d\d+|resnet)?(?:_v?(\d+))?",
    re.IGNORECASE,
)
_KERAS_RESNET = re.compile(r"resnet(\d+)v(\d+)", re.IGNORECASE)
"""What TensorFlow 2's Object Detection API calls a residual network: depth first."""


def named_backbone(graph: Graph, varying: Collection[str]) -> Finding[str] | None:
    """Return the network's name, such as ``mobilenet_v2``; None where no node of ``varying`` has one."""
    for node in graph:
        for part in node.name.split("/")[:4]:
            match = _BACKBONE.match(part)
            if match and node.name in varying:
                kind, version, depth = match.groups()
                kind = kind.lower().replace("mobile_net", "mobilenet")
                keras = _KERAS_RESNET.match(part)
                if keras:
                    depth, version = keras[1], f"v{keras[2]}"
                words = [word.lower() for word in (kind, version, depth) if word]
                return Finding("_".join(words), (f"the name of '{node.name}'",))
    return None
