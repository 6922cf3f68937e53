"""The references of plugins: every case of every plugin, and what holds a reference and its cases to their contracts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from surgeon.catalog import Catalog, load_catalog
from surgeon.catalog.cases import Case, Cases, Negative, Tolerance
from surgeon.catalog.reference import Counterfactual, Reference
from surgeon.diagnostics import Diagnostic, SurgeonError

CATALOG = load_catalog()
WITH_REFERENCE = [op for op in CATALOG if CATALOG.reference(op) is not None]
WITH_CASES = [op for op in CATALOG if (CATALOG.folder(op) / "cases.yaml").is_file()]


CASES_OF = {op: CATALOG.cases(op) for op in WITH_CASES}


def runs(kind: str) -> list[object]:
    found = []
    for op, cases in CASES_OF.items():
        assert cases is not None
        found += [pytest.param(op, run, id=f"{op}-{run.name}") for run in getattr(cases, kind)]
    return found


@pytest.mark.parametrize(("op", "case"), runs("cases"))
def test_a_case_holds(op: str, case: Case) -> None:
    cases, reference = CASES_OF[op], CATALOG.reference(op)
    assert cases is not None and reference is not None
    assert cases.mismatches(case, reference) == ()


@pytest.mark.parametrize(("op", "control"), runs("negative"))
def test_a_negative_control_fails(op: str, control: Negative) -> None:
    cases, reference = CASES_OF[op], CATALOG.reference(op)
    assert cases is not None and reference is not None
    assert cases.mismatches(control, reference) != ()


def test_every_reference_has_cases_with_a_negative_control() -> None:
    assert WITH_REFERENCE == WITH_CASES and "NMS_TRT" in WITH_REFERENCE
    for op in WITH_REFERENCE:
        cases = CASES_OF[op]
        assert cases is not None and cases.cases and cases.negative and cases.tolerance.reason


def test_every_shipped_plugin_has_its_code() -> None:
    lacking = {
        stem: [op for op in CATALOG if CATALOG.module(op, stem) is None]
        for stem in ("shape", "reference", "onnx")
    }
    own = [
        "SurgeonActivation",
        "SurgeonResizeBilinear",
        "SurgeonSlice",
        "SurgeonTile",
    ]
    assert lacking == {
        "shape": [],
        "reference": ["RPROI_TRT", "ScatterND"],
        "onnx": ["RPROI_TRT", "ScatterND", *own],
    }


PLUGIN = """\
title: Doubling
summary: Doubles every element.
inputs:
  - {name: x, summary: "float32[N, C]", dtype: float32, rank: 2}
outputs:
  - {name: y, summary: the same shape}
  - {name: n, summary: how many}
fields:
  factor: {type: float, summary: What to multiply with., default: 2, minimum: 0}
sources: [doubling.cpp]
"""
SHAPE = """\
from surgeon.graph import TensorSpec

def outputs(fields, inputs):
    return [inputs[0], TensorSpec.of("int32", 1)]
"""
REFERENCE = """\
import numpy as np

from surgeon.catalog.reference import Counterfactual

COUNTERFACTUALS = [Counterfactual("first-alone", "only the first picture counts")]

def run(fields, inputs, changes=frozenset()):
    x = inputs[0][:1] if "first-alone" in changes else inputs[0]
    return [x * np.float32(fields["factor"]), np.array([x.size], np.int32)]
"""
CASES = """\
tolerance: {absolute: 1e-6, reason: one rounding}
fields: {factor: 3}
cases:
  - name: threefold
    summary: 3 x 1 and 3 x 2.
    inputs: [{shape: [1, 2], values: [1, 2]}]
    outputs:
      y: {shape: [1, 2], values: [3, 6]}
      n: {shape: [1], dtype: int32, values: [2]}
  - name: first
    summary: 3 x 1.
    changes: [first-alone]
    inputs: [{shape: [2, 1], values: 1}]
    outputs: {y: {shape: [1, 1], values: 3}}
negative:
  - {name: twofold, of: threefold, fields: {factor: 2}}
  - {name: other-numbers, of: threefold, inputs: [{shape: [1, 2], values: [1, 3]}]}
  - {name: all, of: first, changes: []}
"""
NAMED = (
    "from surgeon.catalog.reference import Counterfactual\nCOUNTERFACTUALS = [Counterfactual('%s', 'text')]"
)
TWICE = """\
from surgeon.catalog.reference import Counterfactual
COUNTERFACTUALS = [Counterfactual("a", "b"), Counterfactual("a", "c")]
"""
ONE = np.ones((1, 2), np.float32)

Make = Callable[..., Catalog]


@pytest.fixture
def doubling(make_plugin: Callable[..., Path]) -> Make:
    """Give a function that makes a catalog with the plugin Double, of which some files may be other ones."""

    def make(
        reference: str | None = REFERENCE, cases: str | None = CASES, shape: str | None = SHAPE
    ) -> Catalog:
        root = make_plugin(text=PLUGIN, shape=shape)
        for name, text in (("reference.py", reference), ("cases.yaml", cases)):
            if text is not None:
                (root / "Double" / name).write_text(text)
        return load_catalog([root])

    return make


def diagnostic(action: Callable[[], object]) -> Diagnostic:
    with pytest.raises(SurgeonError) as caught:
        action()
    return caught.value.diagnostics[0]


def reference_of(catalog: Catalog) -> Reference:
    reference = catalog.reference("Double")
    assert reference is not None
    return reference


def cases_of(catalog: Catalog) -> Cases:
    cases = catalog.cases("Double")
    assert cases is not None
    return cases


# References


def test_a_plugin_of_ones_own_has_a_reference(doubling: Make) -> None:
    reference = reference_of(doubling())
    y, n = reference.run({"factor": 0.5, "_output_shapes": b"x"}, [ONE])
    assert reference.op == "Double" and y.tolist() == [[0.5, 0.5]] and n.tolist() == [2]
    assert reference.run({}, [ONE])[0].tolist() == [[2, 2]]


def test_no_reference_and_no_cases_is_none(doubling: Make) -> None:
    catalog = doubling(reference=None, cases=None)
    assert catalog.reference("Double") is None and catalog.cases("Double") is None
    assert catalog.reference("Conv2D") is None and catalog.cases("Conv2D") is None


def test_fields_and_inputs_are_checked_first(doubling: Make) -> None:
    reference = reference_of(doubling())
    assert diagnostic(lambda: reference.run({"factor": -1}, [ONE])).code == "C105"
    assert diagnostic(lambda: reference.run({}, [])).code == "C109"
    assert diagnostic(lambda: reference.run({}, [ONE.astype(np.float64)])).code == "C109"
    assert diagnostic(lambda: reference.run({}, [ONE[0]])).code == "C109"


def test_a_change_may_change_shapes_and_an_unknown_one_is_c117(doubling: Make) -> None:
    reference = reference_of(doubling())
    two = np.ones((2, 2), np.float32)
    assert reference.run({}, [two], ["first-alone"])[0].shape == (1, 2)
    assert dict(reference.changes) == {"first-alone": "only the first picture counts"}
    found = diagnostic(lambda: reference.run({}, [two], ["frist-alone"]))
    assert found.code == "C117" and "'first-alone'" in found.notes[0]


@pytest.mark.determinism
def test_counterfactuals_stand_in_the_order_of_trial(doubling: Make) -> None:
    text = """\
from surgeon.catalog.reference import Counterfactual
COUNTERFACTUALS = (
    Counterfactual("last", "c"),
    Counterfactual("second", "b", order=7),
    Counterfactual("first", "a", avoidable=True, order=3),
    Counterfactual("very-last", "d"),
)
def run(f, i, c): return []
"""
    found = reference_of(doubling(reference=text)).counterfactuals
    assert list(found) == ["first", "second", "last", "very-last"]
    assert found["first"] == Counterfactual("first", "a", True, 3) and not found["second"].avoidable


KERNEL = """\
from surgeon.catalog.reference import Counterfactual
import numpy as np
COUNTERFACTUALS = [Counterfactual("a", "b")]
def times(fields, inputs, changes):
    return [inputs[0] * np.float32(fields["factor"]), np.array([inputs[0].size], np.int32)]
"""
KERNEL_SHAPES = """\
from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim
def times(fields, inputs):
    check_dim(0, inputs[0], 1, 2, why="it is a pair")
    return [inputs[0], TensorSpec.of("int32", 1)]
def check_times(fields):
    return ["'factor' is odd"] if fields["factor"] % 2 else []
def check_other(fields):
    return ["no"]
"""


def test_a_plugin_without_code_has_its_kernel(make_plugin: Callable[..., Path]) -> None:
    root = make_plugin(text=PLUGIN + "kernel: doubling.times\n", shape=None)
    (root / "doubling").mkdir()
    (root / "doubling" / "numbers.py").write_text(KERNEL)
    (root / "doubling" / "shapes.py").write_text(KERNEL_SHAPES)
    catalog = load_catalog([root])
    reference = reference_of(catalog)
    assert reference.run({"factor": 4}, [ONE])[0].tolist() == [[4, 4]] and list(reference.changes) == ["a"]
    assert diagnostic(lambda: reference.run({"factor": 3}, [ONE])).message == "Double: 'factor' is odd"
    wide = diagnostic(lambda: reference.run({}, [np.ones((1, 3), np.float32)]))
    assert wide.code == "C109" and wide.message == "input 0 of Double is float32[1,3]; expected 2 at axis 1"
    assert catalog.module("Double", "onnx") is None


def test_a_plugins_own_file_goes_before_its_kernel(make_plugin: Callable[..., Path]) -> None:
    root = make_plugin(text=PLUGIN + "kernel: rearranging.tile\n", shape=SHAPE)
    (root / "Double" / "reference.py").write_text(REFERENCE)
    catalog = load_catalog([root])
    assert reference_of(catalog).run({}, [ONE])[0].tolist() == [[2, 2]]
    assert catalog.module("Double", "onnx") is None


@pytest.mark.parametrize("kernel", ["no_such.thing", "boxes.no_such_thing", "boxes", "a/b.c", "../a.b"])
def test_a_kernel_that_does_not_exist_is_c110(make_plugin: Callable[..., Path], kernel: str) -> None:
    catalog = load_catalog([make_plugin(text=PLUGIN + f"kernel: {kernel}\n")])
    assert diagnostic(lambda: catalog.reference("Double")).code == "C110"


def test_changes_are_still_read_with_a_warning(doubling: Make) -> None:
    text = "CHANGES = {'b': 'one', 'a': 'two'}\ndef run(f, i, c): return []"
    with pytest.warns(DeprecationWarning, match="'CHANGES' of surgeon.plugins.*; use 'COUNTERFACTUALS'"):
        reference = reference_of(doubling(reference=text))
    assert list(reference.counterfactuals.values()) == [
        Counterfactual("b", "one"),
        Counterfactual("a", "two"),
    ]
    assert reference.changes == {"b": "one", "a": "two"}


@pytest.mark.determinism
def test_the_earlier_names_of_changes_keep_their_order_and_what_avoids_them(doubling: Make) -> None:
    text = "CHANGES = {'keep-all': 'k', 'mine': 'm', 'all-candidates': 'a'}\ndef run(f, i, c): return []"
    with pytest.warns(DeprecationWarning, match="COUNTERFACTUALS"):
        reference = reference_of(doubling(reference=text))
    found = [(each.name, each.avoidable) for each in reference.counterfactuals.values()]
    assert found == [("all-candidates", True), ("drop-empty", False), ("keep-all", False), ("mine", False)]


def test_the_shipped_counterfactuals_agree_where_two_plugins_share_a_name() -> None:
    shared: dict[str, Counterfactual] = {}
    for op in WITH_REFERENCE:
        reference = CATALOG.reference(op)
        assert reference is not None
        for name, counterfactual in reference.counterfactuals.items():
            assert shared.setdefault(name, counterfactual) == counterfactual
    assert sorted(shared, key=lambda name: shared[name].order) == [
        "exact-ratios",
        "all-candidates",
        "clip-first",
        "drop-empty",
        "keep-all",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "has no function 'run'"),
        ("run = 1", "has no function 'run'"),
        ("COUNTERFACTUALS = ['a']\ndef run(f, i, c): return []", "wrong 'COUNTERFACTUALS'"),
        (f"{TWICE}\ndef run(f, i, c): return []", "wrong 'COUNTERFACTUALS'"),
        (f"{NAMED % ''}\ndef run(f, i, c): return []", "stands for no change"),
        (f"{NAMED % 'unchanged'}\ndef run(f, i, c): return []", "stands for no change"),
        ("CHANGES = ['a']\ndef run(f, i, c): return []", "'CHANGES' that are no mapping"),
        ("CHANGES = {'a': 1}\ndef run(f, i, c): return []", "'CHANGES' that are no mapping"),
    ],
)
def test_a_file_that_defines_no_reference_is_c116(doubling: Make, text: str, said: str) -> None:
    found = diagnostic(lambda: doubling(reference=text).reference("Double"))
    assert found.code == "C116" and said in found.message and str(found.where).endswith("reference.py")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("[]", "gives 0 outputs; expected 2"),
        ("[i[0]]", "gives 1 output; expected 2"),
        ("[i[0], 7]", "gives 'n' as a 'int'; expected the array int32[1]"),
        ("[i[0], i[0]]", "gives 'n' as float32[1,2]; expected int32[1]"),
        ("[i[0].astype('float64'), i[0]]", "gives 'y' as float64[1,2]; expected float32[1,2]"),
        ("[i[0][:, :1], i[0]]", "gives 'y' as float32[1,1]; expected float32[1,2]"),
    ],
)
def test_outputs_that_do_not_fit_are_c116(doubling: Make, returned: str, said: str) -> None:
    declared = (
        "from surgeon.catalog.reference import Counterfactual\nCOUNTERFACTUALS = [Counterfactual('a', 'b')]\n"
    )
    reference = reference_of(doubling(reference=f"{declared}def run(f, i, c): return {returned}"))
    found = diagnostic(lambda: reference.run({}, [ONE]))
    assert found.code == "C116" and said in found.message
    shape_alone = "float32[1,1]" in said
    assert shape_alone or diagnostic(lambda: reference.run({}, [ONE], ["a"])).code == "C116"


def test_a_reference_that_fails_is_c111_with_its_line(doubling: Make) -> None:
    reference = reference_of(doubling(reference="def run(f, i, c):\n    return i[7]"))
    found = diagnostic(lambda: reference.run({}, [ONE]))
    assert (
        found.code == "C111" and str(found.where).endswith("reference.py:2") and "IndexError" in found.message
    )


def test_a_reference_that_cannot_be_imported_is_c111(doubling: Make) -> None:
    assert diagnostic(lambda: doubling(reference="import no_such_module").reference("Double")).code == "C111"


# Cases


def test_cases_hold_and_their_controls_fail(doubling: Make) -> None:
    catalog = doubling()
    cases, reference = cases_of(catalog), reference_of(catalog)
    assert [cases.mismatches(case, reference) for case in cases.cases] == [(), ()]
    assert [len(cases.mismatches(control, reference)) for control in cases.negative] == [1, 1, 1]
    assert cases.tolerance == Tolerance(absolute=1e-6, reason="one rounding")
    assert cases.cases[0].fields == {"factor": 3} and cases.negative[0].fields == {"factor": 2}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "values: [3, 6]",
            "values: [3, 6.1]",
            "'y' differs in 1 of 2 elements; the first is [0, 1]: 6.0; expected 6.1",
        ),
        ("values: [3, 6]", "values: [3, 6.000001]", ""),
        ("values: [3, 6]", "values: [3, nan]", "'y' differs in 1 of 2"),
        ("values: [3, 6]", "values: [inf, 6]", "'y' differs in 1 of 2"),
        (
            "y: {shape: [1, 2], values: [3, 6]}",
            "y: {shape: [2, 1], values: [3, 6]}",
            "'y' is float32[1, 2]; expected float32[2, 1]",
        ),
        ("dtype: int32, values: [2]", "dtype: int32, values: [3]", "'n' differs in 1 of 1"),
        ("dtype: int32, values: [2]", "values: [2]", "'n' is int32[1]; expected float32[1]"),
    ],
)
def test_what_differs_is_said(doubling: Make, old: str, new: str, said: str) -> None:
    assert old in CASES
    catalog = doubling(cases=CASES.replace(old, new))
    found = cases_of(catalog).mismatches(cases_of(catalog).cases[0], reference_of(catalog))
    assert bool(found) == bool(said) and said in "".join(found)


def test_bits_are_compared_exactly_whatever_the_tolerance(doubling: Make) -> None:
    text = REFERENCE.replace(
        "x * np.float32", "np.array([[4, 5]], np.int32).view(np.float32) if True else x * np.float32"
    )
    bits = CASES.replace(
        "y: {shape: [1, 2], values: [3, 6]}", "y: {shape: [1, 2], bits: int32, values: [4, 5]}"
    )
    catalog = doubling(reference=text, cases=bits)
    cases = cases_of(catalog)
    assert (
        cases.cases[0].outputs["y"].dtype == np.float32
        and cases.mismatches(cases.cases[0], reference_of(catalog)) == ()
    )
    (catalog.folder("Double") / "cases.yaml").write_text(bits.replace("[4, 5]", "[4, 6]"))
    assert cases_of(catalog).mismatches(cases_of(catalog).cases[0], reference_of(catalog)) != ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tolerance: {absolute: 1e-6, reason: one rounding}\n", "", "lacks the key 'tolerance'"),
        ("absolute: 1e-6, ", "absolute: 2, ", "'tolerance.absolute'"),
        (", reason: one rounding", "", "lacks the key 'tolerance.reason'"),
        ("reason: one rounding", "reason: ''", "'tolerance.reason'"),
        ("values: [1, 2]}", "values: [1, 2, 3]}", "there are 3 values for 2 elements"),
        ("values: [1, 2]}", "values: [1, x]}", "a value is not of the type float32"),
        ("values: [1, 2]}", "values: [1, {a: 1}]}", "it holds a mapping"),
        ("dtype: int32, values: [2]", "dtype: int32, values: [2.5]", "a value is not of the type int32"),
        ("dtype: int32, values: [2]", "dtype: uint8, values: [256]", "a value is not of the type uint8"),
        ("dtype: int32", "dtype: float64", "'cases.0.outputs.n.dtype'"),
        (
            "{shape: [1, 2], values: [1, 2]}",
            "{shape: [65536, 2], values: 0}",
            "131072 elements; expected at most 65536",
        ),
        ("{shape: [1, 2], values: [1, 2]}", "{shape: [-1, 2], values: 0}", "'cases.0.inputs.0.shape.0'"),
        ("name: twofold", "name: first", "the name 'first' stands for two cases"),
        ("of: first,", "of: third,", "is of 'third'"),
        ("of: first, changes: []", "of: first", "changes nothing"),
        ("      y: {shape", "      z: {shape", "expects 'z', which is not an output of Double"),
        ("summary: 3 x 1.", "remark: 3 x 1.", "unknown key"),
        ("factor: 2}", "factor: {a: 1}}", ""),
    ],
)
def test_a_wrong_file_of_cases_is_c115(doubling: Make, old: str, new: str, said: str) -> None:
    assert old in CASES
    catalog = doubling(cases=CASES.replace(old, new, 1))
    if not said:
        reference = reference_of(catalog)
        assert (
            diagnostic(lambda: cases_of(catalog).mismatches(cases_of(catalog).negative[0], reference)).code
            == "C104"
        )
        return
    with pytest.raises(SurgeonError) as caught:
        catalog.cases("Double")
    assert {d.code for d in caught.value.diagnostics} == {"C115"} and said in str(caught.value)


@pytest.mark.parametrize("section", ["cases:", "negative:"])
def test_cases_and_controls_cannot_be_left_out(doubling: Make, section: str) -> None:
    head, _, tail = CASES.partition(section)
    rest = tail.partition("negative:")[1:] if section == "cases:" else ("", "")
    found = diagnostic(lambda: doubling(cases=head + "".join(rest)).cases("Double"))
    assert found.code == "C115" and f"lacks the key '{section[:-1]}'" in found.message


# Arrays given in a recipe's graph


def test_attributes_of_a_node_may_be_given_as_fields() -> None:
    reference = CATALOG.reference("GridAnchor_TRT")
    assert reference is not None
    fields = {
        "numLayers": 2,
        "aspectRatios": (1.0, 2.0, 0.5),
        "variance": (0.1,) * 4,
        "featureMapShapes": (3, 1),
        "name": b"x",
    }
    outputs = reference.run(fields, [np.zeros(3, np.int64)])
    assert [array.shape for array in outputs] == [(1, 2, 108, 1), (1, 2, 16, 1)] and outputs[
        0
    ].dtype == np.float32
