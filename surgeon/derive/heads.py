"""The box and class heads of a detector, found by walking back from what is concatenated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from surgeon.derive.subject import Subject
from surgeon.graph import Ref
from surgeon.steps.selector import longest_prefix

Role: TypeAlias = Literal["loc", "conf"]

_BOXES = re.compile(r"Box(Encoding)?Predictor(_\d+)?\Z")
_CLASSES = re.compile(r"ClassPredictor(_\d+)?\Z")
_CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative", "MatMul"})
_PASSED = frozenset(
    {"Identity", "Squeeze", "Reshape", "ExpandDims", "BiasAdd", "Add", "AddV2", "Transpose", "StopGradient", "ConcatV2",
     "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "Sigmoid", "Softmax"}
)  # fmt: skip
_STEPS = 64


@dataclass(frozen=True)
class Head:
    """One convolution whose result is joined: ``tensor`` is what is joined, ``feature`` the map the convolution reads."""

    tensor: Ref
    conv: str
    feature: Ref
    height: int | None
    width: int | None
    channels: int | None


def heads(subject: Subject, new: str) -> list[Head]:
    """Return the heads that a node's namespaces join, in order; raise SurgeonError D103 where one cannot be found."""
    found = []
    for ref in subject.joined(new):
        head = _head(subject, ref)
        if head is not None:
            found.append(head)
    if not found:
        raise subject.fail("D103", f"the namespaces of '{new}' join nothing that comes from a convolution",
                           "nodes", new, notes=[f"they read: {', '.join(map(str, subject.joined(new)[:6])) or 'nothing'}"],
                           help=["write the value instead of 'auto', or correct the namespaces"])  # fmt: skip
    return found


def _head(subject: Subject, ref: Ref) -> Head | None:
    graph, inference = subject.graph, subject.inference
    at = ref
    for _ in range(_STEPS):
        node = graph.get(at.node)
        if node is None or not node.inputs:
            return None
        if node.op in _CONVOLUTIONS:
            result, feature = inference.spec(Ref(node.name)), inference.spec(node.inputs[0])
            nchw = node.attrs.get("data_format") == b"NCHW"
            dims = feature.shape.dims or (None,) * 4
            height, width = (dims[2], dims[3]) if nchw else (dims[1], dims[2]) if len(dims) == 4 else (None, None)
            last = result.shape.dims or (None,) * 4
            return Head(ref, node.name, node.inputs[0], height, width, last[1 if nchw else -1])
        if node.op not in _PASSED:
            return None
        at = node.inputs[0]
    return None


def role_of(subject: Subject, namespace: str) -> tuple[Role, tuple[str, ...]]:
    """Return whether a namespace joins boxes or class scores, with the evidence.

    Three witnesses: the names of the convolutions, the length of the last axis (4 for boxes), and what reads the
    result. Raise SurgeonError D106 where they contradict each other or say nothing.
    """
    probe = Subject(subject.recipe, subject.graph, namespace, {namespace: namespace})
    probe.__dict__["inference"] = subject.inference
    found = heads(probe, namespace)
    by_name: dict[Role, list[str]] = {"loc": [], "conf": []}
    for head in found:
        # Only the convolution's own scope: 'BoxPredictor_0' around it is the scope of boxes and classes alike.
        scope = head.conv.rpartition("/")[0].rpartition("/")[2]
        if _CLASSES.match(scope):
            by_name["conf"].append(head.conv)
        elif _BOXES.match(scope):
            by_name["loc"].append(head.conv)
    lasts = [(h.tensor, (subject.inference.spec(h.tensor).shape.dims or (None,))[-1]) for h in found]
    evidence = [f"{len(found)} convolutions, such as '{found[0].conv}', are joined",
                f"'{lasts[0][0]}' is {subject.inference.spec(lasts[0][0])}"]  # fmt: skip
    if by_name["loc"] and by_name["conf"]:
        raise _contradiction(subject, namespace, [f"boxes: {by_name['loc'][0]}", f"classes: {by_name['conf'][0]}"])
    role: Role | None = "loc" if by_name["loc"] else "conf" if by_name["conf"] else None
    if role == "loc" and any(n not in (4, None) for _, n in lasts):
        raise _contradiction(subject, namespace, ["the names say boxes, the last axis is not 4", *evidence])
    if role is None:
        role = _by_reader(subject, namespace)
        evidence.append(f"its readers {'decode boxes' if role == 'loc' else 'convert scores'}")
    return role, tuple(evidence)


def _by_reader(subject: Subject, namespace: str) -> Role:
    """Tell boxes from scores by the first arithmetic behind them: Sigmoid or Softmax is for scores, Exp for boxes."""
    graph = subject.graph
    members = [n.name for n in graph if longest_prefix(n.name, {namespace: True})]
    queue = [(name, 0) for name in members]
    seen = set(members)
    hits: dict[Role, int] = {}
    while queue and len(seen) < 20_000:
        name, depth = queue.pop(0)
        for reader in graph.readers[name]:
            if reader in seen or depth > 24:
                continue
            seen.add(reader)
            op = graph[reader].op
            if op in ("Sigmoid", "Softmax"):
                hits.setdefault("conf", depth)
            elif op == "Exp":
                hits.setdefault("loc", depth)
            elif op not in ("Shape", "NonMaxSuppressionV2", "NonMaxSuppressionV3"):
                queue.append((reader, depth + 1))
    if not hits:
        raise _contradiction(subject, namespace, ["no name, shape or reader tells boxes from scores"])
    return min(hits, key=lambda role: hits[role])


def _contradiction(subject: Subject, namespace: str, notes: list[str]) -> Exception:
    return subject.fail("D106", f"it cannot be told whether '{namespace}' joins boxes or class scores", "namespaces", namespace,
                        notes=notes, help=[f"write the node instead of 'auto': '{namespace}: concat_box_loc'"])  # fmt: skip
