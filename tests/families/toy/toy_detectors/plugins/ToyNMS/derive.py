"""Fields of ToyNMS, rendered from what the original's post-processing computes."""

from surgeon.families import Derived


def rendered(name):
    """Return the derivation of a field that is a value of the post-processing."""

    def derive(context):
        finding = getattr(context.family.postprocessing, name)
        return Derived(finding.value, finding.evidence)

    return derive


DERIVATIONS = {
    "classes": rendered("classes"),
    "keep": rendered("max_total"),
    "threshold": rendered("score_threshold"),
    "iou": rendered("iou_threshold"),
}
