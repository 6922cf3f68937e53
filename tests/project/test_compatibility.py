"""Files of earlier releases, one folder each in tests/compatibility: read as docs/compatibility.md promises."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.api.convert import replay
from surgeon.diagnostics import SurgeonError
from surgeon.engine import manifest as manifest_file
from surgeon.engine import read_manifest
from surgeon.rewrite import planfile, read_plan
from surgeon.verification import read_records, records, results
from surgeon.version import __version__
from surgeon.viewer import read_verification

ROOT = Path(__file__).resolve().parents[2]
RELEASES = sorted(path for path in (ROOT / "tests" / "compatibility").iterdir() if path.is_dir())
PAGE = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a copy of one release's files."""
    return Path(shutil.copytree(request.param, tmp_path / "files"))


def test_every_release_up_to_this_one_has_its_files() -> None:
    assert ".".join(__version__.split(".")[:2]) in [path.name for path in RELEASES]


def test_a_recipe_still_converts(files: Path) -> None:
    check = surgeon.check(files / "small.yaml", files / "small.pb")
    assert check.errors == () and check.plan is not None and "clip" in check.plan.result  # type: ignore[operator]


def test_a_plan_is_still_replayed_and_gives_what_the_recipe_gives(files: Path) -> None:
    plan = read_plan(files / "plan.json")
    assert [d.code for d in plan.diagnostics] == ["S217"]
    replay(plan, files / "small.pb", files / "replayed.uff")
    surgeon.convert(files / "small.yaml", files / "small.pb", files / "converted.uff")
    assert (files / "replayed.uff").read_bytes() == (files / "converted.uff").read_bytes()


def test_a_manifest_is_still_read(files: Path) -> None:
    manifest = read_manifest(files / "small.engine")
    assert manifest.recipe == "small" and manifest.inputs[0].axes == (0, 3, 1, 2)
    assert manifest.image is not None and manifest.labels == {1: "conv"}


def test_stored_originals_are_still_read(files: Path) -> None:
    info, (record,) = read_records(files / "original.npz")
    assert info.prepared == ("x",) and record.name == "a.png"
    assert record.detections is not None and len(record.detections.scores) == 2


def test_a_verification_is_still_shown(files: Path) -> None:
    found = read_verification(files / "verdict.json")
    assert found.recipe == "small" and str(found.outcome) == "failed" and len(found.verdicts) == 2


NEWER = 3


def of_a_newer_release(name: str, files: Path) -> Any:
    """Raise the version that one of the files states, with a key that this release does not know."""
    path = files / name
    if path.suffix == ".npz":
        with np.load(path) as content:
            arrays = dict(content)
        told = json.loads(arrays["meta"].tobytes())
        told["facts"].update(version=NEWER, more={})
        arrays["meta"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
        held = io.BytesIO()
        np.savez(held, **arrays)
        path.write_bytes(held.getvalue())
    else:
        content = json.loads(path.read_text(encoding="utf-8"))
        content.update({"surgeon plan" if name == "plan.json" else "version": NEWER, "more": {}})
        path.write_text(json.dumps(content), encoding="utf-8")


READERS = {
    "plan.json": read_plan,
    "small.engine.json": lambda path: read_manifest(path.with_suffix("")),
    "original.npz": read_records,
    "verdict.json": read_verification,
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_a_newer_release_says_so(name: str, files: Path) -> None:
    of_a_newer_release(name, files)
    before = (files / name).read_bytes()
    with pytest.raises(SurgeonError) as caught:
        READERS[name](files / name)
    (found,) = caught.value.diagnostics
    assert found.code == "E121" and f"version {NEWER}" in found.message and __version__ in found.message
    assert name in str(found.where) and "update surgeon" in found.help[0] and "surgeon " in found.help[1]
    assert (files / name).read_bytes() == before


@pytest.mark.parametrize("stated", ["-1", "1.5", '"2"', "[2]", "null", "9" * 5000, "1e400"])
@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(".json")])
def test_a_version_that_is_none_is_no_newer_release(name: str, stated: str, files: Path) -> None:
    path = files / name
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'"(surgeon plan|version)": 1,', "", text, count=1)
    key = "surgeon plan" if name == "plan.json" else "version"
    path.write_text(text.replace("{", f'{{"{key}": {stated},', 1), encoding="utf-8")
    if name == "verdict.json" and stated != "9" * 5000:
        READERS[name](path)  # verifications of 0.1 state no version
        return
    with pytest.raises(SurgeonError) as caught:
        READERS[name](path)
    assert caught.value.diagnostics[0].code in ("S408", "B103", "W101")


def test_a_recipe_of_a_newer_language_says_so(files: Path) -> None:
    text = (files / "small.yaml").read_text(encoding="utf-8")
    newer = (
        text.replace("recipe: 1", "recipe: 2") + "  - {step: unheard-of, with: {new: options}}\nbrand: new\n"
    )
    (files / "small.yaml").write_text(newer, encoding="utf-8")
    with pytest.raises(SurgeonError) as caught:
        surgeon.load_recipe(files / "small.yaml")
    (found,) = caught.value.diagnostics
    assert (
        found.code == "R108" and "version 2" in found.message and str(found.where).endswith("small.yaml:1:1")
    )


def test_what_is_written_states_the_version_that_the_page_names() -> None:
    rows = dict(re.findall(r"^\| ([a-z][^|]*?) \|.*\| (\d+) \|$", PAGE, re.MULTILINE))
    assert rows == {
        "recipe": "1",
        "plan": str(planfile._VERSION),
        "manifest of an engine": str(manifest_file.VERSION),
        "stored originals": str(records.VERSION),
        "verification": str(results.VERSION),
    }
    plan = planfile.plan_to_json(surgeon.Plan("r", "graphdef", ()))
    assert next(iter(plan)) == "surgeon plan"
    verification = results.Verification("r", "t", (), False, results.Tolerances(), None, ())
    assert verification.to_json()["version"] == results.VERSION
