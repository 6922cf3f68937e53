"""The job ``evaluate``: average precision of the original, the rewritten graph and an ONNX file on a CPU."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from surgeon.api.evaluate import evaluate
from surgeon.cluster.digests import digest_of
from surgeon.cluster.job import InputPath, JobCall, JobKind, JobOptions, JobResult
from surgeon.cluster.jobs.given_file import converted_file
from surgeon.cluster.jobs.verify import verdict_of
from surgeon.diagnostics import error
from surgeon.evaluation import Evaluation
from surgeon.evaluation.dataset import read_dataset
from surgeon.language.recipe import Whole
from surgeon.targets import load_target

FOLDER = "evaluation"
ONNX_RUNTIME = "onnxruntime"


class EvaluateOptions(JobOptions):
    """What may be said of ``evaluate``; the options are those of the verb. The dataset is the cell's."""

    images: str | None = Field(None, description="The folder of the dataset's pictures.")
    split: str | None = Field(None, description="A list of Pascal VOC, such as val.")
    pictures: Whole | None = Field(None, gt=0, description="How many of the first pictures count.")
    labels: InputPath | None = Field(None, description="A label map of the detector's classes.")
    classes: Mapping[str, str | int | None] = Field(
        default_factory=dict, description="The detector's class for one of the dataset."
    )
    max_drop: float = Field(0.5, ge=0, description="Points of average precision that a side may lose.")
    batch: Whole | None = Field(None, gt=0, description="Pictures at a time.")
    resamples: Whole = Field(1000, gt=0, description="Resamples for the intervals.")
    seed: Whole = Field(0, ge=0, description="Seed of the resamples.")


def _uses(values: Mapping[str, Any], earlier: frozenset[str]) -> tuple[str, ...]:
    """Return the job whose file ONNX Runtime runs, where the cell's target is that."""
    runs = "target" in values and load_target(values["target"]).runtime == ONNX_RUNTIME
    return ("convert",) if runs and "convert" in earlier else ()


def dataset_facts(folder: Path, values: Mapping[str, Any], options: EvaluateOptions) -> dict[str, Any]:
    """Return where a cell's dataset and pictures are, and the digest of all that counts of them.

    Raise SurgeonError F107 for a cell without a dataset, V140 to V143 for one that cannot be used.
    """
    if "dataset" not in values:
        raise error(
            "F107",
            f"the job '{options.job}' has no dataset; expected annotated pictures",
            help=["give the axis 'dataset' in the matrix"],
        )
    dataset = os.path.abspath(folder / values["dataset"])
    images = None if options.images is None else os.path.abspath(folder / options.images)
    digest = _dataset_digest(dataset, images, options.split, options.pictures)
    return {"places": {"dataset": dataset, "images": images}, "dataset": digest}


@lru_cache(maxsize=64)
def _dataset_digest(dataset: str, images: str | None, split: str | None, count: int | None) -> str:
    """Return a digest of pictures, objects and classes, however their files are laid out."""
    found = read_dataset(Path(dataset), None if images is None else Path(images), split).first(count)
    pictures = [
        [
            each.name,
            each.size,
            hashlib.sha256(each.data()).hexdigest(),
            *(getattr(each.objects, name).tolist() for name in each.objects.__dataclass_fields__),
        ]
        for each in found.pictures
    ]
    return digest_of([{str(number): name for number, name in found.classes.items()}, pictures])


def evaluated(call: JobCall, options: EvaluateOptions, **files: Any) -> Evaluation:
    """Return the evaluation of a job; what is detected is kept in its folder.

    Raise SurgeonError F108 where the dataset is not what it was when the fleet was started.
    """
    places = call.facts["places"]
    images = places["images"]
    _dataset_digest.cache_clear()
    if _dataset_digest(places["dataset"], images, options.split, options.pictures) != call.facts["dataset"]:
        raise error(
            "F108",
            f"the dataset '{places['dataset']}' was changed after the fleet was started",
            help=["run the fleet again"],
        )
    return evaluate(
        call.recipe,  # type: ignore[arg-type]
        call.model,
        places["dataset"],
        images=images,
        split=options.split,
        pictures=options.pictures,
        labels=call.input("labels"),
        classes=options.classes,
        batch=options.batch,
        resamples=options.resamples,
        seed=options.seed,
        output=call.folder / FOLDER,
        **files,
        **call.request,
    )


def evaluation_result(found: Evaluation) -> JobResult:
    """Return an evaluation as the result of a job."""
    result = {name: value for name, value in found.to_json().items() if name != "diagnostics"}
    return JobResult(result, verdict_of(found.outcome), found.diagnostics)


def _run(call: JobCall) -> JobResult:
    options: EvaluateOptions = call.options
    file = converted_file(call)
    onnx = () if file is None else (file,)
    return evaluation_result(evaluated(call, options, max_drop=options.max_drop, onnx=onnx))


def _columns(result: Mapping[str, Any]) -> dict[str, Any]:
    precisions = [side["numbers"]["AP"] for side in result["sides"]]
    return {"mAP of the original": precisions[0], "mAP": precisions[-1]}


KIND = JobKind(
    "evaluate",
    "average precision of the original, the rewritten graph and the ONNX file",
    EvaluateOptions,
    _run,
    facts=("target",),
    reads=dataset_facts,
    uses=_uses,
    tools=("numpy", "tensorflow", "onnxruntime", "Pillow", "pycocotools", "faster-coco-eval"),
    memory=lambda model: (2 << 30) + 6 * model,
    columns=_columns,
)
