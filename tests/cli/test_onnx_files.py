"""ONNX files on the command line: convert, run, inspect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from surgeon.zoo import demo

Run = Callable[..., Any]


def test_from_the_recipe_to_detections(tmp_path: Path, run: Run, demo_recipe: Path) -> None:
    model, picture = demo.model_path(), demo.picture_paths()[0]
    recipe, file = demo_recipe, tmp_path / "demo.onnx"
    assert run("convert", recipe, model, "-o", file).code == 0
    done = run("run", file, picture, "-o", tmp_path / "found")
    assert done.code == 0 and len(list((tmp_path / "found").iterdir())) == 2
    shown = run("inspect", file, "--ops")
    assert (
        shown.code == 0
        and "ONNX file" in shown.out
        and "NMS_TRT, standard" in shown.out
        and "channels first" in shown.out
    )
    assert run("inspect", file, "--json").json["format"] == "onnx"
    verified = run("verify", recipe, model, "--onnx", file, "--images", picture)
    assert verified.code == 0 and "run: ONNX file" in verified.out
    assert run("convert", recipe, model, "-o", file, "--target", "onnx@tensorrt-8.5").code == 0
    refused = run("run", file, picture)
    assert refused.code == 1 and "V131" in refused.err and "--plugins standard" in refused.err
