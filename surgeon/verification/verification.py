"""The verification itself: one loop that holds a runner against records of what the original computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.graph import Ref
from surgeon.runners.detections import Detections, Window, detections_of_plugin, pair
from surgeon.runners.drawing import draw
from surgeon.runners.image import Picture, prepare
from surgeon.runners.runner import Runner
from surgeon.runners.tensorflow import Arrays
from surgeon.stages import tell_stage
from surgeon.verification.compare_detections import compare_detections
from surgeon.verification.compare_each import BY_HAND, compare_boundary, compare_each, compare_probes
from surgeon.verification.compare_tensors import compare_tensors, shown
from surgeon.verification.counterfactuals import Rerun
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.limits import WIDEST, Limits
from surgeon.verification.made_inputs import DRAWS
from surgeon.verification.power import measure_power
from surgeon.verification.recipe_power import measure_recipe_power
from surgeon.verification.records import RunInfo, RunRecord
from surgeon.verification.results import (
    ALONE,
    CASES_ALONE,
    END,
    IMAGE,
    Comparison,
    DetectionComparison,
    Outcome,
    TensorComparison,
    Tolerances,
    Verdict,
    Verification,
    worst,
)

CUT = "cut to cut"

Each = Callable[[RunRecord, bool], Iterable[Comparison]]
"""Compares each node put in on a record alone; its second argument is True for the first record."""

Boundary = Callable[[RunRecord], Iterable[Comparison]]
"""Compares the tensors of the original that an added part reads with the rewritten graph's."""

Outputs = Mapping[str, np.ndarray]
Place = Callable[[Detections], Detections]

ROUNDING = "rounding"
"""Excuse of a row that the runner itself gives as the original does, with operations in another order."""

NO_PREPARATION = "both graphs read the same input; no picture is prepared"
SAME_PREPARATION = (
    "both graphs read the same input, and nothing in the original says how a picture becomes it: 'image' is "
    "taken as given"
)


def verify_rewritten(
    graphs: GraphPair,
    records: Iterable[RunRecord],
    info: RunInfo,
    limits: Limits = Limits(),
    *,
    output: Path | None = None,
) -> Verification:
    """Hold the rewritten graph, run by the plugins' references, against records of the original.

    Each node put in is also compared alone, and the plugin that gives detections on probes. Where all of that
    passed, it is measured which wrong fields would not have.
    Raise SurgeonError as :func:`verify_runner` does.
    """

    first_record: list[RunRecord] = []
    draws: list[Arrays] = []
    drawn: list[RunRecord] = []
    probes: list[RunRecord] = []

    def each(record: RunRecord, first: bool) -> Iterable[Comparison]:
        for comparison in compare_each(graphs, record, limits, first=first):
            # Further numbers that saturate prove nothing, and take nothing from the first.
            if first or record.picture is not None or comparison.outcome is not Outcome.INCONCLUSIVE:
                yield comparison
        if graphs.plugin is None and len(draws) < DRAWS:
            draws.append({ref: record.values[ref] for ref in graphs.fed})
            drawn.append(record)
        if graphs.added is not None and len(drawn) < DRAWS:
            drawn.append(record)
        if first:
            first_record.append(record)
            made, comparisons = compare_probes(graphs, record, limits)
            probes.extend(made)
            yield from comparisons

    found = verify_runner(
        graphs.runner,
        records,
        info,
        limits,
        boundary=partial(compare_boundary, graphs, limits=limits) if graphs.added is not None else None,
        each=each,
        by_reference=True,
        output=output,
    )
    found = replace(
        found,
        literals=graphs.fields.differences,
        verdicts=tuple(_with_cases_told(each) for each in found.verdicts),
    )
    if found.passed and draws:
        found = replace(
            found,
            exercise=graphs.exercise(draws, limits.tolerances.tensor),
            recipe_power=measure_recipe_power(graphs, drawn, limits),
        )
    if found.passed and graphs.added is not None:
        found = replace(found, recipe_power=measure_recipe_power(graphs, drawn, limits))
    alone = next(verdict for verdict in found.verdicts if verdict.name == ALONE)
    open_matter = alone.outcome is not Outcome.PASSED and not found.has_cases_alone(alone)
    if open_matter or not first_record:
        return found
    return replace(found, power=measure_power(graphs, first_record[0], probes, limits))


def verify_runner(
    runner: Runner,
    records: Iterable[RunRecord],
    info: RunInfo,
    limits: Limits = Limits(),
    *,
    boundary: Boundary | None = None,
    each: Each | None = None,
    by_reference: bool = False,
    output: Path | None = None,
) -> Verification:
    """Run a model on records of the original, and compare it with what the original computed.

    It runs on the records' inputs (cut to cut) and on their pixels (end to end). A difference is excused
    where the references that the records come with show the same one, and a counterfactual takes it away.
    ``by_reference`` says that ``runner`` is these references, so that what they change is its own. ``each``
    compares every node put in alone, ``boundary`` the tensors that an added part reads.
    Both sets of detections are drawn into the folder ``output``. Raise SurgeonError V124 where the model was
    made from another graph, V125 where it has other inputs, E105 and E108 for what is drawn, and what running
    it raises.
    """
    _check_graph(runner, info)
    comparisons: dict[str, list[Comparison]] = {CUT: [], ALONE: [], END: []}
    names: list[str] = []
    drawn: list[str] = []
    texts: dict[str, str] = {}
    for record in records:
        tell_stage("comparing", record.name)
        _check_inputs(runner, record)
        names.append(record.name)
        texts.update({each_rule.name: each_rule.text for each_rule in record.counterfactuals})
        outputs, place = runner.run(record.inputs), _place(record.window, info)
        compare = partial(_compare, runner, record, place, record.cut, by_reference)
        at_cut = _judge(runner, record.inputs, outputs, place, compare, limits)
        comparisons[CUT] += [*at_cut, *record.faults]
        if boundary is not None:
            comparisons[CUT] += boundary(record)
        if each is not None:
            comparisons[ALONE] += each(record, len(names) == 1)
        prepared = _prepared(runner, info, record)
        if not info.prepared:
            comparisons[END] += [] if info.image is not None else at_cut
        elif isinstance(prepared, TensorComparison):
            comparisons[END].append(prepared)
        elif prepared is not None:
            feeds, place = prepared[0], _place(prepared[1], info)
            outputs = runner.run(feeds)
            compare = partial(_compare, runner, record, place, record.end, by_reference)
            comparisons[END] += _judge(runner, feeds, outputs, place, compare, limits)
        if output is not None and record.pixels is not None and record.detections is not None:
            picture = record.picture or Picture(record.name, record.pixels)
            detections = _detections(runner, outputs, place)
            drawn.append(str(draw(picture, record.detections, detections, output, info.labels)))
    verdicts = [verdict(CUT, comparisons[CUT])]
    if each is not None:
        nothing = "" if comparisons[ALONE] else "no namespace is replaced"
        verdicts.append(verdict(ALONE, comparisons[ALONE], nothing))
    verdicts.append(verdict(END, comparisons[END], _end_remark(runner, info, bool(comparisons[END]))))
    excused = {name for each_verdict in verdicts for name in each_verdict.excused}
    texts[ROUNDING] = f"{runner.name} computes the row otherwise where its operations run in another order"
    return Verification(
        info.recipe,
        info.target,
        tuple(names),
        info.made,
        limits.tolerances,
        limits.max_excused,
        tuple(verdicts),
        {name: text for name, text in texts.items() if name in excused},
        dict(info.labels),
        tuple(drawn),
        dict(runner.info.runtime),
        added=info.added,
        given={**_given_image(info), **info.given},
    )


def _check_graph(runner: Runner, info: RunInfo) -> None:
    if runner.info.graph and info.graph and runner.info.graph != info.graph:
        raise error(
            "V124",
            f"'{runner.name}' was made from another graph than the original",
            runner.name,
            [f"its graph:    {runner.info.graph}", f"the original: {info.graph}"],
            ["build it from this model, or give the model it was built from"],
        )


def _check_inputs(runner: Runner, record: RunRecord) -> None:
    if set(runner.inputs) != set(record.inputs):
        raise error(
            "V125",
            f"'{runner.name}' has the inputs {_listed(runner.inputs)}; expected those of the original, "
            f"{_listed(record.inputs)}",
            runner.name,
            help=["build it with the recipe that the original was stored with"],
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"


def _with_cases_told(given: Verdict) -> Verdict:
    """Return a verdict that compared nothing of the graph where nothing but the cases of plugins passed."""
    made = [c for c in given.comparisons if c.outcome is not Outcome.NOT_COMPARED]
    if not made or not all(c.subject.endswith(BY_HAND) for c in made):
        return given
    outcome = Outcome.NOT_COMPARED if given.outcome is Outcome.PASSED else given.outcome
    return replace(given, outcome=outcome, reason=", ".join(filter(None, (CASES_ALONE, given.reason))))


def _end_remark(runner: Runner, info: RunInfo, compared: bool) -> str:
    """Return why nothing was compared from a picture on, empty where it was."""
    if info.prepared:
        return "" if compared else _no_image(runner)
    if not info.computed:
        return NO_PREPARATION if info.image is None else SAME_PREPARATION
    cut = f"both graphs start at {_listed(info.computed)}"
    if info.image is not None:
        return f"{cut}; 'image' was not compared with what the original does in front of that"
    return f"{cut}; what the original does in front of that was not compared"


def _given_image(info: RunInfo) -> dict[str, Any]:
    """Return the values of ``image`` where nothing in the original says how a picture becomes an input."""
    if info.image is None or info.prepared or info.computed:
        return {}
    image = info.image
    steps = [
        {name: value}
        for step in image.steps
        for name, value in (("scale", step.scale), ("subtract", step.subtract), ("divide", step.divide))
        if value is not None
    ]
    values = {
        "size": image.size,
        "resize": image.resize,
        "interpolation": image.interpolation,
        "fill": image.fill,
        "padding": image.padding,
        "color": image.color,
        "brightness": image.brightness,
        "steps": steps,
    }
    return {f"{IMAGE}{name}": value for name, value in values.items() if value is not None}


def _no_image(runner: Runner) -> str:
    if runner.info.image is not None:
        return "no picture is put into the original, so 'image' was not compared"
    return runner.no_image.replace("{name}", runner.name)


def _prepared(
    runner: Runner, info: RunInfo, record: RunRecord
) -> tuple[dict[str, np.ndarray], Window] | TensorComparison | None:
    """Return what the model's own preparation makes of the pixels, with the window.

    Return a failed comparison where that has another shape than the original's own input, and None where
    nothing is prepared.
    """
    image = runner.info.image
    if image is None or record.pixels is None or not info.prepared:
        return None
    same = record.prepared if image == info.image else None
    picture = same or prepare(image, record.pixels)
    feeds = {**record.inputs, **dict.fromkeys(info.prepared, picture.tensor)}
    for name, value in feeds.items():
        wanted = record.inputs[name]
        if value.shape != wanted.shape:
            reason = f"'image' gives {shown(value)}; '{name}' is {shown(wanted)}"
            return TensorComparison(name, record.name, Outcome.FAILED, reason)
    return feeds, picture.window


def _place(window: Window, info: RunInfo) -> Place:
    """Return what makes detections relative to the picture.

    It clips them to the picture where the original itself put that into the window, and clips to it;
    elsewhere both are compared as they are.
    """
    clips = info.prepared and not info.boxes_in_input
    return partial(Detections.within if clips else Detections.relative_to, window=window)


def _detections(runner: Runner, outputs: Outputs, place: Place) -> Detections:
    parts = {part: outputs[name] for part, name in runner.info.detections.items()}
    image = runner.info.image
    return place(detections_of_plugin(parts, None if image is None else image.size)[0])


def _judge(
    runner: Runner,
    feeds: Mapping[str, np.ndarray],
    outputs: Outputs,
    place: Place,
    compare: Callable[[Outputs, Limits], list[Comparison]],
    limits: Limits,
) -> list[Comparison]:
    """Compare outputs; where they fail, once more within what the runner differs from itself."""
    found = compare(outputs, limits)
    if not limits.widened or not any(each.outcome is Outcome.FAILED for each in found):
        return found
    otherwise = runner.run_otherwise(feeds)
    if otherwise is None:
        return found
    noise = _noise(runner, outputs, otherwise, place)
    wider = limits.beside(noise)
    if wider != limits:
        most = max(noise.box, noise.score, noise.tensor, noise.mask)
        told = f"{runner.name} differs from itself by {most:.1g}; twice that is allowed"
        found = [
            replace(each, reason="; ".join(filter(None, (told, each.reason))))
            for each in compare(outputs, wider)
        ]
    if not any(each.outcome is Outcome.FAILED for each in found):
        return found
    pairs = zip(found, compare(otherwise, wider), strict=True)
    return [_by_rounding(one, other, runner, wider) for one, other in pairs]


def _by_rounding(found: Comparison, otherwise: Comparison, runner: Runner, limits: Limits) -> Comparison:
    """Return a comparison that failed with its rows excused where operations in another order give the
    original's; they are allowed only where the number of excused differences was given.
    """
    if not isinstance(found, DetectionComparison) or found.outcome is not Outcome.FAILED:
        return found
    if otherwise.outcome is not Outcome.PASSED or not found.unexcused:
        return found
    differences = tuple(
        replace(each, excuse=ROUNDING if each.excuse is None else each.excuse) for each in found.differences
    )
    count, total = len(found.unexcused), len(differences)
    told = f"{count} by rounding: in another order of operations {runner.name} gives the original's"
    if limits.max_excused is not None and total <= limits.max_excused:
        outcome = Outcome.PASSED
    else:
        outcome, told = Outcome.FAILED, f"{told}; --max-excused {total} allows that"
    return replace(found, outcome=outcome, reason=told, differences=differences)


def _noise(runner: Runner, outputs: Outputs, otherwise: Outputs, place: Place) -> Tolerances:
    """Return by how much two computations of the same outputs differ, of detections those that both give."""
    box = score = mask = 0.0
    holding = set(runner.info.detections.values())
    if holding:
        one, other = (_detections(runner, each, place) for each in (outputs, otherwise))
        pairing = pair(one, other, WIDEST)
        errors = (pairing.box_error, pairing.score_error, pairing.mask_error)
        box, score, mask = (max(error[np.isfinite(error)].tolist(), default=0.0) for error in errors)
    shares = [_share(outputs[name], otherwise[name]) for name in outputs if name not in holding]
    return Tolerances(box, score, max(shares, default=0.0), mask)


def _share(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference of two tensors as a share of the largest finite number; 0 where there is
    none, and for whole numbers.
    """
    comparison = compare_tensors("", "", one, other, 1.0)
    share = comparison.error / comparison.tolerance if comparison.tolerance else 0.0
    return share if math.isfinite(share) else 0.0


def _compare(
    runner: Runner,
    record: RunRecord,
    place: Place,
    rerun: Rerun | None,
    by_reference: bool,
    outputs: Outputs,
    limits: Limits,
) -> list[Comparison]:
    """Compare detections as such, and other outputs that the original has as tensors."""
    comparisons: list[Comparison] = []
    if record.detections is not None:
        if not runner.info.detections:
            reason = "it gives no detections; the original does"
            return [TensorComparison(runner.name, record.name, Outcome.FAILED, reason)]
        comparisons.append(
            compare_detections(
                Ref.parse(next(iter(runner.info.detections.values()))).node,
                record.name,
                record.detections,
                _detections(runner, outputs, place),
                limits,
                record.counterfactuals if rerun is not None else (),
                rerun,
                by_reference=by_reference,
            )
        )
    for name, expected in record.tensors.items():
        if expected is None:
            if by_reference:
                reason = "nothing in the original stands for this output"
                comparisons.append(TensorComparison(name, record.name, Outcome.NOT_COMPARED, reason))
        elif name not in outputs:
            reason = "the file has no such output"
            comparisons.append(TensorComparison(name, record.name, Outcome.FAILED, reason))
        else:
            tolerance = limits.tolerances.tensor
            comparisons.append(compare_tensors(name, record.name, expected, outputs[name], tolerance))
    return comparisons


def verdict(name: str, comparisons: Sequence[Comparison], remark: str = "") -> Verdict:
    """Return the verdict on some comparisons.

    It is that nothing was compared where none of them was made; but *each alone* passes without any. An
    inconclusive comparison counts unless another one of the same subject passed.
    """
    made = [c for c in comparisons if c.outcome is not Outcome.NOT_COMPARED]
    if not comparisons:
        return Verdict(name, Outcome.PASSED if name == ALONE else Outcome.NOT_COMPARED, remark)
    if not made:
        return Verdict(name, Outcome.NOT_COMPARED, remark or comparisons[0].reason, tuple(comparisons))
    outcomes = [c.outcome for c in made]
    outcome = worst(outcomes)
    proven = {c.subject for c in made if c.outcome is Outcome.PASSED}
    open_subjects = {c.subject for c in made if c.outcome is Outcome.INCONCLUSIVE} - proven
    if outcome is Outcome.INCONCLUSIVE and not open_subjects and name != ALONE:
        # A picture without detections proves nothing, and takes nothing from what others prove.
        outcome = Outcome.PASSED
    counts = {
        "failed": outcomes.count(Outcome.FAILED),
        "inconclusive": outcomes.count(Outcome.INCONCLUSIVE),
        "not compared": len(comparisons) - len(made),
    }
    told = [f"{count} of {len(comparisons)} {what}" for what, count in counts.items() if count]
    return Verdict(name, outcome, ", ".join([remark] * bool(remark) + told), tuple(comparisons))
