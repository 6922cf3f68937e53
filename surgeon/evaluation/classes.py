"""Which class of a dataset is which class of a detector: by name, and never by chance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error, nearest
from surgeon.display import plural, some
from surgeon.evaluation.dataset import Dataset, check_objects
from surgeon.runners.average_precision import Objects, boxes_in_pixels
from surgeon.runners.detections import Detections
from surgeon.runners.image_result import THRESHOLD

_LEAST_PAIRS = 10
_LEAST_OF_CLASS = 3
_SAME_PLACE = 0.5
"""Overlap from which on a detection and an object are in the same place."""


@dataclass(frozen=True)
class Classes:
    """The classes that are judged.

    ``names`` are theirs by the detector's number, ``numbers`` the detector's number of each class of the
    dataset. Objects of the dataset's classes ``left_out`` do not count; neither do detections of classes that
    the dataset does not have. ``notes`` tell what was not plain.
    """

    names: Mapping[int, str]
    numbers: Mapping[int, int]
    left_out: tuple[str, ...] = ()
    notes: tuple[Diagnostic, ...] = ()

    def objects(self, objects: Objects) -> Objects:
        """Return a picture's objects that count, with the detector's numbers."""
        kept = objects.rows(np.isin(objects.classes, list(self.numbers)))
        labels = np.array([self.numbers[label] for label in kept.classes.tolist()], np.int64)
        return Objects(kept.boxes, labels, kept.areas, kept.crowd, kept.difficult)

    def detections(self, found: Detections) -> Detections:
        """Return the detections of classes that the dataset has."""
        return found.rows(np.flatnonzero(np.isin(found.classes, list(self.names))))


def match_classes(
    dataset: Dataset, labels: Mapping[int, str], given: Mapping[str, str | int | None]
) -> Classes:
    """Return which class of the dataset is which of the detector, of those that have objects.

    ``labels`` names the detector's classes by number. A class of the dataset is the detector's class of the
    same name, whatever the case, and with spaces, hyphens and underscores alike; one without a name has the
    detector's number. ``given`` says of a dataset's class which name or number the detector has for it, or
    None, which leaves it out. Raise SurgeonError V140 for a dataset without objects, V144 for classes that
    the detector does not have, and where its names are needed and not known.
    """
    counts = dataset.counts
    check_objects(dataset)
    _check_given(dataset, given)
    numbers, left_out, missing = {}, [], []
    for number, count in counts.items():
        name = dataset.classes.get(number, "")
        wanted = given.get(name or str(number), name or number)
        if wanted is None:
            left_out.append(name or str(number))
            continue
        found = _number_of(wanted, labels, dataset)
        if found is None:
            missing.append(f"'{name or number}' ({plural(count, 'object')})")
        else:
            numbers[number] = found
    if missing:
        raise _missing(dataset, missing, labels)
    if not numbers:
        raise _mismatch(dataset, "all its classes are left out; expected one that is judged")
    judged = dict.fromkeys(sorted(numbers.values()))
    first = {found: dataset.classes.get(number, "") for number, found in reversed(numbers.items())}
    names = {number: labels.get(number) or first[number] or str(number) for number in judged}
    notes = (*_by_number(dataset, numbers, labels), *_unseen(dataset, judged, labels))
    return Classes(names, numbers, tuple(left_out), notes)


def _check_given(dataset: Dataset, given: Mapping[str, object]) -> None:
    known = {name or str(number) for number, name in dataset.classes.items()} | set(map(str, dataset.counts))
    for name in given:
        if name not in known:
            close = [f"'{each}'" for each in nearest(name, known)]
            raise _mismatch(
                dataset,
                f"'{name}' is none of its classes; expected {some(sorted(known))}",
                f"did you mean {close[0]}?" if close else "correct the name given with --class",
            )


def _number_of(wanted: str | int, labels: Mapping[int, str], dataset: Dataset) -> int | None:
    """Return the detector's number of a class, None where it has none."""
    if isinstance(wanted, int):
        return wanted if not labels or wanted in labels else None
    for same in (str, _plain):
        found = [number for number, label in labels.items() if same(label) == same(wanted)]
        if len(found) > 1:
            raise _mismatch(
                dataset,
                f"the detector has the class '{wanted}' more than once: {', '.join(map(str, found))}",
                f"say which one it is: --class '{wanted}={found[0]}'",
            )
        if found:
            return found[0]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _missing(dataset: Dataset, missing: Sequence[str], labels: Mapping[int, str]) -> SurgeonError:
    listed = some(list(missing))
    if not labels:
        return _mismatch(
            dataset,
            f"the detector's classes have no names, by which {listed} of the dataset would be found",
            "name them with --labels FILE, the label map or the list of labels that the detector was trained "
            "with, or give the recipe 'labels'",
            "or say which number a class has: --class 'NAME=NUMBER'",
        )
    return _mismatch(
        dataset,
        f"the detector has no class {listed}; it has {some(list(labels.values()))}",
        "say which of its classes one is: --class 'NAME=ITS NAME'; or leave it out: --class 'NAME='",
    )


def _mismatch(dataset: Dataset, problem: str, *help: str) -> SurgeonError:
    return error(
        "V144",
        f"the classes of '{dataset.path}' and those of the detector do not match: {problem}",
        str(dataset.path),
        help=help or ("give other classes with --class",),
    )


def _by_number(
    dataset: Dataset, numbers: Mapping[int, int], labels: Mapping[int, str]
) -> tuple[Diagnostic, ...]:
    nameless = [number for number in numbers if not dataset.classes.get(number)]
    if not nameless:
        return ()
    pairs = [f"{number} is '{labels[number]}'" if number in labels else str(number) for number in nameless]
    return (
        Diagnostic(
            "V144",
            f"the dataset does not name {plural(len(nameless), 'class', 'classes')}, which "
            f"{'is' if len(nameless) == 1 else 'are'} taken by number: {some(pairs)}",
            str(dataset.path),
            help=("check that both count the classes alike; --class 'NUMBER=NAME' says otherwise",),
            severity=Severity.WARNING,
        ),
    )


def _unseen(
    dataset: Dataset, judged: Mapping[int, object], labels: Mapping[int, str]
) -> tuple[Diagnostic, ...]:
    unseen = [name for number, name in labels.items() if number not in judged]
    if not unseen:
        return ()
    return (
        Diagnostic(
            "V144",
            f"the dataset shows nothing of {plural(len(unseen), 'class', 'classes')} of the detector, whose "
            f"detections are left out: {some(unseen)}",
            str(dataset.path),
            severity=Severity.NOTE,
        ),
    )


def check_labels(name: str, own: Mapping[int, str], labels: Mapping[int, str]) -> None:
    """Raise SurgeonError V144 where the file of a side names a class otherwise than the detector."""
    for number, label in own.items():
        other = labels.get(number, label)
        if _plain(other) != _plain(label):
            raise error(
                "V144",
                f"'{name}' calls the class {number} '{label}', and the recipe calls it '{other}'",
                name,
                help=["make the file again with this recipe, or give the names that hold with --labels"],
            )


def check_not_mixed_up(
    side: str,
    classes: Classes,
    truth: Sequence[Objects],
    found: Sequence[Detections],
    sizes: Sequence[tuple[int, int]],
) -> None:
    """Raise SurgeonError V145 where boxes are right and classes are not, in a regular way.

    Labels that are counted from another number, or are in another order, would make the average precision
    that of another detector.
    """
    pairs: dict[int, list[int]] = {}
    for objects, each, size in zip(truth, found, sizes, strict=True):
        strong = each.rows(np.flatnonzero(each.scores >= THRESHOLD))
        overlaps = _overlaps(objects.boxes, boxes_in_pixels(strong, size))
        if not overlaps.size:
            continue
        best = overlaps.argmax(axis=1)
        for index in np.flatnonzero(overlaps.max(axis=1) >= _SAME_PLACE).tolist():
            pairs.setdefault(int(objects.classes[index]), []).append(int(strong.classes[best[index]]))
    everything = [(label, other) for label, others in pairs.items() for other in others]
    right = sum(label == other for label, other in everything)
    taken = {
        label: max(dict.fromkeys(others), key=others.count)
        for label, others in pairs.items()
        if len(others) >= _LEAST_OF_CLASS
    }
    wrong = {label: other for label, other in taken.items() if label != other}
    regular = len(wrong) >= 2 and len(wrong) > len(taken) / 2 and len(set(taken.values())) == len(taken)
    if len(everything) < _LEAST_PAIRS or not regular or right > len(everything) / 2:
        return
    shown = [
        f"'{classes.names[label]}' is found as {other}"
        + (f" ('{classes.names[other]}')" if other in classes.names else "")
        for label, other in wrong.items()
    ]
    raise error(
        "V145",
        f"the classes of '{side}' seem to be mixed up: of {len(everything)} objects whose box it finds, "
        f"{plural(right, 'has', 'have')} the right class; {some(shown)}",
        side,
        help=[
            "check the label map: the first label is the class 1 unless it names the background",
            "--labels FILE gives the names, --class 'NAME=NUMBER' the number of a class",
        ],
    )


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes float64[n, 4] and float64[m, 4], float64[n, m]."""
    least = np.minimum(a[:, None, 2:], b[None, :, 2:])
    most = np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(least - most, 0, None).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    overlaps: np.ndarray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps
