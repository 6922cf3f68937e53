"""Engines on a GPU: build, compare with TensorFlow's stored detections, measure; the demo model's mean
average precision.

    python bench/engines.py OUT build NAME=RECIPE,MODEL,ORIGINAL.npz VARIANT... NAME=FILE.onnx,ORIGINAL.npz
    VARIANT...
    python bench/engines.py OUT bench ENGINE...
    python bench/engines.py OUT precision RECIPE MODEL [PICTURES]
    python bench/engines.py OUT faults RECIPE MODEL

Every step goes through the command line, as a user would; what it says is kept in OUT. ORIGINAL.npz is what
'surgeon verify --store' wrote where TensorFlow is. A VARIANT is a precision with options: fp32, fp32-tf32,
fp16. 'bench' measures engines one after the other, when nothing else uses the GPU. 'precision' evaluates the
demo model's engines on fresh pictures (200 unless said otherwise); 'faults' provokes errors and keeps the
diagnostics.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.engine import load_engine, manifest_path
from surgeon.formats.uff import read_uff, write_uff
from surgeon.runners.detections import detections_of_plugin
from surgeon.runners.image import prepare
from surgeon.zoo.demo.pictures import make_picture
from surgeon.zoo.training.evaluation import evaluate, fresh_pictures

VARIANTS = {
    "fp32": ("--fp32", "--no-tf32"),
    "fp32-tf32": ("--fp32",),
    "fp16": ("--fp16",),
    "int8": ("--int8",),
}
CALIBRATION_SEED = 77
CALIBRATION_PICTURES = 300


class Kept:
    """Findings by name, written after each one."""

    def __init__(self, folder: Path, name: str = "engines.json") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self.found: dict[str, Any] = {}

    def put(self, name: str, value: Any) -> None:
        self.found[name] = value
        (self.folder / self.name).write_text(json.dumps(self.found, indent=1, default=str) + "\n")
        print(name, json.dumps(value, default=str)[:700], flush=True)


def surgeon(*arguments: object, env: dict[str, str] | None = None, timeout: float = 1200) -> dict[str, Any]:
    """Run one command; return its exit code, seconds, JSON product and talk."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "surgeon", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=timeout,
    )
    found: dict[str, Any] = {"code": done.returncode, "seconds": round(time.perf_counter() - start, 1)}
    try:
        found["json"] = json.loads(done.stdout)
    except ValueError:
        found["out"] = done.stdout[-2000:]
    found["err"] = done.stderr[-2500:]
    return found


def compare(kept: Kept, words: Sequence[str]) -> None:
    """Build each model in the variants that follow it, and verify each engine against the stored original."""
    name, what, original = "", [""], ""
    for word in words:
        if "=" in word:
            name, _, rest = word.partition("=")
            *what, original = rest.split(",")
            continue
        engine = kept.folder / f"{name}-{word}.engine"
        built = surgeon(
            "build", *what, "-o", engine, *VARIANTS[word], "--timing-cache", kept.folder / "timing", "--json"
        )
        manifest = built.pop("json", {}).get("manifest", {})
        told = {
            key: manifest.get(key)
            for key in ("layers", "build_seconds", "engine", "target", "tensorrt", "gpu")
        }
        kept.put(f"{name}/{word}/build", {**built, **told})
        if not built["code"]:
            verified = surgeon("verify", "--engine", engine, "--original", original, "--json")
            kept.put(f"{name}/{word}/verify", {**verified, "json": shortened(verified.get("json", {}))})


def measure(kept: Kept, engines: Sequence[str]) -> None:
    """Measure engines, one after the other."""
    for engine in engines:
        kept.put(
            f"{Path(engine).stem}/bench",
            surgeon("bench", engine, "--rounds", 300, "--warm-up", 0.5, "--json"),
        )


def shortened(verification: dict[str, Any]) -> dict[str, Any]:
    """Leave the rows out of a verification's JSON."""
    for verdict in verification.get("verdicts", []):
        for comparison in verdict.get("comparisons", []):
            comparison["differences"] = len(comparison.get("differences", []))
    return verification


def engine_detector(
    path: Path,
) -> tuple[Any, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Return an engine, and what it detects in a picture."""
    engine = load_engine(path)
    manifest = engine.manifest
    assert manifest.image is not None
    image = manifest.image

    def detect(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        outputs = engine.run({manifest.inputs[0].name: prepare(image, pixels).tensor})
        found = detections_of_plugin({port: outputs[name] for port, name in manifest.detections.items()})[0]
        return found.boxes, found.scores, found.classes

    return engine, detect


def precision(kept: Kept, recipe: str, model: str, pictures: int) -> None:
    """Evaluate the demo model's engines on fresh pictures; INT8 is calibrated on pictures of another seed."""
    from PIL import Image

    folder = kept.folder / "calibration"
    folder.mkdir(exist_ok=True)
    for index in range(CALIBRATION_PICTURES):
        Image.fromarray(make_picture(CALIBRATION_SEED, index).pixels).save(folder / f"{index:04}.png")
    timing = ("--timing-cache", kept.folder / "timing")
    for variant, options in VARIANTS.items():
        for calibrator in ("entropy", "minmax") if variant == "int8" else ("",):
            name = f"{variant}-{calibrator}" if calibrator else variant
            engine = kept.folder / f"demo-{name}.engine"
            more = ("--calibration", folder, "--calibrator", calibrator) if calibrator else ()
            built = surgeon("build", recipe, model, "-o", engine, *options, *more, *timing, "--json")
            kept.put(f"demo/{name}/build", {key: built[key] for key in ("code", "seconds", "err")})
            if built["code"]:
                continue
            running, detect = engine_detector(engine)
            with running:
                kept.put(f"demo/{name}/precision", evaluate(detect, fresh_pictures(pictures)).to_json())
            kept.put(f"demo/{name}/bench", surgeon("bench", engine, "--rounds", 500, "--json"))


def faults(kept: Kept, recipe: str, model: str) -> None:
    """Provoke what goes wrong on a GPU, and keep what is said."""
    folder = kept.folder
    engine = folder / "fault.engine"
    kept.put(
        "fault/none",
        surgeon("build", recipe, model, "-o", engine, "--fp32", "--timing-cache", folder / "timing"),
    )
    text = Path(recipe).read_text(encoding="utf-8")
    wrong = folder / "order.yaml"
    wrong.write_text(text.replace("inputOrder: [0, 2, 1]", "inputOrder: [2, 1, 0]"), encoding="utf-8")
    kept.put(
        "fault/wrong inputOrder",
        {"changed": wrong.read_text() != text, **surgeon("build", wrong, model, "-o", folder / "x.engine")},
    )
    right = folder / "right.uff"
    surgeon("convert", recipe, model, "-o", right)
    for name, key, value in MISTAKES:
        kept.put(
            f"fault/{name}, in a file",
            surgeon("build", mistaken(right, key, value), "-o", folder / "x.engine"),
        )
    manifest = manifest_path(engine)
    whole, said = engine.read_bytes(), manifest.read_text()
    elsewhere = (
        ("another GPU", '"gpu": "', '"gpu": "Tesla T4, not '),
        ("another TensorRT", '"tensorrt": "8.5', '"tensorrt": "8.4'),
    )
    for name, old, new in elsewhere:
        manifest.write_text(said.replace(old, new))
        kept.put(f"fault/{name}", surgeon("bench", engine))
    manifest.write_text(said)
    engine.write_bytes(whole[: len(whole) // 2])
    kept.put("fault/cut off", surgeon("bench", engine))
    damaged = bytearray(whole)
    damaged[len(whole) // 3 : len(whole) // 3 + 4096] = bytes(4096)
    for name, data in (("damaged", bytes(damaged)), ("not an engine", b"nothing" * 1000)):
        # The manifest is made to agree, so that TensorRT itself meets the bytes.
        engine.write_bytes(data)
        manifest.write_text(
            said.replace(json.loads(said)["engine"]["sha256"], hashlib.sha256(data).hexdigest())
        )
        kept.put(f"fault/{name}", surgeon("bench", engine))
    manifest.write_text(said)
    engine.write_bytes(whole)
    with occupied(kept):
        kept.put(
            "fault/out of memory, build",
            surgeon("build", recipe, model, "-o", folder / "y.engine", "--fp32", "--timeout", 60),
        )
        kept.put("fault/out of memory, run", surgeon("bench", engine))
    kept.put(
        "fault/time-out", surgeon("build", recipe, model, "-o", folder / "z.engine", "--fp16", "--timeout", 2)
    )
    kept.put("fault/after all", surgeon("bench", engine, "--rounds", 20))


MISTAKES = (
    ("wrong inputOrder", "inputOrder_u_ilist", (2, 1, 0)),
    ("wrong numClasses", "numClasses_u_int", 91),
    ("wrong featureMapShapes", "featureMapShapes_u_ilist", (19, 10)),
)


def mistaken(path: Path, key: str, value: object) -> Path:
    """Write a UFF file with another value of a field, as no converter here would; return it."""
    model = read_uff(path)
    nodes = [
        replace(node, fields={**node.fields, key: replace(node.fields[key], value=value)})
        if key in node.fields
        else node
        for node in model.nodes
    ]
    wrong = path.with_name(f"{key}.uff")
    write_uff(replace(model, nodes=tuple(nodes)), wrong)
    return wrong


class occupied:
    """Hold nearly all of the GPU's memory while the block runs."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._cuda = ctypes.CDLL("libcudart.so.11.0")
        self._blocks: list[ctypes.c_void_p] = []

    def __enter__(self) -> None:
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        for size in (1 << 30, 1 << 26, 1 << 22):
            for _ in range(400):
                block = ctypes.c_void_p()
                if self._cuda.cudaMalloc(ctypes.byref(block), ctypes.c_size_t(size)):
                    break
                self._blocks.append(block)
        self._cuda.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
        self._kept.put("fault/memory left", {"free": free.value, "total": total.value})

    def __exit__(self, *args: object) -> None:
        for block in self._blocks:
            self._cuda.cudaFree(block)


def digest(count: int) -> str:
    """Return a digest of the fresh pictures, which must be the same on both machines."""
    found = hashlib.sha256()
    for picture in fresh_pictures(count):
        found.update(picture.pixels.tobytes())
    return found.hexdigest()


def main(arguments: Iterable[str]) -> int:
    """Do one of the four things."""
    folder, command, *rest = arguments
    kept = Kept(Path(folder))
    if command == "build":
        compare(kept, rest)
    elif command == "bench":
        measure(kept, rest)
    elif command == "precision":
        count = int(rest[2]) if len(rest) > 2 else 200
        kept.put("pictures", {"count": count, "sha256": digest(count)})
        precision(kept, rest[0], rest[1], count)
    else:
        faults(kept, rest[0], rest[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
