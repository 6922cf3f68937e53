"""Each lint on a graph that causes the error, and on a near miss on which every lint is silent."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from detector_graphs import load

from surgeon.catalog import Catalog
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, code_page
from surgeon.discovery import by_key
from surgeon.graph import Ref, parse_graph
from surgeon.graph.input_counts import INPUT_COUNTS
from surgeon.infer import Inference
from surgeon.language import Image
from surgeon.lints import all_lints, find_problems
from surgeon.lints.lint import lints_in

X = "x = Placeholder() {dtype: float32, shape: shape[1,8,8,2]}\n"
W = "w = Const() {dtype: float32, value: tensor<float32[3,3,2,4]: 0.5>}\n"
CONV = '{T: float32, data_format: "NHWC", dilations: [1, 1, 1, 1], padding: "SAME", strides: [1, 1, 1, 1]}'
SUMS = "".join(f"{n} = Const() {{dtype: float32, value: tensor<float32[2]: 1.0>}}\n" for n in "gbmv")


def ints(name: str, *values: int, shape: str | None = None) -> str:
    size = str(len(values)) if shape is None else shape
    return f"{name} = Const() {{dtype: int32, value: tensor<int32[{size}]: {', '.join(map(str, values))}>}}\n"


def floats(name: str, shape: str) -> str:
    return f"{name} = Const() {{dtype: float32, value: tensor<float32[{shape}]: 1.5>}}\n"


def reshaped(*target: int) -> str:
    return "outputs: y\n" + X + ints("t", *target) + "y = Reshape(x, t) {T: float32, Tshape: int32}\n"


def arithmetic(op: str, constant: str, shape: str = "1,8,8,2") -> str:
    return (
        f"outputs: y\nx = Placeholder() {{dtype: float32, shape: shape[{shape}]}}\n"
        + floats("c", constant)
        + f"y = {op}(x, c) {{T: float32}}\n"
    )


def pooled(keep: str, then: str) -> str:
    head = "outputs: y\n" + X + ints("axes", 1, 2) + ints("k", 1, shape="") + floats("m", "2,3")
    return head + f"p = Mean(x, axes) {{T: float32, Tidx: int32, keep_dims: {keep}}}\n{then}\n"


def sliced(begin: Sequence[int], end: Sequence[int], masks: str) -> str:
    ones = ints("s", *[1] * len(begin))
    return (
        "outputs: y\n"
        + X
        + ints("b", *begin)
        + ints("e", *end)
        + ones
        + f"y = StridedSlice(x, b, e, s) {{T: float32, Index: int32{masks}}}\n"
    )


def padded(amounts: Sequence[int], shape: str = "1,8,8,2") -> str:
    x = f"x = Placeholder() {{dtype: float32, shape: shape[{shape}]}}\n"
    return (
        "outputs: y\n"
        + x
        + ints("p", *amounts, shape=f"{len(amounts) // 2},2")
        + "y = Pad(x, p) {T: float32, Tpaddings: int32}\n"
    )


def anchors(*maps: int) -> str:
    return (
        f"outputs: G\nG = GridAnchorRect_TRT() {{numLayers: {len(maps) // 2}, minSize: 0.2, maxSize: 0.95, aspectRatios: [1.0, 2.0, 0.5], "
        f"featureMapShapes: {list(maps)}, variance: [0.1, 0.1, 0.2, 0.2]}}\n"
    )


def proposals(fields: str, count: int) -> str:
    inputs = f"s = Placeholder() {{dtype: float32, shape: shape[1,{count},2,1]}}\nd = Placeholder() {{dtype: float32, shape: shape[1,{count},4,1]}}\n"
    return (
        "outputs: P\n"
        + inputs
        + f"P = ProposalLayer_TRT(s, d) {{prenms_topk: 10, keep_topk: 5, iou_threshold: 0.7{fields}}}\n"
    )


def stages(regions: str) -> str:
    """Return a network that cuts regions out of its input: those of a suppression, or constants."""
    return (
        "outputs: crop, det\n"
        "x = Placeholder() {dtype: float32, shape: shape[1,2,8,8]}\n"
        "loc = Placeholder() {dtype: float32, shape: shape[1,4,4]}\n"
        "logits = Placeholder() {dtype: float32, shape: shape[1,4,1]}\n"
        "conf = Sigmoid(logits) {T: float32}\n"
        "det = SurgeonDetectionDynamic(loc, conf) {classes: 1, background: -1, shareLocation: 1, coding: 0, "
        "scoreConverter: 0, scoreScale: 1.0, scoreThreshold: 0.0, scoreAtLeast: 0, iouThreshold: 0.5, "
        "softSigma: 0.0, classAgnostic: 0, maxPerClass: 4, maxTotal: 4, clip: 0, dropEmpty: 0}\n"
        + floats("fixed", "1,4,4,1")
        + f"crop = CropAndResizeDynamic(x, {regions}) {{crop_height: 2, crop_width: 2}}\n"
    )


def aligned(fields: str, boxes: str = "P") -> str:
    given = "R = Placeholder() {dtype: float32, shape: shape[1,5,4]}\n" + "".join(
        f"f{k} = Placeholder() {{dtype: float32, shape: shape[1,8,8,8]}}\n" for k in range(4)
    )
    head = proposals(", image_size: [3, 256, 256]", 16368).replace("outputs: P", "outputs: A")
    return head + given + f"A = PyramidROIAlign_TRT({boxes}, f0, f1, f2, f3) {{pooled_size: 7{fields}}}\n"


NEW = ", legacy: 0, roi_coords_absolute: 1, roi_coords_swap: 0"
OLD = ", legacy: 1, roi_coords_absolute: 1, roi_coords_swap: 0"
RELATIVE = ", legacy: 0, roi_coords_absolute: 0, roi_coords_swap: 1"
LARGE = sum(3 * (256 // stride) ** 2 for stride in (4, 8, 16, 32, 64))


@dataclass(frozen=True)
class Case:
    """A graph and what is said of it; ``near`` differs in what matters alone, and nothing is said of that."""

    culprit: str
    says: str
    near: str
    severity: Severity = Severity.ERROR
    target: str = "uff@tensorrt-8.5"
    near_target: str = ""
    image: tuple[int, int] | None = None
    near_image: tuple[int, int] | None = None


def cases(detector: Callable[..., str]) -> dict[str, Case]:
    warning = Severity.WARNING
    sigmoid = "\n".join(f"S{layer} = Sigmoid(C{layer}) {{T: float32}}" for layer in range(3))
    product = "\n".join(
        f"A{layer} = Sigmoid(C{layer}) {{T: float32}}\nS{layer} = Mul(A{layer}, A{layer}) {{T: float32}}"
        for layer in range(3)
    )
    return {
        "L101 channels": Case(
            f"outputs: y\n{X.replace('8,2', '8,3')}{W}y = Conv2D(x, w) {CONV}\n",
            "3 channels",
            f"outputs: y\n{X}{W}y = Conv2D(x, w) {CONV}\n",
        ),
        "L101 rank": Case(
            "outputs: y\n"
            + X.replace("8,8,2", "2")
            + SUMS
            + "y = FusedBatchNormV3(x, g, b, m, v) {T: float32, U: float32, is_training: false}\n",
            "expected 4 axes",
            "outputs: y\n"
            + X
            + SUMS
            + "y = FusedBatchNormV3(x, g, b, m, v) {T: float32, U: float32, is_training: false}\n",
        ),
        "L101 broadcast": Case(arithmetic("Mul", "3"), "do not broadcast", arithmetic("Mul", "2")),
        "L101 reshape": Case(reshaped(1, 5, -1), "same number of elements", reshaped(1, 4, -1)),
        "L102 reshape": Case(reshaped(-1, 4), "gives [32,4]", reshaped(1, -1, 4)),
        "L102 unknown batch": Case(
            reshaped(-1, 4).replace("1,8,8,2", "?,8,8,2"),
            "expected the batch, 1",
            reshaped(-1, 128).replace("1,8,8,2", "?,8,8,2"),
        ),
        "L102 concat": Case(
            "outputs: y\n"
            + X
            + ints("k", 0, shape="")
            + "y = ConcatV2(x, x, k) {N: 2, T: float32, Tidx: int32}\n",
            "gives [2,8,8,2]",
            "outputs: y\n"
            + X
            + ints("k", 1, shape="")
            + "y = ConcatV2(x, x, k) {N: 2, T: float32, Tidx: int32}\n",
        ),
        "L104": Case(
            "outputs: p, y" + pooled("false", "y = ConcatV2(p, p, k) {N: 2, T: float32, Tidx: int32}")[10:],
            "keeps reduced axes as 1",
            pooled("true", "y = ConcatV2(p, p, k) {N: 2, T: float32, Tidx: int32}"),
            warning,
        ),
        "L104 product": Case(
            "outputs: p, y" + pooled("false", "y = ExpandDims(p, k) {T: float32, Tdim: int32}")[10:],
            "'y' (ExpandDims)",
            pooled("false", "y = MatMul(p, m) {T: float32}"),
            warning,
        ),
        "L105": Case(
            "outputs: y\n"
            + X.replace("1,8,8,2", "1,3,3,2")
            + ints("t", 3, 3, 2, 1)
            + "f = Reshape(x, t) {T: float32, Tshape: int32}\n"
            f"r = Relu(x) {{T: float32}}\ny = Conv2D(r, f) {CONV}\n",
            "the filter of 'y' (Conv2D)",
            "outputs: y\n"
            + X
            + W
            + floats("c", "")
            + f"f = Mul(w, c) {{T: float32}}\ny = Conv2D(x, f) {CONV}\n",
        ),
        "L106": Case(
            "outputs: y\n"
            + X.replace("1,8,8,2", "8,8,8,2")
            + "z = Placeholder() {dtype: float32, shape: shape[8,2]}\ny = Mul(x, z) {T: float32}\n",
            "[8,8,8,2] and [8,2]",
            "outputs: y\n"
            + X
            + "z = Placeholder() {dtype: float32, shape: shape[1,1,1,2]}\ny = Mul(x, z) {T: float32}\n",
            warning,
        ),
        "L107": Case(
            arithmetic("Maximum", "1,8,8,2", "1,1,1,2"),
            "the constant 'c'",
            "outputs: y\n" + X + "r = Relu(x) {T: float32}\ny = Maximum(x, r) {T: float32}\n",
        ),
        "L108 row": Case(
            arithmetic("Mul", "8,1", "2,8,8,2"), "nbWeights: 8", arithmetic("Mul", "2"), warning
        ),
        "L108 upsampling": Case(
            arithmetic("Mul", "1,1,2,1,2,1", "1,4,1,4,1,2"),
            "ResizeNearest_TRT",
            arithmetic("Mul", "4,1,4,1,2", "1,4,1,4,1,2"),
            warning,
        ),
        "L108 number": Case(
            arithmetic("Add", "1,8,1,1", "2,8,8,2"), "nbWeights: 8", arithmetic("Add", ""), warning
        ),
        "L110": Case(
            "outputs: y\n" + X + "r = Relu(x) {T: float32}\ny = Identity(r) {T: float32}\n",
            "declare 'r'",
            "outputs: r\n" + X + "r = Relu(x) {T: float32}\ny = Identity(r) {T: float32}\n",
            target="uff@tensorrt-5.0",
        ),
        "L110 later": Case(
            "outputs: y\n" + X + "r = Relu(x) {T: float32}\ny = Identity(r) {T: float32}\n",
            "TensorRT 5.1",
            "outputs: y\n" + X + "r = Relu(x) {T: float32}\ny = Identity(r) {T: float32}\n",
            target="uff@tensorrt-5.1",
            near_target="uff@tensorrt-6.0",
        ),
        "L111": Case(
            "outputs: y\n" + X.replace("8,8,2", "8,6,3") + "y = Relu(x) {T: float32}\n",
            "6 x 8 in RGB, and the input 'x' is [1,8,6,3]",
            "outputs: y\n" + X.replace("8,8,2", "8,6,3") + "y = Relu(x) {T: float32}\n",
            image=(6, 8),
            near_image=(8, 6),
        ),
        "L112": Case(anchors(4, 4, 2, 3), "2 x 3", anchors(4, 4, 3, 3), target="uff@tensorrt-8.4"),
        "L112 later": Case(
            anchors(4, 4, 2, 3),
            "TensorRT 8.4",
            anchors(4, 4, 2, 3),
            target="uff@tensorrt-8.4",
            near_target="uff@tensorrt-8.5",
        ),
        "L113": Case(detector(nms="topK: 33"), "above the number of anchors, 32", detector(nms="topK: 32")),
        "L113 any order": Case(
            detector(nms="topK: 4096; inputOrder: [1, 0, 2]").replace(
                "NMS_TRT(loc, conf", "NMS_TRT(conf, loc"
            ),
            "anchors, 32",
            detector(nms="inputOrder: [1, 0, 2]").replace("NMS_TRT(loc, conf", "NMS_TRT(conf, loc"),
        ),
        "L114 ignoreBatch": Case(
            detector().replace("ignoreBatch: 0", "ignoreBatch: 1", 1),
            "the first picture",
            detector(),
            warning,
        ),
        "L114 fixed": Case(
            detector().replace("ignoreBatch: 0", "ignoreBatch: 1", 1),
            "ignoreBatch: 0",
            detector(batch="1").replace("ignoreBatch: 0", "ignoreBatch: 1", 1),
            warning,
        ),
        "L114 anchors": Case(
            detector(nms="isBatchAgnostic: 0"),
            "reads past their end",
            detector(nms="isBatchAgnostic: 0", batch="1"),
            warning,
        ),
        "L115 twice": Case(
            detector(before=sigmoid, scores="S0, S1, S2"),
            "activated twice",
            detector(before=sigmoid, scores="S0, S1, S2", nms="confSigmoid: 0"),
        ),
        "L115 never": Case(detector(nms="confSigmoid: 0"), "is not an activation", detector(), warning),
        "L115 product": Case(
            detector(before=product, scores="S0, S1, S2"),
            "activated twice",
            detector(before=product, scores="S0, S1, S2", nms="confSigmoid: 0"),
        ),
        "L116": Case(
            detector(maps="2, 1, 2"),
            "layer 1 of 'G' (GridAnchor_TRT) has 4 anchors, and 'loc' 16 boxes there",
            detector(),
        ),
        "L117": Case(
            proposals(", image_size: [3, 1024, 1024]", LARGE),
            f"scores {LARGE}",
            proposals(", image_size: [3, 256, 256]", LARGE),
        ),
        "L117 compiled": Case(
            proposals("", LARGE),
            "no field for the picture's size",
            proposals("", 16 * LARGE),
            target="uff@tensorrt-7.1",
        ),
        "L118": Case(aligned(NEW), "are relative, with y first", aligned(RELATIVE), warning),
        "L118 legacy": Case(aligned(NEW, "R"), "absolute boxes with x first", aligned(OLD, "R"), warning),
        "L118 former": Case(aligned(NEW), "legacy: 1", aligned(NEW), warning, near_target="uff@tensorrt-8.2"),
        "L119": Case(
            "outputs: y\n" + X + "y = Pack(x, x) {N: 2, T: float32, axis: 0}\n",
            "stacks 'x'",
            "outputs: y\n"
            + X
            + "s = Shape(x) {T: float32, out_type: int32}\n"
            + ints("b", 0)
            + ints("e", 1)
            + ints("n", -1, shape="")
            + "c = StridedSlice(s, b, e, e) {T: int32, Index: int32, shrink_axis_mask: 1}\nt = Pack(c, n) {N: 2, T: int32, axis: 0}\n"
            "y = Reshape(x, t) {T: float32, Tshape: int32}\n",
        ),
        "L120 shrink": Case(
            sliced((0, 0, 0, 0), (1, 8, 8, 2), ", shrink_axis_mask: 1"),
            "takes an axis out",
            sliced((0, 0, 0, 0), (1, 1, 8, 2), ""),
        ),
        "L120 some": Case(
            sliced((0, 1), (1, 5), "").replace("1,8,8,2", "2,8,8,2"),
            "2 of 4 axes",
            sliced((0, 1, 0, 0), (1, 5, 8, 2), ""),
        ),
        "L121": Case(
            "outputs: y\n"
            + X.replace("1,8,8,2", "1,4096,4096")
            + floats("c", "1,4096")
            + floats("d", "4096,1")
            + "e = Add(c, d) {T: float32}\ny = Add(x, e) {T: float32}\n",
            "of [1,4096] and [4096,1]",
            "outputs: y\n"
            + X
            + floats("c", "")
            + floats("d", "2")
            + "e = Add(c, d) {T: float32}\ny = Add(x, e) {T: float32}\n",
        ),
        "L122 rank": Case(
            padded((1, 1, 0, 0, 0, 0), "1,8,2"), "pads [1,8,2]", padded((0, 0, 1, 1, 1, 1, 0, 0))
        ),
        "L123": Case(
            stages("det"), "'crop' (CropAndResizeDynamic) cuts out regions that 'det' finds", stages("fixed")
        ),
        "L122 three": Case(padded((1, 0, 1, 1, 1, 1, 0, 0)), "pads 3 axes", padded((0, 0, 0, 0, 0, 0, 2, 2))),
    }


NAMES = tuple(cases(lambda **options: ""))


def image(size: tuple[int, int] | None) -> Image | None:
    return None if size is None else Image(size=size)


@pytest.mark.parametrize("op", sorted(INPUT_COUNTS))
def test_a_lint_bears_nodes_that_lack_inputs(op: str, lint: Callable[..., Sequence[Diagnostic]]) -> None:
    for target in ("uff@tensorrt-8.5", "onnx@tensorrt-8.5"):
        for inputs in ("", "x", "x, x"):
            lint(f"outputs: s\n{X}n = {op}({inputs}) {{T: float32}}\ns = Pack(n) {{T: float32}}\n", target)


@pytest.mark.parametrize("name", NAMES)
def test_a_lint_finds_the_graph_that_causes_the_error(
    name: str, lint: Callable[..., Sequence[Diagnostic]], detector: Callable[..., str]
) -> None:
    case = cases(detector)[name]
    found = [d for d in lint(case.culprit, case.target, image(case.image)) if d.code == name.split()[0]]
    assert found and case.says in "\n".join(d.render() for d in found)
    assert {d.severity for d in found} == {case.severity}
    assert all(d.help for d in found)


@pytest.mark.parametrize("name", NAMES)
def test_every_lint_is_silent_on_the_near_miss(
    name: str, lint: Callable[..., Sequence[Diagnostic]], detector: Callable[..., str]
) -> None:
    case = cases(detector)[name]
    found = lint(case.near, case.near_target or case.target, image(case.near_image))
    assert [d.render() for d in found] == []


def test_every_lint_has_a_case_and_a_page(detector: Callable[..., str]) -> None:
    assert {name.split()[0] for name in NAMES} == set(all_lints())
    for code, found in all_lints().items():
        assert code_page(code) is not None and found.title
        assert found.owner.startswith("surgeon.lints.")


OWN = '''"""Names that are too long for us."""
CODE = "{code}"
TARGETS = ("graphdef",)

def check(context):
    from surgeon.diagnostics import Diagnostic
    yield from (Diagnostic(CODE, "is long", node.name) for node in context.nodes if len(node.name) > 9)
'''


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Give a function that installs a package with a lint of this code, found by its entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(code: str) -> None:
        name = f"lints_of_{code.lower()}"
        (tmp_path / f"{name}.py").write_text(OWN.format(code=code))
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[surgeon.lints]\n{name} = {name}\n")
        all_lints.cache_clear()

    yield install
    all_lints.cache_clear()


def test_lints_of_other_packages_are_found(
    other_package: Callable[[str], None], lint: Callable[..., Sequence[Diagnostic]]
) -> None:
    text = "outputs: a_long_name\n" + X + "a_long_name = Relu(x) {T: float32}\n"
    assert not lint(text, "graphdef")
    other_package("Z900")
    assert [(d.code, d.where) for d in lint(text, "graphdef")] == [("Z900", "a_long_name")]
    assert all_lints()["Z900"].title == "Names that are too long for us."


def test_a_code_of_two_lints_is_an_error_that_names_both(other_package: Callable[[str], None]) -> None:
    other_package("L101")
    with pytest.raises(SurgeonError, match=r"E112.*'L101', of 'surgeon\.lints\.\w+' and 'lints_of_l101'"):
        all_lints()


@pytest.mark.parametrize("date", ["2017", "2018", "2019"])
@pytest.mark.parametrize("target", ["uff@tensorrt-8.5", "uff@tensorrt-5.0", "graphdef"])
def test_generated_detectors_are_clean(
    date: str, target: str, zoo_ssd: Callable[..., Path], catalog: Catalog
) -> None:
    import surgeon
    from surgeon.targets import load_target

    made = surgeon.plan("ssd", load(zoo_ssd(date=date)), target=target)
    assert made.result is not None
    assert find_problems(made.result, load_target(target), catalog, made.image) == ()


NATIVE = (
    "classes: 3, background: 0, shareLocation: 1, coding: 1, scoreConverter: {}, scoreScale: 1.0, "
    "scoreThreshold: 0.5, scoreAtLeast: 0, iouThreshold: 0.5, softSigma: 0.0, classAgnostic: 0, maxPerClass: 20, "
    "maxTotal: 20, clip: 1, dropEmpty: 1"
)
EFFICIENT = (
    "score_threshold: 0.5, iou_threshold: 0.5, max_output_boxes: 20, background_class: 0, score_activation: {}, "
    "class_agnostic: 0, box_coding: 0"
)


@pytest.mark.parametrize(
    ("node", "field", "target"),
    [
        (f"NMS = SurgeonDetection(loc, conf, prior) {{{NATIVE}}}", "scoreConverter", "uff@tensorrt-8.5"),
        (
            f"NMS = SurgeonDetectionDynamic(loc, conf, prior) {{{NATIVE}}}",
            "scoreConverter",
            "onnx@tensorrt-8.5",
        ),
        (f"NMS = EfficientNMS_TRT(loc, conf) {{{EFFICIENT}}}", "score_activation", "onnx@tensorrt-8.5"),
    ],
)
def test_every_plugin_that_converts_scores_is_looked_at(
    detector: Callable[..., str],
    lint: Callable[..., Sequence[Diagnostic]],
    node: str,
    field: str,
    target: str,
) -> None:
    """L115 goes by the plugin's own field."""
    active = "".join(f"S{n} = Sigmoid(C{n}) {{T: float32}}\n" for n in range(3)).rstrip()

    def found(value: int, **options: str) -> list[str]:
        head, _, _ = detector(**options).rpartition("NMS = ")
        filled = node.replace("{}", str(value))
        return [each.message for each in lint(head + filled + "\n", target) if each.code == "L115"]

    (twice,) = found(1, before=active, scores="S0, S1, S2")
    assert f"{field} 1" in twice and "activated twice" in twice
    (never,) = found(0)
    assert f"{field} 0" in never and "is not an activation" in never
    assert found(1) == [] and found(0, before=active, scores="S0, S1, S2") == []


def test_errors_come_first_and_many_findings_are_counted(lint: Callable[..., Sequence[Diagnostic]]) -> None:
    lines = [
        "outputs: " + ", ".join(f"y{i}" for i in range(14)) + ", z",
        X.replace("1,8,8,2", "1,1,1,2").strip(),
        floats("c", "1,8,8,2").strip(),
        floats("row", "8,1").strip(),
    ]
    lines += ["z = Mul(x, row) {T: float32}", *(f"y{i} = Maximum(x, c) {{T: float32}}" for i in range(14))]
    found = lint("\n".join(lines) + "\n")
    assert [d.code for d in found] == ["L107"] * 10 + ["L108"]
    assert found[9].notes[-1] == "and 4 more of L107"


def test_what_the_outputs_do_not_need_is_not_looked_at(lint: Callable[..., Sequence[Diagnostic]]) -> None:
    assert lint("outputs: x\n" + X + floats("c", "") + "y = Maximum(x, c) {T: float32}\n") == ()


def test_two_lints_of_one_code_are_named() -> None:
    one, two = types.ModuleType("one"), types.ModuleType("two")
    for module in (one, two):
        module.CODE, module.TARGETS, module.check = "L101", ("uff",), lambda at: ()  # type: ignore[attr-defined]
    members = [(*lint, module.__name__) for module in (one, two) for lint in lints_in(module)]
    with pytest.raises(SurgeonError, match=r"E112.* 'L101', of 'one' and 'two'"):
        by_key("lints of the code", members)
    assert [code for code, _ in lints_in(one)] == ["L101"] and not list(lints_in(types.ModuleType("none")))


def test_a_long_chain_needs_no_recursion(lint: Callable[..., Sequence[Diagnostic]]) -> None:
    lines = [
        "outputs: r4999",
        X.strip(),
        *(f"r{i} = Relu({f'r{i - 1}' if i else 'x'}) {{T: float32}}" for i in range(5_000)),
    ]
    assert lint("\n".join(lines) + "\n") == ()


def test_what_is_known_of_the_graph_is_taken_for_that_graph_alone(catalog: Catalog) -> None:
    from surgeon.targets import load_target

    right, wrong = (parse_graph("graph v1\n" + reshaped(1, size, -1)) for size in (4, 5))
    target = load_target("uff@tensorrt-8.5")
    for stated in (right, wrong):
        inference = Inference(stated, rules=catalog.rules())
        assert find_problems(right, target, catalog, None, inference) == ()
        assert [d.code for d in find_problems(wrong, target, catalog, None, inference)] == ["L101"]


@pytest.mark.determinism
def test_contradictions_are_listed_in_the_order_of_the_graph(catalog: Catalog) -> None:
    from surgeon.targets import load_target

    graph = parse_graph(
        f"graph v1\noutputs: y, z\n{X.replace('8,2', '8,3')}{W}y = Conv2D(x, w) {CONV}\nz = Conv2D(x, w) {CONV}\n"
    )
    inference = Inference(graph, rules=catalog.rules())
    inference.spec(Ref("z"))
    found = find_problems(graph, load_target("onnx@onnxruntime"), catalog, None, inference)
    assert [d.where for d in found if d.code == "L101"] == ["y", "z"]
