"""The verb ``test``: cases beside a recipe, an example for a shipped one, and what goes wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from surgeon.catalog.modules import load_module
from surgeon.diagnostics import code_page

pytest.importorskip("tensorflow", reason="cases that verify run ordinary operations in TensorFlow")

EXAMPLE = Path(__file__).parent / "ssd.cases.yaml"

RECIPE = "recipe: 1\nname: mine\nextends: [lenet5_clip]\nnodes: {trt_relu6: {fields: {clipMax: 6.0}}}\n"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of cases of the recipe ``mine.yaml``, in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(RECIPE)
    return tmp_path / "mine.cases.yaml"


def case(expect: str, *more: str) -> str:
    return "\n".join(
        [
            "cases:",
            "  - name: one",
            "    zoo: {network: lenet}",
            *(f"    {line}" for line in more),
            f"    expect: {expect}",
            "",
        ]
    )


def test_the_example_of_a_shipped_recipe_holds(run) -> None:
    ran = run("test", "ssd", "--cases", EXAMPLE)
    assert ran.code == 0, ran.out
    assert ran.out.splitlines()[-1].endswith("cases, 0 failed") and "FAILED" not in ran.out
    one = run("test", "ssd", "--cases", EXAMPLE, "--only", "no detector", "--json")
    assert [(c["name"], c["passed"]) for c in one.json["cases"]] == [("no detector", True)]


HOLDS = [
    "{nodes: {trt_relu6: CustomClipPlugin}}",
    "{nodes: {trt_relu6: {op: CustomClipPlugin, fields: {clipMin: 0, clipMax: 6.0}, inputs: [dense/BiasAdd]}, ReLU6/Relu6: absent}}",
    "{verify: {}}",
    "{verify: {outcome: passed, max-excused: 0, seed: 3, score-tolerance: 1e-3}, nodes: {InputLayer: Placeholder}}",
]


@pytest.mark.parametrize("expect", HOLDS)
def test_a_case_that_holds(run, mine: Path, expect: str) -> None:
    mine.write_text(case(expect))
    ran = run("test", "mine.yaml")
    assert (ran.code, ran.out) == (0, "passed  one\n1 case, 0 failed\n")


FAILS = {
    "{nodes: {trt_relu6: Relu}}": "the node 'trt_relu6' is CustomClipPlugin; expected Relu",
    "{nodes: {trt_relu6: absent}}": "the node 'trt_relu6' (CustomClipPlugin) is there; expected it to be absent",
    "{nodes: {ReLU6/Relu6: Relu6}}": "the node 'ReLU6/Relu6' is absent; expected Relu6",
    "{nodes: {trt_relu6: {fields: {clipMax: 7}}}}": "'clipMax' of 'trt_relu6' is 6.0; expected 7",
    "{nodes: {trt_relu6: {fields: {clip: 7}}}}": "the node 'trt_relu6' has no 'clip'; expected 7",
    "{nodes: {trt_relu6: {inputs: []}}}": "the node 'trt_relu6' reads dense/BiasAdd; expected nothing",
    "{derived: {NMS.numClasses: 4}}": "'NMS.numClasses' is not derived; derived are none",
    "{error: R201}": "no error; expected R201",
}


@pytest.mark.parametrize("expect", FAILS)
def test_a_case_that_fails(run, mine: Path, expect: str) -> None:
    mine.write_text(case(expect))
    ran = run("test", "mine.yaml")
    assert (ran.code, ran.out) == (1, f"FAILED  one\n        {FAILS[expect]}\n1 case, 1 failed\n")


def test_an_unexpected_error_is_shown(run, mine: Path) -> None:
    mine.write_text(case("{nodes: {trt_relu6: CustomClipPlugin}}", "parameters: {nothing: 1}"))
    ran = run("test", "mine.yaml")
    assert ran.code == 1 and "R110: " in ran.out
    mine.write_text(case("{error: R201}", "parameters: {nothing: 1}"))
    assert "; expected R201" in run("test", "mine.yaml").out
    mine.write_text(case("{error: R110}", "parameters: {nothing: 1}"))
    assert run("test", "mine.yaml").code == 0


def test_a_failed_verification_has_its_own_exit_code(run, mine: Path) -> None:
    Path("mine.yaml").write_text(RECIPE.replace("6.0", "5.0"))
    mine.write_text(case("{verify: {}}"))
    ran = run("test", "mine.yaml")
    assert (
        ran.code == 3
        and "verification failed; expected passed: " in ran.out
        and "each alone: failed" in ran.out
    )
    mine.write_text(case("{verify: {outcome: failed}}"))
    assert run("test", "mine.yaml").code == 0
    mine.write_text(case("{verify: {}, nodes: {trt_relu6: Relu}}"))
    assert run("test", "mine.yaml").code == 1


def test_a_model_is_found_beside_the_cases(run, mine: Path) -> None:
    from surgeon.zoo import build_lenet

    (mine.parent / "models").mkdir()
    (mine.parent / "models" / "my.pb").write_bytes(build_lenet(3))
    mine.write_text("cases:\n  - name: my\n    model: models/my.pb\n    expect: {verify: {}}\n")
    assert run("test", "mine.yaml").code == 0
    mine.write_text("cases:\n  - name: my\n    model: models/other.pb\n    expect: {verify: {}}\n")
    ran = run("test", "mine.yaml", "--json")
    assert ran.code == 1 and [d["code"] for d in ran.json["diagnostics"]] == ["E101"]


def test_no_cases(run, mine: Path) -> None:
    ran = run("test", "mine.yaml", "--json")
    assert ran.code == 1 and [d["code"] for d in ran.json["diagnostics"]] == ["V121"]
    mine.write_text(case("{verify: {}}"))
    ran = run("test", "mine.yaml", "--only", "two", "--json")
    assert ran.code == 1 and [d["code"] for d in ran.json["diagnostics"]] == ["V121"]


WRONG = [
    "cases: []",
    "cases: 1",
    "case: []",
    "- 1",
    "cases: [{name: x}]",
    case("{}"),
    case("{nodes: {a: {opp: Relu}}}"),
    case("{verify: {outcome: fine}}"),
    case("{verify: {box-tolerance: 0}}"),
    case("{error: R201, derived: {a.b: 1}}"),
    case("{error: R201, verify: {outcome: failed}}"),
    case("{error: R201}", "model: x.pb"),
    case("{error: R201}").replace("zoo: {network: lenet}", "zoo: 3"),
    case("{error: R201}") + case("{error: R201}").partition("\n")[2],
    case("{verify: {max-excused: -1}}"),
]


@pytest.mark.parametrize("text", WRONG)
def test_a_file_of_cases_that_is_wrong(run, mine: Path, text: str) -> None:
    mine.write_text(text)
    ran = run("test", "mine.yaml", "--json")
    assert ran.code == 1 and {d["code"] for d in ran.json["diagnostics"]} == {"V120"}


@pytest.mark.parametrize(
    "options",
    [
        "{network: resnet}",
        "{network: lenet, classes: 3}",
        "{date: 2016}",
        "{clases: 3}",
        "{classes: many}",
        "{height: 3}",
    ],
)
def test_options_that_the_generator_refuses(run, mine: Path, options: str) -> None:
    mine.write_text(case("{error: R201}").replace("{network: lenet}", options))
    ran = run("test", "mine.yaml", "--json")
    assert ran.code == 1 and [d["code"] for d in ran.json["diagnostics"]] == ["V122"]


def test_the_page_of_the_form_shows_cases_that_are_read(run, mine: Path) -> None:
    page = code_page("V120")
    assert page is not None
    mine.write_text(page[1].partition("```yaml\n")[2].partition("```")[0])
    from surgeon.verification.recipe_cases import load_recipe_cases

    assert [c.name for c in load_recipe_cases(mine).cases] == [
        "three classes, exporter of 2018",
        "no detector",
    ]


def test_the_cases_of_a_plugin_are_run(run, tmp_path: Path) -> None:
    ran = run("test", "CustomClipPlugin")
    assert (
        ran.code == 0
        and "passed  both-sides\n" in ran.out
        and "no-limit (negative control)" in ran.out
        and ran.out.endswith(" 0 failed\n")
    )
    folder = tmp_path / "mine" / "Halve"
    folder.mkdir(parents=True)
    (folder / "plugin.yaml").write_text(
        "title: t\nsummary: s\nlibrary: own\ninputs: [{name: x, summary: s}]\noutputs: [{name: y, summary: s}]\nsources: [s]\n"
    )
    (folder / "shape.py").write_text("def outputs(fields, inputs):\n    return [inputs[0]]\n")
    arguments = ("test", "Halve", "--plugin-path", str(tmp_path / "mine"))
    assert "C118" in run(*arguments).err and "cases.yaml" in run(*arguments).err
    (folder / "cases.yaml").write_text(
        "tolerance: {reason: exact}\ncases:\n  - {name: two, summary: s, inputs: [{shape: [1], values: [2]}], outputs: {y: {shape: [1], values: [1]}}}\n"
        "negative:\n  - {name: three, of: two, inputs: [{shape: [1], values: [3]}]}\n"
    )
    assert "C118" in run(*arguments).err and "reference.py" in run(*arguments).err
    load_module.cache_clear()
    (folder / "reference.py").write_text(
        "def run(fields, inputs, changes=frozenset()):\n    return [inputs[0] / 2]\n"
    )
    assert run(*arguments).code == 0
    assert [row["passed"] for row in run(*arguments, "--json").json["cases"]] == [True, True]
    assert [row["name"] for row in run(*arguments, "--json", "--only", "thr").json["cases"]] == ["three"]


def test_cases_of_a_plugin_that_are_not_there(run) -> None:
    assert "V121" in run("test", "CustomClipPlugin", "--only", "zzzz").err
    ran = run("test", "CustomClipPlugin", "--cases", "x.yaml")
    assert ran.code == 2 and "--cases goes with a recipe" in ran.err


@pytest.mark.parametrize(("body", "failed"), [("inputs[0] * 2", ["two"]), ("inputs[0] * 0 + 1", ["three"])])
def test_a_plugin_that_computes_something_else_fails(
    run, tmp_path: Path, body: str, failed: list[str]
) -> None:
    test_the_cases_of_a_plugin_are_run(run, tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "mine" / "Halve").rename(tmp_path / "other" / "Halve")
    (tmp_path / "other" / "Halve" / "reference.py").write_text(
        f"def run(fields, inputs, changes=frozenset()):\n    return [{body}]\n"
    )
    ran = run("test", "Halve", "--plugin-path", str(tmp_path / "other"))
    assert ran.code == 1 and f"FAILED  {failed[0]}" in ran.out and "1 failed" in ran.out
