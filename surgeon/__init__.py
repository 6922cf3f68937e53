"""Surgery on detector graphs for operations that TensorRT cannot run.

The names below are the public ones. They are imported when first used, so that ``import surgeon`` costs
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.display import draw_with
from surgeon.lazy_names import lazy_names
from surgeon.version import __version__

if TYPE_CHECKING:
    from surgeon.api.build import build_engine
    from surgeon.api.check import Check, check
    from surgeon.api.convert import Conversion, convert
    from surgeon.api.detect import detect
    from surgeon.api.diff import diff
    from surgeon.api.evaluate import evaluate
    from surgeon.api.init import init
    from surgeon.api.inspect import inspect
    from surgeon.api.package import Package, package
    from surgeon.api.plan import plan
    from surgeon.api.verify import verify
    from surgeon.api.view import view
    from surgeon.authoring import AuthoredRecipe
    from surgeon.catalog import Catalog, load_catalog
    from surgeon.cluster.fleet import fleet
    from surgeon.cluster.report import FleetReport
    from surgeon.compat.migration import Migration, migrate
    from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError
    from surgeon.engine import BuildResult, Engine, load_engine
    from surgeon.evaluation import Evaluation
    from surgeon.families import Derivation
    from surgeon.formats.graphdef import load_graph, save_graph
    from surgeon.graph import Graph, Node, Ref
    from surgeon.graph.diff import GraphDiff
    from surgeon.inspection import Inspection
    from surgeon.language import Recipe, load_recipe, parse_recipe
    from surgeon.rewrite import Plan, apply
    from surgeon.runners.image_result import ImageResult
    from surgeon.targets import Target, load_target
    from surgeon.verification import Verification
    from surgeon.viewer import ChangeReport
    from surgeon.zoo.demo import DemoModel, demo_model

__all__ = [
    "AuthoredRecipe",
    "BuildResult",
    "Catalog",
    "ChangeReport",
    "Check",
    "Conversion",
    "DemoModel",
    "Derivation",
    "Diagnostic",
    "Engine",
    "Evaluation",
    "FleetReport",
    "Graph",
    "GraphDiff",
    "ImageResult",
    "Inspection",
    "Migration",
    "Node",
    "Package",
    "Plan",
    "Recipe",
    "Ref",
    "Severity",
    "Span",
    "SurgeonError",
    "Target",
    "Verification",
    "__version__",
    "apply",
    "build_engine",
    "check",
    "convert",
    "demo_model",
    "detect",
    "diff",
    "evaluate",
    "fleet",
    "init",
    "inspect",
    "load_catalog",
    "load_engine",
    "load_graph",
    "load_recipe",
    "load_target",
    "migrate",
    "package",
    "parse_recipe",
    "plan",
    "save_graph",
    "verify",
    "view",
]

_HOMES = {
    "surgeon.api.build": ("build_engine",),
    "surgeon.api.check": ("Check", "check"),
    "surgeon.api.convert": ("Conversion", "convert"),
    "surgeon.api.detect": ("detect",),
    "surgeon.api.diff": ("diff",),
    "surgeon.api.evaluate": ("evaluate",),
    "surgeon.api.init": ("init",),
    "surgeon.api.inspect": ("inspect",),
    "surgeon.api.package": ("Package", "package"),
    "surgeon.api.plan": ("plan",),
    "surgeon.api.verify": ("verify",),
    "surgeon.api.view": ("view",),
    "surgeon.authoring": ("AuthoredRecipe",),
    "surgeon.catalog": ("Catalog", "load_catalog"),
    "surgeon.cluster.fleet": ("fleet",),
    "surgeon.cluster.report": ("FleetReport",),
    "surgeon.compat.migration": ("Migration", "migrate"),
    "surgeon.diagnostics": ("Diagnostic", "Severity", "Span", "SurgeonError"),
    "surgeon.engine": ("BuildResult", "Engine", "load_engine"),
    "surgeon.evaluation": ("Evaluation",),
    "surgeon.families": ("Derivation",),
    "surgeon.formats.graphdef": ("load_graph", "save_graph"),
    "surgeon.graph": ("Graph", "Node", "Ref"),
    "surgeon.graph.diff": ("GraphDiff",),
    "surgeon.inspection": ("Inspection",),
    "surgeon.language": ("Recipe", "load_recipe", "parse_recipe"),
    "surgeon.rewrite": ("Plan", "apply"),
    "surgeon.targets": ("Target", "load_target"),
    "surgeon.runners.image_result": ("ImageResult",),
    "surgeon.verification": ("Verification",),
    "surgeon.viewer": ("ChangeReport",),
    "surgeon.zoo.demo": ("DemoModel", "demo_model"),
}

if not TYPE_CHECKING:  # a type checker would take every name that is misspelt for one of these
    __getattr__, __dir__ = lazy_names(__name__, globals(), _HOMES)


@draw_with
def _html(value: object) -> str:
    """Return a value as HTML, for notebooks; what draws it is imported then."""
    from surgeon.api.notebook_html import html_of

    return html_of(value)
