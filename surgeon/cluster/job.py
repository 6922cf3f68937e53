"""What a job of a fleet is: its options, what it takes from earlier jobs, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from surgeon.cluster.axes import Axis
from surgeon.discovery import discover
from surgeon.language import Recipe
from surgeon.language.recipe import Whole, byte_count

Outcome = Literal["passed", "failed", "inconclusive"]

GIB = 1 << 30


class InputFile:
    """Marks an option that names a file or folder: its content counts, not its name."""


InputPath = Annotated[str, InputFile()]
ByteCount = Annotated[int, BeforeValidator(byte_count), Field(gt=0)]


class JobOptions(BaseModel):
    """What a fleet file says of a job; each kind of job adds its own options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str = Field(description="What is done.")
    when: Mapping[Axis, str] = Field(
        default_factory=dict,
        description="Cells that it is done for: patterns by axis, such as {target: 'onnx@*'}.",
    )
    memory: ByteCount | None = Field(None, description="Memory that a node must have free for it.")
    timeout: Whole = Field(3600, gt=0, description="Seconds after which it is given up.")
    continue_on_failure: bool = Field(
        False, description="Whether the cell goes on where this job fails or its verdict is 'failed'."
    )

    def takes(self, values: Mapping[str, Any]) -> bool:
        """Return whether this job is done for the cell of these values."""
        return all(fnmatchcase(str(values.get(axis, "")), pattern) for axis, pattern in self.when.items())

    def input_options(self) -> Iterator[tuple[str, str]]:
        """Yield the options that name files or folders, with what they name."""
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            marks = (*info.metadata, *_metadata_inside(info.annotation))
            if value is not None and any(isinstance(mark, InputFile) for mark in marks):
                yield name, value


def _metadata_inside(annotation: Any) -> Iterator[Any]:
    """Yield what is noted at the parts of a union."""
    for part in getattr(annotation, "__args__", ()):
        yield from getattr(part, "__metadata__", ())


@dataclass(frozen=True)
class JobCall:
    """One job of one cell, where it is done.

    ``values`` are the cell's, by axis. ``recipe`` is a loaded recipe, or the file that ``init`` wrote; None
    for ``init`` itself. ``model`` is a path on this machine, and so is every value of ``inputs``, by option.
    ``request`` has the keyword arguments of :class:`surgeon.request.Options`. ``given`` are the folders of
    the earlier jobs of the cell that it reads, by job, ``options_of`` their options, and ``inputs`` and
    ``facts`` have what they named and read as well. ``folder`` is the empty one for the files of this job.
    """

    values: Mapping[str, Any]
    options: Any
    recipe: Recipe | Path | None
    model: Path
    request: Mapping[str, Any]
    inputs: Mapping[str, Path]
    facts: Mapping[str, Any]
    given: Mapping[str, Path]
    options_of: Mapping[str, JobOptions]
    folder: Path

    def input(self, option: str) -> Path | None:
        """Return what an option names on this machine, None where it names nothing."""
        return self.inputs.get(option)


@dataclass(frozen=True)
class JobResult:
    """What a job gave: its JSON, its verdict if it gives one, and the diagnostics on the way."""

    result: Mapping[str, Any]
    verdict: Outcome | None = None
    diagnostics: tuple[Any, ...] = ()


@dataclass(frozen=True)
class JobKind:
    """A kind of job.

    ``facts`` are the axes that decide its result besides model, recipe and the options of requests. ``reads``
    returns what else decides it, as JSON values; ``places`` among them says where it is, and decides nothing.
    It is called with the folder that paths start from, the cell's values and the options. ``uses`` returns
    the earlier jobs whose files it reads, of those that a cell has. ``tools`` are the distributions whose
    versions decide its result; ``converts`` says that it converts the model, with the tools of that, where
    no earlier job did. ``gpu`` says that it needs a GPU, and TensorRT. ``memory`` returns the bytes
    that it needs for a model of this many. ``requires`` are jobs that must come before it. ``columns``
    returns what the report shows of its result, by column.
    """

    name: str
    summary: str
    options: type[JobOptions]
    run: Callable[[JobCall], JobResult]
    facts: tuple[str, ...] = ()
    reads: Callable[[Path, Mapping[str, Any], Any], Mapping[str, Any]] = lambda *_: MappingProxyType({})
    uses: Callable[[Mapping[str, Any], frozenset[str]], tuple[str, ...]] = lambda values, earlier: ()
    requires: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    converts: bool = False
    gpu: bool = False
    memory: Callable[[int], int] = lambda model: GIB // 2 + 4 * model
    columns: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(
        default=lambda result: MappingProxyType({})
    )


@cache
def job_kinds() -> Mapping[str, JobKind]:
    """Return the kinds of jobs by name; raise SurgeonError E112 for a name that two modules claim."""
    return discover("surgeon.cluster.jobs", "jobs named", _kinds_in)


def _kinds_in(module: ModuleType) -> Iterator[tuple[str, JobKind]]:
    kind = getattr(module, "KIND", None)
    if isinstance(kind, JobKind):
        yield kind.name, kind
