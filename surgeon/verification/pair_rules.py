"""By which rules plugins may differ from an original."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace

from surgeon.catalog.reference import Counterfactual, Reference
from surgeon.diagnostics import SurgeonError
from surgeon.verification.counterfactuals import CLIP_FIRST, DROP_EMPTY, KEEP_ALL, WINDOW, counterfactuals_of
from surgeon.verification.detecting_pair import DetectingPair


def rules_of(
    graphs: DetectingPair, names: Collection[str], changed: Collection[str] = ()
) -> tuple[Counterfactual, ...]:
    """Return the rules that the references of some plugin nodes can change, in the order of trial.

    A recipe can avoid none of those of a plugin whose fields are what the graph says already, but for
    those of decoding, which ``decode`` avoids; nodes with ``changed`` fields are none of these. Rules by
    which the original does not go make no difference and are left out.
    """
    references = {name: graphs.runner.references[name] for name in graphs.runner.references if name in names}
    if graphs.added is not None:  # the same references give what is expected
        last_kept = (each.counterfactuals.get(KEEP_ALL) for each in references.values())
        return tuple(replace(rule, avoidable=False) for rule in last_kept if rule is not None)[:1]
    if graphs.decoding is not None and graphs.decoding.node in references:
        references |= _makers(graphs)
    return counterfactuals_of(
        _with_own_rules(graphs, name, reference, name in graphs.fields.settled and name not in changed)
        for name, reference in references.items()
    )


def _makers(graphs: DetectingPair) -> Mapping[str, Reference]:
    """Return the references of the recipe's nodes whose anchors constants hold, with the rules that change
    these.
    """
    assert graphs.decoding is not None
    variants, found = graphs.decoding.variants, {}
    for name in graphs.decoding.makers:
        plugin = graphs.recipe.nodes[name].plugin
        reference = graphs.catalog.reference(plugin) if plugin is not None else None
        if reference is not None:
            rules = {key: rule for key, rule in reference.counterfactuals.items() if key in variants}
            found[name] = replace(reference, counterfactuals=rules)
    return found


def _with_own_rules(graphs: DetectingPair, name: str, reference: Reference, settled: bool) -> Reference:
    """Return a reference with the rules by which its node may differ from the original."""
    rules = {}
    for rule in reference.counterfactuals.values():
        if rule.of_decoding:
            own = _rule_of_decoding(graphs, name, rule)
        else:
            own = replace(rule, avoidable=False) if settled else rule
        if own is not None:
            rules[rule.name] = own
    if KEEP_ALL in rules and DROP_EMPTY not in rules and _drops_what_lies_beside(graphs):
        text = (
            "the original leaves out boxes beside the picture, in what 'keep-aspect-ratio' fills with "
            "zeros, and takes others for them; a file does not know which part is picture"
        )
        rules[WINDOW] = Counterfactual(WINDOW, text, avoidable=False, order=rules[KEEP_ALL].order - 1)
    return replace(reference, counterfactuals=rules)


def _drops_what_lies_beside(graphs: DetectingPair) -> bool:
    """Return whether the original clips boxes to the part that a picture fills, and then drops those
    without an area.
    """
    if graphs.family is None:
        return False
    original = graphs.family.postprocessing
    try:
        return original.clip_window.value is None and original.drops_empty_after.value
    except SurgeonError:
        return False


def _rule_of_decoding(graphs: DetectingPair, name: str, rule: Counterfactual) -> Counterfactual | None:
    """Return a rule as it stands for a plugin node, None where it makes no difference there.

    Where the plugin decodes boxes that the original clips or drops before suppression, the recipe can
    avoid it.
    """
    moment = _moments(graphs).get(rule.name, "")
    if graphs.decoding is not None and name == graphs.decoding.node:
        follows = graphs.decoding.clips and moment != "after"
        return None if follows or moment == "none" else replace(rule, avoidable=False)
    if moment == "none" or (rule.name == CLIP_FIRST and moment == "after"):
        return None
    if moment != "before":
        late = f"{rule.text}; 'suppression: native' follows the original" if moment else rule.text
        return replace(rule, avoidable=False, text=late)
    return replace(rule, avoidable=True, text=f"{rule.text}; 'decode: auto' or 'decode: graph' avoids it")


def _moments(graphs: DetectingPair) -> Mapping[str, str]:
    """Return when the original does what a rule of decoding does: before suppression, after it, or not at all
    (``none``), by the name of the rule. What the graph does not tell is left out.
    """
    if graphs.family is None:
        return {}
    original = graphs.family.postprocessing
    found: dict[str, str] = {}
    with suppress(SurgeonError):
        found[CLIP_FIRST] = original.clip.value
    with suppress(SurgeonError):
        late = "after" if original.drops_empty_after.value else "none"
        found[DROP_EMPTY] = "before" if original.drops_empty.value else late
    return found
