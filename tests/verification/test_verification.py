"""Whole verifications on generated detectors: what is right passes, and each planted mistake is caught."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from other_preprocessors import resized, with_preprocessor

import surgeon
from surgeon import SurgeonError, Verification
from surgeon.formats.graphdef import from_bytes
from surgeon.graph import Ref, parse_graph
from surgeon.verification import DetectionComparison, Outcome
from surgeon.zoo import build_lenet

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
pytest.importorskip("PIL", reason="Pillow reads and writes pictures")

# They share graphs and verifications.
pytestmark = pytest.mark.xdist_group("verifications")

EXACT = """\
recipe: 1
name: exact
extends: [ssd]
anchors: plugin
decode: plugin
nodes:
  GridAnchor:
    fields: {numLayers: 6, minSize: 0.2, maxSize: 0.95, aspectRatios: [1.0, 2.0, 0.5, 3.0, 0.33333334], variance: [0.1, 0.1, 0.2, 0.2],
             featureMapShapes: [6, 3, 2, 1, 1, 1]}
  NMS:
    fields: {shareLocation: 1, varianceEncodedInTarget: 0, backgroundLabelId: 0, numClasses: auto, topK: 204, keepTopK: 100,
             confidenceThreshold: 1e-8, nmsThreshold: 0.6, inputOrder: auto, confSigmoid: 1, isNormalized: 1, codeType: 3}
image: {size: [96, 96], resize: stretch, interpolation: tf1-bilinear, color: RGB, steps: [{scale: 0.0078431377}, {subtract: 1.0}]}
"""


@pytest.fixture(scope="module")
def graph(zoo_graph: Callable[..., surgeon.Graph]) -> Callable[..., surgeon.Graph]:
    """Give ``graph(date, **options)``: a generated detector; of three classes and the background unless told.

    Some of its boxes reach over the edges of the made picture.
    """
    return partial(zoo_graph, depth_multiplier=0.25)


@pytest.fixture(scope="module")
def exact(graph) -> Callable[[str], Verification]:
    """Give ``exact(date)``: the verification of the exact recipe."""
    return cache(
        lambda date: surgeon.verify(changed(), graph(date), max_excused=None if date == "2019" else 100)
    )


@pytest.fixture(scope="module")
def literal(graph) -> Verification:
    """Give the verification of the exact recipe with a ratio of 0.33, which is not the graph's."""
    return surgeon.verify(changed(("0.33333334", "0.33")), graph("2019"))


def changed(*changes: tuple[str, str], text: str = EXACT) -> surgeon.Recipe:
    """Return the exact recipe with some of its text replaced."""
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return surgeon.parse_recipe(text)


def outcomes(found: Verification) -> dict[str, str]:
    return {verdict.name: str(verdict.outcome) for verdict in found.verdicts}


def detections(found: Verification, verdict: int) -> DetectionComparison:
    (comparison,) = [
        c
        for c in found.verdicts[verdict].comparisons
        if isinstance(c, DetectionComparison) and not c.is_probe
    ]
    return comparison


OF_300_PIXELS = (
    ("[6, 3, 2, 1, 1, 1]", "[19, 10, 5, 3, 2, 1]"),
    ("topK: 204", "topK: 1917"),
    ("[96, 96]", "[300, 300]"),
)

PASSED = {"cut to cut": "passed", "each alone": "passed", "end to end": "passed"}


@pytest.mark.parametrize(
    ("date", "excuse"),
    [
        ("2017", "clip-first"),
        pytest.param("2018", "clip-first", marks=pytest.mark.exhaustive),
        ("2019", "drop-empty"),
    ],
)
def test_an_exact_recipe_passes(graph, exact, date: str, excuse: str) -> None:
    """Later graphs drop boxes outside the picture, which no plugin node does; earlier ones clip before suppression."""
    if date == "2019":  # no small detector gives a box outside the picture
        found = surgeon.verify(changed(*OF_300_PIXELS), graph("2019", height=300, width=300))
    else:
        found = exact(date)
    assert outcomes(found) == PASSED and found.passed and found.made
    for index in range(3):
        compared = detections(found, index)
        assert (compared.original, compared.rewritten, compared.unexcused) == (100, 100, ())
        assert set(compared.excused) == {excuse} and compared.matched >= 85
        assert compared.worst_box_error < 1e-6 and compared.worst_score_error < 1e-6
    probes = found.verdicts[1].passed_probes
    assert len(probes) == 7 and {c.subject for c in probes} == {"Postprocessor -> NMS"}
    assert [c.subject for c in found.verdicts[1].comparisons if c not in probes] == [
        f"image_tensor, {'Cast' if date == '2019' else 'ToFloat'}, Preprocessor -> Input",
        f"MultipleGridAnchorGenerator{'' if date == '2017' else ', Concatenate'} -> GridAnchor, concat_priorbox",
        "concat -> concat_box_loc",
        "concat_1 -> concat_box_conf",
        "Postprocessor -> NMS",
    ]


def test_nothing_inherent_is_excused_where_none_is_allowed(graph) -> None:
    found = surgeon.verify(changed(*OF_300_PIXELS), graph("2019", height=300, width=300), max_excused=0)
    assert found.outcome is Outcome.FAILED and "excused, at most 0 allowed" in detections(found, 0).reason


def test_no_excuse_is_needed_where_boxes_lie_inside(graph) -> None:
    """With a high threshold only few boxes are left, and none of them is at an edge."""
    found = surgeon.verify(changed(("1e-8", "0.8")), graph("2019", score_threshold=0.8), max_excused=0)
    compared = detections(found, 0)
    assert found.passed and 0 < compared.original < 100 and compared.excused == {}


def test_the_literal_numbers_of_the_samples_are_told(graph, literal: Verification) -> None:
    """Ratio 0.33 for 1/3 moves anchors by up to 0.4 % of the picture; it is named, and passes only where it is allowed."""
    assert outcomes(literal) == dict.fromkeys(PASSED, "failed")
    anchors = literal.verdicts[1].comparisons[1]
    assert dict(anchors.excused) == {"exact-ratios": 1} and "recipe could avoid" in anchors.reason
    assert detections(literal, 0).excused["exact-ratios"] > 0 and "exact-ratios" in literal.excuses
    allowed = surgeon.verify(changed(("0.33333334", "0.33")), graph("2019"), max_excused=15)
    assert outcomes(allowed) == PASSED


def test_a_small_top_k_is_told(graph) -> None:
    one_class = graph("2019", classes=1, seed=4)
    found = surgeon.verify(changed(("topK: 204", "topK: 100")), one_class, max_excused=100)
    assert outcomes(found) == PASSED and detections(found, 0).excused["all-candidates"] > 0
    assert surgeon.verify(changed(("topK: 204", "topK: 100")), one_class).outcome is Outcome.FAILED


# --- planted mistakes -----------------------------------------------------------------------------------------------

NUMERIC = {
    # Four scores and four encodings an anchor: both inputs have one length, so that no size tells them apart.
    "inputOrder": ([("inputOrder: auto", "inputOrder: [2, 0, 1]")], {"cut to cut", "end to end"}),
    "minSize": ([("minSize: 0.2", "minSize: 0.21")], {"cut to cut", "each alone", "end to end"}),
    "minSize by a little": ([("minSize: 0.2", "minSize: 0.201")], {"cut to cut", "each alone", "end to end"}),
    "variance order": (
        [("[0.1, 0.1, 0.2, 0.2]", "[0.2, 0.2, 0.1, 0.1]")],
        {"cut to cut", "each alone", "end to end"},
    ),
    "order of ratios": ([("3.0, 0.33333334", "0.33333334, 3.0")], {"cut to cut", "each alone", "end to end"}),
    "nmsThreshold": (
        [("nmsThreshold: 0.6", "nmsThreshold: 0.5")],
        {"cut to cut", "each alone", "end to end"},
    ),
    "background": (
        [("backgroundLabelId: 0", "backgroundLabelId: 1")],
        {"cut to cut", "each alone", "end to end"},
    ),
    "no sigmoid": ([("confSigmoid: 1", "confSigmoid: 0")], {"cut to cut", "end to end"}),
    "codeType": ([("codeType: 3", "codeType: 1")], {"cut to cut", "each alone", "end to end"}),
    "keepTopK": ([("keepTopK: 100", "keepTopK: 50")], {"cut to cut", "each alone", "end to end"}),
    "preprocessing scale": ([("scale: 0.0078431377", "scale: 0.0039215686")], {"each alone", "end to end"}),
    "preprocessing mean": ([("subtract: 1.0", "subtract: [1.0, 1.0, 0.9]")], {"each alone", "end to end"}),
    "order of channels": ([("color: RGB", "color: BGR")], {"each alone", "end to end"}),
    "interpolation": ([("tf1-bilinear", "half-pixel-bilinear")], {"each alone", "end to end"}),
    "size of the picture": ([("size: [96, 96]", "size: [104, 104]")], {"each alone", "end to end"}),
    "aspect ratio": (
        [("resize: stretch", "resize: keep-aspect-ratio")],
        {"cut to cut", "each alone", "end to end"},
    ),
}


ALIKE = (
    *("minSize", "variance order", "order of ratios", "nmsThreshold", "background", "keepTopK"),
    *("preprocessing scale", "interpolation"),
)
"""Mistakes like others of the table, or like those of the tests of power."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.exhaustive] * (name in ALIKE)) for name in NUMERIC]
)
def test_a_planted_mistake_fails(graph, name: str) -> None:
    changes, wrong = NUMERIC[name]
    found = surgeon.verify(changed(*changes), graph("2018"), max_excused=100)
    assert {verdict for verdict, outcome in outcomes(found).items() if outcome == "failed"} == wrong
    assert found.outcome is Outcome.FAILED


REFUSED = {
    "numClasses - 1": ("C109", [("numClasses: auto", "numClasses: 3")]),
    "numClasses + 1": ("C109", [("numClasses: auto", "numClasses: 5")]),
    "inputOrder": ("C109", [("inputOrder: auto", "inputOrder: [2, 1, 0]")]),
    "swapped loc and conf": (
        "D109",
        [("anchors: plugin", "namespaces: {concat: concat_box_conf, concat_1: concat_box_loc}")],
    ),
    "steps of the image": ("V104", [("subtract: 1.0", "subtract: [1.0, 2.0]")]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_planted_mistake_is_refused_before_anything_runs(graph, name: str) -> None:
    code, changes = REFUSED[name]
    with pytest.raises(SurgeonError) as exc:
        surgeon.verify(changed(*changes), graph("2018"))
    assert code in [d.code for d in exc.value.diagnostics]


def trained(original: surgeon.Graph) -> surgeon.Graph:
    """Return a detector with batch statistics behind its first convolution, switched on by 'phase_train'."""
    first = next(node for node in original if node.op == "Conv2D")
    text = """\
graph v1
phase_train = Placeholder() {dtype: bool, shape: shape[]}
batch/axes = Const() {dtype: int32, value: tensor<int32[3]: 0, 1, 2>}
batch/mean = Mean(FIRST, batch/axes) {T: float32, Tidx: int32, keep_dims: true}
batch/center = Sub(FIRST, batch/mean) {T: float32}
batch/chosen = SelectV2(phase_train, batch/center, FIRST) {T: float32}
""".replace("FIRST", first.name)
    added = list(parse_graph(text + f"{first.name} = Placeholder() {{dtype: float32, shape: shape[?]}}\n"))[
        :-1
    ]
    nodes = []
    for node in original:
        inputs = tuple(Ref("batch/chosen") if ref.node == first.name else ref for ref in node.inputs)
        nodes.append(node.with_inputs(inputs, node.control))
        nodes += added if node.name == first.name else []
    return original.replace(nodes)


@pytest.mark.parametrize("phase", ["false", "true"])
def test_a_detector_that_is_fixed_to_training_fails(graph, phase: str) -> None:
    steps = (
        f"{EXACT}steps: {{before: {{collapse: [{{step: fix-inputs, values: {{phase_train: {phase}}}}}]}}}}\n"
    )
    found = surgeon.verify(changed(text=steps), trained(graph("2017")), max_excused=100)
    reasons = [c.reason for c in found.verdicts[0].comparisons if c.subject.startswith("'phase_train'")]
    if phase == "false":
        assert not reasons and found.verdicts[0].outcome == "passed"
    else:
        assert found.outcome == "failed" and "fix it to False for inference" in reasons[0]


def test_swapped_names_are_no_mistake_where_the_graph_tells_the_roles(graph) -> None:
    """The port's name counts, not that of the node which feeds it: 'auto' finds out what each namespace joins."""
    swapped = changed(
        (
            "  NMS:\n",
            "  NMS:\n    inputs: {loc: concat_box_conf, prior: concat_priorbox, conf: concat_box_loc}\n",
        )
    )
    assert surgeon.verify(swapped, graph("2019")).passed


# --- pictures -------------------------------------------------------------------------------------------------------


def picture(seed: int, height: int = 200, width: int = 260) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_pictures_of_a_folder_are_each_compared_and_drawn(graph, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        Image.fromarray(picture(seed, 100 + seed)).save(tmp_path / "in" / name)
    found = surgeon.verify(
        changed(), graph("2019"), images=tmp_path / "in", output=tmp_path / "out" / "drawn"
    )
    assert (
        found.passed and not found.made and [Path(name).name for name in found.pictures] == ["a.png", "b.png"]
    )
    assert [len(verdict.comparisons) for verdict in found.verdicts] == [2, 9 + 7, 2]
    assert [Path(path).name for path in found.drawn] == ["a.png.png", "b.png.png"]
    with Image.open(found.drawn[0]) as drawn:
        colours = {colour for _, colour in drawn.convert("RGB").getcolors(1 << 24)}
        assert drawn.size == (780, 316) and {(0, 200, 0), (230, 0, 60)} <= colours


def test_what_is_drawn_cannot_be_written(graph, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SurgeonError) as exc:
        surgeon.verify(changed(), graph("2018"), output=tmp_path / "file" / "below")
    assert exc.value.diagnostics[0].code == "E105"


def test_pictures_may_be_arrays(graph) -> None:
    found = surgeon.verify(changed(), graph("2019"), images=[picture(1), picture(2, 333, 222)])
    assert found.passed and found.pictures == ("picture 0", "picture 1") and not found.made
    with pytest.raises(SurgeonError) as exc:
        surgeon.verify(changed(), graph("2018"), images=[picture(1).astype(np.float32)])
    assert exc.value.diagnostics[0].code == "V111"


def test_the_seed_makes_another_picture(graph, exact) -> None:
    one, other = exact("2019"), surgeon.verify(changed(), graph("2019"), seed=1)
    assert one.passed and other.passed and one.pictures != other.pictures
    assert detections(one, 0).to_json() != detections(other, 0).to_json()


def test_nothing_detected_is_inconclusive(graph) -> None:
    found = surgeon.verify(changed(("1e-8", "1.0")), graph("2018", score_threshold=1.0))
    assert found.outcome is Outcome.INCONCLUSIVE and outcomes(found)["cut to cut"] == "inconclusive"
    assert detections(found, 0).reason == "neither graph detects anything"


def test_a_recipe_without_image_is_not_verified(graph) -> None:
    head, _, _ = EXACT.partition("image:")
    found = surgeon.verify(surgeon.parse_recipe(head + "image: null\n"), graph("2019"))
    assert outcomes(found) == {"cut to cut": "passed", "each alone": "passed", "end to end": "not compared"}
    assert not found.passed and "has no 'image'" in found.verdicts[2].reason
    assert (
        found.verdicts[1].reason == "1 of 12 not compared"
        and found.verdicts[1].comparisons[0].outcome is Outcome.NOT_COMPARED
    )


def test_a_tolerance_that_is_none(graph) -> None:
    for arguments in ({"box_tolerance": 0.0}, {"score_tolerance": 2.0}, {"max_excused": -1}):
        with pytest.raises(SurgeonError) as exc:
            surgeon.verify(changed(), graph("2018"), **arguments)
        assert exc.value.diagnostics[0].code == "V103"


def test_the_result_is_plain_json(literal: Verification) -> None:
    import json

    data = json.loads(json.dumps(literal.to_json()))
    assert data["outcome"] == "failed" and [v["name"] for v in data["verdicts"]] == list(PASSED)
    rows = data["verdicts"][0]["comparisons"][0]["differences"]
    assert {row["kind"] for row in rows} <= {"differs", "missing", "extra"} and {
        row["excuse"] for row in rows
    } >= {"exact-ratios"}


def test_the_same_twice(graph, exact) -> None:
    """A graph that is read anew remembers nothing of the first time."""
    again = surgeon.verify(changed(), surgeon.load_graph(graph("2019").source))
    assert again.to_json() == exact("2019").to_json()


# --- graphs that are no detectors -------------------------------------------------------------------------------------


def lenet(fields: str) -> surgeon.Recipe:
    return surgeon.parse_recipe(
        f"recipe: 1\nname: x\nextends: [lenet5_clip]\nnodes: {{trt_relu6: {{fields: {{{fields}}}}}}}\n"
    )


def test_outputs_of_a_classifier_are_compared_as_tensors() -> None:
    found = surgeon.verify("lenet5_clip", from_bytes(build_lenet()))
    assert outcomes(found) == PASSED and found.made and found.exercise.hidden == ()
    assert found.pictures == tuple(f"made numbers, seed 0{draw}" for draw in ("", ", draw 2", ", draw 3"))
    first = found.pictures[0]
    assert [c.subject for v in found.verdicts for c in v.comparisons if c.picture == first] == [
        "OutputLayer/Softmax",
        "ReLU6 -> trt_relu6",
        "OutputLayer/Softmax",
    ]
    assert found.verdicts[2].reason == "both graphs read the same input; no picture is prepared"
    # What the node alone gives on wider inputs notices both bounds; in the whole graph no value reaches the upper one.
    assert [{by for _, by in each.changes} for each in found.power] == [{"made numbers, seed 0"}] * 2


def test_recipes_tried_on_one_graph_are_compared_each_by_its_own_tensors() -> None:
    alone = "recipe: 1\nname: x\nextends: [lenet5_clip]\n"
    recipes = [alone, f"{alone}outputs: [OutputLayer/Softmax, flatten/Reshape]\n", alone]
    graph = from_bytes(build_lenet())
    for recipe in map(surgeon.parse_recipe, recipes):
        found = surgeon.verify(recipe, graph)
        assert found.passed and len(found.verdicts[0].comparisons) == len(recipe.outputs) * len(
            found.pictures
        )
        assert found.to_json() == surgeon.verify(recipe, from_bytes(build_lenet())).to_json()


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ("clipMax: 7.0", {"cut to cut", "each alone", "end to end"}),  # numbers of a picture reach the bound
        ("clipMax: 0.5", {"cut to cut", "each alone", "end to end"}),
        ("clipMin: -1.0", {"cut to cut", "each alone", "end to end"}),
    ],
)
def test_a_wrong_clip_fails(fields: str, wrong: set[str]) -> None:
    found = surgeon.verify(lenet(fields), from_bytes(build_lenet()))
    assert {name for name, outcome in outcomes(found).items() if outcome == "failed"} == wrong


SMALL = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,4]}
body/a = Relu6(x) {T: float32}
body/b = Neg(body/a) {T: float32}
sum = Add(body/a, body/b) {T: float32}
out = Neg(body/a) {T: float32}
"""


def small(recipe: str, text: str = SMALL) -> Verification:
    return surgeon.verify(surgeon.parse_recipe("recipe: 1\nname: small\n" + recipe), parse_graph(text))


CLIP = "nodes: {clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}}\n"


def test_an_output_that_is_put_in_stands_for_what_it_replaced() -> None:
    found = small(
        CLIP + "outputs: [clip]\nnamespaces: {body/a: clip}\n",
        SMALL.replace("sum = Add(body/a, body/b) {T: float32}\n", ""),
    )
    assert found.passed and found.verdicts[0].comparisons[0].subject == "clip"


def test_a_recipe_that_replaces_nothing() -> None:
    found = small("outputs: [out]\nsteps: [prune]\n")
    assert found.passed and found.verdicts[1].reason == "no namespace is replaced"


def test_an_output_that_nothing_stands_for() -> None:
    with pytest.raises(SurgeonError) as exc:
        small("outputs: [made]\nsteps: [{step: add-node, name: made, op: Exp, inputs: [out]}]\n")
    assert exc.value.diagnostics[0].code == "V109" and "'made'" in exc.value.diagnostics[0].message


def test_an_output_that_nothing_stands_for_beside_one_that_is_compared() -> None:
    found = small("outputs: [out, made]\nsteps: [{step: add-node, name: made, op: Exp, inputs: [out]}]\n")
    assert found.passed and found.verdicts[0].reason == "3 of 6 not compared"
    assert [str(c.outcome) for c in found.verdicts[0].comparisons] == 3 * ["passed", "not compared"]


def test_an_input_that_stands_for_nothing() -> None:
    recipe = (
        "outputs: [out, made]\nnodes: {new: {op: Placeholder, dtype: float32, shape: [1, 4]}}\nsteps:\n"
        "  - {step: add-node, node: new}\n  - {step: add-node, name: made, op: Exp, inputs: [new]}\n"
    )
    with pytest.raises(SurgeonError) as exc:
        small(recipe)
    assert exc.value.diagnostics[0].code == "V109" and "'new'" in exc.value.diagnostics[0].message


@pytest.mark.parametrize(
    "spec", ["dtype: float32", "dtype: string, shape: shape[1]", "dtype: float32, shape: shape[?,?]"]
)
def test_an_input_of_unknown_shape(spec: str) -> None:
    text = f"graph v1\nx = Placeholder() {{{spec}}}\nout = Identity(x) {{T: {spec.split()[1].strip(',')}}}\n"
    with pytest.raises(SurgeonError) as exc:
        small("outputs: [out]\nsteps: [prune]\n", text)
    assert exc.value.diagnostics[0].code == "V110"


def two_outputs(folder: Path, second: str) -> str:
    """Write a plugin that gives min(max(x, 0), 6) and another tensor; return a recipe that puts it in for ``body``."""
    (folder / "Both").mkdir()
    (folder / "Both" / "plugin.yaml").write_text(
        "title: Two\nsummary: Two tensors.\nlibrary: own\ninputs:\n  - {name: x, summary: any}\n"
        "outputs:\n  - {name: a, summary: one}\n  - {name: b, summary: another}\nfields: {}\nsources: [own]\n"
    )
    (folder / "Both" / "reference.py").write_text(
        f"import numpy as np\n\ndef run(fields, inputs, changes=frozenset()):\n    a = np.clip(inputs[0], 0, 6)\n    return [a, {second}]\n"
    )
    return (
        "recipe: 1\nname: both\noutputs: [out, other]\nnodes: {both: {plugin: Both}}\n"
        "steps: [{step: collapse, take: {body: both}, outputs: {body/a: 'both:a', body/b: 'both:b'}}]\n"
    )


OTHER = SMALL.replace("sum = Add(body/a, body/b) {T: float32}", "other = Exp(body/b) {T: float32}")


@pytest.mark.parametrize(
    ("second", "outcomes_alone"),
    [
        ("-a", ["passed", "passed"]),
        ("-2 * a", ["passed", "failed"]),
        ("a[:, :2]", ["passed", "not compared"]),
    ],
)
def test_every_output_of_a_node_put_in_is_compared(
    tmp_path: Path, second: str, outcomes_alone: list[str]
) -> None:
    recipe = surgeon.parse_recipe(two_outputs(tmp_path, second))
    found = surgeon.verify(recipe, parse_graph(OTHER), plugin_paths=[tmp_path])
    alone = found.verdicts[1]
    assert [str(c.outcome) for c in alone.comparisons][:2] == outcomes_alone
    assert [c.subject for c in alone.comparisons][:2] == ["body -> both", "body -> both:1"]
    assert found.passed is (second == "-a")


CHAIN = """\
recipe: 1
name: chain
outputs: [out, other]
nodes:
  before: {op: Transpose, inputs: [x], perm: [1, 0]}
  clip: {plugin: CustomClipPlugin, inputs: [before], fields: {clipMin: 0.0, clipMax: 6.0}}
  after: {op: Transpose, inputs: [clip], perm: [1, 0]}
namespaces: {body/a: after}
"""


def test_nodes_around_a_plugin_are_computed_with_it() -> None:
    for top, passed in (("6.0", True), ("5.0", False)):
        found = surgeon.verify(surgeon.parse_recipe(CHAIN.replace("6.0", top)), parse_graph(OTHER))
        assert next(c.subject for c in found.verdicts[1].comparisons) == "body -> after"
        assert (str(found.verdicts[1].outcome) == "passed") is passed


def test_an_operation_with_the_name_of_a_plugin_is_none(tmp_path: Path) -> None:
    """TensorFlow's Neg is run by TensorFlow, though a plugin of this name has a field that the node lacks."""
    (tmp_path / "Neg").mkdir()
    (tmp_path / "Neg" / "plugin.yaml").write_text(
        "title: N\nsummary: N.\nlibrary: own\ninputs:\n  - {name: x, summary: any}\noutputs:\n  - {name: y, summary: any}\n"
        "fields:\n  scale: {type: float, summary: s, source: own}\nsources: [own]\n"
    )
    from surgeon.catalog import load_catalog
    from surgeon.graph import Ref
    from surgeon.runners.references import ReferenceRunner

    runner = ReferenceRunner(parse_graph(SMALL), load_catalog([tmp_path]), [Ref("out")])
    assert runner.plugins == () and runner.run({"x": np.ones((1, 4), np.float32)})["out"].tolist() == [
        [-1] * 4
    ]


def test_a_picture_of_one_channel_is_fed_as_its_brightness() -> None:
    one_channel = with_preprocessor(partial(resized, channels=1), channels=1, network_channels=1)
    authored = surgeon.init(one_channel)
    found = surgeon.verify(authored.recipe, one_channel)
    assert outcomes(found) == PASSED
    wrong = surgeon.parse_recipe(authored.text.replace("subtract: 1.0", "subtract: 0.9"))
    assert outcomes(surgeon.verify(wrong, one_channel))["end to end"] == "failed"


def test_a_picture_of_four_channels_is_refused() -> None:
    four = with_preprocessor(lambda v1, picture: resized(v1, picture[..., :3]), channels=4)
    with pytest.raises(SurgeonError) as exc:
        surgeon.verify(surgeon.init(four).recipe, four)
    assert [d.code for d in exc.value.diagnostics] == ["V110"]
    assert "expected 1 or 3 channels" in exc.value.diagnostics[0].message
