"""Transposed convolutions, padded as TensorFlow pads them."""

from __future__ import annotations

from surgeon.formats.onnx.operation import Operation


def _transposed(at: Operation) -> None:
    """Pad as the node lists, or as SAME does where the input leaves sizes open.

    tf2onnx divides what the sizes leave, whatever the node lists, and states the output's size where that of
    the input is open; runtimes then begin with the larger half. The padding and the output's size tell
    the input's.
    """
    kernel = at.shape(1) or (1,) * 4
    rank = len(kernel) - 2
    first = 2 if at.attr("data_format", b"NHWC").startswith(b"NC") else 1
    axes = range(first, first + rank)
    padding = at.attr("padding", b"VALID").decode()
    listed = at.attr("explicit_paddings", None) or [0] * 2 * len(kernel)
    begins = [listed[2 * axis] for axis in axes]
    all_strides = at.attr("strides", [1] * len(kernel))
    all_dilations = at.attr("dilations", [1] * len(kernel))
    at.stays()
    sizes, pads = at.attr("output_shape", None), at.attr("pads", None)
    if sizes is None and padding != "EXPLICIT":
        return
    if sizes is None and pads is None:
        raise at.refused(
            "it lists paddings, and the size of its output is computed; expected a constant",
            "give the size of the graph's input by '--input NAME=SIZES'",
        )
    totals = []
    for index, axis in enumerate(axes):
        if sizes is None:
            totals.append(pads[index] + pads[index + rank])
            continue
        stride, size = all_strides[axis], sizes[index]
        reach = all_dilations[axis] * ((kernel[index] or 1) - 1) + 1
        room = size - 1 if padding == "SAME" else size + sum(listed[2 * axis : 2 * axis + 2]) - reach
        totals.append(room // stride * stride + reach - size)
    if padding == "SAME":
        begins = [max(0, total // 2) for total in totals]
    ends = [total - begin for total, begin in zip(totals, begins, strict=True)]
    at.sets(pads=[*begins, *ends], output_shape=None)


CONVERTERS = {"Conv2DBackpropInput": _transposed, "Conv3DBackpropInputV2": _transposed}
