"""The family of all networks that detect nothing: inputs, outputs, and the recipe that 'init' writes."""

from __future__ import annotations

import pytest

import surgeon
from surgeon.families import recognise
from surgeon.families.generic.network import GenericNetwork
from surgeon.graph import parse_graph

IMAGE = "x = Placeholder() {dtype: float32, shape: shape[?,8,8,3]}"
LOGITS = f"""graph v1
{IMAGE}
axes = Const() {{dtype: int32, value: tensor<int32[2]: 1, 2>}}
pooled = Mean(x, axes) {{T: float32, Tidx: int32, keep_dims: false}}
w = Const() {{dtype: float32, value: tensor<float32[3,2]: 1.0, 2.0, 3.0, 4.0, 5.0, 6.0>}}
logits = MatMul(pooled, w) {{T: float32, transpose_a: false, transpose_b: false}}
"""
ARGMAX = """axis = Const() {dtype: int32, value: tensor<int32[]: 1>}
best = ArgMax(logits, axis) {T: float32, Tidx: int32, output_type: int64}
"""
LABELS = "labels = Placeholder() {dtype: int64, shape: shape[?]}\n"
LOSS = f"""{LABELS}loss_each = SparseSoftmaxCrossEntropyWithLogits(logits, labels) {{T: float32, Tlabels: int64}}
zero = Const() {{dtype: int32, value: tensor<int32[1]: 0>}}
loss = Mean(loss_each, zero) {{T: float32, Tidx: int32, keep_dims: false}}
"""
SOFTMAX = "classes = Softmax(logits) {T: float32}\n"


def network(text: str) -> GenericNetwork:
    found = recognise(parse_graph(text))
    assert isinstance(found, GenericNetwork)
    return found


def computed(text: str) -> list[str]:
    return [str(each.tensor) for each in network(text).computed.outputs]


def taken(text: str) -> list[str]:
    return [str(each.tensor) for each in network(text).inputs]


# --- what comes out -----------------------------------------------------------------------------------------------


def test_an_end_of_floating_point_is_an_output() -> None:
    assert computed(LOGITS) == ["logits"] and network(LOGITS).kind == "network"
    assert taken(LOGITS) == ["x"]


def test_whole_numbers_at_the_end_are_left_to_the_program_around() -> None:
    found = network(LOGITS + ARGMAX)
    (output,) = found.computed.outputs
    assert str(output.tensor) == "logits" and [str(end) for end in output.ends] == ["best"]
    assert found.kind == "classifier of 2 classes"
    cast = "score = Cast(best) {SrcT: int64, DstT: float32}\n"
    assert computed(LOGITS + ARGMAX + cast) == ["logits"]
    assert "ArgMax, Cast" not in surgeon.init(found.graph).text


def test_whole_numbers_beside_the_softmax_of_the_same_logits_go_without_an_output() -> None:
    found = network(LOGITS + ARGMAX + SOFTMAX)
    assert [str(each.tensor) for each in found.computed.outputs] == ["classes"]
    assert [(str(ref), reason) for ref, reason in found.computed.left_out] == [
        ("best", "it is whole numbers computed from 'logits'")
    ]


def test_whole_numbers_of_whole_numbers_stay() -> None:
    text = """graph v1
x = Placeholder() {dtype: int32, shape: shape[?,4]}
y = Neg(x) {T: int32}
"""
    assert computed(text) == ["y"]


def test_whole_numbers_computed_from_an_input_as_it_came_in_stay() -> None:
    text = """graph v1
x = Placeholder() {dtype: float32, shape: shape[1,8]}
same = Identity(x) {T: float32}
axis = Const() {dtype: int32, value: tensor<int32[]: 1>}
best = ArgMax(same, axis) {T: float32, Tidx: int32, output_type: int64}
"""
    assert computed(text) == computed(text.replace("ArgMax(same", "ArgMax(x")) == ["best"]


def test_losses_and_what_depends_on_no_input_are_left_out() -> None:
    found = network(LOGITS + SOFTMAX + LOSS + "idle = Neg(w) {T: float32}\n")
    assert [str(each.tensor) for each in found.computed.outputs] == ["classes"]
    assert {str(ref): reason for ref, reason in found.computed.left_out} == {
        "idle": "it depends on no input",
        "loss": "it belongs to training",
    }
    assert [str(each.tensor) for each in found.inputs] == ["x"], "labels are no input of what is left"


def test_a_graph_that_ends_with_its_loss_gives_the_logits() -> None:
    assert computed(LOGITS + LOSS) == ["logits"]
    assert taken(LOGITS + LOSS) == ["x"]


def test_all_outputs_of_an_end_that_splits_are_outputs() -> None:
    assert computed(LOGITS + "parts = Unpack(logits) {T: float32, num: 2, axis: 1}\n") == ["parts", "parts:1"]
    largest = "k = Const() {dtype: int32, value: tensor<int32[]: 1>}\n"
    largest += "top = TopKV2(logits, k) {T: float32, sorted: true}\n"
    assert computed(LOGITS + largest) == ["top"]


def test_an_output_that_is_drawn_at_random_is_left_out_beside_another() -> None:
    text = (
        LOGITS
        + """sizes = Shape(logits) {T: float32, out_type: int32}
noise = RandomStandardNormal(sizes) {T: int32, dtype: float32, seed: 0, seed2: 0}
sampled = Add(logits, noise) {T: float32}
mean = Tanh(logits) {T: float32}
"""
    )
    assert computed(text) == ["mean"]
    assert ("sampled", "it is drawn at random") in [
        (str(ref), reason) for ref, reason in network(text).computed.left_out
    ]
    assert computed(text.replace("mean = Tanh(logits) {T: float32}\n", "")) == ["sampled"]
    kept = text.replace("Add(logits, noise)", "Add(mean, noise)")
    assert computed(kept) == ["sampled"], "the graph ends with it alone"
    assert "random numbers reach it" in surgeon.init(parse_graph(kept), target="onnx@onnxruntime").text
    assert "random numbers reach it" not in surgeon.init(parse_graph(text), target="onnx@onnxruntime").text


def test_declared_outputs_stay_but_for_whole_numbers() -> None:
    graph = parse_graph(LOGITS + SOFTMAX + LOSS)
    declared = graph.replace(outputs=[surgeon.graph.Ref("loss")])
    found = recognise(declared)
    assert isinstance(found, GenericNetwork)
    assert [str(each.tensor) for each in found.computed.outputs] == ["loss"]
    assert {str(each.tensor) for each in found.inputs} == {"x", "labels"}


# --- what goes in -------------------------------------------------------------------------------------------------

DECODED = """graph v1
jpeg = Placeholder() {dtype: string, shape: shape[]}
decoded = DecodeJpeg(jpeg) {channels: 3}
floats = Cast(decoded) {SrcT: uint8, DstT: float32}
first = Const() {dtype: int32, value: tensor<int32[]: 0>}
batch = ExpandDims(floats, first) {T: float32, Tdim: int32}
size = Const() {dtype: int32, value: tensor<int32[2]: 8, 8>}
resized = ResizeBilinear(batch, size) {T: float32, align_corners: false, half_pixel_centers: false}
y = Relu(resized) {T: float32}
"""


def test_a_picture_that_is_decoded_begins_where_its_size_is_known() -> None:
    assert taken(DECODED) == ["resized"]
    recipe = surgeon.init(parse_graph(DECODED)).recipe
    plan = surgeon.plan(recipe, parse_graph(DECODED))
    assert plan.result is not None
    assert [(node.name, node.op) for node in plan.result] == [("resized", "Placeholder"), ("y", "Relu")]


def test_a_path_around_the_chain_moves_the_input_back() -> None:
    around = DECODED + "z = Cast(decoded) {SrcT: uint8, DstT: float32}\n"
    assert taken(around) == ["decoded"]


def test_texts_begin_behind_the_table_of_their_ids() -> None:
    text = """graph v1
words = Placeholder() {dtype: string, shape: shape[?,4]}
table = HashTableV2() {key_dtype: string, value_dtype: int64}
unknown = Const() {dtype: int64, value: tensor<int64[]: 0>}
ids = LookupTableFindV2(table, words, unknown) {Tin: string, Tout: int64}
axis = Const() {dtype: int32, value: tensor<int32[]: 0>}
vectors = Const() {dtype: float32, value: tensor<float32[2,2]: 1.0, 2.0, 3.0, 4.0>}
y = GatherV2(vectors, ids, axis) {Tparams: float32, Tindices: int64, Taxis: int32, batch_dims: 0}
"""
    assert computed(text) == ["y"] and taken(text) == ["ids"]


def test_an_input_does_not_move_past_weights() -> None:
    text = """graph v1
words = Placeholder() {dtype: string, shape: shape[?,?]}
ids = StringToHashBucketFast(words) {num_buckets: 2}
axis = Const() {dtype: int32, value: tensor<int32[]: 0>}
vectors = Const() {dtype: float32, value: tensor<float32[2,2]: 1.0, 2.0, 3.0, 4.0>}
found = GatherV2(vectors, ids, axis) {Tparams: float32, Tindices: int64, Taxis: int32, batch_dims: 0}
along = Const() {dtype: int32, value: tensor<int32[]: 1>}
y = Mean(found, along) {T: float32, Tidx: int32, keep_dims: false}
"""
    assert taken(text) == ["ids"]


def test_bytes_of_a_file_begin_behind_their_reshaping() -> None:
    text = """graph v1
file = Placeholder() {dtype: string, shape: shape[]}
numbers = DecodeRaw(file) {out_type: uint8, little_endian: true}
floats = Cast(numbers) {SrcT: uint8, DstT: float32}
sizes = Const() {dtype: int32, value: tensor<int32[4]: 1, 4, 4, 1>}
picture = Reshape(floats, sizes) {T: float32, Tshape: int32}
y = Relu(picture) {T: float32}
"""
    assert taken(text) == ["picture"]


def test_sound_begins_behind_its_spectrum() -> None:
    text = """graph v1
wav = Placeholder() {dtype: string, shape: shape[]}
sound = DecodeWav(wav) {desired_channels: 1, desired_samples: 1600}
spectrum = AudioSpectrogram(sound) {window_size: 480, stride: 160, magnitude_squared: true}
mfcc = Mfcc(spectrum, sound:1) {dct_coefficient_count: 10}
sizes = Const() {dtype: int32, value: tensor<int32[2]: -1, 80>}
fingerprint = Reshape(mfcc, sizes) {T: float32, Tshape: int32}
y = Relu(fingerprint) {T: float32}
"""
    assert taken(text) == ["fingerprint"]


def test_an_output_of_a_queue_that_stays_leaves_the_queue_its_name() -> None:
    text = """graph v1
queue = FIFOQueueV2() {component_types: [float32, int64], shapes: [shape[4], shape[]]}
batch = QueueDequeueV2(queue) {component_types: [float32, int64]}
labels = Identity(batch:1) {T: int64}
y = Relu(batch) {T: float32}
"""
    made = surgeon.init(parse_graph(text), name="queue")
    assert made.recipe.outputs == ("y",) and not made.errors
    assert "left out: 'labels' (Identity); it is an input as it came in" in made.text
    result = surgeon.plan(made.recipe, parse_graph(text)).result
    assert result is not None and [node.name for node in result] == ["batch_input", "y"]
    taken_name = text.replace("labels =", "batch_input = Neg(batch:1) {T: int64}\nlabels =")
    again = surgeon.init(parse_graph(taken_name), name="queue")
    assert "batch_input_1" in again.text and surgeon.plan(again.recipe, parse_graph(taken_name)).result


def test_a_picture_of_bytes_is_cut_behind_its_cast_for_uff_alone() -> None:
    text = """graph v1
image = Placeholder() {dtype: uint8, shape: shape[?,8,8,3]}
floats = Cast(image) {SrcT: uint8, DstT: float32}
y = Relu(floats) {T: float32}
"""
    made = surgeon.init(parse_graph(text))
    assert not made.errors
    for target, placeholder in (("uff@tensorrt-8.5", "floats"), ("onnx@onnxruntime", "image")):
        result = surgeon.plan(made.recipe, parse_graph(text), target=target).result
        assert result is not None
        assert [node.name for node in result if node.op == "Placeholder"] == [placeholder]


SIZED = """graph v1
image = Placeholder() {{dtype: uint8, shape: shape[1,{side},6,3]}}
size = Shape(image) {{T: uint8, out_type: int32}}
first = Const() {{dtype: int32, value: tensor<int32[1]: 1>}}
last = Const() {{dtype: int32, value: tensor<int32[1]: 3>}}
one = Const() {{dtype: int32, value: tensor<int32[1]: 1>}}
sides = StridedSlice(size, first, last, one) {{T: int32, Index: int32}}
floats = Cast(image) {{SrcT: uint8, DstT: float32}}
small = MaxPool(floats) {{T: float32, ksize: [1, 2, 2, 1], strides: [1, 2, 2, 1], padding: "VALID"}}
y = ResizeBilinear(small, sides) {{T: float32, align_corners: true}}
"""


def test_a_picture_that_is_read_for_its_size_too_is_cut_where_the_size_is_known() -> None:
    made = surgeon.init(parse_graph(SIZED.format(side=6)))
    result = surgeon.plan(made.recipe, parse_graph(SIZED.format(side=6)), target="uff@tensorrt-8.5").result
    assert result is not None
    assert [node.name for node in result if node.op == "Placeholder"] == ["floats"]
    assert "step: cut-at" not in surgeon.init(parse_graph(SIZED.format(side="?"))).text


# --- what it is for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        (SOFTMAX, "classifier of 2 classes"),
        ("y = Sigmoid(logits) {T: float32}\n", "network"),
        (
            "square = Square(logits) {T: float32}\n"
            "last = Const() {dtype: int32, value: tensor<int32[1]: 1>}\n"
            "total = Sum(square, last) {T: float32, Tidx: int32, keep_dims: true}\n"
            "least = Const() {dtype: float32, value: tensor<float32[]: 1e-10>}\n"
            "bounded = Maximum(total, least) {T: float32}\n"
            "rooted = Rsqrt(bounded) {T: float32}\n"
            "y = Mul(logits, rooted) {T: float32}\n",
            "network of embeddings of 2 numbers",
        ),
    ],
)
def test_the_task_is_named_where_the_structure_shows_it(tail: str, kind: str) -> None:
    assert network(LOGITS + tail).kind == kind


def test_classes_of_pixels_are_a_segmentation() -> None:
    text = f"graph v1\n{IMAGE}\ny = Softmax(x) {{T: float32}}\n"
    assert network(text).kind == "segmentation network of 3 classes"
    sequence = text.replace("[?,8,8,3]", "[?,8,3]")
    assert network(sequence).kind == "network", "classes of a sequence's elements have no name here"


# --- scalars of training ----------------------------------------------------------------------------------------

DROPOUT = """keep_prob = Placeholder() {dtype: float32, shape: shape[]}
sizes = Shape(logits) {T: float32, out_type: int32}
noise = RandomUniform(sizes) {T: int32, dtype: float32, seed: 0, seed2: 0}
shifted = Add(noise, keep_prob) {T: float32}
kept = Floor(shifted) {T: float32}
scaled = RealDiv(logits, keep_prob) {T: float32}
y = Mul(scaled, kept) {T: float32}
"""


def test_a_scalar_of_training_is_fixed_and_its_dropout_goes() -> None:
    graph = parse_graph(LOGITS + DROPOUT)
    made = surgeon.init(graph)
    assert "{step: for-inference, constants: {keep_prob: 1.0}}" in made.text and not made.errors
    assert "keep probability: 1.0 at inference" in made.text and "RandomUniform" in made.text
    result = surgeon.plan(made.recipe, graph).result
    assert result is not None
    assert not {"RandomUniform", "Floor", "RealDiv"} & {node.op for node in result}


def test_a_batch_size_fixes_the_batch_of_the_inputs() -> None:
    text = (
        LOGITS
        + """size = Placeholder() {dtype: int32, shape: shape[]}
width = Const() {dtype: int32, value: tensor<int32[]: 2>}
sizes = Pack(size, width) {T: int32, N: 2, axis: 0}
nought = Const() {dtype: float32, value: tensor<float32[]: 0.0>}
zeros = Fill(sizes, nought) {T: float32, index_type: int32}
axis = Const() {dtype: int32, value: tensor<int32[]: 1>}
y = ConcatV2(logits, zeros, axis) {T: float32, N: 2, Tidx: int32}
"""
    )
    for given, batch in ((text, 1), (text.replace("[?,8,8,3]", "[2,8,8,3]"), 2)):
        made = surgeon.init(parse_graph(given), target="onnx@onnxruntime")
        assert f"{{step: for-inference, constants: {{size: {batch}}}}}" in made.text
        result = surgeon.plan(made.recipe, parse_graph(given)).result
        assert result is not None and result["x"].attrs["shape"].dims[0] == batch  # type: ignore[union-attr]


def test_a_scalar_that_the_graph_does_not_tell_stays_an_input_and_is_named() -> None:
    text = (
        LOGITS + "gain = Placeholder() {dtype: float32, shape: shape[]}\ny = Mul(logits, gain) {T: float32}\n"
    )
    made = surgeon.init(parse_graph(text), target="onnx@onnxruntime")
    assert "'gain' (Placeholder) float32[], scalar; it stays an input" in made.text
    assert "'constants: {gain: VALUE}'" in made.text
    assert "gain float32[] in," in made.summary


# --- the recipe ---------------------------------------------------------------------------------------------------


def test_weights_that_are_computed_are_folded_for_uff() -> None:
    text = LOGITS.replace("MatMul(pooled, w)", "MatMul(pooled, doubled)").replace(
        "logits =", "doubled = Add(w, w) {T: float32}\nlogits ="
    )
    made = surgeon.init(parse_graph(text))
    assert "{step: fold-constants, when: {target: uff}}" in made.text and not made.errors
    assert "fold-constants" not in surgeon.init(parse_graph(LOGITS)).text


def test_the_native_library_is_asked_for_where_uff_can_do_nothing_else() -> None:
    text = f"""graph v1
{IMAGE}
size = Const() {{dtype: int32, value: tensor<int32[2]: 16, 16>}}
larger = ResizeBilinear(x, size) {{T: float32, align_corners: false, half_pixel_centers: false}}
times = Const() {{dtype: int32, value: tensor<int32[4]: 1, 1, 1, 2>}}
y = Tile(larger, times) {{T: float32, Tmultiples: int32}}
"""
    made = surgeon.init(parse_graph(text))
    assert "{step: native-plugins, ops: [ResizeBilinear], when: {target: uff}}" in made.text
    assert not made.errors


def test_the_recipe_is_complete_and_names_what_was_chosen() -> None:
    graph = parse_graph(LOGITS + ARGMAX + LOSS)
    made = surgeon.init(graph, name="mine")
    assert made.name == "mine" and made.recipe.outputs == ("logits",) and not made.errors
    assert "# left out: 'loss' (Mean); it belongs to training\n" in made.text
    assert "'best' int64[?]" in made.text and "(ArgMax)" in made.text
    assert surgeon.plan(made.recipe, graph).result is not None
    assert surgeon.init(graph, name="mine").text == made.text


def test_shapes_and_constants_that_are_given_become_steps() -> None:
    text = LOGITS.replace("[?,8,8,3]", "[?,?,?,3]")
    text += "gain = Placeholder() {dtype: float32, shape: shape[]}\ny = Mul(logits, gain) {T: float32}\n"
    graph = parse_graph(text)
    assert "--input x=1x224x224x3" in surgeon.init(graph).text
    made = surgeon.init(graph, input_specs={"x": "1x8x8x3"}, constants={"gain": 2})
    assert "{step: set-shape, nodes: {x: {shape: [1, 8, 8, 3]}}}" in made.text
    assert "{step: fix-inputs, values: {gain: 2}}" in made.text
    assert "x float32[1,8,8,3] in" in made.summary and not made.errors
    with pytest.raises(surgeon.SurgeonError, match="S225"):
        surgeon.init(graph, input_specs={"z": "1"})


def test_a_tensor_that_is_given_as_an_input_becomes_one() -> None:
    graph = parse_graph(LOGITS + SOFTMAX)
    made = surgeon.init(graph, input_specs={"pooled": "1x3"})
    assert made.summary.endswith("pooled float32[1,3] in, classes float32[1,2] out")
    result = surgeon.plan(made.recipe, graph).result
    assert result is not None and "x" not in result


def test_what_a_target_refuses_is_an_error_of_the_recipe() -> None:
    along = "along = Const() {dtype: int32, value: tensor<int32[]: 1>}\n"
    cumsum = "y = Cumsum(logits, along) {T: float32, Tidx: int32, exclusive: false, reverse: false}\n"
    graph = parse_graph(LOGITS + along + cumsum)
    made = surgeon.init(graph)
    assert [each.code for each in made.errors] == ["X101"] and made.accepted_by == ("onnx@onnxruntime",)
    *_, refused, message, help, accepted = made.text.splitlines()
    assert refused == "# uff@tensorrt-8.5 refuses the recipe as it is:"
    assert message.startswith("# - X101: 'y' (Cumsum)") and help.startswith("#   help: ")
    assert accepted == "# onnx@onnxruntime may take it: give --target."
    assert surgeon.parse_recipe(made.text).outputs == made.recipe.outputs
    accepted_recipe = surgeon.init(graph, target="onnx@onnxruntime")
    assert not accepted_recipe.errors and not accepted_recipe.accepted_by
    assert "refuses" not in accepted_recipe.text


def test_no_target_is_named_for_an_operation_that_nobody_knows() -> None:
    made = surgeon.init(parse_graph(LOGITS + "y = MyOp(logits) {T: float32}\n"))
    assert [each.code for each in made.errors] == ["X101"] and not made.accepted_by
    assert "may take it" not in made.text


def test_a_recipe_that_cannot_be_planned_is_written_with_the_reason() -> None:
    cycle = """graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
a = Add(x, b) {T: float32}
b = Identity(a) {T: float32}
y = Relu(b) {T: float32}
"""
    made = surgeon.init(parse_graph(cycle))
    assert [each.code for each in made.errors] == ["G107"] and not made.accepted_by
    assert made.recipe.outputs == ("y",) and "# - G107: the graph has a cycle" in made.text


def test_a_pipeline_config_and_labels_are_of_no_use() -> None:
    (warning,) = surgeon.init(parse_graph(LOGITS), labels={1: "cat"}).diagnostics
    assert warning.code == "D151" and "labels" in warning.message
