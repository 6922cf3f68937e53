"""RetinaNet of Keras: recognised by its boxes, drafted, converted and proven, by version and option."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.families import Refusal, nearest_family, recognise
from surgeon.families.keras_retinanet import KerasRetinaNet
from surgeon.families.keras_retinanet.picture import picture_convention
from surgeon.formats.graphdef import load_graph
from surgeon.graph import DType, Graph, Node, Ref
from surgeon.verification.results import Verification
from surgeon.zoo.keras_retinanet import KerasRetinaNetOptions, build_keras_retinanet
from surgeon.zoo.ssd import build_ssd

SIZE = (64, 96)


def _graph(folder: Path, options: KerasRetinaNetOptions = KerasRetinaNetOptions()) -> Graph:
    path = folder / "retinanet.pb"
    path.write_bytes(build_keras_retinanet(options))
    return load_graph(path)


@pytest.mark.parametrize(
    ("options", "backbone", "window"),
    [
        (KerasRetinaNetOptions(), "resnet", (0, 0, 1, 1)),
        (KerasRetinaNetOptions("1.0", layer="block2_conv1"), "vgg", (0, 0, 63 / 64, 95 / 96)),
        (
            KerasRetinaNetOptions(classes=1, std=(0.1, 0.1, 0.3, 0.2), layer="conv_dw_1"),
            "mobilenet",
            (0, 0, 1, 1),
        ),
        (KerasRetinaNetOptions(per_class=False, iou_threshold=0.3, max_detections=7), "resnet", (0, 0, 1, 1)),
        (KerasRetinaNetOptions(suppress=False, score_threshold=0.2), "resnet", (0, 0, 1, 1)),
    ],
)
def test_findings(
    tmp_path: Path, options: KerasRetinaNetOptions, backbone: str, window: tuple[float, ...]
) -> None:
    found = recognise(_graph(tmp_path, options))
    assert isinstance(found, KerasRetinaNet)
    assert found.kind == f"keras_retinanet_{backbone}"
    original = found.postprocessing
    assert original.coding.value == "corners-by-size"
    assert original.variances.value == pytest.approx(options.std)
    assert original.classes.value == options.classes
    assert original.background.value == -1
    assert original.score_threshold.value == pytest.approx(options.score_threshold)
    assert original.iou_threshold.value == pytest.approx(options.iou_threshold if options.suppress else 1.0)
    assert original.max_total.value == original.max_per_class.value == options.max_detections
    assert original.class_agnostic.value is not options.per_class
    assert original.clip.value == "before"
    assert original.clip_window.value == pytest.approx(window)
    assert original.boxes.value == (8 * 12 + 4 * 6) * 3
    assert found.findings.keys() == set(found.keys)
    assert found.image.value.color == "BGR"
    assert set(found.outputs.value) == {"boxes", "scores", "classes"}


def test_anchors_are_those_of_their_formula(tmp_path: Path) -> None:
    """Encodings that were normalised by a mean other than 0 move the anchors, and change their sizes."""
    stride, side = 8, 32.0
    corners = []
    for ratio in (0.5, 1.0, 2.0):
        width, height = side / np.sqrt(ratio), side * np.sqrt(ratio)
        corners.append(
            [stride / 2 - height / 2, stride / 2 - width / 2, stride / 2 + height / 2, stride / 2 + width / 2]
        )
    expected = np.array(corners) / [*SIZE, *SIZE]
    found = nearest_family(_graph(tmp_path)).finding("anchors").value
    np.testing.assert_allclose(found[:3], expected, atol=1e-6)
    moved = nearest_family(_graph(tmp_path, KerasRetinaNetOptions(mean=(0.1, 0.0, 0.3, 0.0))))
    wide = moved.finding("anchors").value
    sides = expected[:, 3] - expected[:, 1]
    np.testing.assert_allclose(wide[:3, 1], expected[:, 1] + 0.1 * sides, atol=1e-6)
    np.testing.assert_allclose(wide[:3, 3], expected[:, 3] + 0.3 * sides, atol=1e-6)
    assert moved.finding("coder").value[0] == pytest.approx(0.2 / 1.2, rel=1e-4)


def test_other_detectors_are_none(tmp_path: Path) -> None:
    (tmp_path / "ssd.pb").write_bytes(build_ssd())
    graph = load_graph(tmp_path / "ssd.pb")
    assert recognise(graph).name == "ssd"  # type: ignore[union-attr]
    refusal = KerasRetinaNet.match(graph)
    assert isinstance(refusal, Refusal)
    own = _graph(tmp_path)
    changed = own.replace(
        replace(node, op="Exp", inputs=node.inputs[:1]) if node.name == "boxes/add" else node for node in own
    )
    with pytest.raises(SurgeonError, match="decoded by an exponential"):
        KerasRetinaNet(changed).structure  # noqa: B018  raises


def test_a_size_that_is_not_known_is_asked_for(tmp_path: Path) -> None:
    graph = _graph(tmp_path, KerasRetinaNetOptions(size=(None, None)))
    with pytest.raises(
        SurgeonError, match="the size of the network's input 'input_1' is not known"
    ) as raised:
        surgeon.init(graph)
    assert any("--input input_1=1x800x1333x3" in text for text in raised.value.diagnostics[0].help)
    authored = surgeon.init(graph, input_specs={"input_1": "?x64x96x3"})
    assert "shape: [1, 64, 96, 3]" in authored.text
    assert not authored.errors


@pytest.mark.parametrize("layer", ["stem", "conv2_block1_1_conv", "conv2_block1_add", "block1_conv1"])
def test_an_unknown_backbone_leaves_the_picture_open(tmp_path: Path, layer: str) -> None:
    """Keras' ResNets since 2.2.5 share names of layers with DenseNet, Xception does with VGG."""
    authored = surgeon.init(_graph(tmp_path, KerasRetinaNetOptions(layer=layer)))
    assert [each.code for each in authored.diagnostics] == ["D115"]
    assert "image: null" in authored.text


@pytest.mark.parametrize(
    ("names", "backbone"),
    [
        (("conv2_block1_1_conv", "conv2_block1_concat"), "densenet"),
        (("conv2_block1_1_conv", "conv2_block1_out"), ""),
        (("block1_conv1", "block2_conv2"), "vgg"),
        (("block1_conv1", "block2_sepconv1"), ""),
        (("conv2_block1_concat", "block2_conv2"), ""),
    ],
)
def test_names_that_two_backbones_share_tell_neither(names: tuple[str, ...], backbone: str) -> None:
    graph = Graph([Node(f"{name}/op", "NoOp") for name in names])
    assert picture_convention(graph).backbone == backbone


def test_what_calls_of_functions_leave_is_no_namespace(tmp_path: Path) -> None:
    """A SavedModel ends in an IdentityN of a call, and names of models stand in front of its layers."""
    graph = _graph(tmp_path)
    outputs = tuple(graph.output_refs)
    nodes = [replace(node, name=f"model/{node.name}") if node.op == "Relu" else node for node in graph]
    renamed = {Ref(node.name): Ref(f"model/{node.name}") for node in graph if node.op == "Relu"}
    nodes = [node.with_inputs(tuple(renamed.get(r, r) for r in node.inputs), node.control) for node in nodes]
    types = (DType.FLOAT32, DType.FLOAT32, DType.INT32)
    call = Node("Call", "IdentityN", outputs, attrs={"T": types})
    last = [Node(f"Identity_{i}", "Identity", (Ref("Call", i),), attrs={"T": types[i]}) for i in range(3)]
    found = graph.replace([*nodes, call, *last], [Ref(node.name) for node in last])
    assert picture_convention(found).backbone == "resnet"
    authored = surgeon.init(found)
    assert set(authored.recipe.namespaces) == {"input_1", "filtered_detections"}
    assert not authored.errors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    return tmp_path_factory.mktemp("retinanet")


def _verified(
    folder: Path, options: KerasRetinaNetOptions, target: str, suppression: str | None = None
) -> Verification:
    graph = _graph(folder, options)
    sizes = {"input_1": "1x64x96x3"} if None in options.size else {}
    surgeon.init(graph, folder / "retinanet.yaml", target=target, input_specs=sizes, force=True)
    return surgeon.verify(folder / "retinanet.yaml", graph, target=target, suppression=suppression)


@pytest.mark.parametrize(
    ("options", "target", "suppression"),
    [
        (KerasRetinaNetOptions(), "uff@tensorrt-8.5", None),
        (KerasRetinaNetOptions("1.0", mean=(0.05, 0.0, -0.1, 0.0)), "onnx@tensorrt-10", None),
        (KerasRetinaNetOptions("1.0", size=(None, None)), "onnx@tensorrt-10", "native"),
        (KerasRetinaNetOptions(per_class=False), "onnx@onnxruntime", None),
        (KerasRetinaNetOptions(suppress=False, classes=1), "onnx@onnxruntime", None),
    ],
)
def test_every_detection_is_the_originals(
    folder: Path, options: KerasRetinaNetOptions, target: str, suppression: str | None
) -> None:
    verification = _verified(folder, options, target, suppression)
    assert verification.passed, str(verification)
    assert not any(verdict.excused for verdict in verification.verdicts)
    matched = [
        each
        for verdict in verification.verdicts
        for each in verdict.comparisons
        if each.outcome.value == "passed"
    ]
    assert len(matched) > 8, "the picture, the boxes that are decoded, and the probes"
    noticed = {each.field for each in verification.power if each.exercised}
    assert (
        noticed >= {"nmsThreshold", "codeType", "keepTopK"}
        or noticed >= {"maxTotal", "coding"}
        or not options.suppress
    )


def test_a_wrong_coding_is_refused_or_noticed(folder: Path) -> None:
    graph = _graph(folder)
    surgeon.init(graph, folder / "wrong.yaml", force=True)
    text = (folder / "wrong.yaml").read_text().replace("codeType: 2", "codeType: 0")
    (folder / "wrong.yaml").write_text(text)
    with pytest.raises(SurgeonError, match="expected 2, the coding of the graph"):
        surgeon.verify(folder / "wrong.yaml", graph)
    (folder / "wrong.yaml").write_text(text.replace("decode: graph", "decode: plugin"))
    assert not surgeon.verify(folder / "wrong.yaml", graph).passed


def test_files_hold_the_same_detections(folder: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the ONNX file is run")
    graph = _graph(folder)
    recipe = folder / "files.yaml"
    surgeon.init(graph, recipe, force=True)
    for suppression in ("plugin", "native"):
        file = folder / f"{suppression}.onnx"
        surgeon.convert(recipe, graph, file, target="onnx@onnxruntime", suppression=suppression)
        verification = surgeon.verify(recipe, graph, target="onnx@onnxruntime", onnx=file)
        assert verification.passed, str(verification)
    surgeon.convert(recipe, graph, folder / "retinanet.uff")
    assert (folder / "retinanet.uff").stat().st_size > 0
