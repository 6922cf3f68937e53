"""What was made of a rewritten graph for a runtime (an engine, an ONNX file), held against the original."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from surgeon.diagnostics import error
from surgeon.engine import Engine
from surgeon.graph import Ref
from surgeon.language.recipe import Image
from surgeon.runners.detections import Detections, detections_of_plugin
from surgeon.runners.drawing import draw
from surgeon.runners.image import Picture, prepare
from surgeon.runners.rewritten import Execution
from surgeon.verification.compare_outputs import PluginRun, known_changes, outputs_of, rerun
from surgeon.verification.comparison import EXCUSES, Limits, compare_detections, compare_tensors, shown
from surgeon.verification.graph_pair import Sample, Sides
from surgeon.verification.recorded_runs import Facts, Original, Reruns
from surgeon.verification.results import Comparison, Outcome, TensorComparison, Verification
from surgeon.verification.verification import CUT, END, NO_PREPARATION, verdict


class Deployed(Protocol):
    """A file that a runtime executes, fed in the model's own layout, the batch first."""

    @property
    def subject(self) -> str:
        """The file."""

    @property
    def graph(self) -> str:
        """The digest of the original graph, '' where it is not known."""

    @property
    def image(self) -> Image | None:
        """How a picture becomes the input."""

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the inputs."""

    @property
    def detections(self) -> Mapping[str, str]:
        """Outputs that hold detections, by port; none where it gives no detections."""

    @property
    def told(self) -> Mapping[str, str]:
        """What to know of it: precision, versions, the GPU."""

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of one batch by name."""


class EngineDeployed:
    """An engine as :class:`Deployed`."""

    def __init__(self, engine: Engine) -> None:
        manifest = engine.manifest
        self.subject, self.graph, self.image = str(engine.path), manifest.graph, manifest.image
        self.inputs = tuple(tensor.name for tensor in manifest.inputs)
        self.detections = manifest.detections
        tf32 = manifest.tf32 and manifest.precision == "fp32"
        self.told = {
            "engine": self.subject,
            "precision": manifest.precision + (" with TF32" if tf32 else ""),
            "TensorRT": manifest.tensorrt,
            "GPU": manifest.gpu,
        }
        self.run = engine.run


def originals(sides: Sides, pictures: Iterable[Picture], seed: int) -> Iterable[Original]:
    """Yield what the original computes of each picture, or of numbers made up from ``seed`` where it reads no
    picture.
    """
    for picture in pictures if sides.picture_ref is not None else [None]:
        yield original_of(sides, picture, sides.sample(picture, seed))


def facts_of(sides: Sides, *, graph: str, recipe: str, target: str, made: bool) -> Facts:
    """Return what all originals have in common."""
    return Facts(
        graph=graph,
        recipe=recipe,
        target=target,
        made=made or sides.picture_ref is None,
        labels=dict(sides.recipe.labels),
        image=sides.image,
        prepared=tuple(str(ref) for ref in sides.prepared_inputs),
    )


def original_of(sides: Sides, picture: Picture | None, sample: Sample) -> Original:
    """Return what the original computed of one sample, with the reruns that may excuse differences."""
    inputs = {str(ref): sample.values[origin] for ref, origin in sides.inputs.items()}
    tensors = {str(ref): sample.values[origin] for ref, origin in sides.outputs.items() if origin is not None}
    pixels = sides.seen(picture) if picture is not None and sides.picture_ref is not None else None
    if sides.plugin is None:
        return Original(sample.name, pixels, sample.window, inputs, None, tensors)
    end = None
    if sample.prepared is not None:
        prepared = sample.prepared.tensor
        feeds = {
            ref: prepared if ref in sides.prepared_inputs else sample.values[origin]
            for ref, origin in sides.inputs.items()
        }
        if all(value.shape == sample.values[sides.inputs[ref]].shape for ref, value in feeds.items()):
            end = _reruns(sides, sample, lambda: sides.runner.run(feeds))
    return Original(
        sample.name,
        pixels,
        sample.window,
        inputs,
        sides.of_original(sample),
        tensors,
        known_changes(sides.runner.references.values()),
        _reruns(sides, sample, lambda: sample.cut),
        end,
    )


def _reruns(sides: Sides, sample: Sample, execute: Callable[[], Execution]) -> Reruns:
    runs: list[PluginRun] = []

    def again(change: str) -> Detections:
        if not runs:  # the run is made when the first difference asks for it
            runs.append(partial(outputs_of, sides, execute()))
        return rerun(sides, sample, runs[0], change)

    return again


def verify_deployed(
    deployed: Deployed, facts: Facts, found: Iterable[Original], limits: Limits, *, output: Path | None = None
) -> Verification:
    """Run a file on the originals' inputs (cut to cut) and on their pixels (end to end), and compare with the
    originals.

    A difference is excused where the rewritten graph's references show the same one, and with one rule
    changed do not. Raise SurgeonError V124 where the file was made from another graph, V125 where it has
    other inputs, and what running it raises.
    """
    if deployed.graph and facts.graph and deployed.graph != facts.graph:
        raise error(
            "V124",
            f"'{deployed.subject}' was made from another graph than the original",
            deployed.subject,
            [f"its graph:    {deployed.graph}", f"the original: {facts.graph}"],
            ["build it from this model, or give the model it was built from"],
        )
    comparisons: dict[str, list[Comparison]] = {CUT: [], END: []}
    names: list[str] = []
    drawn: list[str] = []
    for original in found:
        names.append(original.name)
        _check_inputs(deployed, original)
        outputs = deployed.run(original.inputs)
        window = original.window
        at_cut = _compare(deployed, original, outputs, window, original.cut, limits)
        comparisons[CUT] += at_cut
        prepared = _prepared(deployed, facts, original)
        misfit = _misfit(original, prepared[0]) if prepared is not None else None
        if not facts.prepared:
            comparisons[END] += at_cut
        elif misfit is not None:
            comparisons[END].append(misfit)
        elif prepared is not None:
            feeds, window = prepared
            outputs = deployed.run(feeds)
            comparisons[END] += _compare(deployed, original, outputs, window, original.end, limits)
        if output is not None and original.pixels is not None and original.detections is not None:
            picture = Picture(original.name, original.pixels, Path(original.name))
            drawn.append(
                str(
                    draw(
                        picture,
                        original.detections,
                        _detected(deployed, outputs, window),
                        output,
                        facts.labels,
                    )
                )
            )
    unsaid = "" if comparisons[END] else f"'{deployed.subject}' does not say how a picture becomes the input"
    verdicts = (
        verdict(CUT, comparisons[CUT]),
        verdict(END, comparisons[END], unsaid if facts.prepared else NO_PREPARATION),
    )
    used = dict.fromkeys(name for one in verdicts for name in one.excused)
    return Verification(
        facts.recipe,
        facts.target,
        tuple(names),
        facts.made,
        limits.tolerances,
        limits.max_excused,
        verdicts,
        {name: text for name, text in EXCUSES.items() if name in used},
        dict(facts.labels),
        tuple(drawn),
        dict(deployed.told),
    )


def _check_inputs(deployed: Deployed, original: Original) -> None:
    if set(deployed.inputs) != set(original.inputs):
        raise error(
            "V125",
            f"'{deployed.subject}' has the inputs {_listed(deployed.inputs)}; expected those of the "
            "original, "
            f"{_listed(original.inputs)}",
            deployed.subject,
            help=["build it with the recipe that the original was stored with"],
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"


def _prepared(
    deployed: Deployed, facts: Facts, original: Original
) -> tuple[dict[str, np.ndarray], tuple[float, float]] | None:
    """Return what the file's own preparation makes of the pixels, with the window.

    None where nothing is prepared.
    """
    if deployed.image is None or original.pixels is None or not facts.prepared:
        return None
    made = prepare(deployed.image, original.pixels)
    return {**original.inputs, **dict.fromkeys(facts.prepared, made.tensor)}, made.window


def _misfit(original: Original, feeds: Mapping[str, np.ndarray]) -> Comparison | None:
    """Return a failed comparison where what is fed has another shape than the original's own input."""
    for name, value in feeds.items():
        wanted = original.inputs[name]
        if value.shape != wanted.shape:
            reason = f"'image' gives {shown(value)}; '{name}' is {shown(wanted)}"
            return TensorComparison(name, original.name, Outcome.FAILED, reason)
    return None


def _detected(
    deployed: Deployed, outputs: Mapping[str, np.ndarray], window: tuple[float, float]
) -> Detections:
    return detections_of_plugin({port: outputs[name] for port, name in deployed.detections.items()})[
        0
    ].within(window)


def _compare(
    deployed: Deployed,
    original: Original,
    outputs: Mapping[str, np.ndarray],
    window: tuple[float, float],
    again: Reruns | None,
    limits: Limits,
) -> list[Comparison]:
    """Compare detections as such, and other outputs that the original has as tensors."""
    found: list[Comparison] = []
    if original.detections is not None:
        if not deployed.detections:
            return [
                TensorComparison(
                    deployed.subject,
                    original.name,
                    Outcome.FAILED,
                    "it gives no detections; the original does",
                )
            ]
        mine = _detected(deployed, outputs, window)
        subject = Ref.parse(next(iter(deployed.detections.values()))).node
        changes = original.changes if again is not None else ()
        found.append(
            compare_detections(
                subject, original.name, original.detections, mine, limits, changes, again, by_reference=False
            )
        )
    for name, expected in original.tensors.items():
        if name not in outputs:
            found.append(TensorComparison(name, original.name, Outcome.FAILED, "the file has no such output"))
        else:
            found.append(
                compare_tensors(name, original.name, expected, outputs[name], limits.tolerances.tensor)
            )
    return found
