"""Which class of a dataset is which of a detector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from surgeon.diagnostics import Severity, SurgeonError
from surgeon.evaluation import AnnotatedPicture, Dataset
from surgeon.evaluation.classes import check_labels, check_not_mixed_up, match_classes
from surgeon.runners.average_precision import Objects
from surgeon.runners.detections import Detections

LABELS = {1: "person", 2: "Traffic light", 3: "airplane"}


def dataset(names: Mapping[int, str]) -> Dataset:
    boxes = np.tile([0.0, 0.0, 9.0, 9.0], (len(names), 1))
    objects = Objects.of(boxes, np.array(list(names)))
    return Dataset(Path("some.json"), "COCO JSON", names, (AnnotatedPicture("a", None, objects, bytes),))


def test_classes_are_found_by_name_whatever_their_number() -> None:
    found = match_classes(dataset({7: "traffic_light", 9: "person"}), LABELS, {})
    assert found.numbers == {7: 2, 9: 1} and found.names == {1: "person", 2: "Traffic light"}
    (note,) = found.notes
    assert note.code == "V144" and note.severity is Severity.NOTE and "airplane" in note.message
    objects = found.objects(dataset({7: "traffic_light", 9: "person"}).pictures[0].objects)
    assert objects.classes.tolist() == [2, 1]
    detections = Detections(np.zeros((3, 4)), np.ones(3), np.array([3, 1, 2]))
    assert found.detections(detections).classes.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("names", "labels", "given", "message"),
    [
        ({1: "aeroplane"}, LABELS, {}, "the detector has no class 'aeroplane' (1 object); it has person"),
        ({1: "person"}, {}, {}, "the detector's classes have no names"),
        ({1: "person"}, {1: "person", 5: "Person"}, {"person": "PERSON"}, "more than once: 1, 5"),
        ({1: "person"}, LABELS, {"persson": None}, "'persson' is none of its classes"),
        ({1: "person"}, LABELS, {"person": 9}, "the detector has no class 'person'"),
        ({1: "person"}, LABELS, {"person": None}, "all its classes are left out"),
        ({9: ""}, LABELS, {}, "the detector has no class '9'"),
    ],
)
def test_classes_that_do_not_match_are_refused(
    names: Mapping[int, str], labels: Mapping[int, str], given: Mapping[str, str | int | None], message: str
) -> None:
    with pytest.raises(SurgeonError, match="V144") as info:
        match_classes(dataset(names), labels, given)
    assert message in info.value.diagnostics[0].message and info.value.diagnostics[0].help


def test_pictures_without_objects_are_refused() -> None:
    with pytest.raises(SurgeonError, match=r"V140.*its 1 picture shows no object"):
        match_classes(dataset({}), LABELS, {})


def test_classes_that_are_said_to_be_the_same_or_are_left_out() -> None:
    given = {"aeroplane": "airplane", "van": None, "man": 1}
    found = match_classes(dataset({4: "aeroplane", 5: "van", 6: "man", 7: "person"}), LABELS, given)
    assert found.numbers == {4: 3, 6: 1, 7: 1} and found.left_out == ("van",)


def test_classes_without_names_are_taken_by_number_with_a_warning() -> None:
    found = match_classes(dataset({1: "", 3: ""}), LABELS, {})
    assert found.numbers == {1: 1, 3: 3} and found.names == {1: "person", 3: "airplane"}
    assert found.notes[0].severity is Severity.WARNING and "3 is 'airplane'" in found.notes[0].message
    assert match_classes(dataset({4: "", 6: ""}), {}, {}).names == {4: "4", 6: "6"}


def test_a_file_with_other_names_is_refused() -> None:
    check_labels("a.onnx", {1: "Person"}, LABELS)
    with pytest.raises(SurgeonError, match=r"V144.*'a.onnx' calls the class 3 'dog'"):
        check_labels("a.onnx", {3: "dog"}, LABELS)


@pytest.mark.parametrize("shift", [0, 1])
def test_labels_counted_from_another_number_are_noticed(shift: int) -> None:
    classes = match_classes(dataset(LABELS), LABELS, {})
    corners = np.random.default_rng(0).uniform(0, 50, (12, 2))
    boxes = np.concatenate([corners, corners + 30], axis=1)
    labels = np.arange(12) % 3 + 1
    truth = [Objects.of(box, label) for box, label in zip(boxes[:, None], labels[:, None], strict=True)]
    seen = (labels - 1 + shift) % 3 + 1
    found = [
        Detections(box / 100, np.full(1, 0.9), label)
        for box, label in zip(boxes[:, None], seen[:, None], strict=True)
    ]
    sizes = [(100, 100)] * 12
    if not shift:
        check_not_mixed_up("original", classes, truth, found, sizes)
        return
    with pytest.raises(SurgeonError, match=r"V145.*of 12 objects whose box it finds, 0 have the right class"):
        check_not_mixed_up("original", classes, truth, found, sizes)


def test_a_detector_that_takes_all_for_one_class_is_only_bad() -> None:
    classes = match_classes(dataset(LABELS), LABELS, {})
    truth = [Objects.of(np.array([[0, 0, 50, 50]]), np.array([n % 3 + 1])) for n in range(12)]
    found = [Detections(np.array([[0, 0, 0.5, 0.5]]), np.full(1, 0.9), np.array([1]))] * 12
    check_not_mixed_up("original", classes, truth, found, [(100, 100)] * 12)
