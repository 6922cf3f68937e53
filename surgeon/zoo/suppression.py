"""Suppression of overlapping boxes, class by class, and the cutting or padding of what is left."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.zoo.nodes import BOOL, INT32, NodeWriter, Ref, Type, location
from surgeon.zoo.options import Suppressing

Fields = dict[str, Ref]

# The order in which the exporters gathered the fields of a list of boxes; None is one that freezing dropped.
_CANDIDATE = ("boxes", "scores")
_SELECTED = ("boxes", "scores", None, "classes")
_CANDIDATE_2019 = (None, None, None, None, "all", "boxes")
_SELECTED_2019 = (None, "scores", None, None, "all", "classes", "boxes")


def suppress(g: NodeWriter, options: Suppressing, fields: Fields, window: Ref) -> tuple[Fields, Ref]:
    """Write the namespace MultiClassNonMaxSuppression.

    ``fields`` has boxes, [n, 1, 4], scores, [n, C], and as of 2019 ``all``, [n, C + 1]. Return the fields of
    the kept boxes, best first, and as of 2019 how many of them count.
    """
    with g.scope("MultiClassNonMaxSuppression"):
        if g.date == "2019":
            return _Suppression2019(g, options, window).write(fields)
        return _Suppression(g, options, window).write(fields), ""


def _gather(g: NodeWriter, fields: Fields, order: Sequence[str | None], indices: Ref) -> Fields:
    gathered = {}
    with g.scope("Gather"):
        for name in order:
            if name is None:
                g.reserve_gather()
            else:
                gathered[name] = g.gather(fields[name], indices)
    return gathered


def _concatenate(g: NodeWriter, parts: Sequence[Fields]) -> Fields:
    order = ("boxes", "scores", None, None, "all", "classes") if g.date == "2019" else _SELECTED
    joined = {}
    with g.scope("Concatenate"):
        for name in order:
            if name is None:
                g.reserve("concat")
            elif len(parts) > 1:
                joined[name] = g.concat([part[name] for part in parts], 0)
            else:
                full = g.unique("concat") + ("/concat" if g.date == "2019" else "")
                joined[name] = g.node("Identity", full, [parts[0][name]])
    return joined


def _sort(g: NodeWriter, fields: Fields, order: Sequence[str | None]) -> Fields:
    with g.scope("SortByField"):
        count = g.element(g.shape(fields["boxes"]), 0)
        size = g.emit("Size", fields["scores"], out_type=Type(INT32))
        equal = g.binary("Equal", count, size)
        check = g.assertion(equal, [b"Incorrect field size: actual vs expected.", size, count])
        best = g.emit("TopKV2", fields["scores"], count, f"^{check}", sorted=True)
        return _gather(g, fields, order, f"{best}:1")


def _indices_where(g: NodeWriter, condition: Ref) -> Ref:
    """Write the indices at which a vector is true, as int32."""
    where = g.emit("Where", condition)
    return g.cast(g.reshape(where, [-1]), INT32, "Cast")


def _area(g: NodeWriter, boxes: Ref) -> Ref:
    with g.scope("Area"):
        top, left, bottom, right = g.split4(boxes)
        return g.squeeze(g.mul(g.sub(bottom, top), g.sub(right, left)), 1)


def clip_to_window(
    g: NodeWriter,
    fields: Fields,
    order: Sequence[str | None],
    window: Ref,
    *control: Ref,
) -> Fields:
    """Write ClipToWindow below the open scope: clip the boxes and drop those without area."""
    top, left, bottom, right = g.split4(fields["boxes"])
    low_y, low_x, high_y, high_x = g.unpack(window, 4, 0, *control)

    def clipped(side: Ref, low: Ref, high: Ref) -> Ref:
        return g.emit("Maximum", g.emit("Minimum", side, high), low)

    top, bottom = clipped(top, low_y, high_y), clipped(bottom, low_y, high_y)
    left, right = clipped(left, low_x, high_x), clipped(right, low_x, high_x)
    boxes = g.concat([top, left, bottom, right], 1)
    real = _indices_where(g, g.binary("Greater", _area(g, boxes), 0.0))
    return _gather(g, {**fields, "boxes": boxes}, order, real)


def _in_window(g: NodeWriter, boxes: Ref, window: Ref) -> Ref:
    """Write ChangeCoordinateFrame: boxes relative to the window."""
    with g.scope("ChangeCoordinateFrame"):
        height = g.sub(g.element(window, 2), g.element(window, 0))
        width = g.sub(g.element(window, 3), g.element(window, 1))
        full_corner = [g.element(window, index) for index in (0, 1, 0, 1)]
        full = g.unique("sub")
        corner = g.node("Pack", f"{full}/y", full_corner, N=4, axis=0)
        moved = g.node("Sub", full, [boxes, corner])
        down, right = g.div(1.0, height), g.div(1.0, width)
        with g.scope("Scale"):
            top, left, bottom, end = g.split4(moved)
            rows = [g.mul(down, top), g.mul(down, bottom)]
            columns = [g.mul(right, left), g.mul(right, end)]
            return g.concat([rows[0], columns[0], rows[1], columns[1]], 1)


class _Suppression:
    """As of 2017 and 2018: filter, clip and suppress each class, then join and sort."""

    def __init__(self, g: NodeWriter, options: Suppressing, window: Ref) -> None:
        self.g, self.options, self.window = g, options, window
        self._entered: Ref | None = None

    def write(self, fields: Fields) -> Fields:
        g = self.g
        boxes_count = g.element(g.shape(fields["boxes"]), 0)
        scores_count = g.element(g.shape(fields["scores"]), 0)
        equal = g.binary("Equal", boxes_count, scores_count)
        claim = b"Incorrect scores field length: actual vs expected."
        check = g.assertion(equal, [claim, scores_count, boxes_count])
        boxes = g.unpack(fields["boxes"], self.options.box_sets, 1)
        parts = []
        for index in range(self.options.classes):
            with g.pinned(check):
                column = g.slice(fields["scores"], [0, index], g.pack([scores_count, 1]))
                scores = g.reshape(column, [-1])
            own = boxes[index % len(boxes)]
            parts.append(self._one_class(index, {"boxes": own, "scores": scores}))
        best = _sort(g, _concatenate(g, parts), _SELECTED)
        count = g.element(g.shape(best["boxes"]), 0)
        kept = g.binary("Minimum", self.options.max_detections, count)
        return _gather(g, best, _SELECTED, g.range(kept))

    def _one_class(self, index: int, fields: Fields) -> Fields:
        g, options = self.g, self.options
        with g.scope("FilterGreaterThan"):
            above = _indices_where(g, g.binary("Greater", fields["scores"], options.score_threshold))
            fields = _gather(g, fields, _CANDIDATE, above)
        with g.scope("ClipToWindow") as prefix:
            fields = clip_to_window(g, fields, _CANDIDATE, *self._window(prefix))
        if options.in_window:
            fields["boxes"] = _in_window(g, fields["boxes"], self._entered or self.window)
        count = g.element(g.shape(fields["boxes"]), 0)
        limit = g.binary("Minimum", options.max_per_class, count)
        with g.scope("non_max_suppression") as prefix:
            overlap = g.const(options.iou_threshold, f"{prefix}iou_threshold")
            kept = g.emit("NonMaxSuppressionV2", fields["boxes"], fields["scores"], limit, overlap)
        selected = _gather(g, fields, _CANDIDATE, kept)
        zeros = g.emit("ZerosLike", selected["scores"], name="zeros_like")
        return {**selected, "classes": g.add(zeros, float(index))}

    def _window(self, prefix: str) -> list[Ref]:
        """Return the window and, where it is a constant outside the loop, a control input for its use."""
        g = self.g
        if g.date != "2017":
            return [self.window]
        frame = prefix.partition("MultiClassNonMaxSuppression/ClipToWindow")[0]
        if self._entered is None:
            self._entered = g.node(
                "Enter",
                f"{prefix}unstack/Enter",
                [self.window],
                is_constant=True,
                frame_name=f"{frame}while_context",
                parallel_iterations=32,
            )
        return [self._entered, f"^{g.pin}"]


class _Suppression2019:
    """As of 2019: suppress each class, join, sort, clip, sort again, then change to window coordinates."""

    def __init__(self, g: NodeWriter, options: Suppressing, window: Ref) -> None:
        self.g, self.options, self.window = g, options, window

    def write(self, fields: Fields) -> tuple[Fields, Ref]:
        g = self.g
        count = g.element(g.shape(fields["scores"]), 0)
        boxes = g.unpack(fields["boxes"], self.options.box_sets, 1)
        g.reserve("Const")
        parts = []
        for index in range(self.options.classes):
            column = g.slice(fields["scores"], [0, index], g.pack([count, 1]))
            scores = g.reshape(column, [-1])
            own = {"boxes": boxes[index % len(boxes)], "scores": scores, "all": fields["all"]}
            parts.append(self._one_class(index, own))
        best = _sort(g, _concatenate(g, parts), _SELECTED_2019)
        with g.scope("ClipToWindow"):
            best = clip_to_window(g, best, _SELECTED_2019, self.window)
        best["scores"], valid = self._valid(best)
        best = _sort(g, best, _SELECTED_2019)
        if self.options.in_window:
            best["boxes"] = _in_window(g, best["boxes"], self.window)
        return self._kept(best, valid)

    def _one_class(self, index: int, fields: Fields) -> Fields:
        g, options = self.g, self.options
        total = g.element(g.shape(fields["boxes"]), 0)
        limit = g.binary("Minimum", options.max_per_class, total)
        with g.scope("non_max_suppression_with_scores") as prefix:
            overlap = g.const(options.iou_threshold, f"{prefix}iou_threshold")
            lowest = g.const(options.score_threshold, f"{prefix}score_threshold")
            sigma = g.const(0.0, f"{prefix}soft_nms_sigma")
            inputs = [fields["boxes"], fields["scores"], limit, overlap, lowest, sigma]
            kept = g.emit("NonMaxSuppressionV5", *inputs, pad_to_max_output_size=False)
        found = g.element(g.shape(kept), 0)
        indices = g.concat([kept, self._filled("zeros", g.sub(limit, found), 0)], 0)
        scores = g.concat([f"{kept}:1", self._filled("zeros", g.sub(limit, found), 0.0)], -1)
        selected = _gather(g, fields, _CANDIDATE_2019, indices)
        g.reserve("add")
        valid = g.emit("Less", g.range(limit), found)
        without = g.mul(-1.0, self._filled("ones", limit, 1.0))
        selected["scores"] = g.emit("Select", valid, scores, without)
        zeros = g.emit("ZerosLike", selected["scores"], name="zeros_like")
        return {**selected, "classes": g.add(zeros, float(index))}

    def _filled(self, name: str, count: Ref, value: float | int) -> Ref:
        full = self.g.unique(name)
        sizes = self.g.const([-1], f"{full}/Reshape/shape")
        return self.g.fill(self.g.node("Reshape", f"{full}/Reshape", [count, sizes]), value, full)

    def _valid(self, fields: Fields) -> tuple[Ref, Ref]:
        """Write scores that are -1 where a box has no area, and the number of those that are not."""
        g = self.g
        count = g.element(g.shape(fields["boxes"]), 0)
        real = g.cast(_area(g, fields["boxes"]), BOOL)
        without = g.mul(-1.0, self._filled("ones", count, 1.0))
        scores = g.emit("Select", real, fields["scores"], without)
        positive = g.cast(g.binary("GreaterEqual", scores, 0.0), INT32)
        axes = g.const([0], g.unique("Const"))
        return scores, g.emit("Sum", positive, axes, keep_dims=False)

    def _kept(self, fields: Fields, valid: Ref) -> tuple[Fields, Ref]:
        g = self.g
        count = g.element(g.shape(fields["boxes"]), 0)
        limit = g.binary("Minimum", self.options.max_detections, count)
        first = _gather(g, fields, _SELECTED_2019, g.range(limit))
        number = g.emit("Select", g.emit("Greater", limit, valid), valid, limit)
        return _gather(g, first, _SELECTED_2019, g.range(number)), number


def clip_or_pad(g: NodeWriter, options: Suppressing, fields: Fields) -> Fields:
    """Write the namespace PadOrClipBoxList: every field gets exactly ``max_detections`` rows."""
    with g.scope("PadOrClipBoxList"):
        if g.date == "2019":
            return _pad_2019(g, options, fields)
        padded = {}
        for name in _SELECTED:
            if name is None:
                g.reserve("Shape", "strided_slice", "Greater", "cond")
            else:
                padded[name] = _pad(g, fields[name], 2 if name == "boxes" else 1, options.max_detections)
        return padded


def _pad(g: NodeWriter, source: Ref, rank: int, rows: int) -> Ref:
    count = g.element(g.shape(source), 0)
    many = g.binary("Greater", count, rows)
    with g.scope("cond"):
        then, otherwise, predicate = _branches(g, many)
        with g.pinned(then):
            clipped = _clipped(g, source, predicate, rows)
        with g.pinned(otherwise):
            padded = _padded(g, source, predicate, (rank, rows))
        return g.emit("Merge", padded, clipped, N=2)


def _branches(g: NodeWriter, condition: Ref) -> tuple[Ref, Ref, Ref]:
    switch = g.emit("Switch", condition, condition)
    then = g.emit("Identity", f"{switch}:1", name="switch_t")
    otherwise = g.emit("Identity", switch, name="switch_f")
    return then, otherwise, g.emit("Identity", condition, name="pred_id")


def _switched(g: NodeWriter, full: str, source: Ref, predicate: Ref) -> Ref:
    return g.node("Switch", f"{full}/Switch", [source, predicate], _class=location(source))


def _clipped(g: NodeWriter, source: Ref, predicate: Ref, rows: int) -> Ref:
    indices = g.range(rows)
    if g.date == "2017":
        full = g.unique("Gather")
        switch = _switched(g, full, source, predicate)
        return g.node("Gather", full, [f"{switch}:1", indices], validate_indices=True)
    full = g.unique("GatherV2")
    switch = _switched(g, full, source, predicate)
    return g.node("GatherV2", full, [f"{switch}:1", indices, g.const(0, f"{full}/axis")])


def _padded(g: NodeWriter, source: Ref, predicate: Ref, form: tuple[int, int]) -> Ref:
    rank, rows = form
    dimensions = g.const(rank, g.unique("Rank"))
    full = g.unique("Shape")
    switch = _switched(g, full, source, predicate)
    shape = g.node("Shape", full, [switch], out_type=Type(INT32))
    count = g.element(shape, 0)
    missing = g.expand_dims(g.sub(rows, count), 0)
    matrix = g.binary("Greater", dimensions, 1)
    with g.scope("cond"):
        then, otherwise, inner = _branches(g, matrix)
        with g.pinned(then):
            full = g.unique("strided_slice")
            rest = g.strided(f"{_switched(g, full, shape, inner)}:1", 1, 0, full=full)
            full = g.unique("concat")
            lead = f"{_switched(g, full, missing, inner)}:1"
            several = g.node("ConcatV2", full, [lead, rest, g.const(0, f"{full}/axis")], N=2)
        with g.pinned(otherwise):
            full = g.unique("sub")
            limit = g.const(rows, f"{full}/x")
            one = g.node("Sub", full, [limit, _switched(g, full, count, inner)])
            single = g.expand_dims(one, 0)
        size = g.emit("Merge", single, several, N=2)
    zeros = g.fill(size, 0.0, g.unique("zeros"))
    return g.concat([switch, zeros], 0)


def _pad_2019(g: NodeWriter, options: Suppressing, fields: Fields) -> Fields:
    rows = options.max_detections
    shapes = {"boxes": [rows, 4], "scores": [rows], "all": [rows, options.classes + 1], "classes": [rows]}
    padded: Fields = {}
    for name in ("boxes", "scores", None, None, "all", "classes"):
        if name is None:
            # Both dropped fields had two axes: what each axis and each field takes from the numbering.
            g.reserve(*["Shape", "zeros"] * 2, *["strided_slice", "sub"] * 4, *["Greater", "Select"] * 2)
            g.reserve("Slice", "stack", "Pad")
        else:
            padded[name] = _pad_to(g, fields[name], shapes[name])
    return padded


def _pad_to(g: NodeWriter, source: Ref, shape: list[int]) -> Ref:
    """Write clipping and padding with zeros to a shape."""
    before = g.shape(source)
    sizes = []
    for axis, size in enumerate(shape):
        surplus = g.sub(g.element(before, axis), size)
        larger = g.binary("Greater", surplus, 0)
        full = g.unique("Select")
        choices = [g.const(size, f"{full}/t"), g.const(-1, f"{full}/e")]
        sizes.append(g.node("Select", full, [larger, *choices]))
    begin = _zeros(g, len(shape))
    full = g.unique("Slice")
    size_vector = g.node("Pack", f"{full}/size", sizes, N=len(sizes), axis=0)
    clipped = g.node("Slice", full, [source, begin, size_vector])
    after = g.shape(clipped)
    missing = [g.sub(size, g.element(after, axis)) for axis, size in enumerate(shape)]
    leading = _zeros(g, len(shape))
    full = g.unique("stack")
    trailing = g.node("Pack", f"{full}/values_1", missing, N=len(missing), axis=0)
    paddings = g.node("Pack", full, [leading, trailing], N=2, axis=1)
    return g.emit("Pad", clipped, paddings)


def _zeros(g: NodeWriter, count: int) -> Ref:
    full = g.unique("zeros")
    return g.fill(g.const([count], f"{full}/shape_as_tensor"), 0, full)
