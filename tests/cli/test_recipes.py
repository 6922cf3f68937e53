"""The shipped recipes: valid by the schema, and able to convert detectors of every date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import surgeon
from surgeon import zoo
from surgeon.graph import parse_graph
from surgeon.language import recipe_files, recipe_schema
from surgeon.language.document import read_document, to_plain

NAMES = sorted(recipe_files())
OF_OTHER_GRAPHS = ("ssd_fpn", "ssd_softmax")
SSD = [name for name in NAMES if name.startswith("ssd") and name not in OF_OTHER_GRAPHS]
DATES = ["2017", "2018", "2019"]


def test_these_are_shipped() -> None:
    assert NAMES == [
        "facenet",
        "keras_tiny_yolo_v3",
        "keras_yolo_v3",
        "lenet5_clip",
        "lstm_tagger",
        "mobilenet_v1",
        "opencv_face_detector",
        "ssd",
        "ssd_custom",
        "ssd_fpn",
        "ssd_inception_v2_coco_2017_11_17",
        "ssd_mobilenet_v1_coco",
        "ssd_mobilenet_v2_coco",
        "ssd_nvidia_numbers",
        "ssd_softmax",
        "ssdlite_mobilenet_v2_coco",
        "unet",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_named_as_its_file_and_says_what_it_is_for(name: str) -> None:
    recipe = surgeon.load_recipe(name)
    assert recipe.name == name and recipe.summary.endswith(".")
    assert surgeon.check(name).errors == ()


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_accepts_a_shipped_recipe(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    validator = jsonschema.Draft202012Validator(recipe_schema())
    value = to_plain(read_document(recipe_files()[name]))
    assert list(validator.iter_errors(value)) == []
    assert list(validator.iter_errors({**value, "nods": {}})) != []


@pytest.mark.parametrize(
    ("name", "date"),
    [
        pytest.param(name, date, marks=[] if date == "2018" or name == "ssd" else [pytest.mark.exhaustive])
        for name in SSD
        for date in DATES
    ],
)
def test_a_detector_is_converted(name: str, date: str, zoo_ssd: Callable[..., Path], tmp_path: Path) -> None:
    done = surgeon.convert(name, zoo_ssd(date=date), tmp_path / "ssd.uff")
    found = surgeon.inspect(done.output)
    # Exporters until 2018 clip boxes before suppression: these are decoded in front of the plugin.
    decoded = date != "2019" and name != "ssd_nvidia_numbers"
    assert found.plugins == {
        **({} if decoded else {"GridAnchor": "GridAnchor_TRT"}),
        "concat_box_loc": "FlattenConcat_TRT",
        "concat_box_conf": "FlattenConcat_TRT",
        "NMS": "NMS_TRT",
    }
    assert found.inputs == {"Input": "float32[1,3,300,300]"} and found.outputs == {"MarkOutput_0": "NMS"}
    derived = {(d.node, d.field): d.value for d in done.plan.derivations}
    assert derived["NMS", "numClasses"] == 4
    assert tuple(derived["GridAnchor", "featureMapShapes"]) == (19, 10, 5, 3, 2, 1)


@pytest.mark.parametrize(
    ("target", "date"),
    [
        pytest.param(f"uff@tensorrt-{version}", date, marks=[] if date == usual else [pytest.mark.exhaustive])
        for version, usual in {"5.1": "2017", "7.1": "2018", "8.6": "2019"}.items()
        for date in DATES
    ],
)
def test_every_line_of_tensorrt_is_served(
    date: str, target: str, zoo_ssd: Callable[..., Path], tmp_path: Path
) -> None:
    assert surgeon.check("ssd", zoo_ssd(date=date), target=target).errors == ()


@pytest.mark.parametrize("date", [pytest.param("2017", marks=pytest.mark.exhaustive), "2018", "2019"])
def test_the_recipe_of_the_backbone_is_found(date: str, zoo_ssd: Callable[..., Path]) -> None:
    found = surgeon.inspect(zoo_ssd(date=date))
    assert [fit.recipe for fit in found.fits] == [
        "ssd_mobilenet_v1_coco",
        "ssd",
        "ssd_custom",
        "ssd_nvidia_numbers",
    ]  # 'ssd_softmax' cannot be planned for scores of a sigmoid
    assert {u.namespace for u in found.unsupported} >= {
        "Preprocessor",
        "MultipleGridAnchorGenerator",
        "Postprocessor",
    }


def test_the_size_of_a_custom_detector_is_compared(zoo_ssd: Callable[..., Path], tmp_path: Path) -> None:
    model = zoo_ssd(date="2018")
    with pytest.raises(surgeon.SurgeonError) as exc:
        surgeon.convert("ssd_custom", model, tmp_path / "x.uff", parameters={"height": 512})
    assert exc.value.diagnostics[0].code == "D101"


def test_lenet_is_converted(tmp_path: Path) -> None:
    from surgeon.zoo import build_lenet

    (tmp_path / "lenet.pb").write_bytes(build_lenet())
    done = surgeon.convert("lenet5_clip", tmp_path / "lenet.pb", tmp_path / "lenet.uff")
    assert surgeon.inspect(done.output).plugins == {"trt_relu6": "CustomClipPlugin"}
    assert [fit.recipe for fit in surgeon.inspect(tmp_path / "lenet.pb").fits] == ["lenet5_clip"]


NETWORKS = {
    "facenet": zoo.build_facenet,
    "lstm_tagger": zoo.build_lstm_tagger,
    "mobilenet_v1": zoo.build_mobilenet,
    "unet": zoo.build_unet,
}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give a frozen graph for each recipe of a network that detects nothing."""
    folder = tmp_path_factory.mktemp("networks")
    for name, build in NETWORKS.items():
        (folder / f"{name}.pb").write_bytes(build())
    return {name: folder / f"{name}.pb" for name in NETWORKS}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_becomes_onnx_that_computes_the_same(
    name: str, networks: dict[str, Path], tmp_path: Path
) -> None:
    surgeon.convert(name, networks[name], tmp_path / "x.onnx")
    assert surgeon.verify(name, networks[name], onnx=tmp_path / "x.onnx").passed


def test_a_network_that_is_fixed_to_training_does_not(networks: dict[str, Path]) -> None:
    found = surgeon.verify("facenet", networks["facenet"], constants={"phase_train": True})
    assert not found.passed


@pytest.mark.parametrize("name", ["facenet", "mobilenet_v1", "unet"])
def test_a_network_becomes_uff(name: str, networks: dict[str, Path], tmp_path: Path) -> None:
    surgeon.convert(name, networks[name], tmp_path / "x.uff")
    assert surgeon.inspect(tmp_path / "x.uff").nodes


def test_the_recipe_unet_takes_plugins_for_resizing_alone() -> None:
    graph = parse_graph("""graph v1
x = Placeholder() {dtype: float32, shape: shape[?,8,8,3]}
axis = Const() {dtype: int32, value: tensor<int32[]: 3>}
parts = Split(axis, x) {T: float32, num_split: 3}
leaky = LeakyRelu(parts:1) {T: float32, alpha: 0.1}
size = Const() {dtype: int32, value: tensor<int32[2]: 16, 16>}
larger = ResizeBilinear(leaky, size) {T: float32, align_corners: false, half_pixel_centers: false}
probabilities = Sigmoid(larger) {T: float32}
""")
    result = surgeon.plan("unet", graph, target="uff@tensorrt-8.5").result
    assert result is not None and {"Split", "LeakyRelu"} <= {node.op for node in result}
    assert [node.op for node in result if node.op.startswith("Surgeon")] == ["SurgeonResizeBilinear"]


def test_a_loop_is_refused_for_uff_with_the_options(networks: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(surgeon.SurgeonError, match=r"UFF has no loops.* or export to ONNX"):
        surgeon.convert("lstm_tagger", networks["lstm_tagger"], tmp_path / "x.uff")
    assert not (tmp_path / "x.uff").exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("facenet", "Network of embeddings of 16 numbers"),
        ("lstm_tagger", "Network"),
        ("mobilenet_v1", "Classifier of 5 classes"),
        ("unet", "Segmentation network of 3 classes"),
    ],
)
def test_init_writes_the_same_outputs_as_the_shipped_recipe(
    name: str, kind: str, networks: dict[str, Path]
) -> None:
    made = surgeon.init(networks[name], target="onnx@onnxruntime")
    assert made.recipe.outputs == surgeon.load_recipe(name).outputs and not made.errors
    assert made.summary.startswith(f"{kind}: ")


@pytest.mark.parametrize("verb", ["check", "plan", "convert"])
def test_the_anchors_are_chosen_on_the_command_line(
    verb: str, zoo_ssd: Callable[..., Path], tmp_path: Path, run: Callable[..., Any]
) -> None:
    model = zoo_ssd(date="2018", height=96, width=96, depth_multiplier=0.125)
    output = ["-o", tmp_path / "ssd.uff"] if verb == "convert" else []
    ran = run(verb, "ssd", model, "--anchors", "constant", "--json", *output)
    assert ran.code == 0, ran.err
    shown = next(d for d in ran.json["derivations"] if d["field"] == "anchors")
    assert shown["node"] == "concat_priorbox" and shown["value"] == "constant" and len(shown["evidence"]) > 3
    assert not [
        d for d in run(verb, "ssd", model, "--json", *output).json["derivations"] if d["field"] == "anchors"
    ]
    assert run(verb, "ssd", model, "--anchors", "none", *output).code == 2


def test_check_shows_every_derived_value_with_its_evidence(
    zoo_ssd: Callable[..., Path], run: Callable[..., Any]
) -> None:
    ran = run("check", "ssd", zoo_ssd(date="2019", height=96, width=96, depth_multiplier=0.125))
    assert ran.code == 0, ran.err
    for line in (
        "GridAnchor.minSize = 0.2",
        "GridAnchor.variance = [0.1, 0.1, 0.2, 0.2]",
        "NMS.nmsThreshold = 0.6",
        "NMS.topK = 204",
        "image.size = [96, 96]",
        "image.steps = [{'scale': 0.007843138}, {'subtract': 1.0}]",
    ):
        assert line in ran.out
    assert "largest difference of a coordinate: 1.2e-07 of the picture" in ran.out
