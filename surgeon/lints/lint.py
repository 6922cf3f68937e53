"""What a lint sees, and running all that are for a target."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import islice
from types import ModuleType

from surgeon.catalog import Catalog
from surgeon.diagnostics import Diagnostic, Severity, code_page
from surgeon.discovery import discover
from surgeon.formats import all_formats
from surgeon.graph import Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import PASSED_OVER, PLACEHOLDERS
from surgeon.graph.reach import before_identities, needed_by_data, varying
from surgeon.infer import Inference
from surgeon.language import Image
from surgeon.targets import Target

SHOWN = 10
"""Findings of one lint that are listed."""

MOST = 10_000
"""Findings of one lint that are counted."""


@dataclass(frozen=True)
class LintContext:
    """A rewritten graph as lints see it: in the model's own layout, a batch of unknown size being one
    picture.

    ``image`` is how a picture becomes the graph's input, None where that is not known. ``stated`` is what is
    known already of the graph's tensors.
    """

    graph: Graph
    target: Target
    catalog: Catalog
    image: Image | None = None
    stated: Inference | None = field(default=None, repr=False)

    @cached_property
    def needed(self) -> frozenset[str]:
        """The names of what the outputs depend on by data; membership only."""
        return needed_by_data(self.graph)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """What the outputs depend on by data, in graph order."""
        return tuple(node for node in self.graph if node.name in self.needed)

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that are fed."""
        return tuple(node for node in self.nodes if node.op in PLACEHOLDERS)

    @cached_property
    def inference(self) -> Inference:
        """Types, shapes and constant values of the graph's tensors."""
        feeds = {node.name: spec for node in self.inputs if (spec := _of_one_picture(node)) is not None}
        if self.stated is not None and self.stated.graph is self.graph and not feeds:
            return self.stated
        return Inference(self.graph, feeds, self.catalog.rules())

    @cached_property
    def _varying(self) -> set[str]:
        fed = (node.name for node in self.nodes if node.op in PLACEHOLDERS or node.op in self.catalog)
        return varying(self.graph, fed)

    def varies(self, ref: Ref) -> bool:
        """Return whether a tensor depends on the numbers of an input or of a plugin, not on shapes alone."""
        return ref.node in self._varying

    @cached_property
    def channels_first(self) -> bool:
        """True where an operation says that its data is NCHW."""
        return any(node.attrs.get("data_format") == b"NCHW" for node in self.nodes)

    def dims(self, ref: Ref) -> tuple[int | None, ...] | None:
        """Return a tensor's dimensions, batch included; None where not even their number is known."""
        return self.inference.spec(ref).shape.dims

    def source(self, ref: Ref) -> Ref:
        """Return the tensor that ``ref`` equals, operations that compute nothing passed over."""
        return before_identities(self.graph, ref)

    def producer(self, ref: Ref) -> Node:
        """Return the node that computes what ``ref`` equals."""
        return self.graph[self.source(ref).node]

    def readers(self, node: Node) -> Iterator[Node]:
        """Yield the nodes that read a node's data, operations that compute nothing passed over."""
        seen = {node.name}
        queue = [node.name]
        for name in queue:
            for reader in self.graph.readers[name]:
                if reader not in self.needed or reader in seen:
                    continue
                seen.add(reader)
                if self.graph[reader].op in PASSED_OVER:
                    queue.append(reader)
                else:
                    yield self.graph[reader]

    def of_op(self, *ops: str) -> Iterator[Node]:
        """Yield the nodes of some operations that the outputs depend on."""
        return (node for node in self.nodes if node.op in ops)

    def port(self, node: Node, name: str) -> Ref | None:
        """Return what a plugin node reads at an input port, also where a field says the order.

        None where it lacks it.
        """
        return self.catalog[node.op].inputs_by_port(node).get(name)


@dataclass(frozen=True)
class Lint:
    """One lint: its code, the targets that it is for, and what looks for problems.

    ``owner`` is its module. A lint that ``decides`` finds why a target cannot hold a network at all, whatever
    else is refused.
    """

    code: str
    targets: tuple[str, ...]
    check: Callable[[LintContext], Iterable[Diagnostic]]
    owner: str
    decides: bool = False

    @property
    def title(self) -> str:
        """The first line of its code's page; of another package's lint, that of its module's docstring."""
        page = code_page(self.code) or (sys.modules[self.owner].__doc__ or "").splitlines() or [""]
        return page[0]

    def fits(self, target: Target) -> bool:
        """Return whether the lint is for a target."""
        return any(target.matches(pattern) for pattern in self.targets)


def find_problems(
    graph: Graph,
    target: Target,
    catalog: Catalog,
    image: Image | None = None,
    inference: Inference | None = None,
) -> tuple[Diagnostic, ...]:
    """Return what the target's runtime would refuse or compute wrongly in a rewritten graph: errors first,
    then warnings.

    At most ten findings of each lint are listed; the last says how many more there are. ``inference`` is what
    is known of the graph's tensors where it was asked already with the catalog's rules.
    """
    written = all_formats()[target.format].expanded(graph, target, catalog)
    context = LintContext(written, target, catalog, image, inference)
    found = [
        diagnostic
        for lint in all_lints().values()
        if lint.fits(target)
        for diagnostic in _limited(lint.check(context))
    ]
    return tuple(sorted(found, key=lambda diagnostic: diagnostic.severity is not Severity.ERROR))


@lru_cache(maxsize=1)
def all_lints() -> Mapping[str, Lint]:
    """Return every lint by its code: those beside this module, and those of entry points.

    Raise SurgeonError E112 where two have one code, E113 for an entry point that cannot be loaded.
    """
    return dict(
        sorted(discover("surgeon.lints", "lints of the code", lints_in, group="surgeon.lints").items())
    )


def lints_in(module: ModuleType) -> Iterator[tuple[str, Lint]]:
    """Yield a module's lint with its code, where it has one."""
    code = getattr(module, "CODE", None)
    if code is not None:
        decides = getattr(module, "DECIDES", False)
        yield code, Lint(code, module.TARGETS, module.check, module.__name__, decides)


def _limited(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    counted = list(islice(found, MOST))
    shown = counted[:SHOWN]
    if len(counted) > SHOWN:
        last = shown[-1]
        shown[-1] = replace(last, notes=(*last.notes, f"and {len(counted) - SHOWN} more of {last.code}"))
    return shown


def _of_one_picture(node: Node) -> TensorSpec | None:
    """Return the spec of an input whose batch is unknown with a batch of 1, as it is exported.

    None for any other.
    """
    from surgeon.graph import DType

    shape, dtype = node.attrs.get("shape"), node.attrs.get("dtype")
    dims = shape.dims if isinstance(shape, Shape) else None
    if not dims or dims[0] is not None or not isinstance(dtype, DType):
        return None
    return TensorSpec(dtype, Shape((1, *dims[1:])))
