"""`surgeon evaluate` on the demo model: sides, verdicts, what is kept, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.cli.progress import time_left
from surgeon.diagnostics import SurgeonError
from surgeon.evaluation import Evaluation
from surgeon.evaluation.sides import FileSide
from surgeon.formats.onnx.metadata import DIGEST
from surgeon.stages import listening
from surgeon.verification import Outcome
from surgeon.zoo import demo
from surgeon.zoo.demo.dataset import write_dataset
from surgeon.zoo.training.evaluation import evaluate as judge_pictures
from surgeon.zoo.training.evaluation import fresh_pictures
from surgeon.zoo.training.frozen import frozen_detector

pytest.importorskip("tensorflow", reason="TensorFlow runs the original")
pytest.importorskip("pycocotools", reason="pycocotools measures")
pytest.importorskip("PIL", reason="Pillow reads pictures")

Run = Callable[..., Any]
SEED, COUNT = 777_777, 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("shapes"), COUNT, SEED)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, dataset: Path, demo_recipe: Path) -> Path:
    """Give a folder with an evaluation of the original and the rewritten graph, which tests copy."""
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    surgeon.evaluate(demo_recipe, demo.model_path(), dataset, output=folder, resamples=50)
    return folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluated: Path, demo_recipe: Path) -> Path:
    """Give a working folder with the recipe, and 'out' with what was detected already."""
    shutil.copytree(evaluated, tmp_path / "out")
    shutil.copy(demo_recipe, tmp_path / "demo.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept_files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "detections").rglob("*") if path.is_file())


def evaluate(dataset: Path, **options: Any) -> Evaluation:
    options = {"resamples": 50, "output": "out", **options}
    return surgeon.evaluate("demo.yaml", demo.model_path(), dataset, **options)


def test_the_numbers_are_those_of_the_generator_of_the_pictures(dataset: Path, work: Path) -> None:
    found = evaluate(dataset)
    expected = judge_pictures(frozen_detector(demo.model_path()), fresh_pictures(COUNT, SEED))
    for side in found.sides:
        assert side.numbers["AP"] == pytest.approx(expected.map, abs=1e-6), side.name
        assert side.numbers["AP50"] == pytest.approx(expected.map50, abs=1e-6)
        by_class = {each.name: each.ap50 for each in side.classes}
        assert by_class == pytest.approx(expected.by_class, abs=1e-6)
        assert side.computed == 0
    original, rewritten = found.sides
    assert original.name == "original" and original.difference is None and found.passed
    assert rewritten.difference is not None and abs(rewritten.difference.loss) < 1e-6
    assert found.pictures == COUNT and found.objects == sum(each.objects for each in original.classes)
    assert json.loads(Path("out/evaluation.json").read_text()) == found.to_json()


def test_an_onnx_file_and_one_that_is_worse(
    dataset: Path, work: Path, run: Run, demo_onnx: Callable[..., Path]
) -> None:
    onnx = pytest.importorskip("onnx")
    shutil.copy(demo_onnx(), "good.onnx")
    model = onnx.load("good.onnx")
    # The boxes' regression loses what it says of their sizes.
    weights = [each for each in model.graph.initializer if len(each.dims) == 4 and each.dims[0] in (12, 24)]
    for each in weights:
        array = onnx.numpy_helper.to_array(each).copy()
        array[2::4] += np.float32(0.05)
        each.CopyFrom(onnx.numpy_helper.from_array(array, each.name))
    assert weights
    onnx.save(model, "worse.onnx")
    arguments = ("evaluate", "demo.yaml", demo.model_path(), "--dataset", dataset, "--resamples", 50)
    worse = run(*arguments, "--onnx", "good.onnx", "--onnx", "worse.onnx", "-o", "out")
    assert worse.code == 3 and "failed: 'worse.onnx' loses too much" in worse.out, worse.err
    assert "at most 0.5 are allowed" in worse.out and "AP50" in worse.out and "circle" in worse.out
    told = json.loads(Path("out/evaluation.json").read_text())
    sides = told["sides"]
    assert told["outcome"] == "failed"
    assert [side["name"] for side in sides] == ["original", "rewritten", "good.onnx", "worse.onnx"]
    assert [side["computed"] for side in sides] == [0, 0, COUNT, COUNT]
    assert sides[2]["numbers"]["AP"] == pytest.approx(sides[0]["numbers"]["AP"], abs=1e-4)
    assert sides[2]["runtime"]["ONNX file"] == "good.onnx" and sides[2]["difference"]["outcome"] == "passed"
    loss = told["sides"][3]["difference"]
    assert loss["low"] <= loss["loss"] <= loss["high"] and loss["loss"] > 0.5 and loss["outcome"] == "failed"
    assert told["disagreements"][0]["side"] == "worse.onnx"
    page = Path("out/index.html").read_text()
    assert "worse.onnx" in page and "data:image" in page and page.count("<svg") >= 2
    allowed = run(*arguments, "--onnx", "worse.onnx", "--max-drop", 100, "-o", "out", "--pictures", 2)
    assert allowed.code == 0 and "passed" in allowed.out


def test_an_interrupted_evaluation_goes_on_and_a_damaged_file_is_redone(
    dataset: Path, work: Path, evaluated: Path
) -> None:
    complete = json.loads((evaluated / "evaluation.json").read_text())
    shutil.rmtree("out")

    def interrupt(stage: str, at: str, done: int, total: int) -> None:
        if stage == "evaluating original" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), listening(interrupt):
        evaluate(dataset)
    kept = kept_files(work / "out")
    assert len(kept) == 3 and not (work / "out" / "evaluation.json").exists()
    kept[0].write_bytes(kept[0].read_bytes()[:-1])
    found = evaluate(dataset)
    assert [side.computed for side in found.sides] == [COUNT - 2, COUNT]
    (note,) = [each for each in found.diagnostics if each.code == "V148"]
    assert "1 picture" in note.message
    for side, before in zip(found.to_json()["sides"], complete["sides"], strict=True):
        assert side["numbers"] == before["numbers"] and side["difference"] == before["difference"]
    assert len(kept_files(work / "out")) == 2 * COUNT
    assert [side.computed for side in evaluate(dataset).sides] == [0, 0]


def test_what_is_kept_belongs_to_picture_recipe_and_options(dataset: Path, work: Path) -> None:
    assert [side.computed for side in evaluate(dataset, pictures=2).sides] == [0, 0]
    assert [side.computed for side in evaluate(dataset, pictures=2, batch=2).sides] == [2, 2]
    recipe = Path("demo.yaml").read_text()
    changed = recipe.replace("nmsThreshold: 0.6", "nmsThreshold: 0.9")
    assert changed != recipe
    Path("demo.yaml").write_text(changed)
    found = evaluate(dataset, pictures=2)
    assert [side.computed for side in found.sides] == [0, 2]  # the original is what it was


def test_what_is_kept_belongs_to_weights_beside_an_onnx_file(
    tmp_path: Path, demo_onnx: Callable[..., Path]
) -> None:
    onnx = pytest.importorskip("onnx")
    runners = pytest.importorskip("surgeon.runners.onnxruntime")
    path, weights = tmp_path / "demo.onnx", tmp_path / "demo.data"
    model = onnx.load(str(demo_onnx()))
    onnx.save(model, str(path), save_as_external_data=True, location=weights.name, size_threshold=4096)
    (graph,) = [row.value for row in model.metadata_props if row.key == DIGEST]

    def key() -> dict[str, Any]:
        side = FileSide(runners.OnnxRuntimeRunner, path, [], graph, None)
        side.close()
        return dict(side.depends_on)

    before = key()
    assert key() == before
    content = bytearray(weights.read_bytes())
    content[:4] = b"\0\0\0\1"
    weights.write_bytes(content)
    assert key() != before


def test_a_size_that_is_wrong_is_refused_for_kept_detections_too(dataset: Path, work: Path) -> None:
    content = json.loads(dataset.read_text())
    content["images"][1]["width"] *= 2
    path = dataset.with_name("twice.json")
    path.write_text(json.dumps(content))
    with pytest.raises(SurgeonError, match=r"V143.*and the dataset says"):
        evaluate(path)


def test_ctrl_c_says_that_nothing_is_lost(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(surgeon, "evaluate", interrupted)
    done = run("evaluate", "demo.yaml", "m.pb", "--dataset", "d.json", "-o", "out")
    assert done.code == 130 and "out: what was detected so far is kept" in done.err


def test_objects_that_do_not_count_are_refused(dataset: Path, work: Path) -> None:
    content = json.loads(dataset.read_text())
    for row in content["annotations"]:
        row["iscrowd"] = 1
    path = dataset.with_name("crowds.json")
    path.write_text(json.dumps(content))
    with pytest.raises(SurgeonError, match=r"V140.*all its objects are crowds or difficult"):
        evaluate(path)
    found = evaluate(dataset, pictures=1, resamples=1)
    assert json.dumps(found.to_json(), allow_nan=False)


def test_both_sides_of_a_letterboxed_picture_are_clipped_alike(tmp_path: Path) -> None:
    from surgeon.zoo.yolo import SAMPLES

    dataset = write_dataset(tmp_path / "shapes", 1, SEED)
    model = tmp_path / "yolo.pb"
    model.write_bytes(SAMPLES["keras_tiny_yolo_v3"]())
    recipe = surgeon.init(model).recipe
    content = json.loads(dataset.read_text())
    height, width = recipe.image.size  # type: ignore[union-attr]
    assert width * content["images"][0]["height"] != height * content["images"][0]["width"]
    classes: dict[str, str | int | None] = dict.fromkeys(demo.labels().values())
    classes[demo.labels()[content["annotations"][0]["category_id"]]] = 1
    found = surgeon.evaluate(recipe, model, dataset, classes=classes, labels={1: "thing"}, resamples=2)
    assert found.disagreements == () and found.passed


def test_the_time_left_is_estimated_from_what_was_computed_now() -> None:
    assert time_left(3, 97, 30.0) == "about 16 min left" and time_left(10, 90, 10.0) == "about 90 s left"
    assert time_left(2, 100, 30.0) == "" == time_left(99, 1, 10.0) == time_left(5, 0, 10.0)


def test_an_engine_is_evaluated_and_one_of_another_graph_is_refused(
    fake: pytest.MonkeyPatch, dataset: Path, work: Path, run: Run
) -> None:
    fake.setenv("FAKE_MARKS", json.dumps({"MarkOutput_0": [["NMS", [1, 100, 7]], ["NMS_1", [1, 1, 1]]]}))
    fake.setenv("FAKE_LOSSES", json.dumps({"nothing": 1}))
    assert run("build", "demo.yaml", demo.model_path(), "-o", "demo.engine", "--batch", 4).code == 0
    arguments = ("evaluate", "demo.yaml", demo.model_path(), "--dataset", dataset, "-o", "out")
    done = run(*arguments, "--engine", "demo.engine", "--resamples", 50, "--json")
    assert done.code == 3, done.err  # it detects the same shapes in the same places of every picture
    engine = done.json["sides"][2]
    assert engine["runtime"]["GPU"] == "Fake GPU" and engine["computed"] == COUNT
    assert engine["difference"]["outcome"] == "failed" and engine["numbers"]["AP"] < 0.1
    assert done.json["target"] == "uff@tensorrt-8.5"
    manifest = Path("demo.engine.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "graph": "0" * 64}))
    assert "V124" in run(*arguments, "--engine", "demo.engine").err
    fake.setenv("SURGEON_DEVICES", "[]")
    none = run(*arguments, "--engine", "demo.engine")
    assert none.code == 1 and "error[B" in none.err and "Traceback" not in none.err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"max_drop": -1.0}, "V147"),
        ({"max_drop": float("nan")}, "V147"),
        ({"batch": 0}, "V147"),
        ({"pictures": 0}, "V147"),
        ({"resamples": 0}, "V147"),
        ({"seed": -1}, "V147"),
        ({"labels": {1: "disc"}}, "V144"),
        ({"labels": {2: "circle", 3: "square", 4: "triangle", 5: "star", 6: "cross", 1: "ring"}}, "V145"),
        ({"split": "val"}, "V140"),
        ({"images": "nowhere"}, "V143"),
    ],
)
def test_what_cannot_be_evaluated(dataset: Path, work: Path, options: dict[str, Any], code: str) -> None:
    with pytest.raises(SurgeonError) as info:
        evaluate(dataset, **options)
    assert info.value.diagnostics[0].code == code and info.value.diagnostics[0].help


def test_a_network_that_detects_nothing_is_refused(dataset: Path, tmp_path: Path, run: Run) -> None:
    from surgeon.zoo.lenet import build_lenet

    model = tmp_path / "lenet.pb"
    model.write_bytes(build_lenet())
    labels = ("--labels", demo.labels_path())
    done = run("evaluate", "lenet5_clip", model, "--dataset", dataset, *labels)
    assert done.code == 1 and "V146" in done.err and "gives no detections" in done.err


def test_an_original_that_finds_nothing_is_inconclusive(dataset: Path, work: Path, run: Run) -> None:
    # Objects of one class alone, whose pictures show other shapes.
    content = json.loads(dataset.read_text())
    for row in content["annotations"]:
        row["bbox"], row["area"] = [0.0, 0.0, 1.0, 1.0], 1.0
    path = dataset.with_name("elsewhere.json")
    path.write_text(json.dumps(content))
    done = run("evaluate", "demo.yaml", demo.model_path(), "--dataset", path, "-o", "out")
    assert done.code == 3 and "inconclusive" in done.out
    assert json.loads(Path("out/evaluation.json").read_text())["outcome"] == str(Outcome.INCONCLUSIVE)
