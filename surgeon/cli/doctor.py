"""Show what each verb can do on this machine, and the command that installs what is missing for the rest.

Below that stands what was looked at: Python, packages, TensorRT with its parsers and plugins, your plugin
libraries, the GPU and its driver, every recipe and plugin, and whether TensorRT registers the plugins of the
recipes. The exit code is 1 where something is broken.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.cli import console
from surgeon.cli.options import add_paths, add_plugin_libraries
from surgeon.deprecation import Alias
from surgeon.display import plural
from surgeon.installation import DISTRIBUTION, EXTRAS, help_for, install_command, pip

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.engine import Registry
    from surgeon.language import Recipe

NAME = "doctor"
TASK = "look"
SUMMARY = "Show what works on this machine, and what to install for the rest."
_FINDINGS = Alias("surgeon.cli.doctor --json", "findings", "observations", removal="0.2.0")

NEEDED = ("numpy", "protobuf", "pydantic", "PyYAML", "regex")
GPU = "an NVIDIA GPU"
OPTIONAL = (
    (("tensorflow", "tensorflow-cpu"), "verifies, writes ONNX, reads SavedModel folders"),
    (("tensorrt",), "builds and runs engines"),
    (("onnx",), "reads and writes ONNX files"),
)


ABILITIES = (
    ("convert", "to UFF and to TensorFlow graphs", ()),
    ("convert", "to ONNX", ("tensorflow", "tf2onnx", "onnx")),
    ("inspect, diff, view", "ONNX files", ("onnx",)),
    ("every verb", "SavedModel folders", ("tensorflow",)),
    ("verify, demo", "", ("tensorflow", "PIL")),
    ("evaluate", "", ("tensorflow", "PIL", "pycocotools")),
    ("run", "a recipe and its model", ("tensorflow", "PIL")),
    ("run, verify", "an ONNX file", ("onnx", "onnxruntime", "PIL")),
    ("build, run, bench, verify", "engines", ("tensorrt", "PIL", GPU)),
    ("fleet", "", ("ray",)),
    ("view", "as an HTML page", ()),
    ("view", "in Model Explorer", ("model_explorer",)),
    ("view", "in Netron", ("netron",)),
)
"""What verbs do, and what each needs; verbs that are not here need nothing."""

DRIVERS = {"nvidia-cuda-runtime-cu11": (450, 80, 2), "nvidia-cuda-runtime-cu12": (525, 60, 13)}
"""The oldest driver for each line of CUDA, by NVIDIA's table of minor version compatibility."""


@dataclass(frozen=True)
class Observation:
    """One thing looked at: fine, absent without harm, or broken."""

    thing: str
    state: str
    text: str


@dataclass(frozen=True)
class Ability:
    """What verbs do, and what is missing for it here."""

    verbs: str
    what: str
    missing: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_paths(parser)
    add_plugin_libraries(parser)


def run(args: argparse.Namespace) -> int:
    from surgeon.engine import check_libraries, read_registry
    from surgeon.version import __version__

    registry = read_registry(check_libraries(args.plugin_libraries))
    observations = [
        Observation("surgeon", "ok", __version__),
        _python(),
        *_other_distribution(),
        *_packages(),
        *_tensorrt(registry, args),
        *_driver(),
        *_cuda(registry),
        *_owned(args),
        *_recipes(registry, args),
    ]
    abilities = _abilities(registry)
    commands = _commands({package for ability in abilities for package in ability.missing})
    broken = [f for f in observations if f.state == "broken"]
    if args.json:
        rows = [vars(each) for each in observations]
        console.show_json(
            {
                "broken": len(broken),
                "observations": rows,
                _FINDINGS.name: rows,
                "abilities": [{**vars(ability), "works": not ability.missing} for ability in abilities],
                "install": commands,
                "tensorrt": registry.to_json() if registry is not None else None,
            }
        )
    else:
        _show(observations, abilities, commands)
    if broken:
        console.say(f"{plural(len(broken), 'thing')} broken")
    return 1 if broken else 0


def _show(observations: Sequence[Observation], abilities: Sequence[Ability], commands: Sequence[str]) -> None:
    console.show(console.bold("what works here"))
    console.table(
        [
            (
                _mark("absent" if ability.missing else "ok"),
                ability.verbs,
                ability.what,
                f"needs {' and '.join(ability.missing)}" if ability.missing else "",
            )
            for ability in abilities
        ]
    )
    if commands:
        console.show()
        console.show(console.bold("what enables the rest"))
        for command in commands:
            console.show(f"  {command}")
    console.show()
    console.show(console.bold("what was looked at"))
    console.table([(_mark(f.state), f.thing, f.text) for f in observations])


def _abilities(registry: Registry | None) -> list[Ability]:
    """Return what the verbs do, each with what is missing for it here."""
    from surgeon.cli import verbs

    def is_missing(thing: str) -> bool:
        if thing == GPU:
            return not (registry is not None and registry.devices)
        if thing == "tensorrt":
            return registry is None or bool(registry.problem)
        return find_spec(thing) is None

    listed = {verb for verbs_of, _, _ in ABILITIES for verb in verbs_of.split(", ")}
    others = ", ".join(name for name in verbs() if name not in listed)
    found = [Ability(names, what, tuple(filter(is_missing, needed))) for names, what, needed in ABILITIES]
    return [Ability(others, "", ()), *found]


def _commands(missing: Set[str]) -> list[str]:
    """Return the one command that installs all that is missing, and how to get TensorRT where it cannot."""
    packages = [package for package in EXTRAS if package in missing]
    apart = [package for package in packages if len(help_for(package)) > 1]
    extras = dict.fromkeys(extra for package in packages if package not in apart for extra in EXTRAS[package])
    commands = [install_command(*extras)] if extras else []
    return [*commands, *(text for package in apart for text in help_for(package))]


def _mark(state: str) -> str:
    return {"ok": "ok", "absent": "-"}.get(state, "BROKEN")


def _python() -> Observation:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = (3, 10) <= sys.version_info[:2] <= (3, 13)
    return Observation(
        "Python", "ok" if fine else "broken", version if fine else f"{version}; expected 3.10 to 3.13"
    )


def _other_distribution() -> Iterable[Observation]:
    """Tell of an installed distribution 'surgeon': the old name of this one, or a stranger's package."""
    from importlib import metadata

    # An editable install of that name and an old 'surgeon.egg-info' have no files that get mixed up.
    records = [found.read_text("RECORD") or "" for found in metadata.distributions(name="surgeon")]
    if any(line.startswith("surgeon/") for record in records for line in record.splitlines()):
        yield Observation(
            "distribution surgeon",
            "broken",
            f"installed beside '{DISTRIBUTION}', whose files it may replace; "
            f"{pip()} uninstall surgeon, then {install_command()} --force-reinstall --no-deps",
        )


def _packages() -> Iterable[Observation]:
    for name in NEEDED:
        version = _version(name)
        yield Observation(
            name, "ok" if version else "broken", version or f"not installed; {pip()} install {name}"
        )
    for names, purpose in OPTIONAL:
        version = next((v for v in map(_version, names) if v), None)
        there = version or ("there, of no installed package" if find_spec(names[0]) else None)
        yield Observation(
            names[0],
            "ok" if there else "absent",
            there or f"not installed ({purpose}): {'; '.join(help_for(names[0]))}",
        )


def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _tensorrt(registry: Registry | None, args: argparse.Namespace) -> Iterable[Observation]:
    """Compare the plugins that TensorRT registers with the catalog, and look at plugin libraries."""
    from surgeon.catalog import load_catalog
    from surgeon.engine import read_log, version_of

    if registry is None:
        if args.plugin_libraries:
            yield Observation(
                "plugin libraries", "absent", "they are looked at with TensorRT, which is not installed"
            )
        return
    if registry.problem:
        known = read_log([*registry.log.splitlines(), registry.problem]).explained
        yield Observation(
            "TensorRT",
            "broken",
            "; ".join([registry.problem, *(text for one in known[:1] for text in one.do)]),
        )
        return
    version = version_of(registry)
    creators = plural(len(registry.creators), "plugin creator")
    yield Observation(
        "TensorRT", "ok", f"{registry.version}, {_parsers(registry)}, {creators}{_nptype(version)}"
    )
    yield from _libraries(registry)
    if not registry.initialised:
        yield Observation(
            "plugin library",
            "broken",
            "init_libnvinfer_plugins fails; install the plugin library of this TensorRT",
        )
        return
    catalog = load_catalog(args.plugin_paths)
    wanted = [spec for spec in catalog.values() if spec.library == "tensorrt" and spec.exists_in(version)]
    lacking = [spec.creator for spec in wanted if not registry.named(spec.creator)]
    if lacking:
        yield Observation(
            "plugin library",
            "absent",
            f"without {', '.join(lacking)}; NVIDIA's open-source plugin library has them",
        )


def _parsers(registry: Registry) -> str:
    others = [
        text
        for name, text in (("onnx", "an ONNX parser"), ("caffe", "a Caffe parser"))
        if name in registry.parsers
    ]
    return ", ".join(
        [
            "a UFF parser"
            if "uff" in registry.parsers
            else "no UFF parser (8.6 is the last release with one)",
            *others,
        ]
    )


def _libraries(registry: Registry) -> Iterable[Observation]:
    from surgeon.engine import check_loaded

    problems = {str(diagnostic.where): diagnostic for diagnostic in check_loaded(registry)}
    for library in registry.libraries:
        thing = f"library {Path(library.path).name}"
        problem = problems.get(library.path)
        if problem is None:
            added = [creator.name for creator in registry.added_by(library.path)]
            yield Observation(thing, "ok", f"adds {', '.join(added)}")
        else:
            yield Observation(
                thing, "broken" if library.problem else "absent", f"{problem.code}: {problem.message}"
            )


def _nptype(version: tuple[int, ...]) -> str:
    numpy = _version("numpy") or ""
    new = tuple(int(part) for part in numpy.split(".")[:2] if part.isdigit()) >= (1, 24)
    return f"; its nptype() fails with NumPy {numpy}" if version < (8, 6) and new else ""


def _driver() -> Iterable[Observation]:
    """Ask for the GPU, and compare its driver with what the installed CUDA needs."""
    found = _gpu()
    yield found
    numbers = re.findall(r"\b(\d{3})\.(\d+)(?:\.(\d+))?", found.text) if found.state == "ok" else []
    driver = min((tuple(int(part or 0) for part in number) for number in numbers), default=None)
    for package, needed in DRIVERS.items():
        if driver is not None and _version(package) and driver < needed:
            yield Observation(
                "GPU driver",
                "broken",
                f"{'.'.join(map(str, driver))} is too old for {package}; it needs "
                f"{'.'.join(map(str, needed))} or later",
            )


def _gpu() -> Observation:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Observation("GPU", "absent", "no nvidia-smi; engines need an NVIDIA GPU")
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return Observation("GPU", "absent", f"nvidia-smi does not answer: {type(exc).__name__}")
    lines = done.stdout.strip().splitlines()
    return (
        Observation("GPU", "ok", "; ".join(lines))
        if done.returncode == 0 and lines
        else Observation("GPU", "absent", "none found")
    )


def _cuda(registry: Registry | None) -> Iterable[Observation]:
    """Tell what TensorRT's process sees of CUDA; nothing where it saw none of it."""
    if registry is None or registry.problem:
        return
    runtimes = f"runtime {', '.join(registry.cuda_runtimes)}" if registry.cuda_runtimes else ""
    driver = f"a driver for CUDA {registry.driver_cuda}" if registry.driver_cuda else "no driver"
    if runtimes or registry.driver_cuda:
        yield Observation(
            "CUDA", "ok" if registry.devices else "absent", ", ".join(filter(None, [driver, runtimes]))
        )
    for i, device in enumerate(registry.devices):
        yield Observation(
            f"GPU {i}",
            "ok",
            f"{device.name}, compute capability {device.compute_capability}, {console.size(device.memory)}",
        )


def _owned(args: argparse.Namespace) -> Iterable[Observation]:
    from surgeon.catalog import load_catalog
    from surgeon.language import load_recipe, recipe_files
    from surgeon.targets import load_target, target_names

    catalog = cache(lambda: load_catalog(args.plugin_paths))
    yield from _each(
        "recipes",
        lambda: recipe_files(args.recipe_paths),
        lambda name: load_recipe(name, recipe_paths=args.recipe_paths),
    )
    yield from _each("plugins", lambda: catalog().keys(), lambda name: catalog()[name])
    yield from _each("targets", target_names, load_target)


def _each(
    kind: str, names: Callable[[], Iterable[str]], load: Callable[[str], object]
) -> Iterable[Observation]:
    """Load each of a kind; yield one observation for all that are fine, and one for each that is not."""
    from surgeon.diagnostics import SurgeonError

    try:
        every = list(names())
    except SurgeonError as exc:
        yield Observation(kind, "broken", exc.diagnostics[0].message)
        return
    fine = 0
    for name in every:
        try:
            load(name)
            fine += 1
        except SurgeonError as exc:
            first = exc.diagnostics[0]
            yield Observation(f"{kind[:-1]} {name}", "broken", f"{first.code}: {first.message}")
    yield Observation(kind, "ok" if fine else "broken", f"{fine} of {len(every)} fine")


def _recipes(registry: Registry | None, args: argparse.Namespace) -> Iterable[Observation]:
    """Tell for each recipe with plugins whether this TensorRT registers them with the fields that it sets."""
    from surgeon.catalog import load_catalog
    from surgeon.diagnostics import SurgeonError
    from surgeon.language import load_recipe, recipe_files

    if registry is None or registry.problem:
        return
    catalog = load_catalog(args.plugin_paths)
    try:
        names = list(recipe_files(args.recipe_paths))
    except SurgeonError:
        return  # told among the recipes
    for name in names:
        try:
            recipe = load_recipe(name, recipe_paths=args.recipe_paths)
            observation = _needs(name, recipe, registry, catalog)
        except SurgeonError:
            continue
        if observation is not None:
            yield observation


def _needs(name: str, recipe: Recipe, registry: Registry, catalog: Catalog) -> Observation | None:
    """Return whether the plugins of one recipe are registered with the fields that it sets.

    None where it has none.
    """
    from surgeon.engine import PluginUse, check_plugins

    # An empty list has no type, as 'auto' has none before there is a graph.
    uses = [
        PluginUse(node, definition.plugin, dict.fromkeys(definition.fields or {}, ()))
        for node, definition in recipe.nodes.items()
        if definition.plugin is not None
    ]
    if not uses:
        return None
    needed = ", ".join(dict.fromkeys(use.op for use in uses))
    problems = dict.fromkeys(
        one.message for one in check_plugins(uses, registry, catalog) if one.code in ("B126", "B127", "B128")
    )
    return Observation(
        f"plugins of {name}", "absent" if problems else "ok", "; ".join([f"needs {needed}", *problems])
    )
