"""The text of a recipe for any network: what goes in, what comes out, and the steps that its graph needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.display import plural
from surgeon.families.family import Draft, DraftOptions, Refusal, recognise_detector
from surgeon.graph import Graph, Node, Ref, apply_edits
from surgeon.graph.frames import conditional
from surgeon.graph.op_sets import CONSTANTS, SIZES
from surgeon.graph.reach import upstream
from surgeon.infer.batches import contradicts
from surgeon.infer.open_inputs import InputRole
from surgeon.language.document import to_plain
from surgeon.language.layers import default_steps
from surgeon.language.writing import Item, one_line, render
from surgeon.steps.cut_at import CutAt
from surgeon.steps.fold_constants import FoldConstants
from surgeon.steps.for_inference import ForInference
from surgeon.steps.native.native_op import NativeReader
from surgeon.steps.native_plugins import NATIVE_OPS
from surgeon.steps.step import Step, StepContext

if TYPE_CHECKING:
    from surgeon.families.generic.inputs import NetworkInput
    from surgeon.families.generic.network import GenericNetwork
    from surgeon.families.generic.outputs import NetworkOutput

UFF = {"target": "uff"}
_SHOWN = 4
"""Inputs, outputs or names of nodes that one comment lists."""

_MOST_OPS = 6
"""Operations that a comment counts."""


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
        taken = self._list([*self._inputs, *self._open_scalars])
        return f"{kind[:1].upper()}{kind[1:]}: {taken} in, {self._list(self._outputs)} out"

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
        if each.opened.is_pipeline:
            text += ", the first numbers behind what reads files, texts or queues"
            text += "" if each.tensor == each.opened.ref else ", where their sizes are known"
        dims = self.network.inference.spec(each.tensor).shape.dims
        if dims is None or None in dims[1:]:
            text += (
                "; the graph leaves sizes open: give them by "
                f"'--input {each.tensor}={'x'.join(map(str, _sizes(dims)))}', say, to 'init' or to any other "
                "command with this recipe"
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
        if each.tensor in self.network.random:
            text += "; random numbers reach it, so that no two runs compute the same"
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
        """Yield the steps that this graph needs."""
        for first in self.options.first_steps:
            yield Item(dict(first), ("given with --input or --constant when this recipe was written",))
        yield from self._cuts()
        yield Item(self._for_inference, tuple(self._inference_comments()))
        yield from self._pinned()
        yield from self._uff_steps()
        operations = {node.op for node in self._kept}
        for step in to_plain(default_steps()):
            if step["step"] == "replace-op" and step["from"] in operations:
                yield Item(step, ("UFF knows the older name",))
        yield Item("prune", ("what no output needs any more",))

    def _cuts(self) -> Iterator[Item]:
        if self._cut is not None:
            yield Item(
                self._cut,
                ("what reads files, texts or queues stays outside; the numbers behind it become inputs",),
            )
        prepared = [each.prepared for each in self.network.inputs if each.prepared is not None]
        if prepared:
            said = ", ".join(map(self.network.says, prepared))
            yield Item(
                {"step": "cut-at", "id": "prepared", "tensors": list(map(str, prepared)), "when": UFF},
                (f"UFF takes float32 of known sizes, so its network begins behind the preparation: {said}",),
            )

    @cached_property
    def _cut(self) -> dict[str, Any] | None:
        """The step that makes inputs behind input pipelines; None where there are none."""
        tensors = [each.tensor for each in self.network.inputs if each.opened.is_pipeline]
        if not tensors:
            return None
        step: dict[str, Any] = {"step": "cut-at", "tensors": list(map(str, tensors))}
        if any(ref not in tensors for name in {ref.node for ref in tensors} for ref in self._read(name)):
            names: list[str] = []
            for ref in tensors:
                wanted = f"{ref.node}_input{f'_{ref.slot}' if ref.slot else ''}"
                names.append(self.network.graph.free_name(wanted, names))
            step["as"] = names
        return step

    def _read(self, name: str) -> Iterator[Ref]:
        """Yield the outputs of a node that others read."""
        graph = self.network.graph
        for reader in graph.readers[name]:
            yield from (ref for ref in graph[reader].inputs if ref.node == name)

    @cached_property
    def _kept_open(self) -> list[str]:
        """The scalars whose shape is given, so that they stay inputs."""
        steps = (step for step in self.options.first_steps if step["step"] == "set-shape")
        shaped = {name for step in steps for name in step["nodes"]}
        return [each.ref.node for each in self.network.scalars if each.ref.node in shaped]

    @property
    def _open_scalars(self) -> list[Ref]:
        """The scalars that stay inputs."""
        kept = self._kept_open
        return [
            each.ref
            for each in self.network.scalars
            if each.ref.node in kept or (each.inference is None and each.default is None)
        ]

    @cached_property
    def _for_inference(self) -> str | dict[str, Any]:
        keep = self._kept_open
        values = {
            each.ref.node: self._batch if each.role is InputRole.BATCH_SIZE else each.inference
            for each in self.network.scalars
            if each.inference is not None and each.ref.node not in keep
        }
        options = {key: value for key, value in (("constants", values), ("keep", keep)) if value}
        return {"step": "for-inference", **options} if options else "for-inference"

    @property
    def _batch(self) -> int:
        """The batch of all inputs, 1 where it is open or where they differ.

        Where they differ, only those sizes count that the shapes of the graph do not contradict.
        """
        dims = (self.network.inference.spec(ref).shape.dims for ref in self._inputs)
        sizes = {each[0] or None for each in dims if each}
        scalars = [each for each in self.network.scalars if each.role is InputRole.BATCH_SIZE]
        if len(sizes) > 1 and None not in sizes and scalars:
            name = scalars[0].ref.node
            sizes = {size for size in sizes if size and not contradicts(self.network.graph, name, size)}
        return sizes.pop() or 1 if len(sizes) == 1 else 1

    def _inference_comments(self) -> Iterator[str]:
        graph = self.network.graph
        for each in self.network.scalars:
            is_sized = each.role is InputRole.BATCH_SIZE and each.inference is not None
            text = self.network.says_scalar(replace(each, inference=self._batch) if is_sized else each)
            if each.ref.node in self._kept_open:
                yield f"{text}; it stays an input, as it was given"
            elif each.inference is not None:
                yield f"{text}; {each.reason}" if each.reason else text
            elif each.default is None:
                yield (
                    f"{text}; it stays an input. If it is the same in every run, give its value here: "
                    f"'constants: {one_line({each.ref.node: 'VALUE'})}'"
                )
        gone = [node for node in graph if node.name not in self._after]
        if gone:
            ops = Counter(node.op for node in gone if node.op not in CONSTANTS)
            shown = ", ".join(f"{count} {op}" for op, count in ops.most_common(_MOST_OPS))
            more = "" if len(ops) <= _MOST_OPS else ", ..."
            yield f"takes out {plural(len(gone), 'node')}" + (f": {shown}{more}" if shown else "")

    @cached_property
    def _after(self) -> Graph:
        """The graph after the steps up to 'for-inference', or as it is where they cannot be planned."""
        after = self.network.graph
        steps: list[Step] = [CutAt.model_validate(self._cut)] if self._cut is not None else []
        value = self._for_inference
        steps.append(ForInference.model_validate({} if isinstance(value, str) else value))
        try:
            for step in steps:
                after = apply_edits(after, step.plan(self._context(after)))
        except SurgeonError:
            return self.network.graph
        return after

    def _context(self, graph: Graph) -> StepContext:
        return StepContext(graph, outputs=tuple(map(str, self._outputs)), catalog=self.options.catalog)

    @cached_property
    def _kept(self) -> list[Node]:
        """The nodes that the outputs are still computed by, in graph order."""
        needed = upstream(self._after, [ref.node for ref in self._outputs])
        return [node for node in self._after if node.name in needed]

    def _pinned(self) -> Iterator[Item]:
        """Yield the step that fixes the batch of the inputs, where something else depends on it."""
        if not self._has_open_batch:
            return
        roles = {each.role: each for each in self.network.scalars if each.inference is not None}
        size = roles.get(InputRole.BATCH_SIZE)
        if size is not None:
            yield Item(
                {"step": "pin-batch", "batch": self._batch},
                (f"'{size.ref}' is fixed, so the inputs have the same batch",),
            )
            return
        sized = next((node.name for node in self._kept if node.op in SIZES), None)
        if sized is not None:
            yield Item(
                {"step": "pin-batch", "when": UFF},
                (f"UFF has no sizes that are computed, as '{sized}' does: shapes for one input at a time",),
            )

    def _uff_steps(self) -> Iterator[Item]:
        if self._folds:
            yield Item(
                {"step": "fold-constants", "when": UFF},
                ("UFF takes weights as constants, and does not compute them",),
            )
        native = self._native()
        if native:
            yield Item(
                {"step": "native-plugins", "ops": native, "when": UFF},
                (
                    f"UFF lacks {', '.join(native)}: plugins of the native library compute them "
                    "(docs/native.md)",
                ),
            )

    @property
    def _folds(self) -> bool:
        """Whether constants are computed, at the latest once the batch is fixed."""
        if any(node.op in SIZES for node in self._kept):
            return True
        try:
            return bool(FoldConstants.model_validate({}).plan(self._context(self._after)))
        except SurgeonError:
            return False

    @property
    def _has_open_batch(self) -> bool:
        dims = (self.network.inference.spec(ref).shape.dims for ref in self._inputs)
        return any(each and each[0] is None for each in dims)

    def _native(self) -> list[str]:
        """Return the operations that UFF cannot express, and that the native library has plugins for."""
        reader = NativeReader(self._context(self._after))
        inside = conditional(self._after)
        lacking = [n for n in self._kept if n.op not in self.options.written and n.name not in inside]
        return [
            native.op
            for native in NATIVE_OPS.values()
            if any(native.is_at(reader, node) and reader.counts(node) for node in lacking)
        ]


def _sizes(dims: tuple[int | None, ...] | None) -> list[int]:
    """Return sizes, 1 in the place of an open batch and 224 in that of another open one."""
    return [size or (224 if axis else 1) for axis, size in enumerate(dims or (None, None))]
