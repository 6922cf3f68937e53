"""The recipe for feature pyramids, on a generated detector into which enlargements by repetition are put."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from detector_graphs import load

from surgeon.catalog import load_catalog
from surgeon.diagnostics import SurgeonError
from surgeon.formats.uff import describe, export_uff
from surgeon.graph import DType, Graph, Node, Ref, TensorValue
from surgeon.infer import evaluate
from surgeon.language import load_recipe
from surgeon.rewrite import plan
from surgeon.targets import load_target

CATALOG = load_catalog()
TOP_DOWN = "FeatureExtractor/MobilenetV1/fpn/top_down"
FLOAT = {"T": DType.FLOAT32}


def const(name: str, value: object, dtype: DType = DType.FLOAT32) -> Node:
    return Node(name, "Const", attrs={"dtype": dtype, "value": TensorValue.of(value, dtype)})


def enlargement(scope: str, source: Ref, small: int, channels: int, stacked: bool) -> list[Node]:
    """Return the nodes that repeat each pixel twice in height and width, in one of the two ways of the API."""
    reshape = {**FLOAT, "Tshape": DType.INT32}
    last = const(f"{scope}/shape", [-1, 2 * small, 2 * small, channels], DType.INT32)
    if stacked:
        return [
            Node(f"{scope}/stack", "Pack", (source, source), attrs={**FLOAT, "N": 2, "axis": 3}),
            Node(
                f"{scope}/stack_1", "Pack", (Ref(f"{scope}/stack"),) * 2, attrs={**FLOAT, "N": 2, "axis": 2}
            ),
            last,
            Node(f"{scope}/Reshape", "Reshape", (Ref(f"{scope}/stack_1"), Ref(last.name)), attrs=reshape),
        ]
    return [
        const(f"{scope}/Reshape/shape", [-1, small, 1, small, 1, channels], DType.INT32),
        Node(f"{scope}/Reshape", "Reshape", (source, Ref(f"{scope}/Reshape/shape")), attrs=reshape),
        const(f"{scope}/ones", np.ones((1, 1, 2, 1, 2, 1))),
        Node(f"{scope}/mul", "Mul", (Ref(f"{scope}/Reshape"), Ref(f"{scope}/ones")), attrs=FLOAT),
        last,
        Node(f"{scope}/Reshape_1", "Reshape", (Ref(f"{scope}/mul"), Ref(last.name)), attrs=reshape),
    ]


def pyramid(graph: Graph, stacked: bool = False) -> Graph:
    """Return the detector with its second map added to the first, and the first, halved, enlarged again."""
    named = {
        name: name.replace("MultipleGridAnchorGenerator", "MultiscaleGridAnchorGenerator")
        for name in graph.nodes
    }
    heads = [f"BoxPredictor_0/{kind}/Conv2D" for kind in ("BoxEncodingPredictor", "ClassPredictor")]
    first, second = graph[heads[0]].inputs[0], graph["BoxPredictor_1/BoxEncodingPredictor/Conv2D"].inputs[0]
    upsampling = f"{TOP_DOWN}/nearest_neighbor_upsampling"
    pool = Node(
        f"{TOP_DOWN}/halved",
        "MaxPool",
        (first,),
        attrs={
            **FLOAT,
            "ksize": (1, 2, 2, 1),
            "strides": (1, 2, 2, 1),
            "padding": b"SAME",
            "data_format": b"NHWC",
        },
    )
    weights = const(f"{TOP_DOWN}/projection/weights", np.full((1, 1, 128, 64), 0.01))
    projected = Node(
        f"{TOP_DOWN}/projection/Conv2D",
        "Conv2D",
        (second, Ref(weights.name)),
        attrs={**FLOAT, "strides": (1, 1, 1, 1), "padding": b"SAME", "data_format": b"NHWC"},
    )
    one, two = (
        enlargement(upsampling, Ref(projected.name), 3, 64, stacked),
        enlargement(f"{upsampling}_1", Ref(pool.name), 3, 64, stacked),
    )
    added = [
        Node(f"{TOP_DOWN}/add", "Add", (first, Ref(one[-1].name)), attrs=FLOAT),
        Node(f"{TOP_DOWN}/add_1", "Add", (Ref(f"{TOP_DOWN}/add"), Ref(two[-1].name)), attrs=FLOAT),
    ]
    nodes: list[Node] = []
    for node in graph:
        if node.name == f"{heads[0].rpartition('/')[0]}/weights":
            nodes += [weights, projected, pool, *one, *two, *added]
        inputs = tuple(Ref(named[ref.node], ref.slot) for ref in node.inputs)
        if node.name in heads:
            inputs = (Ref(added[-1].name), *inputs[1:])
        nodes.append(
            Node(named[node.name], node.op, inputs, tuple(named[c] for c in node.control), node.attrs)
        )
    order = {node.name: node for node in nodes}
    made = Graph(order.values(), versions=graph.versions)
    return Graph([made[name] for name in made.topological()], versions=graph.versions).check()


@pytest.fixture(scope="module")
def plain(zoo_ssd: Callable[..., Path]) -> Graph:
    return load(zoo_ssd("2018", height=96, width=96, depth_multiplier=0.125))


@pytest.mark.parametrize("stacked", [False, True])
def test_enlargements_become_plugins(plain: Graph, stacked: bool) -> None:
    model = pyramid(plain, stacked)
    found = plan(load_recipe("ssd_fpn"), model, target=load_target("uff@tensorrt-8.5"))
    result = found.result
    assert result is not None and not [node.name for node in result if "nearest_neighbor" in node.name]
    for end, source in (("", f"{TOP_DOWN}/projection/Conv2D"), ("_1", f"{TOP_DOWN}/halved")):
        assert result[f"channels_first{end}"].inputs[0] == Ref(source)
        assert (
            result[f"enlarged{end}"].op == "ResizeNearest_TRT"
            and result[f"enlarged{end}"].attrs["scale"] == 2.0
        )
        assert result[f"enlarged{end}"].inputs == (Ref(f"channels_first{end}"),)
        assert result[f"upsampling{end}"].inputs[0] == Ref(f"enlarged{end}")
    assert result[f"{TOP_DOWN}/add"].inputs[1] == Ref("upsampling")
    written = describe(export_uff(result, plugins=CATALOG, target=load_target("uff@tensorrt-8.5")))
    assert [plugin["op"] for plugin in written["plugins"]].count("ResizeNearest_TRT") == 2


@pytest.mark.parametrize("stacked", [False, True])
def test_the_plugin_computes_what_the_namespace_did(plain: Graph, stacked: bool) -> None:
    model = pyramid(plain, stacked)
    source, last = (
        Ref(f"{TOP_DOWN}/halved"),
        Ref(f"{TOP_DOWN}/nearest_neighbor_upsampling_1/Reshape" + ("" if stacked else "_1")),
    )
    pixels = np.random.default_rng(7).normal(size=(1, 3, 3, 64)).astype(np.float32)
    wanted = evaluate(model, [last], {source: pixels})[0]
    reference = CATALOG.reference("ResizeNearest_TRT")
    assert reference is not None
    made = reference.run({"scale": 2.0}, [pixels.transpose(0, 3, 1, 2)])[0].transpose(0, 2, 3, 1)
    assert np.array_equal(made, wanted)
    assert not np.array_equal(
        reference.run({"scale": 2.0}, [pixels.transpose(0, 3, 2, 1)])[0].transpose(0, 2, 3, 1), wanted
    )


def test_a_graph_without_a_pyramid_is_refused(plain: Graph) -> None:
    with pytest.raises(SurgeonError, match="R201"):
        plan(load_recipe("ssd_fpn"), plain)
