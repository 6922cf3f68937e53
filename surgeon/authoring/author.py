"""Recipes written for a graph: what is recognised, what is not, and what a second witness says of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from surgeon.catalog import Catalog
from surgeon.deprecation import RenamedAttribute
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error, errors_in
from surgeon.display import Displayed, plural
from surgeon.families import DraftOptions, Family, Refusal, recognise
from surgeon.families.config_match import ConfigMatch
from surgeon.formats import all_formats
from surgeon.graph import Graph, Ref, Shape, TensorSpec, apply_edits
from surgeon.infer import Inference, infer
from surgeon.language import Recipe
from surgeon.language.loading import parse_recipe
from surgeon.language.writing import comment
from surgeon.rewrite.given_inputs import steps_for_inputs
from surgeon.rewrite.input_specs import GivenSpec, input_spec_of
from surgeon.stages import tell_stage
from surgeon.steps.step import Step, StepContext
from surgeon.training_files.label_map import load_labels
from surgeon.training_files.pipeline_config import PipelineConfig, read_pipeline_config


@dataclass(frozen=True)
class AuthoredRecipe(Displayed):
    """A recipe written for one graph.

    ``config_matches`` is what a pipeline config says about each value. ``diagnostics`` are warnings, such
    as disagreements with the config and labels that do not fit, and ``errors``. ``family`` is the name of the
    graph's family. Where the target refuses the recipe of a network that is no detector, ``accepted_by``
    names targets of other formats that do not.
    """

    name: str
    summary: str
    text: str
    recipe: Recipe
    config_matches: tuple[ConfigMatch, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    family: str = ""
    accepted_by: tuple[str, ...] = ()

    heard = RenamedAttribute("config_matches", removal="0.2.0")
    remarks = RenamedAttribute("diagnostics", removal="0.2.0")
    problems = RenamedAttribute("errors", removal="0.2.0")

    def __repr__(self) -> str:
        return f"<AuthoredRecipe '{self.name}', {len(self.diagnostics)} diagnostics>"

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics for which :func:`surgeon.check` refuses the recipe as it is."""
        return errors_in(self.diagnostics)

    def planned(self, diagnostics: Iterable[Diagnostic]) -> AuthoredRecipe:
        """Return the same with what was found when it was planned."""
        return replace(self, diagnostics=(*self.diagnostics, *diagnostics))

    def refused(self, target: str, accepted_by: Iterable[str]) -> AuthoredRecipe:
        """Return the same with a comment at the end on why a target refuses it, and what the options are."""
        accepted = tuple(accepted_by)
        lines = ["", *comment(f"{target} refuses the recipe as it is:")]
        alike: dict[tuple[str, ...], list[Diagnostic]] = {}
        for each in self.errors:
            alike.setdefault((each.code, *each.help), []).append(each)
        for (code, *help), errors in alike.items():
            more = "" if len(errors) == 1 else f" (and {plural(len(errors) - 1, 'error')} like it)"
            lines += comment(f"- {code}: {errors[0].message}{more}")
            lines += [line for text in help for line in comment(f"  help: {text}")]
        if accepted:
            lines += comment(f"{' and '.join(accepted)} may take it: give --target.")
        text = self.text + "\n".join(lines) + "\n"
        return replace(self, text=text, recipe=parse_recipe(text), accepted_by=accepted)


@dataclass(frozen=True)
class Witnesses:
    """What training left behind: a pipeline config, names of classes from 1 on, and warnings of reading
    them.
    """

    config: PipelineConfig | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()


def read_witnesses(
    config: Path | None, labels: str | os.PathLike[str] | Mapping[int, str] | None
) -> Witnesses:
    """Read a pipeline config and a label map: the one given, else the one that the config names if it lies
    beside it.

    Raise SurgeonError as :func:`read_pipeline_config` and :func:`load_labels` do; for a label map that was
    not asked for there is a warning instead.
    """
    read = None if config is None else read_pipeline_config(config)
    if labels is not None:
        return Witnesses(read, labels if isinstance(labels, Mapping) else load_labels(Path(labels)))
    # The path is that of the machine that trained, with its own separators.
    beside = re.split(r"[/\\]", read.label_map)[-1] if read is not None else ""
    if config is None or not beside or not os.path.isfile(config.parent / beside):
        return Witnesses(read)
    try:
        return Witnesses(read, load_labels(config.parent / beside))
    except SurgeonError as exc:
        return Witnesses(
            read, {}, tuple(replace(each, severity=Severity.WARNING) for each in exc.diagnostics)
        )


def check_output(path: Path) -> Path:
    """Return the path of a recipe; raise SurgeonError D149 for a name by which it could not be used."""
    if path.suffix.lower() in (".yaml", ".yml") or (
        os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    ):
        return path
    raise error(
        "D149",
        f"'{path}' is not a name for a recipe; expected one that ends in '.yaml'",
        help=[f"write -o {path.name or 'recipe'}.yaml"],
    )


def author(
    graph: Graph,
    catalog: Catalog,
    *,
    name: str = "",
    witnesses: Witnesses = Witnesses(),
    most_rows: int | None = None,
    modeline: str = "",
    input_specs: Mapping[str, GivenSpec] = MappingProxyType({}),
    constants: Mapping[str, Any] = MappingProxyType({}),
) -> AuthoredRecipe:
    """Return a recipe for a graph: of a detector every value, literal, with its evidence.

    Of any other network it is a start: inputs, outputs, and the steps that the graph needs.

    ``most_rows`` is how many rows the runtime sorts at most, None where it has no bound. ``modeline`` is a
    first line for editors. ``input_specs`` and ``constants`` give inputs shapes and values, as in
    :class:`surgeon.request.Options`; the recipe of a network that is no detector holds them, and any other is
    written without, with a warning.

    The text is the same for the same graph and arguments. Raise SurgeonError D146 where the graph computes
    nothing, D147 where a part of a detector is not recognised.
    """
    tell_stage("recognising the network")
    family = recognised(graph)
    first: tuple[Step, ...] = ()
    if input_specs or constants:
        first = steps_for_inputs(graph, input_specs, constants)
    unused: list[Diagnostic] = []
    if first and family.detects:
        sized = _sized(graph, input_specs) if not constants else family
        if family.sized_by_input and type(sized) is not type(family):
            raise _no_such_size(family, graph, input_specs)
        if sized.sized_by_input:
            family, first = sized, ()
        else:
            unused.append(_without_inputs(graph))
    elif first:
        family = recognised(_after(graph, first, catalog))
    config = witnesses.config
    matches = family.config_check(config) if config is not None else ()
    differing = [
        match.diagnostic(config.file) for match in matches if config is not None and not match.agrees
    ]
    config_name = PurePath(config.file).name if config is not None else ""
    options = DraftOptions(
        catalog,
        name,
        witnesses.labels,
        matches,
        config_name,
        most_rows,
        all_formats()["uff"].operations() or (),
        tuple(
            _without_none(step.model_dump(mode="json", by_alias=True, exclude_unset=True)) for step in first
        ),
    )
    draft = family.draft(options)
    diagnostics = (*witnesses.diagnostics, *differing, *unused, *draft.diagnostics)
    text = modeline + draft.text
    recipe = parse_recipe(text)
    return AuthoredRecipe(draft.name, draft.summary, text, recipe, matches, diagnostics, type(family).name)


def _after(graph: Graph, steps: Iterable[Step], catalog: Catalog) -> Graph:
    for step in steps:
        graph = apply_edits(graph, step.plan(StepContext(graph, catalog=catalog)))
    return graph


def _sized(graph: Graph, input_specs: Mapping[str, GivenSpec]) -> Family:
    """Return the graph's family, with the shapes that are given for its inputs; an open batch is one."""
    return recognised(graph, _fed(graph, input_specs))


def _no_such_size(family: Family, graph: Graph, input_specs: Mapping[str, GivenSpec]) -> SurgeonError:
    """Return why a detector whose input has an open size is none at the size that is given."""
    fed = _fed(graph, input_specs)
    found = type(family).match(graph, fed)
    reason = found.reason.diagnostics if isinstance(found, Refusal) else ()
    shown = " and ".join(f"'{name}' of {fed.spec(Ref.parse(name))}" for name in input_specs)
    failed = Diagnostic(
        "D147",
        f"the graph is a {family.title}, but not with {shown}",
        graph.source or None,
        (),
        ("give a size that the network can take: often a multiple of the largest stride, such as 32",),
    )
    return SurgeonError(failed, *reason)


def _fed(graph: Graph, input_specs: Mapping[str, GivenSpec]) -> Inference:
    own = infer(graph)
    feeds: dict[str, TensorSpec] = {}
    for name, given in input_specs.items():
        spec = input_spec_of(name, given)
        dims = (1, *spec.shape[1:]) if spec.shape and spec.shape[0] is None else spec.shape
        feeds[name] = TensorSpec(spec.dtype or own.spec(Ref.parse(name)).dtype, Shape(dims))
    return infer(graph, feeds)


def _without_inputs(graph: Graph) -> Diagnostic:
    return Diagnostic(
        "D151",
        "the recipe of a detector is written without the shapes and constants that are given for inputs",
        graph.source or None,
        (),
        ("give --input and --constant to 'convert', 'verify' and other commands with this recipe",),
        Severity.WARNING,
    )


def _without_none(value: Any) -> Any:
    """Return plain values without the keys of mappings that hold None."""
    if isinstance(value, Mapping):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    return value


def recognised(graph: Graph, inference: Inference | None = None) -> Family:
    """Return the family's view of a graph; raise SurgeonError D146 where it is of none, with the reason."""
    found = recognise(graph, inference)
    if isinstance(found, Family):
        return found
    first = found.reason.diagnostics[0]
    raise error("D146", first.message, first.where, (*first.notes, *_contents(graph)), first.help)


def _contents(graph: Graph) -> tuple[str, ...]:
    """Return what a graph consists of, as notes."""
    sizes: dict[str, int] = {}
    for node in graph:
        top = node.name.partition("/")[0]
        sizes[top] = sizes.get(top, 0) + 1
    largest = sorted(sizes, key=lambda name: -sizes[name])[:8]
    shown = ", ".join(f"'{name}' ({sizes[name]})" for name in largest)
    return (f"{plural(len(graph), 'node')}" + (f"; the largest namespaces: {shown}" if shown else ""),)
