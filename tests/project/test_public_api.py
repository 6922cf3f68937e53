"""The public names: an explicit list, a docstring each, and an import that costs nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import surgeon

PUBLIC = [
    "Diagnostic",
    "Graph",
    "Node",
    "Plan",
    "Recipe",
    "Ref",
    "SurgeonError",
    "Verification",
    "__version__",
    "apply",
    "build_engine",
    "check",
    "convert",
    "demo_model",
    "detect",
    "diff",
    "init",
    "inspect",
    "load_catalog",
    "load_engine",
    "load_graph",
    "load_recipe",
    "load_target",
    "parse_recipe",
    "plan",
    "save_graph",
    "verify",
    "view",
]
FUNCTIONS = [name for name in PUBLIC if name[0].islower()]
HEAVY = "numpy pydantic pydantic_core yaml google tensorboard tensorflow onnx tensorrt"


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


def test_dir_shows_the_public_names() -> None:
    assert set(PUBLIC) <= set(dir(surgeon))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="lod_graph"):
        surgeon.lod_graph  # type: ignore[attr-defined]  # noqa: B018


def test_the_import_is_light() -> None:
    code = f"import sys, surgeon; print([name for name in {HEAVY.split()!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_function_may_share_its_name_with_a_room() -> None:
    """Importing surgeon.verify puts the module where the function was; it can be called all the same."""
    import surgeon.verify.picture

    assert callable(surgeon.verify) and surgeon.verify.picture.made_picture(1).pixels.shape == (375, 500, 3)
    with pytest.raises(surgeon.SurgeonError, match="no recipe named"):
        surgeon.verify("no such recipe", "nothing.pb")
    code = "import surgeon; f = surgeon.verify; import surgeon.verify; assert f is not surgeon.verify and callable(surgeon.verify)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
