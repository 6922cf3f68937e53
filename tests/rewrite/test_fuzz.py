"""Damaged plans: reading and applying them gives a graph or a diagnostic."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from damage import damaged_bytes, damaged_json

from surgeon.diagnostics import SurgeonError
from surgeon.graph import parse_graph, print_graph
from surgeon.language import parse_recipe
from surgeon.rewrite import apply, plan, plan_to_json, read_plan
from surgeon.targets import load_target

GRAPH = parse_graph("""graph v1
x = Placeholder() {dtype: float32, shape: shape[?,4]}
check/ok = Const() {dtype: bool, value: tensor<bool[]: true>}
check/Assert = Assert(check/ok, x) {T: [float32], summarize: 3}
w = Const() {dtype: float32, value: tensor<float32[4]: 1.0, 2.0, 3.0, 4.0>}
w/read = Identity(w) {T: float32}
scaled = AddV2(x, w/read, ^check/Assert) {T: float32}
act/Relu6 = Relu6(scaled) {T: float32}
y = Neg(act/Relu6) {T: float32}
""")
RECIPE = """\
recipe: 1
name: clip
outputs: [y]
nodes:
  clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}
namespaces:
  act: clip
steps: {append: [{step: set-attr, nodes: [y], attrs: {note: text}}]}
image: {size: [4, 4]}
"""


def stored() -> dict[str, object]:
    """Return the values of a plan file."""
    made = plan(parse_recipe(RECIPE, "r.yaml"), GRAPH, target=load_target("uff@tensorrt-8.5"))
    return json.loads(json.dumps(plan_to_json(made)))  # type: ignore[no-any-return]


def fuzz(make: Callable[[random.Random], bytes], folder: Path, count: int, seed: int) -> Counter[str]:
    """Return how many damaged plans were applied, and how many were refused by which code."""
    rng = random.Random(seed)
    path = folder / "plan.json"
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        data = make(rng)
        path.write_bytes(data)
        try:
            print_graph(apply(read_plan(path), GRAPH))
            outcomes["applied"] += 1
        except SurgeonError as exc:
            str(exc).encode()
            outcomes[exc.diagnostics[0].code] += 1
        except Exception as exc:
            raise AssertionError(f"escaped for {data!r}") from exc
    return outcomes


def test_damaged_bytes_of_plans(tmp_path: Path, tries: Callable[[int], int]) -> None:
    base = json.dumps(stored(), indent=1).encode()
    outcomes = fuzz(lambda rng: damaged_bytes(rng, base), tmp_path, tries(2500), seed=1)
    assert {"applied", "S408"} <= set(outcomes) and outcomes["S408"] > tries(1000), outcomes


def test_damaged_values_of_plans(tmp_path: Path, tries: Callable[[int], int]) -> None:
    base = stored()
    outcomes = fuzz(lambda rng: json.dumps(damaged_json(rng, base)).encode(), tmp_path, tries(2500), seed=2)
    assert {"applied", "S408", "S101", "S103"} <= set(outcomes) and outcomes["applied"] > tries(100), outcomes
