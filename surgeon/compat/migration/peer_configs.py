"""Files of other tools that say what takes the place of a graph's parts.

OpenVINO's transformation files for the Object Detection API say where a detector's parts begin;
:mod:`surgeon.compat.migration.plugin_matches` has Polygraphy's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from surgeon.authoring import AuthoredRecipe, author
from surgeon.authoring.author import recognised
from surgeon.compat.migration.plugin_matches import recipe_of_matches
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error, nearest_note
from surgeon.graph import Graph
from surgeon.request import Work

SINGLE_SHOT = "ObjectDetectionAPISSDPostprocessorReplacement"
"""The replacement that makes a file one for single-shot detectors."""

_YAML = (".yaml", ".yml")


def is_peer_config(path: Path) -> bool:
    """Return whether a file is JSON or YAML, and so no script."""
    return path.suffix.lower() in (".json", *_YAML)


def recipe_of_config(path: Path, work: Work, name: str, modeline: str) -> AuthoredRecipe:
    """Return the recipe that a file of another tool stands for; it is YAML for Polygraphy's, else OpenVINO's.

    Raise SurgeonError P138 for a file that maps to no recipe, and as :func:`surgeon.init`.
    """
    make = recipe_of_matches if path.suffix.lower() in _YAML else _of_transformations
    return make(path, work, name, modeline)


def _of_transformations(path: Path, work: Work, name: str, modeline: str) -> AuthoredRecipe:
    """Return the recipe of ``surgeon init`` for a model, its parts held against a transformation file.

    The file names parts of the graph and few numbers, so that everything is read off the graph. What it says
    otherwise is a warning P139. Raise SurgeonError P138 for a file that is none for single-shot detectors,
    and as :func:`surgeon.init`.
    """
    entries = _entries(path)
    kinds = [str(entry.get("id", "")) for entry in entries]
    if SINGLE_SHOT not in kinds:
        listed = ", ".join(f"'{kind}'" for kind in kinds[:4]) or "nothing"
        raise error(
            "P138",
            f"the file replaces {listed}; expected '{SINGLE_SHOT}'",
            str(path),
            help=["write a recipe by hand: docs/recipes.md; only single-shot detectors are read off a graph"],
        )
    made = author(
        work.graph,
        work.catalog,
        name=name,
        most_rows=work.target.most_rows,
        modeline=modeline
        + f"# In place of OpenVINO's '{path.name}', whose parts were looked up in the graph.\n",
    )
    return made.planned(
        each
        for entry in entries
        for each in (*_absent(entry, work.graph, path), *_clips(entry, work.graph, path))
    )


def _entries(path: Path) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as exc:
        raise error("P138", f"the file cannot be read: {exc.strerror}", str(path)) from None
    except (ValueError, RecursionError) as exc:
        raise error("P138", f"the file is not JSON: {exc}", str(path)) from None
    if isinstance(found, list) and found and all(isinstance(entry, dict) for entry in found):
        return found
    raise error(
        "P138",
        "the file is no transformation file; expected a list of entries with 'id' and 'match_kind'",
        str(path),
        help=["give a file such as OpenVINO's ssd_v2_support.json"],
    )


def _absent(entry: Mapping[str, Any], graph: Graph, path: Path) -> Iterator[Diagnostic]:
    """Yield a warning for each part of the graph that an entry names and the graph lacks."""
    names = list(graph.nodes)
    instances = entry.get("instances")
    if isinstance(instances, dict):
        points = [each for key in ("start_points", "end_points") for each in instances.get(key) or ()]
        missing = [str(each) for each in points if each not in graph]
    else:
        scopes = [each for each in instances or () if isinstance(each, str)]
        missing = [scope for scope in scopes if not any(_begins(scope, name) for name in names)]
    for each in missing:
        yield _warning(
            f"'{entry.get('id')}' names '{each}', which is not in the graph",
            path,
            nearest_note(each, names),
            "the file is for exports of another date; the recipe takes what the graph has",
        )


def _begins(scope: str, name: str) -> bool:
    try:
        return re.match(scope, name) is not None
    except re.error:
        return name.startswith(scope)


def _clips(entry: Mapping[str, Any], graph: Graph, path: Path) -> Iterator[Diagnostic]:
    """Yield a warning where an entry clips boxes at another place than the graph."""
    attributes = entry.get("custom_attributes")
    if not isinstance(attributes, dict) or "clip_before_nms" not in attributes:
        return
    try:
        clip = recognised(graph).postprocessing.clip
        before = clip.value == "before"
    except SurgeonError:
        return
    if bool(attributes["clip_before_nms"]) != before:
        yield _warning(
            f"the file says clip_before_nms {json.dumps(attributes['clip_before_nms'])}; the graph clips "
            f"boxes {'before' if before else 'after'} suppression",
            path,
            clip.evidence,
            "the recipe does what the graph does",
        )


def _warning(message: str, path: Path, notes: tuple[str, ...], help: str) -> Diagnostic:
    return Diagnostic("P139", message, str(path), tuple(notes), (help,), Severity.WARNING)
