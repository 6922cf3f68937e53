"""The folder for DeepStream: its configuration, and its parser fed what networks give."""

from __future__ import annotations

import configparser
import json
import math
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.catalog.detections import part_of_masks
from surgeon.cli import main
from surgeon.diagnostics import SurgeonError
from surgeon.engine.manifest import FileInfo, TensorInfo, manifest_path, read_manifest
from surgeon.language import Image
from surgeon.packaging.description import Description, OutputInfo
from surgeon.packaging.kind import PackagedModel
from surgeon.packaging.kinds.deepstream import check_for_deepstream, write_deepstream_folder
from surgeon.packaging.normalization import normalization
from surgeon.runners.detection_runner import DetectionRunner
from surgeon.runners.detections import Detections, Window, detections_of_plugin
from surgeon.runners.drawing import ranked
from surgeon.runners.image import given_pictures, made_picture, prepare
from surgeon.runners.onnxruntime import OnnxRuntimeRunner
from surgeon.zoo import demo

HERE = Path(__file__).parent / "deepstream"
HEIGHT, WIDTH = 240, 320
FLOAT, HALF, INT8, INT32, INT64 = range(5)
TYPES = {"float32": FLOAT, "float16": HALF, "int8": INT8, "int32": INT32, "int64": INT64}
TOLERANCE = 2e-3
"""In pixels: corners below 500 are subtracted in float32, and the lower edge is kept a millionth inside."""

STRICT = ["-std=c++14", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]

IMAGE = Image(size=(HEIGHT, WIDTH), interpolation="half-pixel-bilinear")
ROWS = {"detections": "NMS", "count": "NMS:1"}
LISTS = {"num_detections": "NMS", "boxes": "NMS:1", "scores": "NMS:2", "classes": "NMS:3"}


def description(parts: Mapping[str, str], form: str = "uff", **changes: Any) -> Description:
    """Return a model with these outputs by part, and a picture of 240 x 320 as its input."""
    names = sorted(set(parts.values()))
    model = Description(
        surgeon="0",
        name="net",
        source=FileInfo(name=f"net.{form}", sha256="", bytes=3),
        format=form,
        inputs=(
            TensorInfo(
                name="Input",
                binding="Input",
                dtype="float32",
                shape=(None, HEIGHT, WIDTH, 3),
                axes=(0, 3, 1, 2),
            ),
        ),
        marks=("MarkOutput_0",),
        outputs=tuple(
            OutputInfo(name=name, dtype="float32", binding=name.replace(":", "_")) for name in names
        ),
        detections=parts,
        image=IMAGE,
        classes=5,
    )
    return model.model_copy(update=changes)


def folder_of(described: Description, place: Path) -> Path:
    """Write the folder of a model that nobody reads."""
    folder = place / "folder"
    folder.mkdir(parents=True, exist_ok=True)
    (place / "net.bin").write_bytes(b"net")
    write_deepstream_folder(folder, PackagedModel(described, place / "net.bin"))
    return folder


def config_of(folder: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.read(folder / "config_infer_primary.txt")
    return parser


class Parser:
    """The compiled parser of a folder, which a process runs that reads each buffer with a sanitizer."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def __call__(self, *cases: bytes) -> list[dict[str, Any]]:
        done = subprocess.run([self.program], input=b"".join(cases), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        self.messages = done.stderr.decode()
        found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(found) == len(cases)
        return found


def case(
    layers: Mapping[str, np.ndarray | None],
    *,
    classes: int = 5,
    threshold: float = 0.3,
    count: int | None = None,
    sizes: Sequence[int] | None = None,
    kind: int | None = None,
) -> bytes:
    """Return a picture's outputs as the driver reads them; a layer that is None has no buffer.

    ``count``, ``sizes`` and ``kind`` stand in the place of what each array says.
    """
    text = f"{WIDTH} {HEIGHT} {classes} {threshold!r} {len(layers)}\n".encode()
    for name, array in layers.items():
        value = np.zeros(4, np.float32) if array is None else np.ascontiguousarray(array)
        own = value.shape if sizes is None else tuple(sizes)
        number = (math.prod(own) if own else value.size) if count is None else count
        data = value.tobytes()
        length = -1 if array is None else len(data)
        known = TYPES[str(value.dtype)] if kind is None else kind
        numbers = " ".join(map(str, (known, length, number, len(own), *own)))
        text += f"{name} {numbers}\n".encode() + (b"" if array is None else data)
    return text + b"\n"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Parser]:
    """Give ``compiled(folder)``: the folder's parser, compiled once for each text."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ to compile the parser with")
    programs: dict[str, Parser] = {}
    place = tmp_path_factory.mktemp("parsers")
    (place / "empty.cpp").write_text("int main() {}\n")
    sanitizer = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    trial = [compiler, *sanitizer, place / "empty.cpp", "-o", place / "empty"]
    if subprocess.run(trial, capture_output=True).returncode:
        sanitizer = []
    options = [*STRICT, "-DNEWER", *sanitizer, f"-I{HERE}"]

    @cache
    def driver(masks: bool) -> Path:
        path = place / f"driver-{masks}.o"
        words = [compiler, *options, *(["-DMASKS"] if masks else []), "-c", HERE / "driver.cpp", "-o", path]
        subprocess.run(words, check=True)
        return path

    def compile_parser(folder: Path) -> Parser:
        source = folder / "parser.cpp"
        text = source.read_text()
        if text not in programs:
            program = place / f"parser{len(programs)}"
            words = [compiler, *options, source, driver("kMasks" in text), "-o", program]
            done = subprocess.run(words, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            programs[text] = Parser(program)
        return programs[text]

    return compile_parser


def expected_rows(detections: Detections, threshold: float, classes: int) -> list[list[float]]:
    """Return what nvinfer is to be given: class, score, left, top, width and height in pixels."""
    kept = detections.rows(np.flatnonzero((detections.scores >= threshold) & (detections.classes >= 0)))
    kept = kept.rows(np.flatnonzero((kept.classes < classes) & np.isfinite(kept.boxes).all(axis=1)))
    pixels = np.clip(kept.boxes, 0, 1) * np.array([HEIGHT, WIDTH, HEIGHT, WIDTH], np.float32)
    rows = []
    for label, score, (top, left, bottom, right) in zip(kept.classes, kept.scores, pixels, strict=True):
        if bottom > top and right > left:
            rows.append([int(label), float(score), *map(float, (left, top, right - left, bottom - top))])
    return rows


def assert_same(found: dict[str, Any], expected: list[list[float]]) -> None:
    assert found["done"] is True
    assert [row[0] for row in found["objects"]] == [row[0] for row in expected]
    actual = np.array(found["objects"], np.float64).reshape(-1, 6)
    np.testing.assert_allclose(actual, np.array(expected).reshape(-1, 6), rtol=0, atol=TOLERANCE)


def engine_bits(array: np.ndarray, as_bits: bool) -> np.ndarray:
    """Return integers as the bits of floats, as engines of UFF files give them; other arrays as they are."""
    return array.view(np.float32) if as_bits and array.dtype == np.int32 else array


# What plugins give


def _ssd(op: str) -> tuple[str, dict[str, Any], list[np.ndarray]]:
    random = np.random.default_rng(1)
    corners = np.sort(random.uniform(-0.1, 1.1, (64, 2, 2)), axis=1).reshape(1, 1, -1, 1)
    anchors = np.concatenate([corners, np.full_like(corners, 0.1)], axis=1).astype(np.float32)
    encodings = random.normal(0, 0.4, (1, 256, 1, 1)).astype(np.float32)
    scores = random.uniform(0, 1, (1, 64 * 5, 1, 1)).astype(np.float32)
    common = {"topK": 64, "keepTopK": 40, "nmsThreshold": 0.45}
    fields = {
        "NMS_TRT": {
            "shareLocation": 1,
            "varianceEncodedInTarget": 0,
            "backgroundLabelId": 0,
            "numClasses": 5,
            "confidenceThreshold": 0.2,
            "inputOrder": (0, 1, 2),
            "confSigmoid": 0,
            "isNormalized": 1,
            "codeType": 3,
        }
    }[op]
    return op, {**common, **fields}, [encodings, scores, anchors]


def _suppressed(op: str) -> tuple[str, dict[str, Any], list[np.ndarray]]:
    random = np.random.default_rng(2)
    boxes = np.sort(random.uniform(-0.1, 1.1, (1, 64, 2, 2)), axis=2).reshape(1, 64, 4).astype(np.float32)
    scores = random.uniform(0, 1, (1, 64, 5)).astype(np.float32)
    fields = {
        "BatchedNMS_TRT": {
            "shareLocation": 1,
            "backgroundLabelId": -1,
            "numClasses": 5,
            "topK": 64,
            "keepTopK": 40,
            "scoreThreshold": 0.2,
            "iouThreshold": 0.45,
            "isNormalized": 1,
            "clipBoxes": 0,
        },
        "EfficientNMS_TRT": {
            "score_threshold": 0.2,
            "iou_threshold": 0.45,
            "max_output_boxes": 40,
            "background_class": -1,
            "score_activation": 0,
            "box_coding": 0,
            "class_agnostic": 0,
        },
    }[op]
    return op, fields, [boxes[:, :, None] if op == "BatchedNMS_TRT" else boxes, scores]


@pytest.mark.parametrize("op", ["NMS_TRT", "BatchedNMS_TRT", "EfficientNMS_TRT"])
def test_the_parser_finds_what_run_finds(op: str, compiled: Callable[[Path], Parser], tmp_path: Path) -> None:
    catalog = load_catalog()
    op, fields, inputs = (_ssd if op == "NMS_TRT" else _suppressed)(op)
    reference = catalog.reference(op)
    assert reference is not None
    arrays = reference.run(fields, inputs)
    ports = catalog.detections(op, "NMS", fields)
    parts = {part: str(ref) for part, ref in ports.items()}
    outputs = {part: np.ascontiguousarray(arrays[ref.slot]) for part, ref in ports.items()}
    parser = compiled(folder_of(description(parts), tmp_path))
    (detections,) = detections_of_plugin(outputs, IMAGE.size)
    for as_bits in (False, True):
        layers = {
            parts[part].replace(":", "_"): engine_bits(value.reshape(value.shape[1:] or (1,)), as_bits)
            for part, value in outputs.items()
        }
        layers["other"] = np.zeros(3, np.float32)
        for threshold, classes in ((0.0, 5), (0.5, 5), (0.0, 3)):
            wanted = expected_rows(detections, threshold, classes)
            assert len(wanted) > 10
            (found,) = parser(case(layers, threshold=threshold, classes=classes))
            assert_same(found, wanted)
            assert ("beyond num-detected-classes" in parser.messages) is (classes == 3)


def test_the_parser_finds_what_run_finds_in_a_picture(
    compiled: Callable[[Path], Parser], demo_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX files run in ONNX Runtime")
    file = tmp_path / "demo.onnx"
    shutil.copy(demo_onnx(), file)
    made = surgeon.package(file, None, tmp_path / "folder", kind="deepstream")
    config = config_of(tmp_path / "folder")["property"]
    assert config["onnx-file"] == "demo.onnx" and config["num-detected-classes"] == str(
        made.description.classes
    )
    parser = compiled(tmp_path / "folder")
    runner = DetectionRunner(OnnxRuntimeRunner.open(file))
    given = given_pictures(demo.picture_paths()[0].parent)
    results = [result for _, result in runner.detect(islice(given, 3), 1, keep_outputs=True)]
    bindings = {each.name: each.binding for each in made.description.outputs}
    for result in results:
        assert result.detections is not None and len(result.detections) > 0
        layers = {bindings[name]: np.ascontiguousarray(value) for name, value in result.outputs.items()}
        size = runner.image.size
        text = case(layers, classes=made.description.classes or 0)
        text = text.replace(f"{WIDTH} {HEIGHT}".encode(), f"{size[1]} {size[0]}".encode(), 1)
        (found,) = parser(text)
        rows = sorted(found["objects"], key=lambda row: -row[1])
        best = ranked(result.detections, 0.3)
        assert [row[0] for row in rows] == best.classes.tolist()
        boxes = np.array([[top, left, top + height, left + width] for *_, left, top, width, height in rows])
        pixels = np.clip(best.boxes, 0, 1) * np.array([*size, *size])
        np.testing.assert_allclose(boxes, pixels, rtol=0, atol=TOLERANCE)


@pytest.fixture
def rows(compiled: Callable[[Path], Parser], tmp_path: Path) -> Parser:
    return compiled(folder_of(description(ROWS), tmp_path))


@pytest.fixture
def lists(compiled: Callable[[Path], Parser], tmp_path: Path) -> Parser:
    return compiled(folder_of(description(LISTS), tmp_path))


TABLE = np.array(
    [
        [0, 2, 0.9, 0.25, 0.5, 0.75, 1.0],
        [0, 1, 0.8, -0.5, -0.25, 0.5, 2.0],
        [0, 3, 0.7, 0.1, 0.1, 0.1, 0.4],
        [0, -1, 0, 0, 0, 0, 0],
    ],
    np.float32,
)[None]


@pytest.mark.parametrize(
    "parts",
    [
        {**ROWS, "masks:class,height,width": "m"},
        {"boxes": "b", "class_scores": "c", "num_detections": "n", "masks": "m"},
    ],
)
def test_the_parser_compiles_with_older_headers(parts: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("there is no g++ to compile the parser with")
    source = folder_of(description(parts), tmp_path) / "parser.cpp"
    subprocess.run(["g++", *STRICT, "-fsyntax-only", f"-I{HERE}", source], check=True)


def test_boxes_are_clipped_pixels(rows: Parser) -> None:
    three = np.array([3], np.int32).view(np.float32)
    (found,) = rows(case({"NMS": TABLE, "NMS_1": three}))
    expected = [[2, 0.9, 80, 120, 160, 120], [1, 0.8, 0, 0, 160, 240]]
    assert_same(found, expected)
    for _, _, left, top, width, height in found["objects"]:
        assert left >= 0 and top >= 0 and left + width <= WIDTH and top + height < HEIGHT


@pytest.mark.parametrize(
    ("count", "number"),
    [
        (np.int32([2]).view(np.float32), 2),
        (np.int32([1]), 1),
        (np.int64([2]), 2),
        (np.float32([1]), 1),
        (np.float16([1]), 1),
        (np.int8([2]), 2),
        (np.int32([0]), 0),
        (np.int32([2_000_000_000]).view(np.float32), 2),
        (np.int32([-7]), 0),
        (np.int32([-7]).view(np.float32), 0),
        (np.float32([np.nan]), 0),
        (np.float32([np.inf]), 2),
    ],
)
def test_counts_of_every_type(count: np.ndarray, number: int, rows: Parser) -> None:
    (found,) = rows(case({"NMS": TABLE, "NMS_1": count}))
    assert found["done"] and len(found["objects"]) == number


def test_numbers_that_are_not_finite_are_no_detections(rows: Parser, lists: Parser) -> None:
    whole = np.int32([4]).view(np.float32)
    for column in range(1, 7):
        for value in (np.nan, np.inf, -np.inf):
            table = TABLE.copy()
            table[0, 0, column] = value
            (found,) = rows(case({"NMS": table, "NMS_1": whole}))
            assert found["done"] and len(found["objects"]) == 1, (column, value)
    nothing = np.full((8, 7), np.nan, np.float32)
    (found,) = rows(case({"NMS": nothing, "NMS_1": whole}, threshold=0.0))
    assert found == {"done": True, "objects": []}
    outputs = {name: np.full(size, np.nan, np.float32) for name, size in (("NMS_2", 4), ("NMS_3", 4))}
    boxes = {"NMS_1": np.full((4, 4), np.nan, np.float32)}
    (found,) = lists(case({"NMS": np.int32([4]), **boxes, **outputs}, threshold=0.0))
    assert found == {"done": True, "objects": []}


def test_empty_outputs_hold_no_detection(rows: Parser, lists: Parser) -> None:
    none = np.zeros((0, 7), np.float32)
    (found,) = rows(case({"NMS": none, "NMS_1": np.int32([9])}))
    assert found == {"done": True, "objects": []}
    boxes, values = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    (found,) = lists(case({"NMS": np.int32([9]), "NMS_1": boxes, "NMS_2": values, "NMS_3": values}))
    assert found == {"done": True, "objects": []}


BOXES = np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], np.float32)
SCORES, CLASSES = np.float32([0.9, 0.8]), np.int32([1, 2])


@pytest.mark.parametrize(
    ("layers", "options", "message"),
    [
        ({}, {}, "it has none"),
        ({"nms": TABLE, "NMS_1": SCORES[:1]}, {}, "no output 'NMS'; it has nms, NMS_1"),
        ({"-": TABLE, "NMS_1": SCORES[:1]}, {}, "no output 'NMS'; it has NMS_1"),
        ({"NMS": TABLE}, {}, "no output 'NMS_1'"),
        ({"NMS": None, "NMS_1": SCORES[:1]}, {"sizes": (4, 7)}, "'NMS' has no buffer"),
        ({"NMS": TABLE[..., :6], "NMS_1": SCORES[:1]}, {}, "rows of 6; expected rows of 7"),
        ({"NMS": TABLE.reshape(-1), "NMS_1": SCORES[:1]}, {}, "rows of 28; expected rows of 7"),
        ({"NMS": TABLE, "NMS_1": SCORES}, {}, "has 2 numbers for a picture; expected 1"),
        ({"NMS": TABLE, "NMS_1": SCORES[:1]}, {"kind": 7}, "the type 7"),
        ({"NMS": TABLE, "NMS_1": SCORES[:1]}, {"sizes": (2**32 - 1, 7), "count": 0}, "open size"),
        ({"NMS": TABLE, "NMS_1": SCORES[:0]}, {}, "has 0 numbers for a picture; expected 1"),
    ],
)
def test_a_wrong_layer_is_told(
    layers: dict[str, np.ndarray | None], options: dict[str, Any], message: str, rows: Parser
) -> None:
    (found,) = rows(case(layers, **options))
    assert found == {"done": False, "objects": []}
    assert message in rows.messages


def test_lists_that_do_not_fit_are_told(lists: Parser) -> None:
    whole = {"NMS": np.int32([2]), "NMS_1": BOXES, "NMS_2": SCORES, "NMS_3": CLASSES}
    (found,) = lists(case(whole))
    assert [row[0] for row in found["objects"]] == [1, 2]
    for name, value in (("NMS_2", SCORES[:1]), ("NMS_3", CLASSES[:1]), ("NMS_1", BOXES[:, :3])):
        (found,) = lists(case({**whole, name: value}))
        assert found == {"done": False, "objects": []} and f"'{name}'" in lists.messages


def test_lists_without_a_count(compiled: Callable[[Path], Parser], tmp_path: Path) -> None:
    parts = {part: name for part, name in LISTS.items() if part != "num_detections"}
    parser = compiled(folder_of(description(parts), tmp_path))
    outputs = {"NMS_1": BOXES, "NMS_2": np.float32([0, 0.5]), "NMS_3": CLASSES}
    (found,) = parser(case(outputs, threshold=0.0))
    assert [row[:2] for row in found["objects"]] == [[2, 0.5]]
    by_part = {"boxes": BOXES[None], "scores": outputs["NMS_2"][None], "classes": CLASSES[None]}
    assert_same(found, expected_rows(detections_of_plugin(by_part)[0], 0.0, 5))


def test_scores_by_class(compiled: Callable[[Path], Parser], tmp_path: Path) -> None:
    parts = {"boxes": "boxes", "class_scores": "probs"}
    parser = compiled(folder_of(description(parts, "onnx"), tmp_path))
    random = np.random.default_rng(3)
    boxes = np.sort(random.uniform(0, 1, (1, 30, 2, 2)), axis=2).reshape(1, 30, 4).astype(np.float32)
    scores = random.uniform(0, 1, (1, 30, 5)).astype(np.float32)
    scores[0, 7] = 0
    outputs = {"boxes": boxes, "class_scores": scores}
    (detections,) = detections_of_plugin(outputs)
    layers = {parts[part]: outputs[part][0] for part in parts}
    (found,) = parser(case(layers, threshold=0.25))
    assert len(found["objects"]) > 8
    assert_same(found, expected_rows(detections, 0.25, 5))


def test_corners_in_pixels(compiled: Callable[[Path], Parser], tmp_path: Path) -> None:
    columns = ("ymin_pixels", "xmin_pixels", "ymax_pixels", "xmax_pixels", "score", "class")
    parser = compiled(folder_of(description({",".join(columns): "found"}, "onnx"), tmp_path))
    table = np.float32([[24, 32, 120, 300, 0.9, 3], [-5, 10, 300, 20, 0.8, 0], [0, 0, 9, 9, 0.7, -1]])
    (detections,) = detections_of_plugin({",".join(columns): table[None]}, IMAGE.size)
    for kind in (np.float32, np.float16):
        (found,) = parser(case({"found": table.astype(kind)}, threshold=0.75))
        expected = [[3, 0.9, 32, 24, 268, 96], [0, 0.8, 10, 0, 10, 240]]
        assert_same(found, expected)
        assert_same(found, expected_rows(detections, 0.75, 5))


@pytest.mark.parametrize("axes", [("height", "width"), ("height", "width", "class")])
def test_masks(axes: tuple[str, ...], compiled: Callable[[Path], Parser], tmp_path: Path) -> None:
    part = part_of_masks(axes)
    described = description({**LISTS, part: "masks"}, "onnx")
    folder = folder_of(described, tmp_path)
    config = config_of(folder)["property"]
    assert config["network-type"] == "3" and config["cluster-mode"] == "4"
    assert config["parse-bbox-instance-mask-func-name"] == "NvDsInferParseSurgeon"
    assert config["output-instance-mask"] == "1" and config["segmentation-threshold"] == "0.5"
    assert "parse-bbox-func-name" not in config
    parser = compiled(folder)
    boxes = np.float32([[0.2, 0.1, 0.7, 0.5], [-0.5, 0.5, 0.5, 1.25], [0.1, 0.1, 0.1, 0.1], [0.3, 0, 1.5, 1]])
    random = np.random.default_rng(4)
    masks = random.uniform(0, 1, (1, 4, 6, 8, *((5,) if "class" in axes else ()))).astype(np.float32)
    outputs = {
        "num_detections": np.int32([4]),
        "boxes": boxes[None],
        "scores": np.float32([[0.9, 0.8, 0.7, 0.6]]),
        "classes": np.float32([[1, 4, 2, 3]]),
        part: masks,
    }
    (detections,) = detections_of_plugin(outputs)
    wanted = detections.within(Window(1 - 1e-7, 1.0))  # WHOLE would clip nothing
    layers = {described.detections[name].replace(":", "_"): value[0] for name, value in outputs.items()}
    layers["NMS"] = outputs["num_detections"]
    (found,) = parser(case(layers))
    assert_same(found, expected_rows(detections, 0.3, 5))
    assert wanted.masks is not None and len(found["masks"]) == 3
    for (size, height, width, *values), mask in zip(found["masks"], wanted.masks[[0, 1, 3]], strict=True):
        assert (size, height, width) == (6 * 8 * 4, 6, 8)
        np.testing.assert_allclose(np.reshape(values, (6, 8)), mask, rtol=0, atol=1e-4)
    (found,) = parser(case({**layers, "masks": layers["masks"][:2]}))
    assert not found["done"] and "no mask for a detection of class 3 in row 3" in parser.messages
    (found,) = parser(case({**layers, "masks": layers["masks"].reshape(-1)}))
    assert not found["done"] and "has 1 axes" in parser.messages


# The configuration


def test_a_configuration_for_uff(demo_recipe: Path, tmp_path: Path) -> None:
    made = surgeon.package(
        demo_recipe, demo.model_path(), tmp_path / "made", kind="deepstream", originals=False, max_batch=4
    )
    folder = tmp_path / "made"
    config = config_of(folder)
    assert dict(config["property"]) == {
        "gpu-id": "0",
        "process-mode": "1",
        "network-type": "0",
        "uff-file": "demo.uff",
        "uff-input-blob-name": "Input",
        "uff-input-order": "0",
        "output-blob-names": "MarkOutput_0",
        "model-engine-file": "demo.uff_b4_gpu0_fp16.engine",
        "batch-size": "4",
        "network-mode": "2",
        "workspace-size": "1024",
        "infer-dims": "3;300;300",
        "network-input-order": "0",
        "model-color-format": "0",
        "net-scale-factor": "0.007843138",
        "offsets": "127.499988;127.499988;127.499988",
        "maintain-aspect-ratio": "0",
        "symmetric-padding": "0",
        "scaling-filter": "1",
        "num-detected-classes": "7",
        "labelfile-path": "labels.txt",
        "custom-lib-path": "libnvds_surgeon_parser.so",
        "parse-bbox-func-name": "NvDsInferParseSurgeon",
        "cluster-mode": "4",
        "crop-objects-to-roi-boundary": "1",
        "interval": "0",
        "gie-unique-id": "1",
    }
    assert dict(config["class-attrs-all"]) == {"pre-cluster-threshold": "0.3", "topk": "100"}
    names = (folder / "labels.txt").read_text().splitlines()
    assert len(names) == 7 and names[:2] == ["background", made.description.labels[1]]
    assert (folder / "demo.uff").stat().st_size == made.description.source.bytes
    assert "DeepStream 6.0 to 7.0" in (folder / "README.md").read_text()
    assert [each.code for each in made.diagnostics] == ["B154"]
    assert {each.name for each in made.files} == {
        "README.md",
        "CMakeLists.txt",
        "config_infer_primary.txt",
        "deepstream_app.txt",
        "demo.uff",
        "labels.txt",
        "parser.cpp",
    }
    app = configparser.ConfigParser(interpolation=None)
    app.read(folder / "deepstream_app.txt")
    assert app["primary-gie"]["config-file"] == "config_infer_primary.txt"
    assert app["streammux"]["batch-size"] == app["primary-gie"]["batch-size"] == "4"


def test_native_plugins_are_linked(demo_recipe: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"suppression": "native", "originals": False, "kind": "deepstream"}
    surgeon.package(demo_recipe, demo.model_path(), tmp_path / "made", **options)
    text = (tmp_path / "made" / "CMakeLists.txt").read_text()
    assert "add_subdirectory(plugins)" in text and "--no-as-needed surgeon_plugins" in text
    assert (tmp_path / "made" / "plugins" / "src" / "detection.cu").exists()


def test_an_engine_is_packaged(
    fake: pytest.MonkeyPatch, demo_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = tmp_path / "ssd v2.engine"
    surgeon.build_engine(demo_recipe, demo.model_path(), engine, max_batch=2)
    made = surgeon.package(engine, None, tmp_path / "made", kind="deepstream")
    config = config_of(tmp_path / "made")["property"]
    assert config["model-engine-file"] == "ssd_v2.engine" and config["batch-size"] == "2"
    assert not {"uff-file", "onnx-file", "output-blob-names", "workspace-size"} & set(config)
    assert config["num-detected-classes"] == "7" and config["infer-dims"] == "3;300;300"
    assert "enable-dla" not in config and read_manifest(engine).classes == 7
    assert (tmp_path / "made" / "ssd_v2.engine").read_bytes() == engine.read_bytes()
    assert '"NMS_1"' in (tmp_path / "made" / "parser.cpp").read_text()
    readme = (tmp_path / "made" / "README.md").read_text()
    assert made.description.built_for == "TensorRT 8.5.3.1 and Fake GPU (9.0)"
    assert made.description.built_for in readme
    words = ["package", str(engine), "-o", str(tmp_path / "made"), "--for", "deepstream", "--force"]
    assert main(words) == 0
    told = capsys.readouterr().err
    assert "warning[B154]" in told and "cmake --build build" in told and "stored originals" not in told
    with pytest.raises(SurgeonError, match=r"B101.*precision, tf32 would change nothing"):
        surgeon.package(engine, None, tmp_path / "no", kind="deepstream", precision="fp16", tf32=False)
    with open(engine, "ab") as file:
        file.write(b"more")
    with pytest.raises(SurgeonError, match="B106"):
        surgeon.package(engine, None, tmp_path / "no", kind="deepstream")
    manifest_path(engine).unlink()
    with pytest.raises(SurgeonError, match="B102"):
        surgeon.package(engine, None, tmp_path / "no", kind="deepstream")
    assert not (tmp_path / "no").exists()


def test_an_engine_of_an_accelerator(tmp_path: Path) -> None:
    described = description(
        ROWS,
        built_for="TensorRT 8.5.2 and Orin (8.7)",
        dla_core=1,
        precision="int8",
        plugin_libraries=("libmine.so",),
        outputs=(
            OutputInfo(name="NMS", dtype="float32", binding="NMS", shape=(None, 2, 50, 7)),
            OutputInfo(name="NMS:1", dtype="int32", binding="NMS_1"),
        ),
    )
    folder = folder_of(described, tmp_path)
    config = config_of(folder)["property"]
    assert config_of(folder)["class-attrs-all"]["topk"] == "100"
    readme = (folder / "README.md").read_text()
    assert "built with the plugin libraries libmine.so." in readme and not (folder / "plugins").exists()
    assert (config["enable-dla"], config["use-dla-core"], config["network-mode"]) == ("1", "1", "1")
    assert config["model-engine-file"] == "net.uff" and "int8-calib-file" not in config


def test_files_for_onnx(tmp_path: Path) -> None:
    last = TensorInfo(name="x:0", binding="x:0", dtype="float32", shape=(8, HEIGHT, WIDTH, 3))
    described = description(
        LISTS,
        "onnx",
        inputs=(last,),
        batch=8,
        max_batch=8,
        precision="int8",
        calibration="calibration.cache",
        labels={0: "cat;dog", 2: " two\nlines ", 4: ""},
        image=replace_image(color="BGR", interpolation="nearest"),
        source=FileInfo(name='a "b";\nc.onnx', sha256="", bytes=3),
    )
    folder = folder_of(described, tmp_path)
    config = config_of(folder)["property"]
    assert config["onnx-file"] == "a__b___c.onnx" and (folder / "a__b___c.onnx").exists()
    assert config["network-input-order"] == "1" and config["model-color-format"] == "1"
    assert config["batch-size"] == "8" and config["network-mode"] == "1" and config["scaling-filter"] == "0"
    assert config["int8-calib-file"] == "calibration.cache" and "output-blob-names" not in config
    assert (folder / "labels.txt").read_text().splitlines() == [
        "cat,dog",
        "class 1",
        "two lines",
        "class 3",
        "class 4",
    ]
    assert dict(config_of(folder)["class-attrs-all"]) == {"pre-cluster-threshold": "0.3"}


def test_the_folder_builds_with_cmake(tmp_path: Path) -> None:
    if shutil.which("cmake") is None or shutil.which("g++") is None:
        pytest.skip("there is no CMake with a compiler")
    folder = folder_of(description(ROWS, native_plugins=True), tmp_path)
    for name in ("NvInfer.h", "cuda_runtime_api.h"):
        (tmp_path / name).touch()
    # The genuine plugins need CUDA's compiler.
    (folder / "plugins" / "CMakeLists.txt").write_text("add_library(surgeon_plugins SHARED plugin.cpp)\n")
    (folder / "plugins" / "plugin.cpp").write_text("int plugin;\n")
    own = [
        f"-DDEEPSTREAM_INCLUDE_DIR={HERE}",
        f"-DTENSORRT_INCLUDE_DIR={tmp_path}",
        f"-DCUDA_INCLUDE_DIR={tmp_path}",
    ]
    refused = subprocess.run(
        ["cmake", "-S", folder, "-B", folder / "build", "-DDEEPSTREAM_ROOT=/none", *own[1:]],
        capture_output=True,
        text=True,
    )
    assert refused.returncode != 0 and "-DDEEPSTREAM_INCLUDE_DIR=..." in refused.stderr
    subprocess.run(["cmake", "-S", folder, "-B", folder / "build", *own], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", folder / "build"], check=True, capture_output=True)
    assert (folder / "libsurgeon_plugins.so").exists()
    moved = Path(shutil.move(folder, tmp_path / "elsewhere"))
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1]).NvDsInferParseSurgeon"
    library = moved / "libnvds_surgeon_parser.so"
    loaded = f"{code}; print(open('/proc/self/maps').read())"
    done = subprocess.run(["python3", "-c", loaded, library], check=True, capture_output=True, text=True)
    assert str(moved / "libsurgeon_plugins.so") in done.stdout


# Pictures


def replace_image(**changes: Any) -> Image:
    return Image.model_validate({**IMAGE.model_dump(), **changes})


IMAGES: list[dict[str, Any]] = [
    {},
    {"steps": [{"scale": 2 / 255}, {"subtract": 1}]},
    {"steps": [{"subtract": [104, 117, 123]}], "color": "BGR"},
    {"steps": [{"subtract": [123.68, 116.78, 103.94]}, {"divide": 58}]},
    {"steps": [{"divide": 255}, {"subtract": [0.485, 0.456, 0.406]}, {"scale": 4.4}]},
    {"steps": [{"divide": 127.5}, {"subtract": 1}], "color": "GRAY"},
    {"resize": "letterbox", "fill": 0, "steps": [{"divide": 255}]},
    {"resize": "keep-aspect-ratio", "steps": [{"subtract": 127.5}, {"divide": 127.5}]},
]


@pytest.mark.parametrize("changes", IMAGES)
def test_nvinfer_computes_what_the_steps_do(changes: dict[str, Any], tmp_path: Path) -> None:
    image = replace_image(**changes)
    channels = 1 if image.color == "GRAY" else 3
    tensor = TensorInfo(name="x", binding="x", dtype="float32", shape=(None, HEIGHT, WIDTH, channels))
    folder = folder_of(description(ROWS, image=image, inputs=(tensor,)), tmp_path)
    config = config_of(folder)["property"]
    pixels = made_picture(5, HEIGHT, WIDTH if image.resize == "stretch" else WIDTH // 2).pixels
    own = prepare(image, pixels)
    plain = prepare(image.model_copy(update={"steps": (), "fill": 0.0}), pixels)
    factor = np.float32(config["net-scale-factor"])
    offsets = np.array(config["offsets"].split(";"), np.float32)
    assert len(offsets) == channels
    computed = factor * (plain.tensor - offsets)
    np.testing.assert_allclose(computed, own.tensor, rtol=0, atol=1e-6 * float(np.ptp(own.tensor)))


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([{"scale": [0.0171, 0.0175, 0.0174]}], "one factor for all channels"),
        ([{"divide": [58.4, 57.1, 57.4]}, {"subtract": 1}], r"0.0171233 x -1 \(R\)"),
        ([{"scale": -1}], "above 0"),
        ([{"scale": 0}], "above 0"),
        ([{"divide": 0}], "finite"),
        ([{"divide": 1e-300}, {"divide": 1e-300}], "finite"),
        ([{"scale": 1e-50}], "above 0"),
    ],
)
def test_arithmetic_that_nvinfer_cannot_do_is_refused(steps: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(SurgeonError, match=f"B152.*{text}"):
        check_for_deepstream(description(ROWS, image=replace_image(steps=steps)))


def test_a_step_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(SurgeonError, match="V104"):
        check_for_deepstream(description(ROWS, image=replace_image(steps=[{"scale": [1, 2]}])))


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, []),
        ({"interpolation": "tf1-bilinear"}, ["without half-pixel centres"]),
        ({"resize": "letterbox"}, ["reads 0 there; 'image' says 128", "rounded down", "clipped where"]),
        ({"resize": "letterbox", "fill": 0}, ["rounded down", "clipped where"]),
        (
            {"resize": "keep-aspect-ratio", "padding": "after-steps", "steps": [{"subtract": [1, 2, 3]}]},
            ["reads -1, -2, -3 there; 'image' says 0", "rounded down", "clipped where"],
        ),
        ({"color": "GRAY", "brightness": (1 / 3, 1 / 3, 1 / 3)}, ["0.333333 of red, green and blue"]),
    ],
)
def test_differences_are_told(changes: dict[str, Any], texts: list[str], tmp_path: Path) -> None:
    image = replace_image(**changes)
    channels = 1 if image.color == "GRAY" else 3
    tensor = TensorInfo(name="x", binding="x", dtype="float32", shape=(None, channels, HEIGHT, WIDTH))
    described = description(ROWS, image=image, inputs=(tensor,))
    told = check_for_deepstream(described)
    notes = [note for each in told for note in each.notes]
    assert len(notes) == len(texts) and all(text in note for text, note in zip(texts, notes, strict=True))
    assert all(each.code == "B154" and each.severity.value == "warning" for each in told)
    readme = (folder_of(described, tmp_path) / "README.md").read_text()
    assert all(text in readme for text in texts)


def test_more_that_nvinfer_does_not_do() -> None:
    (told,) = check_for_deepstream(description(LISTS, tf32=False))
    assert len(told.notes) == 1 and "TF32" in told.notes[0]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"image": None}, "how a picture becomes its input"),
        ({"detections": {}}, "which outputs hold detections"),
        ({"detections": {"boxes": "NMS"}}, "which outputs hold detections"),
        ({"detections": {"detections": "elsewhere"}}, "which outputs hold detections"),
        ({"classes": None}, "how many classes"),
        ({"inputs": ()}, "0 inputs"),
        ({"inputs": "two"}, r"2 inputs \('Input', 'Input'\)"),
        ({"inputs": "uint8"}, r"uint8\[\?, 240, 320, 3\]"),
        ({"inputs": "size"}, r"float32\[\?, 299, 299, 3\]"),
        ({"inputs": "open"}, r"float32\[\?, \?, \?, \?\]"),
    ],
)
def test_a_model_that_lacks_something_is_refused(changes: dict[str, Any], text: str) -> None:
    (own,) = description(ROWS).inputs
    inputs = {
        "two": (own, own),
        "uint8": (own.model_copy(update={"dtype": "uint8", "axes": ()}),),
        "open": (own.model_copy(update={"shape": (None,) * 4, "axes": ()}),),
        "size": (own.model_copy(update={"shape": (None, 299, 299, 3), "axes": ()}),),
    }
    changes = {
        name: inputs.get(value, value) if name == "inputs" else value for name, value in changes.items()
    }
    with pytest.raises(SurgeonError, match=f"B153.*{text}"):
        check_for_deepstream(description(ROWS).model_copy(update=changes))


def test_scales_of_another_calibrator_are_refused() -> None:
    options: dict[str, Any] = {"precision": "int8", "calibration": "calibration.cache", "algorithm": "minmax"}
    with pytest.raises(SurgeonError, match=r"B107.*entropy calibrator"):
        check_for_deepstream(description(ROWS, **options))
    assert check_for_deepstream(description(ROWS, **{**options, "built_for": "TensorRT and a GPU"})) == ()


def test_an_open_size_has_an_order(tmp_path: Path) -> None:
    (own,) = description(ROWS).inputs
    for shape, order in (((None, None, None, 3), "1"), ((None, 3, None, None), "0")):
        tensor = own.model_copy(update={"shape": shape, "axes": ()})
        folder = folder_of(description(ROWS, inputs=(tensor,)), tmp_path)
        config = config_of(folder)["property"]
        assert config["network-input-order"] == order and config["infer-dims"] == f"3;{HEIGHT};{WIDTH}"


def test_steps_in_one() -> None:
    image = replace_image(steps=[{"scale": 2}, {"subtract": [1, 2, 3]}, {"divide": 4}])
    found = normalization(image)
    assert found.factors == (0.5, 0.5, 0.5) and found.shifts == (-0.25, -0.5, -0.75)
    assert found.means == (0.5, 1.0, 1.5) and found.pad == found.shifts
    assert normalization(Image(size=(1, 1), color="GRAY")).factors == (1.0,)
