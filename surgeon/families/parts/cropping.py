"""How a detector cuts regions out of feature maps."""

from __future__ import annotations

from surgeon.graph import Node


def cuts_otherwise(node: Node) -> str | None:
    """Return why a CropAndResize is none of those that plugins and recipes compute, None where it is one.

    They interpolate in both directions, and give 0 for what lies outside the map.
    """
    method = node.attrs.get("method", b"bilinear")
    if method != b"bilinear":
        shown = method.decode() if isinstance(method, bytes) else str(method)
        return f"'{node.name}' ({node.op}) has the method {shown!r}; expected 'bilinear'"
    outside = node.attrs.get("extrapolation_value", 0.0)
    if outside != 0.0:
        shown = f"{outside:g}" if isinstance(outside, float) else repr(outside)
        return f"'{node.name}' ({node.op}) gives {shown} outside the map; expected 0"
    return None
