"""Loops over the pictures of a batch, as tf.map_fn wrote them before control flow became functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from surgeon.zoo.nodes import NodeWriter, Ref, ShapeAttr, Type, location


@dataclass(frozen=True)
class MappedOutput:
    """What a loop collects: the element's type number and its shape."""

    number: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class MapLoop:
    """A tf.map_fn: inputs and outputs by index, of ``inputs_made`` and ``outputs_made`` before freezing."""

    inputs: Mapping[int, Ref]
    inputs_made: int
    outputs: Mapping[int, MappedOutput]
    outputs_made: int
    parallel: int = 32


Body = Callable[[dict[int, Ref]], dict[int, Ref]]


def write_map(g: NodeWriter, loop: MapLoop, body: Body) -> dict[int, Ref]:
    """Write the namespace ``map`` below the current scope and return the stacked outputs by index."""
    with g.scope("map"):
        first = loop.inputs[0]
        count = g.element(g.shape(first), 0)
        kinds = {index: g.type_of(ref) for index, ref in loop.inputs.items()}
        sources = _arrays(g, count, kinds, loop.inputs_made)
        flows = _unstack(g, loop, sources)
        start = g.const(0, g.unique("Const"))
        numbers = {index: output.number for index, output in loop.outputs.items()}
        targets = _arrays(g, count, numbers, loop.outputs_made)
        exits = _while(g, loop, count, start, (sources, flows), targets, body)
        return _stack(g, loop, targets, exits)


def _arrays(g: NodeWriter, count: Ref, numbers: Mapping[int, int], made: int) -> dict[int, Ref]:
    extra = {} if g.date == "2017" else {"identical_element_shapes": True}
    arrays = {}
    for index in range(made):
        if index not in numbers:
            g.reserve("TensorArray")
            continue
        arrays[index] = g.emit(
            "TensorArrayV3",
            count,
            name="TensorArray",
            dtype=Type(numbers[index]),
            element_shape=ShapeAttr(None),
            tensor_array_name="",
            dynamic_size=False,
            clear_after_read=True,
            **extra,
        )
    return arrays


def _unstack(g: NodeWriter, loop: MapLoop, arrays: Mapping[int, Ref]) -> dict[int, Ref]:
    flows = {}
    for index in range(loop.inputs_made):
        with g.scope("TensorArrayUnstack"):
            if index not in arrays:
                continue
            source = loop.inputs[index]
            indices = g.range(g.element(g.shape(source), 0))
            with g.scope("TensorArrayScatter"):
                inputs = [arrays[index], indices, source, f"{arrays[index]}:1"]
                flows[index] = g.emit("TensorArrayScatterV3", *inputs, _class=location(source))
    return flows


def _while(
    g: NodeWriter,
    loop: MapLoop,
    count: Ref,
    start: Ref,
    sources: tuple[Mapping[int, Ref], Mapping[int, Ref]],
    targets: Mapping[int, Ref],
    body: Body,
) -> dict[int, Ref]:
    with g.scope("while") as prefix:
        frame: dict[str, Any] = {"frame_name": f"{prefix}while_context", "parallel_iterations": loop.parallel}
        # TensorFlow 1.15 counts iterations itself, beside the counter of map_fn.
        counters = [g.const(0, g.unique("iteration_counter"))] if g.date == "2019" else []
        counters.append(start)
        flows = [_flow(targets.get(index)) for index in range(loop.outputs_made)]
        slots: list[Ref | None] = [*counters, *flows]
        variables = _variables(g, slots, frame)
        condition = _condition(g, count, variables[: len(counters)], frame)
        values = _switched(g, slots, variables, condition)
        index = values[len(counters) - 1]
        with g.pinned(f"{prefix}Identity"):
            steps = [g.add(values[0], 1)] if g.date == "2019" else []
            results = body(_reads(g, loop, sources, index, frame))
            written = _writes(g, loop, (targets, results, values, len(counters)), index, frame)
            steps.append(g.add(index, 1))
        return _turn(g, slots, [*steps, *written], len(counters))


def _flow(array: Ref | None) -> Ref | None:
    return f"{array}:1" if array else None


def _variables(g: NodeWriter, slots: list[Ref | None], frame: dict[str, Any]) -> list[Ref]:
    entered = []
    for slot in slots:
        if slot is None:
            g.reserve("Enter")
            entered.append("")
        else:
            entered.append(g.emit("Enter", slot, is_constant=False, **frame))
    merged = []
    for slot, enter in zip(slots, entered, strict=True):
        full = g.unique("Merge")
        if slot is not None:
            g.node("Merge", full, [enter, _renamed(full, "Merge", "NextIteration")], N=2)
        merged.append(full)
    return merged


def _renamed(full: str, before: str, after: str) -> str:
    """Return the loop node with the same number of another operation."""
    scope, _, last = full.rpartition("/")
    return f"{scope}/{after}{last.removeprefix(before)}"


def _condition(g: NodeWriter, count: Ref, counters: list[Ref], frame: dict[str, Any]) -> Ref:
    full = g.unique("Less")
    limit = g.node("Enter", f"{full}/Enter", [count], is_constant=True, **frame)
    less = g.node("Less", full, [counters[0], limit])
    if len(counters) > 1:
        less = g.emit("LogicalAnd", less, g.emit("Less", counters[1], limit))
    return g.emit("LoopCond", less)


def _switched(g: NodeWriter, slots: list[Ref | None], merged: list[Ref], condition: Ref) -> list[Ref]:
    switches = []
    for slot, merge in zip(slots, merged, strict=True):
        full = g.unique("Switch")
        switches.append(full)
        if slot is not None:
            g.node("Switch", full, [merge, condition], _class=location(merge))
    values = []
    for slot, switch in zip(slots, switches, strict=True):
        full = g.unique("Identity")
        values.append(full)
        if slot is not None:
            g.node("Identity", full, [f"{switch}:1"])
    return values


def _reads(
    g: NodeWriter,
    loop: MapLoop,
    sources: tuple[Mapping[int, Ref], Mapping[int, Ref]],
    index: Ref,
    frame: dict[str, Any],
) -> dict[int, Ref]:
    arrays, flows = sources
    reads = {}
    for number in range(loop.inputs_made):
        full = g.unique("TensorArrayReadV3")
        if number not in arrays:
            continue
        array = g.node("Enter", f"{full}/Enter", [arrays[number]], is_constant=True, **frame)
        flow = g.node("Enter", f"{full}/Enter_1", [flows[number]], is_constant=True, **frame)
        kind = Type(g.type_of(loop.inputs[number]))
        reads[number] = g.node("TensorArrayReadV3", full, [array, index, flow], dtype=kind)
    return reads


def _writes(
    g: NodeWriter,
    loop: MapLoop,
    state: tuple[Mapping[int, Ref], Mapping[int, Ref], list[Ref], int],
    index: Ref,
    frame: dict[str, Any],
) -> list[Ref]:
    targets, results, values, counters = state
    written = []
    for number in range(loop.outputs_made):
        with g.scope("TensorArrayWrite"):
            full = g.unique("TensorArrayWriteV3")
            if number not in targets:
                written.append("")
                continue
            place = location(results[number])
            attrs = {"is_constant": True, "_class": place, **frame}
            array = g.node("Enter", f"{full}/Enter", [targets[number]], **attrs)
            inputs = [array, index, results[number], values[counters + number]]
            written.append(g.node("TensorArrayWriteV3", full, inputs, _class=place))
    return written


def _turn(g: NodeWriter, slots: list[Ref | None], following: list[Ref], counters: int) -> dict[int, Ref]:
    """Write the loop's NextIteration and Exit nodes; return the exits of the outputs."""
    for slot, value in zip(slots, following, strict=True):
        full = g.unique("NextIteration")
        if slot is not None:
            g.node("NextIteration", full, [value])
    exits = {}
    for number, slot in enumerate(slots):
        full = g.unique("Exit")
        if slot is not None and number >= counters:
            exits[number - counters] = g.node("Exit", full, [_renamed(full, "Exit", "Switch")])
    return exits


def _stack(
    g: NodeWriter,
    loop: MapLoop,
    targets: Mapping[int, Ref],
    exits: Mapping[int, Ref],
) -> dict[int, Ref]:
    stacked = {}
    for number in range(loop.outputs_made):
        with g.scope("TensorArrayStack"):
            if number not in targets:
                continue
            array, output = targets[number], loop.outputs[number]
            place: dict[str, Any] = {"_class": location(array)}
            size = g.emit("TensorArraySizeV3", array, exits[number], **place)
            indices = g.range(size, **place)
            attrs = {"dtype": Type(output.number), "element_shape": ShapeAttr(output.shape), **place}
            stacked[number] = g.emit("TensorArrayGatherV3", array, indices, exits[number], **attrs)
    return stacked
