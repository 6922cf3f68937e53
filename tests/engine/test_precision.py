"""Precision of layers: what the inspector tells, and which layers have to stay in FP32."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.engine.layer_report import by_precision, read_layers, suppressing
from surgeon.engine.manifest import EngineLayer
from surgeon.engine.precision_search import Candidates, NetworkLayer, candidates_of, fewest_in_fp32


def inspected(
    name: str, kind: str, inputs: list[str], outputs: list[str], weights: str = ""
) -> dict[str, object]:
    def tensors(formats: list[str]) -> list[dict[str, object]]:
        return [{"Name": f"{name}:{i}", "Format/Datatype": text} for i, text in enumerate(formats)]

    return {
        "Name": name,
        "LayerType": kind,
        "Inputs": tensors(inputs),
        "Outputs": tensors(outputs),
        "Weights": {"Type": weights, "Count": 9 if weights else 0},
    }


FP32, FP16 = "Row major linear FP32", "Channel major FP16 format where channel % 8 == 0"
INT8 = "Four wide channel vectorized row major Int8 format"


@pytest.mark.parametrize(
    ("layer", "precision"),
    [
        (inspected("conv", "CaskConvolution", [INT8], [FP32], "Int8"), "INT8"),
        (inspected("conv", "CaskConvolution", [FP16], [FP16], "Half"), "FP16"),
        (inspected("conv", "CaskConvolution", [FP32], [INT8], "Float"), "FP32"),
        (inspected("pool", "Pooling", [INT8], [INT8]), "INT8"),
        (
            inspected("add", "PointWise", ["Two wide channel vectorized row major FP16 format"], [FP32]),
            "FP16",
        ),
        (inspected("constant", "Constant", [], ["Row major linear INT32 format"]), "INT32"),
        (inspected("new", "Convolution", ["BFloat16"], ["BFloat16"]), "BF16"),
        (inspected("new", "Convolution", ["Half"], ["Float"]), "FP16"),
        (inspected("unknown", "Convolution", ["N/A due to dynamic shapes"], []), ""),
        ("only a name", ""),
    ],
)
def test_the_precision_of_a_layer(layer: object, precision: str) -> None:
    (found,) = read_layers(json.dumps({"Layers": [layer]}))
    assert found.precision == precision


def test_layers_are_listed_by_precision() -> None:
    layers = [
        inspected("a", "CaskConvolution", [INT8], [INT8], "Int8"),
        inspected("to half", "Reformat", [INT8], [FP16]),
        inspected("b", "CaskConvolution", [FP16], [FP16], "Half"),
        inspected("NMS", "PluginV2", [FP32], [FP32]),
        inspected("c", "PointWise", [FP16], [FP32]),
    ]
    found = read_layers(json.dumps({"Layers": layers, "Bindings": ["Input"]}))
    assert by_precision(found) == {"INT8": ["a"], "FP16": ["b", "c"], "FP32": ["NMS"]}
    assert found[3].outputs == ("NMS:0",)


@pytest.mark.parametrize(
    "report", ["", "[]", "{", '{"Layers": 5}', '{"Layers": [5, null]}', '{"Layers": [{}]}']
)
def test_a_report_that_tells_nothing(report: str) -> None:
    assert by_precision(read_layers(report)) == {}


def layer(name: str, kind: str, *inputs: str, floats: bool = True) -> NetworkLayer:
    return NetworkLayer(name, kind, inputs, (f"{name}:0",), floats)


def test_decoding_and_heads_come_first() -> None:
    layers = [
        layer("weights", "CONSTANT"),
        layer("conv", "CONVOLUTION", "Input"),
        layer("relu", "ACTIVATION", "conv:0"),
        layer("boxes", "CONVOLUTION", "relu:0"),
        layer("scores", "CONVOLUTION", "relu:0"),
        layer("flat", "SHUFFLE", "boxes:0"),
        layer("size", "SHAPE", "relu:0", floats=False),
        layer("sigmoid", "ACTIVATION", "scores:0"),
        layer("NMS", "PLUGIN_V2", "flat:0", "sigmoid:0"),
    ]
    found = candidates_of(layers)
    named = [
        [layers[number].name for number in part] for part in (found.decoding, found.heads, found.backbone)
    ]
    assert named == [["sigmoid", "flat"], ["scores", "boxes"], ["relu", "conv"]]


def needing(needed: set[int], trials: list[tuple[int, ...]]) -> object:
    def suffices(kept: tuple[int, ...]) -> bool:
        trials.append(kept)
        return needed <= set(kept)

    return suffices


LAYERS = Candidates((19, 18), (17, 16), tuple(range(15, -1, -1)))


@pytest.mark.parametrize(
    ("needed", "most"), [(set(), 1), ({18}, 5), ({16, 19}, 8), ({3}, 12), ({0, 15}, 30), ({0, 9, 19}, 60)]
)
def test_the_layers_that_are_needed_are_found(needed: set[int], most: int) -> None:
    trials: list[tuple[int, ...]] = []
    found = fewest_in_fp32(LAYERS, needing(needed, trials), most)  # type: ignore[arg-type]
    assert found is not None and set(found) == needed
    assert len(trials) == len(set(trials)) <= most and trials[0] == ()


def test_a_search_ends_with_its_trials() -> None:
    trials: list[tuple[int, ...]] = []
    found = fewest_in_fp32(LAYERS, needing({0, 9, 19}, trials), 7)  # type: ignore[arg-type]
    assert len(trials) == 7 and found is not None and {0, 9, 19} <= set(found)
    assert trials[1] == (16, 17, 18, 19)
    assert fewest_in_fp32(LAYERS, lambda kept: False, 5) is None


@given(st.sets(st.integers(0, 19), max_size=6), st.integers(1, 25))
def test_any_search_is_bounded_and_right(needed: set[int], most: int) -> None:
    trials: list[tuple[int, ...]] = []
    found = fewest_in_fp32(LAYERS, needing(needed, trials), most)  # type: ignore[arg-type]
    assert len(trials) <= most and (found is None or needed <= set(found))
    again: list[tuple[int, ...]] = []
    fewest_in_fp32(LAYERS, needing(needed, again), most)  # type: ignore[arg-type]
    assert again == trials


def test_a_search_without_layers_ends() -> None:
    assert fewest_in_fp32(Candidates((), (), ()), lambda kept: False, 9) is None
    assert fewest_in_fp32(Candidates((1,), (), ()), lambda kept: False, 9) is None


@pytest.mark.parametrize(
    ("layer", "suppresses"),
    [
        (EngineLayer(name="NMS", type="PluginV2", outputs=("NMS", "NMS_1")), True),
        (EngineLayer(name="(Unnamed Layer* 7)", type="PluginV2", outputs=("NMS",)), True),
        (EngineLayer(name="NMS"), True),
        (EngineLayer(name="NonMaxSuppression_12", type="Nms"), True),
        (EngineLayer(name="keep", type="NMS"), True),
        (EngineLayer(name="FlattenConcat", type="PluginV2", outputs=("flat",)), False),
        (EngineLayer(name="NMS", type="Reformat", outputs=("NMS",)), False),
        (EngineLayer(name="conv", type="CaskConvolution", outputs=("NMS",)), False),
    ],
)
def test_layers_that_suppress(layer: EngineLayer, suppresses: bool) -> None:
    assert suppressing([layer], {"NMS"}) == ((layer.name,) if suppresses else ())
