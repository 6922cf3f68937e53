"""Label maps of the Object Detection API, and files with one label a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.training_files.label_map import load_labels


def labels(folder: Path, text: str, name: str = "labels.pbtxt") -> dict[int, str]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return dict(load_labels(path))


def test_a_label_map(tmp_path: Path) -> None:
    text = """
    item { name: "/m/01g317" id: 2 display_name: "person" }
    item { id: 1, name: 'bicycle' }
    item: < id: 90 name: "tooth" "brush" keypoints { id: 1 label: "x" } >
    item { id: 0 name: "background" }
    item { id: 1 name: 'bicycle' }
    """
    assert list(labels(tmp_path, text).items()) == [(1, "bicycle"), (2, "person"), (90, "toothbrush")]
    assert labels(tmp_path, "# made by hand\n" + text.strip(), "label_map.txt")[90] == "toothbrush"


def test_one_label_a_line(tmp_path: Path) -> None:
    assert labels(tmp_path, "cat\ndog\n\n", "l.txt") == {1: "cat", 2: "dog"}
    assert labels(tmp_path, "\ufeffcat \r\ndog", "l.TXT") == {1: "cat", 2: "dog"}
    for first in ("background", "unlabeled", "???", "__background__"):
        assert labels(tmp_path, f"{first}\ncat\n???\n\nn/a\ndog\n", "l.txt") == {1: "cat", 5: "dog"}
    assert labels(tmp_path, "itemized\n", "l.txt") == {1: "itemized"}


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("", "D143", "names no class"),
        ("model { ssd {} }", "D143", "names no class"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "D143", "named 'b' here and 'a' at line 1"),
        ("item { name: 'a' }", "D143", "has no 'id'"),
        ("item { id: 0 name: 'a' }", "D143", "the background's"),
        ("item { id: -1 name: 'a' }", "D143", "out of range"),
        ("item { id: 1000001 name: 'a' }", "D143", "out of range"),
        ("item { id: 1 }", "D143", "has no name"),
        ("item { id: 'one' name: 'a' }", "D141", "expected a whole number"),
        ("item: 3", "D141", "expected a message"),
        ("item { id: 1", "D140", "not closed"),
    ],
)
def test_a_wrong_label_map_is_refused(tmp_path: Path, text: str, code: str, part: str) -> None:
    with pytest.raises(SurgeonError) as exc:
        labels(tmp_path, text)
    assert exc.value.diagnostics[0].code == code and part in exc.value.diagnostics[0].message


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SurgeonError, match="D143"):
        labels(tmp_path, " \n\n", "l.txt")
    with pytest.raises(SurgeonError, match="D143"):
        labels(tmp_path, "a\n" * 100_001, "l.txt")
    with pytest.raises(SurgeonError, match="E101"):
        load_labels(tmp_path / "absent.pbtxt")
