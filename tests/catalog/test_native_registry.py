"""The built native library against the catalog: what its creators tell, and that bad fields are refused and kill nothing.

No GPU is needed; the library is given by the environment variable SURGEON_NATIVE_LIBRARY.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from surgeon.catalog import load_catalog

LIBRARY = os.environ.get("SURGEON_NATIVE_LIBRARY", "")
OPS = ("CustomClipPlugin", "SurgeonActivation", "SurgeonResizeBilinear", "SurgeonSlice", "SurgeonTile")
DETECTING = ("SurgeonDetection", "SurgeonDetectionDynamic")
ALIVE: list[Any] = []
"""What collections point to: TensorRT's bindings keep none of it."""

TYPES: dict[type, Any] = {int: np.int32, float: np.float32}

DETECTION = {
    "classes": 3,
    "background": 0,
    "shareLocation": 1,
    "coding": 1,
    "scoreConverter": 1,
    "scoreScale": 1.0,
    "scoreThreshold": 0.5,
    "scoreAtLeast": 0,
    "iouThreshold": 0.6,
    "softSigma": 0.0,
    "classAgnostic": 0,
    "maxPerClass": 100,
    "maxTotal": 100,
    "clip": 1,
    "dropEmpty": 1,
}
GOOD: dict[str, dict[str, Any]] = {
    "CustomClipPlugin": {"clipMin": 0.0, "clipMax": 6.0},
    "SurgeonActivation": {"type": 0, "alpha": 0.1},
    "SurgeonResizeBilinear": {"height": 8, "width": 12, "alignCorners": 1, "halfPixelCenters": 0},
    "SurgeonSlice": {"axis": 1, "begin": 2, "size": 3},
    "SurgeonTile": {"repeats": [1, 2, 3]},
    **dict.fromkeys(DETECTING, DETECTION),
}
BAD_DETECTION: list[tuple[dict[str, Any], str]] = [
    ({"classes": 0}, "'classes'"),
    ({"background": 3}, "'background'"),
    ({"background": -2}, "'background'"),
    ({"coding": 2}, "'coding'"),
    ({"scoreConverter": 3}, "'scoreConverter'"),
    ({"scoreScale": float("inf")}, "'scoreScale'"),
    ({"scoreThreshold": 1}, "'scoreThreshold'"),
    ({"iouThreshold": 1.5}, "'iouThreshold'"),
    ({"softSigma": -0.5}, "'softSigma'"),
    ({"maxPerClass": 0}, "'maxPerClass'"),
    ({"maxTotal": None}, "'maxTotal'"),
    ({"clip": 3}, "'clip'"),
    ({"dropEmpty": 1.0}, "'dropEmpty'"),
]
BAD: dict[str, list[tuple[dict[str, Any], str]]] = {
    "CustomClipPlugin": [
        ({"clipMin": 7.0}, "'clipMin'"),
        ({"clipMax": None}, "'clipMax'"),
        ({"clipMin": 0}, "'clipMin'"),
        ({"clipMax": float("nan")}, "'clipMax'"),
        ({"clipMin": float("-inf")}, "'clipMin'"),
        ({"clipMax": [6.0, 7.0]}, "'clipMax'"),
    ],
    "SurgeonActivation": [
        ({"type": 3}, "'type'"),
        ({"type": -1}, "'type'"),
        ({"type": None}, "'type'"),
        ({"alpha": None}, "'alpha'"),
        ({"alpha": 1}, "'alpha'"),
        ({"type": 1, "alpha": float("inf")}, "'alpha'"),
    ],
    "SurgeonResizeBilinear": [
        ({"height": 0}, "'height'"),
        ({"width": -3}, "'width'"),
        ({"width": 1 << 25}, "'width'"),
        ({"height": 8.0}, "'height'"),
        ({"alignCorners": 2}, "'alignCorners'"),
        ({"halfPixelCenters": 1}, "'halfPixelCenters'"),
        ({"halfPixelCenters": None}, "'halfPixelCenters'"),
        ({"alignCorners": [1, 0]}, "'alignCorners'"),
    ],
    "SurgeonSlice": [
        ({"axis": 0}, "'axis'"),
        ({"axis": 8}, "'axis'"),
        ({"begin": -1}, "'begin'"),
        ({"size": 0}, "'size'"),
        ({"size": None}, "'size'"),
        ({"begin": 1.0}, "'begin'"),
        ({"size": []}, "'size'"),
    ],
    "SurgeonTile": [
        ({"repeats": [1, 0]}, "'repeats'"),
        ({"repeats": []}, "'repeats'"),
        ({"repeats": [1] * 8}, "'repeats'"),
        ({"repeats": [1.0, 2.0]}, "'repeats'"),
        ({"repeats": None}, "'repeats'"),
    ],
    **dict.fromkeys(DETECTING, BAD_DETECTION),
}


@pytest.fixture(scope="module")
def trt() -> Any:
    if not LIBRARY:
        pytest.skip("SURGEON_NATIVE_LIBRARY does not name the built native library")
    module: Any = pytest.importorskip("tensorrt")
    ctypes.CDLL(LIBRARY)
    return module


Told = Callable[[], list[str]]


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Told:
    """Give what the library has said since the last call; without a builder there is no logger, and it says so on stderr."""
    return lambda: capfd.readouterr().err.splitlines()


def creator(trt: Any, op: str) -> Any:
    spec = load_catalog()[op]
    found = trt.get_plugin_registry().get_plugin_creator(
        spec.creator, spec.plugin_version, spec.plugin_namespace
    )
    assert found is not None
    return found


def collection(trt: Any, fields: Mapping[str, Any]) -> Any:
    kinds = {"i": trt.PluginFieldType.INT32, "f": trt.PluginFieldType.FLOAT32}
    made = []
    for name, value in fields.items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            array = np.array(values, TYPES[type(values[0])] if values else np.int32)
            ALIVE.append(array)
            made.append(trt.PluginField(name, array, kinds[array.dtype.kind]))
    ALIVE.append(made)
    return trt.PluginFieldCollection(made)


@pytest.mark.parametrize("op", (*OPS, *DETECTING))
def test_a_creator_tells_the_fields_of_the_catalog(trt: Any, op: str) -> None:
    spec = load_catalog()[op]
    registered = {field.name: str(field.type).rpartition(".")[2] for field in creator(trt, op).field_names}
    assert registered == {
        name: {"int": "INT32", "float": "FLOAT32"}[field.type.removesuffix("[]")]
        for name, field in spec.fields.items()
    }
    assert spec.library == "own"


def test_nothing_else_is_registered(trt: Any) -> None:
    names = [c.name for c in trt.get_plugin_registry().plugin_creator_list if c.name.startswith("Surgeon")]
    assert sorted(names) == sorted(op for op in (*OPS, *DETECTING) if op.startswith("Surgeon"))


@pytest.mark.parametrize("op", (*OPS, *DETECTING))
def test_good_fields_make_a_plugin_that_is_stored_and_read_back(trt: Any, told: Told, op: str) -> None:
    plugin = creator(trt, op).create_plugin("layer", collection(trt, GOOD[op]))
    assert plugin is not None and (plugin.plugin_type, plugin.plugin_version, plugin.num_outputs) == (
        op,
        "1",
        2 if op in DETECTING else 1,
    )
    stored = bytes(plugin.serialize())
    again = creator(trt, op).deserialize_plugin("layer", stored)
    assert (
        again is not None
        and bytes(again.serialize()) == stored
        and bytes(again.clone().serialize()) == stored
    )
    for damaged in (stored[:-1], stored + b"\0", b"\0" * len(stored), b""):
        told()
        assert creator(trt, op).deserialize_plugin("layer", damaged) is None
        (line,) = told()
        assert op in line


def test_other_fields_are_stored_otherwise(trt: Any) -> None:
    for op, fields in GOOD.items():
        changed = {
            "clipMax": 7.0,
            "alpha": 0.2,
            "width": 11,
            "size": 4,
            "repeats": [1, 2, 4],
            "maxTotal": 50,
        }
        other = {key: changed.get(key, value) for key, value in fields.items()}
        made = [
            creator(trt, op).create_plugin("layer", collection(trt, each)).serialize()
            for each in (fields, other, fields)
        ]
        assert bytes(made[0]) == bytes(made[2]) != bytes(made[1])


@pytest.mark.parametrize(
    ("op", "change", "named"), [(op, change, named) for op, rows in BAD.items() for change, named in rows]
)
def test_bad_fields_are_refused(trt: Any, told: Told, op: str, change: dict[str, Any], named: str) -> None:
    """A good call before a bad one shows that nothing of it is remembered."""
    assert creator(trt, op).create_plugin("layer", collection(trt, GOOD[op])) is not None
    assert told() == []
    assert creator(trt, op).create_plugin("layer", collection(trt, {**GOOD[op], **change})) is None
    (line,) = told()
    assert op in line and named in line and "expected" in line


def test_an_unknown_field_is_told_and_ignored(trt: Any, told: Told) -> None:
    fields = {**GOOD["CustomClipPlugin"], "clipMid": 3.0}
    assert creator(trt, "CustomClipPlugin").create_plugin("layer", collection(trt, fields)) is not None
    (line,) = told()
    assert "'clipMid'" in line


def test_alpha_is_only_of_leaky_relu(trt: Any) -> None:
    assert creator(trt, "SurgeonActivation").create_plugin("layer", collection(trt, {"type": 1})) is not None


SHAPES: list[tuple[str, dict[str, Any], list[int], list[int] | None]] = [
    ("CustomClipPlugin", {}, [3, 5, 7], [3, 5, 7]),
    ("SurgeonActivation", {}, [3], [3]),
    ("SurgeonResizeBilinear", {}, [3, 5, 7], [3, 8, 12]),
    ("SurgeonResizeBilinear", {}, [5, 7], None),
    ("SurgeonSlice", {}, [5, 7, 2], [3, 7, 2]),
    ("SurgeonSlice", {"axis": 3}, [2, 7, 5], [2, 7, 3]),
    ("SurgeonSlice", {"axis": 2}, [5], None),
    ("SurgeonSlice", {}, [4, 7], None),
    ("SurgeonSlice", {"size": 2**31 - 1}, [5], None),
    ("SurgeonTile", {}, [3, 5, 7], [3, 10, 21]),
    ("SurgeonTile", {}, [3, 5], None),
    ("SurgeonTile", {"repeats": [2**31 - 1]}, [2], None),
]
DETECTION_SHAPES: list[tuple[dict[str, Any], list[list[int]], bool]] = [
    ({}, [[20, 1, 1], [15, 1, 1], [2, 20, 1]], True),
    ({"maxTotal": 7}, [[20], [5, 3], [40]], True),
    ({"shareLocation": 0}, [[60, 1, 1], [15, 1, 1], [2, 20, 1]], True),
    ({"coding": 0}, [[20, 1, 1], [15, 1, 1]], True),
    ({}, [[20, 1, 1], [15, 1, 1]], False),
    ({}, [[20, 1, 1], [16, 1, 1], [2, 20, 1]], False),
    ({}, [[24, 1, 1], [15, 1, 1], [2, 20, 1]], False),
    ({}, [[20, 1, 1], [15, 1, 1], [2, 24, 1]], False),
    ({"shareLocation": 0}, [[20, 1, 1], [15, 1, 1], [2, 20, 1]], False),
]


@pytest.mark.parametrize(("change", "before", "fits"), DETECTION_SHAPES)
def test_shapes_of_detections_without_the_batch(
    trt: Any, told: Told, change: dict[str, Any], before: list[list[int]], fits: bool
) -> None:
    fields = {**DETECTION, **change}
    plugin = creator(trt, "SurgeonDetection").create_plugin("layer", collection(trt, fields))
    inputs = [trt.Dims(dims) for dims in before]
    if fits:
        assert list(plugin.get_output_shape(0, inputs)) == [1, fields["maxTotal"], 7]
        assert list(plugin.get_output_shape(1, inputs)) == [1, 1, 1] and told() == []
        return
    with pytest.raises(ValueError, match="__len__"):  # the number of axes is -1: no shape
        len(plugin.get_output_shape(0, inputs))
    (line,) = told()
    assert "SurgeonDetection" in line and "expected" in line


@pytest.mark.parametrize(("op", "change", "before", "after"), SHAPES)
def test_shapes_without_the_batch(
    trt: Any, told: Told, op: str, change: dict[str, Any], before: list[int], after: list[int] | None
) -> None:
    plugin = creator(trt, op).create_plugin("layer", collection(trt, {**GOOD[op], **change}))
    if after:
        assert list(plugin.get_output_shape(0, [trt.Dims(before)])) == after and told() == []
        return
    with pytest.raises(ValueError, match="__len__"):  # the number of axes is -1: no shape
        len(plugin.get_output_shape(0, [trt.Dims(before)]))
    assert len(told()) == 1


@pytest.mark.parametrize("op", OPS)
def test_types_and_formats(trt: Any, op: str) -> None:
    plugin = creator(trt, op).create_plugin("layer", collection(trt, GOOD[op]))
    taken = [
        kind
        for kind in (trt.float32, trt.float16, trt.int32, trt.int8)
        if plugin.supports_format(kind, trt.TensorFormat.LINEAR)
    ]
    assert taken == [trt.float32, trt.float16] and not plugin.supports_format(
        trt.float32, trt.TensorFormat.CHW4
    )
