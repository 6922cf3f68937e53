"""Every node put in, alone: on the original's own values, against what it replaced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.graph import DType, Graph, Node, Ref
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.runners.rewritten import Arrays, RewrittenRunner
from surgeon.verification.compare_outputs import compare_plugin, known_changes
from surgeon.verification.comparison import EXACT_RATIOS, Limits, compare_tensors, shown
from surgeon.verification.correspondence import Replacement
from surgeon.verification.graph_pair import Region, Sample, Sides
from surgeon.verification.results import Comparison, Outcome, TensorComparison

_WIDER = 10
"""Factor by which the original's values are put into a node a second time."""


def compare_alone(sides: Sides, sample: Sample, limits: Limits, *, first: bool) -> list[Comparison]:
    """Compare each node put in with what it replaced.

    The anchors, which no picture changes, with the first one only.
    """
    found = [_input(sides, r, sample, limits) for r in sides.match.replacements if r.node.op in PLACEHOLDERS]
    if sides.anchor_makers and first:
        found.append(_anchors(sides, sample, limits))
    for region in sides.regions:
        found += _region(sides, region, sample, limits)
    if sides.plugin is not None:
        found.append(_detections(sides, sides.plugin, sample, limits))
    return found


def _not_compared(subject: object, sample: Sample, reason: str) -> TensorComparison:
    return TensorComparison(str(subject), sample.name, Outcome.NOT_COMPARED, reason)


# --- inputs
# ---------------------------------------------------------------------------------------------------------


def _input(sides: Sides, replaced: Replacement, sample: Sample, limits: Limits) -> Comparison:
    ref = Ref(replaced.node.name)
    origin = sides.inputs.get(ref)
    if origin is None:
        return _not_compared(replaced, sample, "no output of the recipe needs it")
    if ref not in sides.prepared_inputs:
        return _not_compared(replaced, sample, "it is no picture")
    if sample.prepared is None:
        return _not_compared(replaced, sample, "the recipe has no 'image'")
    return compare_tensors(
        str(replaced), sample.name, sample.values[origin], sample.prepared.tensor, limits.tolerances.tensor
    )


# --- anchors
# --------------------------------------------------------------------------------------------------------


def _anchors(sides: Sides, sample: Sample, limits: Limits) -> Comparison:
    """Compare the anchors and variances that the plugin reads with the original's.

    An excuse counts once for all of them.
    """
    spaces = dict.fromkeys(space for replaced in sides.anchor_makers for space in replaced.namespaces)
    subject = f"{', '.join(spaces)} -> {', '.join(replaced.node.name for replaced in sides.anchor_makers)}"
    try:
        expected = _prior(sides, sample)
    except SurgeonError as exc:
        return _not_compared(subject, sample, exc.diagnostics[0].message)
    ref, tolerance = sides.inputs_by_port["prior"], limits.tolerances.box
    found = compare_tensors(subject, "", expected, sample.cut[ref], tolerance, relative=False)
    references = sides.runner.references
    changes = {name: (EXACT_RATIOS,) for name in references if EXACT_RATIOS in references[name].changes}
    if found.outcome is not Outcome.FAILED or not changes:
        return found
    then = compare_tensors(subject, "", expected, sample.cut.changed(changes)[ref], tolerance, relative=False)
    if then.outcome is not Outcome.PASSED:
        return found
    refused = limits.refused({EXACT_RATIOS: 1}, 0)
    outcome = Outcome.FAILED if refused else Outcome.PASSED
    return TensorComparison(
        subject,
        "",
        outcome,
        refused or found.reason,
        found.tensor,
        found.error,
        found.tolerance,
        EXACT_RATIOS,
    )


def _prior(sides: Sides, sample: Sample) -> np.ndarray:
    """Return the original's anchors and variances as NMS_TRT reads them, float32[1, 2, 4P, 1].

    Raise SurgeonError where the original does not tell them.
    """
    assert sides.detector is not None
    anchors = sample.values[sides.detector.anchors_tensor.value].reshape(-1, 4)[:, [1, 0, 3, 2]]
    variances = np.broadcast_to(np.asarray(sides.detector.coder.value, np.float32), anchors.shape)
    return np.stack([anchors.reshape(-1), variances.reshape(-1)])[None, :, :, None].astype(np.float32)


# --- detections
# -------------------------------------------------------------------------------------------------------


def _detections(sides: Sides, plugin: Node, sample: Sample, limits: Limits) -> Comparison:
    replaced = next((r for r in sides.match.replacements if r.node.name == plugin.name), None)
    subject = str(replaced) if replaced is not None else plugin.name
    if not sides.inputs_by_port:
        return _not_compared(subject, sample, f"nothing in the original stands for the inputs of {plugin.op}")
    try:
        given = _plugin_inputs(sides, plugin, sample)
    except SurgeonError as exc:
        return _not_compared(subject, sample, exc.diagnostics[0].message)

    def run(change: str) -> Sequence[np.ndarray]:
        return sides.runner.alone(plugin.name, given, (change,) if change else ())

    try:
        return compare_plugin(
            sides, subject, sample, run, known_changes([sides.runner.references[plugin.name]]), limits
        )
    except SurgeonError as exc:
        return TensorComparison(subject, sample.name, Outcome.FAILED, exc.diagnostics[0].message)


def _plugin_inputs(sides: Sides, plugin: Node, sample: Sample) -> list[np.ndarray]:
    """Return the original's encodings, scores and anchors in the order in which the plugin reads them.

    Scores are converted where the plugin does not do so itself. Raise SurgeonError where the original does
    not tell them.
    """
    assert sides.detector is not None
    ports, detector = sides.inputs_by_port, sides.detector
    scores = sample.values[detector.logits.value] * np.float32(detector.logit_scale.value)
    if not plugin.attrs.get("confSigmoid"):
        scores = _converted(scores, detector.score_converter.value)
    encodings = sample.values[detector.encodings.value]
    given = {
        ports["loc"]: _flat(encodings),
        ports["conf"]: _flat(scores),
        ports["prior"]: _prior(sides, sample),
    }
    return [given[ref] for ref in plugin.inputs]


def _flat(array: np.ndarray) -> np.ndarray:
    """Return float32[N, ...] as float32[N, X, 1, 1]."""
    return array.reshape(len(array), -1, 1, 1).astype(np.float32)


def _converted(logits: np.ndarray, converter: str) -> np.ndarray:
    """Return the scores float32[N, P, C] that the original's converter makes of logits."""
    if converter == "softmax":
        power = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(power / power.sum(axis=-1, keepdims=True), np.float32)
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32) if converter == "sigmoid" else logits


# --- anything else
# ----------------------------------------------------------------------------------------------------


def _region(sides: Sides, region: Region, sample: Sample, limits: Limits) -> list[Comparison]:
    """Compare what a node put in gives with the tensors whose place it takes, on the original's values and on
    wider ones.
    """
    if region.reason:
        return [_not_compared(region.replaced, sample, region.reason)]
    given = {ref: sample.values[origin] for ref, origin in region.fed.items()}
    found = _against(sides, region, given, sample.values, sample, limits)
    wide = {ref: np.float32(_WIDER) * value for ref, value in given.items() if value.dtype == np.float32}
    if len(wide) != len(region.fed) or not wide or any(c.outcome is Outcome.FAILED for c in found):
        return found
    # Small values may not reach a bound of the node, such as that of a clip.
    try:
        expected = sides.original.part(
            list(region.outputs.values()), {region.fed[ref]: value for ref, value in wide.items()}
        )
    except SurgeonError:
        return found
    name = f"{region.replaced}, inputs times {_WIDER}"
    return [
        *found,
        *(
            c
            for c in _against(sides, region, wide, expected, sample, limits, name)
            if c.outcome is Outcome.FAILED
        ),
    ]


def _against(
    sides: Sides,
    region: Region,
    given: Arrays,
    expected: Arrays,
    sample: Sample,
    limits: Limits,
    name: str = "",
) -> list[Comparison]:
    """Run a region on the given inputs, and compare its outputs with the original's tensors in
    ``expected``.
    """
    subject = name or str(region.replaced)
    try:
        graph = sides.runner.graph
        runner = RewrittenRunner(_cut_out(graph, region, given), sides.catalog, list(region.outputs))
        run = runner.run({_entry(graph, ref): value for ref, value in given.items()})
    except SurgeonError as exc:
        return [TensorComparison(subject, sample.name, Outcome.FAILED, exc.diagnostics[0].message)]
    found: list[Comparison] = []
    for ref, origin in region.outputs.items():
        wanted, value = expected[origin], run[ref]
        if value.shape != wanted.shape and value.size == wanted.size and set(value.shape[2:]) <= {1}:
            # A plugin that flattens keeps the order of the numbers.
            wanted = wanted.reshape(value.shape)
        port = subject if ref.slot == 0 else f"{subject}:{ref.slot}"
        if value.shape != wanted.shape:
            found.append(
                _not_compared(port, sample, f"it gives {shown(value)} where the original has {shown(wanted)}")
            )
        else:
            found.append(compare_tensors(port, sample.name, wanted, value, limits.tolerances.tensor))
    return found


def _cut_out(graph: Graph, region: Region, given: Arrays) -> Graph:
    """Return the region as a graph of its own, with placeholders for what goes in."""
    nodes = []
    for node in graph:
        if node.name in region.nodes:
            nodes.append(
                node.with_inputs(
                    tuple(_entry(graph, ref) if ref in region.fed else ref for ref in node.inputs), ()
                )
            )
    entries = [
        Node(_entry(graph, ref).node, "Placeholder", attrs={"dtype": DType.of(value.dtype)})
        for ref, value in given.items()
    ]
    return graph.replace([*entries, *nodes], ())


def _entry(graph: Graph, ref: Ref) -> Ref:
    """Return the placeholder that stands for a tensor which goes in."""
    return Ref(graph.free_name(f"{ref.node}/fed{ref.slot}"))
