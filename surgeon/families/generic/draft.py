"""The text of a recipe for any network: what goes in, what comes out, and the steps that its graph needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.families.family import Draft, DraftOptions, Refusal, recognise_detector
from surgeon.graph import Node, Ref
from surgeon.graph.op_sets import SIZES
from surgeon.graph.reach import upstream
from surgeon.language.document import to_plain
from surgeon.language.layers import default_steps
from surgeon.language.writing import Item, one_line, render
from surgeon.steps.native.native_op import NativeReader
from surgeon.steps.native_plugins import NATIVE_OPS
from surgeon.steps.step import StepContext

if TYPE_CHECKING:
    from surgeon.families.generic.inputs import NetworkInput
    from surgeon.families.generic.network import GenericNetwork
    from surgeon.families.generic.outputs import NetworkOutput

UFF = {"target": "uff"}
_SHOWN = 4
"""Inputs, outputs or names of nodes that one comment lists."""

STEP_NOTES = {
    "remove-asserts": "the exporter's checks",
    "forward-identities": "what only passes a tensor on",
    "collapse": "here 'nodes' and 'namespaces' above are applied",
    "addv2": "UFF knows the older names",
    "prune": "what no output needs any more",
}


def draft_recipe(network: GenericNetwork, options: DraftOptions) -> Draft:
    """Write a recipe that keeps the whole network, with a comment on everything that was chosen."""
    writer = _RecipeWriter(network, options)
    diagnostics = (*_not_a_detector(network), *_unused(options))
    return Draft(writer.name, writer.summary, writer.text(), diagnostics)


def _not_a_detector(network: GenericNetwork) -> Iterator[Diagnostic]:
    """Yield a warning where the graph has parts of a detector that no family takes."""
    found = recognise_detector(network.graph, network.inference)
    if not isinstance(found, Refusal) or not found.nearness:
        return
    first = found.reason.diagnostics[0]
    yield replace(
        first,
        code="D146",
        message=f"the recipe keeps the detector's post-processing as it is: {first.message}",
        help=(
            "map what suppresses boxes to a plugin by hand (docs/recipes.md), or convert to ONNX",
            *first.help,
        ),
        severity=Severity.WARNING,
    )


def _unused(options: DraftOptions) -> Iterator[Diagnostic]:
    """Yield a warning for what was given beside the graph and says nothing about such a network."""
    given = [
        text
        for text, there in (("the pipeline config", options.config_name), ("labels", options.labels))
        if there
    ]
    if given:
        yield Diagnostic(
            "D151",
            f"the graph is no detector that is known, so the recipe is written without {' and '.join(given)}",
            help=("check that the graph is the one of the training",),
            severity=Severity.WARNING,
        )


@dataclass(frozen=True)
class _RecipeWriter:
    network: GenericNetwork
    options: DraftOptions

    @property
    def name(self) -> str:
        return self.options.name or PurePath(self.network.graph.source).stem or "network"

    @cached_property
    def summary(self) -> str:
        """One line: what the network is for, what goes in and what comes out."""
        kind = self.network.kind
        return f"{kind[:1].upper()}{kind[1:]}: {self._list(self._inputs)} in, {self._list(self._outputs)} out"

    def text(self) -> str:
        """Return the recipe."""
        block: dict[str, Item] = {
            "recipe": Item(1),
            "name": Item(self.name),
            "summary": Item(self.summary),
            "outputs": Item([str(each) for each in self._outputs], self._output_comments()),
            "steps": Item(list(self._steps()), spaced=True),
        }
        return render(self._heading(), block)

    @cached_property
    def _inputs(self) -> list[Ref]:
        return [each.tensor for each in self.network.inputs]

    @cached_property
    def _outputs(self) -> list[Ref]:
        return [each.tensor for each in self.network.computed.outputs]

    def _list(self, refs: list[Ref]) -> str:
        shown = [f"{ref} {self._spec(ref)}" for ref in refs[:_SHOWN]]
        if len(refs) > _SHOWN:
            shown.append(f"{len(refs) - _SHOWN} more")
        return ", ".join(shown) or "nothing"

    def _spec(self, ref: Ref) -> str:
        return str(self.network.inference.spec(ref))

    def _heading(self) -> list[str]:
        source = PurePath(self.network.graph.source).name or "a graph"
        lines = [
            f"{source}: {self.summary}. Written by 'surgeon init' as a start.",
            "The graph is no detector that 'init' knows: the recipe keeps the whole network. "
            "docs/not-a-detector.md says how to go on.",
        ]
        lines += [f"A {each.value}: {'; '.join(each.evidence)}." for each in self.network.tasks.values()]
        lines += [f"Input: {self._input_comment(each)}" for each in self.network.inputs]
        return lines

    def _input_comment(self, each: NetworkInput) -> str:
        text = self.network.says(each.tensor)
        dims = self.network.inference.spec(each.tensor).shape.dims
        if each.behind:
            text += f", the first numbers behind '{each.behind}' ({self.network.graph[each.behind].op})"
        if dims is None or None in dims[1:]:
            text += (
                "; a size that the graph leaves open is given by a step, such as "
                f"{one_line({'step': 'set-shape', 'nodes': {each.tensor.node: [1, *_sizes(dims)]}})}"
            )
        return text + "."

    def _output_comments(self) -> tuple[str, ...]:
        lines = [self._output_comment(each) for each in self.network.computed.outputs]
        left_out: dict[str, list[Ref]] = {}
        for ref, reason in self.network.computed.left_out:
            left_out.setdefault(reason, []).append(ref)
        for reason, refs in left_out.items():
            shown = ", ".join(f"'{ref}' ({self.network.graph[ref.node].op})" for ref in refs[:_SHOWN])
            more = f" and {len(refs) - _SHOWN} more" if len(refs) > _SHOWN else ""
            lines.append(f"left out: {shown}{more}; {reason}")
        return tuple(lines)

    def _output_comment(self, each: NetworkOutput) -> str:
        text = self.network.says(each.tensor)
        if not each.ends:
            return text
        graph = self.network.graph
        ops = ", ".join(dict.fromkeys(graph[name].op for name in each.tail))
        ends = ", ".join(f"'{end}' {self._spec(end)}" for end in each.ends)
        return (
            f"{text}; from there on the graph computes whole numbers ({ops}), which are left to the program "
            f"around the network. To keep them, where the target can, write {ends} here instead"
        )

    def _steps(self) -> Iterator[Item]:
        """Yield the default steps that this graph needs, and its own."""
        operations = {node.op for node in self._needed}
        for step in to_plain(default_steps()):
            label = step.get("id", step["step"])
            if label == "collapse":
                yield from self._own_steps()
            elif step["step"] != "replace-op" or step["from"] in operations:
                value: Any = step["step"] if len(step) == 1 else step
                yield Item(value, (STEP_NOTES[label],) if label in STEP_NOTES else ())

    def _own_steps(self) -> Iterator[Item]:
        cut = [each for each in self.network.inputs if each.behind]
        if cut:
            tensors = [str(each.tensor) for each in cut]
            yield Item(
                {"step": "cut-at", "tensors": tensors},
                ("what reads files, texts or queues stays outside; the numbers behind it become inputs",),
            )
        prepared = [each for each in self.network.inputs if each.prepared is not None]
        if prepared:
            tensors = [str(each.prepared) for each in prepared]
            yield Item(
                {"step": "cut-at", "id": "prepared", "tensors": tensors, "when": UFF},
                (
                    "UFF takes float32 of known sizes: its input is "
                    + ", ".join(
                        self.network.says(each.prepared) for each in prepared if each.prepared is not None
                    ),
                ),
            )
        sized = next((node.name for node in self._needed if node.op in SIZES), None)
        if sized is not None and self._has_open_batch:
            yield Item(
                {"step": "pin-batch", "when": UFF},
                (f"UFF has no sizes that are computed, as '{sized}' does: shapes for one input at a time",),
            )
        if self._native:
            yield Item(
                {"step": "native-plugins", "when": UFF},
                (
                    f"UFF lacks {', '.join(self._native)}: plugins of the native library compute them "
                    "(docs/native.md)",
                ),
            )

    @property
    def _has_open_batch(self) -> bool:
        dims = (self.network.inference.spec(ref).shape.dims for ref in self._inputs)
        return any(each and each[0] is None for each in dims)

    @cached_property
    def _needed(self) -> list[Node]:
        """The nodes that the outputs are computed by, in graph order."""
        needed = upstream(self.network.graph, [ref.node for ref in self._outputs])
        return [node for node in self.network.graph if node.name in needed]

    @cached_property
    def _native(self) -> list[str]:
        """Operations of the network that the native library has plugins for."""
        graph = self.network.graph
        context = StepContext(graph, outputs=tuple(map(str, self._outputs)), catalog=self.options.catalog)
        reader = NativeReader(context)
        found = (
            native.op
            for node in self._needed
            for native in NATIVE_OPS.values()
            if native.is_at(reader, node) and reader.counts(node)
        )
        return list(dict.fromkeys(found))


def _sizes(dims: tuple[int | None, ...] | None) -> list[int]:
    """Return sizes after the batch, 224 in the place of each that is open."""
    return [size or 224 for size in (dims or (None,))[1:]]
