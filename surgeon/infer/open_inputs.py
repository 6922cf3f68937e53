"""The inputs of a graph that numbers must be put into, and what each scalar among them is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import TypeAlias

import numpy as np

from surgeon.graph import Graph, Node, Ref, TensorSpec, TensorValue
from surgeon.graph.frames import conditional
from surgeon.graph.op_sets import (
    LOOP_ENDS,
    LOOP_ENTRIES,
    LOOP_EXITS,
    MERGES,
    PASSED_OVER,
    PLACEHOLDERS,
    RANDOM,
    SELECTIONS,
    SIZES,
    SWITCHES,
    UNIFORM,
    is_data_default,
)
from surgeon.graph.reach import downstream
from surgeon.infer.evaluation import is_back_edge, pivots
from surgeon.infer.inference import Inference, infer
from surgeon.infer.rule import Array, attr_bool, attr_dtype

Scalar: TypeAlias = "bool | int | float"


_PICTURE_SIDES = {3: ("height", "width", "channels"), 4: ("batch", "height", "width", "channels")}


class InputRole(str, Enum):
    """What an input of a graph is for.

    ``DATA`` is what the network computes with; a ``SCALAR`` is one number whose purpose the graph does not
    tell.
    """

    DATA = "data"
    TRAINING = "training"
    KEEP_PROBABILITY = "keep probability"
    DROPOUT_RATE = "dropout rate"
    BATCH_SIZE = "batch size"
    SCALAR = "scalar"


@dataclass(frozen=True)
class OpenInput:
    """A tensor that numbers must be put into before the outputs can be computed.

    It is a placeholder, or the tensor where an input pipeline of queues, datasets, files or texts ends
    (``is_pipeline``). ``spec`` has None for each size that is unknown, and no dimensions where the rank is.
    ``readers`` are the nodes that compute with it, in graph order, past operations that only pass it on.
    ``default`` is the number that stands for a placeholder which nothing is put into. ``inference`` is the
    number with which a scalar makes the graph compute as after training, None where that is not known;
    ``reason`` says in one sentence how that was told, and ``evidence`` are the nodes that show it.
    """

    ref: Ref
    op: str
    spec: TensorSpec
    readers: tuple[str, ...]
    role: InputRole = InputRole.DATA
    default: Scalar | None = None
    inference: Scalar | None = None
    reason: str = ""
    evidence: tuple[str, ...] = ()
    is_pipeline: bool = False

    @property
    def open_sides(self) -> tuple[str, ...]:
        """Names of the sizes that are unknown: ``batch``, ``height``, ``width``, ``channels`` of a picture,
        ``axis N`` of what is none; empty where even the rank is unknown.
        """
        dims = self.spec.shape.dims or ()
        names = _PICTURE_SIDES.get(len(dims), ()) if self._is_picture else ()
        return tuple(
            names[i] if names else "batch" if not i else f"axis {i}"
            for i, size in enumerate(dims)
            if size is None
        )

    @property
    def _is_picture(self) -> bool:
        dims = self.spec.shape.dims or ()
        return (len(dims) == 4 and (dims[-1] in (None, 1, 3, 4))) or self.op.startswith("Decode")

    @property
    def is_scalar(self) -> bool:
        """True for one number, so that no picture or array belongs there."""
        return self.spec.shape.rank == 0 or self.role is not InputRole.DATA

    @property
    def must_be_fixed(self) -> bool:
        """True where the inference value is known, and is not what the default says already."""
        return self.inference is not None and self.default != self.inference


def open_inputs(graph: Graph) -> tuple[OpenInput, ...]:
    """Return the inputs that the outputs of a graph need, in graph order; the same ones each time.

    A placeholder with a default is one of them. What a scalar is for is told by how it is read: the branch
    that it chooses, the random numbers that it is held against, the shape that it is a part of. Its name
    counts only where it chooses a branch and the graph does not tell which one is for training.
    """
    return graph.kept(open_inputs, lambda: _Search(graph).inputs())


_PIPELINE = re.compile(
    r"(Anonymous)?Iterator(V\d)?|OneShotIterator|Iterator(FromStringHandle|GetNext)\w*|\w*Queue(V2)?|"
    r"QueueDequeue\w*|\w*Reader(V2)?|Reader\w+|ReadFile|MatchingFiles|InfeedDequeue\w*|(Ordered)?(Map)?Unstage|"
    r"RecordInput|(Eager)?PyFunc(Stateless)?|\w+Dataset(V\d)?"
)
"""Operations that bring in what no number can be put into."""

_ARRAY_READS = re.compile(
    r"TensorArray(Read|Gather|Concat|Size)\w*|TensorList(Stack|GetItem|Gather|Concat)\w*"
)
_PASSES_ON = PASSED_OVER | SWITCHES | MERGES | LOOP_ENTRIES | LOOP_ENDS | LOOP_EXITS

_MOVED = PASSED_OVER | {"Cast", "ExpandDims", "Reshape", "Squeeze"}
"""Operations behind which a scalar is still the same number."""

_HOLDS_AGAINST = frozenset({"Add", "AddV2", "Greater", "GreaterEqual", "Less", "LessEqual"})

_SHAPE_ARGUMENT: Mapping[str, int] = {
    "BroadcastTo": 1,
    "EmptyTensorList": 0,
    "Fill": 0,
    "RandomStandardNormal": 0,
    "RandomUniform": 0,
    "Reshape": 1,
    "Tile": 1,
    "TruncatedNormal": 0,
}
"""For each operation the input that is a shape, or sizes in the order of a shape."""

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

_IN_TRAINING = frozenset({"istrain", "istraining", "learning", "train", "training"})
_IN_INFERENCE = frozenset(
    {"eval", "evaluate", "evaluation", "infer", "inference", "predict", "prediction", "test", "testing"}
)
_FILLERS = frozenset(
    {
        "at",
        "batch",
        "bn",
        "bool",
        "flag",
        "for",
        "in",
        "input",
        "is",
        "keras",
        "mode",
        "norm",
        "now",
        "phase",
        "placeholder",
        "step",
        "time",
        "var",
    }
)
"""Words beside which a name still says plainly whether it is true in training or at inference."""


class _Search:
    """Looks for the inputs of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.inference = infer(graph)
        self.needed = frozenset(ref.node for ref in _reached(graph, graph.output_refs, self._sources))

    def inputs(self) -> tuple[OpenInput, ...]:
        """Return the inputs that the outputs need."""
        cuts = self._pipeline_ends()
        ends = set(cuts)

        def sources(ref: Ref) -> tuple[Ref, ...]:
            node = self.graph[ref.node]
            return () if ref in ends or node.op in PLACEHOLDERS else _sources(self.graph, node)

        needed = _reached(self.graph, self.graph.output_refs, sources)
        found = [ref for ref in needed if ref in ends or self.graph[ref.node].op in PLACEHOLDERS]
        order = {name: i for i, name in enumerate(self.graph.nodes)}
        refs = sorted(found, key=lambda ref: (order[ref.node], ref.slot))
        opened = [self._described(ref, ref in ends) for ref in refs]
        return tuple(self._with_role(each) for each in opened)

    def _described(self, ref: Ref, is_pipeline: bool) -> OpenInput:
        node = self.graph[ref.node]
        default = None
        if node.op == "PlaceholderWithDefault" and not is_data_default(node):
            default = _plain(self.inference.value(node.inputs[0])) if node.inputs else None
        readers = dict.fromkeys(reader.name for reader, _ in self._readers(ref, PASSED_OVER))
        return OpenInput(
            ref,
            node.op,
            self.inference.spec(ref),
            tuple(name for name in self.graph.nodes if name in readers) if readers else (),
            default=default,
            is_pipeline=is_pipeline,
        )

    def _readers(self, ref: Ref, past: frozenset[str] | set[str]) -> Iterator[tuple[Node, int]]:
        """Yield each node that the outputs need and that reads a tensor, with the place where; past nodes of
        the operations given.
        """
        seen: set[Ref] = {ref}
        waiting = [ref]
        while waiting:
            source = waiting.pop()
            for name in self.graph.readers[source.node]:
                node = self.graph[name]
                if name not in self.needed:
                    continue
                for slot, read in enumerate(node.inputs):
                    if read != source:
                        continue
                    if node.op not in past:
                        yield node, slot
                    elif (behind := Ref(name, slot if node.op == "IdentityN" else 0)) not in seen:
                        seen.add(behind)
                        waiting.append(behind)

    def _sources(self, ref: Ref) -> tuple[Ref, ...]:
        return _sources(self.graph, self.graph[ref.node])

    # Where input pipelines end

    def _pipeline_ends(self) -> tuple[Ref, ...]:
        """Return the first tensors of numbers behind what no number can be put into."""
        waiting = [node.name for node in self.graph if node.name in self.needed and self._is_pipeline(node)]
        if not waiting:
            return ()
        inside = conditional(self.graph)
        pipeline: set[str] = set()
        ends: dict[Ref, None] = {}
        while waiting:
            name = waiting.pop()
            if name in pipeline:
                continue
            pipeline.add(name)
            for reader in self.graph.readers[name]:
                for ref in self.graph[reader].inputs if reader in self.needed else ():
                    if ref.node != name:
                        continue
                    if name not in inside and self._holds_numbers(ref, pipeline):
                        ends[ref] = None
                    else:
                        waiting.append(reader)
            for ref in self.graph.output_refs:
                if ref.node == name and name not in inside and self._holds_numbers(ref, pipeline):
                    ends[ref] = None
        return tuple(ends)

    def _is_pipeline(self, node: Node) -> bool:
        if node.op in PLACEHOLDERS:
            dtype = attr_dtype(node, "dtype")
            return dtype is not None and dtype.itemsize is None
        return _PIPELINE.fullmatch(node.op) is not None

    def _holds_numbers(self, ref: Ref, pipeline: set[str]) -> bool:
        """Return whether numbers can be put in the place of a tensor: no handle, text or flow of an array."""
        dtype = self.inference.spec(ref).dtype
        if dtype is None or dtype.itemsize is None:
            return False
        node = self.graph[ref.node]
        for _ in range(len(self.graph)):
            if node.op.startswith("TensorArray"):
                return _ARRAY_READS.fullmatch(node.op) is not None
            if node.op not in _PASSES_ON or not node.inputs:
                return True
            node = self.graph[node.inputs[0].node]
        return True

    # What scalars are for

    def _with_role(self, opened: OpenInput) -> OpenInput:
        """Return an input with its role, and what a scalar is at inference."""
        dtype, rank = opened.spec.dtype, opened.spec.shape.rank
        if rank not in (0, None) or dtype is None or dtype.itemsize is None or opened.is_pipeline:
            return opened
        kind = np.dtype(dtype.numpy()).kind
        if kind not in "biuf":
            return opened
        told = self._training_scalar(opened, kind)
        if told is None and kind in "iu":
            told = self._batch_size(opened)
        if told is not None:
            role, value, reason, evidence = told
            return replace(opened, role=role, inference=value, reason=reason, evidence=evidence)
        return replace(opened, role=InputRole.SCALAR) if rank == 0 else opened

    def _training_scalar(
        self, opened: OpenInput, kind: str
    ) -> tuple[InputRole, Scalar | None, str, tuple[str, ...]] | None:
        """Return what a scalar is that makes the graph compute as in training; None for any other."""
        known = downstream(self.graph, [opened.ref.node], until=self._ends_scalar)
        choices = {name for each in known for name in self.graph.readers[each] if self._chooses(name, each)}
        if not choices and not self._is_threshold(known):
            return None
        candidates: list[Scalar] = [False, True] if kind == "b" else [0.0, 1.0] if kind == "f" else [0, 1]
        signs = [self._signs_of_training(opened, value, kind) for value in candidates]
        calm = [i for i in (0, 1) if signs[i] < signs[1 - i]]
        role = InputRole.TRAINING if choices else InputRole.SCALAR
        if calm:
            value, other = candidates[calm[0]], candidates[1 - calm[0]]
            shown = signs[1 - calm[0]] - signs[calm[0]]
            evidence = tuple(name for name in self.graph.nodes if name in shown)
            if not choices:
                role = InputRole.KEEP_PROBABILITY if value else InputRole.DROPOUT_RATE
            does = self._sign(evidence[0])
            return role, value, f"with {other}, '{evidence[0]}' {does}", evidence
        # A predicate of a selection may be a mask, where the rank is not stated.
        if opened.spec.shape.rank is None:
            choices = {name for name in choices if self.graph[name].op not in SELECTIONS}
        if not choices or kind == "f":
            return None
        first = next(name for name in self.graph.nodes if name in choices)
        reads = f"it chooses a branch of '{first}' ({self.graph[first].op})"
        infers = _says_inference(opened.ref.node)
        if infers is None:
            return InputRole.SCALAR, None, reads, (first,)
        return role, candidates[infers], f"{reads}, and its name says what for", (first,)

    def _ends_scalar(self, node: Node) -> bool:
        """Return whether what a node gives depends on sizes or random numbers, too."""
        return node.op in SIZES or node.name in self.thresholds

    def _chooses(self, name: str, by: str) -> bool:
        """Return whether a node that is needed chooses a branch by what another one gives."""
        place = _predicate_of(self.graph[name])
        inputs = self.graph[name].inputs
        return name in self.needed and place is not None and place < len(inputs) and inputs[place].node == by

    def _is_threshold(self, known: set[str]) -> bool:
        return any(ref.node in known for ref, _ in self.thresholds.values())

    @cached_property
    def thresholds(self) -> Mapping[str, tuple[Ref, str]]:
        """The nodes that hold random numbers against a number, with that number and what it must be for all
        to be kept.
        """
        found: dict[str, tuple[Ref, str]] = {}
        for node in self.graph:
            if node.name not in self.needed or len(node.inputs) != 2:
                continue
            for slot in (0, 1):
                other = node.inputs[1 - slot]
                if node.op not in _HOLDS_AGAINST or not self._is_uniform(node.inputs[slot]):
                    continue
                if self._gives_size(other):
                    continue  # a tensor of which a shape is made is no number
                if node.op not in ("Add", "AddV2"):
                    upwards = node.op.startswith("Greater") == (slot == 0)
                    found[node.name] = other, "at most 0" if upwards else "at least 1"
                elif self.inference.value(other) is None and self._is_floored(node):
                    found[node.name] = other, "at least 1"
        return found

    def _gives_size(self, ref: Ref) -> bool:
        """Return whether the rank of a tensor is unknown and its shape is asked for."""
        if self.inference.spec(ref).shape.rank is not None:
            return False
        return any(node.op in SIZES for node, _ in self._readers(ref, PASSED_OVER))

    def _is_floored(self, node: Node) -> bool:
        """Return whether what a node gives is only rounded down, as dropout does."""
        readers = [reader.op for reader, _ in self._readers(Ref(node.name), PASSED_OVER)]
        return bool(readers) and all(op == "Floor" for op in readers)

    def _is_uniform(self, ref: Ref) -> bool:
        """Return whether a tensor holds random numbers from 0 to 1."""
        low, high = 0.0, 1.0
        for _ in range(8):
            node = self.graph[ref.node]
            if node.op in UNIFORM:
                return (low, high) == (0.0, 1.0)
            if node.op in PASSED_OVER and node.inputs:
                ref = node.inputs[0]
                continue
            if node.op not in ("Add", "AddV2", "Mul") or len(node.inputs) != 2:
                return False
            values = [_plain(self.inference.value(each)) for each in node.inputs]
            constant = next((value for value in values if value is not None), None)
            neutral = 1.0 if node.op == "Mul" else 0.0
            if constant is None or float(constant) != neutral:
                return False
            ref = node.inputs[0 if values[0] is None else 1]
        return False

    def _signs_of_training(self, opened: OpenInput, value: Scalar, kind: str) -> set[str]:
        """Return the nodes that compute as in training where a scalar has a value: that draw at random, and
        take the statistics of a batch.
        """
        dtype = opened.spec.dtype
        assert dtype is not None
        number = TensorValue.of(np.array(value, dtype.numpy()), dtype)
        fixed = Node(opened.ref.node, "Const", attrs={"dtype": dtype, "value": number})
        graph = self.graph.replace([fixed if node.name == fixed.name else node for node in self.graph])
        inference = Inference(graph)
        taken = _taken(graph, inference)
        signs: set[str] = set()
        held: list[Ref] = []
        for name, (ref, kept) in self.thresholds.items():
            if name not in taken:
                continue
            number_held = _plain(inference.value(ref))
            keeps = number_held is not None and (
                number_held <= 0 if kept == "at most 0" else number_held >= 1
            )
            if not keeps:
                signs.add(name)
            held += [each for each in graph[name].inputs if each != ref]

        def drawn_from(ref: Ref) -> tuple[Ref, ...]:
            node = graph[ref.node]
            return () if node.op in SIZES else node.inputs

        silent = {ref.node for ref in _reached(graph, held, drawn_from)}
        for name in taken:
            node = graph[name]
            if (node.op in RANDOM and name not in silent) or _takes_batch_statistics(graph, inference, node):
                signs.add(name)
        return signs

    def _sign(self, name: str) -> str:
        if name in self.thresholds:
            return "drops numbers at random"
        if self.graph[name].op in RANDOM:
            return "draws random numbers"
        return "takes the statistics of the batch"

    def _batch_size(self, opened: OpenInput) -> tuple[InputRole, Scalar | None, str, tuple[str, ...]] | None:
        """Return that a whole number is the first element of a shape, None where it is not."""
        past = _MOVED - {"Reshape"}
        for node, slot in self._readers(opened.ref, past):
            shapes = [Ref(node.name)] if node.op in ("Pack", "ConcatV2") and slot == 0 else []
            if _SHAPE_ARGUMENT.get(node.op) == slot:
                return InputRole.BATCH_SIZE, 1, f"'{node.name}' reads it as a shape", (node.name,)
            for shape in shapes:
                for reader, at in self._readers(shape, PASSED_OVER | {"Cast"}):
                    if _SHAPE_ARGUMENT.get(reader.op) == at:
                        reason = f"it is the first size of what '{reader.name}' ({reader.op}) gives"
                        return InputRole.BATCH_SIZE, 1, reason, (node.name, reader.name)
        return None


def _predicate_of(node: Node) -> int | None:
    """Return the input by which a node chooses between others, None where it does not choose."""
    if node.op in SWITCHES:
        return 1
    if node.op in ("If", "StatelessIf", "Case", "StatelessCase", "Select", "SelectV2"):
        return 0
    return None


def _taken(graph: Graph, inference: Inference) -> set[str]:
    """Return the nodes that the outputs need where branches are not taken whose predicate is known.

    Membership only.
    """
    dead = _dead(graph, inference)

    def sources(ref: Ref) -> tuple[Ref, ...]:
        node = graph[ref.node]
        if node.op in MERGES:
            return tuple(each for each in node.inputs if each not in dead) or node.inputs
        if node.op in ("Select", "SelectV2") and len(node.inputs) == 3:
            predicate = _plain(inference.value(node.inputs[0]))
            if predicate is not None:
                return (node.inputs[1] if predicate else node.inputs[2],)
        return _sources(graph, node)

    return {ref.node for ref in _reached(graph, graph.output_refs, sources)}


def _reached(graph: Graph, refs: Iterable[Ref], sources: Callable[[Ref], Iterable[Ref]]) -> dict[Ref, None]:
    """Return tensors and those that they are computed from, as ``sources`` says."""
    reached: dict[Ref, None] = {}
    waiting = list(refs)
    while waiting:
        ref = waiting.pop()
        if ref not in reached and ref.node in graph:
            reached[ref] = None
            waiting += sources(ref)
    return reached


def _sources(graph: Graph, node: Node) -> tuple[Ref, ...]:
    """Return what a node reads, and what chooses the branch that it is in."""
    return (*node.inputs, *map(Ref, pivots(graph, node))) if node.control else node.inputs


def _dead(graph: Graph, inference: Inference) -> set[Ref]:
    """Return the tensors of branches that are not taken (membership only)."""
    dead: set[Ref] = set()
    gone: set[str] = set()
    waiting: list[str] = []
    for node in graph:
        if node.op in SWITCHES and len(node.inputs) == 2:
            predicate = _plain(inference.value(node.inputs[1]))
            if predicate is not None:
                dead.add(Ref(node.name, 0 if predicate else 1))
                waiting.append(node.name)
    while waiting:
        source = waiting.pop()
        for name in graph.readers[source]:
            node = graph[name]
            if source in gone:
                dead.update(ref for ref in node.inputs if ref.node == source)
            inputs = [ref for ref in node.inputs if not is_back_edge(graph, node, ref)]
            if node.op in MERGES:
                dies = bool(inputs) and all(ref in dead for ref in inputs)
            else:
                dies = any(ref in dead for ref in inputs) or any(c in gone for c in node.control)
            if dies and name not in gone:
                gone.add(name)
                waiting.append(name)
    return dead


def _takes_batch_statistics(graph: Graph, inference: Inference, node: Node) -> bool:
    """Return whether a node computes the mean over the samples of a batch from which these then deviate."""
    if node.op.startswith("FusedBatchNorm"):
        return attr_bool(node, "is_training", True)
    if node.op != "Mean" or len(node.inputs) != 2:
        return False
    axes, rank = inference.value(node.inputs[1]), inference.spec(node.inputs[0]).shape.rank
    if axes is None or not (0 in axes.ravel() or (rank is not None and -rank in axes.ravel())):
        return False
    deviations = {"SquaredDifference", "Sub"}
    if graph[node.inputs[0].node].op in {"SquaredDifference", "Square"}:
        return True
    waiting, seen = [node.name], {node.name}
    while waiting:
        name = waiting.pop()
        for reader in (graph[each] for each in graph.readers[name] if each not in seen):
            seen.add(reader.name)
            if reader.op in deviations and node.inputs[0] in reader.inputs:
                return True
            if reader.op in _MOVED or reader.op in MERGES or reader.op in SWITCHES:
                waiting.append(reader.name)
    return False


def _says_inference(name: str) -> bool | None:
    """Return whether a name says that something holds at inference (else in training); None where it does not
    say.
    """
    words = {word.lower() for word in _WORDS.findall(name.rpartition("/")[2])}
    trains = bool(words & _IN_TRAINING) or words == {"phase"}
    infers = bool(words & _IN_INFERENCE)
    if trains == infers or words - _IN_TRAINING - _IN_INFERENCE - _FILLERS:
        return None
    return infers


def _plain(value: Array | None) -> Scalar | None:
    """Return the one number of an array, None where it has none or several."""
    if value is None or value.size != 1 or value.dtype.kind not in "biuf":
        return None
    number: Scalar = value.reshape(-1)[0].item()
    return number
