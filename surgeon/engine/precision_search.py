"""Which layers an engine of less precision has to keep in FP32, found by building some engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_WEIGHTED = ("CONVOLUTION", "DECONVOLUTION", "FULLY_CONNECTED", "MATRIX_MULTIPLY")
"""Types of layers that multiply by weights."""

_COMPUTING = (
    *_WEIGHTED,
    "ACTIVATION",
    "CONCATENATION",
    "EINSUM",
    "ELEMENTWISE",
    "GATHER",
    "LRN",
    "NORMALIZATION",
    "PADDING",
    "PARAMETRIC_RELU",
    "POOLING",
    "REDUCE",
    "RESIZE",
    "SCALE",
    "SELECT",
    "SHUFFLE",
    "SLICE",
    "SOFTMAX",
    "UNARY",
)
"""Types of layers whose precision is the builder's to choose; not a constant's, a cast's or a plugin's."""


@dataclass(frozen=True)
class NetworkLayer:
    """A layer of a network as a parser made it.

    ``inputs`` and ``outputs`` are names of tensors; ``floats`` says that all outputs are floating point.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    floats: bool


@dataclass(frozen=True)
class Candidates:
    """The numbers of the layers that can be kept in FP32, the most likely to lose accuracy first.

    ``decoding`` are those behind the last layers with weights on their way to an output, ``heads`` those
    last layers, ``backbone`` the others; each from the outputs to the inputs.
    """

    decoding: tuple[int, ...]
    heads: tuple[int, ...]
    backbone: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """All of them, in that order."""
        return self.decoding + self.heads + self.backbone


def candidates_of(layers: Sequence[NetworkLayer]) -> Candidates:
    """Return the layers of a network that can be kept in FP32, by their place in it."""
    followed: set[str] = set()
    """Tensors from which a layer with weights is reached."""
    decoding: list[int] = []
    heads: list[int] = []
    backbone: list[int] = []
    # A network lists a layer behind those that it reads.
    for number in reversed(range(len(layers))):
        layer = layers[number]
        before_weights = not followed.isdisjoint(layer.outputs)
        weighted = layer.type in _WEIGHTED
        if before_weights or weighted:
            followed.update(layer.inputs)
        if layer.floats and layer.type in _COMPUTING:
            (backbone if before_weights else heads if weighted else decoding).append(number)
    return Candidates(tuple(decoding), tuple(heads), tuple(backbone))


def fewest_in_fp32(
    candidates: Candidates, suffices: Callable[[tuple[int, ...]], bool], most: int
) -> tuple[int, ...] | None:
    """Return few layers that suffice when they are kept in FP32; None where none of ``most`` trials did.

    ``suffices`` builds an engine and measures it. The first trial keeps nothing, the second decoding and
    heads. Then the layers are narrowed down as delta debugging does (Zeller and Hildebrandt, Simplifying and
    Isolating Failure-Inducing Input, 2002): a part is left out, the one nearest to the inputs first; where
    what is left suffices, it is narrowed down further, and where no part can be left out, the parts are
    halved. The same answers give the same trials. All layers together count as sufficient and are not tried.
    """
    answers: dict[tuple[int, ...], bool] = {}

    def tried(kept: tuple[int, ...]) -> bool:
        kept = tuple(sorted(kept))
        if kept not in answers:
            if len(answers) == most:
                raise _NoTrialsLeft
            answers[kept] = suffices(kept)
        return answers[kept]

    try:
        if tried(()):
            return ()
        near = candidates.decoding + candidates.heads
        if near and candidates.backbone and tried(near):
            _narrow(near, tried)
        else:
            _narrow(candidates.all, tried)
    except _NoTrialsLeft:
        pass
    sufficient = [kept for kept, enough in answers.items() if enough]
    return min(sufficient, key=len) if sufficient else None


class _NoTrialsLeft(Exception):
    pass


def _narrow(kept: tuple[int, ...], suffices: Callable[[tuple[int, ...]], bool]) -> None:
    """Leave parts of ``kept``, which suffices, out as long as the rest suffices."""
    parts = min(2, len(kept))
    while parts > 1:
        for part in reversed(list(_parts(kept, parts))):
            rest = tuple(number for number in kept if number not in part)
            if suffices(rest):
                kept, parts = rest, max(parts - 1, 2)
                break
        else:
            if parts == len(kept):
                return
            parts = min(2 * parts, len(kept))
        parts = min(parts, len(kept))


def _parts(numbers: tuple[int, ...], count: int) -> Iterator[tuple[int, ...]]:
    """Yield ``count`` parts of nearly the same length."""
    for index in range(count):
        yield numbers[index * len(numbers) // count : (index + 1) * len(numbers) // count]


def layers_from(answer: Sequence[Mapping[str, object]]) -> tuple[NetworkLayer, ...]:
    """Return layers from what TensorRT's process tells of them."""
    return tuple(
        NetworkLayer(
            str(layer["name"]),
            str(layer["type"]),
            tuple(layer["inputs"]),  # type: ignore[arg-type]
            tuple(layer["outputs"]),  # type: ignore[arg-type]
            bool(layer["floats"]),
        )
        for layer in answer
    )
