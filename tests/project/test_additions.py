"""One of each thing that can be added, as new files in a copy of the package, up to the wheel: all are found there."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from built_wheel import ROOT, build, run, source_copy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

FOLDERS = {
    "tests/families/toy/toy_detectors/plugins/ToyNMS": "plugins/ToyNMS",
    "tests/families/toy/toy_detectors/__init__.py": "surgeon/families/cells/__init__.py",
    "tests/formats/toy/toy_format/__init__.py": "surgeon/formats/toy/__init__.py",
    "tests/formats/toy/toy_format/toy.yaml": "surgeon/targets/toy.yaml",
    "tests/formats/toy/toy_format/lint.py": "surgeon/lints/toy.py",
}
"""What other packages bring in other tests, and where it goes in this one."""

FILES = {
    "recipes/toy.yaml": "recipe: 1\nname: toy\nsummary: A toy.\nextends: [ssd]\n",
    "surgeon/steps/toy_step.py": """
from typing import ClassVar, Literal

from surgeon.graph import Edit
from surgeon.steps.step import Step, StepContext


class ToyStep(Step):
    keyword: ClassVar[str] = "toy"
    step: Literal["toy"] = "toy"

    def plan(self, context: StepContext) -> list[Edit]:
        return []
""",
    "surgeon/infer/ops/toy.py": """
from surgeon.infer.rule import Rule

RULES = (Rule("ToyOp", lambda node, context: [context.spec(0)]),)
""",
    "surgeon/formats/uff/ops/toy.py": """
from surgeon.formats.uff.conversion import converts


@converts("ToyOp")
def toy(at):
    return []
""",
    "surgeon/runners/toy.py": """
from surgeon.runners.runner import FileRunner


class ToyRunner(FileRunner):
    suffixes = (".toy",)
""",
    "surgeon/cli/toy.py": """
\"\"\"Greet.\"\"\"

NAME = "toy"
SUMMARY = "greet"


def add_arguments(parser):
    pass


def run(args):
    return 0
""",
    "surgeon/evaluation/datasets/toy.py": """
from surgeon.evaluation.dataset import DatasetReader

READER = DatasetReader("toy", "a toy", lambda path: False, lambda path, images, split: None)
""",
    "surgeon/kernels/toys/numbers.py": "FACTOR = 2\n",
    "surgeon/kernels/toys/__init__.py": "",
}

DISCOVERY = """
import json
import surgeon
from surgeon.catalog import load_catalog
from surgeon.cli import verbs
from surgeon.evaluation.dataset import dataset_readers
from surgeon.families import load_families
from surgeon.formats import all_formats
from surgeon.formats.uff.conversion import converters
from surgeon.infer.registry import known_ops
from surgeon.kernels.toys.numbers import FACTOR
from surgeon.language import load_recipe, recipe_files
from surgeon.lints.lint import all_lints
from surgeon.runners.runner import file_runners
from surgeon.steps.step import step_types
from surgeon.targets import target_names

assert load_recipe("toy").summary == "A toy."
found = {
    "place": surgeon.__file__,
    "family": [family.name for family in load_families()],
    "format": list(all_formats()),
    "lint": list(all_lints()),
    "operation": list(known_ops()),
    "converter": list(converters()),
    "dataset": list(dataset_readers()),
    "plugin": list(load_catalog()),
    "recipe": list(recipe_files()),
    "runner": list(file_runners()),
    "step": list(step_types()),
    "target": list(target_names()),
    "verb": list(verbs()),
}
print(json.dumps(found))
"""

ADDED = {
    "family": "cells",
    "format": "toy",
    "lint": "Z901",
    "operation": "ToyOp",
    "converter": "ToyOp",
    "dataset": "toy",
    "plugin": "ToyNMS",
    "recipe": "toy",
    "runner": ".toy",
    "step": "toy",
    "target": "toy",
    "verb": "toy",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Give what is discovered in the unpacked wheel of a copy to which one of each was added."""
    folder = tmp_path_factory.mktemp("additions")
    tree = source_copy(folder / "surgeon")
    for source, target in FOLDERS.items():
        (tree / target).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tree / target)
    for name, text in FILES.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    build(tree, folder / "dist", "--wheel")
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    found: dict[str, list[str]] = json.loads(
        run(sys.executable, "-c", DISCOVERY, cwd=folder / "installed").splitlines()[-1]
    )
    assert Path(str(found.pop("place"))).is_relative_to(folder / "installed")
    return found


@pytest.mark.parametrize("kind", ADDED)
def test_an_added_file_is_found_in_the_wheel(found: dict[str, list[str]], kind: str) -> None:
    assert set(found) == set(ADDED)
    assert ADDED[kind] in found[kind] and len(found[kind]) > 1, found[kind]
