"""The window to which boxes are clipped, and slices that take a whole picture, read off small graphs."""

from __future__ import annotations

import pytest

from surgeon.families.parts.preprocessing import pixels_behind
from surgeon.families.parts.suppression import clip_window
from surgeon.graph import Ref, parse_graph
from surgeon.infer import infer

WINDOW = """
graph v1
boxes = Placeholder() {dtype: float32, shape: shape[9,4]}
size = Placeholder() {dtype: float32, shape: shape[2]}
zero = Const() {dtype: float32, value: tensor<float32[1]: 0.0>}
low = Const() {dtype: float32, value: tensor<float32[1]: 0.25>}
high = Const() {dtype: float32, value: tensor<float32[1]: 0.75>}
right = Const() {dtype: float32, value: tensor<float32[1]: 0.875>}
axis = Const() {dtype: int32, value: tensor<int32[]: 1>}
p0 = Const() {dtype: int32, value: tensor<int32[1]: 0>}
p1 = Const() {dtype: int32, value: tensor<int32[1]: 1>}
p2 = Const() {dtype: int32, value: tensor<int32[1]: 2>}
p3 = Const() {dtype: int32, value: tensor<int32[1]: 3>}
p4 = Const() {dtype: int32, value: tensor<int32[1]: 4>}
h = Slice(size, p0, p1) {T: float32, Index: int32}
w = Slice(size, p1, p1) {T: float32, Index: int32}
windows = Pack(SIDES) {N: 4, T: float32, axis: 1}
window = Unpack(windows) {num: 1, T: float32, axis: 0}
ymin = StridedSlice(window, p0, p1, p1) {T: float32, Index: int32, shrink_axis_mask: 1}
xmin = StridedSlice(window, p1, p2, p1) {T: float32, Index: int32, shrink_axis_mask: 1}
ymax = StridedSlice(window, p2, p3, p1) {T: float32, Index: int32, shrink_axis_mask: 1}
xmax = StridedSlice(window, p3, p4, p1) {T: float32, Index: int32, shrink_axis_mask: 1}
parts = Split(axis, boxes) {num_split: 4, T: float32}
top0 = Minimum(parts:0, ymax) {T: float32}
top = Maximum(top0, ymin) {T: float32}
left0 = Minimum(parts:1, xmax) {T: float32}
left = Maximum(left0, xmin) {T: float32}
bottom0 = Minimum(parts:2, ymax) {T: float32}
bottom = Maximum(bottom0, ymin) {T: float32}
end0 = Minimum(parts:3, xmax) {T: float32}
end = Maximum(end0, xmin) {T: float32}
clipped = ConcatV2(top, left, bottom, end, axis) {N: 4, T: float32, Tidx: int32}
"""


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ("zero, zero, h, w", (0.0, 0.0, None, None)),
        ("zero, low, high, right", (0.0, 0.25, 0.75, 0.875)),
        ("low, zero, right, w", (0.25, 0.0, 0.875, None)),
    ],
)
def test_each_side_of_a_window_is_the_element_that_is_taken(
    sides: str, expected: tuple[float | None, ...]
) -> None:
    graph = parse_graph(WINDOW.replace("SIDES", sides))
    assert clip_window(graph, infer(graph), graph["clipped"]) == expected


PIXELS = """
graph v1
picture = Placeholder() {dtype: uint8, shape: shape[BATCH,8,8,3]}
float = Cast(picture) {SrcT: uint8, DstT: float32}
begin = Const() {dtype: int32, value: tensor<int32[1]: BEGIN>}
end = Const() {dtype: int32, value: tensor<int32[1]: 1>}
step = Const() {dtype: int32, value: tensor<int32[1]: 1>}
first = StridedSlice(float, begin, end, step) {T: float32, Index: int32, MASK: 1}
"""


@pytest.mark.parametrize(
    ("batch", "begin", "mask", "taken"),
    [
        ("1", "0", "shrink_axis_mask", True),
        ("1", "-1", "shrink_axis_mask", True),
        ("2", "0", "shrink_axis_mask", False),
        ("?", "0", "shrink_axis_mask", False),
        ("1", "0", "new_axis_mask", True),
        ("1", "0", "end_mask", False),
    ],
)
def test_a_slice_that_takes_the_whole_picture_changes_no_pixel(
    batch: str, begin: str, mask: str, taken: bool
) -> None:
    graph = parse_graph(PIXELS.replace("BATCH", batch).replace("BEGIN", begin).replace("MASK", mask))
    found = pixels_behind(graph, infer(graph), Ref("first"))
    assert (found.problem == "") is taken
