"""A recipe, a model and options as one value, which every verb that plans resolves once."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, TypeVar

from surgeon.diagnostics import SurgeonError, error
from surgeon.formats import format_of
from surgeon.formats.graphdef import check_unchanged, load_graph
from surgeon.garbage import no_garbage_collection
from surgeon.graph import Graph
from surgeon.graph.foreign import naming_foreign
from surgeon.language import Recipe, load_recipe
from surgeon.rewrite import Plan, plan
from surgeon.rewrite.input_specs import GivenSpec, plain_value, spec_text
from surgeon.rewrite.suppression import with_native_suppression
from surgeon.stages import tell_stage
from surgeon.targets import Target, load_target

if TYPE_CHECKING:
    from surgeon.catalog import Catalog

PathLike: TypeAlias = "str | os.PathLike[str]"

DEFAULT_TARGET = "uff@tensorrt-8.5"
"""The target where neither an output nor the caller names one."""

F = TypeVar("F", bound=Callable[..., Any])


class Options(TypedDict, total=False):
    """The keyword arguments that every verb with a recipe takes.

    ``target`` is a target or its name; None stands for that of the output's suffix, else
    ``uff@tensorrt-8.5``. ``parameters`` sets the recipe's parameters, to values or to text read as YAML; the
    recipe is then a name or path. ``recipe_paths`` and ``plugin_paths`` are folders of further recipes and
    plugins. ``anchors`` overrides the recipe's key: ``plugin``, ``constant`` (one constant with the graph's
    own anchors) or ``auto``. ``decode`` overrides the recipe's key: ``plugin``, ``graph`` (operations in
    front of the plugin decode boxes) or ``auto``. ``suppression`` overrides the recipe's key: ``plugin``,
    ``native`` (SurgeonDetection in the place of NMS_TRT) or ``auto``. ``input_specs`` gives inputs a shape
    and type by name: ``"1x224x224x3:float32"``, sizes with None where unknown, or a ``TensorSpec``; another
    tensor that is named becomes an input. ``constants`` puts values in the place of inputs, by name; text is
    read as YAML. Scalars that neither they nor the recipe mentions are fixed to what they are at inference.
    """

    target: Target | str | None
    parameters: Mapping[str, Any] | None
    recipe_paths: Iterable[PathLike]
    plugin_paths: Iterable[PathLike]
    anchors: str | None
    decode: str | None
    suppression: str | None
    input_specs: Mapping[str, GivenSpec] | None
    constants: Mapping[str, Any] | None


_DEFAULTS = Options(
    target=None,
    parameters=None,
    recipe_paths=(),
    plugin_paths=(),
    anchors=None,
    decode=None,
    suppression=None,
    input_specs=None,
    constants=None,
)


def takes_options(function: F) -> F:
    """Show :class:`Options` by name in a function's signature, in place of its ``**options``."""
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    types = {name: hint.__forward_arg__ for name, hint in Options.__annotations__.items()}
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[name])
        for name, default in _DEFAULTS.items()
    ]
    function.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
    return function


@dataclass(frozen=True)
class Request:
    """A recipe, a model, and how the one is applied to the other.

    ``recipe`` is a loaded recipe, a shipped recipe's name or a path; ``model`` a graph, a frozen graph's path
    or a SavedModel folder. Either may be missing where a verb does without. The others are those of
    :class:`Options`. A request of names and paths can be sent as JSON.
    """

    recipe: Recipe | str | Path | None = None
    model: Graph | Path | None = None
    target: Target | str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    recipe_paths: tuple[Path, ...] = ()
    plugin_paths: tuple[Path, ...] = ()
    anchors: str | None = None
    decode: str | None = None
    suppression: str | None = None
    input_specs: Mapping[str, GivenSpec] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        recipe: Recipe | PathLike | None,
        model: Graph | PathLike | None,
        *,
        target: Target | str | None = None,
        parameters: Mapping[str, Any] | None = None,
        recipe_paths: Iterable[PathLike] = (),
        plugin_paths: Iterable[PathLike] = (),
        anchors: str | None = None,
        decode: str | None = None,
        suppression: str | None = None,
        input_specs: Mapping[str, GivenSpec] | None = None,
        constants: Mapping[str, Any] | None = None,
    ) -> Request:
        """Return a request from a verb's arguments.

        Raise TypeError where ``parameters`` come with a loaded recipe.
        """
        if isinstance(recipe, Recipe) and parameters:
            raise TypeError("'parameters' go with a recipe's name or path; give them to load_recipe")
        return cls(
            recipe if recipe is None or isinstance(recipe, Recipe | str) else Path(recipe),
            model if model is None or isinstance(model, Graph) else Path(model),
            target,
            dict(parameters or {}),
            tuple(Path(each) for each in recipe_paths),
            tuple(Path(each) for each in plugin_paths),
            anchors,
            decode,
            suppression,
            dict(input_specs or {}),
            dict(constants or {}),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON values; raise TypeError for a recipe or a graph that is not a file."""
        for name, value in (("recipe", self.recipe), ("model", self.model)):
            if isinstance(value, Recipe | Graph):
                raise TypeError(f"the {name} of this request is in memory; give its name or path to send it")
        return {
            "recipe": None if self.recipe is None else str(self.recipe),
            "model": None if self.model is None else str(self.model),
            "target": self.target.name if isinstance(self.target, Target) else self.target,
            "parameters": dict(self.parameters),
            "recipe_paths": [str(path) for path in self.recipe_paths],
            "plugin_paths": [str(path) for path in self.plugin_paths],
            "anchors": self.anchors,
            "decode": self.decode,
            "suppression": self.suppression,
            "input_specs": {name: spec_text(name, given) for name, given in self.input_specs.items()},
            "constants": {name: plain_value(value) for name, value in self.constants.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Request:
        """Return the request that :meth:`to_json` gave; raise TypeError for an unknown key."""
        unknown = sorted(set(value) - {each.name for each in fields(cls)})
        if unknown:
            raise TypeError(f"a request has no '{unknown[0]}'")
        options: dict[str, Any] = {name: value[name] for name in _DEFAULTS if name in value}
        return cls.of(value.get("recipe"), value.get("model"), **options)

    def resolve(self) -> Work:
        """Return the work of this request, whose parts are read and planned when first asked for."""
        return Work(self)


class Work:
    """The parts of a request: catalog, target, recipe, graph and plan, each read once."""

    def __init__(self, request: Request) -> None:
        self.request = request

    @cached_property
    def catalog(self) -> Catalog:
        """The shipped plugins and those of the request's folders.

        Raise SurgeonError as :func:`surgeon.load_catalog` does.
        """
        from surgeon.catalog import load_catalog

        return load_catalog(self.request.plugin_paths)

    @cached_property
    def target(self) -> Target:
        """The request's target, else the default; raise SurgeonError T101 for an unknown name."""
        wanted = self.request.target
        return wanted if isinstance(wanted, Target) else load_target(wanted or DEFAULT_TARGET)

    @cached_property
    def recipe(self) -> Recipe:
        """The request's recipe, with the native plugin for suppression where that is asked for.

        Raise SurgeonError as :func:`surgeon.load_recipe`, S415 where that plugin cannot stand in.
        """
        recipe = self.request.recipe
        assert recipe is not None
        request = self.request
        if not isinstance(recipe, Recipe):
            tell_stage("reading the recipe", str(recipe))
            recipe = load_recipe(recipe, parameters=request.parameters, recipe_paths=request.recipe_paths)
        native = (request.suppression or recipe.suppression) == "native"
        return with_native_suppression(recipe, self.target) if native else recipe

    @cached_property
    def graph(self) -> Graph:
        """The request's model.

        Raise SurgeonError E110 for a file that was made from a graph, and as :func:`surgeon.load_graph`.
        """
        model = self.request.model
        assert model is not None
        if isinstance(model, Graph):
            return model
        form = format_of(model)
        if not form.rewritable and os.path.isfile(model):
            raise error(
                "E110",
                f"'{model}' is {form.noun}; expected a frozen graph or a SavedModel folder",
                help=["give the graph that it was made from; 'surgeon inspect' reads UFF and ONNX files"],
            )
        tell_stage("reading the model", str(model))
        return load_graph(model)

    @cached_property
    def plan(self) -> Plan:
        """What the recipe makes of the model.

        Raise SurgeonError as :func:`surgeon.plan`, and E107 where the model was written in place meanwhile.
        """
        catalog, recipe, graph = self.catalog, self.recipe, self.graph
        tell_stage("planning the surgery")
        try:
            with no_garbage_collection():
                made = plan(
                    recipe,
                    graph,
                    target=self.target,
                    catalog=catalog,
                    anchors=self.request.anchors,
                    decode=self.request.decode,
                    suppression=self.request.suppression,
                    input_specs=self.request.input_specs,
                    constants=self.request.constants,
                )
        except SurgeonError as exc:
            raise naming_foreign(exc, graph) from None
        check_unchanged(graph)
        return made

    def for_target(self, target: Target) -> Work:
        """Return the same work for another target, with what was read already."""
        work = Work(replace(self.request, target=target))
        kept = ("catalog", "recipe", "graph")
        work.__dict__.update({name: self.__dict__[name] for name in kept if name in self.__dict__})
        return work
