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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plugins import Case, compare, execute, expected, floats, made_inputs, made_plugin

TOLERANCE = 2e-6
"""Relative to the largest number: a few roundings of float32; plugins that copy are compared with 0."""

HALF_TOLERANCE = 1e-3
"""The same for float16, whose numbers have 11 bits."""

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
    for (before, after), (mode, (corners, half)) in ((s, m) for s in SIZES for m in MODES.items()):
        fields = {"height": after[0], "width": after[1], "alignCorners": corners, "halfPixelCenters": half}
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
