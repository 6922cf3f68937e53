"""What a folder for a device says of its model: ``detector.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgeon.diagnostics import SurgeonError, error
from surgeon.engine.manifest import FileInfo, TensorInfo
from surgeon.engine.options import Algorithm, Precision
from surgeon.language.recipe import ClassNumber, Image
from surgeon.version import refuse_newer_json

VERSION: Literal[1] = 1
NAME = "detector.json"

_LARGEST = 50_000_000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutputInfo(_Part):
    """An output as the rewritten graph has it; ``shape`` has the batch first, None where it is open.

    ``binding`` is what engines call it. ``engine_dtype`` and ``engine_shape`` are as in
    :class:`surgeon.engine.TensorInfo`.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] = ()
    binding: str = ""
    engine_dtype: str = ""
    engine_shape: tuple[int | None, ...] | None = None


class PluginNode(_Part):
    """A plugin node of the file: its name, the catalog's op, its fields, and the creator that makes it."""

    node: str
    op: str
    fields: Mapping[str, Any] = Field(default_factory=dict)
    creator: str
    version: str | None = None
    namespace: str | None = None


class Description(_Part):
    """A file for TensorRT, what is known of it, and how its engine is to be built.

    ``source`` is the file, or an engine where ``built_for`` names the TensorRT and the GPU that it was built
    for; ``plugin_libraries`` are the names of those that it was built with. ``original`` names the file of
    stored originals and ``calibration`` that of the INT8 scales, both '' where there is none. ``classes`` is
    as in :class:`surgeon.engine.Manifest`, the rest as in :class:`surgeon.engine.Source` and
    :class:`surgeon.engine.BuildOptions`.
    """

    version: Literal[1] = VERSION
    surgeon: str
    name: str
    source: FileInfo
    format: Literal["uff", "onnx", "caffe"]
    inputs: tuple[TensorInfo, ...]
    marks: tuple[str, ...] = ()
    outputs: tuple[OutputInfo, ...]
    plugins: tuple[PluginNode, ...] = ()
    model: str = ""
    graph: str = ""
    recipe: str = ""
    recipe_digest: str = ""
    target: str = ""
    detections: Mapping[str, str] = Field(default_factory=dict)
    image: Image | None = None
    labels: Mapping[ClassNumber, str] = Field(default_factory=dict)
    classes: int | None = None
    batch: int | None = None
    original: str = ""
    calibration: str = ""
    native_plugins: bool = False
    precision: Precision = "fp32"
    tf32: bool = True
    workspace: int = 1 << 30
    max_batch: int = 1
    best_batch: int | None = None
    algorithm: Algorithm = "entropy"
    dla_core: int | None = None
    plugin_libraries: tuple[str, ...] = ()
    built_for: str = ""

    @property
    def implicit_batch(self) -> bool:
        """Whether the batch is no axis of the engine's tensors."""
        return self.format != "onnx"

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


def read_description(folder: Path) -> Description:
    """Return what a folder says of its model.

    Raise SurgeonError B150 where it says nothing or something else, E121 where a newer release wrote it.
    """
    path = folder / NAME
    text = b""
    try:
        if path.stat().st_size > _LARGEST:
            raise _none(path, "it is far too large")
        text = path.read_bytes()
        found: Description = Description.model_validate_json(text)
        return found
    except OSError as exc:
        raise _none(path, exc.strerror or str(exc)) from None
    except ValidationError as exc:
        refuse_newer_json(text, VERSION, "the description", path, "surgeon package RECIPE MODEL -o DIR")
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise _none(path, f"{place}: {first['msg']}") from None


def _none(path: Path, reason: str) -> SurgeonError:
    return error(
        "B150",
        f"'{path}' does not describe a model for this program: {reason}",
        str(path),
        help=["keep the files of the folder together, or make it again with 'surgeon package'"],
    )
