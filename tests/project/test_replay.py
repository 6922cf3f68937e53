"""The recorder: two records of one commit are equal, and a comparison names every kind of difference."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

REPLAY = Path(__file__).resolve().parents[2] / "bench" / "replay.py"
LIMIT_S = 300

RECORD: dict[str, Any] = {
    "head": {"quick": True, "tensorflow": "2.20.0", "graphs": {"demo": "ab"}},
    "rows": {
        f"demo/ssd/{target}/convert": {
            "exit": 0,
            "codes": [],
            "stdout": "",
            "stderr": "out: 1 kB\n2 nodes became 1\n",
            "files": {"out": {"sha256": "00", "bytes": 9}, "plan.json": {"text": "one\ntwo\n"}},
        }
        for target in ("uff", "onnx", "graphdef")
    },
}


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replay", REPLAY)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Comparison:
    """Compares the record with a changed copy of it."""

    def __init__(self, replay: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.replay, self.folder, self.capsys = replay, folder, capsys
        self.after = copy.deepcopy(RECORD)

    def row(self, target: str) -> Any:
        return self.after["rows"][f"demo/ssd/{target}/convert"]

    def __call__(self, expected: dict[str, str] | None = None) -> tuple[int, str]:
        """Return the exit code and what is printed."""
        arguments = ["compare"]
        for name, value in (("before", RECORD), ("after", self.after)):
            (self.folder / name).write_text(json.dumps(value))
            arguments.append(str(self.folder / name))
        if expected is not None:
            (self.folder / "expected").write_text(yaml.safe_dump(expected))
            arguments += ["--expected", str(self.folder / "expected")]
        code = self.replay.main(arguments)
        return code, self.capsys.readouterr().out


@pytest.fixture
def compare(
    replay: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Comparison:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return Comparison(replay, tmp_path, capsys)


def test_equal_records(compare: Comparison) -> None:
    assert compare() == (0, "3 rows before, 3 after; not expected: 0\n")


def test_a_changed_file_is_found(compare: Comparison) -> None:
    compare.row("uff")["files"]["out"] = {"sha256": "11", "bytes": 12}
    code, printed = compare()
    assert code == 1
    assert "convert #out: 1\n    demo/ssd/uff/convert\n    other bytes, +3\n" in printed


def test_missing_and_new_rows_are_found(compare: Comparison) -> None:
    compare.after["rows"]["demo/ssd/pbtxt/convert"] = compare.after["rows"].pop("demo/ssd/uff/convert")
    code, printed = compare()
    assert code == 1
    assert "convert #missing: 1\n    demo/ssd/uff/convert\n" in printed
    assert "convert #new: 1\n    demo/ssd/pbtxt/convert\n" in printed


def test_files_of_one_side_are_found(compare: Comparison) -> None:
    files = compare.row("uff")["files"]
    files["log"] = files.pop("out")
    code, printed = compare()
    assert code == 1
    assert "convert #out: 1" in printed and "convert #log: 1" in printed


def test_equal_changes_are_one_group(compare: Comparison) -> None:
    for target in ("uff", "onnx"):
        compare.row(target)["stderr"] = "out: 1 kB\n2 nodes became 3\n"
        compare.row(target)["files"]["plan.json"] = {"text": "one\n"}
    compare.row("graphdef")["exit"] = 70
    code, printed = compare()
    keys = "    demo/ssd/onnx/convert\n    demo/ssd/uff/convert\n"
    assert code == 1
    assert f"convert #stderr: 2\n{keys}    -2 nodes became 1\n    +2 nodes became 3\n" in printed
    assert f"convert #plan.json: 2\n{keys}    -two\n" in printed
    assert "convert #exit: 1\n    demo/ssd/graphdef/convert\n    -0\n    +70\n" in printed
    assert printed.endswith("not expected: 5\n")


def test_what_is_expected_is_counted_and_no_error(compare: Comparison) -> None:
    compare.row("uff")["stderr"] = compare.row("onnx")["stderr"] = ""
    code, printed = compare({"demo/*/convert#stderr": "less is said"})
    assert code == 0
    assert "expected: demo/*/convert#stderr (2): less is said\n" in printed


def test_a_pattern_without_a_part_covers_the_whole_row_and_no_other(compare: Comparison) -> None:
    for target in ("uff", "onnx"):
        compare.row(target).update(exit=1, stderr="")
    code, printed = compare({"*/uff/convert": "UFF is refused"})
    assert code == 1
    assert (
        "demo/ssd/uff/convert" not in printed and "convert #exit: 1\n    demo/ssd/onnx/convert\n" in printed
    )


def test_an_expectation_without_a_difference_is_named(compare: Comparison) -> None:
    code, printed = compare({"*/verify": "nothing of the kind"})
    assert code == 0
    assert "expected in vain: */verify (0): nothing of the kind\n" in printed


def test_records_with_other_heads_are_not_compared(compare: Comparison) -> None:
    compare.after["head"]["tensorflow"] = "2.21.0"
    code, printed = compare()
    assert code == 2
    assert "heads differ" in printed and '+ "tensorflow": "2.21.0"' in printed


def replayed(folder: Path, *arguments: str, seed: str = "0") -> str:
    """Run the recorder in a folder; return what it prints."""
    run = subprocess.run(
        [sys.executable, str(REPLAY), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.exhaustive
def test_two_records_of_one_commit_are_equal_whatever_the_hash_seed(tmp_path: Path) -> None:
    first, second = ("1.json.gz", "2.json.gz")
    replayed(tmp_path, "record", "-o", first, "--corpus", "a", "--quick", "--only", "lenet", seed="1")
    replayed(tmp_path, "record", "-o", second, "--corpus", "b", "--quick", "--only", "lenet", seed="2")
    assert replayed(tmp_path, "compare", first, second).endswith("after; not expected: 0\n")
    assert (tmp_path / first).read_bytes() == (tmp_path / second).read_bytes()
