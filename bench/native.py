"""Every plugin of the native library against its reference, on random inputs, on a GPU.

    python bench/native.py LIB.so OUT.json

Networks of one plugin are built and executed with implicit batch, float32 with TF32 off and, for some,
float16. The exit status is 1 where a case failed, a number is off by more than its tolerance, or a negative
control was not.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plugins import Case, compare, corners, execute, expected, floats, made_inputs, made_plugin, normal

TOLERANCE = 2e-6
"""Relative to the largest number: a few roundings of float32; plugins that copy are compared with 0."""

HALF_TOLERANCE = 1e-3
"""The same for float16, whose numbers have 11 bits."""

DETECTION = {
    "classes": 7,
    "background": 0,
    "scoreConverter": 1,
    "scoreThreshold": 0.01,
    "iouThreshold": 0.5,
    "maxPerClass": 100,
    "maxTotal": 100,
    "clip": 2,
    "dropEmpty": 0,
}
COPIES = ("SurgeonSlice", "SurgeonTile", "CustomClipPlugin")
MODES = {"plain": (0, 0), "corners": (1, 0), "half pixels": (0, 1)}
SIZES = (
    ((1, 1), (3, 4)),
    ((4, 6), (8, 12)),
    ((5, 7), (9, 4)),
    ((19, 19), (38, 38)),
    ((33, 17), (10, 51)),
    ((75, 75), (1, 1)),
)
BATCHES = (1, 3)


def cases() -> list[Case]:
    """Return every case."""
    found = []
    for (before, after), (mode, (aligned, half)) in ((s, m) for s in SIZES for m in MODES.items()):
        fields = {"height": after[0], "width": after[1], "alignCorners": aligned, "halfPixelCenters": half}
        found += [
            Case(
                "SurgeonResizeBilinear",
                f"{mode}, {before[0]} x {before[1]} to {after[0]} x {after[1]}, batch {batch}",
                fields,
                floats(batch, 5, *before),
            )
            for batch in BATCHES
        ]
    for shape in ((7,), (7, 5), (7, 9, 11)):
        for axis in range(1, len(shape) + 1):
            for begin, size in ((0, 1), (2, 3), (0, shape[axis - 1]), (shape[axis - 1] - 1, 1)):
                found.append(
                    Case(
                        "SurgeonSlice",
                        f"{shape}, axis {axis}, {size} from {begin}",
                        {"axis": axis, "begin": begin, "size": size},
                        floats(3, *shape),
                    )
                )
    for repeats in ((3,), (2, 1), (1, 4), (2, 3, 1), (1, 1, 5), (3, 2, 2)):
        found += [
            Case(
                "SurgeonTile",
                f"{repeats}, batch {batch}",
                {"repeats": list(repeats)},
                floats(batch, *range(3, 3 + len(repeats))),
            )
            for batch in BATCHES
        ]
    for name, fields in {
        "leakyRelu": {"type": 0, "alpha": 0.1},
        "hardSwish": {"type": 1},
        "hardSigmoid": {"type": 2},
    }.items():
        found += [
            Case("SurgeonActivation", f"{name}, batch {batch}", fields, floats(batch, 3, 13, 17, scale=3))
            for batch in BATCHES
        ]
    for batch in BATCHES:
        found.append(
            Case(
                "CustomClipPlugin",
                f"0 to 6, batch {batch}",
                {"clipMin": 0.0, "clipMax": 6.0},
                floats(batch, 3, 13, 17, scale=5),
            )
        )
    found.append(
        Case(
            "CustomClipPlugin",
            "a million numbers",
            {"clipMin": -1.0, "clipMax": 1.5},
            floats(2, 16, 181, 181),
        )
    )
    found.append(
        Case(
            "SurgeonResizeBilinear",
            "corners, a large picture",
            {"height": 600, "width": 1000, "alignCorners": 1, "halfPixelCenters": 0},
            floats(1, 3, 301, 499),
        )
    )
    return found


def heads(
    fields: Mapping[str, Any], anchors: int, batch: int
) -> Callable[[np.random.Generator], list[np.ndarray]]:
    """Return a maker of encodings, scores and anchors.

    Scores are spread evenly, so that none are nearly equal.
    """

    def make(random: np.random.Generator) -> list[np.ndarray]:
        boxes = 1 if fields.get("shareLocation", 1) else fields["classes"]
        count = anchors * fields["classes"]
        share = np.stack([(random.permutation(count) + 0.5) / count for _ in range(batch)])
        scores = np.log(share / (1 - share)) if fields["scoreConverter"] else share
        variances = np.tile(np.float32([0.1, 0.15, 0.2, 0.25]), anchors)
        prior = np.stack([corners(random, anchors).reshape(-1), variances]).reshape(1, 2, -1, 1)
        loc = normal(random, batch, anchors * boxes * 4, 1, 1)
        return [loc, scores.reshape(batch, -1, 1, 1).astype(np.float32), prior.astype(np.float32)]

    return make


def in_order(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return rows float32[N, K, 7] with those exchanged that have equal scores, as far as float32 tells."""
    found = found.copy()
    for picture, others in zip(found, wanted, strict=True):
        for row in range(len(picture) - 1):
            near = abs(picture[row, 2] - picture[row + 1, 2]) <= TOLERANCE
            if near and picture[row, 1] != others[row, 1] and picture[row + 1, 1] == others[row, 1]:
                picture[[row, row + 1]] = picture[[row + 1, row]]
    return found


def detections() -> list[Case]:
    """Return the cases of SurgeonDetection, each of which runs in float32 and float16, with each kind of
    batch.
    """
    found = {
        "as exported in 2018": (1917, 2, {"clip": 1, "dropEmpty": 1, "scoreThreshold": 1e-8}),
        "91 classes": (1917, 3, {"classes": 91, "scoreThreshold": 1e-8}),
        "one class": (1917, 1, {"classes": 2, "scoreThreshold": 1e-8, "iouThreshold": 0.2}),
        "more candidates than are collected at once": (
            5003,
            2,
            {"iouThreshold": 0.1, "maxTotal": 300, "scoreThreshold": 0.0},
        ),
        "a cap for each class": (1000, 2, {"maxPerClass": 7}),
        "one suppression for all classes": (1917, 2, {"classAgnostic": 1}),
        "soft": (700, 2, {"softSigma": 0.5, "iouThreshold": 1.0}),
        "soft, one for all classes": (700, 2, {"softSigma": 0.3, "classAgnostic": 1}),
        "softmax": (500, 2, {"scoreConverter": 2, "scoreScale": 0.5}),
        "scores as they are, at least": (
            500,
            2,
            {"scoreConverter": 0, "scoreAtLeast": 1, "scoreThreshold": 0.25},
        ),
        "a box for each class": (300, 2, {"shareLocation": 0, "background": -1}),
        "empty boxes dropped afterwards": (1000, 2, {"dropEmpty": 2, "iouThreshold": 0.2}),
        "nothing passes": (100, 2, {"scoreThreshold": 0.9999}),
    }
    return [
        Case(
            "SurgeonDetection",
            f"{name}, batch {batch}",
            DETECTION | change,
            heads(DETECTION | change, anchors, batch),
        )
        for name, (anchors, batch, change) in found.items()
    ]


def halves() -> list[Case]:
    """Return the cases that run in float16, too: one or two of each plugin."""
    wanted = (
        "5 x 7 to 9 x 4, batch 3",
        "axis 2, 3 from 2",
        "(2, 3, 1), batch 3",
        "leakyRelu, batch 3",
        "hardSwish, batch 3",
        "0 to 6, batch 3",
    )
    return [case for case in cases() if case.name.endswith(wanted)]


class Bench:
    """A logger, a builder and a runtime for all cases.

    Each engine is stored and read back, as a file's would be.
    """

    def __init__(self, library: Path) -> None:
        import tensorrt

        self.trt: Any = tensorrt
        self.log = self.trt.Logger(self.trt.Logger.WARNING)
        ctypes.CDLL(str(library.resolve()))
        self.builder = self.trt.Builder(self.log)
        self.runtime = self.trt.Runtime(self.log)

    def run(self, case: Case, x: np.ndarray, half: bool = False) -> list[np.ndarray]:
        """Return what the plugin computes of a batch.

        With ``half`` it reads and writes float16, between two casts.
        """
        trt = self.trt
        network = self.builder.create_network(0)
        given = network.add_input("x", trt.float32, x.shape[1:])
        if half:
            given = self.cast(network, given, trt.float16)
        layer = network.add_plugin_v2([given], made_plugin(trt, case))
        made = layer.get_output(0)
        if half:
            layer.precision = trt.float16
            made = self.cast(network, made, trt.float32)
        made.name = "y"
        network.mark_output(made)
        config = self.builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)
        if half:
            config.set_flag(trt.BuilderFlag.FP16)
            config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
        self.builder.max_batch_size = len(x)
        data = self.builder.build_serialized_network(network, config)
        if data is None:
            raise RuntimeError("the engine was not built")
        return execute(self.runtime.deserialize_cuda_engine(data), trt, [x], len(x))

    def detect(self, case: Case, inputs: Sequence[np.ndarray], half: bool, kind: str) -> list[np.ndarray]:
        """Return what SurgeonDetection finds in a batch that is ``implicit``, ``explicit`` or ``open``."""
        trt, batch = self.trt, len(inputs[0])
        implicit = kind == "implicit"
        network = self.builder.create_network(
            0 if implicit else 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        )
        first = () if implicit else (-1 if kind == "open" else batch,)
        dtype = trt.float16 if half else trt.float32
        tensors = [
            network.add_input(name, dtype, (*first, *array.shape[1:]))
            for name, array in zip(("loc", "conf"), inputs, strict=False)
        ]
        prior = np.ascontiguousarray(inputs[2][0] if implicit else inputs[2])
        tensors.append(network.add_constant(prior.shape, prior).get_output(0))
        layer = network.add_plugin_v2(tensors, made_plugin(trt, case))
        for i in range(layer.num_outputs):
            network.mark_output(layer.get_output(i))
        config = self.builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)
        if half:
            config.set_flag(trt.BuilderFlag.FP16)
        self.builder.max_batch_size = batch
        if kind == "open":
            profile = self.builder.create_optimization_profile()
            for name, array in zip(("loc", "conf"), inputs, strict=False):
                shape = array.shape[1:]
                profile.set_shape(name, (1, *shape), (batch, *shape), (batch + 3, *shape))
            config.add_optimization_profile(profile)
        data = self.builder.build_serialized_network(network, config)
        if data is None:
            raise RuntimeError("the engine was not built")
        engine = self.runtime.deserialize_cuda_engine(data)
        given = [array.astype(np.float16 if half else np.float32) for array in inputs[:2]]
        return execute(engine, trt, given, batch if implicit else 0)

    def detection_entry(self, case: Case, half: bool, kind: str) -> dict[str, Any]:
        """Return what became of one case of SurgeonDetection: every row, in order, and how many there are."""
        if kind != "implicit":
            case = replace(case, op=f"{case.op}Dynamic")
        entry: dict[str, Any] = {
            "op": case.op,
            "case": f"{case.name}, {kind}",
            "type": "float16" if half else "float32",
        }
        inputs = made_inputs(case)
        if half:
            inputs[:2] = [array.astype(np.float16).astype(np.float32) for array in inputs[:2]]
        try:
            rows, counts = self.detect(case, inputs, half, kind)
            wanted_rows, wanted_counts = expected(case, inputs)
            entry["counts"] = counts.view(np.int32).ravel().tolist()
            same = np.array_equal(counts.view(np.int32), wanted_counts.view(np.int32))
            rows = in_order(rows.reshape(-1, *wanted_rows.shape[2:]), wanted_rows[:, 0])[:, None]
            entry["worst"] = float(np.abs(rows - wanted_rows).max())
            entry["within"] = bool(same and entry["worst"] <= TOLERANCE)
            entry["control"] = bool(
                np.abs(rows - np.roll(wanted_rows, 1, axis=2)).max() > TOLERANCE or not any(entry["counts"])
            )
        except Exception as exc:
            entry["failed"] = f"{type(exc).__name__}: {exc}"
        return entry

    @staticmethod
    def cast(network: Any, tensor: Any, dtype: Any) -> Any:
        layer = network.add_identity(tensor)
        layer.set_output_type(0, dtype)
        return layer.get_output(0)

    def entry(self, case: Case, half: bool = False) -> dict[str, Any]:
        """Return what became of one case."""
        entry: dict[str, Any] = {"op": case.op, "case": case.name, "type": "float16" if half else "float32"}
        (x,) = made_inputs(case)
        if half:
            x = x.astype(np.float16).astype(np.float32)
        limit = HALF_TOLERANCE if half else 0.0 if case.op in COPIES else TOLERANCE
        try:
            found, wanted = self.run(case, x, half), expected(case, [x])
            entry |= compare(found, wanted)["outputs"][0]
            entry["within"] = entry.get("worst", np.inf) <= limit * max(1.0, entry.get("largest", 1.0))
            control = (
                float(np.abs(found[0].reshape(wanted[0].shape) - np.roll(wanted[0], 1)).max())
                if "worst" in entry
                else 0.0
            )
            if half:
                entry["rounded"] = bool(np.array_equal(found[0], found[0].astype(np.float16)))
                entry["within"] &= entry["rounded"]
            entry["control"] = (
                control > limit * max(1.0, entry.get("largest", 1.0))
                or wanted[0].size == 1
                or bool(np.ptp(wanted[0]) == 0)
            )
        except Exception as exc:
            entry["failed"] = f"{type(exc).__name__}: {exc}"
        return entry


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    library, out = map(Path, arguments)
    start = time.perf_counter()
    bench = Bench(library)
    results = [bench.entry(case) for case in cases()] + [bench.entry(case, half=True) for case in halves()]
    results += [
        bench.detection_entry(case, half, kind)
        for case in detections()
        for kind in ("implicit", "explicit", "open")
        for half in (False, True)
    ]
    bad = [entry for entry in results if not (entry.get("within") and entry.get("control"))]
    out.write_text(json.dumps(results, indent=1) + "\n")
    for entry in bad:
        print(json.dumps(entry))
    print(f"{len(results) - len(bad)} of {len(results)} cases agree, in {time.perf_counter() - start:.0f} s")
    for op in dict.fromkeys(entry["op"] for entry in results):
        worst = {
            kind: max(
                (e["worst"] for e in results if e["op"] == op and e["type"] == kind and "worst" in e),
                default=None,
            )
            for kind in ("float32", "float16")
        }
        print(op, "worst", worst)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
