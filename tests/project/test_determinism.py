"""The same graph and recipe give the same bytes, whatever the hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RECIPE = "ssd_inception_v2_coco_2017_11_17"
PRODUCTS = ("out.uff", "out.pb", "out.pbtxt", "plan.json")


def products(model: Path, folder: Path, seed: str) -> dict[str, bytes]:
    """Write every product of one recipe in a process with a hash seed; return their bytes."""
    folder.mkdir()
    orders = [
        ["plan" if name == "plan.json" else "convert", RECIPE, str(model), "-o", str(folder / name)]
        for name in PRODUCTS
    ]
    code = f"import sys\nfrom surgeon.cli import main\nsys.exit(any([main(order) for order in {orders!r}]))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return {name: (folder / name).read_bytes() for name in PRODUCTS}


@pytest.mark.slow
@pytest.mark.determinism
def test_products_do_not_depend_on_the_hash_seed(zoo_ssd: Callable[..., Path], tmp_path: Path) -> None:
    model = zoo_ssd(date="2017")
    first = products(model, tmp_path / "first", "1")
    second = products(model, tmp_path / "second", "2")
    assert [name for name in PRODUCTS if first[name] != second[name]] == []


def test_the_two_seeds_do_change_the_order_of_a_set() -> None:
    def order(seed: str) -> str:
        code = "print(list({'concat', 'concat_1', 'Postprocessor', 'Preprocessor', 'Squeeze', 'ToFloat'}))"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        ).stdout

    assert order("1") != order("2")
