"""Files of stored originals: read again, and refused where a part is missing, of another kind, or damaged."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeon import SurgeonError
from surgeon.catalog.reference import Counterfactual
from surgeon.runners.detections import Detections, Window
from surgeon.verification.records import RunInfo, RunRecord, RunRecorder, read_records
from surgeon.verification.results import AddedPart, Outcome, TensorComparison

INFO = RunInfo(graph="", recipe="r", target="t", made=False, prepared=("x",))
FOUND = Detections(
    np.float32([[0.2, 0.1, 0.4, 0.3], [0.5, 0.5, 0.9, 0.9]]), np.float32([0.9, 0.8]), np.array([1, 2])
)


def original(name: str = "a.png") -> RunRecord:
    inputs = {"x": np.ones((1, 4, 4, 3), np.float32)}
    return RunRecord(
        name,
        np.full((4, 6, 3), 9, np.uint8),
        Window(1.0, 0.5),
        inputs,
        FOUND,
        {"y": np.float32([[1, 2]])},
        (
            Counterfactual("clip-first", "clipped first"),
            Counterfactual("keep-all", "all are kept", avoidable=True),
        ),
        lambda change: many(2000) if change == "keep-all" else FOUND,
        faults=(TensorComparison("'phase_train' fixed to True", name, Outcome.FAILED, "as in training"),),
    )


def many(count: int) -> Detections:
    scores = np.random.default_rng(0).random(count, np.float32)
    return Detections(np.tile(np.float32([0, 0, 1, 1]), (count, 1)), scores, np.arange(count))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    recorder = RunRecorder(INFO)
    for name in ("a.png", "b.png"):
        recorder.add(original(name))
    recorder.write(tmp_path / "original.npz")
    return tmp_path / "original.npz"


def read_all(path: Path) -> list[RunRecord]:
    """Read everything that a file holds, the reruns, too."""
    found = list(read_records(path)[1])
    for one in found:
        for name in ("", *(each.name for each in one.counterfactuals)):
            if one.cut is not None:
                one.cut(name)
    return found


def test_everything_is_read_again(stored: Path) -> None:
    info, found = read_records(stored)
    assert info == INFO and [one.name for one in found] == ["a.png", "b.png"]
    one, wanted = found[1], original()
    assert (
        one.window == Window(1.0, 0.5)
        and [(each.name, each.text, each.avoidable) for each in one.counterfactuals]
        == [(each.name, each.text, each.avoidable) for each in wanted.counterfactuals]
        and one.end is None
    )
    assert one.pixels is not None and np.array_equal(one.pixels, wanted.pixels)  # type: ignore[arg-type]
    assert np.array_equal(one.inputs["x"], wanted.inputs["x"]) and np.array_equal(
        one.tensors["y"], wanted.tensors["y"]
    )
    assert one.cut is not None
    for kept in (one.detections, one.cut(""), one.cut("clip-first")):
        assert kept is not None and all(
            np.array_equal(getattr(kept, part), getattr(FOUND, part))
            for part in ("boxes", "scores", "classes")
        )


def test_a_fault_of_the_original_fails_whatever_is_held_against_it(stored: Path) -> None:
    assert [each.faults for each in read_all(stored)] == [
        original(name).faults for name in ("a.png", "b.png")
    ]


KNOWN = {"version", "graph", "recipe", "target", "made", "labels", "image", "prepared", "computed"}
KNOWN_OF_IMAGE = {"size", "resize", "interpolation", "color", "brightness", "steps"}
"""The keys of a file of version 1."""
ADDED = AddedPart("NMS", ("scores",), ("NMS",), {"NMS.iou_threshold": 0.5})


@pytest.mark.parametrize(
    ("more", "version"),
    [
        ({}, 1),
        ({"image": {"size": [4, 4], "resize": "keep-aspect-ratio", "steps": [{"scale": 0.5}]}}, 1),
        ({"image": {"size": [4, 4], "resize": "keep-aspect-ratio", "fill": 7}}, 2),
        ({"image": {"size": [4, 4], "resize": "keep-aspect-ratio", "padding": "after-steps"}}, 2),
        ({"image": {"size": [4, 4], "resize": "keep-aspect-ratio", "rounding": "down"}}, 2),
        ({"image": {"size": [4, 4], "resize": "letterbox"}}, 2),
        ({"added": ADDED}, 2),
        ({"boxes_in_input": True}, 2),
    ],
)
def test_what_earlier_releases_know_is_written_as_they_read_it(
    tmp_path: Path, more: dict[str, Any], version: int
) -> None:
    info = RunInfo.model_validate({**INFO.model_dump(), **more})
    recorder = RunRecorder(info)
    recorder.add(original())
    recorder.write(tmp_path / "original.npz")
    facts = json.loads(np.load(tmp_path / "original.npz")["meta"].tobytes())["facts"]
    new = facts.keys() - KNOWN | (facts["image"] or {}).keys() - KNOWN_OF_IMAGE
    assert facts["version"] == version
    assert not new or version == 2
    assert read_records(tmp_path / "original.npz")[0] == info.model_copy(update={"version": version})


def test_a_picture_in_the_middle_is_of_the_newer_version(tmp_path: Path) -> None:
    recorder = RunRecorder(INFO)
    recorder.add(replace(original(), window=Window(0.5, 1.0, 0.25, 0.0)))
    recorder.write(tmp_path / "original.npz")
    info, found = read_records(tmp_path / "original.npz")
    assert info.version == 2 and found[0].window == Window(0.5, 1.0, 0.25, 0.0)


def test_texts_are_stored(tmp_path: Path) -> None:
    recorder = RunRecorder(INFO)
    texts = np.array([b"cat", b"dogs", b""], object)
    recorder.add(replace(original(), tensors={"y": texts}))
    recorder.write(tmp_path / "original.npz")
    (record,) = read_all(tmp_path / "original.npz")
    assert record.tensors["y"].tolist() == texts.tolist()


def test_numbers_that_numpy_does_not_know_are_stored(tmp_path: Path) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    recorder = RunRecorder(INFO)
    recorder.add(replace(original(), tensors={"y": np.array([0.5, 2.0], bfloat16)}))
    recorder.write(tmp_path / "original.npz")
    (record,) = read_all(tmp_path / "original.npz")
    assert np.array_equal(record.tensors["y"], np.float32([0.5, 2.0]))


def test_of_all_candidates_the_best_are_kept(stored: Path) -> None:
    one = read_records(stored)[1][0]
    assert one.cut is not None
    kept, all_of_them = one.cut("keep-all"), many(2000)
    assert len(kept) == 1002 and kept.scores.min() == np.sort(all_of_them.scores)[-1002]
    assert np.array_equal(all_of_them.scores[kept.classes], kept.scores) and (np.diff(kept.classes) > 0).all()


Content = dict[str, np.ndarray]


def meta(change: Callable[[Any], None]) -> Callable[[Content], None]:
    def changed(content: Content) -> None:
        told = json.loads(content["meta"].tobytes())
        change(told)
        content["meta"] = np.frombuffer(json.dumps(told).encode(), np.uint8)

    return changed


def put(name: str, value: np.ndarray | None) -> Callable[[Content], None]:
    def changed(content: Content) -> None:
        del content[name]
        if value is not None:
            content[name] = value

    return changed


DAMAGES: dict[str, tuple[str, Callable[[Content], None]]] = {
    "another version": ("version 0", meta(lambda told: told["facts"].update(version=0, more=5))),
    "another key": ("more", meta(lambda told: told["facts"].update(more=5))),
    "no picture": ("no pictures", meta(lambda told: told["pictures"].clear())),
    "a list": ("", put("meta", np.frombuffer(b"[]", np.uint8))),
    "deep nesting": ("", put("meta", np.frombuffer(b"[" * 100_000, np.uint8))),
    "no meta": ("meta", put("meta", None)),
    "pickled objects": ("", put("0/input/0", np.array([{}], object))),
    "no input": ("0/input/0", put("0/input/0", None)),
    "no rerun": ("clip-first", put("1/cut/clip-first/boxes", None)),
    "no unchanged run": ("unchanged", put("0/cut/unchanged/scores", None)),
    "fewer boxes": ("float32[1, 4]", put("0/original/boxes", FOUND.boxes[:1])),
    "other corners": ("expected float32[2, 4]", put("0/cut/unchanged/boxes", FOUND.boxes[:, :3])),
    "boxes of text": ("expected float32[2, 4]", put("0/original/boxes", FOUND.boxes.astype("U8"))),
    "float classes": ("expected int64[2]", put("0/original/classes", FOUND.classes.astype(np.float32))),
    "gray pixels": ("expected uint8[H, W, 3]", put("1/pixels", np.zeros((4, 6), np.uint8))),
    "rules without a text": ("", meta(lambda told: told["pictures"][1]["counterfactuals"].clear())),
    "an empty window": ("window", meta(lambda told: told["pictures"][1].update(window=[0.0, 1.0]))),
    "a window that is none": ("", meta(lambda told: told["pictures"][0].update(window=5))),
    "a fault without a reason": ("reason", meta(lambda told: told["pictures"][1]["faults"][0].pop("reason"))),
    "inputs that are none": ("", meta(lambda told: told["pictures"][0].update(inputs=5))),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_not_as_it_was_written_is_refused(stored: Path, name: str) -> None:
    said, damage = DAMAGES[name]
    with np.load(stored) as content:
        changed = dict(content)
    damage(changed)
    np.savez(stored, **changed)
    with pytest.raises(SurgeonError) as exc:
        read_all(stored)
    (found,) = exc.value.diagnostics
    assert found.code == "V123" and said in found.message and str(stored) in found.message


def test_a_file_that_holds_names_of_counterfactuals_alone_is_read(stored: Path) -> None:
    """Files of earlier releases do; the catalog says what the names of shipped plugins mean."""
    with np.load(stored) as content:
        changed = dict(content)
    meta(lambda told: [row.pop("counterfactuals") for row in told["pictures"]])(changed)
    np.savez(stored, **changed)
    clip, keep = read_all(stored)[0].counterfactuals
    assert (clip.name, keep.name) == ("clip-first", "keep-all") and "clips boxes" in clip.text
    assert not keep.avoidable and "change places" in keep.text


def test_an_undamaged_copy_is_not_refused(stored: Path) -> None:
    with np.load(stored) as content:
        np.savez(stored.with_name("copy.npz"), **content)
    assert len(read_all(stored.with_name("copy.npz"))) == 2


def test_flipped_bits_never_raise_anything_else(stored: Path) -> None:
    data, chosen = stored.read_bytes(), random.Random(0)
    refused = 0
    for turn in range(300):
        damaged = bytearray(data)
        # Every other time in the directory at the end of the file.
        at = chosen.randrange(len(data)) if turn % 2 else len(data) - 1 - chosen.randrange(len(data) // 4)
        damaged[at] ^= 1 << chosen.randrange(8)
        stored.write_bytes(damaged)
        try:
            read_all(stored)
        except SurgeonError as exc:
            refused += exc.diagnostics[0].code == "V123"
    assert refused > 100


def test_files_that_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", FOUND.boxes)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").touch()
    for path in (*sorted(tmp_path.iterdir()), tmp_path / "nothing.npz", tmp_path):
        with pytest.raises(SurgeonError) as exc:
            read_records(path)
        assert exc.value.diagnostics[0].code == "V123"
