"""What travels to a device: the closure of functions, older syntax, and the stand-ins for libraries."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import surgeon.packaging.detector.dataclasses36 as older
from surgeon.diagnostics import SurgeonError
from surgeon.engine import Manifest
from surgeon.language import Image
from surgeon.packaging.closure import Closure
from surgeon.packaging.detector import models, pictures
from surgeon.packaging.detector.contextvars36 import ContextVar
from surgeon.packaging.older_python import CannotTravel, edits_for_older_python
from surgeon.packaging.records import kind_of
from surgeon.packaging.source import Module, applied


def older_text(text: str) -> str:
    source = Module("example", text, False)
    return applied(source, 0, len(text.encode()), edits_for_older_python(source.tree.body))


@pytest.mark.parametrize(
    ("newer", "expected"),
    [
        ("def f(a: int | None = 1) -> list[int]: ...", "def f(a: 'int | None' = 1) -> 'list[int]': ..."),
        ("x: dict[str, int] = {}  # kept", "x: 'dict[str, int]' = {}  # kept"),
        ("isinstance(a, int | str | B.c)", "isinstance(a, (int, str, B.c))"),
        ("for a in zip(b, c, strict=True): pass", "for a in zip(b, c): pass"),
        ("@dataclass(frozen=True, slots=True)\nclass A: pass", "@dataclass(frozen=True)\nclass A: pass"),
        ("class A(Sequence[int], B): pass", "class A(Sequence, B): pass"),
        ("run(a, capture_output=True)", "run(a, stdout=subprocess.PIPE, stderr=subprocess.PIPE)"),
        ("s = 'ä'; t: A | B = 1", "s = 'ä'; t: 'A | B' = 1"),
    ],
)
def test_newer_syntax_becomes_older(newer: str, expected: str) -> None:
    assert older_text(newer) == expected + "\n"
    ast.parse(expected)


@pytest.mark.parametrize(
    "text",
    [
        "if (a := 1): pass",
        "match a:\n    case 1: pass",
        "a.removeprefix(b)",
        "a.max(initial=0)",
        "sort(a, kind='stable')",
    ],
)
def test_what_has_no_older_form_is_refused(text: str) -> None:
    with pytest.raises(CannotTravel, match="line 1"):
        older_text(text)


def test_a_closure_holds_what_is_reached() -> None:
    closure = Closure()
    assert closure.add("surgeon.graph", "Ref") == "surgeon.graph.node"
    assert list(closure.texts()) == ["surgeon.graph.node"]
    closure.add("surgeon.verification.limits", "Limits")
    texts = closure.texts()
    assert "def error(" in texts["surgeon.diagnostics"] and "def nearest(" not in texts["surgeon.diagnostics"]
    assert "from surgeon.verification.results import Tolerances" in texts["surgeon.verification.limits"]
    with pytest.raises(LookupError, match="has no 'Moon'"):
        closure.add("surgeon.graph.node", "Moon")


def model_class(name: str, model: Any, parts: Mapping[str, Any]) -> Any:
    fields = {
        key: (kind_of(info.annotation), info.is_required(), info.get_default(call_default_factory=True))
        for key, info in model.model_fields.items()
    }
    return type(name, (models.BaseModel,), {"FIELDS": fields, "MODELS": parts})


IMAGE = {"size": [3, 4], "color": "BGR", "steps": [{"scale": 0.5}, {"subtract": [1.0, 2.0, 3.0]}]}


def test_a_module_that_is_imported_by_its_package_travels() -> None:
    whole = "import ctypes\nimport ctypes.util\n\ndef find() -> object:\n    return ctypes.util.find_library('c')\n"
    source = Module("surgeon.imagined", whole, False)
    closure = Closure(_modules={"surgeon.imagined": source})
    closure.add("surgeon.imagined", "find")
    lines = closure.texts()["surgeon.imagined"].splitlines()
    assert "import ctypes" in lines
    assert "import ctypes.util" in lines


def test_records_read_and_write_what_models_do() -> None:
    step = model_class("ImageStep", Image.model_fields["steps"].annotation.__args__[0], {})  # type: ignore[union-attr]
    image = model_class("Image", Image, {"ImageStep": step})
    theirs, ours = Image.model_validate(IMAGE), image.model_validate(IMAGE)
    assert ours.model_dump(mode="json") == theirs.model_dump(mode="json")
    assert ours == image.model_validate(ours.model_dump()) and ours != image.model_validate({"size": [3, 5]})
    assert [name for name, value in ours.steps[1] if value is not None] == ["subtract"]
    with pytest.raises(AttributeError):
        ours.size = (1, 1)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"size": [3]}, ("size",)),
        ({"size": "x"}, ("size",)),
        ({"size": [3, "x"]}, ("size", 1)),
        ({"moon": 1}, ("moon",)),
        ({"color": "PINK"}, ("color",)),
        ({"steps": [{"scale": "much"}]}, ("steps", 0, "scale")),
    ],
)
def test_records_refuse_what_models_refuse(change: dict[str, Any], place: tuple[Any, ...]) -> None:
    step = model_class("ImageStep", Image.model_fields["steps"].annotation.__args__[0], {})  # type: ignore[union-attr]
    image = model_class("Image", Image, {"ImageStep": step})
    with pytest.raises(ValueError):
        Image.model_validate({**IMAGE, **change})
    with pytest.raises(models.ValidationError) as caught:
        image.model_validate({**IMAGE, **change})
    assert caught.value.errors()[0]["loc"][: len(place)] == place
    with pytest.raises(models.ValidationError, match="Invalid JSON"):
        image.model_validate_json(b"[" * 100_000)


def test_every_field_of_a_manifest_has_a_kind() -> None:
    assert {kind_of(info.annotation)[0] for info in Manifest.model_fields.values()} > {
        "model",
        "mapping",
        "str",
    }
    with pytest.raises(TypeError, match="no form on a device"):
        kind_of(ModuleType)


def test_older_dataclasses_do_as_much() -> None:
    @older.dataclass(frozen=True)
    class Base:
        a: int
        b: tuple = ()  # type: ignore[type-arg]

    @older.dataclass(frozen=True)
    class Made(Base):
        c: list = older.field(default_factory=list)  # type: ignore[type-arg]
        shown: str = older.field(default="x", repr=False)

    made = Made(1, c=[2])  # type: ignore[call-arg]
    assert repr(made) == "Made(a=1, b=(), c=[2])" and made == Made(1, (), [2])  # type: ignore[call-arg]
    assert older.replace(made, a=5).a == 5 and older.asdict(made) == {"a": 1, "b": (), "c": [2], "shown": "x"}
    assert hash(Base(1)) == hash(Base(1)) and Base(1) != Base(2) and Base(1) != 1  # type: ignore[call-arg]
    for words in ((), (1, 2, 3, 4, 5)):
        with pytest.raises(TypeError):
            Made(*words)
    with pytest.raises(TypeError):
        Made(1, moon=2)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        made.a = 2


def test_older_context_variables_do_as_much() -> None:
    variable = ContextVar("name", default=1)
    token = variable.set(2)
    assert variable.get() == 2
    variable.reset(token)
    assert variable.get() == 1


class OpenCV(ModuleType):
    IMREAD_COLOR = 1

    @staticmethod
    def imdecode(data: np.ndarray, kind: int) -> np.ndarray | None:
        if not data.size:
            return None
        pixels = np.zeros((2, 3, 3), np.uint8)
        pixels[..., 0] = 255  # blue comes first
        return pixels


def test_opencv_reads_where_pillow_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def require(module: str, purpose: str) -> Any:
        if module != "cv2":
            raise SurgeonError()
        return OpenCV("cv2")

    monkeypatch.setattr(pictures, "require", require)
    (tmp_path / "a.jpg").write_bytes(b"data")
    assert pictures.decoder_of(tmp_path / "a.jpg")()[0, 0].tolist() == [0, 0, 255]
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot decode"):
        pictures.decoder_of(tmp_path / "a.jpg")()
    np.save(tmp_path / "a.npy", np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        pictures.decoder_of(tmp_path / "a.npy")()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_old_pillow_turns_pictures_as_new_pillow_does(orientation: int, tmp_path: Path) -> None:
    import PIL.ImageOps

    image = PIL.Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    tags = PIL.Image.Exif()
    tags[274] = orientation
    image.save(tmp_path / "a.jpg", exif=tags)
    with PIL.Image.open(tmp_path / "a.jpg") as opened:
        expected = np.asarray(PIL.ImageOps.exif_transpose(opened))
        found = np.asarray(pictures._Turning(PIL.Image).exif_transpose(opened))
    assert np.array_equal(found, expected)
