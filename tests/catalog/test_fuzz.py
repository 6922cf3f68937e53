"""Whatever is written in a definition or given for a field, the answer is a value or a diagnostic."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from surgeon.catalog import load_catalog
from surgeon.diagnostics import SurgeonError
from surgeon.graph import DType, Shape, TensorSpec, TensorValue

CATALOG = load_catalog()

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.integers(0, 5),
    st.sampled_from(
        [DType.FLOAT32, Shape.of(1, None), TensorValue(DType.INT32, (1,), b"\x01\0\0\0"), "auto", 1 << 40]
    ),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=5),
    st.tuples(SCALARS),
    st.dictionaries(st.text(max_size=2), SCALARS, max_size=2),
)
NAMES = sorted({name for plugin in CATALOG.values() for name in plugin.fields} | {"", "other"})
DIMS = st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 1 << 40)), max_size=6).map(tuple))
SPECS = st.lists(
    st.builds(TensorSpec, st.sampled_from([None, DType.FLOAT32, DType.INT32]), st.builds(Shape, DIMS)),
    max_size=5,
)


@given(st.sampled_from(sorted(CATALOG)), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8), SPECS)
def test_any_fields_and_inputs(op: str, fields: dict[str, Any], inputs: list[TensorSpec]) -> None:
    plugin = CATALOG[op]
    for action in (
        lambda: plugin.complete(fields),
        lambda: plugin.output_ports(fields),
        lambda: plugin.output_specs(fields, inputs),
    ):
        try:
            action()
        except SurgeonError as exc:
            assert "C111" not in {d.code for d in exc.diagnostics}


RIGHT = {
    "GridAnchor_TRT": {
        "aspectRatios": [1, 2, 3],
        "variance": [1, 1, 1, 1],
        "featureMapShapes": [2, 1],
        "numLayers": 2,
    },
    "GridAnchorRect_TRT": {
        "aspectRatios": [1, 2, 3],
        "variance": [1, 1, 1, 1],
        "featureMapShapes": [2, 1, 1, 1],
        "numLayers": 2,
    },
    "NMS_TRT": {
        "shareLocation": 1,
        "varianceEncodedInTarget": 0,
        "backgroundLabelId": 0,
        "numClasses": 2,
        "topK": 1,
        "keepTopK": 1,
        "confidenceThreshold": 0.5,
        "nmsThreshold": 0.5,
        "confSigmoid": 1,
        "isNormalized": 1,
    },
    "FlattenConcat_TRT": {"axis": 1, "ignoreBatch": 0},
    "CustomClipPlugin": {"clipMin": 0, "clipMax": 6},
}


@given(st.sampled_from(sorted(RIGHT)), SPECS)
def test_right_fields_and_any_inputs(op: str, inputs: list[TensorSpec]) -> None:
    try:
        assert all(isinstance(spec, TensorSpec) for spec in CATALOG[op].output_specs(RIGHT[op], inputs))
    except SurgeonError as exc:
        assert {d.code for d in exc.diagnostics} == {"C109"}


def test_the_right_fields_are_right() -> None:
    assert all(CATALOG[op].complete(fields) for op, fields in RIGHT.items())


def test_mutated_definitions(make_plugin: Callable[..., Path], tries: Callable[[int], int]) -> None:
    choose = random.Random(20)
    texts = [(CATALOG.folder(op) / "plugin.yaml").read_bytes() for op in RIGHT]
    root = make_plugin("Mutant", shape=None)
    marks = (
        b"[",
        b"]",
        b"{",
        b"}",
        b": ",
        b"- ",
        b"&a ",
        b"*a",
        b"!x ",
        b"\n",
        b"#",
        b"'",
        b'"',
        b"\t",
        b"\xff",
        b"0",
        b"9" * 30,
        b"|",
        b">",
        b"?",
    )
    refused, count = 0, tries(600)
    for _ in range(count):
        data = bytearray(choose.choice(texts))
        for _ in range(choose.randint(1, 3)):
            at = choose.randrange(len(data))
            data[at : at + choose.choice((0, 1, 1, 20))] = choose.choice((*marks, b""))
        (root / "Mutant" / "plugin.yaml").write_bytes(data)
        try:
            plugin = load_catalog([root])["Mutant"]
            plugin.output_ports({})
        except SurgeonError:
            refused += 1
    assert count / 6 < refused < count
