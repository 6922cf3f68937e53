"""What to do about an input whose sizes are unknown."""

from __future__ import annotations

from surgeon.graph import Shape

_PICTURE_SIDE, _LENGTH = 300, 16


def shape_advice(name: str, shape: Shape) -> str:
    """Return how to give an input its shape, with an example of its rank.

    Where the rank is unknown, the input may be one number.
    """
    if shape.dims is None:
        return (
            f"give its shape by '--input {name}=SIZES', '[]' for one number, or a value in its place by "
            f"'--constant {name}=VALUE'"
        )
    sizes = list(map(str, example_sizes(shape.dims)))
    return (
        f"give the node's 'shape:' in the recipe, such as [{', '.join(sizes)}], or '--input "
        f"{name}={'x'.join(sizes)}'"
    )


def example_sizes(dims: tuple[int | None, ...]) -> tuple[int, ...]:
    """Return sizes that an input may have: its own, a batch of one, and the usual side of a picture or length
    of a sequence where they are unknown.
    """
    is_picture = len(dims) == 4 and dims[-1] in (None, 1, 3, 4)
    usual = (1, _PICTURE_SIDE, _PICTURE_SIDE, 3) if is_picture else (1, *[_LENGTH] * (len(dims) - 1))
    return tuple(other if size is None else size for size, other in zip(dims, usual, strict=True))
