"""The graphs and nodes of scripts: graphsurgeon's interface, its quirks that scripts need, its crashes mended."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

import surgeon.compat.graphsurgeon as gs
from surgeon.compat import ScriptWarning, collecting
from surgeon.compat.graphsurgeon._utils import _generate_iterable_for_search
from surgeon.compat.graphsurgeon.removal import tell_torn
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.formats.graphdef.protos import GraphDef
from surgeon.graph import DType


def graph(*lines: str) -> gs.DynamicGraph:
    """Return a graph of lines such as ``NAME OP INPUT ...``."""
    message = GraphDef()
    for line in lines:
        name, op, *inputs = line.split()
        message.node.add(name=name, op=op, input=inputs)
    return gs.DynamicGraph(message)


def text(found: gs.StaticGraph) -> list[str]:
    """Return the lines of a graph, without operations."""
    return [" ".join([node.name, *node.input]) for node in found]


@pytest.fixture
def remarks() -> Iterator[list[Diagnostic]]:
    """Collect the warnings about scripts."""
    with collecting() as found:
        yield found


class TestNodes:
    """create_node, create_plugin_node, update_node."""

    def test_keys_of_plugin_fields_say_their_type(self) -> None:
        node = gs.create_plugin_node(
            "NMS",
            op="NMS_TRT",
            dtype=DType.FLOAT32,
            topK=100,
            flag=True,
            share=1e-8,
            order=[0, 2, 1],
            mixed=[1, 2.5],
            text="SIGMOID",
            shape=[1, None, 300],
        )
        attrs = node.attr
        assert sorted(attrs) == [
            "dtype",
            "flag_u_int",
            "mixed_u_flist",
            "order_u_ilist",
            "shape",
            "share_u_float",
            "text_u_str",
            "topK_u_int",
        ]
        assert (attrs["dtype"].type, attrs["topK_u_int"].i, attrs["flag_u_int"].i) == (1, 100, 1)
        assert (list(attrs["order_u_ilist"].list.i), list(attrs["mixed_u_flist"].list.f)) == (
            [0, 2, 1],
            [1.0, 2.5],
        )
        assert attrs["text_u_str"].s == b"SIGMOID"
        assert [dim.size for dim in attrs["shape"].shape.dim] == [1, 0, 300]

    def test_a_node_without_op_has_its_name_as_op_and_plain_keys(self) -> None:
        # Configs of the TensorRT 4 era write no op.
        node = gs.create_node("NMS_TRT", axis=2)
        assert (node.op, node.attr["axis"].i) == ("NMS_TRT", 2)
        assert "axis_u_int" in gs.create_node("a", _do_suffix=True, axis=2).attr

    def test_a_type_by_name_is_a_type(self) -> None:
        assert gs.create_node("a", "Placeholder", dtype="float32").attr["dtype"].type == 1

    def test_numbers_of_numpy_and_tuples_are_taken(self) -> None:
        node = gs.create_plugin_node("a", op="b", n=np.int64(3), x=np.float32(0.5), shapes=(19, 10))
        assert (node.attr["n_u_int"].i, node.attr["x_u_float"].f) == (3, 0.5)
        assert list(node.attr["shapes_u_ilist"].list.i) == [19, 10]

    def test_update_appends(self) -> None:
        node = gs.create_node("a", "Add", inputs=["x"], shape=[1])
        gs.update_node(node, op="AddV2", inputs=["y"], shape=[2])
        assert (node.name, node.op, list(node.input)) == ("a", "AddV2", ["x", "y"])
        assert gs.shape(node) == [1, 2]

    @pytest.mark.parametrize("value", [["a", "b"], None, {"a": 1}])
    def test_a_value_that_no_attribute_holds_is_refused_with_the_line(self, value: object) -> None:
        with pytest.raises(SurgeonError, match=r"test_graphsurgeon.py:\d+.*P103.*'k' of 'a'"):
            gs.create_node("a", "b", k=value)

    def test_an_array_is_a_tensor_whose_type_the_node_states(self) -> None:
        value = np.array([[1.0, 2.0]], np.float32)
        node = gs.create_node("a", "Const", value=value, dtype=DType.FLOAT32)
        assert node.attr["value"].tensor.dtype == 0
        assert gs.shape(node) == [1, 2]
        assert np.array_equal(gs.extract_numpy_array(node), value)
        assert np.array_equal(gs.extract_numpy_array(gs.create_node("b", "Const", value=value)), value)
        assert gs.extract_numpy_array(gs.create_node("b", "Const", value=np.ones((2, 2)))).dtype == np.float64

    def test_a_listed_constant_is_an_array_too(self) -> None:
        node = gs.create_node("a", "Const")
        tensor = node.attr["value"].tensor
        tensor.dtype = 1
        tensor.tensor_shape.dim.add().size = 3
        tensor.float_val.append(2.0)
        assert gs.extract_numpy_array(node).tolist() == [2.0, 2.0, 2.0]

    def test_a_node_without_value_is_refused(self) -> None:
        with pytest.raises(SurgeonError, match=r"P104.*'a' .Add."):
            gs.extract_numpy_array(gs.create_node("a", "Add"))
        with pytest.raises(SurgeonError, match=r"P104.*do not agree"):
            gs.extract_numpy_array(
                gs.create_node("a", "Const", value=np.ones(2, np.int64), dtype=DType.INT32)
            )


class TestSearch:
    """StaticGraph."""

    FOUND = graph("x Placeholder", "a/b Const", "a/c Add x a/b:1", "a/d Relu ^x a/c", "ab Split")

    def test_maps(self) -> None:
        found = self.FOUND
        assert [node.name for node in found.node_outputs["x"]] == ["a/c", "a/d"]
        assert [node.name for node in found.node_outputs["a/b"]] == ["a/c"]
        assert [node.name for node in found.graph_outputs] == ["a/d"]
        assert [node.name for node in found.graph_inputs] == ["x"]
        assert (len(found), found["a/c"].op, found[1].name) == (5, "Add", "a/b")
        with pytest.raises(SurgeonError, match="G110"):
            found["a/x"]

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("a/.", ["a/b", "a/c", "a/d"]),
            ("a|ab", []),
            ("a/b", ["a/b"]),
            (["ab", "x"], ["x", "ab"]),
            ("a(b", []),
        ],
    )
    def test_a_path_is_equal_or_matches_from_the_start(self, pattern: str, names: list[str]) -> None:
        assert [node.name for node in self.FOUND.find_nodes_by_path(pattern)] == names

    def test_a_name_is_the_last_part(self) -> None:
        assert [node.name for node in self.FOUND.find_nodes_by_name({"b", "ab"})] == ["a/b", "ab"]
        assert [node.name for node in self.FOUND.find_nodes_by_op("Add")] == ["a/c"]
        assert [node.name for node in self.FOUND.find_nodes_by_op({"Add", "Relu"})] == ["a/c", "a/d"]

    def test_inputs_with_ports_and_marks_are_found(self) -> None:
        # find_node_inputs_by_name(graph_outputs[0], "Squeeze") ends in a KeyError there.
        assert [node.name for node in self.FOUND.find_node_inputs(self.FOUND["a/c"])] == ["x", "a/b"]
        assert [node.name for node in self.FOUND.find_node_inputs_by_name(self.FOUND["a/d"], "c")] == ["a/c"]
        assert [
            node.name for node in self.FOUND.find_node_inputs_by_op(self.FOUND["a/d"], "Placeholder")
        ] == ["x"]

    def test_chains_end_to_start_are_merged(self) -> None:
        found = graph("s1 S", "s2 S", "c1 C s1", "c2 C s2", "b B c1 c2", "b2 B")
        assert [[n.name for n in chain] for chain in found.find_node_chains_by_op(["S", "C", "B"])] == [
            ["s1", "s2", "c1", "c2", "b"]
        ]

    def test_another_graph_and_its_message_are_shared(self) -> None:
        first = graph("x Placeholder", "y Relu x")
        second = gs.DynamicGraph(first)
        second["y"].op = "Tanh"
        assert first["y"].op == "Tanh" and first.as_graph_def() is second.as_graph_def()

    def test_files(self, tmp_path: object) -> None:
        path = f"{tmp_path}/a.pb"
        graph("x Placeholder", "y Relu x").write(path)
        assert text(gs.StaticGraph(path)) == ["x", "y x"]
        with pytest.raises(SurgeonError, match="E101"):
            gs.DynamicGraph(f"{tmp_path}/b.pb")
        with open(f"{tmp_path}/c.pb", "wb") as handle:
            handle.write(b"no graph")
        with pytest.raises(SurgeonError, match="G101"):
            gs.DynamicGraph(f"{tmp_path}/c.pb")
        with pytest.raises(SurgeonError, match="P105"):
            gs.StaticGraph(3)

    def test_what_scripts_import_from_a_private_module(self) -> None:
        assert list(_generate_iterable_for_search("ab")) == ["ab"]
        assert list(_generate_iterable_for_search({"ab"})) == ["ab"]


class TestCollapse:
    """collapse_namespaces."""

    def test_the_longest_namespace_holds_and_inputs_follow_the_graph(self) -> None:
        found = graph(
            "x Placeholder",
            "G/a Add x G/b",
            "G/b Const",
            "G/C/c Concat G/a G/a x",
            "G_1/d Relu G/C/c",
            "out Relu G/C/c",
        )
        found.collapse_namespaces(
            {"G": gs.create_plugin_node("anchor", op="A"), "G/C": gs.create_node("concat", "B")}
        )
        assert text(found) == ["x", "G_1/d concat", "out concat", "anchor x", "concat anchor x"]

    def test_marks_and_ports_stay_in_the_inputs(self, remarks: list[Diagnostic]) -> None:
        # Scripts take "image_tensor:0" and "Input" out by name: model_ssd_mobilenet_v1 and its kind.
        found = graph(
            "image_tensor Placeholder",
            "P/a Cast image_tensor:0",
            "P/b Sub P/a:1 ^other",
            "other NoOp",
            "Post/n NMS P/b P/a:1",
            "r Relu Post/n",
        )
        plugins = {
            "P": gs.create_node("Input", "Placeholder"),
            "image_tensor": gs.create_node("Input", "Placeholder"),
            "Post": gs.create_plugin_node("NMS", op="NMS_TRT"),
        }
        found.collapse_namespaces(plugins)
        assert text(found) == ["other", "r NMS", "Input image_tensor:0 ^other", "NMS Input"]
        found.find_nodes_by_name("NMS")[0].input.remove("Input")
        found.find_nodes_by_name("Input")[0].input.remove("image_tensor:0")
        assert text(found)[-2:] == ["Input ^other", "NMS"]
        assert [(d.code, d.message) for d in remarks] == [
            ("P109", "'NMS' read 'P/a:1', and now reads 'Input': the port is lost")
        ]

    def test_a_control_edge_inside_a_namespace_is_inside(self) -> None:
        # Constants in the loops of Postprocessor have such an edge; golden files have none of them as an input.
        found = graph(
            "x Placeholder", "P/while/c Const ^P/while/id", "P/while/id Identity x", "r Relu ^P/while/id"
        )
        found.collapse_namespaces({"P": gs.create_node("p", "P")})
        assert text(found) == ["x", "r p", "p x"]

    def test_equal_inputs_are_one_unless_they_may_repeat(self) -> None:
        for unique, inputs in ((True, "p x"), (False, "p x x")):
            found = graph("x Placeholder", "P/a Relu x", "P/b Relu x")
            found.collapse_namespaces({"P": gs.create_node("p", "P")}, unique_inputs=unique)
            assert text(found) == ["x", inputs]

    def test_excluded_nodes_stay_as_nodes_or_names(self) -> None:
        # mask_rcnn/export needs it, and fails with the package as it is shipped.
        for as_names in (True, False):
            found = graph("x Placeholder", "P/a Relu x", "P/b Relu P/a", "P/c Relu P/b")
            excluded = ["P/b"] if as_names else found.find_nodes_by_path("P/b")
            found.collapse_namespaces({"P": gs.create_node("p", "P")}, exclude_nodes=excluded)
            assert text(found) == ["x", "P/b p", "p x P/b"]

    def test_the_node_is_copied_in_and_keeps_its_inputs(self) -> None:
        found = graph("x Placeholder", "P/a Relu x", "y Relu P/a")
        node = gs.create_plugin_node("p", op="P", inputs=["first"])
        found.collapse_namespaces({"P": node})
        held = found.find_nodes_by_name("p")[0]
        assert list(node.input) == ["first", "x"]  # a second run of the same map begins with these
        node.op = "Q"
        found.remove("y")
        held.op = "R"
        assert text(found) == ["x", "p first x"] and found["p"].op == "R"

    def test_a_key_without_match_is_told_where_it_stands(self, remarks: list[Diagnostic]) -> None:
        found = graph("x Placeholder", "Postprocessor/a Relu x")
        found.collapse_namespaces({"Postprocesor": gs.create_node("NMS", "NMS_TRT")})
        assert text(found) == ["x", "Postprocessor/a x", "NMS"]
        assert [d.code for d in remarks] == ["P101"]
        assert remarks[0].notes == ("nearest: 'Postprocessor'",)
        assert str(remarks[0].where).startswith(__file__) and '"Postprocesor"' in remarks[0].where.text  # type: ignore[union-attr]

    def test_without_a_collector_a_warning_of_python_tells_it(self) -> None:
        with pytest.warns(ScriptWarning, match="P101.*'q' matches no node"):
            graph("x Placeholder").collapse_namespaces({"q": gs.create_node("n", "N")})

    def test_tensors_that_become_one_edge_are_told(self, remarks: list[Diagnostic]) -> None:
        found = graph("P/a Relu", "P/b Relu", "s Sub P/a P/b")
        found.collapse_namespaces({"P": gs.create_node("p", "P")})
        assert text(found) == ["s p", "p"] and [d.code for d in remarks] == ["P109"]

    def test_what_is_no_node_is_refused(self) -> None:
        with pytest.raises(SurgeonError, match=r"test_graphsurgeon.py:\d+.*P102"):
            graph("x Placeholder").collapse_namespaces({"some/scope": "NMS"})


class TestEdits:
    """remove, forward_inputs, append, extend, add, connect, disconnect, sort."""

    LINES = ("x Placeholder", "c Const", "a Assert c", "y Relu x ^a", "z Relu a:1")

    def test_remove_takes_edges_but_those_with_a_port(self) -> None:
        for given in ("a", ["a"], None):
            found = graph(*self.LINES)
            found.remove(found.find_nodes_by_op("Assert") if given is None else given)
            assert text(found) == ["x", "c", "y x", "z a:1"]

    def test_dependencies_go_with_their_last_reader(self, remarks: list[Diagnostic]) -> None:
        found = graph(*self.LINES, "c2 Const c", "b Assert c c2")
        found.remove(found.find_nodes_by_op("Assert"), remove_exclusive_dependencies=True)
        assert text(found) == ["x", "y x", "z a:1"] and not remarks

    def test_what_is_read_by_port_or_control_edge_goes_even_if_others_read_it(
        self, remarks: list[Diagnostic]
    ) -> None:
        found = graph("s Split", "b Const", "a Assert s:1 ^b", "y Relu s b")
        found.remove("a", remove_exclusive_dependencies=True)
        assert text(found) == ["y"]
        assert not remarks
        tell_torn(found.as_graph_def(), {"y"})
        assert [d.code for d in remarks] == ["P108"] and "(and 1 node more)" in remarks[0].message
        tell_torn(GraphDef(), {"y"})
        tell_torn(found.as_graph_def(), {"z"})
        assert len(remarks) == 1

    def test_an_unknown_name_is_told_with_the_nearest(self) -> None:
        with pytest.raises(SurgeonError, match=r"G110.*'Assrt'"):
            graph(*self.LINES).remove("Assrt")

    def test_forwarding_keeps_the_place_of_a_single_input(self) -> None:
        # forward_inputs(find_nodes_by_op("Identity")) stands in most scripts.
        found = graph(
            "x P", "w Const", "r Identity w", "i Identity x", "j Identity i", "s Sub r j", "t Mul j j"
        )
        found.forward_inputs(found.find_nodes_by_op("Identity"))
        assert text(found) == ["x", "w", "s w x", "t x x"]

    def test_all_inputs_are_spliced_the_last_first(self) -> None:
        found = graph("x P", "a Const", "I Squeeze x a", "J Add I a")
        found.forward_inputs(found["I"])
        assert text(found) == ["x", "a", "J a x a"]

    def test_nodes_with_a_control_input_stay_and_ports_and_marks_go_wrong_as_scripts_know_it(self) -> None:
        found = graph("x P", "i Identity x", "k Identity x ^x", "r Relu i:0 ^i k")
        found.forward_inputs(found.find_nodes_by_op("Identity"))
        assert text(found) == ["x", "k x ^x", "r i:0 x k"]

    def test_appended_nodes_leave_the_maps_as_they_were(self) -> None:
        found = graph("x P", "y Relu x")
        found.append(gs.create_node("n", "NMS", inputs=["y"]))
        found.extend([gs.create_node("m", "M")])
        assert [node.name for node in found] == ["x", "y", "n", "m"]
        assert [node.name for node in found.graph_outputs] == ["y"]
        assert [node.name for node in found.find_node_inputs(found["n"])] == ["y"]
        found.remove("m")
        assert [node.name for node in found.graph_outputs] == ["n"]
        with pytest.raises(SurgeonError, match="G105"):
            found.add(gs.create_node("n", "N"))
        found.add([gs.create_node("o", "N")])
        assert len(found) == 4

    def test_edges(self, remarks: list[Diagnostic]) -> None:
        found = graph("x P", "y Relu x", "z Add")
        found.connect("y", "z")
        found.connect(found["x"], found["z"])
        found.sort("z", ["x"])
        assert list(found["z"].input) == ["x", "y"] and not remarks
        found.disconnect("x", "z")
        assert list(found["z"].input) == ["y"] and not remarks
        found.connect("y", "z")
        found.disconnect("x", "z")
        found.sort("z", ["q"])
        assert [d.code for d in remarks] == ["P107"] * 3
        for call in (
            lambda: found.connect("y", "z", True),
            lambda: found.disconnect("x", "z", True),
            lambda: found.sort("z", ["q"], True),
        ):
            with pytest.raises(SurgeonError, match="P107"):
                call()

    def test_duplicates_go_and_the_order_stays(self) -> None:
        found = graph("z Add x y x")
        gs.recovery.remove_duplicates(found, ["z"])
        assert text(found) == ["z x y"]


class TestExtras:
    """Chains that are one operation."""

    def test_dilated_convolution(self) -> None:
        found = graph(
            "x P",
            "bs Const",
            "p Const",
            "c Const",
            "w Const",
            "s SpaceToBatchND x bs p",
            "conv Conv2D s w",
            "b BatchToSpaceND conv bs c",
            "r Relu b",
        )
        gs.extras.process_dilated_conv(found)
        assert text(found)[-2:] == ["conv x w bs p c", "r conv"]

    def test_softmax(self) -> None:
        found = graph(
            "x P",
            "sub Sub",
            "pack Pack sub",
            "slice Slice pack",
            "cat ConcatV2 slice",
            "flat Reshape x cat",
            "sm Softmax flat",
            "back Reshape sm shape",
            "r Relu back",
        )
        gs.extras.process_softmax(found)
        assert text(found)[-2:] == ["sm x", "r sm"]


def test_many_nodes_of_a_namespace_become_one() -> None:
    message = GraphDef()
    for number in range(3000):
        inputs = [f"P/n{number - 1}" if number else "x", f"c{number % 7}"]
        message.node.add(name=f"P/n{number}", op="Relu", input=inputs)
    found = gs.DynamicGraph(message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.collapse_namespaces({"P": gs.create_node("p", "P")})
    assert text(found) == ["p x " + " ".join(f"c{number}" for number in range(7))]
