"""``cases.yaml``: what a plugin computes of small inputs, worked out by hand, and what it must not
compute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from surgeon.catalog.plugin import PluginSpec
from surgeon.catalog.reference import Reference
from surgeon.diagnostics import error
from surgeon.display import plural
from surgeon.targets import read_data

CODE = "C115"
MAX_ELEMENTS = 65_536
"""Bound on the elements of one array of a case."""

ElementType = Literal["float32", "int32", "uint8"]
Scalar: TypeAlias = "int | float | str"


def _scalar(text: object) -> object:
    """Return what a plain text means: an int, a number, or itself."""
    if not isinstance(text, str):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _field_value(value: object) -> object:
    return tuple(map(_scalar, value)) if isinstance(value, list) else _scalar(value)


def _flat(values: object) -> tuple[str, ...]:
    """Return the numbers of lists in lists, in their order; one number stands for itself."""
    found: list[str] = []
    rest = [values]
    while rest:
        value = rest.pop()
        if isinstance(value, list):
            rest.extend(reversed(value))
        elif isinstance(value, str):
            found.append(value)
        else:
            raise ValueError("it holds a mapping; expected numbers")
    return tuple(found)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


Fields = Mapping[str, Annotated[Any, BeforeValidator(_field_value)]]
Numbers = Annotated[tuple[str, ...], BeforeValidator(_flat)]
Dim = Annotated[int, Field(ge=0, le=MAX_ELEMENTS)]
Bound = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Array(_Strict):
    shape: tuple[Dim, ...]
    values: Numbers
    dtype: ElementType = "float32"
    bits: ElementType | None = None

    @model_validator(mode="after")
    def _consistent(self) -> _Array:
        size = math.prod(self.shape)
        if size > MAX_ELEMENTS:
            raise ValueError(f"the shape has {size} elements; expected at most {MAX_ELEMENTS}")
        if len(self.values) not in (1, size):
            raise ValueError(
                f"there are {plural(len(self.values), 'value')} for {size} elements; expected one each, or "
                "one for all"
            )
        try:
            self.array()
        except (ValueError, OverflowError):
            raise ValueError(f"a value is not of the type {self.bits or self.dtype}") from None
        return self

    def array(self) -> np.ndarray:
        kind = np.dtype(self.bits or self.dtype)
        flat = np.array([float(v) if kind.kind == "f" else int(v) for v in self.values], kind)
        full = np.array(np.broadcast_to(flat, math.prod(self.shape)).reshape(self.shape))
        return full.view(self.dtype) if self.bits else full


class Tolerance(_Strict):
    """How far floats may be from the expected: ``absolute + relative * |expected|``; and why so far."""

    absolute: Bound = 0.0
    relative: Bound = 0.0
    reason: Annotated[str, Field(min_length=1)]


class _Case(_Strict):
    name: Name
    summary: Annotated[str, Field(min_length=1)]
    fields: Fields = Field(default_factory=dict)
    inputs: tuple[_Array, ...] = ()
    changes: tuple[str, ...] = ()
    outputs: Annotated[Mapping[str, _Array], Field(min_length=1)]


class _Negative(_Strict):
    name: Name
    of: str
    fields: Fields = Field(default_factory=dict)
    inputs: tuple[_Array, ...] | None = None
    changes: tuple[str, ...] | None = None


class _Cases(_Strict):
    tolerance: Tolerance
    fields: Fields = Field(default_factory=dict)
    cases: Annotated[tuple[_Case, ...], Field(min_length=1)]
    negative: Annotated[tuple[_Negative, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> _Cases:
        names = [case.name for case in self.cases]
        everything = names + [control.name for control in self.negative]
        twice = [name for i, name in enumerate(everything) if name in everything[:i]]
        if twice:
            raise ValueError(f"the name '{twice[0]}' stands for two cases; expected a name for each")
        for control in self.negative:
            if control.of not in names:
                raise ValueError(
                    f"the negative control '{control.name}' is of '{control.of}'; expected the name of a case"
                )
            if not control.fields and control.inputs is None and control.changes is None:
                raise ValueError(
                    f"the negative control '{control.name}' changes nothing; expected fields, inputs or "
                    "changes"
                )
        return self


@dataclass(frozen=True, eq=False)
class Case:
    """One run of a plugin, and what it must give: arrays by port, of which some may be left out.

    ``exact`` names the ports whose elements are bits of another type, and are compared bit by bit.
    """

    name: str
    summary: str
    fields: Mapping[str, Any]
    inputs: tuple[np.ndarray, ...]
    changes: tuple[str, ...]
    outputs: Mapping[str, np.ndarray]
    exact: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Negative:
    """One run of a plugin that must not give the outputs of the case ``of``."""

    name: str
    of: Case
    fields: Mapping[str, Any]
    inputs: tuple[np.ndarray, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Cases:
    """The cases of one plugin."""

    op: str
    tolerance: Tolerance
    cases: tuple[Case, ...]
    negative: tuple[Negative, ...]

    def mismatches(self, run: Case | Negative, reference: Reference) -> tuple[str, ...]:
        """Run a case or a negative control, and return how its outputs differ from the case's, as texts.

        A case holds where there are none, a negative control where there are some. Raise SurgeonError as
        :meth:`Reference.run`.
        """
        case = run.of if isinstance(run, Negative) else run
        outputs = reference.run(run.fields, run.inputs, run.changes)
        found = dict(zip(reference.plugin.output_ports(run.fields), outputs, strict=True))
        differences = (
            _difference(port, found.get(port), wanted, self._bound(case, port, wanted))
            for port, wanted in case.outputs.items()
        )
        return tuple(text for text in differences if text)

    def _bound(self, case: Case, port: str, wanted: np.ndarray) -> tuple[float, float] | None:
        exact = port in case.exact or wanted.dtype.kind != "f"
        return None if exact else (self.tolerance.absolute, self.tolerance.relative)


def load_cases(path: Path, plugin: PluginSpec) -> Cases:
    """Return what ``cases.yaml`` of a plugin holds.

    Fields that stand at the top hold for every case. Raise SurgeonError C115, with line and column, for a
    file that cannot be read or is wrong, and for a port that the plugin does not have.
    """
    model = read_data(path, _Cases, CODE, "file of cases")
    cases = {case.name: _case(case, model.fields) for case in model.cases}
    for case in cases.values():
        ports = plugin.output_ports(case.fields)
        for port in case.outputs:
            if port not in ports:
                raise error(
                    CODE,
                    f"the case '{case.name}' expects '{port:.60}', which is not an output of {plugin.op}; "
                    "expected "
                    "its outputs by name",
                    path,
                    ["its outputs: " + ", ".join(ports[:20])],
                    ["correct the name"],
                )
    negative = tuple(_negative(control, cases[control.of]) for control in model.negative)
    return Cases(plugin.op, model.tolerance, tuple(cases.values()), negative)


def _case(model: _Case, common: Mapping[str, Any]) -> Case:
    return Case(
        name=model.name,
        summary=model.summary,
        fields=MappingProxyType({**common, **model.fields}),
        inputs=_arrays(model.inputs),
        changes=model.changes,
        outputs=MappingProxyType({port: array.array() for port, array in model.outputs.items()}),
        exact=tuple(port for port, array in model.outputs.items() if array.bits),
    )


def _negative(model: _Negative, case: Case) -> Negative:
    return Negative(
        name=model.name,
        of=case,
        fields=MappingProxyType({**case.fields, **model.fields}),
        inputs=case.inputs if model.inputs is None else _arrays(model.inputs),
        changes=case.changes if model.changes is None else model.changes,
    )


def _arrays(models: Sequence[_Array]) -> tuple[np.ndarray, ...]:
    return tuple(model.array() for model in models)


def _difference(
    port: str, found: np.ndarray | None, wanted: np.ndarray, bound: tuple[float, float] | None
) -> str | None:
    """Return how an output differs.

    ``bound`` is the absolute and relative tolerance, None for equality of all bits.
    """
    if found is None:
        return f"'{port}' is missing"
    if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
        return f"'{port}' is {found.dtype}{list(found.shape)}; expected {wanted.dtype}{list(wanted.shape)}"
    if bound is None:
        same = (
            (found.view(np.int32) == wanted.view(np.int32)) if found.dtype == np.float32 else found == wanted
        )
    else:
        same = np.isclose(found, wanted, rtol=bound[1], atol=bound[0], equal_nan=True)
    if same.all():
        return None
    first = tuple(int(i) for i in np.argwhere(~same)[0])
    return (
        f"'{port}' differs in {np.count_nonzero(~same)} of {same.size} elements; "
        f"the first is {list(first)}: {found[first]!s}; expected {wanted[first]!s}"
    )
