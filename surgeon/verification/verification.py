"""The verification itself: three verdicts on whether a rewritten graph computes what the original
computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from surgeon.catalog import Catalog
from surgeon.graph import Ref
from surgeon.language import Recipe
from surgeon.rewrite import Plan
from surgeon.runners.drawing import draw
from surgeon.runners.image import Picture
from surgeon.runners.rewritten import Execution
from surgeon.verification.compare_each import compare_alone
from surgeon.verification.compare_outputs import compare_outputs, outputs_of
from surgeon.verification.comparison import EXCUSES, Limits, shown
from surgeon.verification.graph_pair import Sample, Sides
from surgeon.verification.results import Comparison, Outcome, TensorComparison, Verdict, Verification, worst

CUT, ALONE, END = "cut to cut", "each alone", "end to end"

Keep = Callable[[Sides, "Picture | None", Sample], None]

_NO_IMAGE = "the recipe has no 'image', which says how a picture becomes the input; 'image: auto' derives it"
NO_PREPARATION = "both graphs read the same input; no picture is prepared"


def verify_plan(
    plan: Plan,
    recipe: Recipe,
    catalog: Catalog,
    pictures: Iterable[Picture],
    *,
    made: bool,
    limits: Limits = Limits(),
    seed: int = 0,
    output: Path | None = None,
    keep: Keep | None = None,
) -> Verification:
    """Run a plan's source in TensorFlow and its result with references for the plugins, and compare.

    ``made`` says that the pictures were made up; ``seed`` is for the numbers that are put into a graph that
    reads no picture. Both sets of detections are drawn into the folder ``output``; ``keep`` is called with
    every sample. Raise SurgeonError as :class:`Sides` and its samples do, and E105 and E108 for what is
    drawn.
    """
    sides = Sides(plan, recipe, catalog)
    found: dict[str, list[Comparison]] = {CUT: [], ALONE: [], END: []}
    names: list[str] = []
    drawn: list[str] = []
    for number, picture in enumerate(pictures if sides.picture_ref is not None else [None]):
        sample = sides.sample(picture, seed)
        names.append(sample.name)
        if keep is not None:
            keep(sides, picture, sample)
        found[CUT] += compare_outputs(sides, sample, sample.cut, limits)
        found[ALONE] += compare_alone(sides, sample, limits, first=number == 0)
        execution, comparisons = _end_to_end(sides, sample, limits)
        found[END] += comparisons
        if output is not None and picture is not None and sides.plugin is not None:
            rewritten = sides.of_plugin(outputs_of(sides, execution), sample)
            drawn.append(str(draw(picture, sides.of_original(sample), rewritten, output, recipe.labels)))
    verdicts = (
        verdict(CUT, found[CUT]),
        verdict(ALONE, found[ALONE], "" if found[ALONE] else "no namespace is replaced"),
        verdict(
            END, found[END], NO_PREPARATION if not sides.prepared_inputs else "" if found[END] else _NO_IMAGE
        ),
    )
    used = dict.fromkeys(name for verdict in verdicts for name in verdict.excused)
    return Verification(
        recipe.name,
        plan.target,
        tuple(names),
        made or sides.picture_ref is None,
        limits.tolerances,
        limits.max_excused,
        verdicts,
        {name: text for name, text in EXCUSES.items() if name in used},
        dict(recipe.labels),
        tuple(drawn),
    )


def _end_to_end(sides: Sides, sample: Sample, limits: Limits) -> tuple[Execution, list[Comparison]]:
    """Run the rewritten graph on what the recipe's ``image`` makes of the picture, and compare its outputs.

    Without an ``image`` nothing is compared, and the run is that on the original's values.
    """
    if not sides.prepared_inputs:
        return sample.cut, compare_outputs(sides, sample, sample.cut, limits)
    if sample.prepared is None:
        return sample.cut, []
    feeds: dict[Ref, np.ndarray] = {}
    for ref, origin in sides.inputs.items():
        feeds[ref] = sample.prepared.tensor if ref in sides.prepared_inputs else sample.values[origin]
        if feeds[ref].shape != sample.values[origin].shape:
            reason = f"'image' gives {shown(feeds[ref])}; '{ref}' is {shown(sample.values[origin])}"
            return sample.cut, [TensorComparison(str(ref), sample.name, Outcome.FAILED, reason)]
    execution = sides.runner.run(feeds)
    return execution, compare_outputs(sides, sample, execution, limits)


def verdict(name: str, comparisons: Sequence[Comparison], remark: str = "") -> Verdict:
    """Return the judgement over some comparisons; those that were not made must not be all."""
    made = [c for c in comparisons if c.outcome is not Outcome.NOT_COMPARED]
    if not comparisons:
        return Verdict(name, Outcome.PASSED if name == ALONE else Outcome.NOT_COMPARED, remark)
    if not made:
        return Verdict(name, Outcome.NOT_COMPARED, remark or comparisons[0].reason, tuple(comparisons))
    outcomes = [c.outcome for c in made]
    outcome = worst(outcomes)
    if outcome is Outcome.INCONCLUSIVE and Outcome.PASSED in outcomes and name != ALONE:
        # A picture without detections proves nothing, and takes nothing from what others prove.
        outcome = Outcome.PASSED
    counts = {
        "failed": outcomes.count(Outcome.FAILED),
        "inconclusive": outcomes.count(Outcome.INCONCLUSIVE),
        "not compared": len(comparisons) - len(made),
    }
    told = [f"{count} of {len(comparisons)} {what}" for what, count in counts.items() if count]
    return Verdict(name, outcome, ", ".join([remark] * bool(remark) + told), tuple(comparisons))
