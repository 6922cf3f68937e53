"""How an engine is to be built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from surgeon.diagnostics import SurgeonError, error
from surgeon.language.recipe import EngineSettings

Precision = Literal["fp32", "fp16", "int8"]
Algorithm = Literal["entropy", "minmax"]

MAX_BATCH = 4096
_LEAST_WORKSPACE = 1 << 20


@dataclass(frozen=True)
class BuildOptions:
    """How an engine is to be built.

    ``precision`` is the least that the builder may use; INT8 allows FP16 where a layer has no INT8. ``tf32``
    lets FP32 layers use TF32, which is TensorRT's default on GPUs that have it. ``workspace`` is in bytes.
    ``best_batch`` is the batch that an engine with an open batch is tuned for, ``max_batch`` where it is
    None. ``dla_core`` is the number of a deep learning accelerator, None for the GPU. ``report`` keeps what
    the inspector tells of the layers. ``algorithm`` is that of the INT8 calibrator. Raise SurgeonError B101
    for what makes no sense.
    """

    precision: Precision = "fp32"
    tf32: bool = True
    workspace: int = 1 << 30
    max_batch: int = 1
    best_batch: int | None = None
    dla_core: int | None = None
    report: bool = False
    algorithm: Algorithm = "entropy"

    @classmethod
    def of(cls, section: EngineSettings | None, **options: Any) -> BuildOptions:
        """Return the options given; where one is None, that of the recipe's section, if there is one.

        Raise SurgeonError B101 as the class does.
        """
        stated = {name: value for name, value in options.items() if value is not None}
        return cls(**{**(section.model_dump() if section is not None else {}), **stated})

    def __post_init__(self) -> None:
        best = self.max_batch if self.best_batch is None else self.best_batch
        checks = (
            (
                self.precision in ("fp32", "fp16", "int8"),
                f"the precision '{self.precision}' is unknown; expected fp32, fp16 or int8",
            ),
            (
                self.algorithm in ("entropy", "minmax"),
                f"the calibrator '{self.algorithm}' is unknown; expected entropy or minmax",
            ),
            (
                1 <= self.max_batch <= MAX_BATCH,
                f"the largest batch is {self.max_batch}; expected 1 to {MAX_BATCH}",
            ),
            (
                1 <= best <= self.max_batch,
                f"the batch to tune for is {best}; expected 1 to the largest, {self.max_batch}",
            ),
            (
                self.workspace >= _LEAST_WORKSPACE,
                f"the workspace is {self.workspace} bytes; expected at least {_LEAST_WORKSPACE}",
            ),
            (
                self.dla_core is None or 0 <= self.dla_core < 16,
                f"the DLA core is {self.dla_core}; expected 0 to 15",
            ),
            (
                self.dla_core is None or self.precision != "fp32",
                "a DLA core computes in FP16 or INT8; fp32 was asked for",
            ),
        )
        for fine, problem in checks:
            if not fine:
                raise _wrong(problem)

    def to_json(self) -> Mapping[str, Any]:
        """Return plain values."""
        return asdict(self)


def _wrong(problem: str) -> SurgeonError:
    return error("B101", problem, help=["correct the option; 'surgeon build --help' lists them"])
