"""Other interpreters: they import nothing from the working folder, and whatever this one can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from surgeon.children import command, environment

FAKES = Path(__file__).parent / "fakes"
PACKAGES = (
    "numpy",
    "google",
    "tensorflow",
    "onnx",
    "tf2onnx",
    "onnxruntime",
    "yaml",
    "pydantic",
    "surgeon",
    "flask",
)
NAMES = (
    "json",
    "os",
    "random",
    "ctypes",
    "logging",
    "subprocess",
    "numpy",
    "yaml",
    "google.protobuf",
    "surgeon",
)

GRAPH = (
    "graph v1\nx = Placeholder() {dtype: float32, shape: shape[1,4]}\n"
    "w = Const() {dtype: float32, value: tensor<float32[4]: 1.0, 2.0, 3.0, 4.0>}\n"
    "s = Mul(x, w) {T: float32}\ny = Relu6(s) {T: float32}\n"
)
RECIPE = (
    "recipe: 1\nname: n\nsummary: A clip.\noutputs: [c]\n"
    "nodes: {c: {plugin: CustomClipPlugin, fields: {clipMin: 0, clipMax: 6}}}\nnamespaces: {y: c}\n"
)
SCRIPT = "import sys\nfrom surgeon.cli import main\nsys.exit(main())\n"


def lay_traps(folder: Path) -> Path:
    """Write a module for every name that may be imported; each says so when it runs. Return where."""
    ran = folder / "ran"
    for name in (*sys.stdlib_module_names, *PACKAGES):
        (folder / f"{name}.py").write_text(
            f"with open({str(ran)!r}, 'a') as f:\n    f.write({name!r} + '\\n')\nraise ImportError({name!r})\n"
        )
    return ran


def run(order: Sequence[str], folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return subprocess.run(
        order, cwd=folder, env={**kept, **changes}, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def surgeon_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as it is installed: a script in a folder that is not the working folder."""
    script = tmp_path_factory.mktemp("bin") / "surgeon"
    script.write_text(SCRIPT)
    return script


def test_a_conversion_runs_nothing_of_the_working_folder(tmp_path: Path, surgeon_script: Path) -> None:
    pytest.importorskip("tf2onnx")
    from surgeon.formats.graphdef import save_graph
    from surgeon.graph import parse_graph

    save_graph(parse_graph(GRAPH), tmp_path / "m.pb")
    (tmp_path / "r.yaml").write_text(RECIPE)
    ran = lay_traps(tmp_path)
    order = [sys.executable, str(surgeon_script), "convert", "r.yaml", "m.pb", "-o", "x.onnx"]
    done = run(order, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.onnx").is_file() and not ran.exists()


def test_the_process_of_tensorrt_runs_nothing_of_it(tmp_path: Path, surgeon_script: Path) -> None:
    ran = lay_traps(tmp_path)
    done = run(
        [sys.executable, str(surgeon_script), "doctor", "--json"],
        tmp_path,
        PYTHONPATH=str(FAKES),
        FAKE_TENSORRT="8.5.3.1",
        FAKE_CREATORS="NMS_TRT",
        SURGEON_DEVICES="[]",
    )
    assert "NMS_TRT" in done.stdout and not ran.exists(), done.stderr


def test_neither_program_nor_environment_bring_it_in_by_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from surgeon.engine import children

    ran = lay_traps(tmp_path)
    link = tmp_path.with_name(f"{tmp_path.name}-link")
    link.symlink_to(tmp_path)
    code = f"import importlib\nfor name in {NAMES!r}:\n    importlib.import_module(name)\nprint('imported')"
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("PYTHONPATH", os.pathsep.join(["", str(FAKES), ""]))
        patch.setenv("FAKE_TENSORRT", "8.5.3.1")
        # As in a console, under 'python -m', and as programs do it.
        patch.setattr(sys, "path", ["", str(tmp_path), str(link), ".", str(FAKES), *sys.path])
        orders = [(command(code), environment()), (children.command("creators"), children.environment())]
    for order, surroundings in orders:
        done = subprocess.run(order, cwd=tmp_path, env=surroundings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "imported" in done.stdout or '"8.5.3.1"' in done.stdout
    assert not ran.exists()
    link.unlink()


def test_the_traps_would_be_noticed(tmp_path: Path) -> None:
    ran = lay_traps(tmp_path)
    run([sys.executable, "-c", "import random"], tmp_path)
    assert ran.read_text().split()[0] in ("linecache", "random")  # Python 3.13 imports the former for -c


def test_a_child_imports_what_its_parent_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what ``PYTHONPATH`` names, the working folder and relative paths included, and what was added."""
    for name in ("named", "relative", "added"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"module_{name}.py").write_text("")
    (tmp_path / "module_here.py").write_text("")
    names = ["named", "relative", "added", "here"]
    code = "".join(f"import module_{name}\n" for name in names) + "import sys; print(sys.argv[1:])"
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "named"), "relative", "."]))
        given = [str(tmp_path / "named"), str(tmp_path / "relative"), str(tmp_path)]
        patch.setattr(sys, "path", [str(tmp_path / "added"), *given, *sys.path])
        order, surroundings = command(code, "-o", "a b"), environment()
    for folder in (tmp_path, tmp_path.parent):
        done = subprocess.run(order, cwd=folder, env=surroundings, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "['-o', 'a b']\n"), done.stderr


def test_a_child_imports_from_the_user_s_own_site_packages(tmp_path: Path) -> None:
    """A package of one's own, and one that only a ``.pth`` file makes known, as ``pip install --user -e`` does."""
    base = Path(getattr(sys, "_base_executable", sys.executable))
    where = "import site; print(site.ENABLE_USER_SITE, site.getusersitepackages())"
    known = run([str(base), "-c", where], tmp_path, PYTHONUSERBASE=str(tmp_path)).stdout.split()
    if known[:1] != ["True"]:
        pytest.skip("this interpreter has no site-packages of the user")
    packages, edited = Path(known[1]), tmp_path / "edited"
    packages.mkdir(parents=True)
    edited.mkdir()
    (packages / "module_own.py").write_text("")
    (edited / "module_edited.py").write_text("")
    (packages / "edited.pth").write_text(f"{edited}\nimport sys; sys.surgeon_was_here = True\n")
    code = "import module_own, module_edited, sys; print('imported', sys.surgeon_was_here)"
    parent = (
        "import subprocess; from surgeon.children import command, environment; "
        f"print(subprocess.run(command({code!r}), env=environment(), capture_output=True, text=True))"
    )
    mine = os.pathsep.join(path for path in sys.path if path)
    for folder in (tmp_path, edited):
        done = run([str(base), "-c", parent], folder, PYTHONUSERBASE=str(tmp_path), PYTHONPATH=mine)
        assert "imported True" in done.stdout, done.stdout + done.stderr
    done = run([str(base), "-s", "-c", parent], tmp_path, PYTHONUSERBASE=str(tmp_path), PYTHONPATH=mine)
    assert "ModuleNotFoundError" in done.stdout and "imported True" not in done.stdout


def test_an_isolated_interpreter_has_isolated_children(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    parent = (
        f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}\n"
        "import subprocess; from surgeon.children import command, environment\n"
        "print(subprocess.run(command('print(1)'), env=environment(), capture_output=True, text=True).stdout)"
    )
    done = run([sys.executable, "-I", "-c", parent], tmp_path, PYTHONPATH=str(tmp_path))
    assert done.stdout.strip() == "1" and not (tmp_path / "ran").exists(), done.stderr


def test_a_working_folder_that_was_removed_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "path", [path for path in sys.path if os.path.isabs(path)])
    order, surroundings = command("import surgeon; print('imported')"), environment()
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(order, env=surroundings, capture_output=True, text=True)
    assert done.stdout == "imported\n", done.stderr
