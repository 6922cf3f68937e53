"""Files that are often given in place of a frozen graph, and what to give instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EXPORT = "export a frozen graph or a SavedModel from the model that it was made of"
FREEZE = (
    "freeze it with the script that exports the model: in the Object Detection API export_inference_graph.py "
    "(TensorFlow 1), then give its frozen_inference_graph.pb, or exporter_main_v2.py (TensorFlow 2), then "
    "give its folder 'saved_model'",
    "for other models: tf.compat.v1.graph_util.convert_variables_to_constants, or tf.saved_model.save",
)
"""What to do with a checkpoint."""

HEAD = 4096
"""Bytes at the beginning of a file by which its kind is told."""


@dataclass(frozen=True)
class OtherFile:
    """A kind of files: what one is called, with the article, and what to do instead of giving it."""

    noun: str
    help: tuple[str, ...]


_OF_CHECKPOINT = re.compile(r"\.ckpt(-\d+)?(\.|$)|\.data-\d+-of-\d+$")

_Test = Callable[[str, bytes], bool]


def _begins(*starts: bytes) -> _Test:
    return lambda name, head: head.startswith(starts)


def _named(*suffixes: str) -> _Test:
    return lambda name, head: name.endswith(suffixes)


def _says(pattern: bytes) -> _Test:
    found = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:\s|#[^\n]*\n)*(?:" + pattern + rb")")
    return lambda name, head: found.match(head) is not None


_KINDS: tuple[tuple[_Test, OtherFile], ...] = (
    (
        lambda name, head: name == "saved_model.pb" or head.startswith(b"\x08\x01\x12"),
        OtherFile("a part of a SavedModel", ("give its folder instead",)),
    ),
    (
        lambda name, head: head[4:8] == b"TFL3",
        OtherFile("a TensorFlow Lite model", (EXPORT, "for a detector, that is frozen_inference_graph.pb")),
    ),
    (_begins(b"\x89HDF"), OtherFile("an HDF5 file (Keras weights or model)", (EXPORT,))),
    (
        _named(".pth", ".pt", ".torchscript"),
        OtherFile("a file of PyTorch", ("recipes rewrite graphs of TensorFlow; export this model to ONNX",)),
    ),
    (
        _named(".etlt", ".tlt"),
        OtherFile(
            "an encrypted model of NVIDIA's TLT or TAO",
            (
                "its plugin nodes are in it already, and tao-converter or DeepStream take it with its key",
                "for a file that can be read, export it to ONNX without encryption, if your release can",
            ),
        ),
    ),
    (
        _begins(b"PK\x03\x04"),
        OtherFile("a zip archive (a .keras file?)", (f"unpack it, or {EXPORT}",)),
    ),
    (_begins(b"\x1f\x8b", b"\xfd7zXZ", b"BZh"), OtherFile("compressed", ("unpack it first",))),
    (
        _begins(b"ftrt", b"ptrt"),
        OtherFile(
            "an engine of TensorRT",
            ("give the graph that it was built from; 'surgeon run ENGINE PICTURE' runs an engine",),
        ),
    ),
    (
        _begins(b"\x08\x01\x10\x01\x1a"),
        OtherFile("a UFF file", ("give the graph that it was made from", "to look into it, name it '.uff'")),
    ),
    (
        lambda name, head: re.match(rb"\x08[\x03-\x1f][\x12\x3a\x42\x72]", head) is not None,
        OtherFile(
            "an ONNX model", ("give the graph that it was made from", "to look into it, name it '.onnx'")
        ),
    ),
    (
        _begins(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF"),
        OtherFile("a picture", ("the model is named first, then pictures",)),
    ),
    (
        _says(rb"(?:model|train_config|train_input_reader|eval_config)\s*:?\s*\{"),
        OtherFile(
            "a pipeline config",
            ("give the graph that was exported beside it, and this file with --pipeline-config",),
        ),
    ),
    (
        _says(rb"item\s*:?\s*\{"),
        OtherFile("a label map", ("give the model's graph, and this file with 'surgeon init --labels'",)),
    ),
    (
        _says(rb"(?:all_)?model_checkpoint_path(?:s)?\s*:"),
        OtherFile("the index of a folder of checkpoints", FREEZE),
    ),
    (
        _says(rb"(?:layers?\s*:?\s*\{|input\s*:|name\s*:\s*[\"'][^\n]*[\"']\s*(?:layers?|input)\b)"),
        OtherFile(
            "a network of Caffe",
            ("recipes rewrite graphs of TensorFlow; 'surgeon build NET.prototxt WEIGHTS' builds its engine",),
        ),
    ),
    (
        _says(rb"\[(?:net|network)\]"),
        OtherFile("a network of Darknet", ("recipes rewrite graphs of TensorFlow; export it to one first",)),
    ),
    (
        _says(rb"(?:---\s+)?(?:recipe|extends)\s*:"),
        OtherFile("a recipe", ("the recipe is named first, then the model: surgeon check RECIPE MODEL",)),
    ),
    (
        _says(rb"<(?:!doctype\s+html|html)|<(?:!DOCTYPE\s+html|HTML)"),
        OtherFile("a web page", ("download the file itself: the link leads to a page about it",)),
    ),
    (_says(rb"<\?xml|<net\b"), OtherFile("an XML file (a model of OpenVINO?)", (EXPORT,))),
    (
        _says(rb"[{\[]\s*[\"{\[]"),
        OtherFile(
            "JSON (a plan, or a model of Keras or TensorFlow.js?)",
            (EXPORT, "a plan is applied by 'surgeon apply PLAN MODEL'"),
        ),
    ),
    (_begins(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), OtherFile("a pickle of Python", (EXPORT,))),
)


def other_file(path: Path, head: bytes) -> OtherFile | None:
    """Return what a file is that cannot be read as a graph, by its name and first bytes; None where neither
    tells.
    """
    return next((kind for test, kind in _KINDS if test(path.name, head)), None)


def is_checkpoint(path: Path) -> bool:
    """Return whether a file belongs to a checkpoint by its name."""
    if path.suffix in (".pb", ".pbtxt"):
        return False
    return path.suffix in (".meta", ".index") or _OF_CHECKPOINT.search(path.name) is not None


def is_checkpoint_prefix(path: Path) -> bool:
    """Return whether a path that leads to no file is what the files of a checkpoint are called in common."""
    return bool(path.name) and path.with_name(path.name + ".index").is_file()
