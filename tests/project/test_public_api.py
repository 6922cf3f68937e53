"""The public names: an explicit list, a docstring each, and an import that costs nothing."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import surgeon

PUBLIC = [
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
FUNCTIONS = [name for name in PUBLIC if name[0].islower()]
HEAVY = "numpy pydantic pydantic_core yaml google tensorflow onnx tensorrt"


def test_the_public_names_are_these() -> None:
    assert sorted(surgeon.__all__) == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_a_public_name_says_what_it_is(name: str) -> None:
    value = getattr(surgeon, name)
    text = inspect.getdoc(value) or ""
    # A dataclass without a docstring gets its signature for one.
    assert text and not text.startswith(f"{name}(")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_states_every_type(name: str) -> None:
    function = getattr(surgeon, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    bare = [each.name for each in signature.parameters.values() if each.annotation is inspect.Parameter.empty]
    assert bare == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_public_function_returns_is_public(name: str) -> None:
    returned = str(inspect.signature(getattr(surgeon, name)).return_annotation)
    assert [kind for kind in re.findall(r"[A-Z]\w+", returned) if kind not in (*PUBLIC, "None")] == []


def test_diagnostics_have_one_name() -> None:
    """Lists of diagnostics are 'diagnostics', their selections by severity 'errors' and 'warnings'."""
    import surgeon.authoring
    import surgeon.families
    import surgeon.families.fields
    import surgeon.steps.step

    holders = [getattr(surgeon, name) for name in PUBLIC if isinstance(getattr(surgeon, name), type)]
    holders += [
        surgeon.authoring.Witnesses,
        surgeon.families.Draft,
        surgeon.families.fields.FieldReview,
        surgeon.steps.step.StepContext,
    ]
    named: set[str] = set()
    for kind in holders:
        members = dict(getattr(kind, "__annotations__", {}))
        members |= {
            key: value.fget.__annotations__.get("return", "")
            for key, value in vars(kind).items()
            if isinstance(value, property) and value.fget is not None
        }
        named |= {
            f"{kind.__name__}.{key}"
            for key, text in members.items()
            if re.match(r"(tuple|list)\[Diagnostic\b", str(text))
        }
    assert {name.partition(".")[2] for name in named} == {"diagnostics", "errors", "warnings"}
    assert {"Plan.diagnostics", "Check.diagnostics", "Check.errors", "Conversion.warnings"} <= named


def test_dir_shows_the_public_names() -> None:
    assert set(PUBLIC) <= set(dir(surgeon))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="lod_graph"):
        surgeon.lod_graph  # type: ignore[attr-defined]  # noqa: B018


def test_the_import_is_light() -> None:
    code = f"import sys, surgeon; print([name for name in {HEAVY.split()!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "used_first", [FUNCTIONS, FUNCTIONS[::-1], []], ids=["in order", "the other way", "none"]
)
def test_public_functions_stay_plain_functions(used_first: list[str]) -> None:
    """No module takes their place, whatever is imported: they have a signature and text, and can be sent to another process."""
    code = f"""
import inspect, pickle, pkgutil, importlib, types, surgeon
first = {{name: getattr(surgeon, name) for name in {used_first!r}}}
for room in pkgutil.iter_modules(surgeon.__path__, "surgeon."):
    if room.name != "surgeon.__main__":
        importlib.import_module(room.name)
for name in {FUNCTIONS!r}:
    again = getattr(surgeon, name)
    assert first.get(name, again) is again and type(again) is types.FunctionType, again
    assert again is pickle.loads(pickle.dumps(again))
    assert len(inspect.signature(again).parameters) > 0 and "**kwargs" not in str(inspect.signature(again))
    assert inspect.getdoc(again)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""
