"""The help of an error leads on: each case provokes an error, does what its help says, and works.

``says`` is the part of the help that is followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from small_model import GRAPH, RECIPE

import surgeon
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.graph.text import parse_graph

FED = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,4,4,3]}
"""

CHAIN = f"{FED}a = Relu(x) {{T: float32}}\nb = Neg(a) {{T: float32}}\ny = Relu(b) {{T: float32}}\n"

OPEN = "graph v1\nx = Placeholder() {dtype: float32, shape: shape[?,?,?,3]}\ny = Relu(x) {T: float32}\n"

CLIP = "clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}"
FED_CLIP = "Input: {op: Placeholder, like: x}, " + CLIP.replace("{plugin", "{inputs: [Input], plugin")
RESIZED = "larger: {plugin: ResizeNearest_TRT, fields: {scale: 2.0}}"
BATCHED = (
    "nms: {plugin: BatchedNMS_TRT, inputs: {boxes: boxes, scores: scores}, fields: {shareLocation: 1, "
    "backgroundLabelId: -1, numClasses: 3, topK: 5, keepTopK: 5, scoreThreshold: 0.1, iouThreshold: 0.5, "
    "isNormalized: 1}}"
)
SUPPRESSED = """\
graph v1
boxes = Placeholder() {dtype: float32, shape: shape[1,9,1,4]}
scores = Placeholder() {dtype: float32, shape: shape[1,9,3]}
nms/a = Relu(boxes) {T: float32}
nms/s = Relu(scores) {T: float32}
nms/b = SuppressedScores(nms/a, nms/s)
y = Relu(nms/b) {T: float32}
"""
NORM = "step: replace-op, from: FusedBatchNormV3, to: FusedBatchNorm"
NORMALIZED = (
    FED
    + """\
c = Const() {dtype: float32, value: tensor<float32[3]: 1.0>}
a = FusedBatchNormV3(x, c, c, c, c) {T: float32, U: float32, epsilon: 0.001, is_training: false}
b = FusedBatchNormV3(x, c, c, c, c) {T: float32, U: float32, epsilon: 0.001, is_training: false}
r = Relu(b) {T: float32}
y = Add(a:1, r) {T: float32}
"""
)
FLAT = (
    FED
    + """\
shape = Const() {dtype: int32, value: tensor<int32[2]: 1, 48>}
flat = Reshape(x, shape) {T: float32, Tshape: int32}
mean = Const() {dtype: int32, value: tensor<int32[1]: 0>}
kept = Mean(flat, mean) {T: float32, Tidx: int32, keep_dims: true}
y = Relu(kept) {T: float32}
"""
)
LEAKING = f"{FED}a = Relu(x) {{T: float32}}\ny = LeakyRelu(a) {{T: float32, alpha: 0.1}}\n"
INPUT = "Input: {op: Placeholder, like: pre/scaled}"
TAKEN = "picture: Input, pre: Input"

UFF, ONNX = "uff@tensorrt-8.5", "onnx@onnxruntime"


@dataclass(frozen=True)
class Case:
    """An error and what its help says.

    ``recipe`` and ``graph`` provoke ``code``; ``followed`` is the recipe and ``target_then`` the target after
    doing what it ``says``, each the same where it is empty.
    """

    code: str
    says: str
    recipe: str
    followed: str = ""
    graph: str = GRAPH
    target: str = UFF
    target_then: str = ""


def swapped(old: str, new: str, text: str = RECIPE) -> str:
    assert old in text
    return text.replace(old, new)


def recipe(outputs: str = "y", nodes: str = "", namespaces: str = "", steps: str = "prune") -> str:
    """Return a recipe; the parts are what stands in the brackets."""
    return (
        f"recipe: 1\nname: case\noutputs: [{outputs}]\nnodes: {{{nodes}}}\n"
        f"namespaces: {{{namespaces}}}\nsteps: [{steps}]\n"
    )


def small(*steps: str) -> str:
    """Return the small recipe with steps behind 'collapse'."""
    listed = "".join(f"  - {step}\n" for step in ("forward-identities", "collapse", *steps, "prune"))
    return f"{RECIPE}steps:\n{listed}"


def fed(*lines: str) -> str:
    return FED + "\n".join(lines) + "\n"


def outcome(recipe: str, graph: str, target: str, folder: Path) -> list[Diagnostic]:
    """Return the errors of checking a recipe and of converting with it, empty where it converts."""
    model = parse_graph(graph)
    suffix = ".uff" if target.startswith("uff") else ".onnx"
    if suffix == ".onnx":
        pytest.importorskip("tf2onnx")
    try:
        read = surgeon.parse_recipe(recipe)
        found = surgeon.check(read, model, target=target)
        if found.errors:
            return list(found.errors)
        surgeon.convert(read, model, folder / f"out{suffix}", target=target)
    except SurgeonError as exc:
        return list(exc.diagnostics)
    return []


CASES = {
    "a key twice": Case("R102", "keep one", swapped("name: small", "name: small\nname: smaller"), RECIPE),
    "a key misspelt": Case("R104", "nearest: 'namespaces'", swapped("namespaces:", "namespace:"), RECIPE),
    "an edit of steps misspelt": Case(
        "R104",
        "expected before, after, drop, append",
        RECIPE + "steps: {befor: {prune: [remove-asserts]}}\n",
        RECIPE + "steps: {before: {prune: [remove-asserts]}}\n",
    ),
    "no version": Case("R105", "add 'recipe:'", swapped("recipe: 1\n", ""), RECIPE),
    "a version to come": Case("R108", "write 'recipe: 1'", swapped("recipe: 1", "recipe: 2"), RECIPE),
    "a parameter that is not declared": Case(
        "R110",
        "declare it",
        swapped("$top", "$peak"),
        swapped("{top: 6.0}", "{peak: 6.0}").replace("$top", "$peak"),
    ),
    "a namespace of a node that is not defined": Case(
        "R114", "define the node", swapped("pre: Input", "pre: Inputs"), RECIPE
    ),
    "a namespace misspelt": Case(
        "R201", "correct the spelling", swapped("body/clipped: clip", "body/cliped: clip"), RECIPE
    ),
    "a namespace that may be absent": Case(
        "R201",
        "write 'ToFloat?' if its absence is meant",
        RECIPE + "  ToFloat: Input\n",
        RECIPE + "  ToFloat?: Input\n",
    ),
    "a selector without a match": Case(
        "R201",
        "add 'optional: true'",
        small('{step: remove, nodes: [{name: "Summary*"}]}'),
        small('{step: remove, nodes: [{name: "Summary*", optional: true}]}'),
    ),
    "an operation that is not there": Case(
        "R201",
        "take 'optional: false' away",
        small("{step: replace-op, from: AddV2, to: Add, optional: false}"),
        small("{step: replace-op, from: AddV2, to: Add}"),
    ),
    "a name that is taken": Case(
        "S102",
        "choose another name",
        small("{step: add-node, name: body/conv, op: Relu, inputs: [Input]}"),
        small("{step: add-node, name: body/relu, op: Relu, inputs: [Input]}"),
    ),
    "a node that is read": Case(
        "S103",
        "take the reader out as well",
        recipe(steps="{step: remove, nodes: [a]}, prune"),
        recipe(
            outputs="x", steps="{step: set-outputs, outputs: [x]}, {step: remove, nodes: [a, b, y]}, prune"
        ),
        graph=CHAIN,
    ),
    "a node that is an output": Case(
        "S103",
        "declare other outputs",
        recipe(steps="{step: set-outputs, outputs: [b]}, {step: remove, nodes: [b, y]}, prune"),
        recipe(outputs="a", steps="{step: set-outputs, outputs: [a]}, {step: remove, nodes: [b, y]}, prune"),
        graph=CHAIN,
    ),
    "a node that is not there yet": Case(
        "S202",
        "put 'clip' in by an earlier step",
        recipe(nodes=CLIP, steps="{step: set-outputs, outputs: [clip]}, prune", outputs="clip"),
        recipe(
            nodes=CLIP,
            outputs="clip",
            steps="{step: add-node, node: clip, inputs: [x]}, {step: set-outputs, outputs: [clip]}, prune",
        ),
        graph=CHAIN,
    ),
    "a name that is nowhere": Case(
        "S202",
        "correct the spelling",
        small("{step: add-node, name: twice, op: Relu, inputs: [Inptu]}"),
        small("{step: add-node, name: twice, op: Relu, inputs: [Input]}"),
    ),
    "a port without a name": Case(
        "S203",
        "only nodes that the recipe puts in have named ports",
        small("{step: set-outputs, outputs: ['body/conv:boxes']}"),
        small("{step: set-outputs, outputs: ['body/conv:0']}"),
    ),
    "a port that a plugin lacks": Case(
        "S203",
        "name one of its ports, or its number",
        small("{step: set-outputs, outputs: ['clip:boxes']}"),
        small("{step: set-outputs, outputs: ['clip:0']}"),
    ),
    "a tensor of another shape": Case(
        "S204",
        "choose the input that has the output's type and shape",
        recipe(steps="{step: forward, nodes: [b], input: 0}, prune"),
        recipe(steps="{step: forward, nodes: [b], input: 1}, prune"),
        graph=fed(
            "c = Const() {dtype: float32, value: tensor<float32[3]: 1.0>}",
            "b = Add(c, x) {T: float32}",
            "y = Relu(b) {T: float32}",
        ),
    ),
    "a name for two nodes": Case(
        "S207",
        "choose another name",
        small("{step: rename, nodes: {body/conv: body/weights}}"),
        small("{step: rename, nodes: {body/conv: body/convolution}}"),
    ),
    "a kind of attribute": Case(
        "S208",
        "for example {dtype: float32}",
        small("{step: set-attr, nodes: [body/conv], attrs: {mark: {float32: 1}}}"),
        small("{step: set-attr, nodes: [body/conv], attrs: {mark: {dtype: float32}}}"),
    ),
    "a node that reads nothing": Case(
        "S209",
        "write 'inputs' here",
        recipe(nodes=CLIP, outputs="clip", steps="{step: add-node, node: clip}, prune"),
        recipe(nodes=CLIP, outputs="clip", steps="{step: add-node, node: clip, inputs: [y]}, prune"),
        graph=CHAIN,
    ),
    "an operation that reads nothing": Case(
        "S209",
        "give the node 'inputs'",
        small("{step: add-node, name: twice, op: Relu}"),
        small("{step: add-node, name: twice, op: Relu, inputs: [Input]}"),
    ),
    "a position that is not there": Case(
        "S210",
        "leave 'at' out to append",
        recipe(steps="{step: connect, from: x, to: b, at: 7}, {step: replace-op, from: Neg, to: Add}, prune"),
        recipe(steps="{step: connect, from: x, to: y}, {step: disconnect, from: b, to: y}, prune"),
        graph=CHAIN,
    ),
    "an edge that is not there": Case(
        "S211",
        "write 'optional: true'",
        small("{step: disconnect, from: Input, to: clip}"),
        small("{step: disconnect, from: Input, to: clip, optional: true}"),
    ),
    "an input of a name that is taken": Case(
        "S215",
        "give another name with 'as'",
        recipe(steps="{step: cut-at, tensors: [a], as: [y]}, prune"),
        recipe(steps="{step: cut-at, tensors: [a], as: [Input]}, prune"),
        graph=CHAIN,
    ),
    "an input of unknown type": Case(
        "S215",
        "give it by 'shapes: {m: {shape: [...], dtype: ...}}'",
        recipe(steps="{step: cut-at, tensors: [m]}, prune"),
        recipe(
            steps="{step: cut-at, tensors: [m], shapes: {m: {shape: [1, 4, 4, 3], dtype: float32}}}, prune"
        ),
        graph=fed("m = Mystery(x)", "y = Relu(m) {T: float32}"),
    ),
    "two inputs of one name": Case(
        "S215",
        "give each its own name with 'as'",
        recipe(steps="{step: cut-at, tensors: [a, b], as: [Input, Input]}, prune", outputs="s"),
        recipe(steps="{step: cut-at, tensors: [a, b], as: [first, second]}, prune", outputs="s"),
        graph=CHAIN + "s = Add(a, b) {T: float32}\n",
    ),
    "no output": Case(
        "S216",
        "put 'set-outputs' before 'prune'",
        recipe(steps="prune", outputs="ghost", nodes="ghost: {op: Relu, inputs: [x]}"),
        recipe(steps="{step: set-outputs, outputs: [x]}, prune", outputs="x"),
        graph=FED,
    ),
    "an input of the recipe whose type is not known": Case(
        "D102",
        "add to 'Input' 'shape:', such as [1, 300, 300, 3], and 'dtype:', such as float32",
        recipe(
            nodes="Input: {op: Placeholder, like: m}",
            namespaces="m: Input, x: Input",
            steps="collapse, prune",
        ),
        recipe(
            nodes="Input: {op: Placeholder, like: m, dtype: float32, shape: [1, 4, 4, 3]}",
            namespaces="m: Input, x: Input",
            steps="collapse, prune",
        ),
        graph=fed("m = Mystery(x)", "y = Relu(m) {T: float32}"),
    ),
    "a collapse into nothing": Case(
        "S302",
        "define it under 'nodes'",
        recipe(nodes=CLIP, outputs="clip", steps="{step: collapse, take: {a: cilp}}, prune"),
        recipe(nodes=CLIP, outputs="clip", steps="{step: collapse, take: {a: clip}}, prune"),
        graph=CHAIN,
    ),
    "a list to take without a node": Case(
        "S303",
        "add 'into: NODE'",
        recipe(nodes=CLIP, outputs="y", steps="{step: collapse, take: [a, b]}, prune"),
        recipe(nodes=CLIP, outputs="y", steps="{step: collapse, take: [a, b], into: clip}, prune"),
        graph=CHAIN,
    ),
    "an output of several": Case(
        "S305",
        "say so in the collapse step: outputs: {'nms/b': 'nms:",
        recipe(nodes=BATCHED, steps="{step: collapse, take: {nms: nms}}, prune"),
        recipe(
            nodes=BATCHED,
            steps="{step: collapse, take: {nms: nms}, outputs: {nms/b: 'nms:scores'}}, prune",
        ),
        graph=SUPPRESSED,
        target="onnx@tensorrt-8.5",
    ),
    "a namespace that is entered again": Case(
        "S306",
        "take it into the namespace",
        recipe(nodes=CLIP, outputs="clip", namespaces="a: clip", steps="collapse, prune"),
        recipe(nodes=CLIP, outputs="clip", namespaces="a: clip, b: clip", steps="collapse, prune"),
        graph=fed(
            "a/one = Relu(x) {T: float32}", "b = Neg(a/one) {T: float32}", "a/two = Relu(b) {T: float32}"
        ),
    ),
    "arithmetic that would be left out": Case(
        "S307",
        "take it into a namespace",
        recipe(outputs="clip", nodes=FED_CLIP, namespaces="x: Input, y: clip", steps="collapse, prune"),
        recipe(
            outputs="clip",
            nodes=FED_CLIP,
            namespaces="x: Input, a: clip, b: clip, y: clip",
            steps="collapse, prune",
        ),
        graph=CHAIN,
    ),
    "a plugin that the target lacks": Case(
        "S401",
        "choose another target",
        recipe(nodes=RESIZED, outputs="larger", namespaces="a: larger", steps="collapse, prune"),
        graph=swapped("shape[?,4,4,3]", "shape[?,3,4,4]", CHAIN),
        target="uff@tensorrt-5.0",
        target_then=UFF,
    ),
    "an input that a plugin lacks": Case(
        "S402",
        "name the plugin's own inputs",
        swapped("    fields:", "    inputs: {boxes: body/conv}\n    fields:"),
        swapped("    fields:", "    inputs: {x: body/conv}\n    fields:"),
    ),
    "inputs of an operation by name": Case(
        "S402",
        "write a list: inputs: [Input]",
        swapped("nodes:\n", "nodes:\n  r: {op: Relu, inputs: {x: Input}}\n"),
        swapped("nodes:\n", "nodes:\n  r: {op: Relu, inputs: [Input]}\n"),
    ),
    "a shape that does not fit": Case(
        "S405",
        "correct the node's shape",
        swapped("like: pre/scaled", "dtype: float32, shape: [1, 8, 8, 3]"),
        swapped("like: pre/scaled", "dtype: float32, shape: [1, 4, 4, 3]"),
    ),
    "an output that no namespace becomes": Case(
        "S406",
        "a namespace or step uses",
        recipe(nodes=CLIP, outputs="clip", steps="collapse, prune"),
        recipe(nodes=CLIP, outputs="clip", namespaces="a: clip", steps="collapse, prune"),
        graph=CHAIN,
    ),
    "a picture of bytes": Case(
        "X101",
        "map its namespace to the input node",
        recipe(outputs="result"),
        recipe(outputs="result", nodes=INPUT, namespaces=TAKEN, steps="collapse, prune"),
    ),
    "a map that is made larger": Case(
        "X101",
        "add the step 'native-plugins'",
        recipe(),
        recipe(steps="native-plugins, prune"),
        graph=fed(
            "size = Const() {dtype: int32, value: tensor<int32[2]: 8, 8>}",
            "r = ResizeBilinear(x, size) {T: float32}",
            "y = Relu(r) {T: float32}",
        ),
    ),
    "a computed order of axes": Case(
        "X102",
        "put a constant in its place",
        recipe(),
        recipe(
            nodes="order: {op: Const, dtype: int32, value: [0, 3, 1, 2]}",
            namespaces="p: order",
            steps="collapse, prune",
        ),
        graph=fed(
            "p = Placeholder() {dtype: int32, shape: shape[4]}",
            "y = Transpose(x, p) {T: float32, Tperm: int32}",
        ),
    ),
    "an axis that depends on the batch": Case(
        "X102",
        "step 'pin-batch'), and add the step 'fold-constants'",
        recipe(),
        recipe(steps="{step: pin-batch, batch: 1}, fold-constants, prune"),
        graph=fed(
            "s = Shape(x) {T: float32, out_type: int32}",
            "i = Const() {dtype: int32, value: tensor<int32[]: 0>}",
            "zero = Const() {dtype: int32, value: tensor<int32[]: 0>}",
            "axis = GatherV2(s, i, zero) {Tparams: int32, Tindices: int32, Taxis: int32, batch_dims: 0}",
            "y = ConcatV2(x, x, axis) {T: float32, Tidx: int32, N: 2}",
        ),
    ),
    "a filling that depends on the batch": Case(
        "X101",
        "fix the input's size and fold constants",
        recipe(),
        recipe(steps="{step: pin-batch, batch: 1}, fold-constants, prune"),
        graph=fed(
            "s = Shape(x) {T: float32, out_type: int32}",
            "one = Const() {dtype: float32, value: tensor<float32[]: 1.0>}",
            "f = Fill(s, one) {T: float32, index_type: int32}",
            "y = Add(x, f) {T: float32}",
        ),
    ),
    "an output that only one operation has": Case(
        "S206",
        "take that reader out first",
        recipe(steps=f"{{{NORM}}}, prune"),
        recipe(outputs="r", steps=f"{{step: set-outputs, outputs: [r]}}, prune, {{{NORM}}}"),
        graph=NORMALIZED,
    ),
    "an operation that becomes a plugin by its name alone": Case(
        "S206",
        "take the step out where the target has the operation",
        recipe(steps="{step: replace-op, from: ResizeNearestNeighbor, to: ResizeNearest_TRT}, prune"),
        recipe(steps="prune"),
        graph=fed(
            "size = Const() {dtype: int32, value: tensor<int32[2]: 8, 8>}",
            "r = ResizeNearestNeighbor(x, size) {T: float32}",
            "y = Relu(r) {T: float32}",
        ),
    ),
    "an operation that has no native plugin": Case(
        "S411",
        "name another node",
        recipe(steps="{step: native-plugins, nodes: [a]}, prune"),
        recipe(steps="{step: native-plugins, nodes: [y]}, prune"),
        graph=LEAKING,
    ),
    "an operation that is left out": Case(
        "S411",
        "add 'LeakyRelu' to 'ops'",
        recipe(steps="{step: native-plugins, nodes: [y], ops: [Tile]}, prune"),
        recipe(steps="{step: native-plugins, nodes: [y], ops: [Tile, LeakyRelu]}, prune"),
        graph=LEAKING,
    ),
    "a part of unknown place": Case(
        "S412",
        "take it out of 'nodes'",
        recipe(outputs="y, t", steps="{step: native-plugins, nodes: [y, t]}, prune"),
        recipe(outputs="y", steps="{step: native-plugins, nodes: [y]}, prune"),
        graph=LEAKING
        + "m = Placeholder() {dtype: int32, shape: shape[4]}\nt = Tile(a, m) {T: float32, Tmultiples: int32}\n",
    ),
    "an input of open size": Case(
        "X106",
        "give the node's 'shape:' in the recipe",
        recipe(),
        recipe(
            nodes="Input: {op: Placeholder, like: x, shape: [1, 4, 4, 3]}",
            namespaces="x: Input",
            steps="collapse, prune",
        ),
        graph=OPEN,
    ),
    "an input of open size for ONNX": Case(
        "X143",
        "give the node's 'shape:' in the recipe",
        recipe(),
        recipe(
            nodes="Input: {op: Placeholder, like: x, shape: [1, 4, 4, 3]}",
            namespaces="x: Input",
            steps="collapse, prune",
        ),
        graph=OPEN,
        target="onnx@tensorrt-10",
    ),
    "an operation that ONNX lacks": Case(
        "X140",
        "map its namespace to a plugin",
        recipe(),
        recipe(nodes=CLIP, outputs="y", namespaces="m: clip", steps="collapse, prune"),
        graph=fed("m = Mystery(x)", "y = Relu(m) {T: float32}"),
        target=ONNX,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_following_the_help_leads_on(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    errors = outcome(case.recipe, case.graph, case.target, tmp_path)
    assert errors, "nothing is wrong"
    shown = "\n".join(each.render() for each in errors)
    assert case.code in [each.code for each in errors], shown
    advice = [text for each in errors if each.code == case.code for text in (*each.help, *each.notes)]
    assert case.says in "\n".join(advice), shown
    left = outcome(
        case.followed or case.recipe,
        case.graph,
        case.target_then or case.target,
        tmp_path,
    )
    assert not left, "\n".join(each.render() for each in left)


COMMANDS = {
    "a recipe beside": (
        "R112",
        "give its path: 'small.yaml'",
        "check small small.pb",
        "check small.yaml small.pb",
    ),
    "a parameter that is set": (
        "R110",
        "parameters: 'top'",
        "check small.yaml small.pb --set peak=3.0",
        "check small.yaml small.pb --set top=3.0",
    ),
    "a namespace to look into": (
        "G110",
        "nearest: 'body'",
        "inspect small.pb --under bodi",
        "inspect small.pb --under body",
    ),
    "a suffix of another format": (
        "X131",
        "choose a target for .onnx files, such as 'onnx@onnxruntime'",
        "convert small.yaml small.pb -o out.onnx --target uff@tensorrt-8.5",
        "convert small.yaml small.pb -o out.onnx --target onnx@onnxruntime",
    ),
    "a name of another format": (
        "X131",
        "name the output 'out.uff'",
        "convert small.yaml small.pb -o out.onnx --target uff@tensorrt-8.5",
        "convert small.yaml small.pb -o out.uff --target uff@tensorrt-8.5",
    ),
    "an option of another format": (
        "X152",
        "leave them out",
        "convert small.yaml small.pb -o out.uff --opset 17",
        "convert small.yaml small.pb -o out.uff",
    ),
    "an opset that is not written": (
        "X148",
        "leave it out for 17",
        "convert small.yaml small.pb -o out.onnx --opset 99",
        "convert small.yaml small.pb -o out.onnx",
    ),
    "a suffix that stands for nothing": (
        "T102",
        "expected .uff, .onnx, .pb, .pbtxt",
        "convert small.yaml small.pb -o out.bin",
        "convert small.yaml small.pb -o out.pbtxt",
    ),
    "a model made from a graph": (
        "E110",
        "'surgeon inspect' reads UFF and ONNX files",
        "check small.yaml made.uff",
        "inspect made.uff",
    ),
    "a recipe given as the model": (
        "G101",
        "surgeon check RECIPE MODEL",
        "diff small.yaml small.pb",
        "check small.yaml small.pb",
    ),
    "a plugin node where the runtime has none": (
        "X145",
        "choose '--plugins auto'",
        "convert small.yaml small.pb -o out.onnx --plugins native",
        "convert small.yaml small.pb -o out.onnx --plugins auto",
    ),
    "constant anchors without any": (
        "D104",
        "'anchors: plugin'",
        "check small.yaml small.pb --anchors constant",
        "check small.yaml small.pb --anchors plugin",
    ),
    "a batch that the graph fixes": (
        "X144",
        "export it for one picture (--batch 1)",
        "convert flat.yaml flat.pb -o out.onnx --batch dynamic",
        "convert flat.yaml flat.pb -o out.onnx --batch 1",
    ),
    "a plan of another graph": (
        "S404",
        "surgeon plan",
        "apply other.json small.pb -o out.pb",
        "plan small.yaml small.pb -o other.json",
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_following_the_help_of_a_command_leads_on(name: str, run, work: Path) -> None:
    code, says, wrong, right = COMMANDS[name]
    if ".onnx" in right:
        pytest.importorskip("tf2onnx")
    if "made.uff" in wrong:
        assert run("convert", "small.yaml", "small.pb", "-o", "made.uff").code == 0
    if "flat.pb" in wrong:
        Path("flat.yaml").write_text(recipe())
        surgeon.save_graph(parse_graph(FLAT), "flat.pb")
    if "other.json" in wrong:
        surgeon.convert("small.yaml", "small.pb", "other.pb")
        Path("other.yaml").write_text(recipe(outputs="clip"))
        assert run("plan", "other.yaml", "other.pb", "-o", "other.json").code == 0
    failed = run(*wrong.split())
    assert failed.code == 1 and f"[{code}]" in failed.err and says in failed.err, failed.err
    followed = run(*right.split())
    assert followed.code == 0, followed.err
    if "other.json" in wrong:
        assert run(*wrong.split()).code == 0
