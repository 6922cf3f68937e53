"""What the tests of lints share: running them on graphs in text form, and a small detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from surgeon.catalog import Catalog, load_catalog
from surgeon.diagnostics import Diagnostic
from surgeon.graph import parse_graph
from surgeon.language import Image
from surgeon.lints import find_problems
from surgeon.targets import load_target

Found = Sequence[Diagnostic]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Give the shipped plugins."""
    return load_catalog()


@pytest.fixture
def lint(catalog: Catalog) -> Callable[..., Found]:
    """Give ``lint(text, target="uff@tensorrt-8.5", image=None)`` for a graph in text form, without its first line."""

    def run(text: str, target: str = "uff@tensorrt-8.5", image: Image | None = None) -> Found:
        return find_problems(parse_graph("graph v1\n" + text), load_target(target), catalog, image)

    return run


@pytest.fixture
def detector() -> Callable[..., str]:
    """Give :func:`small_detector`."""
    return small_detector


def small_detector(
    maps: str = "2, 2, 1", nms: str = "", scores: str = "C0, C1, C2", batch: str = "?", before: str = ""
) -> str:
    """Return an SSD of three layers, 12, 16 and 4 boxes of 3 classes, as a rewritten graph holds it.

    ``nms`` are fields that differ, ``scores`` what is joined as scores, ``before`` further lines.
    """
    fields = {
        "shareLocation": "1",
        "varianceEncodedInTarget": "0",
        "backgroundLabelId": "0",
        "numClasses": "3",
        "topK": "20",
        "keepTopK": "20",
        "confidenceThreshold": "0.5",
        "nmsThreshold": "0.5",
        "inputOrder": "[0, 1, 2]",
        "confSigmoid": "1",
        "isNormalized": "1",
        "codeType": "3",
        "scoreBits": "16",
        "isBatchAgnostic": "1",
    }
    fields |= dict(part.split(": ") for part in nms.split("; ") if part)
    lines = [
        f"{name} = Placeholder() {{dtype: float32, shape: shape[{batch},{boxes},1,{size}]}}"
        for layer, boxes in enumerate((12, 16, 4))
        for name, size in ((f"L{layer}", 4), (f"C{layer}", 3))
    ]
    lines += [before] if before else []
    lines += [
        "loc = FlattenConcat_TRT(L0, L1, L2) {axis: 1, ignoreBatch: 0}",
        f"conf = FlattenConcat_TRT({scores}) {{axis: 1, ignoreBatch: 0}}",
        "G = GridAnchor_TRT() {numLayers: 3, minSize: 0.2, maxSize: 0.95, aspectRatios: [1.0, 2.0, 0.5], "
        f"featureMapShapes: [{maps}], variance: [0.1, 0.1, 0.2, 0.2]}}",
        "two = Const() {dtype: int32, value: tensor<int32[]: 2>}",
        "prior = ConcatV2(G, G:1, G:2, two) {N: 3, T: float32, Tidx: int32}",
        "NMS = NMS_TRT(loc, conf, prior) {" + ", ".join(f"{k}: {v}" for k, v in fields.items()) + "}",
    ]
    return "outputs: NMS\n" + "\n".join(lines) + "\n"
