"""What each format of files says of itself, and which formats there are."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

from surgeon.diagnostics import Diagnostic, error
from surgeon.discovery import by_key, discover
from surgeon.display import either

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.catalog.plugin_uses import PluginUse
    from surgeon.graph import Graph, Node, Ref, TensorSpec
    from surgeon.language import Image
    from surgeon.targets import Target

PathLike: TypeAlias = "str | os.PathLike[str]"

Watch: TypeAlias = Callable[[str], None]
"""Called with what is done next."""

EXPANDED = "expanded"
"""How an operation is written that :meth:`Format.expanded` takes apart, where it can."""

GROUP = "surgeon.formats"
"""Entry points whose modules hold a ``FORMAT``."""


@dataclass(frozen=True)
class Option:
    """A choice that a format has.

    ``name`` is the keyword of :func:`surgeon.convert`, ``flag`` the option of the command line.
    """

    name: str
    flag: str
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    type: Callable[[str], Any] | None = None


@dataclass(frozen=True)
class FileFacts:
    """What a file says of itself where its format has room for it.

    ``recipe`` and ``target`` are names, ``digest`` is that of the original graph. ``image`` says how a
    picture becomes the input, ``labels`` maps class numbers to names, ``detections`` the parts of
    detections to the outputs that hold them.
    """

    recipe: str = ""
    digest: str = ""
    target: str = ""
    image: Image | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    detections: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """What a file consists of, for a person.

    ``sizes`` maps the names of nodes and constants to bytes; nodes without constants have none. ``ops``
    counts operations, the most frequent first. ``inputs`` and ``outputs`` say what is known of each, and
    ``plugins`` what each plugin node is. ``told`` is what the file says of itself.
    """

    nodes: int
    constant_bytes: int
    sizes: Mapping[str, int]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    ops: Mapping[str, int]
    plugins: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lowered:
    """How a plugin node was written: ``native``, ``standard`` or ``efficient-nms``.

    ``reason`` says why it was not written as asked for.
    """

    node: str
    op: str
    rendering: str
    reason: str = ""
    plugin_version: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as plain values."""
        return {key: value for key, value in vars(self).items() if value}


@dataclass(frozen=True)
class Written:
    """A file that was written: its bytes, and how each plugin node was written where there is a choice."""

    size: int
    plugins: tuple[Lowered, ...] = ()


@dataclass(frozen=True)
class NetworkTensor:
    """An input or output of a network: name, element type, and shape, the batch first and None where open.

    ``axes`` is the permutation from that shape to the one that the file states; empty where they agree.
    """

    name: str
    dtype: str = "float32"
    shape: tuple[int | None, ...] = ()
    axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class NetworkInterface:
    """What goes into a network and comes out of it.

    ``marks`` are the names to mark as outputs where the format needs them; ``outputs`` are then what comes
    out, in order. ``batch`` is the size of a fixed batch, None where the batch is open.
    """

    inputs: tuple[NetworkTensor, ...]
    outputs: tuple[NetworkTensor, ...]
    marks: tuple[str, ...] = ()
    batch: int | None = None


class Specs(Protocol):
    """Where element types and shapes of a graph's tensors come from."""

    def spec(self, ref: Ref) -> TensorSpec:
        """Return element type and shape of a tensor; parts that are not known are None."""

    def outputs(self, name: str) -> int:
        """Return the number of outputs of a node."""


class ModelFile(ABC):
    """A file that was read; ``source`` is its path."""

    source: str

    @abstractmethod
    def graph(self, catalog: Catalog | None = None) -> tuple[Graph, Specs | None]:
        """Return the file's nodes as a graph, and where the shapes of its tensors come from.

        The second is None where shapes follow from TensorFlow's operations.
        """

    @abstractmethod
    def describe(self) -> Description:
        """Return what the file consists of."""

    @property
    def facts(self) -> FileFacts:
        """What the file says of itself."""
        return FileFacts()

    def plugin_uses(self, catalog: Catalog, rewritten: Graph | None = None) -> tuple[PluginUse, ...]:
        """Return the plugin nodes of the file, or of the graph it was made from where that tells more."""
        from surgeon.catalog.plugin_uses import plugin_uses

        return plugin_uses(rewritten or self.graph(catalog)[0], catalog)

    def interface(self, catalog: Catalog, rewritten: Graph | None = None) -> NetworkInterface:
        """Return what goes into the network and comes out of it.

        ``rewritten`` is the graph that the file was made from, where that is at hand.
        """
        raise NotImplementedError(f"no engine is built from '{self.source}'")


class Format(ABC):
    """A format of files.

    ``name`` is the name of its folder and the ``format:`` of its targets; ``noun`` is what a file of it is
    called, with the article. ``suffixes`` are the endings of its files' names, and ``default_target`` is the
    target of an output with one of them. ``options`` are the choices of :meth:`write`. ``rewritable`` says
    that its files hold graphs of TensorFlow, which recipes rewrite and every target may be lowered to.
    ``states_facts`` says that a file has room for :class:`FileFacts`; without it they are left empty.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    default_target: ClassVar[str]
    options: ClassVar[tuple[Option, ...]] = ()
    rewritable: ClassVar[bool] = False
    states_facts: ClassVar[bool] = True

    @abstractmethod
    def open(self, path: PathLike) -> ModelFile:
        """Read a file; raise SurgeonError where that cannot be done."""

    @abstractmethod
    def write(
        self,
        graph: Graph,
        path: Path,
        target: Target,
        catalog: Catalog,
        facts: FileFacts,
        watch: Watch | None = None,
        **options: Any,
    ) -> Written:
        """Write a rewritten graph, whole or not at all; raise SurgeonError where that cannot be done.

        ``options`` are keyed by name; an option that is left out has its default.
        """

    def check(self, graph: Graph, target: Target, catalog: Catalog) -> tuple[Diagnostic, ...]:
        """Return what :meth:`write` would refuse in a rewritten graph, as far as that is cheap to see."""
        return ()

    def expected_lowering(self, graph: Graph, target: Target, catalog: Catalog) -> Iterable[Lowered]:
        """Return how :meth:`write` writes the plugin nodes of a rewritten graph, where there is a choice."""
        return ()

    def expanded(self, graph: Graph, target: Target, catalog: Catalog) -> Graph:
        """Return a rewritten graph as it is written: what the format lacks in operations that it has.

        The nodes that the two graphs share have the same names.
        """
        return graph

    def begins(self, head: bytes) -> bool:
        """Return whether a file of the format begins so; False where that cannot be told."""
        return False

    def operations(self) -> Mapping[str, str] | None:
        """Return how each of TensorFlow's operations is written; None where all of them may be."""
        return None

    def remedy(self, graph: Graph, nodes: Sequence[Node]) -> str:
        """Return what to do about nodes of one namespace that are not among :meth:`operations`."""
        return "map its namespace to a plugin or the input node"


def frequencies(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


@cache
def shipped_formats() -> Mapping[str, Format]:
    """Return the formats of this package by name."""
    return MappingProxyType(discover(__package__, "formats named", _members))


@cache
def all_formats() -> Mapping[str, Format]:
    """Return every format by name: those of this package, then those of entry points.

    Raise SurgeonError E112 for a name or a suffix that two formats claim.
    """
    found = discover(__package__, "formats named", _members, group=GROUP)
    by_key("formats with the suffix", _suffixes(found.values()))
    return MappingProxyType(found)


def _members(module: ModuleType) -> Iterable[tuple[str, Format]]:
    form = getattr(module, "FORMAT", None)
    return () if form is None else ((form.name, form),)


def _suffixes(found: Iterable[Format]) -> Iterable[tuple[str, Format, str]]:
    return ((suffix, form, type(form).__module__) for form in found for suffix in form.suffixes)


def format_by_suffix(path: PathLike) -> Format | None:
    """Return the format that a file's suffix stands for; None for another suffix."""
    suffix = Path(path).suffix.lower()
    return next((form for form in all_formats().values() if suffix in form.suffixes), None)


def format_of(path: PathLike) -> Format:
    """Return the format of a file or folder by its suffix; a graph of TensorFlow where that says nothing."""
    return format_by_suffix(path) or next(form for form in all_formats().values() if form.rewritable)


def format_by_content(head: bytes) -> Format:
    """Return the format of a file by its first bytes; a graph of TensorFlow where no other knows them."""
    known = (form for form in all_formats().values() if form.begins(head))
    return next(known, None) or next(form for form in all_formats().values() if form.rewritable)


def open_model(path: PathLike) -> ModelFile:
    """Read a file of any format; raise SurgeonError where that cannot be done."""
    return format_of(path).open(path)


def target_for_output(path: PathLike) -> Target:
    """Return the target that an output file's suffix stands for.

    Raise SurgeonError T102 for another suffix.
    """
    from surgeon.targets import load_target

    form = format_by_suffix(path)
    if form is None:
        known = [suffix for form in reversed([*all_formats().values()]) for suffix in form.suffixes]
        raise error(
            "T102",
            f"the output '{os.fspath(path)}' has the suffix '{Path(path).suffix.lower()}'; expected "
            f"{', '.join(known)}",
            help=["name the output accordingly"],
        )
    return load_target(form.default_target)


def check_target(path: Path, target: Target) -> None:
    """Raise SurgeonError X131 where an output's format is not that of its target."""
    form = format_of(path)
    if form.rewritable or form.name == target.format:
        return
    suffixes = all_formats()[target.format].suffixes
    expected = either([f"'{suffix}'" for suffix in suffixes])
    raise error(
        "X131",
        f"'{path}' does not fit the target '{target.name}'; expected the suffix {expected}",
        str(path),
        help=[
            f"name the output '{path.with_suffix(suffixes[0])}'",
            f"or choose a target for {path.suffix.lower()} files, such as '{form.default_target}'",
        ],
    )


def chosen_options(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given for an output, without those that are None.

    Raise SurgeonError X152 for options that its format does not have.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    own = {option.name for option in format_of(path).options}
    lacking = [
        (option.flag, form.suffixes[0])
        for form in all_formats().values()
        for option in form.options
        if option.name in chosen and option.name not in own
    ]
    if lacking:
        flags, suffix = " and ".join(flag for flag, _ in lacking), lacking[0][1]
        raise error(
            "X152",
            f"{flags} mean nothing for '{path}'; expected a '{suffix}' file",
            str(path),
            help=[f"leave them out, or name the output '{suffix}'"],
        )
    return chosen
