"""The notebooks execute from the start, and what is stored of them can be read without running anything."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import surgeon

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("commands")]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 120
"""What one cell may take; the slowest takes less than ten."""

MOST_BYTES = 1_000_000
NEEDED = ("nbclient", "nbformat", "ipykernel", "matplotlib", "PIL", "tensorflow")
NEEDED_TOO = {
    **dict.fromkeys(("03", "06", "08"), ("onnx", "onnxruntime", "tf2onnx")),
    "09": ("onnx", "onnxruntime", "tf2onnx", "pycocotools"),
}

MACHINE = re.compile(r"(?<![\w.~$/:-])/(?:work|home|root|tmp|Users|usr|opt|mnt|var|builds)/|\b[A-Z]:\\\\")
"""Where a path of somebody's machine begins."""

FAILED = re.compile(r"^(usage: surgeon|.*\berror\[[A-Z]\d+\])", re.MULTILINE)
"""What a verb prints when it was called wrongly or fails; a shell in a notebook ends well even so."""

PUBLIC = (*surgeon.__all__, "compat")
IMPORTED = (*PUBLIC, "zoo")
"""What 'from surgeon import' may name: the graphs of a notebook come from the generators."""

each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def text_of(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def markdown(notebook: dict[str, Any]) -> str:
    return "\n".join(text_of(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def shown(notebook: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Yield number of the cell, kind and text of each output; pictures are left out."""
    for number, cell in enumerate(code_cells(notebook), 1):
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                yield number, output["name"], text_of(output["text"])
            elif output["output_type"] == "error":
                yield number, "error", output["ename"]
            for kind, value in output.get("data", {}).items():
                if not kind.startswith("image/"):
                    yield number, kind, text_of(value)


def flaws(notebook: dict[str, Any]) -> list[str]:
    """Return what is wrong with what a notebook shows."""
    found: list[str] = []
    for number, cell in enumerate(code_cells(notebook), 1):
        if cell["execution_count"] != number:
            found.append(f"cell {number} was executed as number {cell['execution_count']}")
    if not list(shown(notebook)):
        found.append("no output is stored")
    for number, kind, text in shown(notebook):
        if kind in ("error", "stderr"):
            found.append(f"cell {number} shows {kind}: {text[:200]}")
        if place := MACHINE.search(text):
            found.append(
                f"cell {number} shows a path of a machine: {text[place.start() : place.start() + 60]}"
            )
        if kind == "stdout" and (failed := FAILED.search(text)):
            found.append(f"cell {number} calls a verb that fails: {failed[0]}")
    return found


def python_of(source: str) -> str:
    """Return a cell as Python, shells and magics as calls; nothing for a cell that writes a file."""
    from IPython.core.inputtransformer2 import TransformerManager

    if source.startswith("%%capture"):
        source = source.partition("\n")[2]
    return "" if source.startswith("%%") else str(TransformerManager().transform_cell(source))


def private_names(source: str) -> list[str]:
    """Return the names of surgeon that a cell uses and that are not public, and attributes with an underscore."""
    found: list[str] = []
    for node in ast.walk(ast.parse(python_of(source))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("surgeon.")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "surgeon":
            found += [
                f"{node.module}.{a.name}"
                for a in node.names
                if node.module != "surgeon" or a.name not in IMPORTED
            ]
        elif isinstance(node, ast.Attribute):
            whose = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr.startswith("_") or (whose == "surgeon" and node.attr not in PUBLIC):
                found.append(f"{whose}.{node.attr}")
    return found


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """Give ``notebooks/run.py``."""
    for name in NEEDED:
        pytest.importorskip(name)
    spec = importlib.util.spec_from_file_location("surgeon_notebooks_run", FOLDER / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FRESH = """
import os, sys
from matplotlib import pyplot, rcdefaults
pyplot.close("all")
rcdefaults()
get_ipython().run_line_magic("config", "InlineBackend.figure_formats = ['png']")
get_ipython().run_line_magic("config", "InlineBackend.print_figure_kwargs = dict(bbox_inches='tight')")
os.chdir(FOLDER)
os.environ.clear()
os.environ.update(ENVIRONMENT)
sys.path[:] = SEARCHED + [path for path in sys.path if path not in SEARCHED]
get_ipython().reset()
"""
"""What makes a kernel as good as new: no names, settings of figures as they were, folder and environment."""


@pytest.fixture(scope="module")
def used_kernel(tool: ModuleType) -> Iterator[Any]:
    """Give a kernel for all notebooks: to load TensorFlow in one for each takes longer than most of them."""
    from jupyter_client.manager import KernelManager

    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel(extra_arguments=["--log-level=ERROR"])
    yield kernel
    kernel.shutdown_kernel(now=True)


def as_new(kernel: Any, folder: Path, programs: Path) -> Any:
    """Give the kernel as if it was fresh, in a folder, with the environment of this process.

    Programs are those of ``programs``, then this interpreter's.
    """
    paths = [str(programs), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    values = {
        "FOLDER": str(folder),
        "ENVIRONMENT": {**os.environ, "PATH": os.pathsep.join(paths)},
        "SEARCHED": [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path],
    }
    code = re.sub("|".join(values), lambda name: repr(values[name[0]]), FRESH)
    client = kernel.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=SECONDS)
    done = client.execute_interactive(code, store_history=False, timeout=SECONDS)
    client.stop_channels()
    assert done["content"]["status"] == "ok", done["content"]
    return kernel


@pytest.fixture
def kernel(used_kernel: Any, copied: Path, warm_surgeon: Path) -> Any:
    """Give the kernel as if it was fresh, in the folder of the notebooks."""
    return as_new(used_kernel, copied, warm_surgeon)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Give a folder with the notebooks as they are checked in, beside the pictures that they show."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for path in PATHS:
        shutil.copy(path, folder)
    shutil.copytree(ROOT / "docs" / "images", tmp_path / "docs" / "images")
    return folder


def test_there_are_nine() -> None:
    assert [path.stem[:2] for path in PATHS] == [f"{number:02}" for number in range(1, 10)]


@pytest.mark.parametrize(
    "path",
    [
        # It is executed below over a stand-in for TensorRT, which takes the longer way through it.
        pytest.param(path, marks=pytest.mark.exhaustive if path.stem.startswith("05") else ())
        for path in PATHS
    ],
    ids=lambda path: path.stem,
)
def test_it_executes(path: Path, tool: ModuleType, copied: Path, kernel: Any) -> None:
    for name in NEEDED_TOO.get(path.stem[:2], ()):
        pytest.importorskip(name)
    done = json.loads(json.dumps(tool.execute(copied / path.name, SECONDS, kernel)))
    assert not flaws(done)
    if path.stem[:2] != "05":  # what that one shows depends on the machine
        assert [kinds(cell) for cell in code_cells(done)] == [kinds(cell) for cell in code_cells(load(path))]


def kinds(cell: dict[str, Any]) -> list[str]:
    """Return what kinds of output a cell has."""
    return [
        " ".join(sorted(o["data"])) if "data" in o else f"{o['output_type']} {o.get('name', '')}"
        for o in cell["outputs"]
    ]


def test_engines_are_built_run_and_measured(
    tool: ModuleType, copied: Path, fake: pytest.MonkeyPatch, used_kernel: Any, warm_surgeon: Path
) -> None:
    """What is stored may come from a machine without a GPU; over a stand-in for TensorRT the other half is executed."""
    fake.setenv("FAKE_MARKS", json.dumps({"MarkOutput_0": [["NMS", [1, 100, 7]], ["NMS_1", [1, 1, 1]]]}))
    kernel = as_new(used_kernel, copied, warm_surgeon)
    done = tool.execute(next(copied.glob("05*.ipynb")), SECONDS, kernel)
    text = "\n".join(text for _, _, text in shown(done))
    assert not flaws(done) and "an engine on Fake GPU" in text and "there is no engine" not in text
    assert (
        sum("image/jpeg" in output.get("data", {}) for cell in code_cells(done) for output in cell["outputs"])
        == 4
    )


def test_a_checkout_in_a_hint_is_no_path_of_a_machine(tool: ModuleType, copied: Path) -> None:
    hint = {"text": f"pip install '{ROOT}[tensorrt]', in {copied / 'work'}"}
    assert tool._replaced(hint, tool.paths_here(copied)) == {"text": "pip install '..[tensorrt]', in work"}


def test_a_cell_that_fails_is_an_error(tool: ModuleType, copied: Path) -> None:
    from nbclient.exceptions import CellExecutionError
    from nbformat import v4, write

    path = copied / "bad.ipynb"
    write(v4.new_notebook(cells=[v4.new_code_cell("import surgeon\nsurgeon.load_graph('absent.pb')")]), path)
    with pytest.raises(CellExecutionError, match="E101"):
        tool.execute(path, SECONDS)


def test_what_is_stored_is_tidied(tool: ModuleType) -> None:
    from nbformat import v4

    cell = v4.new_code_cell(
        "x",
        metadata={"execution": {"iopub.execute_input": "2024-01-01T00:00:00Z"}},
        outputs=[
            v4.new_output("stream", name="stdout", text="a /here/on/b"),
            v4.new_output("stream", name="stdout", text=" c\nOverwriting d"),
            v4.new_output("display_data", data={"text/html": "<p>", "text/plain": "x" * 10_000}),
        ],
    )
    done = tool.tidied(
        v4.new_notebook(cells=[cell], metadata={"language_info": {"name": "python", "version": "3.9"}}),
        {"/here/on/": "", "/here": "."},
    )
    assert done.metadata == tool.METADATA and not done.cells[0].metadata
    assert done.cells[0].outputs[0].text == "a b c\nWriting d" and len(done.cells[0].outputs) == 2
    assert (
        len(done.cells[0].outputs[1].data["text/plain"]) < 1_000
        and done.cells[0].outputs[1].data["text/html"] == "<p>"
    )


@each
def test_what_is_stored_is_complete(path: Path) -> None:
    assert not flaws(load(path))
    assert path.stat().st_size < MOST_BYTES


@each
def test_a_picture_stands_at_the_top(path: Path) -> None:
    first = code_cells(load(path))[0]
    assert [
        kind for output in first["outputs"] for kind in output.get("data", {}) if kind.startswith("image/")
    ]


@each
def test_nothing_of_a_machine_is_stored(path: Path) -> None:
    notebook = load(path)
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert not any(cell["metadata"] for cell in notebook["cells"])
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


@each
def test_only_public_names_are_used(path: Path) -> None:
    pytest.importorskip("IPython")
    assert not [name for cell in code_cells(load(path)) for name in private_names(text_of(cell["source"]))]


@each
def test_headings_are_in_order(path: Path) -> None:
    text = markdown(load(path))
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert text.startswith("# ") and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@each
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", markdown(load(path)))
    assert links and not [
        link for link in links if not link.startswith("https://") and not (FOLDER / link).exists()
    ]


def made(source: str, *outputs: dict[str, Any], count: int = 1) -> dict[str, Any]:
    cell = {
        "cell_type": "code",
        "source": source,
        "execution_count": count,
        "outputs": list(outputs),
        "metadata": {},
        "id": "a",
    }
    return {"cells": [cell], "metadata": {}}


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


@pytest.mark.parametrize(
    ("notebook", "flaw"),
    [
        (made("1"), "no output"),
        (made("1", stream("x"), count=3), "number 3"),
        (made("1", stream("careful", "stderr")), "stderr"),
        (
            made("1", {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}),
            "ValueError",
        ),
        (made("1", stream("read /home/somebody/model.pb")), "path of a machine"),
        (made("1", stream("model.pb: error[E101]: there is no such file")), "verb that fails"),
        (made("1", stream("usage: surgeon [-h]")), "verb that fails"),
    ],
)
def test_flaws_are_found(notebook: dict[str, Any], flaw: str) -> None:
    assert [text for text in flaws(notebook) if flaw in text]


def test_relative_paths_are_no_flaw() -> None:
    assert not flaws(made("1", stream("work/demo/ssd.pb docs/work/x Postprocessor/home/root a:/work")))


@pytest.mark.parametrize(
    "source",
    [
        "import surgeon.graph",
        "from surgeon.graph import Shape",
        "from surgeon import request",
        "import surgeon\nsurgeon.formats",
        "graph._nodes",
        "import surgeon\n!surgeon demo\nx = surgeon.zoo",
    ],
)
def test_private_names_are_found(source: str) -> None:
    pytest.importorskip("IPython")
    assert private_names(source)


def test_public_names_are_none() -> None:
    pytest.importorskip("IPython")
    assert not private_names(
        "from surgeon import Graph\nimport surgeon\n!surgeon --help\nsurgeon.load_graph('x').nodes"
    )
