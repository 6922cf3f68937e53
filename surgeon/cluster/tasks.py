"""What is sent to a node, and what comes back: a job of a cell with what it depends on, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from surgeon.cluster.job import JobOptions, Outcome
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.language import Recipe

Status = Literal["waiting", "done", "failed", "skipped"]


@dataclass(frozen=True)
class Input:
    """A file or folder of the user: its absolute path where the fleet was started, and its digest."""

    path: Path
    digest: str

    @property
    def key(self) -> str:
        """The key under which a copy is stored for nodes that do not see the path."""
        return self.digest[::-1]


@dataclass(frozen=True)
class Platform:
    """What an engine is built for: the kind of GPU, as Ray names it, and TensorRT's version."""

    gpu: str
    tensorrt: str

    def __str__(self) -> str:
        return f"{self.gpu} with TensorRT {self.tensorrt}"


@dataclass(frozen=True)
class Demands:
    """What a node must have free for a job; ``platform`` is None where it needs no GPU."""

    memory: int
    platform: Platform | None = None


@dataclass(frozen=True)
class Task:
    """One job of one cell.

    ``key`` is the digest of all that decides the result. ``recipe`` is None where ``init`` writes it.
    ``inputs`` are the files that options name, by option, and ``facts`` what else decides the result; both
    include those of the earlier jobs that it reads. ``given`` are the keys of these jobs and ``options_of``
    their options. ``program`` and ``tools`` are the versions that ``key`` was made of.
    """

    key: str
    options: JobOptions
    values: Mapping[str, Any]
    recipe: Recipe | None
    model: Input
    request: Mapping[str, Any]
    plugins: tuple[Input, ...]
    inputs: Mapping[str, Input]
    facts: Mapping[str, Any]
    given: Mapping[str, str]
    options_of: Mapping[str, JobOptions]
    demands: Demands
    program: str
    tools: Mapping[str, str]
    store: str

    @property
    def job(self) -> str:
        """The job's name."""
        return self.options.job


@dataclass(frozen=True)
class Done:
    """How a job of a cell ended.

    ``result`` is its JSON. ``made`` says whether it was done now rather than found in the store. ``stops``
    says that the later jobs of the cell are not done, for which ``reason`` gives the reason.
    """

    job: str
    key: str = ""
    status: Status = "waiting"
    verdict: Outcome | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    diagnostics: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0
    node: str = ""
    made: bool = False
    stops: bool = False
    reason: str = ""

    @classmethod
    def of_record(cls, options: JobOptions, key: str, record: Mapping[str, Any], *, made: bool) -> Done:
        """Return what a store's record says of a job."""
        verdict = record["verdict"]
        return cls(
            options.job,
            key,
            "done",
            verdict,
            record["result"],
            tuple(record["diagnostics"]),
            record["seconds"],
            record["node"],
            made,
            verdict == "failed" and not options.continue_on_failure,
        )

    @classmethod
    def failed(
        cls, options: JobOptions, key: str, exc: SurgeonError, seconds: float = 0.0, node: str = ""
    ) -> Done:
        """Return a job that an error ended."""
        return cls(
            options.job,
            key,
            "failed",
            diagnostics=as_json(exc.diagnostics),
            seconds=round(seconds, 3),
            node=node,
            stops=not options.continue_on_failure,
        )

    @classmethod
    def skipped(cls, options: JobOptions, key: str, reason: str, *, stops: bool = True) -> Done:
        """Return a job that is not done, with the reason."""
        return cls(options.job, key, "skipped", stops=stops, reason=reason)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "diagnostics": list(self.diagnostics), "result": dict(self.result)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Done:
        """Return what :meth:`to_json` gave."""
        return cls(**{**value, "diagnostics": tuple(value["diagnostics"])})


def as_json(diagnostics: tuple[Diagnostic, ...]) -> tuple[Mapping[str, Any], ...]:
    """Return diagnostics as JSON values."""
    return tuple(each.to_json() for each in diagnostics)
