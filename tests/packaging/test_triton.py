"""The folder for Triton: its configurations by Triton's own messages, the preparation, the scripts, and the client."""

from __future__ import annotations

import _ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from device_pythons import interpreter
from triton_server import FakeTriton, Refused, parsed, prepared_by_model, repository, serving

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.engine.manifest import FileInfo, TensorInfo
from surgeon.language import Image
from surgeon.packaging.client.kserve import InferenceServer
from surgeon.packaging.client.runner import ServedRunner
from surgeon.packaging.description import Description, OutputInfo, PluginNode, read_description
from surgeon.packaging.kinds.triton import check_for_triton
from surgeon.packaging.program import client_program, preparation_program
from surgeon.packaging.triton.config import ONNXRUNTIME, network_config, preparation_config
from surgeon.packaging.triton.served import served_name
from surgeon.runners.image import made_picture, prepare
from surgeon.zoo import demo
from surgeon.zoo.networks import build_mobilenet

VERSIONS = ("3.6", "3.8", "3.10")
SAMPLES = sorted((Path(demo.__file__).parent / "samples").glob("*.jpg"))


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory, demo_onnx: Callable[..., Path]) -> Path:
    """Give a folder of the demo model for ONNX Runtime, with an open batch; no test writes into it."""
    folder = tmp_path_factory.mktemp("packaged") / "demo"
    file = demo_onnx(target="onnx@onnxruntime", batch="dynamic")
    found = surgeon.package(file, None, folder, kind="triton", max_batch=4)
    assert found.kind == "triton" and found.diagnostics == ()
    return folder


@pytest.fixture(scope="module")
def uff(tmp_path_factory: pytest.TempPathFactory, demo_recipe: Path) -> Path:
    """Give the demo model as a UFF file."""
    path = tmp_path_factory.mktemp("uff") / "demo.uff"
    surgeon.convert(demo_recipe, demo.model_path(), path, target="uff@tensorrt-8.5")
    return path


@pytest.fixture
def triton(packaged: Path) -> Iterator[FakeTriton]:
    with serving(FakeTriton(packaged / "models")) as server:
        yield server


def stem(folder: Path) -> str:
    return min((path.name for path in (folder / "models").iterdir()), key=len)


def shapes(tensors: Any) -> dict[str, list[int]]:
    return {each.name: list(each.dims) for each in tensors}


# Configurations


def test_an_open_batch_is_put_together(packaged: Path) -> None:
    configs, name = repository(packaged / "models"), stem(packaged)
    assert set(configs) == {name, f"{name}_preparation", f"{name}_pictures"}
    network, preparation, pictures = (configs[f"{name}{end}"] for end in ("", "_preparation", "_pictures"))
    assert network.platform == "onnxruntime_onnx" and network.HasField("dynamic_batching")
    assert [each.max_batch_size for each in configs.values()] == [4, 4, 4]
    assert shapes(network.input) == {"Input": [3, 300, 300]} == {"Input": list(preparation.output[0].dims)}
    assert shapes(network.output) == {"NMS": [1, 100, 7]} == shapes(pictures.output)
    assert shapes(pictures.input) == {"picture": [-1, -1, 3]}
    assert [group.kind for group in network.instance_group] == [0]  # KIND_AUTO
    labels = (packaged / "models" / name / "labels.txt").read_text().splitlines()
    assert labels == ["class 0", "circle", "square", "triangle", "star", "cross", "ring"]


def test_shapes_are_those_of_the_onnx_file(packaged: Path) -> None:
    import onnx

    name = stem(packaged)
    graph = onnx.load(str(packaged / "models" / name / "1" / "model.onnx")).graph
    config = repository(packaged / "models")[name]
    for tensors, told in ((graph.input, config.input), (graph.output, config.output)):
        stated = {
            each.name: [dim.dim_value or -1 for dim in each.type.tensor_type.shape.dim] for each in tensors
        }
        assert stated == {key: [-1, *dims] for key, dims in shapes(told).items()}


def test_a_fixed_batch_is_part_of_the_shapes(demo_onnx: Callable[..., Path], tmp_path: Path) -> None:
    found = surgeon.package(demo_onnx(target="onnx@onnxruntime"), None, tmp_path / "made", kind="triton")
    configs, name = repository(tmp_path / "made" / "models"), stem(tmp_path / "made")
    assert [each.max_batch_size for each in configs.values()] == [0, 0, 0]
    assert shapes(configs[name].input) == {"Input": [1, 3, 300, 300]}
    assert shapes(configs[name].output) == {"NMS": [1, 1, 100, 7]}
    assert shapes(configs[f"{name}_pictures"].input) == {"picture": [1, -1, -1, 3]}
    assert not configs[name].HasField("dynamic_batching")
    (note,) = found.diagnostics
    assert note.code == "B157" and "--batch N" in note.notes[0]


def test_a_uff_file_has_an_implicit_batch(uff: Path, tmp_path: Path) -> None:
    found = surgeon.package(uff, None, tmp_path / "made", kind="triton", max_batch=4, best_batch=2)
    config = parsed((tmp_path / "made" / "models" / "demo" / "config.pbtxt").read_text())
    assert config.platform == "tensorrt_plan" and config.max_batch_size == 4
    assert list(config.dynamic_batching.preferred_batch_size) == [2]
    assert shapes(config.input) == {"Input": [3, 300, 300]}
    assert shapes(config.output) == {"NMS": [1, 100, 7], "NMS_1": [1, 1, 1]}
    assert [group.kind for group in config.instance_group] == [1]  # KIND_GPU
    names = {each.name for each in found.files}
    assert {"demo.uff", "build.sh", "serve.sh"} <= names and "models/demo/1/model.plan" not in names
    assert "24.04 is the last" in (tmp_path / "made" / "README.md").read_text()


def test_an_engine_has_its_own_shapes(fake: pytest.MonkeyPatch, uff: Path, tmp_path: Path) -> None:
    fake.setenv("FAKE_MARKS", json.dumps({"MarkOutput_0": [["NMS", [1, 100, 7]], ["NMS_1", [1]]]}))
    surgeon.build_engine(uff, None, tmp_path / "ssd one.engine", max_batch=2)
    manifest = surgeon.engine.read_manifest(tmp_path / "ssd one.engine")
    assert [each.engine_shape for each in manifest.outputs] == [None, (None, 1)]
    assert manifest.outputs[1].shape == (None, 1, 1, 1)
    found = surgeon.package(tmp_path / "ssd one.engine", None, tmp_path / "made", kind="triton")
    config = repository(tmp_path / "made" / "models")["ssd_one"]
    assert config.max_batch_size == 2 and config.platform == "tensorrt_plan"
    assert [list(each.dims) for each in config.output] == [[1, 100, 7], [1, 1, 1]]
    assert [list(each.reshape.shape) for each in config.output] == [[], [1]]
    plan = tmp_path / "made" / "models" / "ssd_one" / "1" / "model.plan"
    assert plan.read_bytes() == (tmp_path / "ssd one.engine").read_bytes()
    assert "TensorRT 8.5.3.1 and Fake GPU" in (tmp_path / "made" / "README.md").read_text()
    assert "build.sh" not in {each.name for each in found.files}


def description(**changes: Any) -> Description:
    values: dict[str, Any] = {
        "surgeon": "0",
        "name": "net",
        "source": FileInfo(name="net.onnx", sha256="", bytes=0),
        "format": "onnx",
        "inputs": (TensorInfo(name="in", binding="in", dtype="float32", shape=(None, 8, 8, 3)),),
        "outputs": (OutputInfo(name="out", dtype="float32", shape=(None, 5)),),
        "image": Image.model_validate({"size": [8, 8]}),
        "max_batch": 4,
    }
    return Description(**{**values, **changes})


def test_a_scalar_for_each_picture_is_served_as_one_element() -> None:
    config = parsed(
        network_config(
            description(outputs=(OutputInfo(name="count", dtype="int32", shape=(None,)),)), ONNXRUNTIME, {}
        )
    )
    (count,) = config.output
    assert list(count.dims) == [1] and count.HasField("reshape") and list(count.reshape.shape) == []


def test_scores_by_class_have_labels() -> None:
    config = parsed(network_config(description(), ONNXRUNTIME, {"out": "labels.txt"}))
    assert config.output[0].label_filename == "labels.txt"


def test_masks_without_a_batch_are_not_put_together() -> None:
    rows = OutputInfo(name="rows", dtype="float32", shape=(None, 100, 6))
    masks = OutputInfo(name="masks", dtype="float32", shape=(None, 14, 14))
    detections = {"ymin,xmin,ymax,xmax,class,score": "rows", "masks": "masks"}
    config = parsed(
        network_config(description(outputs=(rows, masks), detections=detections), ONNXRUNTIME, {})
    )
    assert config.max_batch_size == 0 and list(config.output[1].dims) == [-1, 14, 14]


@pytest.mark.parametrize(
    "name", ["net", 'a "quoted" \\ name', "détecteur 检测", "line\nbreak", "", "..", "a/b"]
)
def test_every_name_can_be_read_again(name: str) -> None:
    described = description(
        name=name, outputs=(OutputInfo(name=name or "out", dtype="float32", shape=(None, 5)),)
    )
    config = parsed(network_config(described, ONNXRUNTIME, {}))
    assert config.output[0].name == (name or "out")
    assert config.name == served_name(described) and re.fullmatch(r"[\w.-]+", config.name, re.ASCII)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"outputs": (OutputInfo(name="out", dtype="complex64", shape=(None, 5)),)}, "complex64"),
        ({"outputs": (OutputInfo(name="out", dtype="float32"),)}, "shape of 'out' is not known"),
        ({"outputs": ()}, "no output"),
        ({"inputs": ()}, "no input"),
        ({"target": "onnx@tensorrt-rtx"}, "TensorRT-RTX"),
    ],
)
def test_what_triton_cannot_serve_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SurgeonError, match=f"B155.*{text}"):
        check_for_triton(description(**changes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"image": None}, "nothing says how a picture"),
        ({"image": Image.model_validate({"size": [9, 9]})}, "a picture cannot be the input"),
        (
            {"format": "uff", "outputs": (OutputInfo(name="head", dtype="float32", shape=(None, 5)),)},
            "'head'",
        ),
    ],
)
def test_what_is_left_open_is_told(changes: dict[str, Any], text: str) -> None:
    (note,) = check_for_triton(description(**changes))
    assert note.code == "B157" and any(text in each for each in note.notes)


def test_nothing_is_told_of_a_plugin_s_outputs() -> None:
    plugin = PluginNode(node="NMS", op="NMS_TRT", creator="NMS_TRT")
    outputs = (OutputInfo(name="NMS:1", dtype="float32", shape=(None, 1, 1, 1), binding="NMS_1"),)
    assert check_for_triton(description(format="uff", outputs=outputs, plugins=(plugin,))) == ()


# Preparation

IMAGES: list[dict[str, Any]] = [
    {"size": [30, 40], "steps": [{"scale": 0.0078}, {"subtract": 1.0}]},
    {"size": [48, 48], "resize": "letterbox", "color": "BGR", "interpolation": "half-pixel-bilinear"},
    {
        "size": [64, 48],
        "resize": "keep-aspect-ratio",
        "steps": [{"subtract": [1.5, 2.5, 3.5]}, {"divide": 3}],
    },
    {"size": [20, 30], "color": "GRAY", "interpolation": "nearest"},
    {"size": [50, 64], "resize": "keep-aspect-ratio", "rounding": "down", "padding": "after-steps"},
]


@pytest.mark.parametrize("version", ["this", *VERSIONS])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_pictures_are_prepared_to_the_bit(version: str, dtype: str, tmp_path: Path) -> None:
    python = interpreter(version)
    (tmp_path / "model.py").write_text(preparation_program(), encoding="utf-8")
    pictures = np.stack([made_picture(seed, 37, 53).pixels for seed in range(2)])
    for values in IMAGES if version == "this" and dtype == "float32" else IMAGES[1:2]:
        image = Image.model_validate(values)
        height, width, channels = *image.size, 1 if image.color == "GRAY" else 3
        tensor = TensorInfo(
            name="in", binding="in", dtype=dtype, shape=(None, height, width, channels), axes=(0, 3, 1, 2)
        )
        config = parsed(
            preparation_config(description(inputs=(tensor,)), image, "net_preparation", (0, 3, 1, 2))
        )
        found = prepared_by_model(tmp_path / "model.py", config, pictures, tmp_path, python)
        plain = np.concatenate([prepare(image, each).tensor for each in pictures]).transpose(0, 3, 1, 2)
        expected = np.clip(np.rint(plain), 0, 255).astype(np.uint8) if dtype == "uint8" else plain
        assert found.dtype == dtype and found.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("pictures", [np.zeros((1, 4, 4, 1), np.uint8), np.zeros((1, 0, 4, 3), np.uint8)])
def test_other_pictures_are_refused(pictures: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(preparation_program(), encoding="utf-8")
    image = Image.model_validate({"size": [8, 8]})
    config = parsed(preparation_config(description(), image, "net_preparation", (0, 1, 2, 3)))
    with pytest.raises(Refused, match=r"'picture' is uint8\[1, .*\]; expected uint8\[N, H, W, 3\]"):
        prepared_by_model(tmp_path / "model.py", config, pictures, tmp_path)


# Client


class Client:
    """The client of a folder, run by a Python."""

    def __init__(self, folder: Path, url: str, python: str = sys.executable) -> None:
        self.words = [python, str(folder / "client.py"), "--url", url]

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(
            [*self.words, *map(str, words)],
            capture_output=True,
            text=True,
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        return done

    def json(self, *words: object) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def expected(packaged: Path, pictures: list[Path]) -> Any:
    model = packaged / "models" / stem(packaged) / "1" / "model.onnx"
    results = surgeon.detect(model, pictures, threshold=0.5)
    found = json.loads(json.dumps([each.to_json() for each in results]))
    assert sum(len(each["detections"]) for each in found) >= 5
    return found


@pytest.mark.parametrize(
    "words", [(), ("--no-binary", "--batch", 1), ("--on-server",), ("--on-server", "--no-binary")]
)
def test_the_client_detects_what_surgeon_run_does(
    words: tuple[object, ...], packaged: Path, triton: FakeTriton
) -> None:
    pictures = SAMPLES[:3]
    found = Client(packaged, triton.url).json(*pictures, "--threshold", 0.5, *words)
    assert found["pictures"] == expected(packaged, pictures) and found["diagnostics"] == []
    name = stem(packaged)
    assert {asked for asked, _ in triton.seen} == {f"{name}_pictures" if "--on-server" in words else name}
    assert len(triton.seen) == (1 if not words else 3)
    binary = ["parameters" in tensor for _, request in triton.seen for tensor in request["inputs"]]
    assert set(binary) == {"--no-binary" not in words}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_client_runs_on_old_pythons(
    version: str, packaged: Path, triton: FakeTriton, tmp_path: Path
) -> None:
    python = interpreter(version)
    pictures = [tmp_path / f"{seed}.png" for seed in range(2)]
    for seed, path in enumerate(pictures):
        PIL.Image.fromarray(made_picture(seed).pixels).save(path)
    found = Client(packaged, triton.url, python).json(*pictures, "--threshold", 0.0)
    model = packaged / "models" / stem(packaged) / "1" / "model.onnx"
    results = surgeon.detect(model, pictures, threshold=0.0)
    assert found["pictures"] == json.loads(json.dumps([each.to_json() for each in results]))


def test_old_pythons_read_every_source(tmp_path: Path) -> None:
    kept = sorted(Path.home().glob(".pyenv/versions/3.6.*/bin/python"))
    if not kept:
        pytest.skip("Python 3.6 is not installed")
    code = (
        "import runpy; s = runpy.run_path('p.py', run_name='x')['SOURCES']; "
        "[compile(text, name, 'exec') for name, text in s.items()]; print(len(s))"
    )
    (tmp_path / "p.py").write_text(client_program(), encoding="utf-8")
    done = subprocess.run([kept[-1], "-c", code], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert int(done.stdout) > 30


def test_a_server_without_binary_tensors_gets_json(packaged: Path) -> None:
    with serving(FakeTriton(packaged / "models", extensions=())) as triton:
        found = Client(packaged, triton.url).json(SAMPLES[0], "--threshold", 0.5)
        assert found["pictures"] == expected(packaged, SAMPLES[:1])
        assert "data" in triton.seen[0][1]["inputs"][0]


def test_a_fixed_batch_is_filled_up(demo_onnx: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "made"
    surgeon.package(demo_onnx(target="onnx@onnxruntime", batch=2), None, folder, kind="triton", max_batch=2)
    with serving(FakeTriton(folder / "models")) as triton:
        client = Client(folder, triton.url)
        wanted = expected(folder, SAMPLES[:3])
        assert client.json(*SAMPLES[:3], "--threshold", 0.5)["pictures"] == wanted
        assert client.json(*SAMPLES[:1], "--threshold", 0.5, "--on-server")["pictures"] == wanted[:1]


def test_the_client_draws_and_speaks_plainly(packaged: Path, triton: FakeTriton, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    done = Client(packaged, triton.url).run(
        tmp_path / "bad.jpg", SAMPLES[0], "-o", tmp_path / "found", "--tensors"
    )
    assert done.returncode == 1 and "error[V101]" in done.stderr and SAMPLES[0].name in done.stdout
    assert {"detections.json"} < {path.name for path in (tmp_path / "found").iterdir()}
    found = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert len(found["pictures"]) == 1 and len(found["diagnostics"]) == 1


def refused(done: subprocess.CompletedProcess[str], code: str, text: str) -> None:
    assert done.returncode == 1, done.stderr
    assert f"error[{code}]" in done.stderr and text in done.stderr and done.stdout == ""


READY = "/v2/models/{}/ready"
INFER = "/v2/models/{}/infer"
OUTPUT = {"name": "NMS", "datatype": "FP32", "shape": [1, 1, 100, 7]}


def answered(**tensor: Any) -> bytes:
    return json.dumps({"outputs": [{**OUTPUT, **tensor}]}).encode()


@pytest.mark.parametrize(
    ("path", "status", "length", "body", "text"),
    [
        ("/v2", 200, None, b"<html>", "answers no JSON"),
        ("/v2", 200, None, b"[1]", "JSON that is no object"),
        ("/v2", 404, None, b"", "status 404"),
        (READY, 400, None, b'{"error": "still loading"}', "still loading"),
        (INFER, 500, None, b'{"error": "out of memory"}', "(500): out of memory"),
        (INFER, 200, None, b'{"outputs": []}', "no output 'NMS'"),
        (INFER, 200, None, b'{"outputs": 3}', "outputs that cannot be read"),
        (INFER, 200, None, answered(data=[1.0]), "1 elements for the shape"),
        (INFER, 200, None, answered(data=["a"] * 700), "could not convert"),
        (INFER, 200, None, answered(datatype="BYTES", data=[]), "the type BYTES"),
        (
            INFER,
            200,
            106,
            answered(parameters={"binary_data_size": 2800}) + bytes(12),
            "elements for the shape",
        ),
        (INFER, 200, "x", b"{}", "does not answer"),
    ],
)
def test_strange_answers_are_told(
    path: str, status: int, length: Any, body: bytes, text: str, packaged: Path, triton: FakeTriton
) -> None:
    if length == 106:
        length = body.rindex(b"}") + 1
    headers = {} if length is None else {"Inference-Header-Content-Length": str(length)}
    triton.answers[path.format(stem(packaged))] = (status, headers, body)
    server = InferenceServer(triton.url)
    with pytest.raises(SurgeonError) as caught, ServedRunner(read_description(packaged), server) as served:
        served.run({"Input": np.zeros((1, 300, 300, 3), np.float32)})
    server.close()
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "B156" and text in diagnostic.message


def test_a_server_that_is_not_there_is_told(packaged: Path, triton: FakeTriton, tmp_path: Path) -> None:
    refused(Client(packaged, "http://127.0.0.1:9").run(SAMPLES[0]), "B156", "does not answer")
    for url in ("ftp://host", "http://", "http://host:port"):
        refused(Client(packaged, url).run(SAMPLES[0]), "B156", "is not the address of a server")
    del triton.configs[stem(packaged)]
    refused(Client(packaged, triton.url).run(SAMPLES[0]), "B156", "has not loaded the model")
    refused(Client(packaged, triton.url).run(tmp_path / "none.jpg"), "V102", "none.jpg")
    refused(Client(packaged, triton.url).run(SAMPLES[0], "--folder", tmp_path), "B150", "detector.json")
    refused(Client(packaged, triton.url).run(SAMPLES[0], "--batch", 9), "B156", "has not loaded")
    assert Client(packaged, triton.url).run().returncode == 2


# Scripts


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_scripts_build_and_serve(uff: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    surgeon.package(uff, None, folder, kind="triton")
    plan = folder / "models" / "demo" / "1" / "model.plan"
    server = program(tmp_path / "server", 'echo "$@"')
    environment = {**os.environ, "TRITON": str(server), "TRTEXEC": str(tmp_path / "trtexec")}

    def run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([folder / name, *words], capture_output=True, text=True, env=environment)

    done = run("serve.sh")
    assert done.returncode == 1 and "build it first with build.sh" in done.stderr
    assert run("build.sh").returncode == 1
    saving = 'for word; do case "$word" in --saveEngine=*) echo "$@" > "${word#*=}";; esac; done'
    program(tmp_path / "trtexec", f'if [ "$1" = --help ]; then echo --uffInput; exit; fi; {saving}; exit 3')
    assert run("build.sh").returncode == 3 and list(plan.parent.iterdir()) == []
    program(tmp_path / "trtexec", f'if [ "$1" = --help ]; then echo --uffInput; exit; fi; {saving}')
    assert run("build.sh", "--verbose").returncode == 0
    words = plan.read_text().split()
    assert words[:2] == ["--uff=demo.uff", "--uffInput=Input,3,300,300"] and words[-1] == "--verbose"
    assert list(plan.parent.iterdir()) == [plan]
    assert run("serve.sh", "--log-verbose=1").stdout.split() == [
        f"--model-repository={folder / 'models'}",
        "--log-verbose=1",
    ]


def test_native_plugins_are_loaded(demo_recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    options: dict[str, Any] = {"kind": "triton", "suppression": "native", "originals": False}
    found = surgeon.package(demo_recipe, demo.model_path(), folder, **options)
    assert "plugins/CMakeLists.txt" in {each.name for each in found.files}
    (folder / "models" / found.description.name / "1" / "model.plan").touch()
    environment = {**os.environ, "TRITON": str(program(tmp_path / "server", 'echo "$@"'))}
    done = subprocess.run([folder / "serve.sh"], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "libsurgeon_plugins.so' is not there" in done.stderr
    first, second = tmp_path / "first one.so", tmp_path / "second.so"
    first.touch(), second.touch()
    environment["PLUGINS"] = f"{first};{second}"
    done = subprocess.run([folder / "serve.sh"], capture_output=True, text=True, env=environment)
    assert done.stdout.endswith(f"--backend-config=tensorrt,plugins={first};{second}\n")


def test_an_engine_brings_its_libraries(fake: pytest.MonkeyPatch, uff: Path, tmp_path: Path) -> None:
    engine, library = tmp_path / "demo.engine", tmp_path / "my $plugins.so"
    shutil.copyfile(_ctypes.__file__, library)
    surgeon.build_engine(uff, None, engine, plugin_libraries=[library])
    with pytest.raises(SurgeonError, match=r"B105.*built with"):
        surgeon.package(engine, None, tmp_path / "made", kind="triton")
    with pytest.raises(SurgeonError, match=r"B101.*takes one with an engine alone"):
        surgeon.package(uff, None, tmp_path / "made", kind="triton", plugin_libraries=[library])
    with pytest.raises(SurgeonError, match=r"B101.*device does not take"):
        surgeon.package(uff, None, tmp_path / "made", plugin_libraries=[library])
    assert not (tmp_path / "made").exists()
    surgeon.package(engine, None, tmp_path / "made", kind="triton", plugin_libraries=[library])
    kept = tmp_path / "made" / "plugins" / "my__plugins.so"
    assert kept.read_bytes() == library.read_bytes()
    environment = {**os.environ, "TRITON": str(program(tmp_path / "server", 'echo "$@"'))}
    done = subprocess.run([tmp_path / "made" / "serve.sh"], capture_output=True, text=True, env=environment)
    assert done.stdout.endswith("--backend-config=tensorrt,plugins=plugins/my__plugins.so\n")


def test_a_classifier_shows_its_largest_values(tmp_path: Path) -> None:
    (tmp_path / "net.pb").write_bytes(build_mobilenet())
    recipe = surgeon.init(tmp_path / "net.pb", name="net").text + (
        "\nimage: {size: [32, 32], resize: letterbox, steps: [{divide: 127.5}, {subtract: 1}]}\n"
        "labels: {0: ant, 1: bee, 2: 'cat é', 3: dog, 4: elk}\n"
    )
    (tmp_path / "net.yaml").write_text(recipe, encoding="utf-8")
    options: dict[str, Any] = {"kind": "triton", "target": "onnx@onnxruntime", "max_batch": 4}
    surgeon.package(tmp_path / "net.yaml", tmp_path / "net.pb", tmp_path / "made", originals=False, **options)
    models = tmp_path / "made" / "models"
    assert repository(models)["net"].output[0].label_filename == "labels.txt"
    assert (models / "net" / "labels.txt").read_text(encoding="utf-8").split("\n")[2] == "cat é"
    results = surgeon.detect(models / "net" / "1" / "model.onnx", SAMPLES[:2])
    wanted = json.loads(json.dumps([each.to_json() for each in results]))
    with serving(FakeTriton(models)) as triton:
        client = Client(tmp_path / "made", triton.url)
        assert client.json(*SAMPLES[:2])["pictures"] == wanted
        assert client.json(*SAMPLES[:2], "--on-server")["pictures"] == wanted


def test_tensorrt_targets_are_built_there(demo_onnx: Callable[..., Path], tmp_path: Path) -> None:
    file = demo_onnx(target="onnx@tensorrt-8.5", batch="dynamic")
    surgeon.package(file, None, tmp_path / "made", kind="triton", max_batch=8, precision="fp16")
    name = stem(tmp_path / "made")
    config = parsed((tmp_path / "made" / "models" / name / "config.pbtxt").read_text())
    assert config.platform == "tensorrt_plan" and config.max_batch_size == 8
    words = (tmp_path / "made" / "build.sh").read_text().split()
    assert "--maxShapes=Input:8x3x300x300" in words and "--fp16" in words
    assert "Take one with TensorRT 8.5" in (tmp_path / "made" / "README.md").read_text()
