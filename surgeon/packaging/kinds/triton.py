"""A folder for NVIDIA Triton Inference Server: a model repository, and a client."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from surgeon.atomic import write_text
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error
from surgeon.packaging import description as descriptions
from surgeon.packaging.client.kserve import DATA_TYPES
from surgeon.packaging.description import Description
from surgeon.packaging.kind import PackagedModel, PackageKind
from surgeon.packaging.program import CLIENT, client_program, preparation_program
from surgeon.packaging.template import filled
from surgeon.packaging.triton.config import (
    ONNXRUNTIME,
    TENSORRT,
    ensemble_config,
    network_config,
    preparation_config,
)
from surgeon.packaging.triton.served import (
    ServedTensor,
    input_axes,
    input_specs,
    largest_batch,
    loose_outputs,
    pictures_name,
    preparation_name,
    served_inputs,
    served_name,
    served_outputs,
)
from surgeon.packaging.trtexec import trtexec_script
from surgeon.runners.detection_runner import PictureInput, picture_input
from surgeon.targets import all_targets
from surgeon.version import __version__

_EXECUTABLE = 0o755

_VERSION = "1"
"""The version of each model, a folder."""

_LAST_IMPLICIT = "24.04"
"""The last release of Triton whose TensorRT reads UFF and has engines with an implicit batch."""


def check_for_triton(described: Description) -> tuple[Diagnostic, ...]:
    """Return a note of what the folder leaves open; none where there is nothing.

    Raise SurgeonError B155 for a model that Triton cannot serve.
    """
    _platform(described)
    tensors = (*served_inputs(described), *served_outputs(described))
    if not described.inputs or not described.outputs:
        lacking = "no input" if not described.inputs else "no output"
        raise _unserved(f"'{described.name}' has {lacking}; expected one or more", "convert the model again")
    for each in tensors:
        _check_tensor(each)
    notes = tuple(_notes(described))
    if not notes:
        return ()
    return (
        Diagnostic(
            "B157",
            "Triton's folder leaves something open",
            notes=notes,
            help=("README.md in the folder says how to go on",),
            severity=Severity.NOTE,
        ),
    )


def write_triton_folder(folder: Path, model: PackagedModel) -> None:
    """Write the model repository and what goes with it; raise SurgeonError E105 where a file cannot be."""
    described = model.description
    name, platform = served_name(described), _platform(described)
    rows = {"models/": "the model repository: each model with its `config.pbtxt`"}
    network = folder / "models" / name
    (network / _VERSION).mkdir(parents=True)
    labels = _label_lines(described)
    if labels:
        write_text(network / "labels.txt", "".join(f"{line}\n" for line in labels))
    label_files = {each.name: "labels.txt" for each in _scores_by_class(described, len(labels))}
    write_text(network / "config.pbtxt", network_config(described, platform, label_files))
    unbuilt = platform == TENSORRT and not described.built_for
    engine = f"models/{name}/{_VERSION}/model.plan"
    if unbuilt:
        shutil.copyfile(model.source, folder / described.source.name)
        rows[described.source.name] = "the model, of which the engine is built"
        if model.calibration is not None:
            shutil.copyfile(model.calibration, folder / described.calibration)
            rows[described.calibration] = "scales for an INT8 engine"
        script = trtexec_script(described, "triton-build.sh.txt", engine)
        _write_script(folder / "build.sh", script)
        rows["build.sh"] = f"builds the engine, `{engine}`, with `trtexec`"
    else:
        file = "model.plan" if platform == TENSORRT else "model.onnx"
        shutil.copyfile(model.source, network / _VERSION / file)
    if unbuilt and described.native_plugins:
        with as_file(files("surgeon.plugins") / "native") as native:
            shutil.copytree(native, folder / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
        rows["plugins/"] = "sources of the plugins that the model needs beside TensorRT's own"
    libraries = [_kept_library(folder, path) for path in model.libraries]
    if libraries:
        rows["plugins/"] = "the plugin libraries that the engine was built with"
    _write_script(folder / "serve.sh", _serve(described, engine if unbuilt else "", libraries))
    rows["serve.sh"] = "starts Triton with the models"
    write_text(folder / descriptions.NAME, described.to_json())
    rows[descriptions.NAME] = "inputs, outputs, how a picture becomes the input, classes"
    taken = _picture_input(described)
    if taken is not None:
        _write_preparation(folder / "models", described, taken)
        _write_script(folder / CLIENT, client_program())
        rows[CLIENT] = "detects objects in pictures, asking Triton"
    write_text(folder / "README.md", _readme(described, rows, unbuilt, taken is not None))


def _write_preparation(models: Path, described: Description, taken: PictureInput) -> None:
    """Write the model that prepares pictures, and the ensemble that takes them."""
    assert described.image is not None
    name = served_name(described)
    preparation, pictures = preparation_name(name), pictures_name(name)
    for each in (preparation, pictures):
        (models / each / _VERSION).mkdir(parents=True)
    axes = input_axes(described, taken.channels_first)
    text = preparation_config(described, described.image, preparation, axes)
    write_text(models / preparation / "config.pbtxt", text)
    write_text(models / preparation / _VERSION / "model.py", preparation_program())
    write_text(models / pictures / "config.pbtxt", ensemble_config(described, pictures, preparation))
    # Triton asks for the version's folder of an ensemble, too; stores that keep files alone lose empty ones.
    write_text(models / pictures / _VERSION / ".keep", "")


def _write_script(path: Path, text: str) -> None:
    write_text(path, text)
    path.chmod(_EXECUTABLE)


def _platform(described: Description) -> str:
    """Return what runs the model; raise SurgeonError B155 where Triton has nothing that does."""
    target = all_targets().get(described.target)
    if described.built_for or described.implicit_batch:
        return TENSORRT
    if target is None:
        return TENSORRT if described.plugins else ONNXRUNTIME
    platforms = {"tensorrt": TENSORRT, "onnxruntime": ONNXRUNTIME}
    if target.runtime not in platforms:
        raise _unserved(
            f"'{described.source.name}' is for {target.title}, which Triton does not run; expected a target "
            f"of {' or '.join(platforms)}",
            "convert it for another target, such as --target onnx@tensorrt-10 or --target onnx@onnxruntime",
        )
    return platforms[target.runtime]


def _check_tensor(tensor: ServedTensor) -> None:
    if tensor.dtype not in DATA_TYPES:
        raise _unserved(
            f"'{tensor.name}' has elements of the type {tensor.dtype}; expected one of "
            f"{', '.join(DATA_TYPES)}",
            "cut the model off in front of it, or convert it to one of these types",
        )
    if not tensor.shape:
        raise _unserved(
            f"the shape of '{tensor.name}' is not known; Triton expects the number of its axes",
            "state it in the file, or convert the model again with surgeon",
        )


def _unserved(problem: str, help: str) -> SurgeonError:
    return error("B155", problem, help=[help])


def _notes(described: Description) -> Iterator[str]:
    if described.image is None:
        yield (
            "nothing says how a picture becomes the input, so there is neither a client nor a model that "
            "takes pictures; a recipe with 'image' says it"
        )
    elif _picture_input(described) is None:
        yield "a picture cannot be the input, so there is neither a client nor a model that takes pictures"
    if not largest_batch(described):
        yield (
            "the batch is fixed, so Triton puts no requests together (max_batch_size: 0); '--batch N' with "
            "a recipe and a model makes it an open one"
        )
    loose = ", ".join(f"'{each.name}'" for each in loose_outputs(described))
    if loose:
        yield (
            f"TensorRT decides the shape of {loose} when it builds the engine, and Triton refuses another "
            "one in config.pbtxt than that; build the engine with 'surgeon build' and package it to have it "
            "right"
        )


def _picture_input(described: Description) -> PictureInput | None:
    if described.image is None:
        return None
    try:
        return picture_input(input_specs(described), described.image, described.name)
    except SurgeonError as exc:
        if exc.diagnostics[0].code != "V114":
            raise
        return None


def _label_lines(described: Description) -> list[str]:
    """Return the names of the classes from 0 on; Triton's line n is class n."""
    if not described.labels:
        return []
    names = {number: " ".join(name.split()) for number, name in described.labels.items()}
    return [names.get(number, f"class {number}") for number in range(max(names) + 1)]


def _scores_by_class(described: Description, classes: int) -> Iterator[ServedTensor]:
    """Yield the outputs that are a score for each class of a picture: Triton's classification extension."""
    for each in served_outputs(described):
        if classes and len(each.shape) == 2 and each.shape[1] == classes and largest_batch(described):
            yield each


def _kept_library(folder: Path, library: Path) -> str:
    """Copy a plugin library into the folder; return its path there, in characters that a shell takes as they
    are.
    """
    plain = re.sub(r"[^\w.+-]", "_", library.name, flags=re.ASCII)
    place, number = folder / "plugins" / plain, 2
    while place.exists():
        place, number = folder / "plugins" / f"{number}-{plain}", number + 1
    place.parent.mkdir(exist_ok=True)
    shutil.copyfile(library, place)
    return place.relative_to(folder).as_posix()


def _serve(described: Description, engine: str, libraries: Sequence[str]) -> str:
    checks = filled("triton-check-engine.sh.txt", engine=engine) if engine else ""
    plugins = ""
    if described.native_plugins or libraries:
        library = ";".join(libraries) or "plugins/build/libsurgeon_plugins.so"
        checks += filled("triton-check-plugins.sh.txt", library=library)
        plugins = ' --backend-config=tensorrt,plugins="$PLUGINS"'
    return filled("triton-serve.sh.txt", checks=checks, plugins=plugins)


def _readme(described: Description, rows: dict[str, str], unbuilt: bool, pictures: bool) -> str:
    name = served_name(described)
    steps = filled("triton-build.md.txt") if unbuilt else ""
    steps += filled("triton-start.md.txt")
    if pictures:
        steps += filled(
            "triton-ask.md.txt",
            model=name,
            pictures=pictures_name(name),
            preparation=preparation_name(name),
        )
    if described.native_plugins:
        steps += filled("triton-plugins.md.txt" if unbuilt else "triton-library.md.txt")
    notes = [f"- {note[0].upper()}{note[1:]}." for note in _notes(described)]
    return filled(
        "triton-readme.md.txt",
        name=described.name,
        version=__version__,
        files="\n".join(f"| `{file}` | {text} |" for file, text in rows.items()),
        release=_release(described),
        steps=steps,
        notes="\n".join(["What is left open:", "", *notes]) if notes else "",
    )


def _release(described: Description) -> str:
    """Return which releases of Triton's container run the model."""
    if _platform(described) == ONNXRUNTIME:
        return "Any release runs the model, by ONNX Runtime, on a GPU or without."
    target = all_targets().get(described.target)
    if described.built_for:
        needed = f"Take one with the TensorRT that the engine was built for: {described.built_for}."
    elif target is not None and target.version is not None:
        needed = (
            f"Take one with TensorRT {'.'.join(map(str, target.version[:2]))}, for which the model was made."
        )
    else:
        needed = "Take one whose TensorRT reads the model."
    told = " NVIDIA's release notes of Triton say which TensorRT each release has."
    last = f" {_LAST_IMPLICIT} is the last one with implicit batches, which the model has."
    return needed + told + (last if described.implicit_batch else "")


KIND = PackageKind(
    "triton",
    "a model repository of NVIDIA Triton Inference Server, with a client",
    descriptions.NAME,
    write_triton_folder,
    "README.md in the folder says how to start Triton",
    check=check_for_triton,
    takes_engines=True,
    keeps_libraries=True,
)
