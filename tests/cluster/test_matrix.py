"""Fleet files: what they may say, which cells a matrix has, and where a mistake stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleet_files import write_fleet, write_models

from surgeon.cluster.cells import Cell, cells_of
from surgeon.cluster.fleet_file import read_fleet_file
from surgeon.diagnostics import Diagnostic, Span, SurgeonError


def cells(folder: Path, matrix: str, jobs: str = "[convert]") -> tuple[Cell, ...]:
    indented = "".join(f"  {line}\n" for line in matrix.splitlines())
    return cells_of(read_fleet_file(write_fleet(folder, f"fleet: 1\nmatrix:\n{indented}jobs: {jobs}\n")))


def fault(folder: Path, matrix: str, jobs: str = "[convert]") -> Diagnostic:
    with pytest.raises(SurgeonError) as caught:
        cells(folder, matrix, jobs)
    return caught.value.diagnostics[0]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    write_models(tmp_path, "a.pb", "b.pb", "more/a.pb")
    return tmp_path


def test_every_combination_is_a_cell(here: Path) -> None:
    found = cells(here, 'model: "*.pb"\nrecipe: small.yaml\ntarget: [uff@tensorrt-8.5, onnx@onnxruntime]')
    assert [cell.name for cell in found] == [
        "a+small+uff@tensorrt-8.5",
        "a+small+onnx@onnxruntime",
        "b+small+uff@tensorrt-8.5",
        "b+small+onnx@onnxruntime",
    ]
    assert found[0].values == {"model": "a.pb", "recipe": "small.yaml", "target": "uff@tensorrt-8.5"}


def test_models_of_one_name_are_told_apart_and_a_file_matched_twice_is_one(here: Path) -> None:
    found = cells(here, 'model: [a.pb, "**/*.pb", "./a.pb"]\nrecipe: init')
    assert [cell.values["model"] for cell in found] == ["a.pb", "b.pb", "more/a.pb"]
    assert found[2].name == "more-a+init"


def test_the_name_of_a_file_may_look_like_a_pattern(here: Path) -> None:
    write_models(here, "a[1].pb")
    assert [cell.values["model"] for cell in cells(here, "model: a[1].pb\nrecipe: init")] == ["a[1].pb"]


@pytest.mark.parametrize("recipe", ["''", ".", ".."])
def test_a_recipe_without_a_name_is_a_fault_of_its_cell(here: Path, recipe: str) -> None:
    (cell,) = cells(here, f"model: a.pb\nrecipe: {recipe}")
    assert cell.name.startswith("a+")


def test_exclude_takes_out_by_patterns_and_comes_before_include(here: Path) -> None:
    found = cells(
        here,
        """\
model: [a.pb, b.pb]
recipe: small.yaml
target: [uff@tensorrt-8.5, onnx@onnxruntime]
exclude:
  - {target: "onnx@*", model: b*}
include:
  - {target: onnx@onnxruntime, constants: {x: 1}}
  - {model: b.pb, recipe: small.yaml, target: onnx@tensorrt-10}
""",
    )
    assert [(c.values["model"], c.values["target"], c.values.get("constants")) for c in found] == [
        ("a.pb", "uff@tensorrt-8.5", None),
        ("a.pb", "onnx@onnxruntime", {"x": 1}),
        ("b.pb", "uff@tensorrt-8.5", None),
        ("b.pb", "onnx@tensorrt-10", None),
    ]


def test_include_never_changes_an_axis_and_adds_to_all_where_it_names_none(here: Path) -> None:
    """The rule of matrices in CI: what would change a value of an axis is a cell of its own."""
    found = cells(
        here,
        """\
model: [a.pb]
recipe: [small.yaml]
precision: [fp32, fp16]
include:
  - {anchors: constant}
  - {model: a.pb, recipe: small.yaml, precision: int8}
  - {precision: fp16, anchors: plugin}
""",
    )
    assert [(c.values["precision"], c.values.get("anchors")) for c in found] == [
        ("fp32", "constant"),
        ("fp16", "plugin"),
        ("int8", None),
    ]


def test_a_matrix_of_included_cells_alone(here: Path) -> None:
    found = cells(here, 'include: [{model: "*.pb", recipe: small.yaml, parameters: {top: 3}}]')
    assert [cell.name for cell in found] == ["a+small+top=3", "b+small+top=3"]


@pytest.mark.parametrize(
    ("matrix", "jobs", "code", "line", "words"),
    [
        ("modle: a.pb", "[convert]", "R104", 3, "nearest: 'model'"),
        ("model: a.pb\nrecipe: init\ntensorrt: 8.10", "[convert]", "R106", 5, "without quotes"),
        ("model: a.pb\nrecipe: init\nprecision: fp8", "[convert]", "R106", 5, "fp32"),
        ("model: a.pb\nrecipe: init\ninclude: [{gpus: 1}]", "[convert]", "R104", 5, "'gpu'"),
        ("model: c.pb\nrecipe: init", "[convert]", "F101", 3, "no model 'c.pb'"),
        ('model: "x*.pb"\nrecipe: init', "[convert]", "F101", 3, "no file matches"),
        ("model: ''\nrecipe: init", "[convert]", "F101", 3, "no model ''"),
        ("model: a.pb\nrecipe: init", "[{job: convert, when: {target: 'onx@*'}}]", "F101", 5, "for no cell"),
        (
            "model: a.pb\nrecipe: init\ntarget: uff@tensorrt-8.5\nexclude: [{target: uff@tensort-8.5}]",
            "[convert]",
            "F101",
            6,
            "nearest: 'uff@tensorrt-8.5'",
        ),
        ("model: a.pb\nrecipe: init\nexclude: [{recipe: init}]", "[convert]", "F102", 2, "no cells"),
        ("model: a.pb", "[convert]", "F102", 2, "no 'recipe'"),
        ("model: a.pb\nrecipe: init\ntarget: uff@tensort-8.5", "[convert]", "T101", 5, "uff@tensorrt-8.5"),
        ("model: a.pb\nrecipe: init\ninclude: [{precision: fp8}]", "[convert]", "R106", 2, "fp16"),
        ("model: a.pb\nrecipe: init", "[convrt]", "F107", 5, "nearest: 'convert'"),
        ("model: a.pb\nrecipe: init", "[convert, convert]", "F107", 5, "twice"),
        ("model: a.pb\nrecipe: init", "[bench, build]", "F107", 5, "put 'build' before it"),
        ("model: a.pb\nrecipe: init", "[{job: convert, opsets: 3}]", "R104", 5, "'opset'"),
        ("model: a.pb\nrecipe: init", "[{job: convert, timeout: 0}]", "R106", 5, "greater than 0"),
        ("model: a.pb\nrecipe: init", "[{job: convert, when: {targt: x}}]", "R106", 5, "'target'"),
        ("model: a.pb\nrecipe: init", "[{opset: 3}]", "F107", 5, "no name"),
        ("model: a.pb\nrecipe: init", "[]", "R106", 5, "at least 1"),
    ],
)
def test_a_mistake_is_told_at_its_line(
    here: Path, matrix: str, jobs: str, code: str, line: int, words: str
) -> None:
    found = fault(here, matrix, jobs)
    assert found.code == code
    assert isinstance(found.where, Span) and found.where.line == line
    assert words in found.render()


@pytest.mark.parametrize(
    ("text", "code"),
    [("- 1\n", "R106"), ("fleet: 2\n", "R108"), ("fleet: 1\n", "R105"), ("fleet: [\n", "R101")],
)
def test_a_file_that_is_no_fleet(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(SurgeonError) as caught:
        read_fleet_file(write_fleet(tmp_path, text))
    assert caught.value.diagnostics[0].code == code and "recipe" not in caught.value.diagnostics[0].message


def test_long_names_and_many_cells(here: Path) -> None:
    names = [f"{'x' * 90}{i}{'y' * 90}.pb" for i in range(2)]
    write_models(here, *names)
    found = cells(here, 'model: "x*.pb"\nrecipe: small.yaml')
    assert len({cell.name for cell in found}) == 2 and all(len(cell.name) < 200 for cell in found)
    values = ", ".join(f"{{top: {i}}}" for i in range(400))
    many = fault(here, f"model: a.pb\nrecipe: small.yaml\nparameters: [{values}]\nconstants: [{values}]")
    assert many.code == "F102" and "160000 cells" in many.message
