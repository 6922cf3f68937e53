"""What a recipe says, as frozen values."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from surgeon.catalog.detections import DetectionOutputs
from surgeon.diagnostics import Span
from surgeon.display import Displayed, plural
from surgeon.language.document import PathItem
from surgeon.steps.node_names import NodeName
from surgeon.steps.step import Step

OPERANDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ConcatV2": ("axis",),
        "ExpandDims": ("axis",),
        "Transpose": ("perm",),
        "Reshape": ("shape",),
        "Tile": ("multiples",),
        "Pad": ("paddings",),
        "Slice": ("begin", "size"),
        "Mean": ("axis",),
        "Sum": ("axis",),
        "Max": ("axis",),
        "Min": ("axis",),
        "Prod": ("axis",),
    }
)
"""Operations of TensorFlow that read constants after their data inputs, with the names of those constants."""

BRIGHTNESS = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""

_SIZE = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9.]+ ?[A-Za-z]*$"}]}
_UNITS = {
    "": 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}


def _class_number(value: Any) -> Any:
    """Take a key of YAML, which is text, for the number it spells; refuse what is none."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) < 10 and value == str(int(value))):
            raise ValueError(f"'{value}' is not a class number; expected 0, 1, 2, ...")
        return int(value)
    return value


ClassNumber = Annotated[int, BeforeValidator(_class_number), Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _whole(value: Any) -> Any:
    """Refuse booleans and fractions where an int is meant; pydantic alone would take 'true' for 1."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError("expected a whole number")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
FieldValue: TypeAlias = bool | int | float | str | tuple[bool | int | float | str, ...]


class NodeDefinition(_Part):
    """A node that the recipe puts in: a plugin, or an ordinary operation of TensorFlow."""

    plugin: str | None = Field(
        None, description="Plugin, such as NMS_TRT; 'surgeon list plugins' shows them."
    )
    op: str | None = Field(
        None, description="Ordinary operation of TensorFlow, such as Placeholder or ConcatV2."
    )
    like: str | None = Field(
        None, description="Tensor of the original graph whose dtype and shape this node's output has."
    )
    shape: tuple[Whole | None, ...] | None = Field(
        None,
        description="Shape, batch included; null leaves a dimension to 'like'. For Reshape, the target "
        "shape.",
    )
    dtype: str | None = Field(None, description="Element type, such as float32.")
    inputs: tuple[str, ...] | Mapping[str, str] | None = Field(
        None,
        description="Tensors read, in order: NODE, NODE:1, NODE:port or NODE:*; for a plugin, a mapping of "
        "ports.",
    )
    fields: Mapping[str, FieldValue] | None = Field(
        None, description="The plugin's fields; 'auto' derives a value from the graph."
    )
    value: Any = Field(None, description="For Const: the value.")
    attrs: Mapping[str, Any] | None = Field(None, description="Attributes of an ordinary operation.")
    axis: Whole | tuple[Whole, ...] | None = Field(
        None, description="For ConcatV2, ExpandDims and reductions."
    )
    perm: tuple[Whole, ...] | None = Field(None, description="For Transpose.")
    multiples: tuple[Whole, ...] | None = Field(None, description="For Tile.")
    paddings: tuple[tuple[Whole, Whole], ...] | None = Field(
        None, description="For Pad: [before, after] an axis."
    )
    begin: tuple[Whole, ...] | None = Field(None, description="For Slice.")
    size: tuple[Whole, ...] | None = Field(None, description="For Slice.")

    @model_validator(mode="after")
    def _one_kind(self) -> NodeDefinition:
        if (self.op is None) == (self.plugin is None):
            raise ValueError("a node is either a 'plugin' or an 'op'; expected exactly one of them")
        given = {k for k, v in self if v is not None}
        allowed = {"plugin", "inputs", "fields", "like"} if self.plugin else self._ordinary_keys()
        for key in sorted(given - allowed):
            what = f"the plugin {self.plugin}" if self.plugin else f"the operation {self.op}"
            raise ValueError(f"'{key}' means nothing for {what}; expected {', '.join(sorted(allowed))}")
        for key in OPERANDS.get(self.op or "", ()):
            if getattr(self, key) is None:
                raise ValueError(f"the operation {self.op} needs '{key}'")
        if self.op == "Placeholder" and self.like is None and (self.shape is None or self.dtype is None):
            raise ValueError("a Placeholder needs 'like', or 'shape' and 'dtype'")
        return self

    def _ordinary_keys(self) -> set[str]:
        base = {"op", "inputs", "attrs", "dtype", "like", *OPERANDS.get(self.op or "", ())}
        return base | {"Placeholder": {"shape"}, "Const": {"value", "shape"}}.get(self.op or "", set())


class NamespaceRule(_Part):
    """What takes a namespace's place."""

    node: str = Field(description="Node of the recipe that takes its place.")
    optional: bool = Field(False, description="No error when the namespace is absent.")


class ImageStep(_Part):
    """One operation on the picture's numbers."""

    scale: float | tuple[float, ...] | None = Field(
        None, description="Multiply by this, or by one number a channel."
    )
    subtract: float | tuple[float, ...] | None = Field(
        None, description="Subtract this, or one number a channel."
    )
    divide: float | tuple[float, ...] | None = Field(
        None, description="Divide by this, or by one number a channel."
    )

    @model_validator(mode="after")
    def _one(self) -> ImageStep:
        if sum(v is not None for _, v in self) != 1:
            raise ValueError("expected exactly one of 'scale', 'subtract' and 'divide'")
        return self


Rounding: TypeAlias = Literal["half-even", "down"]


def fitted_size(
    size: tuple[int, int], height: int, width: int, rounding: Rounding | None = None
) -> tuple[int, int]:
    """Return the largest height and width inside ``size`` with the proportions of a picture, rounded half to
    even, or down.
    """
    factor = min(np.float32(size[0]) / np.float32(height), np.float32(size[1]) / np.float32(width))
    sides = [np.float32(side) * factor for side in (height, width)]
    scaled = [int(side if rounding == "down" else np.round(side)) for side in sides]
    return min(max(scaled[0], 1), size[0]), min(max(scaled[1], 1), size[1])


class Image(_Part):
    """How a picture becomes the input tensor."""

    size: tuple[Whole, Whole] = Field(description="Height and width in pixels.")
    resize: Literal["stretch", "keep-aspect-ratio", "letterbox"] = Field(
        "stretch",
        description="How the picture is fitted: keep-aspect-ratio keeps its proportions, at the top left; "
        "letterbox, in the middle.",
    )
    fill: float | None = Field(
        default=None,
        description="The number of what is filled (default: 0; for letterbox before the steps, 128).",
    )
    interpolation: Literal["tf1-bilinear", "half-pixel-bilinear", "nearest"] = Field(
        "tf1-bilinear",
        description="How pixels are interpolated; tf1-bilinear is TensorFlow 1's without half-pixel centres.",
    )
    padding: Literal["before-steps", "after-steps"] | None = Field(
        default=None,
        description="For keep-aspect-ratio and letterbox: whether the rest of the size is filled before the "
        "steps or after them (default: before-steps).",
    )
    rounding: Rounding | None = Field(
        default=None,
        description="For keep-aspect-ratio and letterbox: how the sides of the fitted picture become whole "
        "numbers (default: half-even).",
    )
    color: Literal["RGB", "BGR", "GRAY"] = Field("RGB", description="Order of the channels.")
    brightness: tuple[float, float, float] | None = Field(
        None,
        description="For GRAY: the shares of red, green and blue in the brightness of a pixel "
        "(default: 0.299, 0.587, 0.114).",
    )
    steps: tuple[ImageStep, ...] = Field((), description="Arithmetic on the pixels (0 to 255), in order.")

    @property
    def filled(self) -> float:
        """The number of pixels that the picture leaves free."""
        default = 128.0 if self.resize == "letterbox" and self.padding != "after-steps" else 0.0
        return default if self.fill is None else self.fill

    @model_validator(mode="after")
    def _fill_beside_the_picture(self) -> Image:
        if self.fill is not None and self.resize == "stretch":
            raise ValueError("'fill' means nothing with 'resize: stretch'; take it away")
        if self.fill is not None and not math.isfinite(self.fill):
            raise ValueError("'fill' is a number that is not finite; expected one from 0 to 255")
        return self

    @model_validator(mode="after")
    def _fitting(self) -> Image:
        if self.brightness is not None and self.color != "GRAY":
            raise ValueError("'brightness' means nothing without 'color: GRAY'; take it away")
        if self.padding is not None and self.resize == "stretch":
            raise ValueError("'padding' means nothing with 'resize: stretch'; take it away")
        if self.rounding is not None and self.resize == "stretch":
            raise ValueError("'rounding' means nothing with 'resize: stretch'; take it away")
        if self.brightness is not None and not all(math.isfinite(share) for share in self.brightness):
            raise ValueError("'brightness' holds a number that is not finite; expected three shares")
        return self


def byte_count(value: Any) -> Any:
    """Return a size such as ``512MiB`` in bytes; numbers stay. Raise ValueError for other text."""
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", value.strip())
        if not match or match[2] not in _UNITS:
            raise ValueError(f"'{value}' is not a size; expected a number of bytes or, say, 512MiB or 1GiB")
        return int(float(match[1]) * _UNITS[match[2]])
    return value


Anchors: TypeAlias = Literal["auto", "plugin", "constant"]
Decode: TypeAlias = Literal["auto", "plugin", "graph"]
Suppression: TypeAlias = Literal["auto", "plugin", "native"]


class EngineSettings(_Part):
    """How an engine is built."""

    precision: Literal["fp32", "fp16", "int8"] = Field(
        "fp32", description="Arithmetic that the builder may use."
    )
    max_batch: Whole = Field(1, ge=1, description="Largest batch.")
    workspace: Annotated[int, BeforeValidator(byte_count), WithJsonSchema(_SIZE)] = Field(
        1 << 30, ge=0, description="Memory for the builder's tactics, in bytes or as 512MiB, 1GiB."
    )


class Recipe(Displayed, _Part):
    """A recipe after ``extends``, parameters and step edits, with the place of each key in its files."""

    recipe: Literal[1] = Field(description="Version of the recipe language.")
    name: str = Field(description="Name of the recipe.", min_length=1)
    summary: str = Field("", description="One line on what it is for.")
    parameters: Mapping[str, Any] = Field(
        default_factory=dict, description="Values used as $name, with their defaults."
    )
    outputs: tuple[str, ...] = Field(
        description="Outputs of the rewritten graph: NODE, NODE:1 or NODE:port.", min_length=1
    )
    nodes: Mapping[NodeName, NodeDefinition] = Field(
        default_factory=dict, description="Nodes that are put in, by name."
    )
    namespaces: Mapping[str, NamespaceRule] = Field(
        default_factory=dict,
        description="What is taken out, and the node that takes its place; the longest prefix wins.",
    )
    steps: tuple[Step, ...] = Field((), description="The steps, in order.")
    image: Image | Literal["auto"] | None = Field(None, description="How a picture becomes the input.")
    labels: Mapping[ClassNumber, str] = Field(
        default_factory=dict,
        description="Names of the classes, by the number that a detection carries; the background is 0.",
    )
    anchors: Anchors = Field(
        "auto",
        description="What makes the anchors: the recipe's plugin, or one constant with the graph's own "
        "anchors. 'auto' takes the "
        "constant where fields of the plugin are 'auto' and its anchors would differ by more than 1e-6 of "
        "the picture.",
    )
    decode: Decode = Field(
        "auto",
        description="What decodes boxes: the plugin that suppresses them, or ordinary operations in front of "
        "it. 'auto' decodes in the graph where the original clips boxes or drops empty ones before "
        "suppression, which the plugin does not.",
    )
    suppression: Suppression = Field(
        "auto",
        description="What suppresses overlapping boxes: the recipe's plugin, or SurgeonDetection of the "
        "native library in the place of NMS_TRT. 'auto' takes the latter where it becomes standard operators "
        "and follows a rule of the graph that NMS_TRT does not.",
    )
    detections: DetectionOutputs | None = Field(
        None,
        description="Outputs that hold detections or their masks where no plugin gives them.",
    )
    engine: EngineSettings = Field(
        default=EngineSettings(precision="fp32", max_batch=1, workspace=1 << 30),
        description="How an engine is built.",
    )

    _spans: Mapping[tuple[PathItem, ...], Span] = PrivateAttr(default_factory=dict)
    _sources: tuple[str, ...] = PrivateAttr(default=())

    def __repr__(self) -> str:
        parts = f"{plural(len(self.nodes), 'node')} and {plural(len(self.namespaces), 'namespace')}"
        return f"<Recipe '{self.name}' of {parts}>"

    def digest(self) -> str:
        """Return the SHA-256 of all that the recipe says, the options of its steps included.

        Comments and places do not count, nor does ``detections`` where it is not stated.
        """
        left_out = {"steps", "detections"} if self.detections is None else {"steps"}
        said = self.model_dump(mode="json", exclude=left_out)
        said["steps"] = [step.model_dump(mode="json") for step in self.steps]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def place(self, *path: PathItem) -> Span | None:
        """Return the place of exactly this key, None where it is not written anywhere."""
        return self._spans.get(path)

    def span(self, *path: PathItem) -> Span | None:
        """Return the place of a key, or of the nearest one above it that has a place."""
        for end in range(len(path), -1, -1):
            found = self._spans.get(path[:end])
            if found is not None:
                return found
        return None

    @property
    def sources(self) -> tuple[str, ...]:
        """Files the recipe was read from: bases first, the recipe itself last."""
        return self._sources
