"""The step ``replace-op``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field

from surgeon.display import plural
from surgeon.graph import DType, Edit, Node, SetAttr, SetOp
from surgeon.steps.removal import higher_outputs
from surgeon.steps.selector import Selection, select
from surgeon.steps.step import Step, StepContext


@dataclass(frozen=True)
class OpReplacement:
    """What has to hold for one operation to stand for another, and the attributes that the other does not
    have.

    ``first_output_only``: outputs above 0 differ. ``types``: what each type attribute must be, where it is
    there.
    """

    drops: tuple[str, ...] = ()
    first_output_only: bool = False
    types: Mapping[str, tuple[DType, ...]] = field(default_factory=dict)


_FLOAT = (DType.FLOAT32,)
_NUMBERS = tuple(d for d in DType if d not in (DType.STRING, DType.BOOL, DType.RESOURCE, DType.VARIANT))

REPLACEMENTS: Mapping[tuple[str, str], OpReplacement] = MappingProxyType(
    {
        ("AddV2", "Add"): OpReplacement(types={"T": _NUMBERS}),
        ("Add", "AddV2"): OpReplacement(types={"T": _NUMBERS}),
        ("FusedBatchNormV3", "FusedBatchNorm"): OpReplacement(
            ("U", "exponential_avg_factor"), True, {"T": _FLOAT, "U": _FLOAT}
        ),
        ("FusedBatchNormV3", "FusedBatchNormV2"): OpReplacement(("exponential_avg_factor",), True),
        ("FusedBatchNormV2", "FusedBatchNorm"): OpReplacement(
            ("U", "exponential_avg_factor"), True, {"T": _FLOAT, "U": _FLOAT}
        ),
        ("BatchMatMulV2", "BatchMatMul"): OpReplacement(),
        ("SelectV2", "Select"): OpReplacement(),
    }
)
"""Operations known to stand for each other, and when."""


class ReplaceOp(Step):
    """Change the operation of nodes: AddV2 to Add, FusedBatchNormV3 to FusedBatchNorm.

    For known pairs the attributes that the new operation lacks are taken away, and a node is refused where
    the new one would compute something else: FusedBatchNorm, where a node reads an output above 0. Other
    pairs are taken as written, with a note.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,8,8,3]}
        c = Const() {dtype: float32, value: tensor<float32[3]: 1.0>}
        y = FusedBatchNormV3(x, c, c, c, c) {T: float32, U: float32, epsilon: 0.001, is_training: false}
        z = Relu(y) {T: float32}

    Step::

        step: replace-op
        from: FusedBatchNormV3
        to: FusedBatchNorm

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,8,8,3]}
        c = Const() {dtype: float32, value: tensor<float32[3]: 1.0>}
        y = FusedBatchNorm(x, c, c, c, c) {T: float32, epsilon: 0.001, is_training: false}
        z = Relu(y) {T: float32}
    """

    keyword: ClassVar[str] = "replace-op"
    step: Literal["replace-op"] = "replace-op"
    from_: str = Field(alias="from", description="Operation now.")
    to: str = Field(description="Operation wanted.", min_length=1)
    nodes: Selection | None = Field(None, description="Only among these nodes.")
    optional: bool = Field(True, description="No error when no node has the operation.")

    def plan(self, context: StepContext) -> list[Edit]:
        names = (
            [n.name for n in context.graph] if self.nodes is None else select(context, self.nodes, "nodes")
        )
        found = [node for node in (context.graph[name] for name in names) if node.op == self.from_]
        if not found and not self.optional:
            raise context.fail(
                "R201",
                f"no node has the operation '{self.from_}'",
                "from",
                help=["correct it, or take 'optional: false' away"],
            )
        rule = REPLACEMENTS.get((self.from_, self.to))
        if rule is None and found:
            context.note(
                "S217",
                f"'{self.from_}' to '{self.to}' is not a replacement known to be safe; "
                f"{plural(len(found), 'node')} "
                "change",
                "to",
                notes=(f"the first: '{found[0].name}'",),
            )
        edits: list[Edit] = []
        span = context.span
        several = higher_outputs(context.graph) if rule and rule.first_output_only else {}
        for node in found:
            _check(context, node, rule or OpReplacement(), self.to, several)
            edits.append(SetOp(node.name, self.to, span))
            edits += [
                SetAttr(node.name, key, None, span)
                for key in (rule.drops if rule else ())
                if key in node.attrs
            ]
        return edits


def _check(
    context: StepContext, node: Node, rule: OpReplacement, to: str, several: Mapping[str, tuple[str, int]]
) -> None:
    """Raise SurgeonError S206 where the new operation would compute something else."""
    shown = f"node '{node.name}' ({node.op}) cannot become {to}"
    ports = context.catalog[to].inputs if to in context.catalog else ()
    if ports and len(node.inputs) > len(ports) and not any(port.variadic for port in ports):
        raise context.fail(
            "S206",
            f"{shown}; it reads {plural(len(node.inputs), 'tensor')}, and the plugin has "
            f"{plural(len(ports), 'input')}",
            "to",
            help=[
                "take the step out where the target has the operation: see 'surgeon list ops --target T'",
                "or put the plugin under 'nodes', with its 'inputs', and map the node's name to it",
            ],
        )
    for key, allowed in rule.types.items():
        if key in node.attrs and node.attrs[key] not in allowed:
            expected = " or ".join(map(str, allowed)) if len(allowed) < 4 else "a number's type"
            raise context.fail(
                "S206", f"{shown}; its attribute '{key}' is {node.attrs[key]}, expected {expected}"
            )
    if node.name in several:
        reader, slot = several[node.name]
        who = f"'{reader}' ({context.graph[reader].op}) reads" if reader else "the graph declares"
        raise context.fail(
            "S206",
            f"{shown}; {who} its output {slot}, and only output 0 is the same",
            help=["take that reader out first, or narrow the step with 'nodes'"],
        )
