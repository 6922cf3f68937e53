"""Plugins of one's own in a verification: their own counterfactuals excuse, and their ports are known by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import surgeon
from surgeon.catalog import load_catalog
from surgeon.catalog.reference import Counterfactual
from surgeon.verification import DetectionComparison, Outcome, Verification
from surgeon.verification.counterfactuals import counterfactuals_of

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")

SHIPPED = load_catalog().folder("NMS_TRT")

OWN_RULE = """\
from surgeon.catalog.reference import Counterfactual
from surgeon.kernels.detection_output.numbers import detection_output

COUNTERFACTUALS = [Counterfactual("my-clip", "boxes are clipped after suppression")]


def run(fields, inputs, changes=frozenset()):
    return detection_output(fields, inputs, {"clip-first"} if "my-clip" in changes else set())
"""

FIXED_ORDER = """\
from surgeon.kernels.detection_output.numbers import COUNTERFACTUALS, detection_output


def run(fields, inputs, changes=frozenset()):
    return detection_output({**fields, "inputOrder": (0, 1, 2)}, inputs, changes)
"""

FIXED_SHAPES = """\
from surgeon.kernels.detection_output.shapes import detection_output


def outputs(fields, inputs):
    return detection_output({**fields, "inputOrder": (0, 1, 2)}, inputs)
"""


@pytest.fixture(scope="module")
def model(zoo_graph: Callable[..., surgeon.Graph]) -> surgeon.Graph:
    """Give a generated detector that clips boxes before suppression, as no plugin does."""
    return zoo_graph("2018", depth_multiplier=0.25)


def verify(model: surgeon.Graph, plugins: Path, nms: str, most: int | None = None) -> Verification:
    recipe = surgeon.parse_recipe(
        f"recipe: 1\nname: own\nextends: [ssd]\ndecode: plugin\nnodes: {{NMS: {nms}}}\n"
    )
    return surgeon.verify(recipe, model, plugin_paths=[plugins], max_excused=most)


@pytest.fixture(scope="module")
def own_rule(model: surgeon.Graph, tmp_path_factory: pytest.TempPathFactory) -> Verification:
    """Give a verification with a copy of NMS_TRT whose one counterfactual has a name of its own."""
    plugins = tmp_path_factory.mktemp("own")
    shutil.copytree(SHIPPED, plugins / "MyNMS")
    (plugins / "MyNMS" / "reference.py").write_text(OWN_RULE)
    return verify(model, plugins, "{plugin: MyNMS}")


def test_a_plugins_own_counterfactual_excuses_by_its_name(own_rule: Verification) -> None:
    assert own_rule.passed and dict(own_rule.excuses) == {"my-clip": "boxes are clipped after suppression"}
    for verdict in own_rule.verdicts:
        assert verdict.outcome is Outcome.PASSED and set(verdict.excused) == {"my-clip"}


def test_without_its_counterfactual_the_plugin_fails(model: surgeon.Graph, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "MyNMS")
    (tmp_path / "MyNMS" / "reference.py").write_text(OWN_RULE.replace("COUNTERFACTUALS", "OTHERS"))
    verification = verify(model, tmp_path, "{plugin: MyNMS}")
    assert verification.outcome is Outcome.FAILED and verification.excuses == {}


def fixed_order(folder: Path, ports: list[str]) -> Path:
    """Write a plugin that reads NMS_TRT's inputs in one order, and has no field to say so."""
    plugin = folder / "FixedNMS"
    shutil.copytree(SHIPPED, plugin)
    definition = yaml.safe_load((plugin / "plugin.yaml").read_text())
    del definition["order_field"], definition["order_ports"], definition["fields"]["inputOrder"]
    inputs = {port["name"]: port for port in definition["inputs"]}
    definition["inputs"] = [inputs[name] for name in ports]
    (plugin / "plugin.yaml").write_text(yaml.safe_dump(definition))
    order = tuple(ports.index(name) for name in ("loc", "conf", "prior"))
    for name, text in {"reference.py": FIXED_ORDER, "shape.py": FIXED_SHAPES}.items():
        (plugin / name).write_text(text.replace("(0, 1, 2)", str(order)))
    (plugin / "cases.yaml").unlink()
    return folder


@pytest.mark.parametrize("ports", [["loc", "conf", "prior"], ["prior", "loc", "conf"]])
def test_ports_are_known_by_name_without_an_order_field(
    model: surgeon.Graph, tmp_path: Path, ports: list[str]
) -> None:
    plugins = fixed_order(tmp_path, ports)
    verification = verify(model, plugins, "{plugin: FixedNMS, fields: {inputOrder: null}}", 100)
    each = {c.subject: c.outcome for c in verification.verdicts[1].comparisons}
    assert verification.passed and Outcome.NOT_COMPARED not in each.values()
    assert {
        "Postprocessor -> NMS",
        "MultipleGridAnchorGenerator, Concatenate -> GridAnchor, concat_priorbox",
    } < set(each)
    (alone,) = [
        c
        for c in verification.verdicts[1].comparisons
        if isinstance(c, DetectionComparison) and not c.is_probe
    ]
    assert alone.matched > 80 and set(alone.excused) == {"clip-first"}


def test_a_mistake_in_a_plugin_without_an_order_field_is_seen_alone(
    model: surgeon.Graph, tmp_path: Path
) -> None:
    plugins = fixed_order(tmp_path, ["loc", "conf", "prior"])
    reference = plugins / "FixedNMS" / "reference.py"
    reference.write_text(
        reference.read_text().replace("inputs, changes)\n", "[1.1 * inputs[0], *inputs[1:]], changes)\n")
    )
    assert "1.1" in reference.read_text()
    verification = verify(model, plugins, "{plugin: FixedNMS, fields: {inputOrder: null}}")
    assert verification.verdicts[1].outcome is Outcome.FAILED


@pytest.mark.determinism
def test_counterfactuals_are_tried_in_their_order_and_named_once() -> None:
    catalog = load_catalog()
    references = [catalog.reference(op) for op in ("NMS_TRT", "NMSDynamic_TRT", "GridAnchor_TRT")]
    found = counterfactuals_of(filter(None, references))
    names = ["exact-ratios", "all-candidates", "clip-first", "drop-empty", "keep-all"]
    assert [each.name for each in found] == names
    assert all(isinstance(each, Counterfactual) and each.text for each in found)
    assert [each.name for each in found if each.avoidable] == ["exact-ratios", "all-candidates"]


def test_a_rule_that_one_reference_can_avoid_is_avoidable() -> None:
    class One:
        def __init__(self, avoidable: bool) -> None:
            self.counterfactuals = {"rule": Counterfactual("rule", "text", avoidable)}

    for order in ((True, False), (False, True)):
        (found,) = counterfactuals_of(One(each) for each in order)  # type: ignore[misc]
        assert found.avoidable
    (none,) = counterfactuals_of([One(False)])  # type: ignore[list-item]
    assert not none.avoidable
