"""`surgeon verify` with engines and stored originals, over a stand-in for TensorRT that computes nothing of use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgeon.engine import manifest_path
from surgeon.zoo import demo

Run = Callable[..., Any]


@pytest.fixture
def work(fake: pytest.MonkeyPatch, tmp_path: Path, run: Run, demo_recipe: Path) -> Path:
    """Give a working folder with the demo's recipe, an engine of it, and the originals of one picture."""
    fake.setenv("FAKE_MARKS", json.dumps({"MarkOutput_0": [["NMS", [1, 100, 7]], ["NMS_1", [1, 1, 1]]]}))
    fake.chdir(tmp_path)
    model, picture = demo.model_path(), demo.picture_paths()[0]
    shutil.copy(demo_recipe, "ssd.yaml")
    assert run("build", "ssd.yaml", model, "-o", "ssd.engine").code == 0
    stored = run("verify", "ssd.yaml", model, "--images", picture, "--store", "original.npz")
    assert stored.code == 0 and "what the original computes of 1 picture" in stored.err
    return tmp_path


def test_an_engine_that_computes_something_else_fails_and_one_of_another_graph_is_refused(
    work: Path, run: Run
) -> None:
    done = run("verify", "--engine", "ssd.engine", "--original", "original.npz", "-o", "drawn")
    assert done.code == 3 and "cut to cut: failed" in done.out and "end to end: failed" in done.out, done.err
    assert "run: engine ssd.engine, precision fp16, TensorRT 8.5.3.1, GPU Fake GPU" in done.out
    assert "boxes 0.001 of the picture" in done.out and len(list((work / "drawn").iterdir())) == 1
    found = run(
        "verify",
        "ssd.yaml",
        demo.model_path(),
        "--engine",
        "ssd.engine",
        "--images",
        demo.picture_paths()[0],
        "--json",
    )
    assert (
        found.code == 3
        and found.json["runtime"]["engine"] == "ssd.engine"
        and found.json["tolerances"]["box"] == 1e-3
    )
    assert [v["name"] for v in found.json["verdicts"]] == ["cut to cut", "end to end"]
    path = manifest_path(work / "ssd.engine")
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "graph": "0" * 64}))
    done = run("verify", "--engine", "ssd.engine", "--original", "original.npz")
    assert done.code == 1 and "V124" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("ssd.yaml",),
        ("--original", "original.npz"),
        ("ssd.yaml", "model.pb", "--original", "o.npz", "--engine", "e"),
        ("--original", "o.npz", "--engine", "e", "--images", "x"),
        ("ssd.yaml", "m.pb", "--engine", "e", "--store", "s.npz"),
        ("ssd.yaml", "m.pb", "--engine", "e", "--onnx", "o"),
    ],
)
def test_wrong_combinations_are_usage(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("verify", *arguments).code == 2
