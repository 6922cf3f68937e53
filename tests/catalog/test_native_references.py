"""References of the native library's plugins against operations of TensorFlow, their shapes, and their rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from surgeon.catalog import load_catalog
from surgeon.diagnostics import SurgeonError
from surgeon.graph import TensorSpec

tf = pytest.importorskip("tensorflow", reason="TensorFlow is the referee")

CATALOG = load_catalog()
ROUNDING = 1e-6


def run(op: str, fields: dict[str, Any], x: np.ndarray) -> np.ndarray:
    reference = CATALOG.reference(op)
    assert reference is not None
    (found,) = reference.run(fields, [x])
    return found


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(29).normal(0, 3, shape).astype(np.float32)


def resized(x: np.ndarray, height: int, width: int, corners: bool, half: bool) -> np.ndarray:
    made = tf.raw_ops.ResizeBilinear(
        images=x.transpose(0, 2, 3, 1), size=[height, width], align_corners=corners, half_pixel_centers=half
    )
    return np.asarray(made).transpose(0, 3, 1, 2)


@pytest.mark.parametrize(("corners", "half"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("before", [(1, 1), (2, 3), (5, 8), (17, 10)])
@pytest.mark.parametrize("after", [(1, 1), (1, 4), (3, 2), (10, 16), (33, 19)])
def test_resize(corners: bool, half: bool, before: tuple[int, int], after: tuple[int, int]) -> None:
    x = normal(2, 3, *before)
    fields = {
        "height": after[0],
        "width": after[1],
        "alignCorners": int(corners),
        "halfPixelCenters": int(half),
    }
    assert np.allclose(
        run("SurgeonResizeBilinear", fields, x), resized(x, *after, corners, half), rtol=0, atol=5 * ROUNDING
    )


def test_another_corner_mode_is_another_picture() -> None:
    x = normal(1, 2, 5, 8)
    modes = [(0, 0), (1, 0), (0, 1)]
    made = [
        run("SurgeonResizeBilinear", {"height": 9, "width": 13, "alignCorners": a, "halfPixelCenters": h}, x)
        for a, h in modes
    ]
    for i, (a, h) in enumerate(modes):
        apart = [float(np.abs(resized(x, 9, 13, bool(a), bool(h)) - other).max()) for other in made]
        assert apart[i] < 5 * ROUNDING and min(apart[:i] + apart[i + 1 :]) > 0.1


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((2, 7), 1), ((2, 7, 3), 1), ((2, 3, 7), 2), ((2, 7, 2, 3), 1), ((1, 2, 7, 3), 2), ((3, 2, 3, 7), 3)],
)
def test_slice(shape: tuple[int, ...], axis: int) -> None:
    x = normal(*shape)
    begin, size = [0] * len(shape), [-1] * len(shape)
    begin[axis], size[axis] = 2, 4
    wanted = tf.slice(x, begin, size)
    assert np.array_equal(run("SurgeonSlice", {"axis": axis, "begin": 2, "size": 4}, x), wanted)
    assert not np.array_equal(run("SurgeonSlice", {"axis": axis, "begin": 1, "size": 4}, x), wanted)


@pytest.mark.parametrize("times", [(3,), (2, 1), (1, 2, 3)])
def test_tile(times: tuple[int, ...]) -> None:
    x = normal(2, *range(2, 2 + len(times)))
    assert np.array_equal(run("SurgeonTile", {"repeats": times}, x), tf.tile(x, [1, *times]))
    assert (
        run("SurgeonTile", {"repeats": (*times[:-1], times[-1] + 1)}, x).shape
        != tf.tile(x, [1, *times]).shape
    )


def test_activations() -> None:
    x = normal(2, 3, 4, 5)
    bounded = tf.nn.relu6(x + 3) / 6
    wanted = {0: tf.nn.leaky_relu(x, 0.1), 1: x * bounded, 2: bounded}
    made = {kind: run("SurgeonActivation", {"type": kind, "alpha": 0.1}, x) for kind in wanted}
    for kind in wanted:
        for other in wanted:
            assert np.allclose(made[kind], wanted[other], rtol=ROUNDING, atol=ROUNDING) == (kind == other)
    assert not np.allclose(
        run("SurgeonActivation", {"type": 0, "alpha": 0.2}, x), wanted[0], rtol=ROUNDING, atol=ROUNDING
    )


def test_what_is_no_number_stays_one() -> None:
    x = np.float32([[np.nan, np.inf, -np.inf]])
    assert np.array_equal(
        run("SurgeonActivation", {"type": 2}, x), np.float32([[np.nan, 1, 0]]), equal_nan=True
    )
    assert np.array_equal(
        run("CustomClipPlugin", {"clipMin": -1, "clipMax": 6}, x),
        np.float32([[np.nan, 6, -1]]),
        equal_nan=True,
    )


# Shapes and rules

SHAPES: list[tuple[str, dict[str, Any], tuple[int | None, ...], tuple[int | None, ...]]] = [
    (
        "SurgeonResizeBilinear",
        {"height": 4, "width": 5, "alignCorners": 0, "halfPixelCenters": 0},
        (None, 3, None, 7),
        (None, 3, 4, 5),
    ),
    ("SurgeonSlice", {"axis": 2, "begin": 1, "size": 3}, (2, 3, 4), (2, 3, 3)),
    ("SurgeonSlice", {"axis": 1, "begin": 0, "size": 3}, (2, None), (2, 3)),
    ("SurgeonTile", {"repeats": (2, 1, 3)}, (None, 3, None, 7), (None, 6, None, 21)),
    ("SurgeonActivation", {"type": 1}, (2, 3, 4, 5), (2, 3, 4, 5)),
]


@pytest.mark.parametrize(("op", "fields", "before", "after"), SHAPES)
def test_shapes(
    op: str, fields: dict[str, Any], before: tuple[int | None, ...], after: tuple[int | None, ...]
) -> None:
    (found,) = CATALOG[op].output_specs(fields, [TensorSpec.of("float32", *before)])
    assert found == TensorSpec.of("float32", *after)
    if None not in before:
        assert run(op, fields, normal(*(n or 1 for n in before))).shape == after


@pytest.mark.parametrize(
    ("op", "fields", "shape"),
    [
        (
            "SurgeonResizeBilinear",
            {"height": 4, "width": 5, "alignCorners": 0, "halfPixelCenters": 0},
            (2, 3, 4),
        ),
        ("SurgeonSlice", {"axis": 3, "begin": 0, "size": 1}, (2, 3, 4)),
        ("SurgeonSlice", {"axis": 2, "begin": 2, "size": 3}, (2, 3, 4)),
        ("SurgeonTile", {"repeats": (2, 1, 3)}, (2, 3, 4)),
        ("SurgeonTile", {"repeats": (2**31 - 1,)}, (2, 3)),
    ],
)
def test_inputs_that_do_not_fit(op: str, fields: dict[str, Any], shape: tuple[int, ...]) -> None:
    with pytest.raises(SurgeonError, match="C109"):
        CATALOG[op].output_specs(fields, [TensorSpec.of("float32", *shape)])


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("SurgeonResizeBilinear", {"height": 4, "width": 5, "alignCorners": 1, "halfPixelCenters": 1}),
        ("SurgeonActivation", {"type": 0}),
        ("CustomClipPlugin", {"clipMin": 2, "clipMax": 1}),
    ],
)
def test_fields_that_contradict_each_other(op: str, fields: dict[str, Any]) -> None:
    with pytest.raises(SurgeonError, match="C108"):
        CATALOG[op].complete(fields)


def test_the_sources_are_no_plugin_of_the_catalog() -> None:
    assert "native" not in CATALOG and "SurgeonTile" in CATALOG
