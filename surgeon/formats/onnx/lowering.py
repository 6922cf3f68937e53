"""A plugin node in standard operators of ONNX, as its ``onnx.py`` or its kernel writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.catalog import Catalog, PluginSpec
from surgeon.formats.onnx.emitter import Emitter
from surgeon.graph import TensorSpec
from surgeon.targets import Target

Standard = Callable[["PluginNode"], Sequence[str]]


@dataclass(frozen=True, eq=False)
class PluginNode:
    """What a rendering sees of a plugin node.

    ``fields`` holds every field's value, ``inputs`` the names of the tensors that it reads, ``specs`` their
    types and shapes, the batch (None where it is open) first. ``emit`` takes the nodes. ``target`` is what
    the file is for, None for any runtime.
    """

    spec: PluginSpec
    fields: Mapping[str, Any]
    inputs: tuple[str, ...]
    specs: tuple[TensorSpec, ...]
    emit: Emitter
    catalog: Catalog
    target: Target | None = None

    @property
    def version(self) -> tuple[int, ...] | None:
        """The release of TensorRT that the file is for; None for another runtime."""
        return None if self.target is None else self.target.tensorrt

    def computed(self) -> tuple[np.ndarray, ...]:
        """Return the plugin's outputs for inputs of zeros with a batch of one.

        They are the outputs for any input where fields and shapes alone decide them.
        """
        reference = self.catalog.reference(self.spec.op)
        assert reference is not None, self.spec.op
        zeros = [np.zeros([size or 1 for size in spec.shape.dims or ()], np.float32) for spec in self.specs]
        return reference.run(self.fields, zeros)


def standard_rendering(catalog: Catalog, op: str, name: str = "standard") -> Standard | None:
    """Return the function ``standard(at)`` of a plugin's ``onnx.py``, or the one of another ``name``.

    Return None where the file has none. The function adds nodes to ``at.emit`` and returns the names of the
    outputs, by port, with the shapes and types of the plugin's reference. Raise SurgeonError C111 where the
    file fails.
    """
    module = catalog.module(op, "onnx")
    function: Standard | None = getattr(module, name, None)
    return function


def standard_difference(catalog: Catalog, op: str) -> str:
    """Return in what the standard operators of a plugin differ from it; empty where they do not.

    The function ``difference()`` of the plugin's ``onnx.py`` says so. Raise SurgeonError C111 where the file
    fails.
    """
    function: Callable[[], str] | None = getattr(catalog.module(op, "onnx"), "difference", None)
    return "" if function is None else function()
