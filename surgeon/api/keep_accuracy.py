"""Engines of less precision that detect what the FP32 engine does: which layers stay in FP32 is found by
building some engines and comparing their detections.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from surgeon.catalog.detections import gives_detections
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error
from surgeon.engine import BuildOptions, BuildResult, CalibrationBatches, Source, build, load_engine
from surgeon.engine.builds import describe_network, inspect_engine, keep_engine, kept_engine
from surgeon.engine.manifest import Accuracy, PrecisionTrial
from surgeon.engine.precision_search import Candidates, NetworkLayer, candidates_of, fewest_in_fp32
from surgeon.engine.worker_client import Watch
from surgeon.runners.average_precision import average_precision, coco_modules
from surgeon.runners.detection_runner import DetectionRunner
from surgeon.runners.detections import Detections
from surgeon.runners.drawing import ranked
from surgeon.runners.engine import EngineRunner
from surgeon.runners.image import given_pictures
from surgeon.runners.image_result import THRESHOLD
from surgeon.stages import tell_stage

if TYPE_CHECKING:
    from surgeon.engine.builds import NetworkDescription

MAX_BUILDS = 8
"""Engines that a search builds unless another number is asked for, the FP32 engine included."""

LEAST_BUILDS = 2
MOST_LOSS = 100.0


@dataclass(frozen=True)
class Aim:
    """What a search has to reach, and by what it may go.

    ``loss`` is in points of mean average precision, as in :class:`surgeon.engine.Accuracy`. ``pictures`` is a
    folder, or arrays uint8[H, W, 3].
    """

    loss: float
    max_builds: int
    pictures: Path | Sequence[np.ndarray]


def check_aim(loss: float, max_builds: int, options: BuildOptions, source: Source, pictures: object) -> None:
    """Raise SurgeonError B112 where an aim is none, or cannot be had of these options and this network."""
    problems = (
        (not 0 <= loss <= MOST_LOSS, f"a loss of {loss:g} points was allowed", f"0 to {MOST_LOSS:g} points"),
        (max_builds < LEAST_BUILDS, f"{max_builds} build was allowed", f"{LEAST_BUILDS} or more"),
        (
            options.precision == "fp32",
            "the engine is FP32, which is what it would be compared with",
            "FP16 or INT8",
        ),
        (pictures is None, "there are no pictures", "those of '--calibration', for FP16, too"),
        (not gives_detections(source.detections), "the network gives no detections", "a detector"),
        (source.image is None, "it is not known how a picture becomes the input", "a recipe with an 'image'"),
    )
    for wrong, problem, expected in problems:
        if wrong:
            raise error(
                "B112",
                f"the accuracy cannot be kept: {problem}; expected {expected}",
                help=["'surgeon explain B112' says what '--keep-accuracy' needs"],
            )


def build_accurate(
    source: Source,
    output: Path,
    options: BuildOptions,
    aim: Aim,
    folder: Path,
    *,
    libraries: Sequence[Path] = (),
    shapes: Mapping[str, Sequence[Sequence[int]]] | None = None,
    calibration: CalibrationBatches,
    timing_cache: Path | None = None,
    force: bool = False,
    timeout: float,
    watch: Watch | None = None,
) -> BuildResult:
    """Build an engine that loses at most ``aim.loss`` points against FP32, with few layers in FP32.

    Each engine that is better than the one before it is put in the place of ``output``, with its manifest; an
    end on the way leaves the best so far. Where no engine reaches the aim, it is that which loses least.
    ``folder`` is for engines in between. The other arguments are those of :func:`surgeon.engine.build`. Raise
    SurgeonError as that does, B112 where this TensorRT cannot keep layers in FP32, B113 where the FP32 engine
    detects nothing, and E108 where pycocotools is missing.
    """
    coco_modules()
    for_int8 = calibration if options.precision == "int8" else None
    network = describe_network(source, options, libraries, shapes, for_int8, timeout, watch)
    key = _key(network, aim, calibration)
    kept = None if force else kept_engine(output, key, network.platform)
    if kept is not None and kept.accuracy is not None and kept.accuracy.complete:
        return BuildResult(output, kept, True, inspect_engine(output, libraries) if options.report else "")
    if not network.constraint:
        raise error(
            "B112",
            f"the accuracy cannot be kept: TensorRT {network.platform.tensorrt} takes precisions from the "
            "file; expected a version up to 10",
            help=["leave '--keep-accuracy' out, and give the file its precisions"],
        )
    settings = {
        "libraries": libraries,
        "shapes": shapes,
        "timing_cache": timing_cache or folder / "timing",
        "timeout": timeout,
        "watch": watch,
    }
    search = _Search(source, output, options, aim, folder, calibration, key, network.layers, settings)
    return search.run(candidates_of(network.layers))


def not_reached(built: BuildResult) -> tuple[Diagnostic, ...]:
    """Return the warning B114 for an engine that loses more than was allowed; empty where it does not."""
    accuracy = built.manifest.accuracy
    if accuracy is None or accuracy.reached:
        return ()
    return (
        Diagnostic(
            "B114",
            f"the engine loses {accuracy.loss:.2f} points of mean average precision; expected at most "
            f"{accuracy.target:g}",
            str(built.path),
            (f"{len(accuracy.trials)} engines were built, and this one loses least",),
            ("allow more builds with --max-builds, more loss with --keep-accuracy, or use --fp16",),
            Severity.WARNING,
        ),
    )


def _key(network: NetworkDescription, aim: Aim, calibration: CalibrationBatches) -> str:
    parts = [network.key, "keep accuracy", aim.loss, aim.max_builds, calibration.digest]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass
class _Search:
    """A search as it goes: the FP32 engine's detections, what was tried, and the best engine so far."""

    source: Source
    output: Path
    options: BuildOptions
    aim: Aim
    folder: Path
    calibration: CalibrationBatches
    key: str
    layers: Sequence[NetworkLayer]
    settings: Mapping[str, Any]
    trials: list[PrecisionTrial] = field(default_factory=list)
    truth: list[Detections] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    best: BuildResult | None = None
    failure: SurgeonError | None = None

    def run(self, candidates: Candidates) -> BuildResult:
        self._measure_fp32()
        fewest_in_fp32(candidates, self._suffices, self.aim.max_builds - 1)
        if self.best is None:
            assert self.failure is not None
            raise self.failure
        accuracy = self.best.manifest.accuracy
        assert accuracy is not None
        found = accuracy.model_copy(update={"complete": True, "trials": tuple(self.trials)})
        return self._keep(self.best, found)

    def _measure_fp32(self) -> None:
        """Take what the FP32 engine detects with a score that counts for the truth."""
        self._tell(1)
        exact = replace(self.options, precision="fp32", tf32=False, dla_core=None, report=False)
        engine = self.folder / "fp32.engine"
        build(self.source, engine, exact, **self.settings)
        found, self.sizes = self._detected(engine)
        self.truth = [ranked(each, THRESHOLD) for each in found]
        if not any(map(len, self.truth)):
            raise error(
                "B113",
                f"the FP32 engine detects nothing with a score of {THRESHOLD:g} or more in "
                f"{len(self.truth)} pictures; expected pictures of what the network detects",
                help=["give other pictures with --calibration"],
            )

    def _suffices(self, in_fp32: tuple[int, ...]) -> bool:
        """Build an engine with these layers in FP32; keep it where it is better than the best so far."""
        self._tell(len(self.trials) + 2)
        engine = self.folder / "candidate.engine"
        calibration = self.calibration if self.options.precision == "int8" else None
        try:
            built = build(
                self.source,
                engine,
                self.options,
                in_fp32=in_fp32,
                calibration=calibration,
                **self.settings,
            )
            found, _ = self._detected(engine)
        except SurgeonError as exc:
            self.failure = self.failure or exc
            problem = exc.diagnostics[0].message
            self.trials.append(PrecisionTrial(in_fp32=len(in_fp32), map=None, problem=problem))
            return False
        judged = average_precision(self.truth, found, self.sizes)
        seconds = built.manifest.build_seconds
        self.trials.append(PrecisionTrial(in_fp32=len(in_fp32), map=judged.map, build_seconds=seconds))
        accuracy = Accuracy(
            target=self.aim.loss,
            loss=max(0.0, 100 * (1 - judged.map)),
            map=judged.map,
            map50=judged.map50,
            pictures=len(self.truth),
            max_builds=self.aim.max_builds,
            complete=False,
            in_fp32=tuple(self.layers[number].name for number in in_fp32),
            trials=tuple(self.trials),
        )
        if self._is_better(accuracy):
            self.best = self._keep(built, accuracy)
        return accuracy.reached

    def _is_better(self, accuracy: Accuracy) -> bool:
        best = None if self.best is None else self.best.manifest.accuracy
        if best is None:
            return True
        if accuracy.reached and best.reached:
            return len(accuracy.in_fp32) < len(best.in_fp32)
        return accuracy.loss < best.loss

    def _keep(self, built: BuildResult, accuracy: Accuracy) -> BuildResult:
        manifest = built.manifest.model_copy(update={"accuracy": accuracy, "key": self.key})
        return keep_engine(built, self.output, manifest)

    def _detected(self, engine: Path) -> tuple[list[Detections], list[tuple[int, int]]]:
        """Return what an engine detects in each of the pictures that calibrate, and their sizes."""
        pictures = self.aim.pictures
        given = given_pictures(pictures if isinstance(pictures, Path) else list(pictures))
        taken = islice(given, self.calibration.pictures)
        loaded = load_engine(engine, plugin_libraries=self.settings["libraries"])
        with EngineRunner(loaded) as runner:
            results = [result for _, result in DetectionRunner(runner).detect(taken, threshold=0.0)]
        found = [result.detections for result in results if result.detections is not None]
        return found, [result.size for result in results]

    def _tell(self, number: int) -> None:
        tell_stage("keeping the accuracy", "engine", number, self.aim.max_builds)
