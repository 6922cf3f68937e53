"""Every node put in, alone: on the original's own values, against what it replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from surgeon.catalog.detections import without_masks
from surgeon.catalog.reference import Counterfactual
from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.graph import Node, Ref
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.runners.references import Execution, Fields
from surgeon.runners.tensorflow import Arrays
from surgeon.stages import tell_stage
from surgeon.verification.added_part import boundary, given_to_added
from surgeon.verification.compare_detections import compare_detections
from surgeon.verification.compare_tensors import compare_tensors, shown
from surgeon.verification.correspondence import Replacement
from surgeon.verification.decoding import DecodedInFront, kept
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.limits import Limits
from surgeon.verification.pair_rules import rules_of
from surgeon.verification.probe_runs import added_probe_records, probe_records
from surgeon.verification.read_detections import detections_of
from surgeon.verification.records import RunRecord
from surgeon.verification.regions import Region
from surgeon.verification.results import Comparison, Outcome, TensorComparison

_AS_THEY_ARE: Mapping[str, Fields] = MappingProxyType({})

BY_HAND = "worked out by hand"
"""How the subject of a comparison with a plugin's own cases ends."""

_WIDER = 10
"""Factor by which the original's values are put into a node a second time."""


def compare_each(graphs: GraphPair, record: RunRecord, limits: Limits, *, first: bool) -> list[Comparison]:
    """Compare each node put in with what it replaced.

    The anchors, which no picture changes, with the first one only.
    """
    comparisons: list[Comparison] = [
        _input(graphs, replaced, record, limits)
        for replaced in graphs.match.replacements
        if replaced.node.op in PLACEHOLDERS and not _starts_there(graphs, replaced)
    ]
    if graphs.decoder is not None:
        comparisons += compare_decoding(graphs, graphs.decoder, record, limits)
    elif graphs.anchor_makers and first:
        comparisons.append(compare_anchors(graphs, record, limits))
    # What holds detections is compared row by row with the outputs.
    holding = {Ref.parse(name).node for name in without_masks(graphs.runner.info.detections).values()}
    for region in graphs.replaced:
        if region.replaced.node.name not in holding:
            comparisons += compare_region(graphs, region, record, limits)
    if graphs.added is not None:
        comparisons += compare_cases(graphs, record) if first else []
    elif graphs.plugin is not None:
        comparisons.append(compare_plugin(graphs, graphs.plugin, record, limits))
    return comparisons


def compare_boundary(graphs: GraphPair, record: RunRecord, limits: Limits) -> list[Comparison]:
    """Compare each tensor of the original that the added part reads with the rewritten graph's own."""
    assert graphs.added is not None
    found: list[Comparison] = []
    for ref, (expected, value) in boundary(graphs, record).items():
        origin = graphs.added.fed[ref]
        subject = str(origin) if origin == ref else f"{origin} -> {ref}"
        found.append(compare_tensors(subject, record.name, expected, value, limits.tolerances.tensor))
    return found


def compare_cases(graphs: GraphPair, record: RunRecord) -> list[Comparison]:
    """Compare what the plugins of the added part compute of their own cases with what these expect.

    Nothing in the original says what such a plugin should give; its cases are worked out by hand.
    """
    assert graphs.added is not None
    ops = [node.op for node in graphs.runner.plugins if node.name in graphs.added.nodes]
    return [_cases_of(graphs, op, record) for op in dict.fromkeys(ops)]


def _cases_of(graphs: GraphPair, op: str, record: RunRecord) -> Comparison:
    reference = graphs.catalog.reference(op)
    try:
        cases = graphs.catalog.cases(op)
        if reference is None or cases is None:
            reason = "nothing in the original stands for it, and its folder has no 'cases.yaml'"
            return _not_compared(op, record, reason)
        wrong = [case.name for case in cases.cases if cases.mismatches(case, reference)]
    except SurgeonError as exc:
        return TensorComparison(op, record.name, Outcome.FAILED, exc.diagnostics[0].message)
    subject = f"{op}, {plural(len(cases.cases), 'case')} {BY_HAND}"
    if wrong:
        return TensorComparison(subject, record.name, Outcome.FAILED, f"it fails {', '.join(wrong)}")
    return TensorComparison(subject, record.name, Outcome.PASSED, "")


def compare_probes(
    graphs: GraphPair, record: RunRecord, limits: Limits
) -> tuple[list[RunRecord], list[Comparison]]:
    """Return the probes, and what the plugin that gives detections makes of each beside the original.

    The rest of the inputs is that of a record. There are none where nothing in the original stands for what
    the plugin reads. What no recipe can avoid is excused in any number where a probe is made to provoke it,
    and not at all elsewhere.
    """
    plugin = graphs.plugin
    if plugin is None:
        return [], []
    if graphs.added is not None:
        return _probes_of_added(graphs, plugin, record)
    wide = replace(limits, any_unavoidable=True)
    probes: list[RunRecord] = []
    comparisons: list[Comparison] = []
    try:
        if not given_to_plugin(graphs, plugin, record):
            return [], []
        for probe in probe_records(graphs, record):
            tell_stage("comparing on probes", probe.name)
            comparison = compare_plugin(graphs, plugin, probe, wide)
            # A probe in which nothing is detected is meant so, or shows by its power that it proves nothing.
            if comparison.outcome is Outcome.INCONCLUSIVE:
                comparison = replace(comparison, outcome=Outcome.PASSED)
            probes.append(probe)
            comparisons.append(comparison)
        if not probes:
            comparisons.append(_not_compared(plugin.name, record, "no probes: the detector has no class"))
    except SurgeonError as exc:
        reason = f"no probes: {exc.diagnostics[0].message}"
        comparisons.append(_not_compared(plugin.name, record, reason))
    return probes, comparisons


def _probes_of_added(
    graphs: GraphPair, plugin: Node, record: RunRecord
) -> tuple[list[RunRecord], list[Comparison]]:
    """Return the probes of a plugin that the recipe adds, which show its power; nothing in the original says
    what it should make of them.
    """
    probes: list[RunRecord] = []
    try:
        probes.extend(added_probe_records(graphs, record))
    except SurgeonError as exc:
        return probes, [_not_compared(plugin.name, record, f"no probes: {exc.diagnostics[0].message}")]
    if probes:
        return probes, []
    reason = f"no probes: '{plugin.name}' has no class, or no file says what {plugin.op} reads for a box"
    return [], [_not_compared(plugin.name, record, reason)]


def _not_compared(subject: object, record: RunRecord, reason: str) -> TensorComparison:
    return TensorComparison(str(subject), record.name, Outcome.NOT_COMPARED, reason)


def _starts_there(graphs: GraphPair, replaced: Replacement) -> bool:
    """Return whether both graphs start at an input, and no ``image`` says how it is made."""
    ref = Ref(replaced.node.name)
    return graphs.image is None and ref in graphs.inputs and ref not in graphs.prepared_inputs


def _input(graphs: GraphPair, replaced: Replacement, record: RunRecord, limits: Limits) -> Comparison:
    ref = Ref(replaced.node.name)
    origin = graphs.inputs.get(ref)
    if origin is None:
        return _not_compared(replaced, record, "no output of the recipe needs it")
    if ref not in graphs.prepared_inputs:
        reason = "the original is fed there" if origin in graphs.cuts else "it is not a picture"
        return _not_compared(replaced, record, reason)
    if record.prepared is None:
        reason = "the recipe has no 'image'" if graphs.image is None else "no picture is put in"
        return _not_compared(replaced, record, reason)
    return compare_tensors(
        str(replaced), record.name, record.values[origin], record.prepared.tensor, limits.tolerances.tensor
    )


def compare_anchors(
    graphs: GraphPair, record: RunRecord, limits: Limits, fields: Mapping[str, Fields] = _AS_THEY_ARE
) -> Comparison:
    """Compare the anchors and variances that the plugin reads with the original's.

    ``fields`` are other fields of nodes that make them. An excuse counts once for all anchors.
    """
    assert graphs.family is not None
    spaces = dict.fromkeys(space for replaced in graphs.anchor_makers for space in replaced.namespaces)
    subject = f"{', '.join(spaces)} -> {', '.join(replaced.node.name for replaced in graphs.anchor_makers)}"
    try:
        expected = graphs.family.anchor_input(record.values)
    except SurgeonError as exc:
        return _not_compared(subject, record, exc.diagnostics[0].message)
    ref, tolerance = graphs.inputs_by_port[graphs.family.anchor_port], limits.tolerances.box
    execution = graphs.execute(record.inputs)
    for name, changed_fields in fields.items():
        execution = execution.with_fields(name, changed_fields)
    comparison = compare_tensors(subject, "", expected, execution[ref], tolerance, relative=False)
    if comparison.outcome is not Outcome.FAILED:
        return comparison
    for counterfactual in rules_of(graphs, graphs.behind_anchors, fields):
        if fields and counterfactual.avoidable and not limits.allows_avoidable:
            continue  # it would be refused, and nobody reads its name
        changed = execution.with_rule_changed(counterfactual.name)[ref]
        then = compare_tensors(subject, "", expected, changed, tolerance, relative=False)
        if then.outcome is Outcome.PASSED:
            return _excused(comparison, counterfactual, limits)
    return comparison


def compare_decoding(
    graphs: GraphPair,
    decoder: DecodedInFront,
    record: RunRecord,
    limits: Limits,
    changed: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> list[Comparison]:
    """Compare the boxes that are decoded in front of the plugin with what the original's encodings and
    anchors give by the formula, box by box, and the scores of dropped boxes.

    The encodings are put in a second time, ten times as large, so that many boxes reach over the edges.
    ``changed`` are other values of constants that decode, by name.
    """
    assert graphs.family is not None and graphs.plugin is not None
    anchors = dict.fromkeys(
        space
        for replaced in graphs.match.replacements
        if replaced.node.name == decoder.decoding.anchors
        for space in replaced.namespaces
    )
    subject = f"{', '.join(anchors) or 'anchors'} -> {decoder.decoding.node}/decode"
    spec = graphs.runner.references[graphs.plugin.name].plugin
    try:
        given = dict(graphs.family.plugin_inputs(spec, graphs.plugin.attrs, record.values))
    except SurgeonError as exc:
        return [_not_compared(subject, record, exc.diagnostics[0].message)]
    if not given:
        return [_not_compared(subject, record, "nothing in the original stands for what is decoded")]
    rules = [
        rule for rule in rules_of(graphs, [decoder.decoding.node]) if rule.name in decoder.decoding.variants
    ]
    return compare_decoded(decoder, given, limits, subject, record.name, rules, changed)


def compare_decoded(
    decoder: DecodedInFront,
    given: Mapping[str, np.ndarray],
    limits: Limits,
    subject: str,
    picture: str,
    rules: Sequence[Counterfactual] = (),
    changed: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> list[Comparison]:
    """Compare what is decoded of encodings, scores and anchors, by port, with the formula.

    A difference is excused where boxes agree once one of the ``rules`` of the anchors is changed.
    """
    found: list[Comparison] = []
    for name, factor in ((subject, 1), (f"{subject}, encodings times {_WIDER}", _WIDER)):
        fed = {**given, "loc": np.float32(factor) * given["loc"]}
        boxes, dropped = decoder.expected(fed)
        made = decoder.run(fed, changed=changed)
        tolerance, decoded = limits.tolerances.box, decoder.taken(made)
        # Boxes that no clipping bounds may be huge; an error counts as a share of them then.
        scale = np.maximum(np.float32(1), np.abs(boxes))
        comparison = compare_tensors(name, picture, boxes / scale, decoded / scale, tolerance, relative=False)
        for rule in rules if comparison.outcome is Outcome.FAILED else ():
            exact = decoder.taken(decoder.run(fed, rule.name, changed))
            then = compare_tensors(name, picture, boxes / scale, exact / scale, tolerance, relative=False)
            if then.outcome is Outcome.PASSED:
                comparison = _excused(comparison, rule, limits)
                break
        found.append(comparison)
        if decoder.decoding.scores and not np.array_equal(kept(fed["conf"], made["conf"], dropped), dropped):
            reason = "scores of boxes without an area are kept, or others are changed"
            found.append(TensorComparison(name, picture, Outcome.FAILED, reason))
    return found


def _excused(
    comparison: TensorComparison, counterfactual: Counterfactual, limits: Limits
) -> TensorComparison:
    avoidable = [counterfactual.name] if counterfactual.avoidable else []
    refused = replace(limits, any_unavoidable=True).refused({counterfactual.name: 1}, avoidable, 1)
    return replace(
        comparison,
        outcome=Outcome.FAILED if refused else Outcome.PASSED,
        reason=refused or comparison.reason,
        excuse=counterfactual.name,
    )


def compare_plugin(
    graphs: GraphPair, plugin: Node, record: RunRecord, limits: Limits, fields: Fields | None = None
) -> Comparison:
    """Compare what the plugin detects, of the original's own heads and anchors, with what the original does.

    ``fields`` are other fields than the plugin's own.
    """
    replaced = next((r for r in graphs.match.replacements if r.node.name == plugin.name), None)
    subject = str(replaced) if replaced is not None else plugin.name
    try:
        given = given_to_plugin(graphs, plugin, record, fields)
    except SurgeonError as exc:
        return _not_compared(subject, record, exc.diagnostics[0].message)
    if not given:
        return _not_compared(subject, record, f"nothing in the original stands for the inputs of {plugin.op}")

    def run(change: str) -> Mapping[str, np.ndarray]:
        own = (change,) if change in graphs.runner.references[plugin.name].changes else ()
        read = given
        if graphs.decoding is not None and change in graphs.decoding.variants:
            read = given_to_plugin(graphs, plugin, record, fields, change)
        return graphs.by_part(graphs.runner.alone(plugin.name, read, own, fields))

    assert record.detections is not None
    original = record.detections.without_masks
    rerun = partial(detections_of, graphs, run, record.window)
    counterfactuals = [
        rule
        for rule in rules_of(graphs, [plugin.name], () if fields is None else [plugin.name])
        if rule.avoidable or record.all_rules
    ]
    try:
        return compare_detections(subject, record.name, original, rerun(""), limits, counterfactuals, rerun)
    except SurgeonError as exc:
        return TensorComparison(subject, record.name, Outcome.FAILED, exc.diagnostics[0].message)


def given_to_plugin(
    graphs: GraphPair, plugin: Node, record: RunRecord, fields: Fields | None = None, rule: str = ""
) -> list[np.ndarray]:
    """Return what the original gives to a plugin, in the order in which it reads it; nothing where nothing in
    the original stands for its ports.

    ``fields`` are other fields than the plugin's own, ``rule`` one of the anchors that is changed. Raise
    SurgeonError where the original does not tell it.
    """
    if graphs.added is not None:
        return given_to_added(graphs, record)
    assert graphs.family is not None
    spec = graphs.runner.references[plugin.name].plugin
    node = plugin if fields is None else replace(plugin, attrs=fields)
    given = graphs.family.plugin_inputs(spec, node.attrs, record.values)
    if given and graphs.decoder is not None:
        given = graphs.decoder.run(given, rule)
    ports = {ref: port for port, ref in spec.inputs_by_port(node).items()}
    return [given[ports[ref]] for ref in plugin.inputs] if given else []


def compare_region(
    graphs: GraphPair,
    region: Region,
    record: RunRecord,
    limits: Limits,
    fields: Mapping[str, Fields] = _AS_THEY_ARE,
    *,
    changed: Mapping[str, Node] = MappingProxyType({}),
) -> list[Comparison]:
    """Compare what a node put in gives with the tensors whose place it takes, on the original's values and on
    wider ones.

    ``fields`` are other fields of plugin nodes in the region, ``changed`` other nodes in the place of
    ordinary ones, by name.
    """
    if region.reason:
        return [_not_compared(region.replaced, record, region.reason)]
    given = {ref: record.values[origin] for ref, origin in region.fed.items()}
    found = _against(graphs, region, given, record.values, record, limits, fields, changed)
    kept = graphs.regions.bounded(region)
    with np.errstate(over="ignore"):
        wide = {
            ref: value if ref in kept else np.float32(_WIDER) * value
            for ref, value in given.items()
            if value.dtype == np.float32
        }
    if (
        len(wide) != len(region.fed)
        or len(wide) <= len(kept)
        or any(c.outcome is Outcome.FAILED for c in found)
    ):
        return found
    # Small values may not reach a bound of the node, such as that of a clip.
    try:
        expected = graphs.original.fetch(
            list(region.outputs.values()),
            {**graphs.fixed, **{region.fed[ref]: value for ref, value in wide.items()}},
        )
    except SurgeonError:
        return found
    # What overflows in the original need not overflow where the same is computed in another way.
    expected = {origin: value for origin, value in expected.items() if _is_finite(value)}
    name = f"{region.replaced}, inputs times {_WIDER}"
    return [
        *found,
        *(
            c
            for c in _against(graphs, region, wide, expected, record, limits, fields, changed, name)
            if c.outcome is Outcome.FAILED
        ),
    ]


def _longer(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of a shape that are not one."""
    return tuple(size for size in shape if size != 1)


def _is_finite(value: np.ndarray) -> bool:
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _against(
    graphs: GraphPair,
    region: Region,
    given: Arrays,
    expected: Arrays,
    record: RunRecord,
    limits: Limits,
    fields: Mapping[str, Fields],
    changed: Mapping[str, Node],
    name: str = "",
) -> list[Comparison]:
    """Run a region on the given inputs, and compare its outputs with those of the original's tensors that are
    in ``expected``.
    """
    subject = name or str(region.replaced)
    try:
        runner = graphs.regions.runner_of(region, given, changed)
        fed = {graphs.regions.entry(ref): value for ref, value in given.items()}
        run = Execution(runner, fed, fields=fields)
        values = {ref: run[ref] for ref in region.outputs}
    except SurgeonError as exc:
        return [TensorComparison(subject, record.name, Outcome.FAILED, exc.diagnostics[0].message)]
    found: list[Comparison] = []
    for ref, origin in region.outputs.items():
        if origin not in expected:
            continue
        wanted, value = expected[origin], values[ref]
        flat = value.size == wanted.size and set(value.shape[2:]) <= {1}
        if flat or _longer(value.shape) == _longer(wanted.shape):
            # A plugin that flattens, or an axis of one more, keeps the order of the numbers.
            wanted = wanted.reshape(value.shape)
        port = subject if ref.slot == 0 else f"{subject}:{ref.slot}"
        if value.shape != wanted.shape:
            found.append(
                _not_compared(port, record, f"it gives {shown(value)} where the original has {shown(wanted)}")
            )
        else:
            found.append(compare_tensors(port, record.name, wanted, value, limits.tolerances.tensor))
    return found
