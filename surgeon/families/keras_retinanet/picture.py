"""How keras-retinanet prepares a picture, which the graph does not tell: by the names of the backbone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surgeon.graph import Graph

_MEANS = ({"subtract": [103.939, 116.779, 123.68]},)
_SYMMETRIC = ({"divide": 127.5}, {"subtract": 1.0})

_BACKBONES: tuple[tuple[str, re.Pattern[str], tuple[Mapping[str, Any], ...]], ...] = (
    ("resnet", re.compile(r"(res\d[a-z]\d*_branch2[abc]|bn_conv1|padding_conv1)(_\d+)?\Z"), _MEANS),
    ("vgg", re.compile(r"block[2-5]_conv[1-4](_\d+)?\Z"), _MEANS),
    ("mobilenet", re.compile(r"conv_(dw|pw)_\d+(_bn|_relu)?(_\d+)?\Z"), _SYMMETRIC),
    ("densenet", re.compile(r"conv[2-5]_block\d+_concat(_\d+)?\Z"), _SYMMETRIC),
)
"""Backbones of keras-retinanet by what Keras calls their layers, and the steps that it takes a picture by.

These are names that no other network of Keras has: DenseNet shares the rest with the ResNets of Keras 2.2.5
and later, VGG those of its first block with Xception.
"""


_DEPTH = 6
"""Components of a name that are looked at: exporters put the names of models and functions in front."""


@dataclass(frozen=True)
class PictureConvention:
    """The backbone that names tell, empty where none does, the node that shows it, and the steps."""

    backbone: str = ""
    node: str = ""
    steps: tuple[Mapping[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """What keras-retinanet does to a picture."""
        if self.steps == _MEANS:
            return "keras-retinanet subtracts the means of ImageNet from BGR pixels for this backbone"
        return "keras-retinanet brings BGR pixels between -1 and 1 for this backbone"


def picture_convention(graph: Graph) -> PictureConvention:
    """Return the convention of the backbone whose layers the names are; none where they are of several."""
    found: dict[str, PictureConvention] = {}
    for node in graph:
        scopes = node.name.split("/")[:_DEPTH]
        for backbone, pattern, steps in _BACKBONES:
            if backbone not in found and any(map(pattern.match, scopes)):
                found[backbone] = PictureConvention(backbone, node.name, steps)
    return next(iter(found.values())) if len(found) == 1 else PictureConvention()
