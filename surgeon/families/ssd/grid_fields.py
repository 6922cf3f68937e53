"""Derivations that the grid anchor plugins share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from surgeon.families.context import Derived, Subject
from surgeon.families.parts.heads import Head
from surgeon.families.ssd.grid import FITTED, RESIDUAL_BOUND
from surgeon.families.ssd.namespace_roles import heads


def box_heads(subject: Subject) -> list[Head]:
    """Return the box heads that the recipe's namespaces join.

    Raise SurgeonError D103 where the size of a map is not known.
    """
    found = heads(subject, subject.fed("loc"))
    unknown = [h for h in found if h.height is None or h.width is None]
    if unknown:
        raise subject.fail(
            "D103",
            f"the size of the feature map '{unknown[0].feature}' is not known",
            "nodes",
            subject.node,
            notes=[f"it is {subject.inference.spec(unknown[0].feature)}"],
            help=["give the input a 'shape', or write the value instead of 'auto'"],
        )
    return found


def num_layers(subject: Subject) -> Derived:
    """Return the number of feature maps: of convolutions whose boxes are joined."""
    found = box_heads(subject)
    return Derived(
        len(found), (f"{len(found)} box heads are joined, from '{found[0].conv}' to '{found[-1].conv}'",)
    )


def fitted(field: str) -> Callable[[Subject], Derived]:
    """Return the derivation of a field by the fit of the plugin's anchors to the graph's.

    It raises SurgeonError D118 where the plugin cannot make them.
    """

    def derive(subject: Subject) -> Derived:
        fit = subject.grid(subject.op)
        detector = subject.detector
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
            raise subject.fail(
                "D118",
                f"{subject.op} cannot make the anchors that the graph computes",
                "nodes",
                subject.node,
                "fields",
                field,
                notes=[*notes, *detector.anchors.evidence],
                help=[
                    "put the anchors in as a constant: 'anchors: constant' in the recipe, or --anchors "
                    "constant"
                ],
            )
        return Derived(
            fit.fields[field],
            (
                f"fitted to the {detector.count.value} anchors of '{detector.anchors_tensor.value}'",
                f"largest difference of a coordinate: {fit.residual:.1e} of the picture",
            ),
        )

    return derive


def variance(subject: Subject) -> Derived:
    """Return by what encodings are multiplied, for x, y, width and height."""
    found = subject.detector.coder
    return Derived(list(found.value), found.evidence)


def _shown(value: object) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in value) + "]" if isinstance(value, list) else f"{value:.6g}"


FITTED_FIELDS: Mapping[str, Callable[[Subject], Derived]] = {
    **{field: fitted(field) for field in FITTED},
    "variance": variance,
}
"""Derivations of what the anchors and their decoding tell."""
