"""Questions that both a pipeline config and a graph can be asked: the second witness beside the first."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from surgeon.diagnostics import SurgeonError
from surgeon.families.config_match import ConfigMatch
from surgeon.families.finding import Finding
from surgeon.families.parts.picture import PictureFindings
from surgeon.training_files.pipeline_config import PipelineConfig
from surgeon.training_files.text_format import Stated

D = TypeVar("D")
Asked = TypeVar("Asked", contravariant=True)

INTERPOLATIONS = {"BILINEAR": ("tf1-bilinear", "half-pixel-bilinear"), "NEAREST_NEIGHBOR": ("nearest",)}
_RELATIVE = 1e-5


@dataclass(frozen=True)
class Question(Generic[Asked]):
    """A value that both can be asked for.

    ``item`` is the field of the config and ``key`` the value of the recipe that it concerns. ``said`` gives
    None where the config's kind of detector has none; ``found`` raises SurgeonError where the graph does not
    tell.
    """

    item: str
    key: str
    said: Callable[[PipelineConfig], Stated[Any] | None]
    found: Callable[[Asked], Finding[Any]]
    same: Callable[[Any, Any], bool] = operator.eq


def answers(questions: Iterable[Question[D]], config: PipelineConfig, detector: D) -> Iterator[ConfigMatch]:
    """Yield what both say to each question that both answer."""
    for question in questions:
        said = question.said(config)
        if said is None:
            continue
        try:
            found = question.found(detector)
        except SurgeonError:
            continue
        yield match(question.item, question.key, said, found, question.same(said.value, found.value))


def match(item: str, key: str, stated: Stated[Any], found: Finding[Any], agrees: bool) -> ConfigMatch:
    """Return a value of the config beside that of the graph."""
    return ConfigMatch(
        item, key, _shown(stated.value), _shown(found.value), agrees, stated.where, found.evidence
    )


def same_network(said: str, found: str) -> bool:
    """Return whether each word and number of the graph's backbone is in the config's name of it.

    They are resnet, v1 and 50 of ``resnet50_v1``.
    """
    return _words(found) <= _words(said)


def _words(name: str) -> frozenset[str]:
    """Return words and numbers, for membership only."""
    return frozenset(re.findall(r"v[0-9]+|[a-z]+?(?=v?[0-9]|_|\Z)|[0-9]+", name.lower()))


def close(said: Any, found: Any) -> bool:
    """Return whether numbers are the same but for the rounding to float32; anything else is not."""
    pairs = zip(said, found, strict=True) if isinstance(said, tuple) else [(said, found)]
    return not isinstance(said, str) and all(math.isclose(a, b, rel_tol=_RELATIVE) for a, b in pairs)


def of_image(pick: Callable[[Any], Any]) -> Callable[[PictureFindings], Finding[Any]]:
    """Return what asks a detector for a part of its ``image``."""
    return lambda detector: Finding(pick(detector.image.value), detector.image.evidence)


RESIZE: Question[PictureFindings] = Question(
    "image_resizer", "image.resize", lambda c: c.resize, of_image(lambda image: image.resize)
)
RESIZE_METHOD: Question[PictureFindings] = Question(
    "resize_method",
    "image.interpolation",
    lambda c: c.resize_method,
    of_image(lambda image: image.interpolation),
    lambda a, b: b in INTERPOLATIONS.get(a, ()),
)


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return (
            " x ".join(map(str, value))
            if all(isinstance(each, int) for each in value)
            else "[" + ", ".join(map(_shown, value)) + "]"
        )
    return f"{value:.6g}" if isinstance(value, float) else str(value)
