"""What a native plugin stands for: an operation, how it is matched, and the plugin node of each output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

from surgeon.display import plural
from surgeon.graph import AttrValue, DType, Node, Ref
from surgeon.graph.frames import conditional
from surgeon.steps.patterns import Miss, NodeReader
from surgeon.steps.picture_layout import FIRST, PictureLayout
from surgeon.steps.step import StepContext


@dataclass(frozen=True)
class PluginOutput:
    """What stands for one output.

    A plugin node, between Transposes where it is to see a picture channels first.
    """

    op: str
    fields: Mapping[str, AttrValue]
    source: Ref
    channels_first: bool = False


@dataclass(frozen=True)
class NativeOp:
    """An operation that the native library has a plugin for.

    ``outputs`` gives what stands for each output of a node, or raises Miss. ``data_input`` is the position of
    the tensor among its inputs. ``matches`` tells a node of the operation where its ``op`` does not.
    """

    op: str
    outputs: Callable[[NativeReader, Node], tuple[PluginOutput, ...]]
    data_input: int = 0
    matches: Callable[[NativeReader, Node], bool] | None = None

    def is_at(self, reader: NativeReader, node: Node) -> bool:
        """Return whether a node computes the operation."""
        return node.op == self.op if self.matches is None else self.matches(reader, node)


def native_ops_in(module: ModuleType) -> Iterator[tuple[str, NativeOp]]:
    """Yield the operations that a module declares, by name."""
    return ((value.op, value) for value in vars(module).values() if isinstance(value, NativeOp))


class NativeReader(NodeReader):
    """What nodes compute, as far as the native plugins can."""

    def __init__(self, context: StepContext) -> None:
        super().__init__(context)
        self._layout = PictureLayout(self.graph, self.inference, context.catalog)

    def counts(self, node: Node) -> bool:
        """Return whether a node computes numbers of a network.

        Float32 of 2 axes at least, depending on an input.
        """
        spec = self.inference.spec(Ref(node.name))
        rank = spec.shape.rank
        return (
            spec.dtype in (DType.FLOAT32, None)
            and (rank is None or rank > 1)
            and self.inference.value(Ref(node.name)) is None
        )

    def outputs(self, native: NativeOp, node: Node) -> tuple[PluginOutput, ...]:
        """Return what stands for each output of a node; raise Miss."""
        if node.name in self._conditional:
            raise Miss("it runs in a loop or in a branch; expected one that always runs once")
        higher = [
            text
            for text in self.context.outputs
            if text.startswith(f"{node.name}:") and text != f"{node.name}:0"
        ]
        if higher:
            raise Miss(f"the recipe declares its output '{higher[0]}'; expected outputs of one number")
        if len(node.inputs) <= native.data_input:
            raise Miss(
                f"it has {plural(len(node.inputs), 'input')}; expected {native.data_input + 1} at least"
            )
        # An operation whose inputs contradict each other has no known type of its own.
        given = self.inference.spec(node.inputs[native.data_input]).dtype
        dtype = self.inference.spec(Ref(node.name)).dtype or given
        if not given is dtype is DType.FLOAT32:
            raise Miss(f"its element type is {dtype or 'not known'}; expected float32 in and out")
        return native.outputs(self, node)

    def is_channels_last(self, ref: Ref) -> bool:
        """Return whether a tensor is a picture with its channels last.

        Raise Miss where the graph does not tell.
        """
        if len(self.dims(ref)) < 4:
            return False
        found = self._layout.is_channels_last(ref.node)
        if found is None:
            raise Miss(
                "the graph does not tell whether its input is a picture; expected a convolution, a reshape "
                "or another operation that does before it"
            )
        return found

    def cut(self, source: Ref, axis: int, begin: int, size: int) -> PluginOutput:
        """Return a slice of an axis that is not the batch; ``axis`` as TensorFlow counts."""
        picture = self.is_channels_last(source)
        at = FIRST.index(axis) if picture else axis
        return PluginOutput("SurgeonSlice", {"axis": at, "begin": begin, "size": size}, source, picture)

    @cached_property
    def _conditional(self) -> set[str]:
        return conditional(self.graph)
