"""Recipes written for a graph: what is recognised, what is not, and what a second witness says of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from surgeon.catalog import Catalog
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error
from surgeon.display import Displayed
from surgeon.families.ssd.config_check import Testimony, hear, object_classes
from surgeon.families.ssd.draft import Draft
from surgeon.families.ssd.findings import Detector, Finding
from surgeon.graph import Graph
from surgeon.infer import Inference
from surgeon.language import Recipe
from surgeon.language.loading import parse_recipe
from surgeon.training_files.label_map import load_labels
from surgeon.training_files.pipeline_config import PipelineConfig, read_pipeline_config

NEEDED = (
    "network_input",
    "feature_maps",
    "boxes_per_location",
    "anchors_tensor",
    "anchors",
    "coder",
    "encodings",
    "logits",
    "loc_concat",
    "conf_concat",
    "classes",
    "background",
    "score_converter",
    "logit_scale",
    "score_threshold",
    "iou_threshold",
    "max_per_class",
    "max_total",
    "class_agnostic",
    "soft_sigma",
)
"""What must be known of a detector."""

_HELP = (
    "'surgeon inspect MODEL --depth 2' shows what the graph consists of, and shipped recipes that fit",
    "docs/recipes.md is the guide to writing a recipe by hand",
)


@dataclass(frozen=True)
class Authored(Displayed):
    """A recipe written for one graph.

    ``heard`` is what a pipeline config said of each value, ``remarks`` are warnings: disagreements of the
    config, and labels that do not fit.
    """

    name: str
    summary: str
    text: str
    recipe: Recipe
    heard: tuple[Testimony, ...] = ()
    remarks: tuple[Diagnostic, ...] = ()

    def __repr__(self) -> str:
        return f"<Authored: the recipe '{self.name}', {len(self.remarks)} remarks>"

    def planned(self, remarks: Iterable[Diagnostic]) -> Authored:
        """Return the same with what was found when it was planned."""
        return replace(self, remarks=(*self.remarks, *remarks))


@dataclass(frozen=True)
class Witnesses:
    """What training left behind: a pipeline config, names of classes from 1 on, and warnings of reading
    them.
    """

    config: PipelineConfig | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    remarks: tuple[Diagnostic, ...] = ()


def read_witnesses(
    config: Path | None, labels: str | os.PathLike[str] | Mapping[int, str] | None
) -> Witnesses:
    """Read a pipeline config and a label map: the one given, else the one that the config names if it lies
    beside it.

    Raise SurgeonError as :func:`read_pipeline_config` and :func:`load_labels` do; for a label map that was
    not asked for there is a warning instead.
    """
    read = None if config is None else read_pipeline_config(config)
    if labels is not None:
        return Witnesses(read, labels if isinstance(labels, Mapping) else load_labels(Path(labels)))
    # The path is that of the machine that trained, with its own separators.
    beside = re.split(r"[/\\]", read.label_map)[-1] if read is not None else ""
    if config is None or not beside or not (config.parent / beside).is_file():
        return Witnesses(read)
    try:
        return Witnesses(read, load_labels(config.parent / beside))
    except SurgeonError as exc:
        return Witnesses(
            read, {}, tuple(replace(each, severity=Severity.WARNING) for each in exc.diagnostics)
        )


def check_output(path: Path) -> Path:
    """Return the path of a recipe; raise SurgeonError D149 for a name by which it could not be used."""
    if path.suffix.lower() in (".yaml", ".yml") or (
        path.exists() and not path.is_file() and not path.is_dir()
    ):
        return path
    raise error(
        "D149",
        f"'{path}' is no name for a recipe; expected one that ends in '.yaml'",
        help=[f"write -o {path.name or 'recipe'}.yaml"],
    )


def author(
    graph: Graph,
    catalog: Catalog,
    *,
    name: str = "",
    witnesses: Witnesses = Witnesses(),
) -> Authored:
    """Return a recipe for a single-shot detector of the Object Detection API, every value literal, with its
    evidence.

    The text is the same for the same graph and arguments. Raise SurgeonError D146 where the graph is no such
    detector, D147 where a part of it is not recognised.
    """
    detector = recognised(graph)
    check_parts(detector)
    config = witnesses.config
    heard = hear(config, detector) if config is not None else ()
    differing = [each.diagnostic(config) for each in heard if config is not None and not each.agrees]
    labels, unfit = fitting(witnesses.labels, detector)
    image, unknown = _image(detector)
    draft = Draft(
        detector,
        catalog,
        name,
        labels,
        heard,
        PurePath(config.file).name if config is not None else "",
        image,
    )
    text = draft.text()
    remarks = (*witnesses.remarks, *differing, *unfit, *unknown, *_rounding(draft))
    return Authored(draft.name, draft.summary, text, parse_recipe(text), heard, remarks)


def recognised(graph: Graph) -> Detector:
    """Return the detector that a graph is; raise SurgeonError D146 where it is none that a recipe is written
    for, D147 where it has the heads of one and not all the rest."""
    detector = Detector(graph)
    try:
        family = detector.family
    except SurgeonError as exc:
        if _has_heads(detector):
            check_parts(detector)
        first = exc.diagnostics[0]
        notes = [note for note in first.notes if not note.startswith("namespaces:")]
        raise error("D146", first.message, first.where, (*notes, *_seen(graph)), _HELP) from None
    if family.value != "ssd":
        raise error(
            "D146",
            f"the graph is a detector of two stages ({family.value}); recipes are written for single-shot "
            "detectors (ssd)",
            graph.source or None,
            (*family.evidence, *_backbone(detector), *_seen(graph)),
            _HELP,
        )
    return detector


def _has_heads(detector: Detector) -> bool:
    """Return whether boxes and scores come from convolutions on feature maps, as in a single-shot
    detector.
    """
    try:
        return bool(detector.box_heads.value and detector.class_heads.value)
    except SurgeonError:
        return False


def _backbone(detector: Detector) -> tuple[str, ...]:
    try:
        found = detector.backbone
    except SurgeonError:
        return ()
    return (f"backbone: {found.value}, by {found.evidence[0]}",)


def _seen(graph: Graph) -> tuple[str, ...]:
    """Return what a graph consists of and what it gives, as notes."""
    sizes: dict[str, int] = {}
    for node in graph:
        top = node.name.partition("/")[0]
        sizes[top] = sizes.get(top, 0) + 1
    largest = sorted(sizes, key=lambda name: -sizes[name])[:8]
    inference = Inference(graph)
    outputs = [f"'{ref}' ({graph[ref.node].op}) {inference.spec(ref)}" for ref in graph.output_refs[:6]]
    return (
        f"{len(graph)} nodes; the largest namespaces: "
        + ", ".join(f"'{name}' ({sizes[name]})" for name in largest),
        "outputs: " + (", ".join(outputs) or "none"),
    )


def check_parts(detector: Detector) -> None:
    """Raise SurgeonError D147, followed by what is wrong, where a part is not recognised or no plugin
    computes it.
    """
    known: list[str] = []
    problems: dict[str, Diagnostic] = {}
    unknown = _image(detector)[1]
    for name in NEEDED:
        try:
            found = getattr(detector, name).value
            known.append(f"{name.replace('_', ' ')}: {f'{len(found)} boxes' if name == 'anchors' else found}")
        except SurgeonError as exc:
            problems.update((f"{d.code} {d.message}", d) for d in exc.diagnostics)
    where = detector.graph.source or None
    if problems:
        # A resizer without a fixed size leaves sizes unknown all over: then it is the first to be named.
        found = [*unknown, *problems.values()]
        first = found[0]
        raise SurgeonError(
            Diagnostic(
                "D147",
                f"the graph is a single-shot detector, but not all of it is recognised: {first.message}",
                where,
                tuple(f"recognised: {text:.160}" for text in known),
                _HELP,
            ),
            *(replace(each, severity=Severity.ERROR) for each in found),
        )
    if detector.class_agnostic.value:
        raise error(
            "D147",
            "boxes of different classes suppress each other in the graph; NMS_TRT suppresses class by class",
            where,
            detector.class_agnostic.evidence,
            _HELP,
        )
    if detector.soft_sigma.value > 0:
        raise error(
            "D147",
            "overlapping boxes lose score in the graph (soft suppression); NMS_TRT drops them",
            where,
            detector.soft_sigma.evidence,
            _HELP,
        )


def fitting(labels: Mapping[int, str], detector: Detector) -> tuple[dict[int, str], list[Diagnostic]]:
    """Return the labels by the number that a detection carries, and a warning where they do not fit the
    detector.
    """
    if not labels:
        return {}, []
    count = object_classes(detector)
    # Without a background's column, the first class is number 0 in the detections.
    shift = 0 if detector.background.value >= 0 else -1
    named = {number + shift: label for number, label in labels.items() if number <= count.value}
    highest = max(labels)
    if highest == count.value:
        return named, []
    what = (
        f"the labels end at class {highest}"
        if highest < count.value
        else f"the labels go up to class {highest}"
    )
    return named, [
        Diagnostic(
            "D145",
            f"{what}; the detector has {count.value} classes without the background",
            None,
            count.evidence,
            ("check that the label map is the one of the training",),
            Severity.WARNING,
        )
    ]


def _rounding(draft: Draft) -> list[Diagnostic]:
    """Return a warning where the recipe leaves out that the graph rounds numbers."""
    if not draft.rounding:
        return []
    return [
        Diagnostic(
            "D150",
            f"the network rounds numbers as 8-bit arithmetic would, in {len(draft.rounding)} places; for UFF "
            "the recipe "
            "leaves that out",
            draft.detector.graph.source or None,
            (f"for example '{draft.rounding[0]}'",),
            ("detections differ a little: see 'surgeon verify'; with --target graphdef nothing is left out",),
            Severity.WARNING,
        )
    ]


def _image(detector: Detector) -> tuple[Finding[Any] | None, list[Diagnostic]]:
    """Return how a picture becomes the input, or the reason why that is not known, as warnings."""
    try:
        return detector.image, []
    except SurgeonError as exc:
        return None, [replace(each, severity=Severity.WARNING) for each in exc.diagnostics]
