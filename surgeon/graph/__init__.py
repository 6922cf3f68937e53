"""The immutable graph: nodes, references, attribute values, edits, text form."""

from surgeon.graph.diff import Change, GraphDiff, NodeChange, diff_graphs
from surgeon.graph.dtypes import DType
from surgeon.graph.edits import Add, Drop, Edit, Rewire, SetAttr, SetOp, SetOutputs, apply_edits
from surgeon.graph.graph import Graph, Versions
from surgeon.graph.node import NODE_NAME, Node, Ref
from surgeon.graph.printing import print_attr, print_graph, print_node
from surgeon.graph.text import parse_graph, parse_node
from surgeon.graph.values import (
    AttrScalar,
    AttrValue,
    Func,
    MappedFile,
    Placeholder,
    RawAttr,
    Shape,
    Tensor,
    TensorDigest,
    TensorRef,
    TensorSpec,
    TensorValue,
    attr_list,
)

__all__ = [
    "NODE_NAME",
    "Add",
    "AttrScalar",
    "AttrValue",
    "Change",
    "DType",
    "Drop",
    "Edit",
    "Func",
    "Graph",
    "GraphDiff",
    "MappedFile",
    "Node",
    "NodeChange",
    "Placeholder",
    "RawAttr",
    "Ref",
    "Rewire",
    "SetAttr",
    "SetOp",
    "SetOutputs",
    "Shape",
    "Tensor",
    "TensorDigest",
    "TensorRef",
    "TensorSpec",
    "TensorValue",
    "Versions",
    "apply_edits",
    "attr_list",
    "diff_graphs",
    "parse_graph",
    "parse_node",
    "print_attr",
    "print_graph",
    "print_node",
]
