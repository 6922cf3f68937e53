"""Damaged SavedModel folders: TensorFlow and this package read them, or they are refused."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from damage import damaged_bytes

from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef import load_graph
from surgeon.graph import print_graph

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a SavedModel of one product with a variable."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        y = tf.matmul(x, v1.get_variable("w", initializer=np.ones((3, 2), np.float32)), name="y")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": y})
    return folder


@pytest.mark.parametrize(
    ("name", "count"),
    [("saved_model.pb", 1000), ("variables/variables.index", 150), ("variables/variables.data", 50)],
)
def test_damaged_folders_are_read_or_refused(
    folder: Path, name: str, count: int, tries: Callable[[int], int]
) -> None:
    file = next(path for path in sorted(folder.rglob("*")) if str(path.relative_to(folder)).startswith(name))
    base = file.read_bytes()
    rng = random.Random(count)
    outcomes: Counter[str] = Counter()
    for _ in range(tries(count)):
        data = damaged_bytes(rng, base)
        file.write_bytes(data)
        try:
            print_graph(load_graph(folder), limit=8)
            outcomes["read"] += 1
        except SurgeonError as exc:
            str(exc).encode()
            outcomes[exc.diagnostics[0].code] += 1
        except Exception as exc:
            raise AssertionError(f"escaped for {data.hex()}") from exc
        finally:
            file.write_bytes(base)
    assert len(outcomes) > 1 and outcomes["G116"], outcomes
