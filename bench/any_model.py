"""Convert a folder of frozen graphs with plain tf2onnx and with surgeon, and compare with TensorFlow.

    python bench/any_model_graphs.py build/any-model/graphs
    python bench/any_model.py build/any-model/graphs -o build/any-model/results
    python bench/any_model.py build/any-model/graphs -o build/any-model/results --again onnx-init uff-init

Beside NAME.pb, NAME.json may tell outputs, inputs and scalars, as any_model_graphs.py writes it; without
it they are read off the graph, and the outputs off a recipe NAME.yaml. Five columns are surgeon's: ONNX and
UFF, each by the least recipe (outputs; the inputs' shapes by --input) and by the recipe that 'surgeon init'
writes (with --input for shapes that the graph leaves open). The last column is what 'surgeon verify' says of
init's recipe for ONNX.

Each graph is converted in a process of its own, with a limit of time for each conversion. What OUTPUT holds
already is not computed again; --again names what is. OUTPUT/table.md and OUTPUT/table.json are written at
the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from surgeon.graph import Graph
    from surgeon.language import Recipe
    from surgeon.runners.runner import Runner

DRAWS = 3
TOLERANCE = 1e-4
"""Largest difference of a right result, relative to the largest number of the original's above 1."""

RANDOM = 1e-3
"""Largest difference between two runs of an output that is not drawn at random; threads round differently."""

UNKNOWN_SIDE = 16
"""What a side of unknown size is drawn with, where nothing tells it."""

STAGES = ("tf2onnx", "onnx-least", "onnx-init", "uff-least", "uff-init", "verify")
TITLES = ("tf2onnx", "ONNX, least recipe", "ONNX, `init`", "UFF, least recipe", "UFF, `init`", "`verify`")
PRELOADED = ("tensorflow", "tf2onnx", "onnxruntime", "surgeon.api.convert", "surgeon.runners.references")

BEGIN, END = "<!-- any-model:begin -->", "<!-- any-model:end -->"

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Facts:
    """What is known of a graph: ``inputs`` as drawn, scalars at inference, outputs."""

    summary: str
    inputs: Sequence[Mapping[str, Any]]
    constants: Mapping[str, Any]
    outputs: Sequence[str]
    tolerance: float = TOLERANCE


@dataclass(frozen=True)
class Result:
    """How a conversion ended: 'right', 'wrong', 'refused' or 'failed', which is a fault of the converter.

    ``error`` is the worst difference, ``code`` that of the diagnostics, ``operation`` the operations of the
    graph that they name.
    """

    outcome: str
    error: float | None = None
    code: str = ""
    operation: str = ""
    message: str = ""
    seconds: float = 0.0

    def cell(self) -> str:
        """Return the text in the table."""
        if self.outcome == "right":
            return f"right ({self.error:.0e}, {self.seconds:.1f} s)"
        if self.outcome == "wrong":
            return (
                f"**wrong** ({self.message[:80]})" if self.error is None else f"**wrong** ({self.error:.1e})"
            )
        why = ": ".join(part for part in (self.code, self.operation) if part)
        return f"{self.outcome} {why or self.message[:40]}".replace("|", " ").rstrip()


class Refused(Exception):
    """A converter's refusal."""


class Wrong(Exception):
    """A result that cannot be compared, such as one that lacks an output."""


def known_facts(path: Path) -> Facts:
    """Return what stands beside a graph, else what the graph tells."""
    beside = path.with_suffix(".json")
    if beside.exists():
        return Facts(**json.loads(beside.read_text(encoding="utf-8")))
    from surgeon.formats.graphdef import load_graph
    from surgeon.graph import Ref
    from surgeon.graph.op_sets import PLACEHOLDERS
    from surgeon.infer import Inference
    from surgeon.verification.made_inputs import made_input

    graph = load_graph(path)
    inference = Inference(graph)
    inputs: list[Mapping[str, Any]] = []
    constants: dict[str, Any] = {}
    for node in graph:
        ref = Ref(node.name)
        if node.op not in PLACEHOLDERS and node.op not in ("IteratorGetNext", "QueueDequeueManyV2"):
            continue
        spec = inference.spec(ref)
        dims = spec.shape.dims
        if dims is None and node.op in PLACEHOLDERS and node.attrs.get("dtype") is not None:
            dims = ()
        if dims is None or spec.dtype is None:
            types, shapes = node.attrs.get("output_types"), node.attrs.get("output_shapes")
            dims, dtype = shapes[0].dims, types[0]  # type: ignore[index]
        else:
            dtype = spec.dtype
        shape = tuple(
            side if side is not None else UNKNOWN_SIDE if axis else 1 for axis, side in enumerate(dims)
        )
        kind = np.dtype(dtype.numpy()).kind
        if not shape and kind in "bf":
            constants[node.name] = kind == "f" and 1.0
            continue
        whole = made_input(
            graph, inference, ref, replace(spec, dtype=dtype, shape=type(spec.shape)(shape)), None
        )
        low, high = (0.0, 1.0) if kind == "f" else (whole.low, whole.high)
        name = np.dtype(dtype.numpy()).name
        inputs.append({"tensor": str(ref), "shape": shape, "dtype": name, "low": low, "high": high})
    recipe = path.with_suffix(".yaml")
    if recipe.exists():
        import yaml

        outputs = yaml.safe_load(recipe.read_text(encoding="utf-8"))["outputs"]
    else:
        outputs = [node.name for node in graph if not graph.readers[node.name]]
    return Facts("", inputs, constants, outputs)


def tensor(name: str) -> str:
    """Return a tensor's name with its number."""
    return name if re.search(r":\d+$", name) else f"{name}:0"


def plain(name: str) -> str:
    """Return a tensor's name, without the number where that is 0."""
    return tensor(name).removesuffix(":0")


def drawn(facts: Facts, number: int) -> dict[str, np.ndarray]:
    """Return arrays for the inputs by tensor."""
    random = np.random.default_rng(number)
    arrays = {}
    for each in facts.inputs:
        shape, dtype, low, high = (each[key] for key in ("shape", "dtype", "low", "high"))
        if dtype == "string":
            words = np.array([b"the", b"cat", b"sat", b"on", b"a", b"mat", b"and", b"slept"], object)
            array = random.choice(words, shape)
        elif dtype.startswith("float"):
            array = random.uniform(low, high, shape).astype(dtype)
        else:
            array = random.integers(int(low), int(high), shape, endpoint=True).astype(dtype)
        arrays[tensor(each["tensor"])] = array
    return arrays


class Original:
    """A graph in TensorFlow, and what it computes of the draws."""

    def __init__(self, path: Path, facts: Facts) -> None:
        import tensorflow as tf

        self.path, self.facts = path, facts
        self.graph_def = tf.compat.v1.GraphDef()
        self.graph_def.ParseFromString(path.read_bytes())
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.import_graph_def(self.graph_def, name="")
        self.session = tf.compat.v1.Session(graph=self.graph)
        self.draws: list[dict[str, np.ndarray]] = [drawn(facts, number) for number in range(DRAWS)]

    @cached_property
    def scalars(self) -> dict[str, np.ndarray]:
        """The scalars at inference, by tensor."""
        return {
            tensor(name): np.asarray(value, self.graph.get_tensor_by_name(tensor(name)).dtype.as_numpy_dtype)
            for name, value in self.facts.constants.items()
        }

    def values(self, names: Sequence[str], number: int) -> list[np.ndarray]:
        """Return what some tensors hold in a draw."""
        feeds = {**self.draws[number], **self.scalars}
        return [np.asarray(value) for value in self.session.run([tensor(name) for name in names], feeds)]

    def has(self, name: str) -> bool:
        """Return whether the graph has a tensor."""
        try:
            self.graph.get_tensor_by_name(tensor(name))
        except (KeyError, ValueError):
            return False
        return True

    def related(self, names: Iterable[str]) -> set[str]:
        """Return the nodes that compute any of some tensors, and those that are computed from them."""
        ends = [self.graph.get_tensor_by_name(tensor(name)).op for name in names]
        before = _reached(ends, lambda op: [source.op for source in op.inputs])
        for op in tuple(ends):
            while op.type == "Identity":
                op = op.inputs[0].op
                ends.append(op)
        return before | _reached(ends, lambda op: [each for out in op.outputs for each in out.consumers()])

    def computes(self, name: str) -> bool:
        """Return whether a tensor can be computed from what is fed."""
        fed = {tensor(name).partition(":")[0] for name in (*self.draws[0], *self.scalars)}
        start = self.graph.get_tensor_by_name(tensor(name)).op
        ops = _reached([start], lambda op: () if op.name in fed else [source.op for source in op.inputs])
        ends = (self.graph.get_operation_by_name(name) for name in ops - fed)
        return all(op.inputs or op.type == "Const" for op in ends)

    def feed_at(self, names: Iterable[str]) -> None:
        """Feed the draws at other tensors, in front of the inputs, where these cannot be computed."""
        for name in names:
            if self.computes(name):
                continue
            there = self.graph.get_tensor_by_name(tensor(name))
            behind = self.related([name])
            moved = [each for each in self.draws[0] if each.partition(":")[0] in behind]
            if len(moved) != 1:
                raise Wrong(f"'{name}', an input, stands for no input of the original")
            for draw in self.draws:
                value = draw.pop(moved[0])
                if there.shape.rank is not None:
                    value = value.reshape([-1 if side is None else side for side in there.shape.as_list()])
                draw[there.name] = value.astype(there.dtype.as_numpy_dtype)

    @cached_property
    def operations(self) -> set[str]:
        """The types of the graph's operations, those of its functions included."""
        functions = (node for function in self.graph_def.library.function for node in function.node_def)
        return {node.op for node in (*self.graph_def.node, *functions)}


def _reached(ops: Iterable[Any], following: Callable[[Any], Iterable[Any]]) -> set[str]:
    """Return the names of all operations that are reached."""
    seen: set[str] = set()
    waiting = list(ops)
    while waiting:
        op = waiting.pop()
        if op.name not in seen:
            seen.add(op.name)
            waiting += following(op)
    return seen


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the worst difference of two arrays, relative to the second's largest number above 1."""
    if ours.shape != theirs.shape:
        if ours.size != theirs.size:
            raise Wrong(f"shape {list(ours.shape)} in place of {list(theirs.shape)}")
        ours = ours.reshape(theirs.shape)
    if theirs.dtype.kind == "O":  # texts, which TensorFlow gives as bytes
        return float([_text(each) for each in ours.ravel()] != [_text(each) for each in theirs.ravel()])
    if theirs.dtype.kind not in "fc":
        return float(np.any(ours != theirs))
    apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    worst = float(apart.max(initial=0.0)) / max(1.0, float(np.abs(theirs).max(initial=0.0)))
    return worst if np.isfinite(worst) else float("inf")


def _text(value: str | bytes) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def compared(original: Original, run: Callable[[int], Sequence[np.ndarray]], outputs: Sequence[str]) -> float:
    """Return the worst difference over all draws between what ``run`` computes and the original's tensors.

    Outputs that the original itself draws at random are passed over; raise Wrong where there are no others.
    """
    worst = 0.0
    for number in range(DRAWS):
        theirs, again = (original.values(outputs, number) for _ in range(2))
        steady = [distance(one, other) <= RANDOM for one, other in zip(theirs, again, strict=True)]
        if not any(steady):
            raise Wrong("all outputs are random")
        for ours, other, is_steady in zip(run(number), theirs, steady, strict=True):
            if is_steady:
                worst = max(worst, distance(np.asarray(ours), other))
    return worst


def by_tf2onnx(original: Original, folder: Path) -> float:
    """Convert with plain tf2onnx and return the worst difference."""
    import onnxruntime
    import tf2onnx

    facts = original.facts
    inputs = [tensor(each["tensor"]) for each in facts.inputs]
    scalars = [
        name for name in original.scalars if original.graph.get_tensor_by_name(name).op.type != "Const"
    ]
    outputs = [tensor(name) for name in facts.outputs]
    shapes = {tensor(each["tensor"]): list(each["shape"]) for each in facts.inputs}
    try:
        model, _ = tf2onnx.convert.from_graph_def(
            original.graph_def, input_names=[*inputs, *scalars], output_names=outputs, shape_override=shapes
        )
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except BaseException as exc:  # tf2onnx raises whatever comes up, and ends the process for some faults
        raise Refused(str(exc)) from None

    def run(number: int) -> Sequence[np.ndarray]:
        feeds = {**original.draws[number], **original.scalars}
        wanted = {each.name for each in session.get_inputs()}
        results: Sequence[np.ndarray] = session.run(outputs, {k: v for k, v in feeds.items() if k in wanted})
        return results

    try:
        return compared(original, run, outputs)
    except Wrong:
        raise
    except Exception as exc:  # ONNX Runtime's own errors
        raise Refused(f"ONNX Runtime: {exc}") from None


def least_recipe(original: Original) -> dict[str, Any]:
    """Return the recipe that says no more than the outputs."""
    name = re.sub(r"\W", "_", original.path.stem)
    return {"recipe": 1, "name": name, "outputs": list(original.facts.outputs)}


def given_inputs(original: Original, *, only_open: bool) -> dict[str, str]:
    """Return the shapes and types of the inputs as '--input' takes them.

    With ``only_open`` they are those of placeholders, and none where the graph leaves no more open than the
    batch.
    """
    given, closed = {}, True
    for each in original.facts.inputs:
        found = original.graph.get_tensor_by_name(tensor(each["tensor"]))
        if only_open and not found.op.type.startswith("Placeholder"):
            continue
        closed = closed and found.shape.rank is not None and None not in found.shape.as_list()[1:]
        given[plain(each["tensor"])] = f"{'x'.join(map(str, each['shape']))}:{each['dtype']}"
    return {} if only_open and closed else given


def by_surgeon(original: Original, folder: Path, *, suffix: str, init: bool) -> float:
    """Convert with surgeon and return the worst difference."""
    import surgeon
    from surgeon.formats import target_for_output
    from surgeon.formats.uff.expansion import expand
    from surgeon.runners.onnxruntime import OnnxRuntimeRunner
    from surgeon.runners.references import ReferenceRunner

    path, output = folder / "recipe.yaml", folder / f"out{suffix}"
    target = target_for_output(output)
    inputs = given_inputs(original, only_open=init)
    if init:
        surgeon.init(original.path, path, target=target, force=True, input_specs=inputs)
        recipe = surgeon.load_recipe(path)
        conversion = surgeon.convert(recipe, original.path, output)
    else:
        path.write_text(json.dumps(least_recipe(original)), encoding="utf-8")
        recipe = surgeon.load_recipe(path)
        numbers = {name: value for name, value in original.facts.constants.items() if type(value) is int}
        conversion = surgeon.convert(recipe, original.path, output, input_specs=inputs, constants=numbers)
    if suffix == ".uff":
        catalog = surgeon.load_catalog()
        written = expand(conversion.plan.result, catalog, target)
        plan = replace(conversion.plan, result=without_dilated_depthwise(written))
        with_references = ReferenceRunner.of_plan(plan, recipe, catalog)
        return of_runner(original, with_references, recipe)
    return of_runner(original, OnnxRuntimeRunner(output), recipe)


def without_dilated_depthwise(graph: Graph) -> Graph:
    """Return the graph with ordinary convolutions for depthwise ones that TensorFlow's CPU kernel lacks."""
    from surgeon.graph import DType, Node, Ref, TensorValue
    from surgeon.infer import Inference

    inference, nodes = Inference(graph), []
    for node in graph:
        dilations = node.attrs.get("dilations", ())
        if node.op != "DepthwiseConv2dNative" or not any(size != 1 for size in dilations):  # type: ignore[union-attr]
            nodes.append(node)
            continue
        weights = inference.value(node.inputs[1])
        assert weights is not None
        rows, columns, channels, factor = weights.shape
        dense = np.zeros((rows, columns, channels, channels, factor), np.float32)
        for channel in range(channels):
            dense[:, :, channel, channel] = weights[:, :, channel]
        value = TensorValue.of(dense.reshape(rows, columns, channels, -1), DType.FLOAT32)
        constant = Node(f"{node.name}/dense", "Const", attrs={"dtype": DType.FLOAT32, "value": value})
        inputs = (node.inputs[0], Ref(constant.name))
        nodes += [constant, replace(node, op="Conv2D", inputs=inputs)]
    return graph.replace(nodes)


def by_verify(original: Original, folder: Path) -> float:
    """Verify the recipe that init writes for ONNX, and return the worst difference that verify tells."""
    import surgeon
    from surgeon.verification.results import Outcome, TensorComparison

    path, target = folder / "recipe.yaml", "onnx@onnxruntime"
    inputs = given_inputs(original, only_open=True)
    surgeon.init(original.path, path, target=target, force=True, input_specs=inputs)
    verification = surgeon.verify(path, original.path, target=target)
    comparisons = [each for verdict in verification.verdicts for each in verdict.comparisons]
    proven = any(each.outcome is Outcome.PASSED for each in comparisons)
    if not verification.passed and not (verification.outcome is Outcome.NOT_COMPARED and proven):
        reasons = [verdict.reason for verdict in verification.verdicts if verdict.reason]
        reasons += [each.reason for each in comparisons if each.reason]
        raise Wrong(f"{verification.outcome}: {'; '.join(dict.fromkeys(reasons))}")
    return max((each.error for each in comparisons if isinstance(each, TensorComparison)), default=0.0)


def of_runner(original: Original, runner: Runner, recipe: Recipe) -> float:
    """Return the worst difference of what a runner computes; the recipe may have moved inputs and outputs.

    An output is lacking where it is neither computed on the way to the others nor from them.
    """
    sources = input_sources(original, list(runner.inputs), recipe)
    original.feed_at(sources.values())
    outputs = list(runner.outputs)
    if not all(map(original.has, outputs)):
        outputs = list(original.facts.outputs)
    if len(outputs) != len(runner.outputs):
        raise Wrong(f"outputs {', '.join(runner.outputs)}")
    related = original.related(outputs)
    lacking = [name for name in original.facts.outputs if plain(name).partition(":")[0] not in related]
    if lacking:
        raise Wrong(f"lacks output {', '.join(lacking)}")

    def run(number: int) -> Sequence[np.ndarray]:
        values = original.values(list(sources.values()), number)
        feeds = {}
        for name, value in zip(sources, values, strict=True):
            dtype = runner.inputs[name].dtype
            assert dtype is not None
            feeds[name] = value.astype(dtype.numpy())
        rows = [list(runner.run(row).values()) for row in batches(feeds, runner)]
        return rows[0] if len(rows) == 1 else [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    return compared(original, run, outputs)


def batches(feeds: Arrays, runner: Runner) -> list[dict[str, np.ndarray]]:
    """Return the feeds one row at a time where every input of a runner may hold one, else all at once."""
    firsts = [(runner.inputs[name].shape.dims or (0,))[0] for name in feeds]
    counts = {value.shape[0] if value.ndim else 0 for value in feeds.values()}
    if len(counts) != 1 or not all(first in (1, None) for first in firsts):
        return [dict(feeds)]
    return [{name: value[i : i + 1] for name, value in feeds.items()} for i in range(counts.pop())]


def input_sources(original: Original, inputs: Sequence[str], recipe: Recipe) -> dict[str, str]:
    """Return the original's tensor for each input of a rewritten graph."""
    moved: dict[str, str] = {}
    for step in recipe.steps:
        if step.keyword == "cut-at":
            names = step.as_ or [name.partition(":")[0] for name in step.tensors]  # type: ignore[attr-defined]
            moved.update(zip(names, step.tensors, strict=True))  # type: ignore[attr-defined]
    sources = {name: moved.get(plain(name), name) for name in inputs}
    strange = [name for name, source in sources.items() if not original.has(source)]
    if strange:
        raise Wrong(f"input {', '.join(strange)} is none of the original's")
    return sources


RUNS: Mapping[str, Callable[[Original, Path], float]] = {
    "tf2onnx": by_tf2onnx,
    "onnx-least": lambda original, folder: by_surgeon(original, folder, suffix=".onnx", init=False),
    "onnx-init": lambda original, folder: by_surgeon(original, folder, suffix=".onnx", init=True),
    "uff-least": lambda original, folder: by_surgeon(original, folder, suffix=".uff", init=False),
    "uff-init": lambda original, folder: by_surgeon(original, folder, suffix=".uff", init=True),
    "verify": by_verify,
}


def result_of(stage: str, original: Original, folder: Path) -> Result:
    """Return how a stage ends."""
    from surgeon.diagnostics import SurgeonError

    original.draws = [drawn(original.facts, number) for number in range(DRAWS)]
    try:
        error = RUNS[stage](original, folder)
    except Wrong as exc:
        return Result("wrong", message=str(exc))
    except SurgeonError as exc:
        first = exc.diagnostics[0]
        told = f"{first.message} ({'; '.join(first.notes)})" if first.notes else first.message
        names = operations_in(" ".join(each.message for each in exc.diagnostics), original)
        codes = dict.fromkeys(each.code for each in exc.diagnostics)
        return Result("refused", None, " ".join([*codes][:2]), names, told)
    except Refused as exc:
        return Result("refused", None, "", operations_in(str(exc), original), str(exc)[:500])
    except Exception as exc:  # a fault of the converter
        return Result("failed", None, type(exc).__name__, "", f"{exc}\n{traceback.format_exc()[-1500:]}")
    right = error <= original.facts.tolerance or stage == "verify"
    return Result("right" if right else "wrong", error)


def operations_in(message: str, original: Original) -> str:
    """Return the types of a graph's operations that a message names."""
    words = dict.fromkeys(re.findall(r"\w+", message))
    return ", ".join([word for word in words if word in original.operations][:3])


def child(path: str, stages: Sequence[str], sending: Connection) -> None:
    """Convert a graph stage after stage and send each stage's name before and its result after."""
    os.setsid()
    facts = known_facts(Path(path))
    original = Original(Path(path), facts)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nothing:
        sys.stdout = nothing
        sending.send(("original", check_original(original)))
        for stage in stages:
            sending.send(("start", stage))
            start = time.monotonic()
            result = result_of(stage, original, Path(folder))
            sending.send((stage, asdict(replace(result, seconds=round(time.monotonic() - start, 2)))))
    sending.send(("end", None))


def check_original(original: Original) -> dict[str, Any]:
    """Return what the original's outputs are worth as a witness: they are finite and differ between draws."""
    values = [original.values(original.facts.outputs, number) for number in range(DRAWS)]
    floats = [value for value in values[0] if value.dtype.kind == "f"]
    finite = all(np.isfinite(value).all() for value in floats)
    same = all(np.array_equal(one, other) for one, other in zip(values[0], values[1], strict=True))
    return {"nodes": len(original.graph_def.node), "finite": bool(finite), "varies": not same}


def run_graph(path: Path, stages: Sequence[str], limit: float, tell: Callable[[str, Result], None]) -> Any:
    """Run stages of a graph in child processes, tell each result, and return what the original is worth."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    left, facts = list(stages), None
    while left:
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(str(path), left, sending))
        process.start()
        sending.close()
        current, ended = left[0], ""
        while not ended:
            try:
                if not receiving.poll(limit):
                    ended = f"more than {limit:g} s"
                    break
                name, value = receiving.recv()
            except EOFError:
                process.join()
                ended = f"the process ended with {process.exitcode}"
                break
            if name == "end":
                break
            if name == "original":
                facts = value
            elif name == "start":
                current = value
            else:
                left.remove(name)
                tell(name, Result(**value))
        stop(process, patience=0.0 if ended else 10.0)
        if ended and left:
            left.remove(current)
            tell(current, Result("failed", message=ended))
    return facts


def stop(process: Any, patience: float) -> None:
    """End a child process and what it started, unless it ends by itself within some seconds."""
    process.join(patience)
    if process.is_alive():
        for end in (process.pid, None):
            try:
                os.killpg(end, signal.SIGKILL) if end else process.kill()
            except ProcessLookupError:
                continue
    process.join()


def run_folder(folder: Path, output: Path, again: Sequence[str], only: Sequence[str], limit: float) -> None:
    """Run what is missing of a folder of graphs, and keep it in a file for each graph."""
    output.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.pb")):
        if only and path.stem not in only:
            continue
        kept = output / f"{path.stem}.json"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        entry = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
        if entry.get("digest") != digest:
            entry = {"graph": path.stem, "digest": digest, "results": {}}
        entry.setdefault("summary", known_facts(path).summary)
        for stage in again:
            entry["results"].pop(stage, None)
        stages = [stage for stage in STAGES if stage not in entry["results"]]
        if not stages:
            continue

        def tell(stage: str, result: Result, entry: dict[str, Any] = entry, kept: Path = kept) -> None:
            entry["results"][stage] = asdict(result)
            print(f"{entry['graph']:24} {stage:10} {result.cell()}", file=sys.stderr, flush=True)
            kept.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")

        entry["original"] = run_graph(path, stages, limit, tell)
        kept.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")


def table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the results as Markdown: how many graphs ended how, then each graph."""
    results = [
        [Result(**each["results"].get(stage, {"outcome": ""})) for stage in STAGES] for each in entries
    ]
    lines = [f"| graph | {' | '.join(TITLES)} |", f"|---|{'---|' * len(STAGES)}"]
    for outcome in ("right", "wrong", "refused", "failed"):
        counts = [
            sum(result.outcome == outcome for result in column) for column in zip(*results, strict=True)
        ]
        lines.append(f"| **{outcome}**, of {len(entries)} | {' | '.join(map(str, counts))} |")
    for each, row in zip(entries, results, strict=True):
        summary = f": {each['summary']}" if each.get("summary") else ""
        cells = [result.cell() for result in row]
        lines.append(f"| `{each['graph']}`{summary} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write_page(page: Path, text: str) -> None:
    """Put a table between the markers of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def read_results(output: Path) -> list[Any]:
    """Return what was kept of each graph."""
    paths = sorted(path for path in output.glob("*.json") if path.name != "table.json")
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def main() -> int:
    """Run, and write and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="frozen graphs, NAME.pb")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder of results")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these graphs")
    parser.add_argument("--again", nargs="+", default=[], choices=STAGES, help="compute these anew")
    parser.add_argument("--page", type=Path, help="a page of docs/ that gets the table between its markers")
    parser.add_argument(
        "--limit", type=float, default=120.0, help="seconds for each conversion (default 120)"
    )
    options = parser.parse_args()
    run_folder(options.folder, options.output, options.again, options.only, options.limit)
    entries = read_results(options.output)
    text = table(entries)
    (options.output / "table.md").write_text(text + "\n", encoding="utf-8")
    (options.output / "table.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    if options.page:
        write_page(options.page, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
