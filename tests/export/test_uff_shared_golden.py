"""The SSD of November 2017 against what the incumbent converter writes for it."""

from __future__ import annotations

import gzip
import json

import pytest

from surgeon.catalog import load_catalog
from surgeon.export.uff import export_uff, read_uff, write_uff
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorValue
from surgeon.graphdef import load_graph

NAME = "2017-11__ssd_inception_v2_coco"


def rewritten(graph: Graph) -> Graph:
    """Return the graph with its plugin nodes put in by hand."""
    kept = [n.with_inputs(tuple(Ref("Input") if r.node == "Preprocessor/sub" else r for r in n.inputs)) for n in graph
            if n.name not in ("concat", "concat_1")]  # fmt: skip
    anchors = {"numLayers": 6, "minSize": 0.2, "maxSize": 0.95, "aspectRatios": (1.0, 2.0, 0.5, 3.0, 0.33),
               "variance": (0.1, 0.1, 0.2, 0.2), "featureMapShapes": (19, 10, 5, 3, 2, 1)}  # fmt: skip
    detections = {"numClasses": 91, "confidenceThreshold": 1e-8, "nmsThreshold": 0.6, "topK": 100, "keepTopK": 100,
                  "inputOrder": (0, 2, 1), "shareLocation": 1, "varianceEncodedInTarget": 0, "backgroundLabelId": 0,
                  "confSigmoid": 1, "isNormalized": 1}  # fmt: skip
    flat = {"axis": 1, "ignoreBatch": 0}
    layers = tuple(Ref("GridAnchor", i) for i in range(6))
    # The incumbent leaves these inputs on the anchors; the plugin does not read them.
    unused = (Ref("strided_slice_6"), Ref("strided_slice_7"), Ref("Const"))
    added = [
        Node("Input", "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape.of(1, 300, 300, 3)}),
        Node("GridAnchor", "GridAnchor_TRT", unused, (), anchors),
        Node("two", "Const", (), (), {"dtype": DType.INT32, "value": TensorValue.of(2, DType.INT32)}),
        Node("concat_priorbox", "ConcatV2", (*layers, Ref("two"))),
        Node("concat_box_loc", "FlattenConcat_TRT", graph["concat"].inputs[:-1], (), flat),
        Node("concat_box_conf", "FlattenConcat_TRT", graph["concat_1"].inputs[:-1], (), flat),
        Node("NMS", "NMS_TRT", (Ref("concat_box_loc"), Ref("concat_priorbox"), Ref("concat_box_conf")), (), detections),
    ]
    return graph.replace([*kept, *added], [Ref("NMS")])


@pytest.mark.shared
def test_only_the_attribute_that_is_no_field_differs(shared_models, golden, tmp_path):
    path = shared_models.root.parent / "golden" / f"{NAME}.uff.json.gz"
    if not path.exists():
        pytest.skip("the golden file is not beside the checkout")
    with gzip.open(path) as handle:
        expected = json.load(handle)
    model = export_uff(rewritten(load_graph(shared_models.filled(NAME))), plugins=load_catalog())
    write_uff(model, tmp_path / "m.uff")
    assert read_uff(tmp_path / "m.uff") == model
    assert golden.compare_to_golden(model, expected) == [
        f"node '{name}': field 'dtype' None, golden {{'dtype': 'float32'}}" for name in ("concat_box_conf", "concat_box_loc")
    ]
    assert golden.compare_to_golden(model, {**expected, "version": 2})
