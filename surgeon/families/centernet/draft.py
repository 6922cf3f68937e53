"""The text of a recipe for a CenterNet detector, which keeps the whole network behind its input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.display import plural
from surgeon.families.family import Draft, DraftOptions, not_all_recognised
from surgeon.families.finding import Finding
from surgeon.families.parts.image_block import image_block
from surgeon.families.parts.labels import named_classes
from surgeon.language import Image
from surgeon.language.writing import Item, render, said

if TYPE_CHECKING:
    from surgeon.families.centernet.detector import CenterNetDetector

INPUT, SHAPES = "Input", "true_shapes"
"""What the recipe calls its inputs; a name that the graph has already is lengthened."""


def draft_recipe(detector: CenterNetDetector, options: DraftOptions) -> Draft:
    """Write a recipe; raise SurgeonError D147 where a part is not recognised."""
    problems: list[Diagnostic] = []
    for key in (*detector.keys, "outputs"):
        try:
            getattr(detector, key)
        except SurgeonError as exc:
            problems += exc.diagnostics
    if problems:
        raise SurgeonError(not_all_recognised(detector, problems), *problems)
    writer = _RecipeWriter(detector, options)
    return Draft(writer.name, writer.summary, writer.text(), writer.diagnostics)


@dataclass(frozen=True)
class _RecipeWriter:
    detector: CenterNetDetector
    options: DraftOptions

    @property
    def name(self) -> str:
        return self.options.name or self.detector.kind

    @property
    def summary(self) -> str:
        """One line: kind, classes and the input's size."""
        height, width = self._size
        classes = plural(self.detector.classes.value, "class", "classes")
        return f"{self.detector.kind} for {classes} at {height} x {width}"

    @cached_property
    def _size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        detector = self.detector
        dims = detector.inference.spec(detector.network_input.value).shape.dims or ()
        height, width = dims[1:3]
        assert height is not None and width is not None
        return height, width

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Warnings of what the recipe leaves out."""
        found = self._labels[1]
        try:
            self.detector.image  # noqa: B018  raises what is not known
        except SurgeonError as exc:
            found += tuple(replace(each, severity=Severity.WARNING) for each in exc.diagnostics)
        return found

    def text(self) -> str:
        """Return the recipe."""
        parts = self.detector.outputs
        held = {part: str(ref) for part, ref in parts.value.items()}
        block: dict[str, Item] = {
            "recipe": Item(1),
            "name": Item(self.name),
            "summary": Item(self.summary),
            "outputs": Item(list(held.values()), said(parts.evidence)),
            "detections": Item({part: Item(name) for part, name in held.items()}),
            "steps": Item(list(self._steps()), spaced=True),
        }
        image = self._image()
        if image is not None:
            block["image"] = image
        labels, _ = self._labels
        if labels:
            named = {number: Item(label) for number, label in labels.items()}
            block["labels"] = Item(named, ("names of the numbers that detections carry",), spaced=True)
        engine = {"precision": "fp16", "max_batch": 1, "workspace": "1GiB"}
        block["engine"] = Item(engine, ("not from the graph: how an engine is built",), spaced=True)
        return render(tuple(self._heading()), block)

    def _heading(self) -> Iterator[str]:
        detector = self.detector
        source = PurePath(detector.graph.source).name or "a graph"
        yield f"{source}: {self.summary}. Written by 'surgeon init'."
        side = detector.peak_size.value
        yield (
            f"A CenterNet suppresses no boxes. Its detections are the {detector.max_total.value} highest "
            f"peaks of a heat map, each the highest of {side} x {side} cells of "
            f"{plural(detector.stride.value, 'pixel')}. The recipe keeps all of this as ordinary operations, "
            "for ONNX; UFF and NVIDIA's plugins have nothing that chooses peaks."
        )
        for evidence in (detector.heat_map, detector.max_total, detector.box_heads):
            yield "; ".join(evidence.evidence) + "."

    def _steps(self) -> Iterator[Item]:
        yield self._cut()
        shapes = self.detector.true_shapes
        if shapes.value is not None:
            dims = self.detector.inference.spec(shapes.value).shape.dims or (None,)
            rows = [[*self._size, 3]] * (dims[0] or 1)
            yield Item(
                {"step": "fix-inputs", "values": {self._free(SHAPES): rows}},
                ("boxes become relative to the whole of the network's input",),
            )
        yield Item("for-inference", ("identities and checks go",))
        yield Item("fold-constants", ("what depends on sizes alone",))
        yield Item("prune", ("what no output needs any more",))

    def _cut(self) -> Item:
        ref, shapes = self.detector.network_input, self.detector.true_shapes
        tensors, names = [str(ref.value)], [self._free(INPUT)]
        comments = [f"the picture, resized and scaled: {ref.evidence[0]}"]
        if shapes.value is not None:
            tensors.append(str(shapes.value))
            names.append(self._free(SHAPES))
            comments.append(f"what part of it is picture: {shapes.evidence[0]}")
        cut: dict[str, Any] = {"step": "cut-at", "tensors": tensors, "as": names}
        if self._is_open:
            cut["shapes"] = {names[0]: [None, *self._size, 3]}
        return Item(cut, tuple(comments))

    @property
    def _is_open(self) -> bool:
        dims = self.detector._sizes.spec(self.detector.network_input.value).shape.dims
        return dims is None or None in dims[1:]

    def _image(self) -> Item | None:
        try:
            found: Finding[Image] = self.detector.image
        except SurgeonError:
            return None
        return Item(image_block(found.value), said(found.evidence), spaced=True)

    @cached_property
    def _labels(self) -> tuple[dict[int, str], tuple[Diagnostic, ...]]:
        """The names of the classes by the numbers of detections, and a warning where they are not as many."""
        return named_classes(self.options.labels, self.detector.classes, self.detector.label_offset.value - 1)

    def _free(self, name: str) -> str:
        return self.detector.graph.free_name(name, ())
