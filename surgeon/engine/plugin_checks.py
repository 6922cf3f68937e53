"""Plugin nodes against what TensorRT and plugin libraries register, before the parser meets them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from surgeon.catalog import FieldSpec, PluginSpec, span_of_versions
from surgeon.catalog.fields import Version
from surgeon.catalog.plugin_uses import PluginUse
from surgeon.diagnostics import Diagnostic, Severity, nearest_note
from surgeon.engine.registry import CreatorField, RegisteredCreator, Registry
from surgeon.targets import parse_version, print_version

_FEW = 8
"""Names that a message lists."""


def check_plugins(
    nodes: Iterable[PluginUse], registry: Registry, catalog: Mapping[str, PluginSpec]
) -> tuple[Diagnostic, ...]:
    """Compare plugin nodes with the creators of TensorRT and of other libraries; return what does not fit.

    Errors: B125 where TensorRT cannot be used, B123 for a library that cannot be loaded, B126 for a creator
    that is not registered, B127 for another plugin version or namespace, B129 for a field of another type,
    B130 for a missing field that the creator demands. Warnings: B124 for a library that adds nothing, B128
    for a field that the creator does not declare, B130 for one that it only takes from its previous call.
    """
    if registry.problem:
        return (
            Diagnostic(
                "B125",
                f"TensorRT cannot be used: {registry.problem}",
                "tensorrt",
                help=("run 'surgeon doctor', which says more",),
            ),
        )
    problems = list(check_loaded(registry))
    for use in nodes:
        problems += _problems(use, registry, catalog)
    return tuple(problems)


def check_loaded(registry: Registry) -> Iterator[Diagnostic]:
    """Yield what is wrong with the libraries of a registry: B123 and B124, as :func:`check_plugins` does."""
    for library in registry.libraries:
        if library.problem:
            yield Diagnostic(
                "B123",
                f"the plugin library '{library.path}' cannot be loaded: {library.problem}",
                library.path,
                (),
                (
                    "build it against the TensorRT and CUDA that are installed, and put the folders of what "
                    "it needs into LD_LIBRARY_PATH",
                ),
            )
        elif not registry.added_by(library.path):
            yield Diagnostic(
                "B124",
                f"the plugin library '{library.path}' adds no plugin creator; expected one or more",
                library.path,
                ("creators that TensorRT has already are not added again",),
                ("register each creator with REGISTER_TENSORRT_PLUGIN",),
                Severity.WARNING,
            )


def _problems(use: PluginUse, registry: Registry, catalog: Mapping[str, PluginSpec]) -> Iterator[Diagnostic]:
    spec = catalog.get(use.op)
    name = spec.creator if spec is not None else use.op
    version = version_of(registry)
    there = registry.named(name)
    if not there:
        yield _not_registered(use, name, spec, registry, version)
        return
    creator, problem = _creator_of(use, there, spec, version)
    if creator is None:
        yield problem
    elif creator.fields:
        yield from _fields(use, creator, spec, version)


def version_of(registry: Registry) -> Version:
    """Return TensorRT's version as three numbers."""
    return parse_version(".".join(registry.version.split(".")[:3]))


def _not_registered(
    use: PluginUse, name: str, spec: PluginSpec | None, registry: Registry, version: Version
) -> Diagnostic:
    release = print_version(version)
    notes = nearest_note(name, [creator.name for creator in registry.creators])
    if spec is None:
        why = "is not registered; expected a creator of that name"
        help = (
            "load the library that has it with --plugin-library, and give the folder of its "
            "definition with --plugin-path"
        )
    elif spec.library != "tensorrt":
        why = "is one's own and not registered; expected a library that has it"
        help = "load that library with --plugin-library"
    elif not spec.exists_in(version):
        instead = spec.replacement_in(version)
        why = f"is not in TensorRT {release}; {span_of_versions(spec)}"
        help = f"use {instead}" if instead else "use another TensorRT, or another plugin"
    elif not registry.initialised:
        why = (
            "is not registered; expected it in TensorRT's plugin library, whose init_libnvinfer_plugins fails"
        )
        help = "install the plugin library of this TensorRT"
    else:
        why = f"is not in this build of TensorRT {release}; the release has it"
        help = (
            "install NVIDIA's open-source plugin library, or load a library that has it with --plugin-library"
        )
    added = [
        f"'{library.path}' adds {_some([c.name for c in registry.added_by(library.path)])}"
        for library in registry.libraries
    ]
    return Diagnostic(
        "B126", f"the plugin {name} of '{use.node}' {why}", use.place, (*notes, *added), (help,)
    )


def _creator_of(
    use: PluginUse, there: Sequence[RegisteredCreator], spec: PluginSpec | None, version: Version
) -> tuple[RegisteredCreator | None, Diagnostic]:
    """Return the creator that the parser will take, and the diagnostic B127 for where there is none.

    The creator is None where no registered one has the catalog's namespace and plugin version.
    """
    namespace = spec.plugin_namespace if spec is not None else there[0].namespace
    namespace = use.namespace if use.namespace is not None else namespace
    versions = [use.version] if use.version is not None else []
    if not versions:
        versions = (
            [r.plugin_version for r in spec.registrations_in(version)]
            if spec is not None
            else [c.version for c in there]
        )
    found = [creator for creator in there if creator.namespace == namespace and creator.version in versions]
    have = _some([f"version {creator.version} in the namespace '{creator.namespace}'" for creator in there])
    wanted = f"version {' or '.join(versions) or 'none'} in the namespace '{namespace}'"
    return (found[0] if found else None), Diagnostic(
        "B127",
        f"the plugin {there[0].name} of '{use.node}' is registered as {have}; expected {wanted}",
        use.place,
        help=(
            "load the library with that version, or correct 'plugin_version' and 'plugin_namespace' of the "
            "definition",
        ),
    )


def _fields(
    use: PluginUse, creator: RegisteredCreator, spec: PluginSpec | None, version: Version
) -> Iterator[Diagnostic]:
    declared = {one.name: one for one in creator.fields}
    for name, value in use.fields.items():
        if name not in declared:
            yield _foreign(use, name, creator, spec)
        elif not _fits(value, declared[name]):
            yield Diagnostic(
                "B129",
                f"the field '{name}' of '{use.node}' is {_type(value)}; {creator.name} expects "
                f"{_expected(declared[name])}",
                use.place,
                help=(f"give '{name}' as {_expected(declared[name])}",),
            )
    if spec is not None:
        yield from _missing(use, declared, creator, spec, version)


def _foreign(use: PluginUse, name: str, creator: RegisteredCreator, spec: PluginSpec | None) -> Diagnostic:
    known = spec.fields.get(name) if spec is not None else None
    since = (
        (f"{name}: {span_of_versions(known)}",) if known is not None and (known.since or known.until) else ()
    )
    return Diagnostic(
        "B128",
        f"the field '{name}' of '{use.node}' is none of {creator.name}; expected one that it declares, as "
        "others have no effect",
        use.place,
        (*nearest_note(name, [one.name for one in creator.fields]), *since),
        ("take it out, or correct its name",),
        Severity.WARNING,
    )


def _missing(
    use: PluginUse,
    declared: Mapping[str, CreatorField],
    creator: RegisteredCreator,
    spec: PluginSpec,
    version: Version,
) -> Iterator[Diagnostic]:
    missing = [
        one
        for one in spec.fields_of(version)
        if one.required and one.name in declared and one.name not in use.fields and not _may_be_empty(one)
    ]
    demanded = [one for one in missing if one.required_since is not None and version >= one.required_since]
    remembered = [one for one in missing if one not in demanded]
    for fields, effect, severity in (
        (demanded, "refuses to do without", Severity.ERROR),
        (remembered, "takes what its previous call gave, or nothing", Severity.WARNING),
    ):
        if fields:
            names = ", ".join(f"'{one.name}'" for one in fields)
            yield Diagnostic(
                "B130",
                f"'{use.node}' does not set {names}; {creator.name} {effect}",
                use.place,
                tuple(f"{one.name}: {one.summary}" for one in fields),
                tuple(f"add '{one.name}': {one.describe()}" for one in fields),
                severity,
            )


def _may_be_empty(spec: FieldSpec) -> bool:
    # An empty list is not written into a UFF file, so it may be missing there.
    return spec.is_list and not spec.length and not spec.min_length


def _items(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple | list) else (value,)  # type: ignore[return-value]


def _fits(value: object, declared: CreatorField) -> bool:
    kinds: dict[str, type | tuple[type, ...]] = {"int": int, "float": float, "string": (str, bytes)}
    kind = kinds.get(declared.item)
    return kind is None or all(isinstance(item, kind) for item in _items(value))


def _type(value: object) -> str:
    names = {int: "int", float: "float", str: "text", bytes: "text", bool: "bool"}
    kinds = list(dict.fromkeys(names.get(type(item), type(item).__name__) for item in _items(value)))
    many = isinstance(value, tuple | list)
    return f"a list of {' and '.join(kinds)}" if many else f"of the type {kinds[0]}"


def _expected(declared: CreatorField) -> str:
    return {"int": "int", "float": "float", "string": "text"}[declared.item]


def _some(items: Sequence[str]) -> str:
    more = len(items) - _FEW
    return (", ".join(items[:_FEW]) or "nothing") + (f" and {more} more" if more > 0 else "")
