"""The job ``init``: a recipe written for the cell's model. A cell whose recipe is ``init`` begins with it."""

from __future__ import annotations

from pydantic import Field

from surgeon.api.init import init
from surgeon.cluster.job import InputPath, JobCall, JobKind, JobOptions, JobResult

RECIPE = "recipe.yaml"


class InitOptions(JobOptions):
    """What may be said of ``init``."""

    labels: InputPath | None = Field(None, description="A label map with the names of the classes.")
    pipeline_config: InputPath | None = Field(None, description="The pipeline.config of the training.")


def _run(call: JobCall) -> JobResult:
    authored = init(
        call.model,
        call.folder / RECIPE,
        pipeline_config=call.input("pipeline_config"),
        labels=call.input("labels"),
        name=call.model.stem,
        target=call.request["target"],
        plugin_paths=call.request["plugin_paths"],
        input_specs=call.request["input_specs"],
        constants=call.request["constants"],
    )
    return JobResult({"recipe": RECIPE, "family": authored.family}, diagnostics=authored.errors)


KIND = JobKind("init", "write a recipe for the model", InitOptions, _run, facts=("target",))
