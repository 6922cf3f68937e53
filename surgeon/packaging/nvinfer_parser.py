"""The source of a parser: a function in C++ that reads a network's outputs as detections for Gst-nvinfer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from surgeon.catalog.detections import CLASS_SCORES, CORNERS, COUNT, PIXELS, masks_among, rows_among
from surgeon.packaging.template import filled
from surgeon.version import __version__

FUNCTION = "NvDsInferParseSurgeon"
"""The function's name."""

_MASK_AXES = ("height", "width", "class")


def parser_text(outputs: Mapping[str, str], model: str) -> str:
    """Return the source for outputs by part of detections, by the names that the engine has for them.

    The function gives boxes, and with masks boxes and masks.
    """
    rows, masks = rows_among(outputs), masks_among(outputs)
    if rows is not None:
        columns, name = rows
        names = {"kRows": name}
        numbers, body, count, held = _columns(columns), "rows", outputs.get("count"), ""
    else:
        by_class = CLASS_SCORES in outputs
        names = {"kBoxes": outputs["boxes"], "kScores": outputs[CLASS_SCORES if by_class else "scores"]}
        names |= {} if by_class else {"kClasses": outputs["classes"]}
        numbers, body, count = [], "class-scores" if by_class else "lists", outputs.get(COUNT)
        score = "score" if by_class else "scores[row]"
        held = "" if count is not None else filled("deepstream-held.cpp.txt", score=score)
    names |= {} if count is None else {"kCount": count}
    if masks is not None:
        axes, names["kMasks"] = masks
        numbers += _mask_axes(axes)
    pixels = str(rows is not None and PIXELS[0] in columns).lower()
    constants = [f"const char* const {name} = {json.dumps(value)};" for name, value in names.items()]
    return filled(
        "deepstream-parser.cpp.txt",
        model=model,
        version=__version__,
        function=FUNCTION,
        constants="\n".join([*constants, *numbers, f"const bool kPixels = {pixels};", ""]),
        body=filled(
            f"deepstream-{body}.cpp.txt",
            count="" if count is None else filled("deepstream-count.cpp.txt"),
            **({} if body == "rows" else {"held": held}),
        ),
        masks="" if masks is None else filled("deepstream-masks.cpp.txt"),
        exported=filled(
            "deepstream-boxes.cpp.txt" if masks is None else "deepstream-boxes-with-masks.cpp.txt",
            function=FUNCTION,
        ),
    )


def _columns(columns: Sequence[str]) -> list[str]:
    corners = PIXELS if PIXELS[0] in columns else CORNERS
    names = dict(zip(("Left", "Top", "Right", "Bottom"), corners, strict=True))
    places = {"Columns": len(columns), "Class": columns.index("class"), "Score": columns.index("score")}
    places |= {name: columns.index(column) for name, column in names.items()}
    return [f"const std::size_t k{name} = {place};" for name, place in places.items()]


def _mask_axes(axes: Sequence[str]) -> list[str]:
    """Return where each axis of a mask is among the last ones of the output; -1 for one that is not."""
    places = {name.capitalize(): axes.index(name) if name in axes else -1 for name in _MASK_AXES}
    return [f"const int kMask{name} = {place};" for name, place in {**places, "Axes": len(axes)}.items()]
