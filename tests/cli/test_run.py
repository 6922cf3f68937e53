"""The verb ``run``: its table, its files, its JSON, and what its exit code says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from surgeon.language import Image, ImageStep
from surgeon.zoo import demo

pytest.importorskip("PIL", reason="Pillow reads and writes pictures")

IMAGE = Image(size=(300, 300), steps=(ImageStep(divide=255.0),))


class FakeEngine:
    """A stand-in for an engine: a box of class 2 in each picture, whose score is the mean of the input."""

    def __init__(self, path: Path, image: Image | None) -> None:
        self.path, self.batches, self.closed = path, [], False
        self.manifest = SimpleNamespace(
            image=image,
            labels={2: "square"},
            detections={"detections": "NMS", "keep_count": "NMS:1"},
            max_batch=3,
            graph="",
            tf32=False,
            precision="fp32",
            tensorrt="8.5.3.1",
            gpu="none",
            inputs=(SimpleNamespace(name="Input", dtype="float32", shape=(None, 300, 300, 3)),),
            outputs=(SimpleNamespace(name="NMS"),),
        )

    def close(self) -> None:
        self.closed = True

    def run_each(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
        return map(self.run, batches)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.batches.append(len(feeds["Input"]))
        means = feeds["Input"].reshape(len(feeds["Input"]), -1).mean(axis=1)
        return {"NMS": np.array([[[[0, 2, mean, 0.1, 0.2, 0.5, 1.0]]] for mean in means], np.float32)}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a working folder with ``pictures`` and ``model.pb``, and go there."""
    (tmp_path / "pictures").mkdir()
    for path in demo.picture_paths():
        shutil.copy(path, tmp_path / "pictures" / path.name)
    shutil.copy(demo.model_path(), tmp_path / "model.pb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def engine(work: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Give the stand-in that ``x.engine`` is; ``bare.engine`` is one without an image."""
    import surgeon.engine

    engines = {
        name: FakeEngine(Path(name), image)
        for name, image in {"x.engine": IMAGE, "bare.engine": None}.items()
    }
    for name in engines:
        (work / name).touch()

    def load(path: Path, *, plugin_libraries: Any = ()) -> FakeEngine:
        return engines[str(path)]

    monkeypatch.setattr(surgeon.engine, "load_engine", load)
    return engines["x.engine"]


def codes(ran: Any) -> list[str]:
    return [d["code"] for d in ran.json["diagnostics"]]


def test_a_recipe_and_its_model(run, work: Path, demo_recipe: Path) -> None:
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    shutil.copy(demo_recipe, "demo.yaml")
    ran = run("run", "demo.yaml", "model.pb", "pictures", "-o", "found", "--threshold", "0.9")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "pictures/shapes_7_18.jpg: 240 x 320, 1 detection of 0.9 or more"
    assert lines[1].split()[:3] == ["0.966", "5", "cross"] and " to " in lines[1]
    assert "found: 4 pictures and detections.json" in ran.err
    stored = json.loads(Path("found/detections.json").read_text())
    assert [Path(one["drawn"]).is_file() for one in stored["pictures"]] == [True] * 4
    assert {row["label"] for one in stored["pictures"] for row in one["detections"]} == {
        "cross",
        "ring",
        "circle",
        "star",
        "triangle",
    }
    ran = run("run", "demo.yaml", "model.pb", "pictures/shapes_7_3.jpg", "--json")
    (only,) = ran.json["pictures"]
    assert ran.code == 0 and only["size"] == {"height": 320, "width": 240} and "drawn" not in only
    assert (
        set(only["detections"][0]) == {"class", "label", "score", "box", "pixels"}
        and len(only["detections"]) > 5
    )


def test_an_engine(run, engine: FakeEngine) -> None:
    ran = run("run", "x.engine", "pictures", "--json")
    assert ran.code == 0 and engine.batches == [3, 1] and engine.closed
    rows = [row for one in ran.json["pictures"] for row in one["detections"]]
    assert (
        len(rows) == 4
        and {row["label"] for row in rows} == {"square"}
        and len({row["score"] for row in rows}) == 4
    )
    assert run("run", "x.engine", "pictures", "--batch", "1", "--json").out == ran.out
    assert engine.batches[2:] == [1, 1, 1, 1]
    assert (
        run("run", "x.engine", "pictures", "--threshold", "1", "--json").json["pictures"][0]["detections"]
        == []
    )


def test_labels_of_a_file(run, engine: FakeEngine, work: Path) -> None:
    (work / "names.txt").write_text("lamp\ntable\n")
    assert " table " in run("run", "x.engine", "pictures", "--labels", "names.txt").out
    (work / "map.pbtxt").write_text('item { id: 2 name: "chair" }\n')
    assert " chair " in run("run", "x.engine", "pictures", "--labels", "map.pbtxt").out
    assert codes(run("run", "x.engine", "pictures", "--labels", "nothing.txt", "--json")) == ["E101"]


def test_a_broken_picture_ends_in_1_and_takes_no_other_along(run, engine: FakeEngine, work: Path) -> None:
    (work / "pictures" / "a.jpg").write_bytes(b"no picture")
    ran = run("run", "x.engine", "pictures", "-o", "found")
    assert ran.code == 1 and "error[V101]" in ran.err and "'pictures/a.jpg'" in ran.err
    assert "1 of 5 pictures could not be read" in ran.err and ran.out.count("1 detection of") == 4
    assert sum(path.suffix == ".png" for path in (work / "found").iterdir()) == 4
    ran = run("run", "x.engine", "pictures", "--json")
    assert ran.code == 1 and codes(ran) == ["V101"] and len(ran.json["pictures"]) == 4


def test_an_engine_without_an_image(run, engine: FakeEngine, work: Path) -> None:
    ran = run("run", "bare.engine", "pictures")
    assert ran.code == 1 and "error[V112]" in ran.err and "--image-from" in ran.err
    assert codes(run("run", "bare.engine", "pictures", "--image-from", "ssd", "--json")) == ["V118"]
    assert run("run", "bare.engine", "pictures", "--image-from", "ssd", "--model", "model.pb").code == 0
    (work / "own.yaml").write_text(
        "recipe: 1\nname: own\nextends: [lenet5_clip]\nimage: {size: [300, 300], steps: [{divide: 255.0}]}\n"
    )
    ran = run("run", "bare.engine", "pictures", "--image-from", "own.yaml", "--json")
    assert ran.out == run("run", "x.engine", "pictures", "--json").out


def test_outputs_of_a_network_without_detections(run, engine: FakeEngine, work: Path) -> None:
    engine.manifest.detections = {}
    ran = run("run", "x.engine", "pictures/shapes_7_3.jpg", "-o", "found", "--tensors")
    assert (
        ran.code == 0
        and "no detections; the network's outputs" in ran.out
        and "float32[1, 1, 7]  largest: [0,0,1] 2" in ran.out
    )
    assert sorted(path.name for path in (work / "found").iterdir()) == [
        "detections.json",
        "shapes_7_3.jpg.npz",
    ]
    with np.load("found/shapes_7_3.jpg.npz") as arrays:
        assert arrays["NMS"].shape == (1, 1, 7)


REFUSED = {
    "a recipe without a model": ("V113", ["ssd", "pictures"]),
    "a model where there is none": ("V113", ["x.engine", "pictures", "--model", "model.pb"]),
    "two models": ("V113", ["ssd", "model.pb", "pictures", "--model", "model.pb"]),
    "tensors without a folder": ("V113", ["x.engine", "pictures", "--tensors"]),
    "a library beside a recipe": ("V113", ["ssd", "model.pb", "pictures", "--plugin-library", "x.so"]),
    "a library beside an ONNX file": ("V113", ["x.onnx", "pictures", "--plugin-library", "x.so"]),
    "an image beside a recipe": ("V113", ["ssd", "model.pb", "pictures", "--image-from", "ssd"]),
    "an ONNX file that is none": ("X150", ["x.onnx", "pictures"]),
    "a UFF file": ("V115", ["x.uff", "pictures"]),
    "no such engine": ("E101", ["y.engine", "pictures"]),
    "no such picture": ("V102", ["x.engine", "nothing.jpg"]),
    "too large a batch": ("V116", ["x.engine", "pictures", "--batch", "4"]),
    "the folder of the pictures": ("V117", ["x.engine", "pictures", "-o", "pictures"]),
    "a file for a folder": ("E105", ["x.engine", "pictures", "-o", "model.pb"]),
    "no such recipe": ("R112", ["sd", "model.pb", "pictures"]),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_refused_leaves_nothing(run, engine: FakeEngine, work: Path, name: str) -> None:
    code, arguments = REFUSED[name]
    (work / "x.onnx").touch()
    (work / "x.uff").touch()
    before = sorted(work.rglob("*"))
    ran = run("run", *arguments, "--json")
    assert ran.code == 1 and codes(ran) == [code] and f"error[{code}]" in ran.err
    assert sorted(work.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["x.engine"],
        ["x.engine", "p", "--threshold", "2"],
        ["x.engine", "p", "--threshold", "much"],
        ["x.engine", "p", "--batch", "0"],
    ],
)
def test_wrong_usage(run, arguments: list[str]) -> None:
    ran = run("run", *arguments)
    assert ran.code == 2 and ran.out == "" and "usage: surgeon run" in ran.err


@pytest.mark.parametrize("columns", ["40", "120"])
def test_help(run, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert run("run", "--help").code == 0
