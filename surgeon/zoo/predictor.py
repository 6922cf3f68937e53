"""The namespaces BoxPredictor_0 to BoxPredictor_5, and the joining of their outputs."""

from __future__ import annotations

from surgeon.zoo.extractor import convolution_attrs
from surgeon.zoo.nodes import NodeWriter, Ref
from surgeon.zoo.options import LAYERS, SsdOptions, WeightSource
from surgeon.zoo.weights import values_of, write_variable


class Predictors:
    """Writes the box and class heads of six feature maps, whose channels are given."""

    def __init__(
        self,
        g: NodeWriter,
        options: SsdOptions,
        weights: WeightSource,
        channels: list[int],
    ) -> None:
        self.g, self.options, self.weights, self.channels = g, options, weights, channels

    def write(self, features: list[Ref]) -> tuple[list[Ref], list[Ref]]:
        """Return box encodings, [N, n, 1, 4] or as of 2017 [N, n, 4], and class scores, [N, n, C + 1]."""
        encodings, scores = [], []
        for layer in range(LAYERS):
            with self.g.scope(f"BoxPredictor_{layer}"):
                boxes, classes = self._heads(layer, features[layer])
            encodings.append(self.g.squeeze(boxes, 2) if self.g.date == "2017" else boxes)
            scores.append(classes)
        return encodings, scores

    def _heads(self, layer: int, feature: Ref) -> tuple[Ref, Ref]:
        g = self.g
        per_location = self.options.boxes_per_location()[layer]
        labels = self.options.classes + 1
        if g.date == "2019":
            boxes = self._head(layer, "BoxEncodingPredictor", feature, per_location * 4)
            boxes = self._dynamic(feature, boxes, [1, 4])
            classes = self._head(layer, "ClassPredictor", feature, per_location * labels)
            return boxes, self._dynamic(feature, classes, [labels])
        boxes = self._head(layer, "BoxEncodingPredictor", feature, per_location * 4)
        classes = self._head(layer, "ClassPredictor", feature, per_location * labels)
        count = self.options.anchors_per_layer()[layer]
        batch = g.element(g.shape(feature), 0)
        boxes = g.reshape(boxes, g.pack([batch, count, 1, 4]))
        return boxes, g.reshape(classes, g.pack([batch, count, labels]))

    def _dynamic(self, feature: Ref, head: Ref, last: list[int]) -> Ref:
        """Write a reshape whose number of boxes is left to TensorFlow."""
        g = self.g
        batch = g.element(g.shape(feature), 0)
        full = g.unique("Reshape")
        sizes = [g.const(size, f"{full}/shape/{index}") for index, size in enumerate([-1, *last], 1)]
        shape = g.node("Pack", f"{full}/shape", [batch, *sizes], N=len(sizes) + 1, axis=0)
        return g.node("Reshape", full, [head, shape])

    def _head(self, layer: int, name: str, feature: Ref, outputs: int) -> Ref:
        g = self.g
        scope = f"BoxPredictor_{layer}/{name}"
        kernel = self._variable(f"{scope}/weights", (1, 1, self.channels[layer], outputs))
        biases = self._variable(f"{scope}/biases", (outputs,))
        convolved = g.node("Conv2D", f"{scope}/Conv2D", [feature, kernel], **convolution_attrs(g.date, 1))
        return g.node("BiasAdd", f"{scope}/BiasAdd", [convolved, biases], data_format="NHWC")

    def _variable(self, name: str, shape: tuple[int, ...]) -> Ref:
        return write_variable(self.g, name, values_of(self.weights, name, shape))


def join_predictions(
    g: NodeWriter,
    options: SsdOptions,
    encodings: list[Ref],
    scores: list[Ref],
) -> tuple[Ref, Ref]:
    """Write ``concat`` and ``concat_1``; return all box encodings, [N, A, 4], and scores, [N, A, C + 1]."""
    if g.date != "2017":
        boxes = g.squeeze(g.concat(encodings, 1), 2)
        return boxes, g.concat(scores, 1)
    with g.pinned(_assert_counts(g, options, encodings)):
        return g.concat(encodings, 1), g.concat(scores, 1)


def _assert_counts(g: NodeWriter, options: SsdOptions, encodings: list[Ref]) -> Ref:
    predicted: Ref | int = 0
    for count in [g.element(g.shape(encoding), 1) for encoding in encodings]:
        predicted = g.add(predicted, count)
    total = sum(options.anchors_per_layer())
    anchors = g.element(g.const([total, 4], g.unique("Shape")), 0)
    with g.scope("assert_equal"):
        equal = g.binary("Equal", anchors, predicted)
        axes = g.const([], g.unique("Const"), 3)
        condition = g.emit("All", equal, axes, keep_dims=False)
        claim = b"Mismatch: number of anchors vs number of predictions"
        return g.assertion(condition, [claim, anchors, str(predicted)])
