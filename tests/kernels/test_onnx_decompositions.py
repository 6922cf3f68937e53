"""Renderings of plugins in standard operators: every case of every plugin that has one, and random inputs, in ONNX Runtime."""

from __future__ import annotations

import importlib
import zlib
from functools import cache
from typing import Any

import numpy as np
import pytest

from surgeon.catalog import load_catalog
from surgeon.catalog.cases import Case, Negative
from surgeon.diagnostics import SurgeonError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
onnx_inputs = importlib.import_module("onnx_inputs")

CATALOG = load_catalog()
RENDERED = [op for op in CATALOG if CATALOG.module(op, "onnx") is not None]
CLOSE = 1e-6
"""Absolute and relative tolerance beside that of the case: a few roundings of float32 in another order."""


CASES = {op: CATALOG.cases(op) for op in RENDERED}


def runs(kind: str) -> list[Any]:
    found = []
    for op in RENDERED:
        cases = CASES[op]
        each = () if cases is None else getattr(cases, kind)
        # A rendering is of the plugin as it is; changes of its rules are for counterfactuals.
        found += [
            pytest.param(op, run, id=f"{op}-{run.name}")
            for run in each
            if not run.changes and not _changed(run)
        ]
    return found


def _changed(run: Case | Negative) -> bool:
    return isinstance(run, Negative) and bool(run.of.changes)


def tolerance(op: str) -> tuple[float, float]:
    cases, close = CASES[op], onnx_inputs.TOLERANCES.get(op, CLOSE)
    return (
        (close, close)
        if cases is None
        else (cases.tolerance.absolute + close, cases.tolerance.relative + close)
    )


def told(op: str, case: Case) -> bool:
    """Return whether the rendering says that it refuses the case, or gets it otherwise."""
    return (op, case.name) in onnx_inputs.REFUSED or (op, case.name) in onnx_inputs.DIFFERENT


@pytest.mark.parametrize(("op", "case"), runs("cases"))
def test_cases_hold(op: str, case: Case) -> None:
    if (op, case.name) in onnx_inputs.REFUSED:
        with pytest.raises(SurgeonError) as caught:
            onnx_inputs.render(op, case.fields, onnx_inputs.specs_of(case.inputs))
        assert caught.value.diagnostics[0].code == onnx_inputs.REFUSED[op, case.name]
        return
    wanted = onnx_inputs.expected(op, case.fields, case.inputs)
    if (op, case.name) in onnx_inputs.DIFFERENT:
        found = onnx_inputs.render(op, case.fields, onnx_inputs.specs_of(case.inputs)).run(case.inputs)
        assert onnx_inputs.differences(found, wanted, *tolerance(op))
        return
    for opset in onnx_inputs.opsets_of(op, case.fields):
        rendering = onnx_inputs.render(op, case.fields, onnx_inputs.specs_of(case.inputs), opset)
        rendering.check()
        for optimised in (False, True):
            assert (
                onnx_inputs.differences(rendering.run(case.inputs, optimised), wanted, *tolerance(op)) == []
            )


@pytest.mark.parametrize(
    ("op", "case"), [run for run in runs("cases") if run.values[0] not in onnx_inputs.STATIC]
)
def test_cases_hold_with_an_open_batch(op: str, case: Case) -> None:
    if told(op, case) or not case.inputs:
        pytest.skip("it is refused, is different, or has no batch")
    rendering = onnx_inputs.render(op, case.fields, onnx_inputs.specs_of(case.inputs, open_batch=True))
    rendering.check()
    for inputs in (case.inputs, onnx_inputs.twice(case.inputs)):
        wanted = onnx_inputs.expected(op, case.fields, inputs)
        assert onnx_inputs.differences(rendering.run(inputs), wanted, *tolerance(op)) == []


@pytest.mark.parametrize(("op", "control"), runs("negative"))
def test_negative_controls_fail(op: str, control: Negative) -> None:
    if (op, control.name) in onnx_inputs.REFUSED:
        with pytest.raises(SurgeonError) as caught:
            onnx_inputs.render(op, control.fields, onnx_inputs.specs_of(control.inputs))
        assert caught.value.diagnostics[0].code == onnx_inputs.REFUSED[op, control.name]
        return
    found = onnx_inputs.render(op, control.fields, onnx_inputs.specs_of(control.inputs)).run(control.inputs)
    wanted = onnx_inputs.adapt(op, control.of.outputs)
    assert onnx_inputs.differences(found, wanted, *tolerance(op))


@cache
def random_runs(op: str) -> list[tuple[Any, Any]]:
    """Return a plugin's samples of random inputs, each with what the reference makes of it."""
    samples = onnx_inputs.GENERATORS[op](np.random.default_rng(zlib.crc32(op.encode())))
    assert len({sample.name for sample in samples}) == len(samples)
    return [(sample, onnx_inputs.expected(op, sample.fields, sample.inputs)) for sample in samples]


@pytest.mark.parametrize("op", [op for op in RENDERED if op in onnx_inputs.GENERATORS])
@pytest.mark.parametrize("open_batch", [False, True], ids=["static", "open-batch"])
def test_random_inputs(op: str, open_batch: bool) -> None:
    if open_batch and op in onnx_inputs.STATIC:
        pytest.skip("its first axis is not a batch")
    for sample, wanted in random_runs(op):
        rendering = onnx_inputs.render(op, sample.fields, onnx_inputs.specs_of(sample.inputs, open_batch))
        rendering.check()
        found = rendering.run(sample.inputs)
        assert onnx_inputs.differences(found, wanted, *tolerance(op)) == [], sample.name


def test_every_rendering_has_cases_and_random_inputs() -> None:
    assert RENDERED
    assert [op for op in RENDERED if CASES[op] is None or op not in onnx_inputs.GENERATORS] == []


def test_a_difference_is_told() -> None:
    right = {"a": np.array([1.0, np.nan], np.float32), "b": np.array([1], np.int32)}
    assert onnx_inputs.differences(right, right, CLOSE, CLOSE) == []
    wrong = {"a": np.array([1.0001, np.nan], np.float32), "b": np.array([2], np.int32)}
    assert len(onnx_inputs.differences(wrong, right, CLOSE, CLOSE)) == 2
    assert onnx_inputs.differences({**right, "b": np.array([1], np.int64)}, right, CLOSE, CLOSE)
