"""How a picture becomes the input of a detector."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.family import Family
from surgeon.families.finding import Finding
from surgeon.families.parts.preprocessing import Pixels, network_input, pixels_behind
from surgeon.families.parts.resized import resized_and_padded
from surgeon.graph import Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.reach import varying
from surgeon.infer import Inference, infer
from surgeon.language import Image, ImageStep
from surgeon.language.recipe import Rounding, fitted_size

_PROBES = ((480, 640), (640, 480), (300, 300), (333, 777), (1000, 200), (61, 64), (40, 1200))
"""Heights and widths of pictures by which a resizing is told."""


class PictureFindings(Family):
    """What the network reads, and how a picture becomes that."""

    @cached_property
    def inference(self) -> Inference:
        """Sizes and constants, the batch known."""
        if self._given is not None:
            return self._given
        ref = self.network_input.value
        spec = self._sizes.spec(ref)
        dims = spec.shape.dims
        if dims is not None and None not in dims:
            return self._sizes
        if (dims is None or (len(dims) == 4 and None in dims[1:])) and (
            found := self._network_dims()
        ) is not None:
            dims = (dims[0] if dims is not None else None, *found)
        if dims is None:
            return self._sizes
        return infer(self.graph, {str(ref): TensorSpec(spec.dtype, Shape((dims[0] or 1, *dims[1:])))})

    @cached_property
    def _sizes(self) -> Inference:
        return self._given or infer(self.graph)

    @cached_property
    def _varying(self) -> set[str]:
        return varying(self.graph, (node.name for node in self.graph if node.op in PLACEHOLDERS))

    @property
    @abstractmethod
    def _first_convolution(self) -> Node:
        """The convolution that is nearest to the picture."""

    @cached_property
    def network_input(self) -> Finding[Ref]:
        """The tensor that the network reads: pixels, resized and scaled."""
        conv = self._first_convolution
        ref = network_input(self.graph, self._sizes, conv)
        return Finding(
            ref,
            (
                f"'{conv.name}' ({conv.op}), the first convolution, reads '{ref}'",
                f"'{ref}' ({self.graph[ref.node].op}) is {self._sizes.spec(ref)}",
            ),
        )

    @cached_property
    def picture(self) -> Finding[Ref]:
        """The tensor that is fed."""
        needed = self.graph.ancestors([self.network_input.value.node])
        found = [n for n in self.graph if n.op in PLACEHOLDERS and n.name in needed]
        if len(found) != 1:
            raise self.fail(
                "D113",
                f"'{self.network_input.value}' depends on {plural(len(found), 'input')}; expected one, the "
                "picture",
                [", ".join(f"'{node.name}'" for node in found[:6])] if found else [],
            )
        return Finding(Ref(found[0].name), (f"'{found[0].name}' is {self._sizes.spec(Ref(found[0].name))}",))

    @cached_property
    def image(self) -> Finding[Image]:
        """How a picture becomes the network's input."""
        return self.image_at(self.network_input.value)

    def image_at(self, ref: Ref) -> Finding[Image]:
        """Return how a picture becomes a tensor of the graph.

        Raise SurgeonError D115 for what has no name in a recipe.
        """
        pixels = self.pixels_behind(ref)
        if pixels.problem:
            raise self._no_image(
                f"'{pixels.at}' {pixels.problem}", [f"it is {self.graph[pixels.at.node].op}"]
            )
        steps = tuple(ImageStep(**{kind: amount}) for kind, amount, _ in pixels.steps)
        shown = [f"'{name}' is {amount}: {kind}" for kind, amount, name in pixels.steps] or [
            "no arithmetic on pixels"
        ]
        height, width, interpolation, rounding, resized = self._resize(ref, pixels)
        keeps = bool(pixels.pads) or self.keeps_shape
        color = self._color(ref, pixels)
        return Finding(
            Image(
                size=(height, width),
                resize="keep-aspect-ratio" if keeps else "stretch",
                interpolation=interpolation,
                padding="after-steps" if pixels.pads_late else None,
                rounding=rounding,
                color=color[0],
                brightness=pixels.gray[1] if pixels.gray is not None else None,
                steps=steps,
            ),
            (resized, *shown, color[1]),
        )

    def pixels_behind(self, ref: Ref) -> Pixels:
        """Return what happens to pixels on the way to a tensor."""
        return pixels_behind(self.graph, self._sizes, ref)

    def _resize(self, ref: Ref, pixels: Pixels) -> tuple[int, int, Any, Rounding | None, str]:
        """Return height, width, interpolation, rounding and the evidence of the resizing."""
        dims = self._sizes.spec(ref).shape.dims
        known = dims[1:3] if dims is not None and len(dims) == 4 else (None, None)
        node = pixels.resize
        if node is None:
            if known[0] is None or known[1] is None:
                raise self._no_image("nothing in the graph resizes the picture, and its size is not known")
            shown = f"'{ref}' has this size; the graph does not resize"
            return known[0], known[1], "tf1-bilinear", None, shown
        fitted, rounding = self._fitted(node, pixels) if pixels.pads else (None, None)
        size = np.array(fitted) if fitted is not None else self._sizes.known(node.inputs[1])
        if pixels.pads and fitted is None:
            raise self._no_image(
                f"'{pixels.pads[0].name}' pads the resized picture, and not as 'resize: keep-aspect-ratio' "
                "does, which is keep_aspect_ratio_resizer with pad_to_max_dimension and one dimension"
            )
        if size is None or size.size != 2:
            raise self._no_image(
                f"'{node.name}' ({node.op}) resizes to a size that it computes from the picture's, as "
                "keep_aspect_ratio_resizer does; TensorRT's input has one size",
                [f"its size is '{node.inputs[1]}' ({self.graph[node.inputs[1].node].op})"],
            )
        if node.attrs.get("align_corners") is True:
            raise self._no_image(
                f"'{node.name}' ({node.op}) aligns corners; expected an interpolation that 'image' names"
            )
        height, width = (int(n) for n in size.reshape(-1))
        if any(n is not None and n != m for n, m in zip(known, (height, width), strict=True)):
            raise self.fail(
                "D114",
                "the size of the network's input is contradictory",
                [f"'{node.inputs[1]}' is {height} x {width}", f"'{ref}' is {self._sizes.spec(ref)}"],
            )
        return (
            height,
            width,
            self._interpolation(node),
            rounding,
            f"'{node.name}' ({node.op}) resizes to '{node.inputs[1]}', "
            + (
                f"what fits into {height} x {width}; zeros fill the rest" if fitted else f"{height} x {width}"
            ),
        )

    def _interpolation(self, node: Node) -> Any:
        """Return by what name a recipe calls how an operation resizes."""
        if node.op == "ResizeNearestNeighbor":
            return "nearest"
        return "half-pixel-bilinear" if node.attrs.get("half_pixel_centers") is True else "tf1-bilinear"

    def _fitted(self, node: Node, pixels: Pixels) -> tuple[tuple[int, int] | None, Rounding | None]:
        """Return the size to which a resized picture is padded on the right and below, if each of some
        pictures is resized as ``keep-aspect-ratio`` does, else None; and how its sides are rounded, None for
        half to even.
        """
        size: tuple[int, int] | None = None
        roundings: list[Rounding | None] = [None, "down"]
        for height, width in _PROBES:
            sizes = self._resized(node, pixels, height, width)
            if sizes is None:
                return None, None
            inner, *paddings = sizes
            for amounts in paddings:
                # Of rank 2 for one channel, 3 for a picture, 4 for a batch.
                first = 1 if len(amounts) == 4 else 0
                after = amounts[first : first + 2, 1]
                if amounts.sum() != after.sum() or (amounts < 0).any():
                    return None, None
                full = (int(inner[0] + after[0]), int(inner[1] + after[1]))
                size = size or full
                if full != size:
                    return None, None
            fitted = tuple(int(side) for side in inner)
            roundings = [way for way in roundings if size and fitted_size(size, height, width, way) == fitted]
        return (size, roundings[0]) if roundings else (None, None)

    def _resized(self, node: Node, pixels: Pixels, height: int, width: int) -> list[np.ndarray] | None:
        """Return the size to which a picture is resized, and what each padding then adds.

        None where the graph does not tell.
        """
        return resized_and_padded(self.graph, node, pixels, height, width)

    def resized(self, ref: Ref, height: int, width: int) -> Finding[tuple[int, int]] | None:
        """Return the height and width that a picture of some size has at a tensor, where the graph resizes it
        to a size that it computes from the picture's; None where it does not, or does not tell.
        """
        pixels = self.pixels_behind(ref)
        node = pixels.resize
        if pixels.problem or node is None or pixels.pads or self._sizes.known(node.inputs[1]) is not None:
            return None
        sizes = self._resized(node, pixels, height, width)
        if sizes is None or sizes[0].size != 2:
            return None
        down, across = (int(side) for side in sizes[0].reshape(-1))
        return Finding((down, across), (f"'{node.name}' ({node.op}) keeps the shape of a picture",))

    def _network_dims(self) -> tuple[int, int, int] | None:
        try:
            image = self.image.value
        except SurgeonError:
            return None
        return (*image.size, 1 if image.color == "GRAY" else 3)

    def _color(self, ref: Ref, pixels: Pixels) -> tuple[Any, str]:
        dims = self._sizes.spec(ref).shape.dims
        channels = dims[3] if dims is not None and len(dims) == 4 else None
        if pixels.gray is not None:
            node, shares = pixels.gray
            return "GRAY", f"'{node.name}' ({node.op}) makes the picture gray, with the shares {shares}"
        if channels == 1:
            return "GRAY", "one channel"
        if channels not in (3, None):
            raise self._no_image(f"'{ref}' has {plural(channels, 'channel')}; expected 3 or 1")
        if pixels.reversed is not None:
            return "BGR", f"'{pixels.reversed.name}' reverses the channels of the RGB picture"
        return "RGB", "the channels keep the order in which the picture is fed, RGB by the API's convention"

    def _no_image(self, reason: str, notes: Iterable[str] = ()) -> SurgeonError:
        return self.fail(
            "D115",
            f"how pixels become the network's input cannot be derived: {reason}",
            notes,
            ["write 'image:' in the recipe, or take it away: 'image: null'"],
        )
