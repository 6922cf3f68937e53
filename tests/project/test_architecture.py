"""The rooms of the design: imports point up the list, and each room stays ignorant of what it must not know."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ROOMS = {
    "display": "how values show themselves in a notebook",
    "diagnostics": "errors and warnings: codes, places, carets, pages",
    "garbage": "the collector of reference cycles, kept away from large graphs",
    "discovery": "modules and entry points found by key; two owners of a key are an error",
    "stages": "what is done now, told to whoever listens",
    "atomic": "files that appear whole or not at all",
    "ending": "signals that ask the process to end, as an exception",
    "children": "other interpreters: what they import, and what they do not",
    "installation": "how this package is installed, and the commands that install what is missing",
    "optional": "heavy libraries, imported when they are needed, with the line that installs them",
    "version": "the version",
    "deprecation": "public names that have a successor",
    "lazy_names": "names of a package that are imported when first used",
    "graph": "the immutable graph, edits as values, text form, difference, walks, sets of operations",
    "infer": "dtype, shape and small values of each operation",
    "targets": "a format and a runtime as data: versions, limits, which plugin fields exist",
    "catalog": "plugin definitions: ports, typed fields, versions, references, recorded cases",
    "steps": "what a recipe can do to a graph, a file each",
    "language": "YAML to a Recipe and back, with places; `extends`, parameters, the JSON schema",
    "training_files": "pipeline configs and label maps",
    "families": "what a family of networks says of a graph, a folder each; `parts` holds what they share",
    "rewrite": "a recipe and a graph become a plan; a plan is applied",
    "formats": "files: read, write, check, describe, a folder each",
    "lints": "what a target's runtime would stumble over, a file each",
    "kernels": "what plugins compute, by meaning: numbers in numpy, shapes, standard operators",
    "plugins": "a folder for each plugin: its definition, and code where no kernel has it",
    "engine": "TensorRT engines: build, keep, run, measure, read logs; `child` runs inside TensorRT's process",
    "runners": "what computes a model's outputs, a file for each backend; pictures in, detections out",
    "verification": "does the rewritten graph detect what the original does: records, one loop, verdicts",
    "authoring": "a recipe written for a graph, with the family that recognises it",
    "inspection": "what a file consists of, which recipe fits, what a target cannot run",
    "zoo": "generators of graphs for tests, the demo model and its training",
    "packaging": "folders that carry a model to where it runs; `detector` is the program of a device",
    "viewer": "before and after for a person: a page, Model Explorer, notebooks",
    "evaluation": "average precision on annotated pictures: datasets, sides, verdicts, the page",
    "request": "a recipe, a model and options as one value, resolved once",
    "api": "the verbs as functions, a file each",
    "compat": "`graphsurgeon` and `uff` for scripts that were written for them",
    "cluster": "a matrix of requests over the nodes of a Ray cluster, with a store of what was made",
    "glossary": "the words that the output uses, and what they mean",
    "cli": "the verbs on the command line, a file each; the only room that prints",
}
"""A room may import itself and the rooms before it. Plugin folders stand after the rooms that they may use.

``docs/architecture.md`` shows the table.
"""

UNKNOWN_TO = {
    "steps": ("targets",),
    "language": ("targets",),
    "training_files": ("language",),
    "families": ("targets",),
    "formats": ("rewrite",),
    "kernels": ("language", "rewrite"),
    "plugins": ("language", "rewrite"),
    "engine": ("rewrite",),
}
"""Rooms that stand higher in the list, and still must not be known."""

CHILD = "surgeon.engine.child"
"""What runs inside TensorRT's process, on devices too; it imports nothing else of ours."""

PROTOBUF = ("google",)
FOREIGN = {
    "diagnostics": (*PROTOBUF, "yaml", "numpy", "pydantic"),
    "graph": (*PROTOBUF, "yaml", "pydantic"),
    "infer": (*PROTOBUF, "yaml"),
    "rewrite": (*PROTOBUF, "yaml"),
}
"""Top-level packages that a room must not import."""

HEAVY = ("tensorflow", "onnx", "tf2onnx", "onnxruntime", "tensorrt", "ray", "fsspec")
"""Imported through `surgeon.optional.require` only, in the function that needs them."""

OWNERS = {
    "tensorflow": (
        "surgeon.compat",
        "surgeon.evaluation.datasets.tfrecord",
        "surgeon.formats.graphdef.saved_model",
        "surgeon.formats.onnx",
        "surgeon.runners.tensorflow",
        "surgeon.zoo",
    ),
    "onnx": ("surgeon.formats.onnx",),
    "tf2onnx": ("surgeon.formats.onnx",),
    "onnxruntime": ("surgeon.runners.onnxruntime",),
    "tensorrt": (CHILD,),
    "ray": ("surgeon.cluster",),
    "fsspec": ("surgeon.cluster",),
    "google": ("surgeon.formats",),
}
"""The only modules (with what is inside them) that import a package."""

SUFFIXES = (".uff", ".onnx", ".pb", ".pbtxt")
SUFFIX_PLACES = {
    "surgeon/formats/": "formats say which files are theirs",
    "surgeon/targets/target.py": "a pattern names a format",
    "surgeon/engine/builds.py": "TensorRT's parsers differ in what they know of a batch",
    "surgeon/api/build.py": "TensorRT reads UFF before release 9",
    "surgeon/packaging/detector/main.py": "TensorRT differs in the parsers that it has",
    "surgeon/packaging/description.py": "engines of ONNX files alone have an explicit batch",
    "surgeon/packaging/trtexec.py": "trtexec has options for each of TensorRT's parsers",
    "surgeon/packaging/kinds/deepstream.py": "nvinfer has keys for each of TensorRT's parsers",
    "surgeon/api/package.py": "UFF's parser has names of its own for outputs",
    "surgeon/compat/uff/converting.py": "scripts find the text form under the incumbent's name",
}
"""Files that may name a suffix or compare a ``format``, and why; all others ask ``surgeon.formats``."""

PRINTING_PLACES = {
    "surgeon/compat/talk.py": "the packages that scripts were written for print what they do",
    "surgeon/packaging/detector/main.py": "it is the command line of a device",
    "surgeon/packaging/detector/talk.py": "it is the command line of a device, and of Triton's client",
}
"""Files outside the command line that print, and why."""

DATA_PACKAGES = ("surgeon.plugins", "surgeon.recipes")


@dataclass(frozen=True)
class Import:
    """One import: the dotted name, its line, whether it is a statement, and whether only a type checker reads it."""

    name: str
    line: int
    statement: bool
    typing_only: bool


def module_names(root: Path) -> dict[str, Path]:
    """Return every module of the package by its installed name."""
    found: dict[str, Path] = {}
    for folder, package in (
        ("surgeon", "surgeon"),
        ("plugins", "surgeon.plugins"),
        ("recipes", "surgeon.recipes"),
    ):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            inner = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((package, *inner))] = path
    return found


@functools.cache
def nodes_of(text: str) -> tuple[ast.AST, ...]:
    """Return the nodes of a module; each is read once for all rules."""
    return tuple(ast.walk(ast.parse(text)))


def imports_of(
    nodes: Sequence[ast.AST], module: str, is_package: bool, modules: frozenset[str]
) -> Iterator[Import]:
    """Yield the imports of a module, those inside functions and those by a literal name included."""
    hidden = {
        id(inner)
        for node in nodes
        if isinstance(node, ast.If) and _type_checking(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in nodes:
        typing_only = id(node) in hidden
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, True, typing_only)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(inner if inner in modules else base, node.lineno, True, typing_only)
        elif (
            isinstance(node, ast.Call)
            and _function(node) in ("require", "import_module", "__import__")
            and node.args
        ):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Import(first.value, node.lineno, _function(node) != "require", False)


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _function(node: ast.Call) -> str:
    return _last_name(node.func)


def _type_checking(test: ast.expr) -> bool:
    return _last_name(test) == "TYPE_CHECKING"


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def room_of(module: str) -> str:
    """Return the room of a module: `__init__` and `api` of the package count as `api`, any `__main__` as `cli`."""
    parts = module.split(".")
    return "api" if len(parts) == 1 else "cli" if parts[-1] == "__main__" else parts[1]


def violations(root: Path) -> list[str]:
    """Return every breach of the rules in the tree, as `file:line: what`."""
    modules = module_names(root)
    names = frozenset(modules)
    found: list[str] = []
    for module, path in modules.items():
        nodes = nodes_of(path.read_text(encoding="utf-8"))
        place = path.relative_to(root).as_posix()
        for item in imports_of(nodes, module, _is_package(path), names):
            found += [f"{place}:{item.line}: {text}" for text in _judge_import(module, item)]
        if not place.startswith(tuple(SUFFIX_PLACES)):
            found += [f"{place}:{line}: {text}" for line, text in _format_branches(nodes)]
        if room_of(module) != "cli" and place not in PRINTING_PLACES:
            found += [f"{place}:{line}: {text}" for line, text in _prints(nodes)]
    return found


def _judge_import(module: str, item: Import) -> list[str]:
    top = item.name.partition(".")[0]
    return _judge_own(module, item.name) if top == "surgeon" else _judge_foreign(module, item, top)


def _judge_own(module: str, name: str) -> list[str]:
    room = room_of(module)
    if _inside(module, CHILD) and not _inside(name, CHILD):
        return [f"'{name}' is imported by what runs in the child process"]
    if any(_inside(name, package) for package in DATA_PACKAGES):
        own = ".".join(module.split(".")[:3])
        inside_own_folder = room == "plugins" and own != "surgeon.plugins" and _inside(name, own)
        return (
            [] if inside_own_folder else [f"'{name}' is imported by name; plugins and recipes are discovered"]
        )
    wanted = room_of(name)
    for one in (room, wanted):
        if one not in ROOMS and one != "recipes":
            return [f"'{one}' is not a room of the list"]
    if room == "api" or room == wanted:
        return []
    if wanted in UNKNOWN_TO.get(room, ()):
        return [f"'{room}' must not know '{wanted}'"]
    order = list(ROOMS)
    if room == "recipes" or order.index(wanted) > order.index(room):
        return [f"'{room}' imports '{wanted}', which stands below it"]
    return []


def _judge_foreign(module: str, item: Import, top: str) -> list[str]:
    found = []
    if top in FOREIGN.get(room_of(module), ()):
        found.append(f"'{room_of(module)}' must not know '{top}'")
    if top in HEAVY and item.statement and not item.typing_only:
        found.append(f"'{top}' is imported directly; go through surgeon.optional.require")
    if top in OWNERS and not item.typing_only and not any(_inside(module, owner) for owner in OWNERS[top]):
        found.append(f"'{top}' is imported outside {' and '.join(OWNERS[top])}")
    return found


def circles(root: Path) -> list[str]:
    """Return each set of modules that import one another in a circle, by name, joined by ` <-> `.

    Imports inside functions count, those that only a type checker reads do not.
    """
    modules = module_names(root)
    names = frozenset(modules)
    imports = {
        module: {
            item.name
            for item in imports_of(nodes_of(path.read_text("utf-8")), module, _is_package(path), names)
            if item.name in names and not item.typing_only
        }
        for module, path in modules.items()
    }
    reached = {module: _reached(imports, module) for module in modules}
    rings = (
        frozenset(other for other in reached[module] if module in reached[other])
        for module in modules
        if module in reached[module]
    )
    return sorted({" <-> ".join(sorted(ring)) for ring in rings})


def _is_package(path: Path) -> bool:
    return path.name == "__init__.py"


def _reached(imports: dict[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        more = imports[waiting.pop()] - reached
        reached |= more
        waiting += more
    return reached


def _prints(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "print(); only the command line prints"
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
            and node.attr in ("stdout", "stderr")
        ):
            yield node.lineno, f"sys.{node.attr}; only the command line prints"


def _format_branches(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if isinstance(node, ast.Constant) and node.value in SUFFIXES:
            yield node.lineno, f"the suffix '{node.value}'; ask surgeon.formats"
        if isinstance(node, ast.Compare) and _last_name(node.left) == "format":
            yield node.lineno, "a comparison of a format; ask surgeon.formats"


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_imports_point_up_the_list_of_rooms() -> None:
    assert violations(ROOT) == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circles(ROOT) == []


def test_a_planted_circle_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "surgeon"
    folder.mkdir()
    for name, text in {
        "__init__": "",
        "a": "from surgeon import b",
        "b": "def f():\n    from surgeon.c import x",
        "c": "from . import a, d",
        "d": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from surgeon.a import y",
        "e": "import surgeon.e",
    }.items():
        (folder / f"{name}.py").write_text(f"{text}\n")
    assert circles(tmp_path) == ["surgeon.a <-> surgeon.b <-> surgeon.c", "surgeon.e"]


def test_the_tree_is_really_read() -> None:
    expected = {
        "surgeon",
        "surgeon.graph.graph",
        "surgeon.formats.graphdef.reader",
        "surgeon.plugins",
        "surgeon.recipes",
    }
    assert expected <= set(module_names(ROOT))


PLANTED = {
    "surgeon/graph/node.py": ("import yaml", "'graph' must not know 'yaml'"),
    "surgeon/graph/graph.py": (
        "def f():\n    from surgeon.formats.graphdef import load_graph",
        "'graph' imports 'formats'",
    ),
    "surgeon/graph/text.py": ("from google.protobuf import text_format", "'graph' must not know 'google'"),
    "surgeon/graph/values.py": ("from .. import rewrite", "'graph' imports 'rewrite'"),
    "surgeon/infer/rules.py": (
        "import importlib as i\ni.import_module('surgeon.steps')",
        "'infer' imports 'steps'",
    ),
    "surgeon/infer/loop.py": ("import sys\nsys.stderr.write('x')", "only the command line prints"),
    "surgeon/steps/collapse.py": ("from surgeon import targets", "'steps' must not know 'targets'"),
    "surgeon/catalog/load.py": ("import surgeon.plugins.NMS_TRT", "plugins and recipes are discovered"),
    "surgeon/rewrite/apply.py": ("print('x')", "only the command line prints"),
    "surgeon/rewrite/__init__.py": ("from . import apply\nfrom ..cli import main", "'rewrite' imports 'cli'"),
    "surgeon/families/shape.py": ("import surgeon", "'families' imports 'api'"),
    "surgeon/formats/uff/run.py": (
        "import surgeon.optional as o\no.require('tensorrt', 'x')",
        "outside surgeon.engine.child",
    ),
    "surgeon/formats/uff/shape.py": (
        "from surgeon.optional import require\nrequire('onnx', 'x')",
        "outside surgeon.formats.onnx",
    ),
    "surgeon/engine/child/run.py": ("from surgeon.diagnostics import error", "in the child process"),
    "surgeon/kernels/boxes.py": ("from surgeon.language import Recipe", "'kernels' must not know 'language'"),
    "surgeon/formats/uff/fold.py": (
        "def f():\n    import tensorflow as tf",
        "go through surgeon.optional.require",
    ),
    "surgeon/rewrite/suffix.py": (
        "def f(path):\n    return path.suffix == '.uff'",
        "the suffix '.uff'; ask surgeon.formats",
    ),
    "surgeon/infer/table.py": ("KINDS = {'.onnx': 1}", "the suffix '.onnx'; ask surgeon.formats"),
    "surgeon/rewrite/branch.py": (
        "def f(target):\n    return target.format == 'onnx'",
        "a comparison of a format",
    ),
    "surgeon/wizard/__init__.py": ("from surgeon.graph import Graph", "'wizard' is not a room"),
    "plugins/A_TRT/reference.py": ("from surgeon.cli import main", "'plugins' imports 'cli'"),
    "plugins/B_TRT/reference.py": ("from ..A_TRT import reference", "plugins and recipes are discovered"),
}


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Give a tree with one breach per file, in packages that are otherwise empty."""
    for room in (
        "graph",
        "formats/uff",
        "infer",
        "catalog",
        "steps",
        "targets",
        "families",
        "rewrite",
        "cli",
    ):
        (tmp_path / "surgeon" / room).mkdir(parents=True)
        (tmp_path / "surgeon" / room / "__init__.py").touch()
    (tmp_path / "surgeon" / "__init__.py").touch()
    for name, (text, _) in PLANTED.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return tmp_path


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_breach_is_found(planted: Path, name: str) -> None:
    mine = [line for line in violations(planted) if line.startswith(f"{name}:")]
    assert len(mine) >= 1 and PLANTED[name][1] in " ".join(mine)


def test_what_is_allowed_is_not_reported(planted: Path) -> None:
    for name in PLANTED:
        (planted / name).unlink()
    (planted / "surgeon/families/shape.py").write_text(
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nimport numpy as np\n"
        "from surgeon.graph import Graph\nfrom surgeon import infer\nif TYPE_CHECKING:\n    import onnx\n"
        "def f():\n    from surgeon.catalog import load\n"
    )
    (planted / "surgeon/zoo").mkdir()
    (planted / "surgeon/zoo/__init__.py").write_text(
        "import surgeon.optional as o\no.require('tensorflow', 'x')\n"
    )
    (planted / "surgeon/cli/__init__.py").write_text("import surgeon\nfrom surgeon import zoo\nprint('x')\n")
    assert violations(planted) == []


def modules_loaded(*arguments: str) -> set[str]:
    """Run the command line in a fresh interpreter, and return the top-level packages that it has loaded."""
    code = (
        "import sys\nfrom surgeon.cli import main\n"
        "try:\n    code = main(sys.argv[1:])\nexcept SystemExit as exc:\n    code = exc.code or 0\n"
        "tops = sorted({name.partition('.')[0] for name in list(sys.modules)})\n"
        "print('\\nLOADED ' + ' '.join(tops))\nsys.exit(code)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return set(run.stdout.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_start_up_imports_neither_numpy_nor_pydantic(option: str) -> None:
    loaded = modules_loaded(option)
    assert "surgeon" in loaded
    assert not loaded & {"numpy", "pydantic", "pydantic_core", "yaml", "google", *HEAVY}


RECIPE = """\
recipe: 1
name: small
outputs: [clip]
nodes:
  Input: {op: Placeholder, like: pre/scaled}
  clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}
namespaces:
  pre: Input
  picture: Input
  body/Relu6: clip
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a small frozen graph, `small.pb`, and a recipe for it, `small.yaml`."""
    from surgeon.formats.graphdef.protos import GraphDef

    graph = GraphDef()
    chain = (
        ("picture", "Placeholder", []),
        ("pre/scaled", "Relu", ["picture"]),
        ("body/Relu", "Relu", ["pre/scaled"]),
        ("body/Relu6", "Relu6", ["body/Relu"]),
    )
    for name, op, inputs in chain:
        node = graph.node.add(name=name, op=op, input=inputs)
        node.attr["dtype" if op == "Placeholder" else "T"].type = 1  # DT_FLOAT
        if op == "Placeholder":
            for size in (1, 4, 4, 3):
                node.attr["shape"].shape.dim.add(size=size)
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.pb").write_bytes(graph.SerializeToString())
    (folder / "small.yaml").write_text(RECIPE)
    return folder


@pytest.mark.parametrize("verb", ["inspect", "check", "convert"])
def test_work_on_frozen_graphs_never_imports_tensorflow(small: Path, verb: str) -> None:
    model, recipe = str(small / "small.pb"), str(small / "small.yaml")
    arguments = {
        "inspect": [model],
        "check": [recipe, model],
        "convert": [recipe, model, "-o", str(small / f"{verb}.uff")],
    }
    loaded = modules_loaded(verb, *arguments[verb])
    assert "surgeon" in loaded
    assert not loaded & set(HEAVY)
