"""The job ``bench``: the latency and throughput of the engine."""

from __future__ import annotations

from pydantic import Field

from surgeon.cluster.job import InputPath, JobCall, JobKind, JobOptions, JobResult
from surgeon.cluster.jobs.build import ENGINE, libraries_of
from surgeon.engine import load_engine
from surgeon.engine.engine import bench_json
from surgeon.language.recipe import Whole
from surgeon.runners.image import milliseconds_to_prepare


class BenchOptions(JobOptions):
    """What may be said of ``bench``; the options are those of the verb."""

    batch: Whole | None = Field(None, gt=0, description="Pictures in a batch; by default the largest.")
    rounds: Whole = Field(500, gt=0, le=100_000, description="Batches to measure.")
    warm_up: float = Field(1.0, ge=0, le=60, description="Seconds to run before it counts.")
    plugin_library: InputPath | None = Field(None, description="A library of TensorRT plugins to load.")


def _run(call: JobCall) -> JobResult:
    options: BenchOptions = call.options
    path = call.given["build"] / ENGINE
    with load_engine(path, plugin_libraries=libraries_of(call)) as engine:
        found = engine.bench(batch=options.batch, warm_up=options.warm_up, rounds=options.rounds)
        manifest = engine.manifest
    preprocessing = None if manifest.image is None else found.batch * milliseconds_to_prepare(manifest.image)
    return JobResult(bench_json(path, manifest, found, preprocessing))


KIND = JobKind(
    "bench",
    "measure the engine",
    BenchOptions,
    _run,
    uses=lambda values, earlier: ("build",),
    requires=("build",),
    gpu=True,
    memory=lambda model: (2 << 30) + 2 * model,
    columns=lambda result: {
        "latency": result["gpu_ms"]["p50"],
        "pictures per second": result["pictures_per_second"],
    },
)
