"""Scripts that build an engine with NVIDIA's ``trtexec``."""

from __future__ import annotations

import shlex

from surgeon.engine.manifest import TensorInfo
from surgeon.packaging.description import Description
from surgeon.packaging.template import filled


def trtexec_script(described: Description, text_file: str, engine: str, **values: str) -> str:
    """Return a shell script that builds the model of its folder into the file ``engine``.

    ``text_file`` is a text of the folder ``texts``, and ``values`` are what it takes beside ``workspace``,
    ``checks``, ``options`` and ``engine``.
    """
    options, checks = [f"--{described.format}={described.source.name}"], []
    if described.format == "uff":
        options += [
            f"--uffInput={each.binding},{','.join(map(str, _sizes(each)))}" for each in described.inputs
        ]
        options += [f"--output={name}" for name in described.marks]
        options.append(f"--maxBatch={described.max_batch}")
        checks.append(filled("check-uff.sh.txt"))
    elif any(None in each.shape for each in described.inputs):
        best = described.best_batch or described.max_batch
        for option, batch in (("minShapes", 1), ("optShapes", best), ("maxShapes", described.max_batch)):
            shapes = (
                f"{each.binding}:{'x'.join(map(str, (batch, *_sizes(each))))}" for each in described.inputs
            )
            options.append(f"--{option}={','.join(shapes)}")
    options += {"fp32": [], "fp16": ["--fp16"], "int8": ["--int8", "--fp16"]}[described.precision]
    if not described.tf32:
        options.append("--noTF32")
    if described.precision == "int8":
        options.append(f"--calib={described.calibration}")
    if described.native_plugins:
        checks.append(filled("check-plugins.sh.txt"))
    words = " ".join(map(shlex.quote, options)) + (' "$plugins"' if described.native_plugins else "")
    return filled(
        text_file,
        workspace=str(max(1, described.workspace >> 20)),
        checks="".join(checks),
        options=words,
        engine=shlex.quote(engine),
        **values,
    )


def _sizes(tensor: TensorInfo) -> list[int]:
    """Return the sizes of an input behind the batch, as the engine has them."""
    sizes = [tensor.shape[axis] for axis in tensor.axes] if tensor.axes else list(tensor.shape)
    return [1 if size is None else size for size in sizes[1:]]
