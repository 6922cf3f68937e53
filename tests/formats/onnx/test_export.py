"""Detectors as ONNX: what ONNX Runtime computes of them, how plugin nodes are written, and the files."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.api.convert import replay
from surgeon.catalog import load_catalog
from surgeon.formats.onnx import export_onnx, read_onnx_metadata, write_onnx
from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode, standard_rendering
from surgeon.formats.onnx.native import DOMAIN, OPERATORS
from surgeon.formats.onnx.plugins import choose_lowering
from surgeon.graph import Graph, Ref, Shape, TensorSpec, parse_graph
from surgeon.kernels.suppression.onnx import TENSORRT_ROWS
from surgeon.rewrite import Plan
from surgeon.targets import all_targets, load_target

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")
pytest.importorskip("tensorflow")

pytestmark = pytest.mark.xdist_group("export")

CATALOG = load_catalog()
RUNTIME = "onnx@onnxruntime"
RTX = "onnx@tensorrt-rtx"
TRAINED = 1e-4
"""Of a coordinate or a score: float32 sums in another order, through a whole network."""

TOLERANCE = 1e-3
"""The same where weights are random: box sizes are then exponentials of large numbers."""

SIZE = 128
HEADS = 12


@cache
def planned(path: Path, target: str = RUNTIME, recipe: str = "ssd", **options: Any) -> Plan:
    return surgeon.plan(recipe, path, target=target, **{"decode": "plugin", **options})


def rewritten(path: Path, target: str = RUNTIME, **options: Any) -> Graph:
    result = planned(path, target, **options).result
    assert result is not None
    return result


EXPORTS: dict[str, tuple[Graph, Any]] = {}


def export(graph: Graph, target: str = RUNTIME, **choices: Any) -> Any:
    """Return what is exported, once for whoever asks for the same."""
    key = f"{id(graph)} {target} {choices}"
    if key not in EXPORTS:
        EXPORTS[key] = graph, export_onnx(graph, plugins=CATALOG, target=load_target(target), **choices)
    return EXPORTS[key][1]


def exported(graph: Graph, target: str = RUNTIME, **choices: Any) -> Any:
    """Return the model, a copy that may be changed."""
    return copy.deepcopy(export(graph, target, **choices).model)


def picture(graph: Graph, count: int = 1, seed: int = 0) -> np.ndarray:
    """Return pictures with texture, in the layout of the graph's input."""
    shape = graph["Input"].attrs["shape"]
    assert isinstance(shape, Shape)
    _, height, width, channels = shape.static()
    coarse = np.random.default_rng(seed).uniform(-1, 1, (count, height // 8 + 1, width // 8 + 1, channels))
    return np.kron(coarse, np.ones((1, 8, 8, 1)))[:, :height, :width].astype(np.float32)


def in_onnxruntime(model: Any, value: np.ndarray) -> list[np.ndarray]:
    data = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (fed,) = session.get_inputs()
    found: list[np.ndarray] = session.run(None, {fed.name: value.transpose(0, 3, 1, 2)})
    return found


def by_references(graph: Graph, value: np.ndarray) -> list[np.ndarray]:
    from surgeon.runners.references import ReferenceRunner

    runner = ReferenceRunner(graph, CATALOG)
    done = runner.execute({Ref("Input"): value})
    return [done[ref] for ref in runner.fetches]


def worst(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape and (b[..., 1] >= 0).sum() > 20
    return float(np.abs(a - b).max())


def operations(model: Any) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.fixture
def small(zoo_ssd: Callable[..., Path]) -> Path:
    """Give a generated detector for pictures of 128 x 128."""
    return zoo_ssd("2018", classes=3, height=SIZE, width=SIZE)


# What it computes


@pytest.mark.parametrize(("date", "opset"), [("2017", 17), ("2018", 13), ("2019", 17)])
def test_a_detector_computes_what_tensorflow_and_the_references_do(
    date: str, opset: int, zoo_ssd: Callable[..., Path]
) -> None:
    graph = rewritten(zoo_ssd(date, classes=3, height=SIZE, width=SIZE))
    made = export_onnx(graph, plugins=CATALOG, target=load_target(RUNTIME), opset=opset)
    onnx.checker.check_model(made.model, full_check=True)
    onnx.shape_inference.infer_shapes(made.model, check_type=True, strict_mode=True, data_prop=True)
    assert {row.rendering for row in made.plugins} == {"standard"} and len(made.plugins) == 4
    value = picture(graph)
    (found,), (wanted,) = in_onnxruntime(made.model, value), by_references(graph, value)
    assert worst(found, wanted) < TOLERANCE
    assert worst(in_onnxruntime(made.model, value[:, ::-1])[0], wanted) > 10 * TOLERANCE
    _spoil(made.model)
    assert worst(in_onnxruntime(made.model, value)[0], wanted) > 10 * TOLERANCE


@pytest.mark.parametrize("date", [pytest.param("2017", marks=pytest.mark.exhaustive), "2019"])
def test_a_detector_for_tensorrt_rtx_computes_the_same_by_a_loop(
    date: str, zoo_ssd: Callable[..., Path]
) -> None:
    path = zoo_ssd(date, classes=3, height=SIZE, width=SIZE)
    recipe = "recipe: 1\nname: own\nextends: [ssd]\n" + "suppression: native\n" * (date == "2019")
    graph = surgeon.plan(surgeon.parse_recipe(recipe, "own.yaml"), path, target=RTX).result
    assert graph is not None
    made, again = (exported(graph, RTX, metadata={}) for _ in range(2))
    assert operations(made)["Loop"] == 1 and not operations(made)["NonMaxSuppression"]
    assert made.SerializeToString() == again.SerializeToString()
    assert not [name for node in made.graph.node for name in node.output if name.endswith(":0")]
    value = picture(graph)
    by_loop, by_operator = (in_onnxruntime(each, value)[0] for each in (made, exported(graph)))
    assert worst(by_loop, by_operator) <= 1e-6
    assert worst(by_loop, by_references(graph, value)[0]) < TOLERANCE


def _spoil(model: Any) -> None:
    """Make the largest kernel of a model wrong by a hundredth."""
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.raw_data = (np.frombuffer(largest.raw_data, np.float32) * np.float32(1.01)).tobytes()


def test_the_demo_model_computes_what_tensorflow_and_the_references_do() -> None:
    from surgeon.zoo import demo

    graph = rewritten(demo.model_path())
    model = exported(graph)
    value = picture(graph, seed=3)
    assert worst(in_onnxruntime(model, value)[0], by_references(graph, value)[0]) < TRAINED


def test_the_layout_changes_at_the_heads_only(small: Path) -> None:
    model = exported(rewritten(small, "onnx@tensorrt-8.5"), "onnx@tensorrt-8.5")
    found = operations(model)
    assert (
        found["Transpose"] == HEADS
        and "BatchNormalization" not in found
        and "Identity" not in found
        and "Cast" not in found
    )
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, SIZE, SIZE]
    assert (model.graph.input[0].name, [o.name for o in model.graph.output]) == ("Input", ["NMS"])
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert not any(
        ":0" in name or "__" in name for node in model.graph.node for name in (*node.input, *node.output)
    )


def test_two_pictures_at_once(small: Path) -> None:
    graph = rewritten(small)
    value = picture(graph, 2)
    wanted = np.concatenate([by_references(graph, value[i : i + 1])[0] for i in range(2)])
    for batch in ("dynamic", 2):
        model = exported(graph, batch=batch)
        onnx.checker.check_model(model, full_check=True)
        (found,) = in_onnxruntime(model, value)
        assert worst(found[..., 1:], wanted[..., 1:]) < TOLERANCE
        assert found[1, 0, 0, 0] in (0, 1)
        assert worst(found[::-1, ..., 1:], wanted[..., 1:]) > 10 * TOLERANCE
    assert exported(graph, batch="dynamic").graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_number_of_detections_is_an_output_too(small: Path) -> None:
    graph = rewritten(small)
    graph = graph.replace(outputs=[Ref("NMS"), Ref("NMS", 1)])
    model = exported(graph)
    onnx.checker.check_model(model, full_check=True)
    value = picture(graph)
    found, wanted = in_onnxruntime(model, value), by_references(graph, value)
    assert found[1].dtype == np.int32 and found[1].item() == wanted[1].view(np.int32).item() > 0
    native = exported(graph, "onnx@tensorrt-8.5")
    assert [value.type.tensor_type.elem_type for value in native.graph.output] == [1, 1]


def test_constant_anchors_need_no_plugin(small: Path) -> None:
    graph = rewritten(small, anchors="constant")
    model = exported(graph)
    value = picture(graph)
    assert worst(in_onnxruntime(model, value)[0], by_references(graph, value)[0]) < TOLERANCE


# Plugin nodes


EXPECTED = {
    "onnx@tensorrt-8.5": dict.fromkeys(("GridAnchor", "concat_box_loc", "concat_box_conf", "NMS"), "native"),
    "onnx@tensorrt-10": dict.fromkeys(("GridAnchor", "concat_box_loc", "concat_box_conf", "NMS"), "native"),
    "onnx@tensorrt-11": {
        "GridAnchor": "native",
        "concat_box_loc": "native",
        "concat_box_conf": "native",
        "NMS": "standard",
    },
    RUNTIME: dict.fromkeys(("GridAnchor", "concat_box_loc", "concat_box_conf", "NMS"), "standard"),
}


@pytest.mark.parametrize("target", EXPECTED)
def test_the_target_decides_how_plugins_are_written(target: str, small: Path) -> None:
    made = export(rewritten(small, target), target)
    onnx.checker.check_model(made.model, full_check=True)
    onnx.shape_inference.infer_shapes(made.model, check_type=True, strict_mode=True, data_prop=True)
    assert {row.node: row.rendering for row in made.plugins} == EXPECTED[target]
    assert all(row.reason for row in made.plugins)
    native = {row.op for row in made.plugins if row.rendering == "native"}
    assert {node.op_type for node in made.model.graph.node if node.domain == DOMAIN} == native
    imports = {row.domain: row.version for row in made.model.opset_import}
    assert imports == ({"": 17, DOMAIN: 1} if native else {"": 17})


@pytest.mark.parametrize("target", [name for name, found in all_targets().items() if found.format == "onnx"])
def test_the_choice_follows_the_version_table(target: str) -> None:
    chosen = load_target(target)
    version = chosen.version if chosen.runtime == "tensorrt" else None
    for spec in CATALOG.values():
        has = version is not None and spec.exists_in(version) and not onnx.defs.has(spec.creator)
        assert choose_lowering(spec, chosen, "auto", True)[0] == ("native" if has else "standard"), spec.op
        assert choose_lowering(spec, chosen, "standard", True) == ("standard", "")


def test_removed_plugins_are_standard_in_tensorrt_11() -> None:
    eleven, ten = load_target("onnx@tensorrt-11"), load_target("onnx@tensorrt-10")
    for op in (
        "NMS_TRT",
        "NMSDynamic_TRT",
        "BatchedNMS_TRT",
        "BatchedNMSDynamic_TRT",
        "Normalize_TRT",
        "Clip_TRT",
    ):
        assert (
            choose_lowering(CATALOG[op], ten, "auto", True)[0],
            choose_lowering(CATALOG[op], eleven, "auto", True)[0],
        ) == (
            "native",
            "standard",
        )
    assert {spec.creator for spec in CATALOG.values() if onnx.defs.has(spec.creator)} == OPERATORS
    for op in ("GridAnchor_TRT", "FlattenConcat_TRT", "ResizeNearest_TRT", "EfficientNMS_TRT"):
        assert choose_lowering(CATALOG[op], eleven, "auto", True)[0] == "native"


@pytest.mark.parametrize(
    "target", ["onnx@tensorrt-8.5", pytest.param("onnx@tensorrt-11", marks=pytest.mark.exhaustive)]
)
def test_auto_and_init_keep_to_the_rows_that_tensorrt_sorts(
    target: str, zoo_ssd: Callable[..., Path], tmp_path: Path
) -> None:
    path = zoo_ssd("2018", classes=2, height=640, width=640)
    plan = planned(path, target)
    (top_k,) = (row for row in plan.derivations if (row.node, row.field) == ("NMS", "topK"))
    assert (
        top_k.value == TENSORRT_ROWS and "TopK of the target's runtime takes 3840 at most" in top_k.evidence
    )
    assert plan.result is not None
    exported(plan.result, target, rendering="standard")
    written = surgeon.init(path, tmp_path / "own.yaml", target=target).text
    assert "topK: 3840" in written
    assert "TopK of the target's runtime takes 3840 at most" in re.sub(r"\s+# ", " ", written)
    # Where no plugin runs, the native rules take the place of NMS_TRT, which takes 4,096 boxes at most.
    for other, values in ((RUNTIME, []), ("uff@tensorrt-8.5", [4096])):
        assert [row.value for row in planned(path, other).derivations if row.field == "topK"] == values


def test_no_plugin_bounds_what_is_written_in_standard_operators(
    zoo_ssd: Callable[..., Path], tmp_path: Path
) -> None:
    path = zoo_ssd("2019", classes=2, height=64, width=64, depth_multiplier=0.1)
    made = surgeon.convert("ssd", path, tmp_path / "x.onnx", target="onnx@tensorrt-8.5", rendering="standard")
    (row,) = (each for each in made.plugins if each.node == "NMS")
    assert (row.op, row.rendering) == ("SurgeonDetectionDynamic", "standard")
    (choice,) = (each for each in made.plan.derivations if each.field == "suppression")
    assert choice.value == "native" and "drops boxes without an area" in " ".join(choice.evidence)


def test_every_target_of_tensorrt_tells_its_rows() -> None:
    rows = {name: found.most_rows for name, found in all_targets().items() if found.format == "onnx"}
    assert rows.pop(RUNTIME) is None and set(rows.values()) == {TENSORRT_ROWS}


def test_a_plugin_node_has_typed_fields(small: Path) -> None:
    model = exported(rewritten(small, "onnx@tensorrt-8.5"), "onnx@tensorrt-8.5")
    nodes = {node.name: node for node in model.graph.node if node.domain == DOMAIN}
    attributes = {
        a.name: (onnx.AttributeProto.AttributeType.Name(a.type), onnx.helper.get_attribute_value(a))
        for a in nodes["NMS"].attribute
    }
    assert attributes["plugin_version"] == ("STRING", b"1") and attributes["plugin_namespace"] == (
        "STRING",
        b"",
    )
    assert attributes["inputOrder"][0] == "INTS" and attributes["keepTopK"] == ("INT", 100)
    assert attributes["nmsThreshold"][0] == "FLOAT" and attributes["nmsThreshold"][1] == pytest.approx(0.6)
    assert set(attributes) == {
        "plugin_version",
        "plugin_namespace",
        *(f.name for f in CATALOG["NMS_TRT"].fields_of((8, 5, 1))),
    }
    grid = {a.name: onnx.AttributeProto.AttributeType.Name(a.type) for a in nodes["GridAnchor"].attribute}
    assert (grid["aspectRatios"], grid["minSize"], grid["numLayers"]) == ("FLOATS", "FLOAT", "INT")
    assert (
        list(nodes["GridAnchor"].input) == ["Input"]
        and len(nodes["GridAnchor"].output) == 6
        and list(nodes["NMS"].output) == ["NMS", "NMS:1"]
    )
    shapes = {
        info.name: [d.dim_value for d in info.type.tensor_type.shape.dim] for info in model.graph.value_info
    }
    assert shapes["NMS"] == [1, 1, 100, 7] and shapes["concat_box_conf"][0] == 1


def test_an_open_batch_needs_plugins_that_know_open_shapes(small: Path) -> None:
    made = export(rewritten(small, "onnx@tensorrt-8.5"), "onnx@tensorrt-8.5", batch="dynamic")
    assert {row.rendering for row in made.plugins} == {"standard"} and "IPluginV2Ext" in made.plugins[
        0
    ].reason
    eight = load_target("onnx@tensorrt-8.5")
    assert choose_lowering(CATALOG["NMSDynamic_TRT"], eight, "auto", True, open_batch=True)[0] == "native"
    assert choose_lowering(CATALOG["NMS_TRT"], eight, "native", True, open_batch=True)[0] == "native"


def test_the_rendering_can_be_forced(small: Path) -> None:
    graph = rewritten(small, "onnx@tensorrt-8.5")
    made = export(graph, "onnx@tensorrt-8.5", rendering="standard")
    assert {row.rendering for row in made.plugins} == {"standard"} and not any(
        node.domain for node in made.model.graph.node
    )
    with pytest.raises(surgeon.SurgeonError) as caught:
        exported(rewritten(small), rendering="native")
    assert [d.code for d in caught.value.diagnostics] == ["X145"] * 3


def in_standard_operators(model: Any) -> Any:
    """Return a model with its one EfficientNMS_TRT node in standard operators."""
    (node,) = [node for node in model.graph.node if node.op_type == "EfficientNMS_TRT"]
    sizes = {}
    for value in onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info:
        sizes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    attributes = {
        a.name: onnx.helper.get_attribute_value(a) for a in node.attribute if not a.name.startswith("plugin_")
    }
    spec, emit = CATALOG["EfficientNMS_TRT"], Emitter("spliced")
    specs = tuple(TensorSpec.of("float32", *sizes[name]) for name in node.input)
    standard = standard_rendering(CATALOG, "EfficientNMS_TRT")
    assert standard is not None
    outputs = standard(PluginNode(spec, spec.complete(attributes), tuple(node.input), specs, emit, CATALOG))
    at = list(model.graph.node).index(node)
    after = [
        onnx.helper.make_node("Identity", [name], [own])
        for name, own in zip(outputs, node.output, strict=True)
    ]
    nodes = [*model.graph.node[:at], *emit.nodes, *after, *model.graph.node[at + 1 :]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(emit.initializers)
    return model


def test_efficient_nms_can_stand_for_nms(small: Path) -> None:
    graph = rewritten(small, "onnx@tensorrt-11")
    made = export(graph, "onnx@tensorrt-11", rendering="efficient-nms")
    assert {row.op: row.rendering for row in made.plugins} == {
        "GridAnchor_TRT": "native",
        "FlattenConcat_TRT": "native",
        "NMS_TRT": "efficient-nms",
    }
    onnx.checker.check_model(made.model, full_check=True)
    assert operations(made.model)["EfficientNMS_TRT"] == 1 and "NonMaxSuppression" not in operations(
        made.model
    )
    with pytest.raises(surgeon.SurgeonError) as caught:
        exported(rewritten(small), rendering="efficient-nms")
    assert caught.value.diagnostics[0].code == "X145"


@pytest.mark.parametrize("date", ["2017", "2018"])
def test_efficient_nms_gives_the_detections_of_nms(date: str, zoo_ssd: Callable[..., Path]) -> None:
    from surgeon.kernels.detection_output.onnx import efficient_nms_detection_output

    graph = rewritten(zoo_ssd(date, classes=3, height=SIZE, width=SIZE))
    nms = graph["NMS"]
    spec, classes = CATALOG["NMS_TRT"], nms.attrs["numClasses"]
    assert isinstance(classes, int)
    given = inputs_of_nms(graph)
    emit = Emitter("NMS")
    fields = spec.complete({key: value for key, value in nms.attrs.items() if key in spec.fields})
    specs = tuple(TensorSpec.of("float32", *array.shape) for array in given)
    at = PluginNode(
        spec, fields, ("loc", "prior", "conf"), specs, emit, CATALOG, load_target("onnx@tensorrt-11")
    )
    detections, number = efficient_nms_detection_output(at)
    values = [
        onnx.helper.make_tensor_value_info(n, 1, s.shape.dims) for n, s in zip(at.inputs, specs, strict=True)
    ]
    rows = [
        onnx.helper.make_tensor_value_info(detections, 1, [1, 1, 100, 7]),
        onnx.helper.make_tensor_value_info(number, 6, [1, 1, 1, 1]),
    ]
    body = onnx.helper.make_graph(emit.nodes, "nms", values, rows, emit.initializers)
    imports = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(DOMAIN, 1)]
    model = in_standard_operators(onnx.helper.make_model(body, opset_imports=imports, ir_version=8))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found, count = session.run(None, dict(zip(at.inputs, given, strict=True)))
    reference = CATALOG.reference("NMS_TRT")
    assert reference is not None
    wanted, bits = reference.run(nms.attrs, given)
    assert worst(found, wanted) < TOLERANCE and count.item() == bits.view(np.int32).item()
    less = reference.run({**nms.attrs, "nmsThreshold": 0.3}, given)[0]
    assert worst(found, less) > 10 * TOLERANCE


def inputs_of_nms(graph: Graph) -> list[np.ndarray]:
    """Return what the node NMS reads when a picture is looked at."""
    from surgeon.runners.references import ReferenceRunner

    done = ReferenceRunner(graph, CATALOG).execute({Ref("Input"): picture(graph)})
    return [done[ref] for ref in graph["NMS"].inputs]


# Files


def test_convert_writes_and_tells(small: Path, tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "out.onnx"
    done = surgeon.convert("ssd", small, path, decode="plugin", watch=told.append)
    assert (done.target, done.bytes_written) == (RUNTIME, path.stat().st_size)
    assert [row.op for row in done.plugins] == [
        "GridAnchor_TRT",
        "FlattenConcat_TRT",
        "FlattenConcat_TRT",
        "NMS_TRT",
    ]
    assert told == ["plugin nodes", "operations, by tf2onnx", "layout", "weights"]
    info = read_onnx_metadata(path)
    assert info.inputs == {"Input": TensorSpec.of("float32", 1, 3, SIZE, SIZE)}
    assert info.outputs == {"NMS": TensorSpec.of("float32", 1, 1, 100, 7)}
    assert info.image == done.plan.image and info.image is not None
    assert info.detections == {"detections": "NMS"} and info.layout == {"Input": "NCHW"}
    assert (
        info.properties["surgeon.recipe"] == "ssd"
        and info.properties["surgeon.graph_digest"] == done.plan.digest
    )
    assert (
        info.properties["surgeon.target"] == RUNTIME
        and info.properties["surgeon.version"] == surgeon.__version__
    )
    assert [row["rendering"] for row in info.plugins] == ["standard"] * 4
    onnx.checker.check_model(str(path), full_check=True)


def test_a_plan_is_replayed_as_onnx(small: Path, tmp_path: Path) -> None:
    made = planned(small)
    replay(made, small, tmp_path / "a.onnx", batch="dynamic")
    assert read_onnx_metadata(tmp_path / "a.onnx").inputs["Input"].shape.dims == (None, 3, SIZE, SIZE)


def test_labels_are_stored(small: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "named.yaml"
    recipe.write_text("recipe: 1\nname: named\nextends: [ssd]\nlabels: {1: disc, 2: kött}\n")
    surgeon.convert(recipe, small, tmp_path / "out.onnx")
    assert read_onnx_metadata(tmp_path / "out.onnx").labels == {1: "disc", 2: "kött"}


def test_a_process_of_its_own_gives_the_same_file(small: Path, tmp_path: Path) -> None:
    # TensorFlow is in this process; in the other it is not, and works in a third.
    surgeon.convert("ssd", small, tmp_path / "here.onnx", target="onnx@tensorrt-8.5")
    command = [
        sys.executable,
        "-m",
        "surgeon",
        "convert",
        "ssd",
        str(small),
        "-o",
        "there.onnx",
        "--target",
        "onnx@tensorrt-8.5",
        "--json",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here.onnx").read_bytes() == (tmp_path / "there.onnx").read_bytes()
    told = json.loads(done.stdout)
    assert [row["rendering"] for row in told["plugins"]] == ["native"] * 3 and done.stderr == ""


def test_weights_past_the_limit_lie_beside(small: Path, tmp_path: Path) -> None:
    graph = rewritten(small)
    model = exported(graph)
    whole, path = tmp_path / "whole.onnx", tmp_path / "out.onnx"
    size = write_onnx(model, whole)
    assert size == whole.stat().st_size and onnx.load(whole) == model
    written = write_onnx(model, path, limit=size - 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.onnx", "out.onnx.data", "whole.onnx"]
    assert written == path.stat().st_size + (tmp_path / "out.onnx.data").stat().st_size
    assert path.stat().st_size < size / 2
    onnx.checker.check_model(str(path), full_check=True)
    value = picture(graph)
    assert np.array_equal(in_onnxruntime(str(path), value)[0], in_onnxruntime(str(whole), value)[0])
    assert read_onnx_metadata(path) == read_onnx_metadata(whole)
    with pytest.raises(surgeon.SurgeonError) as caught:
        write_onnx(model, path, limit=1000)
    assert caught.value.diagnostics[0].code == "X149"


def test_a_failed_write_leaves_what_was_there(small: Path, tmp_path: Path) -> None:
    model = exported(rewritten(small))
    path, beside = tmp_path / "out.onnx", tmp_path / "out.onnx.data"
    path.write_bytes(b"before")
    beside.mkdir()
    with pytest.raises(surgeon.SurgeonError) as caught:
        write_onnx(model, path, limit=1 << 20)
    assert caught.value.diagnostics[0].code == "E105"
    assert path.read_bytes() == b"before" and sorted(p.name for p in tmp_path.iterdir()) == [
        "out.onnx",
        "out.onnx.data",
    ]


# Other programs


def test_loads_in_onnx_graphsurgeon(small: Path) -> None:
    graphsurgeon = pytest.importorskip("onnx_graphsurgeon")
    model = exported(rewritten(small, "onnx@tensorrt-8.5"), "onnx@tensorrt-8.5")
    graph = graphsurgeon.import_onnx(model)
    (nms,) = [node for node in graph.nodes if node.op == "NMS_TRT"]
    assert nms.attrs["keepTopK"] == 100 and nms.domain == DOMAIN
    again = graphsurgeon.export_onnx(graph.cleanup().toposort())
    onnx.checker.check_model(again)
    assert operations(again) == operations(model)


@pytest.mark.parametrize("verb", ["inspect model", "check lint"])
def test_polygraphy_takes_it(verb: str, small: Path, tmp_path: Path) -> None:
    program = shutil.which("polygraphy") or shutil.which("polygraphy", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("polygraphy is not installed")
    surgeon.convert("ssd", small, tmp_path / "out.onnx")
    done = subprocess.run(
        [program, *verb.split(), "out.onnx"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "LINT" not in said and (
        "PASSED" in said if verb == "check lint" else "NMS [dtype=float32, shape=(1, 1, 100, 7)]" in said
    )


# What is refused


X = "x = Placeholder() {dtype: float32, shape: shape[1,4,4,3]}\n"
REFUSED = {
    "X140": (X + "out = Betainc(x, x, x) {T: float32}\n", {}),
    "X141": (
        "q = Const() {dtype: complex64, value: tensor<complex64[2]: 0, 0>}\nout = Identity(q) {T: complex64}\n",
        None,
    ),
    "X142": (X + "out = Relu(x, x) {T: float32}\n", {}),
    "X143": ("x = Placeholder() {dtype: float32}\nout = Relu(x) {T: float32}\n", {}),
    "X144": (
        X
        + "z = Const() {dtype: float32, value: tensor<float32[5,1,1,1]: 0, 0, 0, 0, 0>}\nout = Add(x, z) {T: float32}\n",
        {"batch": "dynamic"},
    ),
    "X146": (X.replace("4,4,3", "4") + "out = Bare(x)\n", {}),
    "X147": (X.replace("4,4,3", "4") + "out = Short(x)\n", {}),
    "X153": (X.replace("4,4,3", "4") + "out = Wrong(x)\n", {}),
    "X148": (X + "out = Relu(x) {T: float32}\n", {"opset": 12}),
}

PLUGIN = """\
title: A plugin for a test
summary: It has no meaning.
library: own
inputs:
  - {name: x, summary: Any tensor.}
outputs:
  - {name: y, summary: Any tensor.}
fields: {}
sources: [this test]
"""


def write_plugins(folder: Path) -> None:
    """Write plugins without a rendering, with one that lacks its output, and with one of operators that do not fit together."""
    for name in ("Bare", "Short", "Wrong"):
        (folder / name).mkdir()
        (folder / name / "plugin.yaml").write_text(PLUGIN)
    (folder / "Short" / "onnx.py").write_text("def standard(at):\n    return []\n")
    (folder / "Wrong" / "onnx.py").write_text(
        "def standard(at):\n    return [at.emit.op('MatMul', at.inputs[0], at.inputs[0])]\n"
    )


@pytest.mark.parametrize("code", [code for code, case in REFUSED.items() if case[1] is not None])
def test_refusals(code: str, tmp_path: Path) -> None:
    write_plugins(tmp_path)
    lines, choices = REFUSED[code]
    graph = parse_graph("graph v1\noutputs: out\n" + lines)
    with pytest.raises(surgeon.SurgeonError) as caught:
        export_onnx(graph, plugins=load_catalog([tmp_path]), target=load_target(RUNTIME), **(choices or {}))
    (found,) = caught.value.diagnostics
    assert found.code == code and found.help and found.message.isprintable()


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ("parts = Unpack(turned) {T: float32, num: 4, axis: 0}\nout = Relu(parts:1) {T: float32}\n", False),
        ("out = Softmax(turned) {T: float32}\n", True),
        (
            "two = Const() {dtype: int32, value: tensor<int32[2]: 2, 2>}\n"
            "out = Reshape(turned, two) {T: float32, Tshape: int32}\n",
            True,
        ),
    ],
)
def test_coordinates_may_stand_before_an_open_batch_but_nothing_may_mix_pictures(
    lines: str, refused: bool
) -> None:
    head = """graph v1
outputs: out
x = Placeholder() {dtype: float32, shape: shape[1,4]}
order = Const() {dtype: int32, value: tensor<int32[2]: 1, 0>}
turned = Transpose(x, order) {T: float32, Tperm: int32}
"""
    graph, target = parse_graph(head + lines), load_target(RUNTIME)
    if refused:
        with pytest.raises(surgeon.SurgeonError, match="X144"):
            export_onnx(graph, plugins=CATALOG, target=target, batch="dynamic")
        return
    model = export_onnx(graph, plugins=CATALOG, target=target, batch="dynamic").model
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = np.arange(12, dtype=np.float32).reshape(3, 4)
    (found,) = session.run(None, {"x": given})
    np.testing.assert_array_equal(found, given[:, 1])


def test_sizes_of_inputs_may_stay_open_where_no_plugin_needs_them(tmp_path: Path) -> None:
    graph = parse_graph(
        "graph v1\noutputs: out\n"
        + X.replace("[1,4,4,3]", "[?,?,?,3]")
        + """w = Const() {dtype: float32, value: tensor<float32[1,1,3,2]: 1.0, 2.0, 3.0, 4.0, 5.0, 6.0>}
y = Conv2D(x, w) {T: float32, strides: [1, 1, 1, 1], padding: "SAME", data_format: "NHWC", dilations: [1, 1, 1, 1]}
sizes = Shape(y) {T: float32, out_type: int32}
one = Const() {dtype: int32, value: tensor<int32[1]: 1>}
three = Const() {dtype: int32, value: tensor<int32[1]: 3>}
half = StridedSlice(sizes, one, three, one) {T: int32, Index: int32, begin_mask: 0, end_mask: 0}
two = Const() {dtype: int32, value: tensor<int32[]: 2>}
larger = Mul(half, two) {T: int32}
out = ResizeBilinear(y, larger) {T: float32, align_corners: false, half_pixel_centers: true}
"""
    )
    from surgeon.runners.tensorflow import TensorFlowRunner

    model = export_onnx(graph, plugins=CATALOG, target=load_target(RUNTIME)).model
    original = TensorFlowRunner(graph, graph.output_refs)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for height, width in ((4, 5), (7, 3)):
        shape = (1, height, width, 3)
        picture = np.random.default_rng(0).random(shape, np.float32)
        (result,) = session.run(None, {"x": picture.transpose(0, 3, 1, 2)})
        (expected,) = original.run({"x": picture}).values()
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(surgeon.SurgeonError, match="X143"):
        export_onnx(graph, plugins=CATALOG, target=load_target("onnx@tensorrt-10"))


@pytest.mark.parametrize("outputs", ["out", "out, kept", "out, found"])
def test_sizes_that_constants_decide_are_computed_for_tensorrt(outputs: str) -> None:
    """TensorRT takes a NonZero for half of what it could find, and builds no engine for a sum with it."""
    graph = parse_graph(
        f"""graph v1
outputs: {outputs}
x = Placeholder() {{dtype: float32, shape: shape[1,3]}}
a = Const() {{dtype: float32, value: tensor<float32[4]: -1.0, 2.0, 3.0, 4.0>}}
zero = Const() {{dtype: float32, value: tensor<float32[]: 0.0>}}
above = Greater(a, zero) {{T: float32}}
found = Where(above) {{T: bool}}
one = Const() {{dtype: int32, value: tensor<int32[1]: -1>}}
flat = Reshape(found, one) {{T: int64, Tshape: int32}}
axis = Const() {{dtype: int32, value: tensor<int32[]: 0>}}
kept = GatherV2(a, flat, axis) {{Tparams: float32, Tindices: int64, Taxis: int32, batch_dims: 0}}
out = AddV2(x, kept) {{T: float32}}
"""
    )
    model = export_onnx(graph, plugins=CATALOG, target=load_target(RUNTIME)).model
    if outputs == "out":
        assert [node.op_type for node in model.graph.node] == ["Add"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result, *rest = session.run(None, {"x": np.zeros((1, 3), np.float32)})
    np.testing.assert_array_equal(result, [[2, 3, 4]])
    for value in rest:
        np.testing.assert_array_equal(value.reshape(-1), [2, 3, 4] if "kept" in outputs else [1, 2, 3])


@pytest.mark.parametrize("choice", [{"rendering": "plain"}, {"batch": 0}, {"batch": "open"}])
def test_choices_that_mean_nothing(choice: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        exported(parse_graph("graph v1\noutputs: out\n" + X + "out = Relu(x) {T: float32}\n"), **choice)


def test_element_types_that_onnx_lacks() -> None:
    from surgeon.formats.onnx.network import kind_of
    from surgeon.graph import DType

    assert [kind_of(dtype) for dtype in (DType.FLOAT32, DType.FLOAT64, DType.INT64, DType.BOOL)] == [
        1,
        11,
        7,
        9,
    ]
    with pytest.raises(surgeon.SurgeonError) as caught:
        kind_of(DType.QINT8)
    assert caught.value.diagnostics[0].code == "X141"


def test_what_the_other_process_refuses_is_refused_here(tmp_path: Path) -> None:
    import io

    from surgeon.formats.graphdef import to_bytes
    from surgeon.formats.onnx.ordinary import Request, _framed, _unframed, serve

    graph = parse_graph("graph v1\noutputs: out\n" + REFUSED["X140"][0])
    request = Request(("x:0",), ("out:0",), 17)
    order, answer = (
        io.BytesIO(
            _framed({"inputs": request.inputs, "outputs": request.outputs, "opset": 17}) + to_bytes(graph)
        ),
        io.BytesIO(),
    )
    serve(order, answer)
    answer.seek(0)
    head = _unframed(answer)
    assert head is not None and head["problems"][0][0] == "X140" and answer.read() == b""


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for content in (b"", b"no protobuf at all", None):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with pytest.raises(surgeon.SurgeonError) as caught:
            read_onnx_metadata(path)
        assert caught.value.diagnostics[0].code == "X150"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image", "{"),
        ("image", "[1]"),
        ("image", '{"size": 3}'),
        ("labels", '{"a": "b"}'),
        ("nchw_inputs", "{}"),
        ("detections", "7"),
    ],
)
def test_damaged_properties(key: str, value: str, tmp_path: Path) -> None:
    model = exported(
        parse_graph("graph v1\noutputs: out\n" + X + "out = Relu(x) {T: float32}\n"),
        metadata={f"surgeon.{key}": value},
    )
    if key == "nchw_inputs":
        next(row for row in model.metadata_props if row.key == f"surgeon.{key}").value = value
    write_onnx(model, tmp_path / "a.onnx")
    with pytest.raises(surgeon.SurgeonError) as caught:
        read_onnx_metadata(tmp_path / "a.onnx")
    assert caught.value.diagnostics[0].code == "X151"


def test_a_file_of_another_maker_has_inputs_and_outputs(tmp_path: Path) -> None:
    model = exported(parse_graph("graph v1\noutputs: out\n" + X + "out = Relu(x) {T: float32}\n"))
    del model.metadata_props[:]
    write_onnx(model, tmp_path / "a.onnx")
    info = read_onnx_metadata(tmp_path / "a.onnx")
    assert (
        set(info.inputs) == {"x"}
        and info.image is None
        and info.detections == {}
        and info.layout == {"x": "as in the graph"}
    )


def test_check_tells_what_the_exporter_objects_to(small: Path, tmp_path: Path) -> None:
    assert surgeon.check("ssd", small, target=RUNTIME).errors == ()
    assert surgeon.check("ssd", small, target="onnx@tensorrt-11").errors == ()
    write_plugins(tmp_path)
    graph = parse_graph("graph v1\n" + X + "body/r = Relu(x) {T: float32}\n")
    recipe = surgeon.parse_recipe(
        "recipe: 1\nname: r\noutputs: [bare]\nnodes: {bare: {plugin: Bare}}\nnamespaces: {body: bare}\n"
    )
    found = surgeon.check(recipe, graph, target=RUNTIME, plugin_paths=[tmp_path])
    assert [d.code for d in found.errors] == ["X146"]
