"""The verb ``verify``: its table, its JSON, and what its exit code says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from detector_graphs import SMALL

from surgeon.formats.graphdef import to_bytes
from surgeon.graph import parse_graph

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
pytest.importorskip("PIL", reason="Pillow reads and writes pictures")

NUMBERS = """\
recipe: 1
name: numbers
extends: [ssd]
anchors: plugin
parameters: {ratio: 0.33, image_scale: 0.0078431377}
labels: {1: cat, 2: dog}
nodes:
  GridAnchor: {fields: {minSize: 0.2, maxSize: 0.95, aspectRatios: [1.0, 2.0, 0.5, 3.0, $ratio], variance: [0.1, 0.1, 0.2, 0.2]}}
image: {size: [96, 96], steps: [{scale: $image_scale}, {subtract: 1.0}]}
"""


@pytest.fixture
def model(zoo_ssd: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a generated detector; the working folder holds ``numbers.yaml``."""
    (tmp_path / "numbers.yaml").write_text(NUMBERS)
    monkeypatch.chdir(tmp_path)
    return zoo_ssd("2019", **SMALL)


def test_a_shipped_recipe_passes(run, model: Path) -> None:
    ran = run("verify", "ssd", model)
    assert ran.code == 0 and ran.err.startswith("next: surgeon convert ssd")
    lines = ran.out.splitlines()
    assert lines[0] == f"recipe 'ssd' on {model} for uff@tensorrt-8.5"
    assert lines[1] == "put in: made, seed 0 (none was given with --images)"
    assert [line for line in lines if line.startswith(("cut to cut", "each alone", "end to end"))] == [
        "cut to cut: passed",
        "each alone: passed",
        "end to end: passed",
    ]
    assert lines[-1].startswith("passed") and any("Postprocessor -> NMS" in line for line in lines)


def test_numbers_that_are_not_the_graphs_fail_and_are_named(run, model: Path) -> None:
    ran = run("verify", "numbers.yaml", model)
    assert ran.code == 3 and "error[" not in ran.err
    assert "exact-ratios" in ran.out and "the recipe could avoid" in ran.out
    assert ran.out.splitlines()[-1] == "failed: 'cut to cut' and 'each alone' and 'end to end'"
    assert run("verify", "numbers.yaml", model, "--max-excused", "15").code == 0


def test_differences_that_nothing_explains_are_listed(run, model: Path) -> None:
    ran = run("verify", "numbers.yaml", model, "--set", "ratio=0.4", "--max-excused", "100")
    assert ran.code == 3
    listed = [
        line.split()
        for line in ran.out.splitlines()
        if line.strip().startswith(("differs", "missing", "extra"))
    ]
    assert listed and all("class" in words and "score" in words for words in listed)
    assert "(dog)" in ran.out or "(cat)" in ran.out


def test_a_wrong_scale_fails_from_pixels_only(run, model: Path) -> None:
    draw_pictures("b")
    ran = run(
        "verify",
        "numbers.yaml",
        model,
        "--set",
        "ratio=0.33333334",
        "--set",
        "image_scale=0.0039215686",
        "--images",
        "in/b.png",
        "--json",
    )
    assert ran.code == 3 and ran.json["pictures"] == ["in/b.png"] and ran.json["made"] is False
    assert {v["name"]: v["outcome"] for v in ran.json["verdicts"]} == {
        "cut to cut": "passed",
        "each alone": "failed",
        "end to end": "failed",
    }


def test_json_has_everything_and_anchors_may_be_a_constant(run, model: Path) -> None:
    ran = run(
        "verify",
        "numbers.yaml",  # its anchors, which are wrong, are not used
        model,
        "--anchors",
        "constant",
        "--json",
        "--seed",
        "3",
        "--box-tolerance",
        "1e-3",
        "--score-tolerance",
        "2e-3",
    )
    assert ran.code == 0 and ran.json["outcome"] == "passed" and ran.json["made"] is True
    assert ran.json["pictures"] == ["made, seed 3"]
    assert ran.json["tolerances"] == {"box": 1e-3, "score": 2e-3, "tensor": 1e-5, "mask": 1e-3}
    assert [v["name"] for v in ran.json["verdicts"]] == ["cut to cut", "each alone", "end to end"]
    assert ran.json["verdicts"][0]["comparisons"][0]["original"] == 100


def draw_pictures(*names: str) -> None:
    """Write pictures of noise into the folder 'in'."""
    import numpy as np
    from PIL import Image

    Path("in").mkdir()
    for name in names:
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (60, 90, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(f"in/{name}.png")


def test_pictures_are_drawn(run, model: Path, tmp_path: Path) -> None:
    draw_pictures("a", "b")
    ran = run("verify", "ssd", model, "--images", "in", "-o", "out")
    assert ran.code == 0 and "(none was given" not in ran.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png.png", "b.png.png"]
    assert "NMS, in/a.png" in ran.out and "drawn: out/a.png.png" in ran.err


def test_nothing_detected_is_told_apart(run, zoo_ssd: Callable[..., Path], model: Path) -> None:
    ran = run("verify", "ssd", zoo_ssd("2019", **SMALL, score_threshold=1.0))
    assert ran.code == 3 and ran.out.splitlines()[-1].startswith("inconclusive: ")
    assert "give pictures in which something is detected" in ran.out


def test_without_image_it_is_not_verified(run, model: Path) -> None:
    Path("bare.yaml").write_text("recipe: 1\nname: bare\nextends: [ssd]\nimage: null\n")
    ran = run("verify", "bare.yaml", model)
    assert ran.code == 3 and ran.out.splitlines()[-1] == "not verified: 'end to end' could not be compared"


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("V102", ["--images", "nowhere"]),
        ("V101", ["--images", "bad.png"]),
        ("R112", []),
        ("E105", ["-o", "numbers.yaml/x"]),
    ],
)
def test_errors_are_no_verdicts(run, model: Path, code: str, arguments: list[str]) -> None:
    Path("bad.png").write_text("no picture")
    ran = run("verify", "ssd" if code != "R112" else "sssd", model, *arguments, "--json")
    assert ran.code == 1 and [d["code"] for d in ran.json["diagnostics"]] == [code]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--box-tolerance", "0"],
        ["--score-tolerance", "much"],
        ["--max-excused", "-1"],
        ["--seed", "x"],
        ["--anchors", "grid"],
    ],
)
def test_wrong_usage_of_verify(run, model: Path, arguments: list[str]) -> None:
    assert run("verify", "ssd", model, *arguments).code == 2


TINY = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
out = Tanh(x) {T: float32}
"""


def test_arrays_are_given(run, tmp_path: Path) -> None:
    graph, recipe, arrays = (tmp_path / name for name in ("tiny.pb", "tiny.yaml", "arrays.npz"))
    graph.write_bytes(to_bytes(parse_graph(TINY)))
    recipe.write_text("recipe: 1\nname: tiny\noutputs: [out]\nsteps: [prune]\n")
    np.savez(arrays, x=np.arange(4, dtype=np.float32)[None])
    ran = run("verify", recipe, graph, "--inputs", arrays)
    assert ran.code == 0 and "put in: arrays.npz\n" in ran.out
    np.savez(arrays, y=np.zeros(4))
    ran = run("verify", recipe, graph, "--inputs", arrays)
    assert ran.code == 1 and ran.err.count("error[V127]") == 2
    ran = run("verify", "--original", "o.npz", "--onnx", "f.onnx", "--inputs", arrays)
    assert ran.code == 2 and "--inputs goes with RECIPE and MODEL" in ran.err
