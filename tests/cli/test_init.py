"""The verb ``init``: where the recipe goes, what is said, and what a second witness says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import surgeon
from surgeon.formats.graphdef import save_graph
from surgeon.graph import DType, Graph, Node, Ref, Shape
from surgeon.language import recipe_schema
from surgeon.language.document import parse_document, to_plain

Zoo = Callable[..., Path]

CONFIG = """\
model {
  ssd {
    num_classes: 3
    image_resizer { fixed_shape_resizer { height: 300 width: 300 } }
    feature_extractor { type: 'ssd_mobilenet_v1' }
    anchor_generator { ssd_anchor_generator { aspect_ratios: [1, 2, 0.5, 3, 0.333333333] } }
    post_processing {
      batch_non_max_suppression { score_threshold: 1e-8 }
      score_converter: SIGMOID
    }
  }
}
eval_input_reader { label_map_path: "/data/labels.pbtxt" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo_ssd: Zoo) -> Path:
    """Give a working folder with ``ssd.pb``, a detector of three classes, and go there."""
    (tmp_path / "ssd.pb").write_bytes(zoo_ssd("2018").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recipe_goes_to_a_file_and_converts(run, folder: Path) -> None:
    ran = run("init", "ssd.pb", "-o", "mine.yaml")
    assert ran.code == 0 and ran.out == ""
    assert ran.err == (
        "mine.yaml: the recipe 'mine'; ssd_mobilenet_v1 for 3 classes at 300 x 300\n"
        "next: surgeon verify mine.yaml ssd.pb\n"
    )
    assert run("check", "mine.yaml", "ssd.pb").code == 0
    assert run("convert", "mine.yaml", "ssd.pb", "-o", "mine.uff").code == 0
    before = (folder / "mine.yaml").read_text()
    assert run("init", "ssd.pb", "-o", "mine.yaml", "--name", "other", "--force").code == 0
    assert (folder / "mine.yaml").read_text() == before.replace("name: mine\n", "name: other\n")


def test_a_file_that_may_have_been_edited_is_kept(run, folder: Path) -> None:
    recipe = folder / "mine.yaml"
    recipe.write_text("# the work of a week\n")
    ran = run("init", "ssd.pb", "-o", "mine.yaml")
    assert ran.code == 1 and "error[E120]: 'mine.yaml' is there already" in ran.err and "--force" in ran.err
    assert "next:" not in ran.err and recipe.read_text() == "# the work of a week\n"
    assert sorted(path.name for path in folder.iterdir()) == ["mine.yaml", "ssd.pb"]
    recipe.write_text("")
    assert run("init", "ssd.pb", "-o", "mine.yaml").code == 0
    assert run("init", "ssd.pb", "-o", "mine.yaml").code == 0  # the same content
    recipe.write_text(recipe.read_text() + "# edited\n")
    assert run("init", "ssd.pb", "-o", "mine.yaml", "--force").code == 0
    assert "# edited" not in recipe.read_text()


def test_an_editor_finds_the_schema_beside_the_recipe(run, folder: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    (folder / "recipes").mkdir()
    assert run("init", "ssd.pb", "-o", "recipes/mine.yaml").code == 0
    text = (folder / "recipes" / "mine.yaml").read_text()
    match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert match is not None
    schema = json.loads((folder / "recipes" / match[1]).read_text())
    assert schema == recipe_schema()
    validator = jsonschema.Draft202012Validator(schema)
    recipe = to_plain(parse_document(text, "mine.yaml"))  # YAML 1.2, as an editor reads it
    assert list(validator.iter_errors(recipe)) == []
    recipe["nodes"]["NMS"]["fields"]["topk"] = 100
    assert len(list(validator.iter_errors(recipe))) == 1


def test_a_schema_of_an_earlier_release_is_written_anew(run, folder: Path) -> None:
    (folder / "recipe.schema.json").write_text(json.dumps({"$id": "urn:trt-surgeon:recipe:0"}))
    assert run("init", "ssd.pb", "-o", "mine.yaml").code == 0
    assert json.loads((folder / "recipe.schema.json").read_text()) == recipe_schema()


def test_a_file_of_the_schema_s_name_is_kept(run, folder: Path) -> None:
    (folder / "recipe.schema.json").write_text("{}")
    ran = run("init", "ssd.pb", "-o", "mine.yaml")
    assert ran.code == 1 and "error[E120]: 'recipe.schema.json' is there already" in ran.err
    assert not (folder / "mine.yaml").exists() and (folder / "recipe.schema.json").read_text() == "{}"


def test_no_schema_goes_beside_a_device(run, folder: Path) -> None:
    before = sorted(Path("/dev").iterdir())
    assert run("init", "ssd.pb", "-o", "/dev/null").code == 0
    assert (
        sorted(Path("/dev").iterdir()) == before and "yaml-language-server" not in run("init", "ssd.pb").out
    )


def test_a_link_to_an_edited_recipe_keeps_it(run, folder: Path) -> None:
    (folder / "kept.yaml").write_text("# kept\n")
    (folder / "link.yaml").symlink_to("kept.yaml")
    assert run("init", "ssd.pb", "-o", "link.yaml").code == 1
    assert (folder / "kept.yaml").read_text() == "# kept\n"


def test_without_an_output_the_recipe_is_the_product(run, folder: Path) -> None:
    ran = run("init", "ssd.pb", "-q")
    assert ran.code == 0 and ran.err == ""
    assert surgeon.parse_recipe(ran.out).name == "ssd_mobilenet_v1"
    assert ran.out == surgeon.init("ssd.pb").text


def test_the_recipe_as_text(run, folder: Path, golden: Callable[[str, str], None]) -> None:
    (folder / "pipeline.config").write_text(CONFIG.replace("num_classes: 3", "num_classes: 90"))
    (folder / "labels.pbtxt").write_text(
        "item { id: 1 name: 'cat' } item { id: 2 name: 'dog' } item { id: 3 name: 'no' }"
    )
    golden("init.yaml", run("init", "ssd.pb", "--pipeline-config", "pipeline.config").out)


def test_json(run, folder: Path) -> None:
    (folder / "p.config").write_text(CONFIG.replace("1e-8", "0.3"))
    ran = run("init", "ssd.pb", "-o", "mine.yaml", "--json", "--pipeline-config", "p.config")
    assert (
        ran.code == 0
        and ran.json["recipe"] == "mine"
        and ran.json["text"] == (folder / "mine.yaml").read_text()
    )
    assert [d["code"] for d in ran.json["diagnostics"]] == ["D144"]
    differing = [each for each in ran.json["pipeline_config"] if not each["agrees"]]
    assert differing == [
        {
            "item": "score_threshold",
            "key": "NMS.confidenceThreshold",
            "said": "0.3",
            "found": "1e-08",
            "agrees": False,
            "line": 8,
        }
    ]


def test_a_config_and_its_labels_are_taken_from_beside(run, folder: Path) -> None:
    (folder / "p.config").write_text(CONFIG)
    (folder / "labels.pbtxt").write_text(
        "item { id: 1 name: 'cat' } item { id: 2 name: 'no' } item { id: 3 name: '$5' }"
    )
    ran = run("init", "ssd.pb", "--pipeline-config", "p.config", "-q")
    assert ran.code == 0 and ran.err == ""
    recipe = surgeon.parse_recipe(ran.out)
    assert recipe.labels == {1: "cat", 2: "no", 3: "$5"}
    assert "# p.config:3 agrees: num_classes 3" in ran.out and "values: all agree" in ran.out


def test_disagreement_is_said_and_the_graph_wins(run, folder: Path) -> None:
    (folder / "p.config").write_text(CONFIG.replace("num_classes: 3", "num_classes: 90"))
    ran = run("init", "ssd.pb", "-o", "mine.yaml", "--pipeline-config", "p.config")
    assert ran.code == 0
    assert (
        "p.config:3:18: warning[D144]: the pipeline config says num_classes 90; in the graph it is 3"
        in ran.err
    )
    text = (folder / "mine.yaml").read_text()
    assert "# p.config:3 says num_classes 90; the graph wins\n      numClasses: 4\n" in text


def test_labels_that_do_not_fit(run, folder: Path) -> None:
    (folder / "more.txt").write_text("a\nb\nc\nd\n")
    ran = run("init", "ssd.pb", "--labels", "more.txt")
    assert (
        ran.code == 0 and "warning[D145]: the labels go up to class 4; the detector has 3 classes" in ran.err
    )
    assert surgeon.parse_recipe(ran.out).labels == {1: "a", 2: "b", 3: "c"}
    (folder / "less.txt").write_text("background\na\nb\n")
    ran = run("init", "ssd.pb", "--labels", "less.txt")
    assert "the labels end at class 2" in ran.err and surgeon.parse_recipe(ran.out).labels == {1: "a", 2: "b"}


def test_a_broken_label_map_beside_the_config_is_a_warning(run, folder: Path) -> None:
    (folder / "p.config").write_text(CONFIG)
    (folder / "labels.pbtxt").write_text("item {")
    ran = run("init", "ssd.pb", "--pipeline-config", "p.config")
    assert (
        ran.code == 0
        and "labels.pbtxt:1:6: warning[D140]" in ran.err
        and surgeon.parse_recipe(ran.out).labels == {}
    )
    assert run("init", "ssd.pb", "--labels", "labels.pbtxt").code == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ssd.pb", "--pipeline-config", "absent.config"], "E101"),
        (["ssd.pb", "--pipeline-config", "bad.config"], "D140"),
        (["ssd.pb", "--pipeline-config", "wrong.config"], "D141"),
        (["ssd.pb", "--pipeline-config", "other.config"], "D142"),
        (["ssd.pb", "--labels", "other.config"], "D143"),
        (["empty.pb"], "D146"),
        (["absent.pb"], "E101"),
        (["ssd.pb", "-o", "ssd.pb"], "D149"),
        (["ssd.pb", "-o", "nowhere/r.yaml"], "E105"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_written(
    run, folder: Path, arguments: list[str], code: str
) -> None:
    (folder / "bad.config").write_text("model {")
    (folder / "wrong.config").write_text("model { ssd { num_classes: 'three' } }")
    (folder / "other.config").write_text("train_config { batch_size: 3 }")
    save_graph(Graph([Node("x", "Placeholder", attrs={"dtype": DType.FLOAT32})]), folder / "empty.pb")
    before = sorted(path.name for path in folder.iterdir())
    ran = run("init", *arguments)
    assert (
        ran.code == 1
        and f"error[{code}]" in ran.err
        and f"surgeon explain {code}" in ran.err
        and ran.out == ""
    )
    assert sorted(path.name for path in folder.iterdir()) == before
    assert (folder / "ssd.pb").read_bytes()[:1] != b"#"


def test_what_check_refuses_ends_with_1(run, folder: Path) -> None:
    graph = surgeon.load_graph("ssd.pb")
    name = next(node.name for node in graph if node.op == "Relu6")
    save_graph(
        graph.replace([replace(node, op="Sign") if node.name == name else node for node in graph]),
        folder / "sign.pb",
    )
    ran = run("init", "sign.pb", "-o", "sign.yaml")
    assert ran.code == 1 and "error[X101]" in ran.err and f"'{name}' (Sign)" in ran.err
    assert "'surgeon check' refuses the recipe as it is, for 1 reason above" in ran.err
    assert run("check", "sign.yaml", "sign.pb").code == 1
    ran = run("init", "sign.pb", "-o", "sign.yaml", "--target", "onnx@onnxruntime")
    assert ran.code == 0 and "error" not in ran.err
    assert "surgeon verify sign.yaml sign.pb --target onnx@onnxruntime" in ran.err
    assert run("check", "sign.yaml", "sign.pb", "--target", "onnx@onnxruntime").code == 0


def test_a_number_left_open_ends_with_1(run, folder: Path) -> None:
    graph = surgeon.load_graph("ssd.pb")
    fed = Node("fed", "Placeholder", attrs={"dtype": DType.FLOAT32, "shape": Shape(())})
    nodes = [
        replace(node, inputs=(*node.inputs[:3], Ref("fed"))) if "NonMaxSuppression" in node.op else node
        for node in graph
    ]
    save_graph(graph.replace([*nodes, fed]), folder / "fed.pb")
    ran = run("init", "fed.pb", "-o", "fed.yaml", "--json")
    assert ran.code == 1 and [d["severity"] for d in ran.json["diagnostics"]] == ["error"]
    assert "the threshold of overlap is not a constant" in ran.json["diagnostics"][0]["message"]
    refused = run("check", "fed.yaml", "fed.pb")
    assert refused.code == 1 and "nmsThreshold: auto" in refused.err
    text = (folder / "fed.yaml").read_text()
    (folder / "fed.yaml").write_text(text.replace("nmsThreshold: auto", "nmsThreshold: 0.6"))
    assert run("check", "fed.yaml", "fed.pb").code == 0
