"""One plugin: its ports, fields, versions and shape rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as data_field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Literal, TypeAlias

from surgeon.catalog.fields import FieldSpec, FieldValue, Unfit, Version, show, within
from surgeon.catalog.modules import Result, UnfitInput, guarded, load_code
from surgeon.diagnostics import Diagnostic, Span, SurgeonError, error, nearest_note
from surgeon.display import Displayed, plural
from surgeon.graph import DType, Node, Ref, TensorSpec
from surgeon.targets import print_version

Lack: TypeAlias = Literal["soft_sigma", "class_agnostic"]
"""A value of a detector's post-processing that a plugin takes for 0 or False, whatever its fields are."""

MAX_PORTS = 4096
"""Bound on the outputs of one plugin node."""

_QUOTED = re.compile(r"'([^']+)'")


@dataclass(frozen=True)
class PortSpec:
    """One input or output, or a run of them.

    An input that is ``variadic`` stands for any number of edges; one that is ``unused`` is ignored by the
    plugin, and is never connected by itself. One that is ``bounded`` takes probabilities, or
    coordinates inside the picture: 'verify' puts no others in. An output with ``repeat`` stands for several,
    ``<name>0``, ``<name>1`` and so on: as many as the value of that field, or as it has items. ``rank``
    counts the batch axis.
    """

    name: str
    summary: str
    variadic: bool = False
    optional: bool = False
    unused: bool = False
    bounded: bool = False
    repeat: str | None = None
    dtype: DType | None = None
    rank: int | None = None


@dataclass(frozen=True)
class Remark:
    """What to know about a plugin in TensorRT ``since <= version < until``."""

    text: str
    since: Version | None = None
    until: Version | None = None


@dataclass(frozen=True)
class Registration:
    """One plugin version under which a plugin is registered, and the interface that it then has.

    It exists in TensorRT ``since <= version < until`` and is deprecated from ``deprecated`` on; None is no
    bound.
    """

    plugin_version: str = "1"
    interface: str = ""
    since: Version | None = None
    until: Version | None = None
    deprecated: Version | None = None

    def exists_in(self, version: Version | None) -> bool:
        """Return whether TensorRT ``version`` has it; True where the version is None."""
        return within(version, self.since, self.until)


@dataclass(frozen=True, eq=False)
class PluginSpec(Displayed):
    """A plugin of TensorRT or of one's own, as ``plugins/<op>/plugin.yaml`` describes it.

    ``op`` is its name in recipes and graphs, ``creator`` the one that TensorRT knows it by; they differ where
    the latter is an operation of TensorFlow. ``registrations`` are its plugin versions, oldest first; ports
    and fields are those of all of them. ``library`` is ``tensorrt`` for what comes with it, else ``own``.
    ``order_field`` is the field that says at which edge each of ``order_ports`` is; inputs may then come in
    any order. ``replacement`` says by version what to use instead. ``kernel`` is ``FOLDER.NAME`` of what
    holds its numbers, shapes and ONNX lowering where its own folder does not, empty for none. ``layout`` is
    ``kept`` where channels stay first or last, as in what it reads. ``detections`` are the outputs that hold
    detections, by part (see :mod:`surgeon.catalog.detections`), ``lacks`` what the plugin cannot do of a
    detector's post-processing.
    """

    op: str
    title: str
    summary: str
    folder: Path
    creator: str
    fields: Mapping[str, FieldSpec]
    registrations: tuple[Registration, ...] = (Registration(),)
    plugin_namespace: str = ""
    library: str = "tensorrt"
    layout: str | None = None
    inputs: tuple[PortSpec, ...] = ()
    outputs: tuple[PortSpec, ...] = ()
    order_field: str | None = None
    order_ports: tuple[str, ...] = ()
    replacement: tuple[tuple[Version, str], ...] = ()
    remarks: tuple[Remark, ...] = ()
    sources: tuple[str, ...] = ()
    kernel: str = ""
    detections: Mapping[str, str] = data_field(default_factory=lambda: MappingProxyType({}))
    lacks: tuple[Lack, ...] = ()

    @property
    def since(self) -> Version | None:
        """The first TensorRT that has the plugin, None for no bound."""
        return _outermost([registration.since for registration in self.registrations], min)

    @property
    def until(self) -> Version | None:
        """The first TensorRT that has the plugin no longer, None for no bound."""
        return _outermost([registration.until for registration in self.registrations], max)

    @property
    def deprecated(self) -> Version | None:
        """The first TensorRT in which every plugin version is deprecated or gone.

        None where one is neither.
        """
        return _outermost(
            [registration.deprecated or registration.until for registration in self.registrations], max
        )

    @property
    def plugin_version(self) -> str:
        """The oldest plugin version."""
        return self.registrations[0].plugin_version

    @property
    def interface(self) -> str:
        """The interface of the oldest plugin version."""
        return self.registrations[0].interface

    def exists_in(self, version: Version | None) -> bool:
        """Return whether TensorRT ``version`` has the plugin in any plugin version.

        True where the version is None.
        """
        return bool(self.registrations_in(version))

    def registrations_in(self, version: Version | None) -> tuple[Registration, ...]:
        """Return the plugin versions that TensorRT ``version`` has, oldest first.

        All where the version is None.
        """
        return tuple(registration for registration in self.registrations if registration.exists_in(version))

    def registration_for(self, version: Version | None) -> Registration | None:
        """Return the newest plugin version that TensorRT ``version`` has, None where it has none."""
        there = self.registrations_in(version)
        return there[-1] if there else None

    def fields_of(self, version: Version | None = None) -> tuple[FieldSpec, ...]:
        """Return the fields that TensorRT ``version`` knows, in their order.

        All where the version is None.
        """
        return tuple(field for field in self.fields.values() if field.exists_in(version))

    def remarks_for(self, version: Version | None = None) -> tuple[str, ...]:
        """Return what to know about the plugin in TensorRT ``version``.

        All of it where the version is None.
        """
        return tuple(remark.text for remark in self.remarks if within(version, remark.since, remark.until))

    def replacement_in(self, version: Version) -> str | None:
        """Return what to use instead in TensorRT ``version``, None where nothing is said of it."""
        said = [text for first, text in self.replacement if version >= first]
        return said[-1] if said else None

    def complete(
        self,
        fields: Mapping[str, object],
        *,
        version: Version | None = None,
        where: Callable[[str], Span | None] | None = None,
    ) -> dict[str, FieldValue]:
        """Return all fields of TensorRT ``version``, in their order, defaults made explicit.

        Ints stay ints, floats are rounded to float32, lists become tuples. ``where`` gives the place of a
        field. Raise one SurgeonError with everything that is wrong: C102 unknown field, C103 missing, C104
        wrong type, C105 out of range, C106 wrong length, C107 not in this version, and, where these are in
        order, C108 for a rule between fields (``check`` of the plugin's ``shape.py``).
        """
        place = where or (lambda key: None)
        problems = self._foreign(fields, version, place)
        values: dict[str, FieldValue] = {}
        for field in self.fields_of(version):
            value = fields.get(field.name, field.default)
            if value is None and field.name not in fields:
                # Without a version, a field that some versions lack cannot be demanded.
                if field.required and (version is not None or field.since is None):
                    problems.append(
                        self._problem(
                            "C103",
                            field,
                            "is missing; it has no default",
                            place(field.name),
                            f"add '{field.name}': {field.describe()}",
                        )
                    )
                continue
            try:
                values[field.name] = field.convert(value)
            except Unfit as exc:
                help = f"give '{field.name}' as {field.describe()}"
                if value == "auto":
                    help = "write the value; 'auto' is for recipes, where it is derived from a graph"
                problems.append(self._problem(exc.code, field, exc.problem, place(field.name), help))
        if not problems:
            problems = self._broken_rules(values, place)
        if problems:
            raise SurgeonError(*problems)
        return values

    def inputs_by_port(self, node: Node) -> dict[str, Ref]:
        """Return what a node of this plugin reads at each input port, a variadic one's first edge.

        The node's ``order_field`` tells at which edge a port is, where the plugin has one. Ports without an
        edge are left out.
        """
        order = node.attrs.get(self.order_field) if self.order_field else None
        if isinstance(order, tuple):
            edges = dict(zip(self.order_ports, order, strict=False))
        else:
            edges = {port.name: index for index, port in enumerate(self.inputs)}
        return {
            port: node.inputs[edge]
            for port, edge in edges.items()
            if isinstance(edge, int) and 0 <= edge < len(node.inputs)
        }

    def output_ports(self, fields: Mapping[str, object]) -> tuple[str, ...]:
        """Return the names of the outputs that a node with these fields has.

        Raise SurgeonError C103, C104 or C105 where the field that tells their number does not.
        """
        names: list[str] = []
        for port in self.outputs:
            if port.repeat is None:
                names.append(port.name)
            else:
                names += [f"{port.name}{i}" for i in range(self._repeats(port.repeat, fields))]
        return tuple(names)

    def output_specs(
        self, fields: Mapping[str, object], inputs: Sequence[TensorSpec]
    ) -> tuple[TensorSpec, ...]:
        """Return dtype and shape of each output, batch first; unknown where the plugin has no shape rule.

        Keys that are no field are passed over, so a node's attributes may be given. Raise SurgeonError as
        :meth:`complete`, C109 for inputs that do not fit, C111 where the plugin's own file fails.
        """
        values = self.complete({key: value for key, value in fields.items() if key in self.fields})
        return self.specs_of_complete(values, inputs)

    def specs_of_complete(
        self, values: Mapping[str, object], inputs: Sequence[TensorSpec]
    ) -> tuple[TensorSpec, ...]:
        """Return what :meth:`output_specs` does for fields that :meth:`complete` has returned."""
        self._check_inputs(inputs)
        ports = self.output_ports(values)
        module = self.code("shape")
        if module is None or not hasattr(module, "outputs"):
            return (TensorSpec(),) * len(ports)
        specs = self.call(module, lambda: tuple(module.outputs(values, inputs)))
        if len(specs) != len(ports) or not all(isinstance(spec, TensorSpec) for spec in specs):
            raise error(
                "C111",
                f"the shape rule of {self.op} gives {plural(len(specs), 'output')}; expected "
                f"{plural(len(ports), 'tensor spec')}",
                module.__file__,
                help=["correct 'outputs' of this file"],
            )
        return specs

    def code(self, stem: str) -> ModuleType | None:
        """Return a Python file of the plugin, such as ``shape``, its own or its kernel's.

        None where neither has it. Raise SurgeonError as :func:`load_code`.
        """
        return load_code(self.folder, self.kernel, stem)

    def call(self, module: ModuleType, function: Callable[[], Result]) -> Result:
        """Call a function of one of the plugin's files.

        Raise SurgeonError C109 for an input that it refuses, C111 where it fails.
        """
        try:
            return guarded(Path(module.__file__ or ""), function)
        except UnfitInput as exc:
            message = f"input {exc.index} of {self.op}{exc.problem}"
            raise error("C109", message, None, exc.notes, [exc.help]) from None

    def _foreign(
        self, fields: Mapping[str, object], version: Version | None, place: Callable[[str], Span | None]
    ) -> list[Diagnostic]:
        problems = []
        for key in fields:
            field = self.fields.get(key)
            if field is None:
                problems.append(
                    Diagnostic(
                        "C102",
                        f"{self.op} has no field '{key:.60}'; expected one of its fields",
                        place(key),
                        nearest_note(key, self.fields)
                        or ("its fields: " + (", ".join(self.fields) or "none"),),
                        ("correct the name or remove the field",),
                    )
                )
            elif not field.exists_in(version) and version is not None:
                problems.append(
                    self._problem(
                        "C107",
                        field,
                        f"does not exist in TensorRT {print_version(version)}; {span_of_versions(field)}",
                        place(key),
                        "leave it out for this target, or choose another target",
                    )
                )
        return problems

    def _problem(
        self, code: str, field: FieldSpec, problem: str, where: Span | None, help: str
    ) -> Diagnostic:
        return Diagnostic(
            code,
            f"the field '{field.name}' of {self.op} {problem}",
            where,
            (f"{field.name}: {field.summary}",),
            (help,),
        )

    def _broken_rules(
        self, values: Mapping[str, FieldValue], place: Callable[[str], Span | None]
    ) -> list[Diagnostic]:
        module = self.code("shape")
        if module is None or not hasattr(module, "check"):
            return []
        problems = []
        for message in self.call(module, lambda: tuple(map(str, module.check(values)))):
            named = [name for name in _QUOTED.findall(message) if name in self.fields]
            problems.append(
                Diagnostic(
                    "C108",
                    f"{self.op}: {message}",
                    place(named[0]) if named else None,
                    (),
                    ("correct " + (" or ".join(f"'{n}'" for n in named) or "the fields"),),
                )
            )
        return problems

    def _repeats(self, name: str, fields: Mapping[str, object]) -> int:
        field = self.fields[name]
        value = fields.get(name, field.default)
        if value is None:
            raise error(
                "C103",
                f"the field '{name}' of {self.op} is missing; it tells the number of outputs",
                None,
                help=[f"add '{name}'"],
            )
        try:
            fit = field.convert(value)
        except Unfit as exc:
            raise SurgeonError(
                self._problem(exc.code, field, exc.problem, None, f"correct '{name}'")
            ) from None
        count = len(fit) if isinstance(fit, tuple) else fit
        if not isinstance(count, int) or not 0 <= count <= MAX_PORTS:
            raise error(
                "C105",
                f"the field '{name}' of {self.op} is {show(value)}; expected at most {MAX_PORTS} outputs",
                None,
                help=[f"correct '{name}'"],
            )
        return count

    def _check_inputs(self, inputs: Sequence[TensorSpec]) -> None:
        """Compare number, element type and rank of the inputs with the ports, unless these may come in any
        order.
        """
        used = [port for port in self.inputs if not port.unused]
        least = sum(not port.optional for port in used)
        variadic = any(port.variadic for port in self.inputs)
        if len(inputs) < least or (len(inputs) > len(self.inputs) and not variadic):
            raise error(
                "C109",
                f"{self.op} has {plural(len(inputs), 'input')}; "
                f"expected {least}{' or more' if variadic else ''}",
                None,
                ["its inputs: " + (", ".join(p.name for p in self.inputs) or "none")],
                ["declare the inputs in the recipe"],
            )
        ports = self.inputs
        for i, spec in enumerate(inputs):
            port = ports[min(i, len(ports) - 1)]
            if port.unused:
                continue
            if port.dtype is not None and spec.dtype not in (None, port.dtype):
                raise self._unfit_input(i, f"{spec}", f"{port.dtype.value}", port)
            if port.rank is not None and spec.shape.rank not in (None, port.rank):
                raise self._unfit_input(i, f"{spec}", f"{port.rank} axes, the batch included", port)

    def _unfit_input(self, index: int, found: str, wanted: str, port: PortSpec) -> SurgeonError:
        name = f"input {index}" if self.order_field else f"input {index} ('{port.name}')"
        return error(
            "C109",
            f"{name} of {self.op} is {found}; expected {wanted}",
            None,
            [f"{port.name}: {port.summary}"],
            ["connect another tensor, or convert it"],
        )


def span_of_versions(thing: FieldSpec | PluginSpec | Registration) -> str:
    """Return from when to when TensorRT has a field, plugin or plugin version, as a phrase."""
    since = f"it exists from {print_version(thing.since)}" if thing.since else "it exists"
    return f"{since} until before {print_version(thing.until)}" if thing.until else since


def _outermost(
    bounds: Sequence[Version | None], choose: Callable[[list[Version]], Version]
) -> Version | None:
    """Return the least or greatest of ``bounds``; None where one of them is none."""
    known = [bound for bound in bounds if bound is not None]
    return choose(known) if len(known) == len(bounds) else None
