"""The child process by itself: it knows nothing of the toolkit, and runs under old Pythons from any folder."""

from __future__ import annotations

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import surgeon.engine

CHILD = Path(surgeon.engine.__file__).parent / "child"
FAKES = Path(__file__).parents[1] / "fakes"
FILES = sorted(CHILD.glob("*.py"))
OPTIONS = {
    "precision": "fp16",
    "tf32": True,
    "workspace": 1 << 24,
    "max_batch": 2,
    "dla_core": None,
}


def interpreter(version: str) -> str:
    """Return a Python of that version; skip the test where there is none."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    path = str(kept[-1]) if kept else shutil.which(f"python{version}")
    if path is None or subprocess.run([path, "--version"], capture_output=True).returncode:
        pytest.skip(f"Python {version} is not installed")
    return path


@contextmanager
def served(
    python: str, child: Path, folder: Path, fault: str = "", gpus: str = '[["GPU", "5.3", 4]]'
) -> Iterator[Any]:
    """Start the child of a folder in a working folder; give ``order(name, **arguments)``, its answer."""
    mine, theirs = socket.socketpair()
    environment = {
        **os.environ,
        "PYTHONPATH": str(FAKES),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FAKE_TENSORRT": "7.1.3",
        "FAKE_FAULT": fault,
        "SURGEON_DEVICES": gpus,
    }
    command = [python, str(child / "__main__.py"), "server", "[]", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, cwd=folder)
    theirs.close()
    connection = Connection(mine.detach())

    def order(name: str, **arguments: Any) -> tuple[Any, ...]:
        connection.send((name, arguments))
        while True:
            answer: tuple[Any, ...] = connection.recv()
            if answer[0] not in ("log", "phase", "progress"):
                return answer

    try:
        yield order
    finally:
        connection.close()
        process.wait(30)


def job(folder: Path) -> dict[str, Any]:
    (folder / "net.onnx").write_text(json.dumps({"inputs": [["x", [2, 3]]], "outputs": [["y", [2, 5]]]}))
    source = {"format": "onnx", "path": str(folder / "net.onnx"), "weights": "", "inputs": [], "outputs": []}
    return {
        "source": source,
        "options": OPTIONS,
        "profiles": {},
        "in_fp32": [1],
        "timing_cache": None,
        "calibration": None,
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_of_ours_is_imported(path: Path) -> None:
    siblings = {file.stem for file in FILES}
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.ImportFrom) and node.level:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            assert node.level == 1 and set(names) <= siblings
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            tops = {name.partition(".")[0] for name in names}
            assert tops <= {*sys.stdlib_module_names, "numpy"} - {"dataclasses", "__future__"}


@pytest.mark.parametrize("version", ["3.6", "3.8"])
def test_old_pythons_compile_and_import_it(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    shutil.copytree(CHILD, tmp_path / "carried", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([python, "-m", "compileall", "-q", "carried"], check=True, cwd=tmp_path)
    wanted = [path.stem for path in FILES if "import numpy" not in path.read_text()]
    assert {"__main__", "server", "build", "network", "cuda", "creators", "devices"} <= set(wanted)
    code = "; ".join(f"import carried.{name}" for name in wanted)
    subprocess.run([python, "-c", code], check=True, cwd=tmp_path)


@pytest.mark.parametrize("version", ["3.6", "3.8"])
def test_old_pythons_build(version: str, tmp_path: Path) -> None:
    with served(interpreter(version), CHILD, tmp_path) as order:
        platform = {"tensorrt": "7.1.3", "gpu": "GPU", "capability": "5.3", "memory": 4}
        assert order("open", libraries=[]) == ("done", platform)
        kind, built = order("build", **job(tmp_path))
        assert kind == "done" and json.loads(built["engine"])["max_batch"] == 1
        assert built["inputs"] == [{"name": "x", "dtype": "float", "shape": [2, 3]}]
        assert built["report"] == ""  # no inspector before TensorRT 8.2


RUN = """
import numpy as np, tensorrt
from carried.execute import Executor
executor = Executor(tensorrt, None, open("net.engine", "rb").read(), 2)
assert [(b.name, b.is_input, b.dtype.name, b.shape) for b in executor.bindings] == [
    ("x", True, "float32", (2, 3)), ("y", False, "float32", (2, 5))
]
outputs = executor.run({"x": np.full((2, 3), 4, np.float32)})
assert np.array_equal(outputs["y"], np.full((2, 5), 4, np.float32))
"""


@pytest.mark.parametrize("version", ["3.6", "3.8"])
def test_old_pythons_run_an_engine(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    if subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode:
        pytest.skip(f"Python {version} has no NumPy")
    with served(python, CHILD, tmp_path) as order:
        order("open", libraries=[])
        (tmp_path / "net.engine").write_bytes(order("build", **job(tmp_path))[1]["engine"])
    shutil.copytree(CHILD, tmp_path / "carried")
    environment = {**os.environ, "PYTHONPATH": str(FAKES), "FAKE_TENSORRT": "7.1.3"}
    subprocess.run([python, "-c", RUN], check=True, cwd=tmp_path, env=environment)


def test_a_copy_runs_alone_and_the_working_folder_does_not_get_in_the_way(tmp_path: Path) -> None:
    shutil.copytree(CHILD, tmp_path / "device" / "carried")
    here = tmp_path / "here"
    here.mkdir()
    for name in ("json", "tensorrt", "polygraphy", "surgeon", "server", "ctypes"):
        (here / f"{name}.py").write_text("raise ImportError('the wrong one')")
    with served(sys.executable, tmp_path / "device" / "carried", here) as order:
        assert order("open", libraries=[])[0] == "done"


def test_what_is_missing_is_said_in_plain_values(tmp_path: Path) -> None:
    with served(sys.executable, CHILD, tmp_path, gpus="[]") as order:
        assert order("open", libraries=[]) == ("no device",)
    with served(sys.executable, CHILD, tmp_path, fault="plugins") as order:
        assert order("open", libraries=[]) == (
            "failed",
            "RuntimeError",
            "init_libnvinfer_plugins failed",
        )
