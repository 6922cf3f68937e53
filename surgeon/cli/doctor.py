"""Look at the installation: Python, packages, whether TensorRT can be imported and which plugins it has, the GPU's driver,
and whether every recipe and plugin is fine. The exit code is 1 where something is broken.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata

from surgeon.cli import console
from surgeon.cli.options import add_paths

NAME = "doctor"
SUMMARY = "look at the installation"

NEEDED = ("numpy", "protobuf", "pydantic", "PyYAML", "tensorboard")
OPTIONAL = (
    (("tensorflow", "tensorflow-cpu"), "reads SavedModel folders", "surgeon[tensorflow]"),
    (("tensorrt",), "builds and runs engines", "surgeon[tensorrt]"),
    (("onnx",), "reads and writes ONNX files", "surgeon[onnx]"),
)


DRIVERS = {"nvidia-cuda-runtime-cu11": (450, 80, 2), "nvidia-cuda-runtime-cu12": (525, 60, 13)}
"""The oldest driver for each line of CUDA, by NVIDIA's table of minor version compatibility."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: fine, absent without harm, or broken."""

    thing: str
    state: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_paths(parser)


def run(args: argparse.Namespace) -> int:
    from surgeon.version import __version__

    findings = [Finding("surgeon", "ok", __version__), _python(), *_packages(), *_tensorrt(args), *_driver(), *_owned(args)]
    broken = [f for f in findings if f.state == "broken"]
    if args.json:
        console.show_json({"broken": len(broken), "findings": [vars(f) for f in findings]})
    else:
        console.table([(_mark(f.state), f.thing, f.text) for f in findings], indent="")
    if broken:
        console.say(f"{console.plural(len(broken), 'thing')} broken")
    return 1 if broken else 0


def _mark(state: str) -> str:
    return {"ok": "ok", "absent": "-"}.get(state, "BROKEN")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = (3, 10) <= sys.version_info[:2] <= (3, 12)
    return Finding("Python", "ok" if fine else "broken", version if fine else f"{version}; expected 3.10, 3.11 or 3.12")


def _packages() -> Iterable[Finding]:
    for name in NEEDED:
        version = _version(name)
        yield Finding(name, "ok" if version else "broken", version or f"not installed; pip install {name}")
    for names, purpose, extra in OPTIONAL:
        version = next((v for v in map(_version, names) if v), None)
        yield Finding(names[0], "ok" if version else "absent", version or f"not installed ({purpose}: pip install '{extra}')")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _tensorrt(args: argparse.Namespace) -> Iterable[Finding]:
    """Import TensorRT in another process, and compare the plugins that it registers with the catalog."""
    from surgeon.catalog import load_catalog
    from surgeon.engine import probe_tensorrt, read_log
    from surgeon.targets import parse_version

    probe = probe_tensorrt()
    if probe is None:
        return
    if probe.problem:
        known = read_log([*probe.log.splitlines(), probe.problem]).explained
        yield Finding("TensorRT", "broken", "; ".join([probe.problem, *(text for one in known[:1] for text in one.do)]))
        return
    version = parse_version(".".join(probe.version.split(".")[:3]))
    parser = "a UFF parser" if probe.reads_uff else "no UFF parser (8.6 is the last release with one)"
    yield Finding("TensorRT", "ok", f"{probe.version}, {parser}, {len(probe.creators)} plugin creators{_nptype(version)}")
    if not probe.initialised:
        yield Finding("plugin library", "broken", "init_libnvinfer_plugins fails; install the plugin library of this TensorRT")
        return
    catalog = load_catalog(args.plugin_paths)
    wanted = [spec for spec in catalog.values() if spec.library == "tensorrt" and spec.exists_in(version)]
    lacking = [spec.creator for spec in wanted if spec.creator not in probe.creators]
    if lacking:
        yield Finding("plugin library", "absent", f"without {', '.join(lacking)}; NVIDIA's open-source plugin library has them")


def _nptype(version: tuple[int, ...]) -> str:
    numpy = _version("numpy") or ""
    new = tuple(int(part) for part in numpy.split(".")[:2] if part.isdigit()) >= (1, 24)
    return f"; its nptype() fails with NumPy {numpy}" if version < (8, 6) and new else ""


def _driver() -> Iterable[Finding]:
    """Ask for the GPU, and compare its driver with what the installed CUDA needs."""
    found = _gpu()
    yield found
    numbers = re.findall(r"\b(\d{3})\.(\d+)(?:\.(\d+))?", found.text) if found.state == "ok" else []
    driver = min((tuple(int(part or 0) for part in number) for number in numbers), default=None)
    for package, needed in DRIVERS.items():
        if driver is not None and _version(package) and driver < needed:
            yield Finding("GPU driver", "broken", f"{'.'.join(map(str, driver))} is too old for {package}; it needs "
                          f"{'.'.join(map(str, needed))} or later")  # fmt: skip


def _gpu() -> Finding:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("GPU", "absent", "no nvidia-smi; engines need an NVIDIA GPU")
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return Finding("GPU", "absent", f"nvidia-smi does not answer: {type(exc).__name__}")
    lines = done.stdout.strip().splitlines()
    return Finding("GPU", "ok", "; ".join(lines)) if done.returncode == 0 and lines else Finding("GPU", "absent", "none found")


def _owned(args: argparse.Namespace) -> Iterable[Finding]:
    from surgeon.catalog import load_catalog
    from surgeon.language import load_recipe, recipe_files
    from surgeon.targets import load_target, target_names

    yield from _each("recipes", lambda: recipe_files(args.recipe_paths), lambda name: load_recipe(name, recipe_paths=args.recipe_paths))
    yield from _each("plugins", lambda: load_catalog(args.plugin_paths), lambda name: load_catalog(args.plugin_paths)[name])
    yield from _each("targets", target_names, load_target)


def _each(kind: str, names: Callable[[], Iterable[str]], load: Callable[[str], object]) -> Iterable[Finding]:
    """Load each of a kind; yield one finding for all that are fine, and one for each that is not."""
    from surgeon.diagnostics import SurgeonError

    try:
        every = list(names())
    except SurgeonError as exc:
        yield Finding(kind, "broken", exc.diagnostics[0].message)
        return
    fine = 0
    for name in every:
        try:
            load(name)
            fine += 1
        except SurgeonError as exc:
            first = exc.diagnostics[0]
            yield Finding(f"{kind[:-1]} {name}", "broken", f"{first.code}: {first.message}")
    yield Finding(kind, "ok" if fine else "broken", f"{fine} of {len(every)} fine")
