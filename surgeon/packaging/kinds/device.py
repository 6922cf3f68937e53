"""A folder for a device with TensorRT and its own Python: the model, and one file that does all with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from surgeon.atomic import write_text
from surgeon.diagnostics import Diagnostic
from surgeon.engine.sources import for_another_runtime
from surgeon.packaging import description as descriptions
from surgeon.packaging import program
from surgeon.packaging.description import Description
from surgeon.packaging.kind import PackagedModel, PackageKind
from surgeon.packaging.template import filled
from surgeon.packaging.trtexec import trtexec_script
from surgeon.version import __version__

_EXECUTABLE = 0o755


def write_device_folder(folder: Path, model: PackagedModel) -> None:
    """Write the files for a device; raise SurgeonError E105 where one cannot be written."""
    described = model.description
    rows = {program.NAME: "builds, runs, measures and verifies the engine"}
    shutil.copyfile(model.source, folder / described.source.name)
    rows[described.source.name] = f"the model, for {described.target or 'TensorRT'}"
    write_text(folder / descriptions.NAME, described.to_json())
    rows[descriptions.NAME] = "inputs, outputs, how a picture becomes the input, classes, how to build"
    if model.original is not None:
        shutil.copyfile(model.original, folder / described.original)
        rows[described.original] = "what the original model computed, for `verify`"
    if model.calibration is not None:
        shutil.copyfile(model.calibration, folder / described.calibration)
        rows[described.calibration] = "scales for an INT8 engine"
    if described.labels:
        write_text(folder / "labels.txt", "".join(_label_lines(described)))
        rows["labels.txt"] = "names of the classes: number, name"
    if described.native_plugins:
        with as_file(files("surgeon.plugins") / "native") as native:
            shutil.copytree(native, folder / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
        rows["plugins/"] = "sources of the plugins that the model needs beside TensorRT's own"
    script = trtexec_script(described, "build.sh.txt", f"{described.name}.engine", program=program.NAME)
    write_text(folder / "build.sh", script)
    rows["build.sh"] = "builds the engine with `trtexec`, where there is no Python"
    write_text(folder / program.NAME, program.detector_program())
    for name in (program.NAME, "build.sh"):
        (folder / name).chmod(_EXECUTABLE)
    write_text(folder / "README.md", _readme(described, rows))


def _label_lines(described: Description) -> Iterator[str]:
    for number, name in sorted(described.labels.items()):
        yield f"{number} {' '.join(name.split())}\n"


def _readme(described: Description, rows: dict[str, str]) -> str:
    notes = filled("plugins.md.txt", program=program.NAME) if described.native_plugins else ""
    return filled(
        "README.md.txt",
        name=described.name,
        version=__version__,
        target=described.target or "TensorRT",
        program=program.NAME,
        files="\n".join(f"| `{name}` | {text} |" for name, text in rows.items()),
        notes=notes,
    )


def check_for_device(described: Description) -> tuple[Diagnostic, ...]:
    """Return a warning for a file that was written for another runtime than TensorRT."""
    return for_another_runtime(described.source.name, described.target)


KIND = PackageKind(
    "device",
    "a folder for a device with TensorRT and its own Python, such as a Jetson",
    descriptions.NAME,
    write_device_folder,
    "copy the folder to the device; there: python3 detector.py build",
    check=check_for_device,
    keeps_originals=True,
)
