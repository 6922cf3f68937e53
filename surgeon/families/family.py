"""What a family of networks answers about a graph, and how families are found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from surgeon.catalog import Catalog, PluginSpec
from surgeon.deprecation import RenamedAttribute
from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.discovery import discover
from surgeon.display import plural
from surgeon.families.config_match import ConfigMatch
from surgeon.families.finding import Finding
from surgeon.families.postprocessing import Postprocessing
from surgeon.graph import AttrValue, Graph, Ref
from surgeon.infer import Inference
from surgeon.language import Image

if TYPE_CHECKING:
    from surgeon.training_files.pipeline_config import PipelineConfig

ROOM = "surgeon.families"

GROUP = "surgeon.families"
"""Entry points of families that other packages bring: each names a module with a ``FAMILY``."""

BY_HAND = (
    "'surgeon inspect MODEL --depth 2' shows what the graph consists of, and shipped recipes that fit",
    "docs/recipes.md is the guide to writing a recipe by hand",
)
"""What to do about a graph that no recipe can be written for."""


@dataclass(frozen=True)
class DraftOptions:
    """What a recipe is written with, besides the graph.

    ``written`` are the operations that UFF can express without plugins of the native library.
    ``first_steps`` are steps that a recipe for any network begins with, as a recipe writes them.
    ``name`` is empty where the family chooses one. ``labels`` names classes by number, from 1 on.
    ``config_matches`` is what the pipeline config called ``config_name`` says. ``most_rows`` is how many rows
    the runtime sorts at most, None where it has no bound.
    """

    catalog: Catalog
    name: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    config_matches: tuple[ConfigMatch, ...] = ()
    config_name: str = ""
    most_rows: int | None = None
    written: Collection[str] = ()
    first_steps: tuple[Mapping[str, Any], ...] = ()

    @property
    def config_verdict(self) -> tuple[str, ...]:
        """A line on how many values of the pipeline config agree, none without a config."""
        if not self.config_matches:
            return ()
        differ = sum(not match.agrees for match in self.config_matches)
        verdict = (
            f"{differ} differ{'s' if differ == 1 else ''}, and the graph wins" if differ else "all agree"
        )
        return (
            f"{self.config_name} was compared in {plural(len(self.config_matches), 'value')}: {verdict}.",
        )

    def config_comments(self, key: str) -> tuple[str, ...]:
        """Return what the pipeline config says of a value of the recipe, such as ``NMS.topK``."""
        return tuple(match.comment(self.config_name) for match in self.config_matches if match.key == key)


_REMARKS = RenamedAttribute("diagnostics", removal="0.2.0")


@dataclass(frozen=True)
class Draft:
    """A recipe's text for one graph; ``diagnostics`` warn of what it leaves out."""

    name: str
    summary: str
    text: str
    diagnostics: tuple[Diagnostic, ...] = ()
    remarks: InitVar[Any] = _REMARKS

    def __post_init__(self, remarks: Any) -> None:
        if remarks is not _REMARKS:
            _REMARKS.alias.warn(3)
            object.__setattr__(self, "diagnostics", remarks)


@dataclass(frozen=True, eq=False)
class AnchorConstant:
    """The anchors of a graph as the port of a plugin reads them, and the tensors that show them."""

    value: np.ndarray
    evidence: tuple[str, ...]


class Family(ABC):
    """A graph as one family sees it: a family of detectors, or the one of all other networks.

    Each finding is computed when it is first asked for, and raises SurgeonError where the graph does not tell
    it. ``inference`` tells sizes; without it the family makes one, with batch 1.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """What a member is called: 'single-shot detector'."""

    detects: ClassVar[bool] = True
    """Whether members are detectors; families of other networks are asked last."""

    @property
    def suppresses(self) -> bool:
        """False where a detector leaves suppression to whoever runs it, so that a recipe adds it."""
        return True

    def completed(self, fields: Mapping[str, Any]) -> Graph | None:
        """Return the graph of a detector that does not suppress, with TensorFlow's own suppression behind it,
        as a plugin with these fields suppresses; None where the family or the fields do not tell how.
        """
        return None

    def given(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return those fields of a plugin that :meth:`completed` takes as given."""
        return {}

    boxes_in_input: ClassVar[bool] = False
    """Whether detected boxes are relative to the network's input even where the graph itself fits a picture
    into a part of that; otherwise they are relative to the picture then.
    """

    keys: ClassVar[tuple[str, ...]] = ()
    """Names of the findings, in the order in which they are reported."""

    sized_by_input: ClassVar[bool] = False
    """Whether a graph may leave the size of its input open, so that the one who converts it gives that."""

    joined: ClassVar[Mapping[str, str]] = {"loc": "boxes", "conf": "class scores"}
    """The ports of a plugin at which joined heads arrive, and what these heads give."""

    anchor_port: ClassVar[str] = "prior"
    """The port of a plugin at which anchors arrive."""

    def __init__(self, graph: Graph, inference: Inference | None = None) -> None:
        self.graph = graph
        self._given = inference

    @classmethod
    @abstractmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return the graph as a member, or the reason why it is none; its structure decides.

        The method runs for every graph that a plan asks about. So it only walks the graph, and leaves what
        costs more to the findings.
        """

    @property
    @abstractmethod
    def kind(self) -> str:
        """Return the family with what sets this member apart, such as ``ssd_mobilenet_v1_fpn``."""

    @property
    @abstractmethod
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The tensors that hold detections.

        ``boxes`` float32[N, K, 4] (ymin, xmin, ymax, xmax relative to the picture), ``scores`` float32[N, K],
        ``classes`` [N, K], ``count`` [N] and ``masks`` float32[N, K, h, w], as far as they are there. A
        table in the place of lists, and masks by class, are called as in :mod:`surgeon.catalog.detections`.
        Where they hold something else, :meth:`detected` says what.
        """

    def detected(self, values: Mapping[Ref, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the detections by part, from the values of the tensors that ``outputs`` names.

        ``boxes`` float32[N, K, 4] are ymin, xmin, ymax, xmax relative to the network's input; a family whose
        graph gives pixels, or one table, converts them here. Rows of a score of 0 or less are none.
        """
        return {part: values[ref] for part, ref in self.outputs.value.items()}

    @property
    @abstractmethod
    def picture(self) -> Finding[Ref]:
        """The tensor that a picture is put into."""

    @property
    def takes_prepared_pictures(self) -> bool:
        """Whether ``picture`` takes what ``image`` makes of a picture, and not the picture's pixels."""
        return False

    @property
    @abstractmethod
    def image(self) -> Finding[Image]:
        """How a picture becomes the network's input."""

    @property
    @abstractmethod
    def postprocessing(self) -> Postprocessing:
        """What the original computes between the heads and the detections."""

    def postprocessing_at(self, tensors: Collection[str]) -> Postprocessing:
        """Return what the original computes behind some tensors: a detector may suppress boxes twice."""
        return self.postprocessing

    @property
    def keeps_shape(self) -> bool:
        """Whether the graph keeps the shape of a picture, so that its network's input has no one size."""
        return False

    def resized(self, ref: Ref, height: int, width: int) -> Finding[tuple[int, int]] | None:
        """Return the height and width that a picture of some size has at a tensor, where the graph resizes it
        to a size that it computes from the picture's; None where it does not, or does not tell.
        """
        return None

    @abstractmethod
    def draft(self, options: DraftOptions) -> Draft:
        """Write the recipe.

        Raise SurgeonError D147 where a part is not recognised, or no plugin computes it.
        """

    def finding(self, key: str) -> Finding[Any]:
        """Return one of the findings called ``keys``; raise SurgeonError D107 for another key."""
        if key not in self.keys:
            raise self.fail(
                "D107",
                f"the family '{self.name}' does not tell '{key}'",
                ["it tells: " + (", ".join(f"'{known}'" for known in self.keys) or "nothing")],
                ["write the value instead of 'auto'"],
            )
        found: Finding[Any] = getattr(self, key)
        return found

    @property
    def findings(self) -> Mapping[str, Finding[Any] | SurgeonError]:
        """Every finding by its key, or the reason why the graph does not tell it."""
        table: dict[str, Finding[Any] | SurgeonError] = {}
        for key in self.keys:
            try:
                table[key] = self.finding(key)
            except SurgeonError as exc:
                table[key] = exc
        return table

    def image_at(self, ref: Ref) -> Finding[Image]:
        """Return how a picture becomes a tensor of the graph."""
        return self.image

    def join(self, port: str) -> Finding[str]:
        """Return the node that joins the heads which a port of ``joined`` reads."""
        raise self.fail("D107", f"the family '{self.name}' does not tell what joins {self.joined[port]}")

    def joining_node(self, port: str) -> str:
        """Return the name of that node alone; a family overrides this where its evidence costs more."""
        return self.join(port).value

    def anchor_constant(self) -> AnchorConstant:
        """Return the anchors as ``anchor_port`` reads them."""
        raise self.fail("D107", f"the family '{self.name}' does not tell anchors")

    @property
    def class_shift(self) -> int:
        """What to add to a class of the outputs to get the plugin's label for it."""
        return 0

    @property
    def plugin_sources(self) -> tuple[Ref, ...]:
        """The tensors that :meth:`plugin_inputs` reads, as far as the graph tells them."""
        return ()

    def anchor_input(self, values: Mapping[Ref, np.ndarray]) -> np.ndarray:
        """Return the anchors as ``anchor_port`` reads them, from the values of ``plugin_sources``."""
        return self.anchor_constant().value

    def plugin_inputs(
        self, plugin: PluginSpec, fields: Mapping[str, AttrValue], values: Mapping[Ref, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Return what the original gives to a plugin's ports, from the values of ``plugin_sources``.

        The mapping is empty where nothing in the original stands for the ports. Raise SurgeonError where the
        graph does not tell what does.
        """
        return {}

    def heads_for(
        self, boxes: np.ndarray, scores: np.ndarray, values: Mapping[Ref, np.ndarray]
    ) -> Mapping[Ref, np.ndarray]:
        """Return what to put into the original's tensors so that it suppresses these boxes.

        ``boxes`` is float32[P, 4] (ymin, xmin, ymax, xmax relative to the network's input), ``scores``
        float32[P, C] the probabilities of the classes without the background. ``values`` are those of
        ``plugin_sources``: their anchors count, and their shapes, the batch first; every picture of a batch
        gets the same. Raise SurgeonError D107 where the family cannot.
        """
        raise self.fail("D107", f"the family '{self.name}' does not tell what its heads give for a box")

    def config_check(self, config: PipelineConfig) -> tuple[ConfigMatch, ...]:
        """Compare a pipeline config with the graph, value by value."""
        return ()

    def fail(
        self, code: str, message: str, notes: Iterable[str] = (), help: Iterable[str] = ()
    ) -> SurgeonError:
        """Return the error to raise, placed in the graph."""
        return error(code, message, self.graph.source or None, notes, help)


@dataclass(frozen=True)
class Refusal:
    """Why a graph is not a member of a family.

    ``family`` is the graph as far as the family recognised it; ``nearness`` counts the parts it recognised,
    and is below 0 where nothing speaks for the family.
    """

    family: Family
    reason: SurgeonError
    nearness: int = 0


def not_all_recognised(
    family: Family,
    problems: Sequence[Diagnostic],
    notes: Iterable[str] = (),
    help: tuple[str, ...] = BY_HAND,
) -> Diagnostic:
    """Return the diagnostic D147 of a member of which some parts, the first of them named, are not told."""
    message = f"the graph is a {family.title}, but not all of it is recognised: {problems[0].message}"
    return Diagnostic("D147", message, family.graph.source or None, tuple(notes), help)


def load_families() -> tuple[type[Family], ...]:
    """Return the families, those of detectors first.

    Each is the ``FAMILY`` of a package of this room or of an entry point's module.

    Raise SurgeonError E112 for a name that two of them have, naming both owners, and E113 for an entry point
    that cannot be loaded.
    """
    families = [package.FAMILY for package in _packages()]
    return tuple(sorted(families, key=lambda family: not family.detects))


@cache
def _packages() -> tuple[ModuleType, ...]:
    return tuple(discover(ROOM, "families named", _named, group=GROUP).values())


def _named(module: ModuleType) -> Iterator[tuple[str, ModuleType]]:
    """Yield a package that holds a family, with its name; a package of this room is called as its family."""
    if "FAMILY" in dir(module):
        room, _, name = module.__name__.rpartition(".")
        yield name if room == ROOM else module.FAMILY.name, module


def recognise(graph: Graph, inference: Inference | None = None) -> Family | Refusal:
    """Return the graph as the first family that it is a member of, those of detectors first.

    The family ``generic`` takes every graph that computes something; else return its refusal.
    """
    detector = recognise_detector(graph, inference)
    if isinstance(detector, Family):
        return detector
    others = [package for package in _packages() if not package.FAMILY.detects]
    return _first_match(graph, inference, others)


def recognise_detector(graph: Graph, inference: Inference | None = None) -> Family | Refusal:
    """Return the graph as the first family of detectors that it is a member of, else the nearest refusal.

    Families whose ``OPERATION`` the graph does not hold are asked last, for their refusals.
    """
    operations = {node.op for node in graph}

    def is_unlikely(package: ModuleType) -> bool:
        return getattr(package, "OPERATION", None) not in {None, *operations}

    asked = sorted(_packages(), key=is_unlikely)
    return _first_match(graph, inference, (package for package in asked if package.FAMILY.detects))


def _first_match(
    graph: Graph, inference: Inference | None, packages: Iterable[ModuleType]
) -> Family | Refusal:
    refusals: dict[ModuleType, Refusal] = {}
    for package in packages:
        found = package.FAMILY.match(graph, inference)
        if isinstance(found, Family):
            return found
        refusals[package] = found
    return max((refusals[each] for each in _packages() if each in refusals), key=lambda each: each.nearness)


def nearest_family(graph: Graph, inference: Inference | None = None) -> Family:
    """Return the graph as its family of detectors sees it, or as the nearest one does.

    The findings of the nearest one raise SurgeonError for what is missing.
    """

    def nearest() -> Family:
        found = recognise_detector(graph, inference)
        return found.family if isinstance(found, Refusal) else found

    # A family keeps its inference, whose number then belongs to no other.
    return graph.kept((Family, id(inference), _packages()), nearest)
