"""RECIPE comes before MODEL: what is said where they are given the other way round."""

from __future__ import annotations

import argparse
import os
import shlex

_EITHER = ("view",)
"""Verbs that take RECIPE and MODEL in either order."""


def check_order(args: argparse.Namespace) -> None:
    """Put RECIPE and MODEL in their order where the verb takes either.

    Exit with code 2 where it does not, and where one stands in the place of the other.
    """
    noun = "plan" if args.verb == "apply" else "recipe"
    first, second = getattr(args, noun, None), _second(args)
    first = None if first is None else str(first)
    if args.verb in _EITHER and first is not None and second is not None and _is_recipe(second):
        args.recipe, args.model = (first, second) if _is_recipe(first) else (second, first)
        return
    if first is not None and is_graph(first):
        if second is not None and _is_recipe(second):
            words = [{first: second, second: first}.get(word, word) for word in args.words]
            args.wrong_usage(
                f"'{first}' is a model and '{second}' a {noun}; expected the {noun} first: "
                f"{shlex.join(['surgeon', args.verb, *words])}"
            )
        if args.verb == "test":
            args.wrong_usage(f"'{first}' is a model; expected a recipe or a plugin")
        args.wrong_usage(missing_recipe(first, noun))
    if second is not None and second.endswith((".yaml", ".yml")):
        args.wrong_usage(f"'{second}' is a recipe; expected a model")


def missing_recipe(model: str, noun: str = "recipe") -> str:
    """Return what is said of a model that no recipe, or no plan, stands before."""
    if noun == "plan":
        return (
            f"'{model}' is a model; expected a plan before it. 'surgeon plan RECIPE MODEL -o PLAN' writes one"
        )
    return (
        f"'{model}' is a model; expected a recipe before it. 'surgeon inspect {shlex.quote(model)}' shows "
        "which recipes fit, and 'surgeon init' writes one"
    )


def _second(args: argparse.Namespace) -> str | None:
    """Return what stands in the place of MODEL; None where nothing does."""
    if args.verb == "run":
        return args.rest[0] if is_graph(args.recipe) else None
    found: str | None = getattr(args, "model", None)
    return found


def is_graph(word: str | os.PathLike[str]) -> bool:
    """Return whether a word of a command names a frozen graph's file or a SavedModel folder."""
    from surgeon.formats.format import format_by_suffix

    form = format_by_suffix(word)
    return (form is not None and form.rewritable) or os.path.isfile(os.path.join(word, "saved_model.pb"))


def _is_recipe(word: str) -> bool:
    """Return whether a word names a recipe or a plan: by its suffix, or a name that is not a file's."""
    suffix = os.path.splitext(word)[1].lower()
    return suffix in (".yaml", ".yml", ".json") or not (suffix or os.path.exists(word))
