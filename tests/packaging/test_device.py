"""The folder for a device: its program under old Pythons, against this package."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from device_pythons import interpreter

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.language import Image
from surgeon.packaging.program import detector_program
from surgeon.runners.image import made_picture, prepare, read_picture
from surgeon.zoo import demo

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests" / "fakes"
VERSIONS = ("3.6", "3.8", "3.10")
SAMPLES = Path(demo.__file__).parent / "samples"
LABELS = "surgeon/zoo/demo/labels.pbtxt"

PREPARE = """
import hashlib, json, runpy, sys
from pathlib import Path
program = runpy.run_path(sys.argv[1], run_name="program")
sys.meta_path.insert(0, program["Finder"]())
from surgeon.language.recipe import Image
from surgeon.runners.image import prepare, read_picture
pixels = read_picture(Path(sys.argv[2])).pixels
for image in json.loads(sys.argv[3]):
    tensor = prepare(Image.model_validate(image), pixels).tensor
    print(tensor.shape, tensor.dtype, hashlib.sha256(tensor.tobytes()).hexdigest())
"""

IMAGES: list[dict[str, Any]] = [
    {"size": [30, 40]},
    {"size": [31, 17], "interpolation": "half-pixel-bilinear", "color": "BGR", "steps": [{"scale": 0.0078}]},
    {
        "size": [64, 48],
        "resize": "keep-aspect-ratio",
        "steps": [{"subtract": [1.5, 2.5, 3.5]}, {"divide": 3}],
    },
    {"size": [300, 300], "interpolation": "nearest", "steps": [{"scale": [0.1, 0.2, 0.3]}]},
]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory, demo_recipe: Path) -> Path:
    """Give a folder of the demo model for a device; a test that writes into it copies it first."""
    folder = tmp_path_factory.mktemp("packaged") / "demo"
    found = surgeon.package(demo_recipe, demo.model_path(), folder)
    assert found.verification is not None and found.verification.passed
    return folder


@pytest.fixture
def folder(packaged: Path, tmp_path: Path) -> Path:
    """Give a copy of the folder that a test may write into."""
    return Path(shutil.copytree(packaged, tmp_path / "device"))


class Program:
    """The program of a folder, run by a Python, with the stand-in for TensorRT."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python, self.folder = python, folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "PYTHONPATH": str(FAKES),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FAKE_TENSORRT": "8.5.3.1",
            "FAKE_MARKS": json.dumps({"MarkOutput_0": [["NMS", [1, 100, 7]], ["NMS_1", [1, 1, 1]]]}),
            "FAKE_CREATORS": "NMS_TRT,GridAnchor_TRT,FlattenConcat_TRT",
            "FAKE_LOSSES": json.dumps({"a": 0.001}),
            "SURGEON_DEVICES": json.dumps([["Fake GPU", "5.3", 1 << 30]]),
        }

    def run(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.python, str(self.folder / "detector.py"), *map(str, words)],
            capture_output=True,
            text=True,
            env={**self.environment, **environment},
            cwd=self.folder.parent,
            timeout=120,
        )
        assert "Traceback" not in done.stderr
        return done

    def json(self, *words: object, code: int = 0, **environment: str) -> Any:
        done = self.run(*words, "--json", **environment)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def program(folder: Path) -> Program:
    return Program(sys.executable, folder)


@pytest.mark.parametrize("version", VERSIONS)
def test_old_pythons_read_every_source(version: str, tmp_path: Path) -> None:
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    if not kept:
        pytest.skip(f"Python {version} is not installed")
    (tmp_path / "detector.py").write_text(detector_program(), encoding="utf-8")
    code = (
        "import runpy; s = runpy.run_path('detector.py', run_name='x')['SOURCES']; "
        "[compile(text, name, 'exec') for name, text in s.items()]; print(len(s))"
    )
    done = subprocess.run([kept[-1], "-c", code], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert int(done.stdout) > 50


@pytest.mark.parametrize("version", ["this", *VERSIONS])
def test_pictures_are_prepared_to_the_bit(version: str, packaged: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    # What comes of a JPEG file depends on the release of the library that decodes it.
    picture = tmp_path / "picture.png"
    PIL.Image.fromarray(made_picture().pixels).save(picture)
    words = [packaged / "detector.py", picture, json.dumps(IMAGES)]
    done = subprocess.run([python, "-c", PREPARE, *words], check=True, capture_output=True, text=True)
    pixels = read_picture(picture).pixels
    expected = []
    for image in IMAGES:
        tensor = prepare(Image.model_validate(image), pixels).tensor
        digest = hashlib.sha256(tensor.tobytes()).hexdigest()
        expected.append(f"{tensor.shape} {tensor.dtype} {digest}")
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("version", ["this", *VERSIONS])
def test_commands_give_the_json_of_the_package(
    version: str, folder: Path, fake: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = Program(interpreter(version), folder)
    for name, value in program.environment.items():
        if name.startswith("FAKE") or name == "SURGEON_DEVICES":
            fake.setenv(name, value)
    engine = folder / "demo.engine"
    there = program.json("build")
    ours = surgeon.build_engine(folder / "demo.uff", None, tmp_path / "demo.engine", precision="fp16")
    here = ours.to_json()
    # A file does not say of which recipe's picture and classes it is.
    told = ("image", "labels", "detections", "model", "graph", "recipe", "recipe_digest", "target")
    for found in (there, here):
        assert found["manifest"].pop("build_seconds") >= 0
        del found["engine"]
    for key in told:
        there["manifest"].pop(key), here["manifest"].pop(key)
    assert there == here
    assert program.json("build")["reused"] is True

    pictures = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(pictures):
        PIL.Image.fromarray(made_picture(seed).pixels).save(path)
    found = program.json("run", *pictures, "--threshold", 0.5, "-o", tmp_path / "found", "--tensors")
    results = surgeon.detect(engine, pictures, threshold=0.5)
    plain = json.loads(json.dumps([each.to_json() for each in results]))
    assert len(plain[0]["detections"]) > 5
    for each in found["pictures"]:
        assert Path(each.pop("drawn")).stat().st_size > 1000 and Path(each.pop("tensors")).exists()
    assert found["pictures"] == plain and found["diagnostics"] == []

    verified = program.json("verify", code=3)
    original = surgeon.verify(engine=engine, original=folder / "original.npz").to_json()
    assert verified == json.loads(json.dumps(original))
    assert verified["outcome"] == "failed"  # the stand-in computes nothing of the model

    bench = program.json("bench", "--rounds", 3, "--warm-up", 0)
    assert set(bench["parts_ms"]) >= {"preprocessing", "copy_in", "enqueue", "network"}
    with surgeon.load_engine(engine) as loaded:
        assert {*loaded.bench(rounds=3, warm_up=0).to_json()} < set(bench)


@pytest.mark.parametrize("tensorrt", ["7.1.3", "8.0.1", "8.2.1", "8.4.1", "8.6.1"])
def test_each_tensorrt_builds_and_runs(tensorrt: str, program: Program, tmp_path: Path) -> None:
    built = program.json("build", FAKE_TENSORRT=tensorrt)
    assert built["manifest"]["tensorrt"] == tensorrt
    np.save(tmp_path / "picture.npy", made_picture().pixels)
    found = program.json("run", tmp_path / "picture.npy", FAKE_TENSORRT=tensorrt)
    assert len(found["pictures"][0]["detections"]) > 5


def test_arrays_are_pictures(program: Program, tmp_path: Path) -> None:
    program.json("build")
    picture = sorted(SAMPLES.glob("*.jpg"))[0]
    np.save(tmp_path / "picture.npy", read_picture(picture).pixels)
    (first,), (second,) = (
        program.json("run", path)["pictures"] for path in (picture, tmp_path / "picture.npy")
    )
    assert first["detections"] == second["detections"]


def fault(done: subprocess.CompletedProcess[str], code: str, text: str = "") -> None:
    assert done.returncode == 1, done.stderr
    assert f"error[{code}]" in done.stderr and text in done.stderr


def test_faults_have_codes(program: Program, tmp_path: Path) -> None:
    folder, picture = program.folder, sorted(SAMPLES.glob("*.jpg"))[0]
    fault(program.run("run", picture), "E101", "python3 detector.py build")
    fault(program.run("build", PYTHONPATH=""), "E108", "python3-libnvinfer") if no_tensorrt() else None
    fault(program.run("build", FAKE_CREATORS="GridAnchor_TRT,FlattenConcat_TRT"), "B126", "NMS_TRT")
    fault(program.run("build", FAKE_FAULT="abort"), "B141", "nmsPlugin.cpp")
    fault(program.run("build", FAKE_FAULT="no engine"), "B140")
    fault(program.run("build", SURGEON_DEVICES="[]"), "B111")
    fault(program.run("build", "--int8"), "B107")
    (tmp_path / "empty").touch()
    fault(program.run("build", "--int8", "--calibration-cache", tmp_path / "empty"), "B107", "is empty")
    fault(program.run("build", "--plugin-library", tmp_path / "none.so"), "B120")
    fault(program.run("build", "-o", folder / "demo.uff"), "B109")
    fault(program.run("build", "-o", tmp_path / "none" / "demo.engine"), "E105")
    assert not list(folder.glob("demo.engine*"))
    program.json("build")
    fault(program.run("bench", FAKE_TENSORRT="8.4.1"), "B104", "built for 8.5.3.1")
    fault(program.run("run", tmp_path / "none.jpg"), "V102")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    done = program.run("run", tmp_path / "bad.jpg", picture)
    fault(done, "V101", "bad.jpg")
    assert picture.name in done.stdout
    fault(program.run("verify", "--original", tmp_path / "bad.jpg"), "V123")
    assert program.run("run").returncode == 2
    with open(folder / "demo.engine", "ab") as file:
        file.write(b"more")
    fault(program.run("bench"), "B106")
    with open(folder / "demo.uff", "ab") as file:
        file.write(b"more")
    fault(program.run("build"), "B106", "not the file that was packaged")


def test_a_full_output_is_told(program: Program) -> None:
    words = [program.python, program.folder / "detector.py", "doctor", "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, env=program.environment)
    assert done.returncode == 1 and "error[E105]" in done.stderr and "Traceback" not in done.stderr


def no_tensorrt() -> bool:
    return subprocess.run([sys.executable, "-c", "import tensorrt"], capture_output=True).returncode != 0


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (lambda text: "{", "B150", "Invalid JSON"),
        (lambda text: text.replace('"surgeon"', '"other"', 1), "B150", "other"),
        (lambda text: text.replace('"max_batch": 1', '"max_batch": "x"'), "B150", "max_batch"),
        (lambda text: text.replace('"version": 1', '"version": 2', 1), "E121", "version 2"),
    ],
)
def test_a_damaged_description_is_told(
    program: Program, change: Callable[[str], str], code: str, text: str
) -> None:
    path = program.folder / "detector.json"
    path.write_text(change(path.read_text()))
    fault(program.run("doctor"), code, text)


def test_a_folder_without_description_is_told(program: Program) -> None:
    (program.folder / "detector.json").unlink()
    fault(program.run("doctor"), "B150", "keep the files of the folder together")


def test_doctor_says_what_is_there(program: Program) -> None:
    found = program.json("doctor")
    assert found["problems"] == [] and found["tensorrt"]["version"] == "8.5.3.1" and found["engine"] is None
    found = program.json("doctor", code=1, FAKE_TENSORRT="10.0.1", SURGEON_DEVICES="[]")
    assert found["problems"] == ["TensorRT 10.0.1 has no parser for 'uff' files", "no GPU answers"]


def test_the_script_runs_trtexec(folder: Path, tmp_path: Path) -> None:
    trtexec = tmp_path / "trtexec"
    trtexec.write_text(
        '#!/bin/sh\nif [ "$1" = --help ]; then echo "--uffInput --memPoolSize"; else echo "$@"; fi\n'
    )
    trtexec.chmod(0o755)
    environment = {**os.environ, "TRTEXEC": str(trtexec)}
    done = subprocess.run([folder / "build.sh", "--verbose"], capture_output=True, text=True, env=environment)
    words = done.stdout.split()
    assert words[:4] == [
        "--uff=demo.uff",
        "--uffInput=Input,3,300,300",
        "--output=MarkOutput_0",
        "--maxBatch=1",
    ]
    assert "--memPoolSize=workspace:1024" in words and words[-1] == "--verbose"
    done = subprocess.run(
        [folder / "build.sh"], capture_output=True, text=True, env={**os.environ, "TRTEXEC": "/none"}
    )
    assert done.returncode == 1 and "TRTEXEC=" in done.stderr


def test_a_folder_is_whole_or_not_there(packaged: Path, demo_recipe: Path, tmp_path: Path) -> None:
    names = {path.name for path in packaged.iterdir()}
    assert names >= {
        "detector.py",
        "detector.json",
        "demo.uff",
        "original.npz",
        "labels.txt",
        "build.sh",
        "README.md",
    }
    assert os.access(packaged / "detector.py", os.X_OK)
    output = tmp_path / "made"
    with pytest.raises(SurgeonError, match="B107"):
        surgeon.package(demo_recipe, demo.model_path(), output, precision="int8")
    with pytest.raises(SurgeonError, match="B151"):
        surgeon.package(demo_recipe, demo.model_path(), output, kind="moon")
    with pytest.raises(SurgeonError, match="B109"):
        surgeon.package(demo_recipe, None, output)
    with pytest.raises(SurgeonError, match="V123"):
        surgeon.package(packaged / "demo.uff", None, output, original=packaged / "demo.uff")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    for force in (False, True):
        with pytest.raises(SurgeonError, match="E120"):
            surgeon.package(packaged / "demo.uff", None, tmp_path / "mine", force=force)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_a_file_is_packaged_with_originals(packaged: Path, tmp_path: Path) -> None:
    output, scales = tmp_path / "made", tmp_path / "scales"
    scales.write_bytes(b"scales of 3 batches")
    options: dict[str, Any] = {"precision": "int8", "calibration_cache": scales}
    found = surgeon.package(
        packaged / "demo.uff", None, output, original=packaged / "original.npz", **options
    )
    assert found.verification is None and found.description.original == "original.npz"
    assert {each.name for each in found.files} >= {"calibration.cache", "original.npz", "detector.py"}
    program = Program(sys.executable, output)
    built = program.json("build")
    assert (
        built["manifest"]["precision"] == "int8"
        and built["manifest"]["calibration"]["algorithm"] == "entropy"
    )
    assert json.loads((output / "demo.engine").read_text())["calibrated"] == "scales of 3 batches"
    with pytest.raises(SurgeonError, match="--force"):
        surgeon.package(packaged / "demo.uff", None, output)
    again = surgeon.package(packaged / "demo.uff", None, output, force=True)
    assert "original.npz" not in {each.name for each in again.files} and not (output / "demo.engine").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    fault(Program(sys.executable, output).run("verify"), "V123", "--store")


def test_native_plugins_travel_as_sources(demo_recipe: Path, tmp_path: Path) -> None:
    found = surgeon.package(
        demo_recipe, demo.model_path(), tmp_path / "made", suppression="native", originals=False
    )
    names = {each.name for each in found.files}
    assert found.description.native_plugins and found.description.original == ""
    assert names >= {"plugins/CMakeLists.txt", "plugins/src/detection.cu"} and "original.npz" not in names
    assert "cmake -S plugins" in (tmp_path / "made" / "README.md").read_text()
    trtexec = tmp_path / "trtexec"
    trtexec.write_text('#!/bin/sh\nif [ "$1" = --help ]; then echo --uffInput; else echo "$@"; fi\n')
    trtexec.chmod(0o755)
    script, environment = tmp_path / "made" / "build.sh", {**os.environ, "TRTEXEC": str(trtexec)}
    done = subprocess.run([script], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "build it as README.md says" in done.stderr
    done = subprocess.run(
        [script], capture_output=True, text=True, env={**environment, "PLUGINS": str(trtexec)}
    )
    assert f"--plugins={trtexec}" in done.stdout.split() and "--workspace=1024" in done.stdout.split()
    fault(Program(sys.executable, tmp_path / "made").run("build"), "B126", "--plugin-library")


def test_an_open_batch_has_shapes(demo_recipe: Path, tmp_path: Path) -> None:
    surgeon.package(
        demo_recipe,
        demo.model_path(),
        tmp_path / "made",
        target="onnx@tensorrt-8.5",
        max_batch=4,
        best_batch=2,
        originals=False,
    )
    words = (tmp_path / "made" / "build.sh").read_text().split()
    shapes = [word.partition("=")[2].rpartition(":")[2] for word in words if "Shapes=" in word]
    assert shapes == ["1x3x300x300", "2x3x300x300", "4x3x300x300"]
    built = Program(sys.executable, tmp_path / "made").json("build")
    assert built["manifest"]["max_batch"] == 4 and built["manifest"]["format"] == "onnx"


def test_genuine_tensorrt_has_what_the_model_needs(packaged: Path) -> None:
    python = Path(os.environ.get("SURGEON_TENSORRT_PYTHON", ROOT / ".venv-tensorrt" / "bin" / "python"))
    if not python.exists():
        pytest.skip("there is no Python with TensorRT 8.5.3.1; 'make test-tensorrt' makes one")
    words = [python, packaged / "detector.py", "doctor", "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    found = json.loads(done.stdout)
    if found["tensorrt"] is None:
        pytest.skip(f"TensorRT is not installed beside {python}: {found['problems']}")
    assert found["tensorrt"]["parsers"] == ["uff", "onnx", "caffe"]
    assert found["tensorrt"]["lacking_plugins"] == []
    if not found["tensorrt"]["devices"]:
        built = subprocess.run([*words[:2], "build"], capture_output=True, text=True, env=environment)
        fault(built, "B111", "no GPU answers")


def test_an_engine_is_not_for_a_device(tmp_path: Path) -> None:
    engine = tmp_path / "net.engine"
    engine.write_bytes(b"engine")
    with pytest.raises(SurgeonError, match=r"B109.*builds its own"):
        surgeon.package(engine, None, tmp_path / "made")
