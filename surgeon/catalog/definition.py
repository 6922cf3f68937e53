"""``plugin.yaml``: its schema, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from surgeon.catalog.detections import LISTS, ROWS, DetectionOutputs, gives_detections
from surgeon.catalog.fields import FieldSpec, FieldType, FieldValue, Unfit
from surgeon.catalog.plugin import Lack, PluginSpec, PortSpec, Registration, Remark
from surgeon.diagnostics import error, nearest_note
from surgeon.graph import DType
from surgeon.targets import parse_version, read_data
from surgeon.targets.data_file import Plain, Truth, Version, read_plain

CODE = "C110"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=65_536)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Field(_Strict):
    type: FieldType
    summary: str
    required: Truth = True
    default: str | tuple[str, ...] | None = None
    length: Count | None = None
    min_length: Count | None = None
    max_length: Count | None = None
    length_multiple: Count | None = None
    minimum: Finite | None = None
    maximum: Finite | None = None
    exclusive_minimum: Finite | None = None
    choices: tuple[str, ...] | None = None
    since: Version | None = None
    until: Version | None = None
    required_since: Version | None = None
    derivable: Truth = False
    source: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> _Field:
        lengths = (self.length, self.min_length, self.max_length, self.length_multiple)
        if not self.type.endswith("[]") and any(n is not None for n in lengths):
            raise ValueError(f"a length is given for the type '{self.type}'; expected it for lists only")
        spec = self.spec("field")
        if self.default is not None:
            try:
                spec.convert(spec.default)
            except Unfit as exc:
                raise ValueError(f"the default {exc.problem}") from None
        return self

    def spec(self, name: str) -> FieldSpec:
        """Return the field, default and choices converted to its type."""
        values = self.model_dump() | {
            "required": self.required and self.default is None,
            "default": _typed(self.default, self.type),
            "choices": None if self.choices is None else tuple(_one(c, self.type) for c in self.choices),
        }
        return FieldSpec(name=name, **values)


class _Input(_Strict):
    name: str
    summary: str
    variadic: Truth = False
    optional: Truth = False
    unused: Truth = False
    bounded: Truth = False
    dtype: DType | None = None
    rank: Count | None = None


class _Output(_Strict):
    name: str
    summary: str
    repeat: str | None = None
    dtype: DType | None = None
    rank: Count | None = None


class _Detections(DetectionOutputs):
    """The outputs of a plugin that hold detections; lists are counted."""

    @model_validator(mode="after")
    def _complete(self) -> _Detections:
        lists = (self.count, self.boxes, self.scores, self.classes)
        if self.rows is None and not all(lists):
            raise ValueError("expected 'rows', or all of 'count', 'boxes', 'scores' and 'classes'")
        return self


class _Remark(_Strict):
    text: str
    since: Version | None = None
    until: Version | None = None


def _by_version(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("expected versions with a text each")
    return tuple(sorted((parse_version(key), text) for key, text in value.items()))


class _Registration(_Strict):
    plugin_version: str
    interface: str = ""
    since: Version | None = None
    until: Version | None = None
    deprecated: Version | None = None

    def registration(self) -> Registration:
        """Return it as the catalog holds it."""
        return Registration(**self.model_dump())


class _Plugin(_Strict):
    title: str
    summary: str
    creator: Annotated[str, Field(min_length=1)] | None = None
    plugin_version: str = "1"
    other_versions: tuple[_Registration, ...] = ()
    plugin_namespace: str = ""
    library: str = "tensorrt"
    layout: Literal["kept"] | None = None
    interface: str = ""
    inputs: tuple[_Input, ...] = ()
    outputs: Annotated[tuple[_Output, ...], Field(min_length=1)]
    detections: _Detections | None = None
    lacks: tuple[Lack, ...] = ()
    order_field: str | None = None
    order_ports: tuple[str, ...] = ()
    fields: Mapping[str, _Field] = Field(default_factory=dict)
    since: Version | None = None
    until: Version | None = None
    deprecated: Version | None = None
    replacement: Annotated[tuple[tuple[tuple[int, ...], str], ...], BeforeValidator(_by_version)] = ()
    remarks: tuple[_Remark, ...] = ()
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    kernel: Annotated[str, Field(pattern=r"^(\w+\.\w+)?$")] = ""

    @model_validator(mode="after")
    def _consistent(self) -> _Plugin:
        registrations = self.registrations()
        versions, firsts = [r.plugin_version for r in registrations], [r.since or () for r in registrations]
        if len(set(versions)) != len(versions) or sorted(firsts) != firsts:
            raise ValueError(
                f"the plugin versions are {', '.join(versions)}; expected each once, oldest first"
            )
        for names in ([p.name for p in self.inputs], [p.name for p in self.outputs]):
            if len(set(names)) != len(names):
                raise ValueError("two ports have one name; expected a name for each")
        if any(port.variadic for port in self.inputs[:-1]):
            raise ValueError("a variadic input is not the last one; nothing could follow it")
        for port in self.outputs:
            if port.repeat is not None and (
                port.repeat not in self.fields or self.fields[port.repeat].type not in _COUNTING
            ):
                raise ValueError(
                    f"the output '{port.name}' repeats by '{port.repeat}'; expected an int or list field"
                )
        for port_name in self.detections.parts().values() if self.detections is not None else ():
            if port_name not in [port.name for port in self.outputs]:
                raise ValueError(f"'detections' names the output '{port_name}', which is none")
        ports = [port.name for port in self.inputs]
        if self.order_field is not None:
            order = self.fields.get(self.order_field)
            if order is None or order.type != "int[]" or sorted(self.order_ports) != sorted(ports):
                raise ValueError(
                    "'order_field' and 'order_ports' disagree with the rest; expected a field that lists "
                    "ints, "
                    "and the names of all inputs"
                )
        return self

    def registrations(self) -> tuple[Registration, ...]:
        """Return the plugin version that the definition itself tells, and then its other ones."""
        first = {name: getattr(self, name) for name in _Registration.model_fields}
        return (Registration(**first), *(other.registration() for other in self.other_versions))


_COUNTING = ("int", "int[]", "float[]")


def load_definition(folder: Path, folders: Mapping[str, Path]) -> PluginSpec:
    """Return the plugin that ``<folder>/plugin.yaml`` describes; the folder's name is the op.

    ``folders`` are those of all plugins, of which ``like`` names one: all that the definition does not say
    stands in that one's. Raise SurgeonError C110, with line and column, for a file that is wrong.
    """

    def extend(own: dict[str, Plain]) -> dict[str, Plain]:
        like = own.get("like")
        rest = {key: value for key, value in own.items() if key != "like"}
        return own if like is None else _merged(_base(like, folder, folders), rest)

    model = read_data(folder / "plugin.yaml", _Plugin, CODE, _THING, extend)
    plain = {name: getattr(model, name) for name in _PLAIN}
    return PluginSpec(
        op=folder.name,
        folder=folder,
        creator=model.creator or folder.name,
        inputs=tuple(PortSpec(**port.model_dump()) for port in model.inputs),
        outputs=tuple(PortSpec(**port.model_dump()) for port in model.outputs),
        fields=MappingProxyType({name: field.spec(name) for name, field in model.fields.items()}),
        registrations=model.registrations(),
        remarks=tuple(Remark(**remark.model_dump()) for remark in model.remarks),
        detections=MappingProxyType(_parts(model)),
        **plain,
    )


def _parts(model: _Plugin) -> dict[str, str]:
    """Return the outputs that hold detections by part: as the definition says, else by their names."""
    if model.detections is not None:
        return model.detections.parts()
    names = [port.name for port in model.outputs]
    by_name = ((ROWS, "count"), LISTS)
    return next(
        (
            {part: part for part in parts if part in names}
            for parts in by_name
            if parts[0] in names and gives_detections(set(parts) & set(names))
        ),
        {},
    )


_THING = "plugin definition"


def _base(like: Plain, folder: Path, folders: Mapping[str, Path]) -> dict[str, Plain]:
    """Return the content of the definition that another one is like."""
    base = folders.get(like) if isinstance(like, str) else None
    plain = {} if base is None else read_plain(base / "plugin.yaml", CODE, _THING)
    if base is None or "like" in plain:
        raise error(
            CODE,
            f"'like' of the {_THING} is '{like!s:.60}'; expected a plugin whose definition has no 'like'",
            folder / "plugin.yaml",
            nearest_note(str(like), folders),
            ["correct the value"],
        )
    return plain


def _merged(base: dict[str, Plain], own: dict[str, Plain]) -> dict[str, Plain]:
    """Return ``base`` with the keys of ``own``, maps merged, and without those that are null there."""
    merged = base | own
    for key, value in own.items():
        inherited = base.get(key)
        if isinstance(value, dict) and isinstance(inherited, dict):
            merged[key] = _merged(inherited, value)
        elif value == "null":
            del merged[key]
    return merged


_PLAIN = (
    "title",
    "summary",
    "plugin_namespace",
    "library",
    "layout",
    "order_field",
    "order_ports",
    "replacement",
    "sources",
    "kernel",
    "lacks",
)


def _typed(text: str | tuple[str, ...] | None, kind: FieldType) -> FieldValue | None:
    if text is None:
        return None
    if isinstance(text, str) and not kind.endswith("[]"):
        return _one(text, kind)
    if isinstance(text, str) or not kind.endswith("[]"):
        raise ValueError(
            f"the default does not fit the type '{kind}'; expected "
            f"{'a list' if kind.endswith('[]') else 'one value'}"
        )
    items: Any = tuple(_one(item, kind) for item in text)
    return items  # type: ignore[no-any-return]


def _one(text: str, kind: FieldType) -> int | float | str:
    plain = kind.removesuffix("[]")
    if plain == "string":
        return text
    try:
        return int(text) if plain == "int" else float(text)
    except ValueError:
        raise ValueError(f"'{text:.40}' is no {plain}") from None
