"""How a single-shot detector makes scores."""

from __future__ import annotations

from functools import cached_property

from surgeon.display import plural
from surgeon.families.finding import Finding
from surgeon.families.parts.numbers import plain
from surgeon.families.postprocessing import Converter
from surgeon.families.ssd.boxes import BoxFindings
from surgeon.graph import Ref


class ScoreFindings(BoxFindings):
    """Classes, and how scores become probabilities."""

    @cached_property
    def logits(self) -> Finding[Ref]:
        """Class scores before they are converted, float32[N, P, C]."""
        ref = self._scores.logits
        return Finding(ref, (f"'{ref}' is {self.inference.spec(ref)}",))

    @cached_property
    def classes(self) -> Finding[int]:
        """Number of scores of an anchor: the background's is one of them, unless :attr:`background` is -1."""
        spec = self.inference.spec(self.logits.value)
        last = spec.shape.dims[-1] if spec.shape.dims else None
        counts: dict[int, str] = {} if last is None else {last: f"'{self.logits.value}' is {spec}"}
        for score, boxes in zip(self.class_heads.value, self.boxes_per_location.value, strict=False):
            if score.channels:
                counts.setdefault(
                    score.channels // boxes if score.channels % boxes == 0 else -1,
                    f"'{score.conv}' has {score.channels} channels for {plural(boxes, 'box', 'boxes')} a "
                    "location",
                )
        if len(counts) != 1 or len(self.class_heads.value) != len(self.box_heads.value):
            raise self.fail(
                "D114",
                f"the number of classes is contradictory: {len(counts)} different answers",
                [*counts.values(), *self.box_heads.evidence, *self.class_heads.evidence],
            )
        value, shown = next(iter(counts.items()))
        return Finding(value, (shown, f"the same for {len(self.class_heads.value)} class heads"))

    @cached_property
    def background(self) -> Finding[int]:
        """0 where the first column of the scores is dropped as that of the background, -1 where all are
        kept.
        """
        node = self._scores.sliced
        if node is not None:
            return Finding(0, (f"'{node.name}' ({node.op}) drops the first of {self.classes.value} columns",))
        return Finding(-1, (f"all {self.classes.value} columns of '{self.logits.value}' are used",))

    @cached_property
    def score_converter(self) -> Finding[Converter]:
        """``sigmoid``, ``softmax`` or ``identity``: how scores become probabilities."""
        found = self._scores.converters
        if len(found) > 1:
            raise self.fail("D114", "scores are converted twice", [f"'{n.name}' ({n.op})" for n in found])
        if not found:
            return Finding(
                "identity",
                (f"no Sigmoid or Softmax between '{self.logits.value}' and '{self._suppressing[0].name}'",),
            )
        if found[0].op == "Softmax" and not self._scores.whole:
            raise self.fail(
                "D116",
                f"'{found[0].name}' (Softmax) does not see the background's column; expected one of all "
                "classes",
                self.background.evidence,
            )
        kind: Converter = "softmax" if found[0].op == "Softmax" else "sigmoid"
        return Finding(kind, (f"'{found[0].name}' ({found[0].op}) makes probabilities",))

    @cached_property
    def logit_scale(self) -> Finding[float]:
        """By what scores are multiplied before they are converted."""
        total = 1.0
        for factor, _ in self._scores.scales:
            total *= factor
        return Finding(
            plain(total),
            tuple(f"'{name}': {factor:g}" for factor, name in self._scores.scales)
            or ("scores are not scaled",),
        )
