"""Every verb, as text and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from detector_graphs import SMALL

import surgeon

VERBS = [
    "apply",
    "bench",
    "build",
    "check",
    "compat",
    "completion",
    "config",
    "convert",
    "demo",
    "diff",
    "doctor",
    "evaluate",
    "explain",
    "fleet",
    "help",
    "init",
    "inspect",
    "list",
    "migrate",
    "new",
    "package",
    "plan",
    "run",
    "schema",
    "test",
    "verify",
    "view",
]


def test_the_verbs_are_discovered() -> None:
    from surgeon.cli import verbs

    assert list(verbs()) == VERBS
    for module in verbs().values():
        assert module.SUMMARY and module.__doc__ and callable(module.run)


def test_two_files_for_one_verb_are_refused(monkeypatch) -> None:
    import surgeon.cli.diff
    from surgeon.cli import verbs

    monkeypatch.setattr(surgeon.cli.diff, "NAME", "check")
    with pytest.raises(surgeon.SurgeonError, match=r"surgeon\.cli\.check.*surgeon\.cli\.diff"):
        verbs()


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_the_json_twin(run, verb: str) -> None:
    ran = run(verb, "--help")
    assert ran.code == 0 and "--json" in ran.out


def test_inspect_golden(run, work: Path, golden: Callable[[str, str], None]) -> None:
    ran = run("inspect", "small.pb", "--depth", "2", "--ops")
    assert (ran.code, ran.err) == (0, "next: surgeon init small.pb -o small.yaml\n")
    golden("inspect.txt", ran.out)


def test_inspect_json(run, work: Path) -> None:
    found = run("inspect", "small.pb", "--json").json
    assert found["nodes"] == 9 and found["constant_bytes"] == 28
    assert found["inputs"] == {"picture": "uint8[?,4,4,3]"} and found["outputs"] == {"result": "Identity"}
    assert [u["namespace"] for u in found["unsupported"]] == ["pre"]
    assert found["unsupported"][0]["ops"] == {"Cast": 1}


def test_inspect_folds_what_lies_deeper(run, zoo_ssd: Callable[..., Path]) -> None:
    model = zoo_ssd("2018", **SMALL)
    folded, opened = run("inspect", model).out, run("inspect", model, "--depth", "2").out
    assert "▸ FeatureExtractor" in folded and "▾" not in folded and "MobilenetV1" not in folded
    assert "▾ FeatureExtractor" in opened and "    ▸ MobilenetV1" in opened and "    image_tensor" in opened
    bars = [line.count("█") for line in folded.splitlines() if "█" in line or "▏" in line]
    assert len(bars) > 8 and max(bars) == 10 and min(bars) == 0
    assert all(
        ("█" in line or "▏" in line) == (" 0 B" not in line)
        for line in folded.splitlines()
        if line.endswith(" B")
    )


def test_inspect_looks_into_one_namespace(run, work: Path) -> None:
    inside = run("inspect", "small.pb", "--under", "body/", "--json").json["namespaces"]
    everything = run("inspect", "small.pb", "--depth", "2", "--json").json["namespaces"]
    assert inside and all(one["name"].startswith("body/") and one["depth"] == 1 for one in inside)
    assert sum(one["nodes"] for one in inside) == next(
        one["nodes"] for one in everything if one["name"] == "body"
    )
    ran = run("inspect", "small.pb", "--under", "bodi")
    assert ran.code == 1 and "G110" in ran.err and "nearest: 'body'" in ran.err


def test_the_tree_is_plain_where_the_terminal_is(
    run, zoo_ssd: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surgeon.cli.console.writes", lambda text: False)
    out = run("inspect", zoo_ssd("2018", **SMALL), "--depth", "2").out
    assert "- FeatureExtractor" in out and "+ MobilenetV1" in out and "##########" in out and out.isascii()


def test_inspect_says_which_recipes_fit(run, work: Path) -> None:
    mine = run("inspect", "small.pb", "--json", "--recipe-path", ".").json["fits"]
    assert [fit["recipe"] for fit in mine] == ["small"]
    assert run("inspect", "small.pb", "--json").json["fits"] == []


def test_a_uff_file_is_read_back(run, work: Path) -> None:
    assert run("convert", "small.yaml", "small.pb", "-o", "small.uff").code == 0
    found = run("inspect", "small.uff", "--json").json
    assert found["format"] == "uff" and found["plugins"] == {"clip": "CustomClipPlugin"}
    assert found["inputs"] == {"Input": "float32[1,3,4,4]"} and found["outputs"] == {"MarkOutput_0": "clip"}
    assert "UFF file" in run("inspect", "small.uff").out


def test_check_without_a_model(run, work: Path) -> None:
    ran = run("check", "small.yaml")
    assert ran.code == 0 and "fine" in ran.out and "top=6.0" in ran.out
    assert run("check", "small.yaml", "--json").json["parameters"] == {"top": 6.0}


def test_check_golden(run, work: Path, golden: Callable[[str, str], None]) -> None:
    ran = run("check", "small.yaml", "small.pb")
    assert (ran.code, ran.err) == (0, "next: surgeon verify small.yaml small.pb\n")
    golden("check.txt", ran.out)
    assert sorted(p.name for p in work.iterdir()) == ["small.pb", "small.yaml"]


def test_check_shows_what_the_target_refuses(run, work: Path) -> None:
    text = (work / "small.yaml").read_text().replace("  pre: Input\n", "").replace("  picture: Input\n", "")
    (work / "half.yaml").write_text(text.replace("  Input: {op: Placeholder, like: pre/scaled}\n", ""))
    ran = run("check", "half.yaml", "small.pb", "--json")
    assert ran.code == 1
    assert "X101" in [d["code"] for d in ran.json["diagnostics"]]
    assert "X101" in ran.err


def test_plan_golden(run, work: Path, golden: Callable[[str, str], None]) -> None:
    ran = run("plan", "small.yaml", "small.pb")
    assert (ran.code, ran.err) == (
        0,
        "next: surgeon convert small.yaml small.pb -o small.uff\n"
        "  or: surgeon convert small.yaml small.pb -o small.onnx\n",
    )
    golden("plan.txt", ran.out)


def test_a_plan_can_be_kept_and_applied(run, work: Path) -> None:
    assert run("plan", "small.yaml", "small.pb", "-o", "plan.json").code == 0
    assert run("plan", "small.yaml", "small.pb", "--json").json == json.loads(
        (work / "plan.json").read_text()
    )
    assert run("apply", "plan.json", "small.pb", "-o", "applied.uff").code == 0
    assert run("convert", "small.yaml", "small.pb", "-o", "converted.uff").code == 0
    assert (work / "applied.uff").read_bytes() == (work / "converted.uff").read_bytes()


def test_a_plan_is_for_its_own_graph(
    run, work: Path, graph_file: Callable[..., Path], graph_text: str
) -> None:

    run("plan", "small.yaml", "small.pb", "-o", "plan.json")
    graph_file(work / "other.pb", graph_text.replace("0.5", "0.25"))
    ran = run("apply", "plan.json", "other.pb", "-o", "out.uff", "--json")
    assert ran.code == 1 and ran.json["diagnostics"][0]["code"] == "S404"
    assert not (work / "out.uff").exists()


@pytest.mark.parametrize("suffix", ["uff", "pb", "pbtxt"])
def test_convert(run, work: Path, suffix: str) -> None:
    output = work / f"out.{suffix}"
    ran = run("convert", "small.yaml", "small.pb", "-o", output)
    assert (ran.code, ran.out) == (0, "") and str(output) in ran.err
    done = run("convert", "small.yaml", "small.pb", "-o", output, "--json").json
    assert done["nodes"] == {"before": 9, "after": 4} and done["bytes"] == output.stat().st_size
    assert done["target"] == ("uff@tensorrt-8.5" if suffix == "uff" else "graphdef")


def test_parameters_are_set(run, work: Path) -> None:
    run("convert", "small.yaml", "small.pb", "-o", "out.pb", "--set", "top=4.5")
    from surgeon import load_graph

    assert load_graph("out.pb")["clip"].attrs["clipMax"] == 4.5


def test_diff(run, work: Path) -> None:
    run("convert", "small.yaml", "small.pb", "-o", "out.pb")
    ran = run("diff", "small.pb", "out.pb")
    assert ran.code == 0 and "pre/scaled" in ran.out and "clip" in ran.out
    assert run("diff", "small.pb", "out.pb", "--json").json
    assert "pre/scaled" not in run("diff", "small.pb", "small.pb").out


@pytest.mark.parametrize("what", ["recipes", "plugins", "steps", "ops", "targets"])
def test_list(run, what: str) -> None:
    ran = run("list", what)
    rows = run("list", what, "--json").json
    assert ran.code == 0 and rows
    key = next(iter(rows[0]))
    assert [line.split()[0] for line in ran.out.splitlines()] == [row[key] for row in rows]


def test_list_for_a_target(run) -> None:
    every = {row["op"] for row in run("list", "plugins", "--json").json}
    old = {row["op"] for row in run("list", "plugins", "--target", "uff@tensorrt-7.1", "--json").json}
    assert old < every
    ops = run("list", "ops", "--target", "uff@tensorrt-8.5", "--json").json
    assert all(row["in UFF"] for row in ops) and len(ops) < len(run("list", "ops", "--json").json)


@pytest.mark.parametrize(
    ("subject", "kind", "words"),
    [
        ("R101", "code", "YAML"),
        ("r101", "code", "YAML"),
        ("NMS_TRT", "plugin", "keepTopK"),
        ("collapse", "step", "Before"),
        ("Conv2D", "op", "converted"),
        ("uff@tensorrt-8.5", "target", "TensorRT"),
        ("ssd", "recipe", "num_classes"),
    ],
)
def test_explain(run, subject: str, kind: str, words: str) -> None:
    ran = run("explain", subject)
    twin = run("explain", subject, "--json").json
    assert ran.code == 0 and words in ran.out and twin["kind"] == kind


def test_explain_nothing(run) -> None:
    ran = run("explain", "NMS_TRTT", "--json")
    assert ran.code == 1 and ran.json["diagnostics"][0]["code"] == "E111"
    assert "'NMS_TRT'" in ran.err


def test_every_code_can_be_explained(run) -> None:
    from surgeon.diagnostics import all_codes

    for code in all_codes():
        ran = run("explain", code)
        assert ran.code == 0 and re.match(rf"{code}: \S", ran.out)


def test_schema(run, work: Path) -> None:
    ran = run("schema", "-o", "schema.json")
    assert ran.code == 0 and ran.out == ""
    assert (
        json.loads((work / "schema.json").read_text()) == run("schema").json == run("schema", "--json").json
    )


def test_doctor(run) -> None:
    ran = run("doctor", "--json")
    assert ran.code == 0 and ran.json["broken"] == 0
    assert {"Python", "numpy", "recipes", "plugins", "targets"} <= {f["thing"] for f in ran.json["findings"]}
    assert "BROKEN" not in run("doctor").out


def test_doctor_finds_a_broken_plugin_and_recipe(run, work: Path, own_plugins: Path) -> None:
    (own_plugins / "Twice" / "plugin.yaml").write_text("title: 3\n")
    (work / "recipes").mkdir()
    (work / "recipes" / "bad.yaml").write_text("recipe: 1\n")
    ran = run("doctor", "--plugin-path", own_plugins, "--recipe-path", "recipes")
    assert ran.code == 1
    assert re.search(r"BROKEN +plugin Twice", ran.out) and re.search(r"BROKEN +recipe bad", ran.out)


def test_demo(run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorflow", "PIL"):
        pytest.importorskip(module)
    verified: list[surgeon.Verification] = []
    verify = surgeon.verify

    def once(*arguments: object, **options: object) -> surgeon.Verification:
        verified.extend([] if verified else [verify(*arguments, **options)])
        return verified[0]

    monkeypatch.setattr(surgeon, "verify", once)
    ran = run("demo", "-o", "the demo")
    assert ran.code == 0 and "Postprocessor" in ran.out and re.search(r"end to end +passed", ran.out)
    made = sorted(p.name for p in (work / "the demo").iterdir())
    assert made == [
        "detections",
        "labels.pbtxt",
        "pictures",
        "recipe.schema.json",
        "ssd.pb",
        "ssd.uff",
        "ssd.yaml",
        "ssd_plugins.pb",
    ]
    assert len(list((work / "the demo" / "detections").glob("*.png"))) == 4
    twin = run("demo", "-o", "the demo", "--json").json
    assert twin["put in"]["NMS"]["op"] == "NMS_TRT" and twin["taken out"]["Postprocessor"]["into"] == "NMS"
    assert twin["verification"]["outcome"] == "passed"


def test_demo_without_pillow_converts_and_says_what_is_missing(run, work: Path, monkeypatch) -> None:
    from surgeon.diagnostics import error

    def refused(*args: object, **kwargs: object) -> None:
        raise error("E108", "'PIL' is not installed; it is needed for reading a picture")

    monkeypatch.setattr(surgeon, "verify", refused)
    ran = run("demo", "-o", "the demo")
    assert ran.code == 0 and "not compared: 'PIL' is not installed" in ran.out
    assert sorted(p.name for p in (work / "the demo").iterdir()) == [
        "labels.pbtxt",
        "pictures",
        "recipe.schema.json",
        "ssd.pb",
        "ssd.uff",
        "ssd.yaml",
        "ssd_plugins.pb",
    ]
    assert len(list((work / "the demo" / "pictures").glob("*.jpg"))) == 4


def test_the_next_step_for_tensorrt_rtx_is_its_own_program(capsys: pytest.CaptureFixture[str]) -> None:
    from surgeon.cli.next_step import after_convert

    after_convert(Path("ssd.onnx"), "onnx@tensorrt-rtx", None)
    said = capsys.readouterr().err
    assert "tensorrt_rtx --onnx=ssd.onnx --saveEngine=ssd.engine" in said and "surgeon build" not in said
    after_convert(Path("ssd.onnx"), "onnx@tensorrt-11", None)
    assert "surgeon build ssd.onnx -o ssd.engine" in capsys.readouterr().err
