"""The wheel: its exact files, the same from the sdist, and the command line at work in a clean environment."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from built_wheel import ROOT, SOURCES, build, run, source_copy
from packaging.metadata import ExceptionGroup, Metadata

METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"}
EXTRAS = {
    "accuracy",
    "evaluate",
    "completion",
    "fleet",
    "pictures",
    "training",
    "tensorflow",
    "onnx",
    "tensorrt",
    "notebooks",
    "view",
    "docs",
    "dev",
}

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


@dataclass(frozen=True)
class Built:
    """The two distributions of one build."""

    wheel: Path
    sdist: Path


def expected_files(root: Path) -> set[str]:
    """Return what a wheel of this tree holds: every file of the three source folders, under its installed path."""
    found = set()
    for folder, target in SOURCES.items():
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(f"{target}/{path.relative_to(root / folder).as_posix()}")
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the sources."""
    return source_copy(tmp_path_factory.mktemp("tree") / "surgeon")


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Give the wheel and the sdist of the copy."""
    out = tmp_path_factory.mktemp("dist")
    build(tree, out, "--wheel", "--sdist")
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(wheel, sdist)


def environment(home: Path) -> Path:
    """Make an environment to which this one lends its packages, pip among them; return its executables' folder."""
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home.parent)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(home / "bin" / "python", "-c", code, cwd=home.parent).strip())
    # A path file lends packages, but not the editable install there: its own path files are not read.
    lent = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "dependencies.pth").write_text("\n".join(lent) + "\n")
    return home / "bin"


@pytest.fixture(scope="module")
def clean(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of executables of a new environment: the wheel is installed, its dependencies are lent."""
    folder = environment(tmp_path_factory.mktemp("clean") / "venv")
    run(folder / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", built.wheel, cwd=folder)
    return folder


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def metadata_of(built: Built) -> bytes:
    (data,) = (data for name, data in contents(built.wheel).items() if name.endswith(".dist-info/METADATA"))
    return data


def test_the_wheel_holds_the_source_folders_and_nothing_else(built: Built, tree: Path) -> None:
    files = contents(built.wheel)
    package = {name for name in files if ".dist-info/" not in name}
    assert package == expected_files(tree)
    beside = {name.partition(".dist-info/")[2] for name in set(files) - package}
    assert {name for name in beside if not name.endswith("LICENSE")} == METADATA
    vendored = {f"licenses/{name}" for name in package if name.endswith(".LICENSE")}
    assert beside - METADATA == {"licenses/LICENSE", *vendored} and len(vendored) > 5
    assert not [name for name in files if "test" in Path(name).parts[0] or name.endswith((".ipynb", ".pyc"))]


def test_a_file_that_is_forgotten_would_be_seen(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "plugins", tmp_path / "plugins")
    (tmp_path / "plugins" / "forgotten.bin").touch()
    assert expected_files(tmp_path) - expected_files(tree) == {"surgeon/plugins/forgotten.bin"}


def test_the_metadata_names_python_and_the_extras(built: Built) -> None:
    lines = metadata_of(built).decode().splitlines()
    assert "Name: trt-surgeon" in lines and "Requires-Python: >=3.10" in lines
    assert {line.partition(": ")[2] for line in lines if line.startswith("Provides-Extra: ")} == EXTRAS
    assert not [
        line for line in lines if line.startswith("Requires-Dist: tensorflow") and "extra ==" not in line
    ]


def test_the_metadata_is_as_an_index_wants_it(built: Built) -> None:
    """What 'make dist' checks with twine: fields, licence expression, classifiers, a description that is shown."""
    found = Metadata.from_email(metadata_of(built), validate=True)
    assert found.license_expression == "Apache-2.0 AND MIT AND ISC AND BSD-3-Clause" and found.author
    assert set(found.project_urls or {}) >= {"Documentation", "Source", "Issues", "Changelog", "Security"}
    assert len({url.split("/")[3] for url in (found.project_urls or {}).values()}) == 1
    assert found.classifiers and found.summary and found.keywords
    assert found.description_content_type == "text/markdown"
    known = pytest.importorskip("trove_classifiers", reason="it is in the extra 'dev'").classifiers
    assert [each for each in found.classifiers if each not in known] == []


def test_wrong_metadata_would_be_seen(built: Built) -> None:
    wrong = metadata_of(built).replace(b"License-Expression: Apache-2.0", b"License-Expression: Apache 2")
    with pytest.raises(ExceptionGroup):
        Metadata.from_email(wrong, validate=True)


def test_twine_accepts_both_distributions(built: Built) -> None:
    pytest.importorskip("twine", reason="it is in the extra 'dev'")
    run(sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.sdist, cwd=built.wheel.parent)


def test_the_description_is_the_readme_with_whole_links(built: Built) -> None:
    described = Metadata.from_email(metadata_of(built), validate=True).description or ""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert described.splitlines()[:4] == text.splitlines()[:4]
    links = re.findall(r"\]\(([^)\s]+)", described)
    assert len(links) == len(re.findall(r"\]\(([^)\s]+)", text)) > 10
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)", described)
    assert pictures and all("/raw/main/" in link for link in pictures)
    for link in links:
        _, _, path = link.partition("/main/")
        assert not path or (ROOT / path.partition("#")[0]).exists(), link


def test_the_sdist_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (unpacked,) = (tmp_path / "sdist").iterdir()
    build(unpacked, tmp_path / "dist", "--wheel")
    (again,) = (tmp_path / "dist").glob("*.whl")
    assert again.name == built.wheel.name
    assert contents(again) == contents(built.wheel)


def test_the_clean_environment_uses_the_wheel(clean: Path, tmp_path: Path) -> None:
    code = "import surgeon, surgeon.recipes, surgeon.plugins as p; print(surgeon.__file__); print(p.__file__)"
    for place in run(clean / "python", "-c", code, cwd=tmp_path).splitlines():
        assert Path(place).is_relative_to(clean.parent)


def test_the_command_line_works_from_any_folder(clean: Path, tmp_path: Path) -> None:
    from surgeon.version import __version__

    assert __version__ in run(clean / "surgeon", "--version", cwd=tmp_path)
    assert __version__ in run(clean / "python", "-m", "surgeon", "--version", cwd=tmp_path)
    recipes = run(clean / "surgeon", "list", "recipes", cwd=tmp_path)
    assert [path.stem for path in sorted((ROOT / "recipes").glob("*.yaml")) if path.stem not in recipes] == []
    plugins = run(clean / "surgeon", "list", "plugins", cwd=tmp_path)
    folders = [path.parent.name for path in sorted((ROOT / "plugins").glob("*/plugin.yaml"))]
    assert folders and [name for name in folders if name not in plugins] == []


USES = """\
import surgeon
reveal_type(surgeon.verify)
reveal_type(surgeon.plan("ssd", "model.pb"))
reveal_type(surgeon.view("model.pb"))
surgeon.load_grph("model.pb")
"""

# What each public function returns, and what a user reads from it.
RETURNED = """\
import surgeon
from surgeon import (
    AuthoredRecipe, BuildResult, Catalog, ChangeReport, Check, Conversion, DemoModel, Derivation, Diagnostic, Engine,
    Evaluation, FleetReport, Graph, GraphDiff, ImageResult, Inspection, Migration, Node, Package, Plan, Recipe, Ref, Severity, Span, SurgeonError, Target, Verification,
)
demo: DemoModel = surgeon.demo_model("demo")
graph: Graph = surgeon.load_graph(demo.model)
node: Node = graph["a"]
ref: Ref = node.inputs[0]
recipe: Recipe = surgeon.load_recipe("ssd")
authored: AuthoredRecipe = surgeon.init(graph)
same: Recipe = authored.recipe
check: Check = surgeon.check(recipe, graph)
errors: tuple[Diagnostic, ...] = (*check.errors, *check.warnings, *check.diagnostics, *authored.errors)
plan: Plan = surgeon.plan(recipe, graph)
derived: tuple[Derivation, ...] = plan.derivations
notes: tuple[Diagnostic, ...] = plan.diagnostics
result: Graph = surgeon.apply(plan, graph)
conversion: Conversion = surgeon.convert(recipe, graph, "ssd.uff")
doubts: tuple[Diagnostic, ...] = (*conversion.diagnostics, *conversion.warnings)
verification: Verification = surgeon.verify(recipe, graph)
report: ChangeReport = surgeon.view(graph, recipe, verification=verification)
difference: GraphDiff = surgeon.diff(graph, result)
inspection: Inspection = surgeon.inspect(graph)
migration: Migration = surgeon.migrate("script.py", graph, "mine.yaml")
engine: BuildResult = surgeon.build_engine(recipe, graph, "ssd.engine")
packaged: Package = surgeon.package(recipe, graph, "device")
evaluated: Evaluation = surgeon.evaluate(recipe, graph, "instances.json", onnx=["ssd.onnx"], classes={"van": None})
losses: list[float] = [side.difference.loss for side in evaluated.sides if side.difference is not None]
fleet: FleetReport = surgeon.fleet("FLEET.yaml", "fleet")
opened: Engine = surgeon.load_engine(engine.path)
found: tuple[ImageResult, ...] = surgeon.detect(recipe, demo.pictures, model=demo.model)
catalog: Catalog = surgeon.load_catalog()
target: Target = surgeon.load_target("uff@tensorrt-8.5")
try:
    surgeon.save_graph(graph, "graph.pb")
except SurgeonError as exc:
    for diagnostic in exc.diagnostics:
        where: Span | str | None = diagnostic.where
        severity: Severity = diagnostic.severity
"""


@pytest.mark.exhaustive
def test_a_type_checker_understands_an_editable_install(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="types are checked by mypy: pip install mypy")
    tree = source_copy(tmp_path / "tree" / "surgeon")
    folder = environment(tmp_path / "venv")
    options = ("--no-deps", "--no-build-isolation", "--no-index")
    run(folder / "python", "-m", "pip", "install", "-q", *options, "--editable", tree, cwd=folder)
    assert run(
        folder / "python", "-c", "import surgeon.plugins as p; print(p.__file__)", cwd=tmp_path
    ).strip() == str(tree / "plugins" / "__init__.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "uses.py").write_text(USES)
    (elsewhere / "returned.py").write_text(RETURNED)
    checked = subprocess.run(
        [
            folder / "python",
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            tmp_path / "cache",
            "uses.py",
            "returned.py",
        ],
        cwd=elsewhere,
        capture_output=True,
        text=True,
    )
    lines = checked.stdout.splitlines()
    assert "def (recipe: " in lines[0] and lines[0].endswith(
        '-> surgeon.verification.results.Verification"'
    ), lines
    assert 'Revealed type is "surgeon.rewrite.planning.Plan"' in lines[1]
    assert 'Revealed type is "surgeon.viewer.change_report.ChangeReport"' in lines[2]
    assert "load_grph" in lines[3] and "attr-defined" in lines[3]
    assert len(lines) == 5, lines  # the misspelt name is the only error


def test_the_user_code_uses_every_public_type() -> None:
    import surgeon

    kinds = [name for name in surgeon.__all__ if name[0].isupper()]
    functions = [name for name in surgeon.__all__ if name[0].islower() and name != "parse_recipe"]
    assert kinds and [name for name in kinds if RETURNED.count(name) < 2] == []
    assert functions and [name for name in functions if f"surgeon.{name}(" not in RETURNED] == []
