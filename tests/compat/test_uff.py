"""UFF files of scripts: the incumbent's mapping, its quirks that are kept, and what it gets wrong, told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import surgeon.compat.graphsurgeon as gs
import surgeon.compat.uff as uff
from surgeon.compat import collecting
from surgeon.compat.target import for_target
from surgeon.compat.uff.converters.tensorflow.converter import TensorFlowToUFFConverter
from surgeon.compat.uff.model import uff_pb2
from surgeon.compat.uff.model.utils import convert_to_str
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.formats.graphdef.protos import GraphDef
from surgeon.formats.uff import print_uff, read_uff
from surgeon.graph import DType


def graph(*lines: str) -> gs.DynamicGraph:
    """Return a graph of lines such as ``NAME OP INPUT ...``; a Placeholder is [1, 3, 8, 8], a Const [1, 2]."""
    message = GraphDef()
    for line in lines:
        name, op, *inputs = line.split()
        node = message.node.add(name=name, op=op, input=inputs)
        if op == "Placeholder":
            gs.update_node(node, dtype=DType.FLOAT32, shape=[1, 3, 8, 8])
        if op == "Const":
            gs.update_node(node, dtype=DType.INT32, value=np.array([1, 2], np.int32))
    return gs.DynamicGraph(message)


def lines(found: gs.DynamicGraph, tmp_path: Path, *outputs: str) -> list[str]:
    """Return the lines of the UFF file of a graph that stand for nodes, without those of constants."""
    data = uff.from_tensorflow(found, list(outputs), quiet=True)
    (tmp_path / "m.uff").write_bytes(data)
    text = print_uff(read_uff(tmp_path / "m.uff")).replace('"', "")
    return [line for line in text.splitlines() if " = " in line and " = Const" not in line and line[0] != "@"]


@pytest.fixture
def remarks() -> Iterator[list[Diagnostic]]:
    """Collect the warnings about scripts."""
    with collecting() as found:
        yield found


class TestMapping:
    """Single operations."""

    def test_what_uff_lacks_becomes_a_custom_node_with_every_attribute(
        self, tmp_path: Path, remarks: list[Diagnostic]
    ) -> None:
        found = graph("x Placeholder", "c Cast x", "a AddV2 c x:1 ^n", "n NoOp")
        gs.update_node(
            found["c"], SrcT=DType.BOOL, DstT=DType.FLOAT32, kept=0.5, text="ab", few=[1, 2], none=[]
        )
        found["c"].attr["flag"].b = False
        found["c"].attr["T"].list.type.extend([1])
        assert lines(found, tmp_path, "a") == [
            "a = _AddV2(c, x, n)",
            "n = _NoOp()",
            "x = Input() {dtype: float32, shape: [1, 3, 8, 8]}",
            "c = _Cast(x) {DstT: float32, SrcT: unset, T: unset, few: [1, 2], flag: false, kept: 0.5, text: b'ab'}",
            "MarkOutput_0 = MarkOutput(a)",
        ]
        assert {d.code for d in remarks} == {"P114", "P115"}
        assert "gs.update_node(node, op='Add')" in next(d for d in remarks if "_AddV2" in d.message).help[0]

    def test_an_identity_is_passed_over_once(self, tmp_path: Path) -> None:
        found = graph("x Placeholder", "i Identity x", "j Identity i", "r Relu j", "s Relu6 i")
        assert lines(found, tmp_path, "s", "r") == [
            "s = Activation(x) {func: relu6}",
            "x = Input() {dtype: float32, shape: [1, 3, 8, 8]}",
            "r = Activation(i) {func: relu}",
            "i = Identity(x)",
            "MarkOutput_0 = MarkOutput(s)",
            "MarkOutput_1 = MarkOutput(r)",
        ]

    def test_flatten_goes_by_the_namespace(self, tmp_path: Path) -> None:
        found = graph(
            "x Placeholder",
            "c Const",
            "net/flatten_1/Reshape Reshape x c",
            "r Reshape net/flatten_1/Reshape c",
        )
        assert lines(found, tmp_path, "r")[:2] == [
            "r = Reshape(net/flatten_1/Reshape, c)",
            "net/flatten_1/Reshape = Flatten(x)",
        ]

    def test_the_attribute_axis_of_a_scripts_concat(self, tmp_path: Path) -> None:
        found = graph("x Placeholder", "a ConcatV2 x x", "b Pow x a")
        gs.update_node(found["a"], axis=2)
        assert lines(found, tmp_path, "b")[:2] == [
            "b = Binary(x, a) {func: pow}",
            "a = Concat(x, x) {axis: 2}",
        ]

    def test_convolutions(self, tmp_path: Path) -> None:
        found = graph(
            "x Placeholder",
            "w Const",
            "p Const",
            "pad Pad x p",
            "conv Conv2D pad w",
            "deep DepthwiseConv2dNative conv w",
            "back Conv2DBackpropInput s w deep",
            "s Const",
            "b Const",
            "bias BiasAdd back b",
            "bn FusedBatchNorm bias s s s s",
        )
        gs.update_node(found["w"], value=np.zeros((1, 1, 3, 1), np.float32))
        found["w"].attr["value"].tensor.Clear()
        gs.update_node(found["w"], value=np.zeros((1, 1, 3, 1), np.float32))
        found["w"].attr["dtype"].type = 1
        found["p"].attr["value"].tensor.Clear()
        gs.update_node(found["p"], value=np.array([[0, 0], [0, 0], [1, 1], [2, 2]], np.int32))
        for name, padding in (("conv", "VALID"), ("deep", "SAME"), ("back", "SAME")):
            gs.update_node(found[name], strides=[1, 1, 2, 2], padding=padding, data_format="NCHW")
        for name in ("bias", "bn"):
            gs.update_node(found[name], data_format="NCHW", epsilon=0.5)
        gs.update_node(found["deep"], dilations=[1, 1, 3, 3])
        assert lines(found, tmp_path, "bn")[:5] == [
            "bn = BatchNorm(bias, s, s, s, s) {epsilon: 0.5, inputs_orders: @orders_NC+}",
            "bias = Binary(back, b) {func: add}",
            "back = ConvTranspose(deep, w, s) {implicit_padding: same, inputs_orders: @orders_NC+_+KC, strides: [2, 2]}",
            "deep = Conv(conv, w) {dilation: [3, 3], implicit_padding: same, inputs_orders: @orders_NC+_+CK, number_groups: 3, strides: [2, 2]}",
            "conv = Conv(x, w) {inputs_orders: @orders_NC+_+CK, padding: [1, 2], strides: [2, 2]}",
        ]
        bias = next(node for node in read_uff(tmp_path / "m.uff").nodes if node.id == "b")
        assert bias.fields["shape"].value == (2, 1, 1)

    def test_a_dilated_chain_is_one_convolution(self, tmp_path: Path) -> None:
        found = graph(
            "x Placeholder",
            "w Const",
            "bs Const",
            "p Const",
            "c Const",
            "sp SpaceToBatchND x bs p",
            "conv Conv2D sp w",
            "out BatchToSpaceND conv bs c",
        )
        gs.update_node(found["conv"], strides=[1, 1, 1, 1], padding="VALID")
        for name, value in (("p", [[2, 3], [4, 5]]), ("c", [[1, 2], [1, 2]])):
            found[name].attr["value"].tensor.Clear()
            gs.update_node(found[name], value=np.array(value, np.int32))
        assert (
            lines(found, tmp_path)[0]
            == "conv = Conv(x, w) {dilation: [1, 2], inputs_orders: @orders_N+C_+CK, padding: [1, 3], strides: [1, 1]}"
        )

    @pytest.mark.parametrize(
        ("op", "code"),
        [
            ("ExpandDims", "X102"),
            ("Add", "X104"),
            ("StridedSlice", "X104"),
            ("DepthwiseConv2dNative", "X104"),
        ],
    )
    def test_what_cannot_be_written_is_told(self, op: str, code: str) -> None:
        found = graph("x Placeholder", f"a {op} x" + " x" * (op == "ExpandDims"))
        found["a"].attr["new_axis_mask"].i = 1
        with pytest.raises(SurgeonError, match=code):
            uff.from_tensorflow(found, ["a"], quiet=True)


class TestHooks:
    """What scripts patch and read."""

    def test_a_patched_padding_is_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # TAO's exporter lets an Identity stand between the Pad and the convolution.
        def patched(
            tf_node: object, inputs: list[str], tf_nodes: object
        ) -> tuple[list[str], list[int], dict[str, str]]:
            return ["x", *inputs[1:]], [7, 7], {}

        monkeypatch.setattr(TensorFlowToUFFConverter, "apply_fused_padding", patched)
        found = graph("x Placeholder", "r Relu x", "p MaxPool r")
        gs.update_node(found["p"], ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1])
        assert lines(found, tmp_path, "p")[0] == (
            "p = Pool(x) {func: max, inputs_orders: @orders_N+C, kernel: [2, 2], padding: [7, 7], strides: [2, 2]}"
        )

    def test_a_registered_function_is_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TensorFlowToUFFConverter, "registry_", dict(TensorFlowToUFFConverter.registry_))

        @TensorFlowToUFFConverter.register(["AddV2"])
        def add(name: str, tf_node: object, inputs: list[str], uff_graph: object, **_: object) -> list[str]:
            return TensorFlowToUFFConverter.registry_["Identity"](name, tf_node, inputs, uff_graph)  # type: ignore[return-value]

        assert lines(graph("x Placeholder", "a AddV2 x x"), tmp_path, "a")[0] == "a = Identity(x)"

    def test_the_bytes_are_read_as_protobuf(self) -> None:
        # jetbot's script reads the input's sizes so.
        message = uff_pb2.MetaGraph()
        message.ParseFromString(uff.from_tensorflow(graph("x Placeholder", "r Relu x"), ["r"], quiet=True))
        nodes = message.ListFields()[3][1][0].nodes
        assert [node.id for node in nodes] == ["r", "x", "MarkOutput_0"]
        assert nodes[1].fields["shape"].i_list.val[3] == 8
        assert convert_to_str(b"NHWC") == convert_to_str("NHWC") == "NHWC"


class TestArguments:
    """from_tensorflow and from_tensorflow_frozen_model."""

    LINES = ("x Placeholder", "r Relu x", "a Assert r", "t Tanh r ^a")

    def test_outputs_by_name_position_or_none(self) -> None:
        for given, wanted in (
            (["t"], "t"),
            ("t", "t"),
            (("t:0",), "t"),
            ([4], "t"),
            (["-1"], "t"),
            ([2], "r"),
            ((), "t"),
        ):
            _, inputs, outputs = uff.from_tensorflow(
                graph(*self.LINES), given, quiet=True, return_graph_info=True
            )
            assert ([n.name for n in inputs], [n.name for n in outputs]) == (["x"], [wanted])
        names: list[object] = [4]
        uff.from_tensorflow(graph(*self.LINES), names, quiet=True)
        assert names == ["t"]

    def test_an_output_that_only_an_assert_reads_stays(self) -> None:
        found = graph(*self.LINES[:3])
        assert len(uff.from_tensorflow(found, ["r"], quiet=True)) > 40 and [n.name for n in found] == [
            "x",
            "r",
        ]

    def test_what_only_an_assert_reads_goes_where_an_output_waits_for_the_assert(self) -> None:
        found = graph("x Placeholder", "r Relu x", "g Greater x", "a Assert g", "t Tanh r ^a")
        uff.from_tensorflow(found, ["t"], quiet=True)
        assert [n.name for n in found] == ["x", "r", "t"]

    def test_unknown_outputs(self) -> None:
        with pytest.raises(SurgeonError, match=r"P111.*'scores boxes'"):
            uff.from_tensorflow(graph(*self.LINES), "scores boxes", quiet=True)
        with pytest.raises(SurgeonError, match=r"P111.*no output can be found"):
            uff.from_tensorflow(graph("x Placeholder"), quiet=True)

    def test_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        graph(*self.LINES, "c Const", "m Mul t c").write(tmp_path / "m.pb")
        kept = uff.from_tensorflow_frozen_model(
            tmp_path / "m.pb",
            ["m"],
            output_filename=str(tmp_path / "o.uff"),
            text=True,
            write_preprocessed=True,
        )
        assert (tmp_path / "o.uff").read_bytes() == kept
        assert 'operation: "Binary"' in (tmp_path / "o.pbtxt").read_text()
        assert len(gs.StaticGraph(tmp_path / "o_preprocessed.pb")) == 5
        assert capsys.readouterr().out.splitlines()[-2:] == [
            "UFF: 6 nodes; inputs: x; outputs: m",
            f"UFF: written to {tmp_path / 'o.uff'}",
        ]
        assert uff.from_tensorflow(tmp_path / "m.pb", list_nodes=True) is None
        assert capsys.readouterr().out.splitlines()[1] == '2 Relu: "r"'

    def test_a_large_constant_is_abridged_in_the_text(self, tmp_path: Path) -> None:
        found = graph("x Placeholder", "c Const", "m Mul x c")
        found["c"].attr["value"].tensor.Clear()
        gs.update_node(found["c"], value=np.zeros(9, np.int32))
        uff.from_tensorflow(found, ["m"], quiet=True, text=True, output_filename=tmp_path / "o.uff")
        assert "(...36 bytes skipped...)" in (tmp_path / "o.pbtxt").read_text()

    def test_an_input_is_put_in_under_its_own_or_another_name(self, tmp_path: Path) -> None:
        for name in ("", "r", "Input"):
            found = graph(*self.LINES)
            data = uff.from_tensorflow(found, ["t"], quiet=True, input_node=[f"r,{name},float32,1,5"])
            (tmp_path / "m.uff").write_bytes(data)
            assert [(n.id, n.inputs) for n in read_uff(tmp_path / "m.uff").nodes][:2] == [
                ("t", (name or "r",)),
                (name or "r", ()),
            ]
        for bad in ("q,,float32,1", "r,,float99,1", "r", "r,,float32,a"):
            with pytest.raises(SurgeonError, match="P112"):
                uff.from_tensorflow(graph(*self.LINES), ["t"], quiet=True, input_node=[bad])

    def test_a_keyword_that_is_none_is_told(self, tmp_path: Path, remarks: list[Diagnostic]) -> None:
        uff.from_tensorflow(graph(*self.LINES), ["t"], quiet=True, out_filename=str(tmp_path / "n.uff"))
        assert [d.code for d in remarks] == ["P127"] and not list(tmp_path.iterdir())
        assert remarks[0].notes == ("nearest: 'output_filename'",)

    def test_a_preprocessor_runs_anew_each_time(self, tmp_path: Path) -> None:
        config = tmp_path / "config.py"
        (tmp_path / "names_of_this_model.py").write_text("OUTPUT = 'r'\n")
        for op in ("Tanh", "Sigmoid"):
            config.write_text(
                f"import names_of_this_model as n\ndef preprocess(graph):\n    graph[n.OUTPUT].op = '{op}'\n"
            )
            found = graph(*self.LINES)
            uff.from_tensorflow(found, ["t"], str(config), quiet=True)
            assert found["r"].op == op
        for text in (None, "x = 1\n"):
            other = tmp_path / "other.py"
            if text:
                other.write_text(text)
            with pytest.raises(SurgeonError, match="P113"):
                uff.from_tensorflow(graph(*self.LINES), ["t"], str(other), quiet=True)


class TestRemarks:
    """What the incumbent is silent about."""

    def test_leftovers_of_an_input_are_passed_over_and_others_refused(
        self, remarks: list[Diagnostic]
    ) -> None:
        # NVIDIA's sampleUffSSD/config.py ends in KeyError: 'image_tensor' on graphs that spell it with a port.
        uff.from_tensorflow(graph("x Placeholder image_tensor:0", "r Relu x"), ["r"], quiet=True)
        assert [(d.code, d.message) for d in remarks] == [
            ("P110", "'x' (Placeholder) reads 'image_tensor:0', which is not in the graph")
        ]
        with pytest.raises(SurgeonError, match=r"P110.*'r' .Relu. reads 'y:1'"):
            uff.from_tensorflow(graph("r Relu y:1"), ["r"], quiet=True)
        with pytest.raises(SurgeonError, match=r"P110.*'r' .Relu. reads 'i'"):
            uff.from_tensorflow(graph("r Relu i", "i Identity gone"), ["r"], quiet=True)
        pool = graph("r MaxPool pad", "pad Pad gone p", "p Const")
        gs.update_node(pool["r"], padding="VALID", ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1])
        gs.update_node(pool["p"], value=np.zeros((4, 2), np.int32))
        pool["p"].attr["value"].tensor.tensor_shape.dim.pop(0)
        pool["p"].attr["value"].tensor.tensor_content = bytes(32)
        with pytest.raises(SurgeonError, match=r"P110.*'r' .MaxPool. reads 'gone'"):
            uff.from_tensorflow(pool, ["r"], quiet=True)

    @pytest.mark.parametrize(("given", "told"), [([0, 2, 1], 0), ([1, 2, 0], 1), ([0, 1, 2], 1)])
    def test_the_order_of_inputs_is_checked_by_channels(
        self, remarks: list[Diagnostic], given: list[int], told: int
    ) -> None:
        uff.from_tensorflow(self.detector(given), ["NMS"], quiet=True)
        assert [d.code for d in remarks] == ["P119"] * told
        assert not told or "[0, 2, 1] in this graph" in remarks[0].message

    def test_the_order_is_checked_by_names_where_channels_do_not_tell(
        self, remarks: list[Diagnostic]
    ) -> None:
        uff.from_tensorflow(self.detector([2, 0, 1], classes=4), ["NMS"], quiet=True)
        assert [d.code for d in remarks] == ["P119"]

    def test_a_picture_among_the_inputs_is_told(self, remarks: list[Diagnostic]) -> None:
        found = self.detector([0, 2, 1])
        found["NMS"].input.append("Input")
        uff.from_tensorflow(found, ["NMS"], quiet=True)
        assert [d.code for d in remarks] == ["P118"]

    def test_a_graph_that_is_only_written_is_checked(self, tmp_path: Path, remarks: list[Diagnostic]) -> None:
        self.detector([1, 2, 0]).write(tmp_path / "m.pb")
        assert [d.code for d in remarks] == ["P119"]

    def test_a_plugin_that_the_target_lacks_and_text_are_told(self, remarks: list[Diagnostic]) -> None:
        for target, codes in (("uff@tensorrt-5.0", ["P116"]), ("uff@tensorrt-8.5", ["P117"])):
            found = graph("x Placeholder", "r ROIAlign_TRT x")
            gs.update_node(found["r"], op="ResizeNearest_TRT", trt_plugin=True, mode="SIGMOID")
            remarks.clear()
            with for_target(target):
                uff.from_tensorflow(found, ["r"], quiet=True)
            assert [d.code for d in remarks] == codes

    @staticmethod
    def detector(order: list[int], classes: int = 3) -> gs.DynamicGraph:
        found = graph(
            "Input Placeholder",
            "wb Const",
            "wc Const",
            "Shape Shape Input",
            "GridAnchor GridAnchor_TRT Shape",
            "head/BoxEncoding Conv2D Input wb",
            "head/ClassPredictor Conv2D Input wc",
            "prior ConcatV2 GridAnchor",
            "loc FlattenConcat_TRT head/BoxEncoding",
            "conf FlattenConcat_TRT head/ClassPredictor",
            "NMS NMS_TRT loc prior conf",
        )
        for name, channels in (("wb", 8), ("wc", 2 * classes)):
            found[name].attr["value"].tensor.Clear()
            gs.update_node(found[name], value=np.zeros((1, 1, 1, channels), np.int32))
        for name in ("head/BoxEncoding", "head/ClassPredictor"):
            gs.update_node(found[name], strides=[1, 1, 1, 1], padding="SAME")
        gs.update_node(found["prior"], axis=2)
        gs.update_node(found["NMS"], trt_plugin=True, inputOrder=order, numClasses=classes)
        return found


RESHAPED = ("x Placeholder", "dims Const", "r Reshape x dims", "a Relu r", "b Neg a", "out Exp b")


class TestShapeOfTheGraph:
    """Edges and ends that an edit leaves behind and that nobody asked for."""

    def test_what_forwarding_leaves_is_told_where_it_is_read(self, remarks: list[Diagnostic]) -> None:
        found = graph(*RESHAPED, "p My_TRT r out")
        found.forward_inputs([found["r"]])
        assert list(found["a"].input) == ["dims", "x"]
        uff.from_tensorflow(found, ["p"], quiet=True)
        told = [d.message for d in remarks if d.code == "P129"]
        assert told == ["'a' (Relu) reads 'dims', 'x'; expected 1 input"]

    def test_operations_with_the_inputs_they_take(self, remarks: list[Diagnostic]) -> None:
        found = graph(*RESHAPED, "s Softmax out dims", "c ConcatV2 s", "d Add dims c ^b")
        gs.update_node(found["c"], axis=2)
        one = gs.create_node("k", "Const", value=np.array([1], np.int32))
        # The two may be of different libraries, where TensorFlow is loaded.
        found["dims"].attr["value"].tensor.ParseFromString(one.attr["value"].tensor.SerializeToString())
        uff.from_tensorflow(found, ["d"], quiet=True)
        assert remarks == []

    def test_a_node_that_depends_on_itself(self, remarks: list[Diagnostic]) -> None:
        found = graph(*RESHAPED)
        found["a"].input[0] = "b"
        uff.from_tensorflow(found, ["out"], quiet=True)
        assert [d.code for d in remarks] == ["P130"] and "b <- a <- b" in remarks[0].message

    def test_an_output_of_the_network_that_is_taken_out(self, remarks: list[Diagnostic]) -> None:
        found = graph(*RESHAPED)
        found.remove(found.graph_outputs)
        uff.from_tensorflow(found, quiet=True)
        assert [d.code for d in remarks] == ["P140"] and "'b' is an output" in remarks[0].message
        uff.from_tensorflow(found, ["b"], quiet=True)  # as wanted
        assert len(remarks) == 1
        with pytest.raises(SurgeonError, match=r"P111.*'out' is not in the graph: the script takes it out"):
            uff.from_tensorflow(found, ["out"], quiet=True)

    def test_leftovers_of_a_collapse_are_no_outputs(self, remarks: list[Diagnostic]) -> None:
        found = graph(*RESHAPED, "left Neg out")
        found.collapse_namespaces({"out": gs.create_plugin_node("NMS", op="NMS_TRT")})
        found.remove(found.graph_outputs)
        uff.from_tensorflow(found, quiet=True)
        assert remarks == []
