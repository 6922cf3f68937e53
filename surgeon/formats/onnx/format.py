"""ONNX as a format of files."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic
from surgeon.formats.format import FileFacts, Format, Lowered, ModelFile, Option, PathLike, Watch, Written

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.graph import Graph
    from surgeon.targets import Target


def _batch(text: str) -> int | str:
    if text == "dynamic":
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) > 0):
        raise ArgumentTypeError(f"'{text}' is not a batch; expected a number from 1 on, or 'dynamic'")
    return int(text)


class OnnxFormat(Format):
    """The format of TensorRT from 8.5 on and of ONNX runtimes."""

    name = "onnx"
    noun = "an ONNX file"
    suffixes = (".onnx",)
    default_target = "onnx@onnxruntime"
    options = (
        Option(
            "rendering",
            "--plugins",
            "plugin nodes as plugins of TensorRT, in standard operators, or by the target (default: auto); "
            "efficient-nms: EfficientNMS_TRT in place of NMS_TRT",
            choices=("auto", "native", "standard", "efficient-nms"),
        ),
        Option("opset", "--opset", "13 to 17 (default: 17)", "N", type=int),
        Option(
            "batch",
            "--batch",
            "size of the inputs' first axis, or an open one (default: the graph's)",
            "N|dynamic",
            type=_batch,
        ),
    )

    def open(self, path: PathLike) -> ModelFile:
        """Read a file; raise SurgeonError as :func:`load_onnx`."""
        from surgeon.formats.onnx.model_file import OnnxFile

        return OnnxFile(Path(path))

    def begins(self, head: bytes) -> bool:
        """Return whether a file begins with one version number, as ModelProto does."""
        return head[:1] == b"\x08" and head[2:3] not in (b"\x10", b"")

    def write(
        self,
        graph: Graph,
        path: Path,
        target: Target,
        catalog: Catalog,
        facts: FileFacts,
        watch: Watch | None = None,
        **options: Any,
    ) -> Written:
        """Write a rewritten graph; raise SurgeonError as :func:`export_onnx` and :func:`write_onnx`."""
        from surgeon.formats.onnx.exporting import export_onnx
        from surgeon.formats.onnx.metadata import metadata_for
        from surgeon.formats.onnx.writer import write_onnx

        exported = export_onnx(
            graph, plugins=catalog, target=target, metadata=metadata_for(facts), watch=watch, **options
        )
        return Written(write_onnx(exported.model, path), exported.plugins)

    def check(self, graph: Graph, target: Target, catalog: Catalog) -> tuple[Diagnostic, ...]:
        """Return what :func:`check_export` objects to."""
        from surgeon.formats.onnx.exporting import check_export

        return check_export(graph, plugins=catalog, target=target)

    def expected_lowering(self, graph: Graph, target: Target, catalog: Catalog) -> Iterable[Lowered]:
        """Return how plugin nodes are written where no rendering is asked for."""
        from surgeon.formats.onnx.plugins import expected_lowering

        return expected_lowering(graph, target, catalog)


FORMAT = OnnxFormat()
