"""Derivations that the grid anchor plugins share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from surgeon.diagnostics import SurgeonError
from surgeon.families.context import DerivationContext, Derived
from surgeon.families.family import Family
from surgeon.families.parts.grid_fit import FITTED, RESIDUAL_BOUND


def num_layers(context: DerivationContext) -> Derived:
    """Return the number of feature maps: of convolutions whose boxes are joined."""
    heads = context.family.finding("box_heads").value
    return Derived(
        len(heads), (f"{len(heads)} box heads are joined, from '{heads[0].conv}' to '{heads[-1].conv}'",)
    )


def fitted(field: str) -> Callable[[DerivationContext], Derived]:
    """Return the derivation of a field by the fit of the plugin's anchors to the graph's.

    It raises SurgeonError D118 where the plugin cannot make them.
    """

    def derive(context: DerivationContext) -> Derived:
        fit = context.grid(context.op)
        family = context.family
        if not fit.expresses:
            notes = (
                [fit.reason]
                if fit.reason
                else [
                    f"the best fit leaves a difference of {fit.residual:.3g} of the picture; expected "
                    f"{RESIDUAL_BOUND:g} at most",
                    "the best fit: " + ", ".join(f"{key} {_shown(fit.fields[key])}" for key in FITTED),
                ]
            )
            raise context.fail(
                "D118",
                f"{context.op} cannot make the anchors that the graph computes",
                "nodes",
                context.node,
                "fields",
                field,
                notes=[*notes, *family.finding("anchors").evidence],
                help=[
                    "put the anchors in as a constant: 'anchors: constant' in the recipe, or --anchors "
                    "constant"
                ],
            )
        return Derived(
            fit.fields[field],
            (
                f"fitted to the {len(family.finding('anchors').value)} anchors{_held(family)}",
                f"largest difference of a coordinate: {fit.residual:.1e} of the picture",
            ),
        )

    return derive


def _held(family: Family) -> str:
    """Return where a graph holds its anchors; they may be folded into the decoding."""
    try:
        return f" of '{family.finding('anchors_tensor').value}'"
    except SurgeonError:
        return f": {family.finding('anchors').evidence[0]}"


def _whose(family: Family) -> str:
    try:
        return f"of '{family.finding('anchors_tensor').value}'"
    except SurgeonError:
        return "that encodings of zero decode to"


def variance(context: DerivationContext) -> Derived:
    """Return by what encodings are multiplied, for x, y, width and height."""
    found = context.family.postprocessing.variances
    return Derived(list(found.value), found.evidence)


def _shown(value: object) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in value) + "]" if isinstance(value, list) else f"{value:.6g}"


FITTED_FIELDS: Mapping[str, Callable[[DerivationContext], Derived]] = {
    **{field: fitted(field) for field in FITTED},
    "variance": variance,
}
"""Derivations of what the anchors and their decoding tell."""
