"""The demo model's engines in FP32, FP16, INT8 and INT8 with kept accuracy, on a GPU: how well they
detect, how long they take, in which precision layers compute, and what CUDA graphs and work ahead change.

    python bench/precision.py OUT [--model MODEL.pb] [--pictures 200] [--calibration 100]
        [--keep-accuracy 0.5] [--max-builds 6] [--plugin-library LIB.so] [--engines fp32,fp16,int8,kept]
        [--seconds 420]

MODEL is a model that 'bench/demo_model.py train' wrote. Engines are built by the command line and share the
timings of their layers. Their detections in pictures that no training saw are judged by the shapes in them.
OUT/precision.json is written after each step; steps that would begin after --seconds are left out and named.
With a native plugin library, SurgeonDetection suppresses. Needs TensorRT, Polygraphy, Pillow and pycocotools,
and no TensorFlow.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from engines import CALIBRATION_SEED, Kept, surgeon

import surgeon as toolkit
from surgeon.engine import load_engine
from surgeon.runners.average_precision import average_precision
from surgeon.runners.detection_runner import DetectionRunner
from surgeon.runners.detections import Detections
from surgeon.runners.engine import EngineRunner
from surgeon.runners.image import Picture
from surgeon.zoo import demo
from surgeon.zoo.demo.pictures import LabelledPicture, make_picture
from surgeon.zoo.training.evaluation import EVALUATION_SEED

NEEDED = ("tensorrt", "polygraphy", "PIL", "pycocotools")
NATIVE = "recipe: 1\nname: demo_native\nextends: [./demo.yaml]\nsuppression: native\ndecode: auto\n"
PRECISIONS = {"fp32": ("--fp32", "--no-tf32"), "fp16": ("--fp16",), "int8": ("--int8",), "kept": ("--int8",)}


class Steps:
    """Steps in turn, as long as there is time; what fails is kept and does not stop the others."""

    def __init__(self, kept: Kept, seconds: float) -> None:
        self.kept, self.ends, self.begun = kept, time.monotonic() + seconds, time.monotonic()

    def do(self, name: str, work: Callable[[], Any]) -> Any:
        if time.monotonic() > self.ends:
            self.kept.put(name, {"left out": "there was no time left"})
            return None
        start = time.monotonic()
        try:
            found = work()
        except Exception as exc:
            found = {"failed": f"{type(exc).__name__}: {exc}"}
        took = {
            "step_s": round(time.monotonic() - start, 1),
            "since_s": round(time.monotonic() - self.begun, 1),
        }
        self.kept.put(name, {**found, **took})
        return found


def build(kept: Kept, recipe: Path, name: str, args: argparse.Namespace, pictures: Path) -> dict[str, Any]:
    """Build one engine; return what the command gives, without the layers' names where they are many."""
    options: list[object] = [*PRECISIONS[name], "--timing-cache", kept.folder / "timing"]
    if name in ("int8", "kept"):
        options += ["--calibration", pictures]
    if name == "kept":
        options += ["--keep-accuracy", args.keep_accuracy, "--max-builds", args.max_builds]
    engine = kept.folder / f"demo-{name}.engine"
    layers = kept.folder / f"demo-{name}.layers.json"
    done = surgeon(
        "build",
        recipe,
        args.model,
        "-o",
        engine,
        *options,
        *libraries(args),
        "--layers",
        layers,
        "--json",
    )
    product = done.pop("json", {})
    manifest = product.get("manifest", {})
    return {
        **done,
        "layers": {precision: len(names) for precision, names in product.get("layers", {}).items()},
        "names": product.get("layers", {}) if name in ("int8", "kept") else {},
        "accuracy": manifest.get("accuracy"),
        "build_s": manifest.get("build_seconds"),
        "bytes": manifest.get("engine", {}).get("bytes"),
        "network_layers": manifest.get("layers"),
    }


def libraries(args: argparse.Namespace) -> tuple[object, ...]:
    return ("--plugin-library", args.plugin_library) if args.plugin_library else ()


def detected(
    engine: Path,
    args: argparse.Namespace,
    pictures: Sequence[LabelledPicture],
    cuda_graphs: bool,
    ahead: bool,
) -> tuple[list[Detections], float]:
    """Return what an engine detects in each picture, and the seconds that it took.

    Without ``ahead`` the pictures are prepared and run one after the other.
    """
    plugins = [args.plugin_library] if args.plugin_library else []
    given = [Picture(str(number), each.pixels) for number, each in enumerate(pictures)]
    with EngineRunner(load_engine(engine, plugin_libraries=plugins, cuda_graphs=cuda_graphs)) as runner:
        detector = DetectionRunner(runner)
        list(detector.detect(given[:3]))
        start = time.perf_counter()
        if ahead:
            results = [result for _, result in detector.detect(given, threshold=0.0)]
        else:
            results = [result for one in given for _, result in detector.detect([one], threshold=0.0)]
        seconds = time.perf_counter() - start
    return [result.detections for result in results if result.detections is not None], seconds


def judged(engine: Path, args: argparse.Namespace, pictures: Sequence[LabelledPicture]) -> dict[str, Any]:
    """Judge an engine by the shapes in the pictures; compare its ways to run them to the last bit."""
    found, seconds = detected(engine, args, pictures, True, True)
    truth = [Detections(each.boxes, np.ones(len(each.labels)), each.labels) for each in pictures]
    precision = average_precision(truth, found, [each.pixels.shape[:2] for each in pictures])
    speed = {"graphs, ahead": round(len(pictures) / seconds, 1)}
    same = {}
    for name, graphs, ahead in (("calls, ahead", False, True), ("calls, one by one", False, False)):
        other, seconds = detected(engine, args, pictures, graphs, ahead)
        speed[name] = round(len(pictures) / seconds, 1)
        same[name] = all(map(bits_equal, found, other))
    return {
        "mAP@0.5": precision.map50,
        "mAP@0.5:0.95": precision.map,
        "pictures_per_second": speed,
        "same_bits": same,
    }


def bits_equal(a: Detections, b: Detections) -> bool:
    return all(
        getattr(a, part).tobytes() == getattr(b, part).tobytes() for part in ("boxes", "scores", "classes")
    )


def table(found: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Return what is to be seen at a glance, a line for each engine."""
    lines = [
        "engine | layers | mAP@0.5 | mAP@0.5:0.95 | GPU p50 | graph p50 | suppression | less suppression"
    ]
    for name in names:
        built, accuracy = found.get(f"{name}/build", {}), found.get(f"{name}/detections", {})
        bench = found.get(f"{name}/bench", {}).get("json", {})
        parts = bench.get("parts_ms", {})
        cells = (
            name,
            built.get("layers"),
            accuracy.get("mAP@0.5"),
            accuracy.get("mAP@0.5:0.95"),
            bench.get("gpu_ms", {}).get("p50"),
            (bench.get("graph_ms") or {}).get("p50", bench.get("graph_problem")),
            parts.get("suppression"),
            parts.get("without_suppression"),
        )
        lines.append(" | ".join(map(str, cells)))
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="precision of the demo model's engines")
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--model", type=Path, default=demo.model_path())
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--calibration", type=int, default=100)
    parser.add_argument("--keep-accuracy", type=float, default=0.5)
    parser.add_argument("--max-builds", type=int, default=6)
    parser.add_argument("--plugin-library", type=Path)
    parser.add_argument("--engines", default=",".join(PRECISIONS))
    parser.add_argument("--seconds", type=float, default=420)
    args = parser.parse_args(arguments)
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        print(f"not installed: {', '.join(lacking)}", file=sys.stderr)
        return 1
    from PIL import Image

    kept = Kept(args.out, "precision.json")
    steps = Steps(kept, args.seconds)
    recipe = args.out / "demo.yaml"
    toolkit.init(args.model, recipe, labels=demo.labels_path())
    if args.plugin_library:
        recipe = args.out / "demo_native.yaml"
        recipe.write_text(NATIVE, encoding="utf-8")
    folder = args.out / "calibration"
    folder.mkdir(exist_ok=True)
    for number in range(args.calibration):
        Image.fromarray(make_picture(CALIBRATION_SEED, number).pixels).save(folder / f"{number:04}.png")
    pictures = [make_picture(EVALUATION_SEED, number) for number in range(args.pictures)]
    names = args.engines.split(",")
    for name in names:
        engine = args.out / f"demo-{name}.engine"
        steps.do(f"{name}/build", lambda name=name: build(kept, recipe, name, args, folder))
        if not engine.exists():
            continue
        bench = ("bench", engine, "--rounds", 300, *libraries(args), "--json")
        steps.do(f"{name}/bench", lambda bench=bench: surgeon(*bench))
        steps.do(f"{name}/detections", lambda engine=engine: judged(engine, args, pictures))
    text = "\n".join(table(kept.found, names))
    (args.out / "precision.txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
