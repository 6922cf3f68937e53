"""A fleet file: a matrix, jobs and a store, checked, with the place of everything that it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from surgeon.cluster.job import JobOptions, job_kinds
from surgeon.diagnostics import Diagnostic, Span, SurgeonError, error, nearest_note
from surgeon.language.document import Mapped, PathItem, read_document, spans_of, to_plain
from surgeon.language.loading import validation_diagnostics
from surgeon.language.recipe import Anchors, Decode, Suppression

WHOLE = "the fleet"
Path_ = tuple[PathItem, ...]


def _each(value: Any) -> Any:
    """Take one value for a list of one."""
    return value if isinstance(value, list | tuple) or value is None else [value]


def _version(value: Any) -> Any:
    """Refuse a version that YAML reads as a number: 8.10 would be 8.1."""
    if isinstance(value, int | float):
        raise ValueError(f"the version {value} stands without quotes; expected text, such as '8.5.3.1'")
    return value


Version = Annotated[str, BeforeValidator(_version)]
Precision = Literal["fp32", "fp16", "int8"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Combination(_Part):
    """Values of axes: what 'include' adds, or a pattern of what 'exclude' takes out."""

    model: str | None = Field(None, description="A frozen graph or SavedModel folder.")
    recipe: str | None = Field(None, description="A recipe's name or path, or 'init'.")
    target: str | None = Field(None, description="Format and runtime, such as onnx@tensorrt-10.")
    precision: str | None = Field(None, description="fp32, fp16 or int8.")
    gpu: str | None = Field(None, description="Kind of GPU, as Ray names it: H200, A100, T4.")
    tensorrt: Version | None = Field(None, description="TensorRT's version, or its beginning, in quotes.")
    dataset: str | None = Field(None, description="Annotated pictures.")
    parameters: Mapping[str, Any] | None = Field(None, description="Parameters of the recipe.")
    anchors: str | None = Field(None, description="What makes the anchors.")
    decode: str | None = Field(None, description="What decodes boxes.")
    suppression: str | None = Field(None, description="What suppresses boxes.")
    inputs: Mapping[str, str] | None = Field(None, description="Shapes of inputs, by name.")
    constants: Mapping[str, Any] | None = Field(None, description="Values in the place of inputs, by name.")


Texts = Annotated[tuple[str, ...], BeforeValidator(_each)]


class Matrix(_Part):
    """The axes of a matrix, each a value or a list of them."""

    model: Texts = Field((), description="Frozen graphs and SavedModel folders: paths and globs.")
    recipe: Texts = Field((), description="Names or paths of recipes, or 'init'.")
    target: Texts = Field((), description="Targets.")
    precision: Annotated[tuple[Precision, ...], BeforeValidator(_each)] = Field(
        (), description="Precisions of engines."
    )
    gpu: Texts = Field((), description="Kinds of GPUs, as Ray names them.")
    tensorrt: Annotated[tuple[Version, ...], BeforeValidator(_each)] = Field(
        (), description="Versions of TensorRT."
    )
    dataset: Texts = Field((), description="Annotated pictures.")
    parameters: Annotated[tuple[Mapping[str, Any], ...], BeforeValidator(_each)] = Field(
        (), description="Parameters of the recipe."
    )
    anchors: Annotated[tuple[Anchors, ...], BeforeValidator(_each)] = Field((), description="Anchors.")
    decode: Annotated[tuple[Decode, ...], BeforeValidator(_each)] = Field((), description="Decoding.")
    suppression: Annotated[tuple[Suppression, ...], BeforeValidator(_each)] = Field(
        (), description="Suppression."
    )
    inputs: Annotated[tuple[Mapping[str, str], ...], BeforeValidator(_each)] = Field(
        (), description="Shapes of inputs."
    )
    constants: Annotated[tuple[Mapping[str, Any], ...], BeforeValidator(_each)] = Field(
        (), description="Values of inputs."
    )
    include: tuple[Combination, ...] = Field(
        (), description="Added to the cells that they agree with, or cells of their own."
    )
    exclude: tuple[Combination, ...] = Field((), description="Cells that are left out.")


class FleetSettings(_Part):
    """What a fleet file says, apart from its jobs."""

    fleet: Literal[1] = Field(description="Version of the fleet file.")
    matrix: Matrix = Field(description="What is made.")
    jobs: tuple[Any, ...] = Field(description="What is done with each cell, in order.", min_length=1)
    store: str | None = Field(None, description="Folder or URL of what was made; by default below DIR.")
    recipe_paths: Texts = Field((), description="Folders of further recipes.")
    plugin_paths: Texts = Field((), description="Folders of further plugins, whose code is run.")


@dataclass(frozen=True)
class FleetFile:
    """A fleet file: its settings and jobs, and the place of each key."""

    path: Path
    settings: FleetSettings
    jobs: tuple[JobOptions, ...]
    spans: Mapping[Path_, Span] = field(repr=False, default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return self.path.parent

    def span(self, *path: PathItem) -> Span | None:
        """Return the place of a key, or of the nearest one above it that has a place."""
        return next(
            (self.spans[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.spans), None
        )


def read_fleet_file(path: Path) -> FleetFile:
    """Read a fleet file.

    Raise SurgeonError with all faults: E101 for a file that cannot be read, R101 to R103 for what is no YAML,
    R104 to R106 for keys and values, R108 for another version, and F107 for a job that is unknown, stands
    twice or lacks one before it.
    """
    document = read_document(path)
    if not isinstance(document, Mapped):
        raise error("R106", "a fleet is a mapping; expected 'fleet', 'matrix' and 'jobs'", document.span)
    spans = dict(spans_of(document))
    plain = to_plain(document)
    version = plain.get("fleet")
    if version is not None and (version != 1 or isinstance(version, bool)):
        raise error(
            "R108",
            f"the fleet is of version {version}; this program reads version 1",
            spans.get(("fleet",)),
            help=["write 'fleet: 1', or use a newer program"],
        )
    problems: list[Diagnostic] = []
    settings: FleetSettings | None = None
    try:
        settings = FleetSettings.model_validate(plain)
    except ValidationError as exc:
        problems += validation_diagnostics(exc, plain, spans, (), FleetSettings, WHOLE)
    jobs: list[JobOptions] = []
    listed = plain.get("jobs")
    for index, value in enumerate(listed if isinstance(listed, list) else ()):
        try:
            jobs.append(_job(value, index, spans, [each.job for each in jobs]))
        except SurgeonError as exc:
            problems += exc.diagnostics
    if problems or settings is None:
        raise SurgeonError(*problems)
    return FleetFile(path, settings, tuple(jobs), spans)


def _job(value: Any, index: int, spans: Mapping[Path_, Span], earlier: list[str]) -> JobOptions:
    path: Path_ = ("jobs", index)
    place = spans.get((*path, "job")) or spans.get(path)
    options = {"job": value} if isinstance(value, str) else value
    name = options.get("job") if isinstance(options, dict) else None
    kinds = job_kinds()
    if not isinstance(name, str) or name not in kinds:
        what = f"there is no job '{name}'" if isinstance(name, str) else "a job has no name"
        near = nearest_note(name, kinds) if isinstance(name, str) else ()
        raise error("F107", what, place, near, ["jobs: " + ", ".join(f"'{each}'" for each in kinds)])
    if name in earlier:
        raise error(
            "F107", f"the job '{name}' stands twice", place, help=["a cell does each job once; take one out"]
        )
    lacking = [each for each in kinds[name].requires if each not in earlier]
    if lacking:
        raise error(
            "F107",
            f"the job '{name}' comes without '{lacking[0]}', whose files it reads",
            place,
            help=[f"put '{lacking[0]}' before it"],
        )
    try:
        return kinds[name].options.model_validate(options)
    except ValidationError as exc:
        found = validation_diagnostics(exc, options, spans, path, kinds[name].options, WHOLE)
        raise SurgeonError(*found) from None
