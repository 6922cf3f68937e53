"""The job ``verify``: does the rewritten graph detect what the original does? Its originals are kept."""

from __future__ import annotations

from pydantic import Field

from surgeon.api.verify import verify
from surgeon.cluster.job import InputPath, JobCall, JobKind, JobOptions, JobResult, Outcome
from surgeon.language.recipe import Whole
from surgeon.verification import Verification
from surgeon.verification.results import Outcome as Proof

ORIGINAL = "original.npz"


class ToleranceOptions(JobOptions):
    """Tolerances, as those of the verb."""

    box_tolerance: float | None = Field(None, gt=0, description="Largest difference of a coordinate.")
    score_tolerance: float | None = Field(None, gt=0, description="Largest difference of a score.")
    mask_tolerance: float | None = Field(None, gt=0, description="Largest difference of a mask's value.")
    max_excused: Whole | None = Field(None, ge=0, description="Differences of a picture that rules explain.")

    def tolerances(self) -> dict[str, float | int | None]:
        """Return the keyword arguments of :func:`surgeon.verify` for tolerances."""
        names = ("box_tolerance", "score_tolerance", "mask_tolerance", "max_excused")
        return {name: getattr(self, name) for name in names}


class VerifyOptions(ToleranceOptions):
    """What may be said of ``verify``; the options are those of the verb."""

    images: InputPath | None = Field(None, description="A folder of pictures, or one picture.")
    inputs: InputPath | None = Field(None, description="Arrays by the names of the model's inputs.")
    seed: Whole = Field(0, ge=0, description="Seed of the picture that is made where none is given.")


def _run(call: JobCall) -> JobResult:
    options: VerifyOptions = call.options
    return judged(
        verify(
            call.recipe,
            call.model,
            images=call.input("images"),
            inputs=call.input("inputs"),
            seed=options.seed,
            store=call.folder / ORIGINAL,
            **options.tolerances(),  # type: ignore[arg-type]
            **call.request,
        )
    )


def judged(found: Verification) -> JobResult:
    """Return a verification as the result of a job."""
    return JobResult(
        {name: value for name, value in found.to_json().items() if name != "diagnostics"},
        verdict_of(found.outcome),
        found.diagnostics,
    )


def verdict_of(outcome: Proof) -> Outcome:
    """Return a verification's outcome; what was not compared proves nothing."""
    match outcome:
        case Proof.PASSED:
            return "passed"
        case Proof.FAILED:
            return "failed"
        case Proof.INCONCLUSIVE | Proof.NOT_COMPARED:
            return "inconclusive"


KIND = JobKind(
    "verify",
    "prove that the rewritten graph detects what the original does",
    VerifyOptions,
    _run,
    facts=("target",),
    tools=("numpy", "tensorflow", "Pillow"),
    memory=lambda model: (3 << 29) + 6 * model,
    columns=lambda result: {"verify": result["outcome"]},
)
