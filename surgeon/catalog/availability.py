"""Whether a target has a plugin, or its format standard operators that stand in for it."""

from __future__ import annotations

from surgeon.catalog.catalog import Catalog
from surgeon.catalog.fields import Version
from surgeon.catalog.plugin import span_of_versions
from surgeon.diagnostics import Span, error
from surgeon.targets import Target


def release_with(
    catalog: Catalog, op: str, target: Target, node: str, where: Span | str | None
) -> Version | None:
    """Return the TensorRT release whose fields a plugin node has for a target.

    None stands for every field: the target's runtime is not TensorRT, or the plugin has a lowering for the
    target's format, in the module of that name. Raise SurgeonError S401 where the target has neither the
    plugin nor a lowering.
    """
    spec, release = catalog[op], target.tensorrt
    if spec.exists_in(release):
        return release
    if catalog.module(op, target.format) is not None:
        return None
    raise error(
        "S401",
        f"the plugin {op} of '{node}' does not exist in {target.title}",
        where,
        [span_of_versions(spec)],
        [f"choose another target; 'surgeon explain {op}' says what replaces it"],
    )
