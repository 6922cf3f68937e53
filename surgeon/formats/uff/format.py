"""UFF as a format of files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.formats.format import EXPANDED, FileFacts, Format, ModelFile, PathLike, Watch, Written
from surgeon.garbage import no_garbage_collection

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.formats.uff.model import UffModel
    from surgeon.graph import Graph, Node
    from surgeon.targets import Target


class UffFormat(Format):
    """The format of TensorRT up to 8.6."""

    name = "uff"
    noun = "a UFF file"
    suffixes = (".uff",)
    default_target = "uff@tensorrt-8.5"
    states_facts = False

    def open(self, path: PathLike) -> ModelFile:
        """Read a file; raise SurgeonError as :func:`read_uff`."""
        from surgeon.formats.uff.model_file import UffFile

        return UffFile(path)

    def begins(self, head: bytes) -> bool:
        """Return whether a file begins with two version numbers, as MetaGraph does."""
        return head[:1] == b"\x08" and head[2:3] == b"\x10"

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
        """Write a rewritten graph; raise SurgeonError as :func:`export_uff` and :func:`write_uff`.

        Where UFF cannot express it, what depends on no input is computed first.
        """
        from surgeon.formats.uff.writer import write_uff

        with no_garbage_collection():
            write_uff(self._export(graph, target, catalog), path)
        return Written(path.stat().st_size if os.path.isfile(path) else 0)

    def check(self, graph: Graph, target: Target, catalog: Catalog) -> tuple[Diagnostic, ...]:
        """Return what :func:`export_uff` refuses."""
        try:
            self._export(graph, target, catalog)
        except SurgeonError as exc:
            return exc.diagnostics
        return ()

    def operations(self) -> Mapping[str, str]:
        """Return the operations that have a converter or an expansion, or are passed over."""
        from surgeon.formats.uff.conversion import converters
        from surgeon.formats.uff.expansion import expansions
        from surgeon.graph.op_sets import PASSED_OVER

        return (
            dict.fromkeys(expansions(), EXPANDED)
            | dict.fromkeys(converters(), "converted")
            | dict.fromkeys(PASSED_OVER, "passed over")
        )

    def remedy(self, graph: Graph, nodes: Sequence[Node]) -> str:
        """Return the remedy for the operation of them that is the most frequent."""
        from surgeon.formats.uff.remedies import unsupported

        return "; ".join(unsupported(graph, nodes)[0].help)

    def expanded(self, graph: Graph, target: Target, catalog: Catalog) -> Graph:
        """Return the graph with operations that UFF lacks written in those that it has."""
        from surgeon.formats.uff.expansion import expand

        return expand(graph, catalog, target if target.format == self.name else None)

    def _export(self, graph: Graph, target: Target, catalog: Catalog) -> UffModel:
        from surgeon.formats.uff.exporting import export_uff

        # The exporter asks for a version where a target of any runtime has none.
        version = target if target.format == self.name else None
        try:
            return export_uff(self.expanded(graph, target, catalog), plugins=catalog, target=version)
        except SurgeonError as refused:
            folded = _folded(graph, catalog)
            if folded is None:
                raise
            try:
                return export_uff(self.expanded(folded, target, catalog), plugins=catalog, target=version)
            except SurgeonError as still:
                raise still from refused


def _folded(graph: Graph, catalog: Catalog) -> Graph | None:
    """Return the graph with constants for what depends on no input, such as weights that are cast from
    float16.

    None where nothing does. Constants grow by as much as the graph's constants hold, and 16 MiB.
    """
    from surgeon.graph import Tensor, apply_edits
    from surgeon.steps.fold_constants import LIMIT, FoldConstants
    from surgeon.steps.step import StepContext

    held = sum(value.nbytes for node in graph for value in node.attrs.values() if isinstance(value, Tensor))
    step = FoldConstants.model_validate({"limit": LIMIT + held})
    context = StepContext(graph, outputs=tuple(map(str, graph.output_refs)), catalog=catalog)
    edits = step.plan(context)
    return apply_edits(graph, edits) if edits else None


FORMAT = UffFormat()
