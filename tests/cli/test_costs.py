"""What `check` and `init` tell of the time that suppression takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = {"height": 96, "width": 96, "depth_multiplier": 0.125}


@pytest.mark.parametrize(
    ("target", "told"),
    [("onnx@tensorrt-11", True), ("onnx@tensorrt-8.5", False), ("onnx@onnxruntime", False)],
)
def test_standard_operators_that_make_the_host_wait_are_told(
    run, zoo_ssd: Callable[..., Path], target: str, told: bool
) -> None:
    model = zoo_ssd("2018", **SMALL)
    checked = run("check", "ssd", model, "--target", target)
    assert checked.code == 0
    assert checked.out.count("note[L131]: 'NMS' (NMS_TRT) becomes standard operators") == told
    drafted = run("init", model, "--target", target)
    assert drafted.code == 0 and drafted.err.count("note[L131]") == told


def test_the_cost_of_many_candidates_is_told_once(run, zoo_ssd: Callable[..., Path]) -> None:
    whole, small = zoo_ssd("2018"), zoo_ssd("2018", **SMALL)
    for words in (["check", "ssd"], ["init"]):
        costly, cheap = (
            " ".join(run(*words, model).out.replace("#", " ").split()) for model in (whole, small)
        )
        assert costly.count("NMS_TRT with 1917 boxes of 91 classes took 2.3 ms of 3.1") == 1
        assert "that takes time" not in cheap


def test_a_smaller_number_of_candidates_is_a_literal(
    run, zoo_ssd: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = tmp_path / "fast.yaml"
    recipe.write_text("recipe: 1\nname: fast\nextends: [ssd]\nparameters: {top_k: 100}\n")
    ran = run("check", recipe, zoo_ssd("2018", **SMALL))
    assert ran.code == 0 and "warning[D160]: NMS.topK is 100; the graph says 204" in ran.err
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    verified = run("verify", recipe, zoo_ssd("2018", **SMALL))
    assert verified.code == 3 and "NMS.topK is 100; the graph says 204" in verified.out
