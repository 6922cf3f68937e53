"""Damaged manifests of engines: they are read or refused."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from damage import damaged_bytes, damaged_json

from surgeon.diagnostics import SurgeonError
from surgeon.engine.manifest import check_content, check_place, manifest_path, read_manifest

DIGEST = "0" * 64
FILE = {"name": "ssd.uff", "sha256": DIGEST, "bytes": 5}
TENSOR = {
    "name": "Input",
    "binding": "Input",
    "dtype": "float32",
    "shape": [None, 3, 300, 300],
    "axes": [0, 3, 1, 2],
}
MANIFEST = {
    "version": 1,
    "surgeon": "0.1.0",
    "model": "ssd.pb",
    "graph": DIGEST,
    "recipe": "ssd",
    "recipe_digest": DIGEST,
    "target": "uff@tensorrt-8.5",
    "format": "uff",
    "source": FILE,
    "engine": {**FILE, "name": "ssd.engine"},
    "tensorrt": "8.5.3.1",
    "gpu": "GPU",
    "compute_capability": "9.0",
    "precision": "fp16",
    "tf32": False,
    "workspace": 1 << 30,
    "max_batch": 1,
    "dla_core": None,
    "inputs": [TENSOR],
    "outputs": [{**TENSOR, "name": "NMS", "shape": [None, 1, 100, 7]}],
    "detections": {"detections": "NMS"},
    "image": {"size": [300, 300], "steps": [{"scale": 0.5}, {"subtract": [1.0, 1.0, 1.0]}]},
    "labels": {"1": "cat"},
    "plugin_libraries": [FILE],
    "calibration": {"pictures": 3, "digest": DIGEST, "algorithm": "entropy2"},
    "layers": 7,
    "build_seconds": 1.5,
    "key": DIGEST,
}


def fuzz(make: Callable[[random.Random], bytes], folder: Path, count: int, seed: int) -> Counter[str]:
    """Return how many damaged manifests were read, and how many were refused by which code."""
    rng = random.Random(seed)
    engine = folder / "ssd.engine"
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        data = make(rng)
        manifest_path(engine).write_bytes(data)
        try:
            manifest = read_manifest(engine)
            manifest.to_json().encode()
            outcomes["read"] += 1
            check_place(manifest, "8.5.3.1", "GPU", "9.0", engine)
            check_content(manifest, b"other", engine)
        except SurgeonError as exc:
            str(exc).encode()
            outcomes[exc.diagnostics[0].code] += 1
        except Exception as exc:
            raise AssertionError(f"escaped for {data!r}") from exc
    return outcomes


def test_damaged_bytes_of_manifests(tmp_path: Path) -> None:
    base = json.dumps(MANIFEST, indent=1).encode()
    outcomes = fuzz(lambda rng: damaged_bytes(rng, base), tmp_path, 2500, seed=1)
    assert outcomes["read"] > 100 and outcomes["B103"] > 1000, outcomes


def test_damaged_values_of_manifests(tmp_path: Path) -> None:
    outcomes = fuzz(lambda rng: json.dumps(damaged_json(rng, MANIFEST)).encode(), tmp_path, 2500, seed=2)
    assert outcomes["read"] > 100 and outcomes["B103"] > 1000, outcomes
