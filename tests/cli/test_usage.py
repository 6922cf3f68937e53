"""Wrong usage is told with the verb's own usage and the nearest spelling; help is grouped by task."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from surgeon.cli import verbs
from surgeon.cli.usage import TASKS


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("convrt a b", "there is no verb 'convrt'; did you mean 'convert'?"),
        ("export", "there is no verb 'export'; did you mean 'apply' or 'convert'?"),
        ("small.pb", "'surgeon inspect small.pb' shows what a model consists of"),
        ("help chek", "there is no verb 'chek'; did you mean 'check'"),
        ("--jsno list recipes", "there is no option '--jsno'; did you mean '--json'?"),
        ("convert a b --outptu c.uff", "there is no option '--outptu'; did you mean '--output'"),
        ("convert a b -o c.uff --targte=graphdef", "there is no option '--targte'; did you mean '--target'?"),
        ("convert a b -x c.uff", "there is no option '-x'"),
        (
            "convert a b -o c.uff --anchors plugn",
            "--anchors cannot be 'plugn'; expected auto, plugin or constant",
        ),
        ("convert a b -o c.uff --anchors plugn", "did you mean 'plugin'?"),
        ("convert a b -o c.onnx --plugins nativ", "did you mean 'native'?"),
        ("build a b -o c --calibrator minmx", "did you mean 'minmax'?"),
        ("convert a b -o c.onnx --opset 12.5", "--opset cannot be '12.5'; expected a whole number"),
        ("list recipe", "KIND cannot be 'recipe'; expected recipes, plugins"),
        ("list plugin", "did you mean 'plugins'?"),
        ("check a b c", "'c' is one argument too many"),
        ("convert small.pb -o c.uff", "expected a recipe before it. 'surgeon inspect small.pb' shows which"),
        ("verify small.pb", "'small.pb' is a model; expected a recipe before it"),
        ("test small.pb", "'small.pb' is a model; expected a recipe or a plugin"),
        ("apply small.pb -o c.uff", "expected a plan before it"),
        ("init small.yaml", "'small.yaml' is a recipe; expected a model"),
        ("view small.yaml", "'small.yaml' is a recipe; expected a model"),
        ("check small.yaml small.yaml", "'small.yaml' is a recipe; expected a model"),
    ],
)
def test_wrong_usage_leads_on(run, work: Path, command: str, says: str) -> None:
    ran = run(*shlex.split(command))
    assert ran.code == 2 and ran.out == "" and says in ran.err
    verb = command.split()[0]
    own = f"usage: surgeon {verb} " if verb in verbs() and verb != "help" else "usage: surgeon VERB "
    assert (ran.err.startswith(own) and "--help' explains" in ran.err) or "'surgeon help' lists" in ran.err


@pytest.mark.parametrize(
    ("command", "right"),
    [
        ("convert small.pb ssd -o 'my file.uff'", "surgeon convert ssd small.pb -o 'my file.uff'"),
        ("check small.pb small.yaml", "surgeon check small.yaml small.pb"),
        ("plan small.pb small.yaml --json", "surgeon plan small.yaml small.pb --json"),
        ("verify small.pb small.yaml --seed 3", "surgeon verify small.yaml small.pb --seed 3"),
        ("build small.pb small.yaml -o s.engine", "surgeon build small.yaml small.pb -o s.engine"),
        ("run small.pb small.yaml a.jpg", "surgeon run small.yaml small.pb a.jpg"),
        ("apply small.pb plan.json -o out.pb", "surgeon apply plan.json small.pb -o out.pb"),
    ],
)
def test_swapped_recipe_and_model_are_told_with_the_right_command(
    run, work: Path, command: str, right: str
) -> None:
    ran = run(*shlex.split(command))
    assert ran.code == 2 and "is a model and" in ran.err and "expected the " in ran.err
    assert f"first: {right}\n" in ran.err


def test_the_command_for_swapped_arguments_works(run, work: Path) -> None:
    wrong = run("convert", "small.pb", "small.yaml", "-o", "my file.uff")
    right = wrong.err.partition("first: surgeon ")[2].splitlines()[0]
    assert run(*shlex.split(right)).code == 0 and (work / "my file.uff").is_file()


def test_view_takes_recipe_and_model_in_either_order(run, work: Path) -> None:
    assert run("view", "small.pb", "small.yaml", "--html", "one.html").code == 0
    assert run("view", "small.yaml", "small.pb", "--html", "two.html").code == 0
    assert run("view", "--html", "three.html", "small.pb").code == 0
    assert (work / "one.html").read_bytes() == (work / "two.html").read_bytes()
    assert (work / "one.html").read_bytes() != (work / "three.html").read_bytes()


def test_options_stand_between_arguments(run, work: Path) -> None:
    assert (
        run("check", "small.yaml", "--target", "graphdef", "small.pb", "--json").json["nodes"]["before"] == 9
    )
    assert run("--json", "check", "small.yaml").json["recipe"] == "small"


def test_what_stands_behind_two_dashes_is_no_option(run, work: Path) -> None:
    (work / "-small.pb").write_bytes((work / "small.pb").read_bytes())
    assert run("inspect", "--json", "--", "-small.pb").json["nodes"] == 9


@pytest.mark.parametrize("arguments", [[], ["help"]])
def test_help_is_grouped_by_task(run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert ran.code == 0 and ran.err == ""
    places = [ran.out.index(f"\n{title}:\n") for title in TASKS.values()]
    assert places == sorted(places)
    for name, module in verbs().items():
        assert f"\n  {name} " in ran.out
        assert module.TASK in TASKS and module.SUMMARY[0].isupper() and module.SUMMARY.endswith(".")


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_help_fits_the_terminal(run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, run().out.splitlines())) <= min(columns, 112)
    text = [
        line
        for line in run("help", "build").out.splitlines()
        if not line.startswith(("    surgeon", "usage"))
    ]
    assert max(map(len, text)) <= min(columns, 112)


def test_help_of_a_verb_is_that_of_the_option(run) -> None:
    assert run("help", "convert").out == run("convert", "--help").out
    assert "surgeon convert RECIPE MODEL -o OUT [options]" in run("help", "convert").out
    assert "surgeon run ENGINE|RECIPE [MODEL] PICTURE [...] [options]" in run("help", "run").out


@pytest.mark.parametrize(
    ("command", "nearest"),
    [
        ("check sdd", "'ssd'"),
        ("inspect small.pb --target uff@tensort-8.5", "'uff@tensorrt-8.5'"),
        ("explain NMS_TRRT", "'NMS_TRT'"),
        ("explain colapse", "'collapse'"),
        ("explain R20", "'R201'"),
        ("test CustomClip", "'CustomClipPlugin'"),
        ("check small.yaml --set tpo=3", "'top'"),
        ("run sdd small.pb x.jpg", "'ssd'"),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest(run, work: Path, command: str, nearest: str) -> None:
    (work / "x.jpg").write_bytes(b"")
    ran = run(*command.split())
    assert ran.code == 1 and nearest in ran.err


@pytest.mark.parametrize(
    ("output", "target", "suffix", "default"),
    [
        ("out.onnx", "uff@tensorrt-8.5", "'.uff'", "onnx@onnxruntime"),
        ("out.uff", "onnx@tensorrt-10", "'.onnx'", "uff@tensorrt-8.5"),
        ("out.uff", "graphdef", "'.pb' or '.pbtxt'", "uff@tensorrt-8.5"),
        ("out.onnx", "graphdef", "'.pb' or '.pbtxt'", "onnx@onnxruntime"),
    ],
)
def test_a_suffix_of_another_format_is_told_with_the_right_one(
    run, work: Path, output: str, target: str, suffix: str, default: str
) -> None:
    ran = run("convert", "small.yaml", "small.pb", "-o", output, "--target", target)
    assert ran.code == 1 and f"error[X131]: '{output}' does not fit the target '{target}'" in ran.err
    assert f"expected the suffix {suffix}\n" in ran.err and f"such as '{default}'" in ran.err
    name = Path(output).with_suffix(suffix.split("'")[1])
    assert f"name the output '{name}'" in ran.err
