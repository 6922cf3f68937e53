"""The page of an evaluation: numbers, curves, and the pictures in which the sides disagree most."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from surgeon.atomic import write_text
from surgeon.diagnostics import SurgeonError
from surgeon.display import number, plural
from surgeon.evaluation.evaluating import Judgements
from surgeon.evaluation.plots import calibration, calibration_curves, legend, precision_curves
from surgeon.evaluation.results import Disagreement, Evaluation, SideResult, points
from surgeon.runners.average_precision import Objects
from surgeon.runners.detections import Detections
from surgeon.runners.drawing import draw_detections, ranked
from surgeon.runners.image_result import THRESHOLD
from surgeon.version import __version__
from surgeon.viewer.assets import asset
from surgeon.viewer.html_diagnostics import diagnostics
from surgeon.viewer.html_parts import folding_table, name_of, outcome, table
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.page_images import PageImage, page_images

MOST_PICTURES = 12
"""Pictures that the page shows."""

_MOST_CURVES = 24
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'"
_TEXTS = {
    "AP": "overlaps of 0.5 to 0.95",
    "AP50": "overlap of 0.5",
    "AP75": "overlap of 0.75",
    "APsmall": "objects below 32 x 32 pixels",
    "APmedium": "objects up to 96 x 96 pixels",
    "APlarge": "larger objects",
    "AR1": "one detection a picture",
    "AR10": "ten detections a picture",
    "AR100": "a hundred detections a picture",
    "ARsmall": "objects below 32 x 32 pixels",
    "ARmedium": "objects up to 96 x 96 pixels",
    "ARlarge": "larger objects",
}


def write_page(path: Path, found: Evaluation, judgements: Judgements) -> None:
    """Write the page, one HTML file that needs no network; raise SurgeonError E105 where that fails."""
    write_text(path, render_page(found, judgements), follow_links=False)


def render_page(found: Evaluation, judgements: Judgements) -> str:
    """Return the page as HTML."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=f"surgeon {__version__}"),
        element("title", f"{found.recipe} on {Path(found.dataset).name} – surgeon"),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(asset("pieces.css") + asset("page.css"))),
    )
    sections = {
        "Summary": summary(found),
        "Numbers": numbers(found),
        "Classes": _classes(found),
        "Curves": _curves(found, judgements),
        "Disagreements": _disagreements(found, judgements),
        "Diagnostics": diagnostics(found.diagnostics),
    }
    body = element(
        "body",
        _header(found, list(sections)),
        element("main", *(_section(label, content) for label, content in sections.items())),
        element("footer", element("p", f"Written by surgeon {__version__}.")),
        class_="surgeon",
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _header(found: Evaluation, labels: Sequence[str]) -> Markup:
    links = (element("a", label, href=f"#{label.lower()}") for label in labels)
    titles = element(
        "div",
        element("p", "surgeon", class_="brand"),
        element("h1", element("code", found.recipe), " on ", element("code", Path(found.dataset).name)),
        element("p", "average precision, side by side", class_="muted"),
        class_="titles",
    )
    return element("header", titles, element("nav", *links, aria_label="Sections"))


def _section(label: str, content: Markup) -> Markup:
    name = label.lower()
    title = element("h2", label, id=f"{name}-title")
    return element("section", title, content, id=name, aria_labelledby=f"{name}-title")


def summary(found: Evaluation) -> Markup:
    """Return the verdict, and what each side reaches and loses."""
    left_out = f" Left out: {', '.join(found.left_out)}." if found.left_out else ""
    rows = [_side(side) for side in found.sides]
    return join(
        element(
            "p",
            outcome(str(found.outcome)),
            f" {plural(found.pictures, 'picture')} ({found.kind}), {plural(found.objects, 'object')}, "
            f"{plural(len(found.classes), 'class', 'classes')}; "
            f"at most {found.max_drop:g} points may be lost.{left_out}",
        ),
        table(["side", "AP", "AP50", "loss", "95 % interval", "verdict", "runs"], rows, right=(1, 2, 3, 4)),
        element(
            "p",
            "Points are hundredths of average precision over overlaps of 0.5 to 0.95. The interval holds the "
            f"losses of 95 in 100 of {number(found.resamples)} resamples of the pictures, seed {found.seed}.",
            class_="muted",
        ),
    )


def _side(side: SideResult) -> Sequence[object]:
    runs = ", ".join(f"{key} {value}" for key, value in side.runtime.items() if value != side.name)
    difference = side.difference
    measured: Sequence[object] = ("", "", "")
    if difference is not None:
        doubt = "" if difference.is_certain else " may be chance"
        measured = (
            points(difference.loss),
            difference.interval,
            join(outcome(str(difference.outcome)), element("span", doubt, class_="muted")),
        )
    precisions = (_points(side.numbers[name]) for name in ("AP", "AP50"))
    return (name_of(side.name), *precisions, *measured, element("span", runs, class_="muted"))


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def numbers(found: Evaluation) -> Markup:
    """Return COCO's twelve numbers of each side."""
    names = [name_of(side.name) for side in found.sides]
    rows = [
        (name, element("span", text, class_="muted"), *(_points(side.numbers[name]) for side in found.sides))
        for name, text in _TEXTS.items()
    ]
    return join(
        element("p", "COCO's twelve numbers, in points.", class_="muted"),
        table(["", "of", *names], rows, right=range(2, 2 + len(names))),
    )


def _classes(found: Evaluation) -> Markup:
    sides = found.sides
    names = [name_of(side.name) for side in sides]
    rows = []
    for index, each in enumerate(sides[0].classes):
        own = [side.classes[index] for side in sides]
        precisions = [_points(one.ap) for one in own] + [_points(one.ap50) for one in own]
        rows.append((str(each.number), each.name, number(each.objects), *precisions))
    head = ["", "class", "objects", *(join("AP ", name) for name in names)]
    head += [join("AP50 ", name) for name in names]
    return folding_table("classes", head, rows, right=[0, *range(2, len(head))])


def _curves(found: Evaluation, judgements: Judgements) -> Markup:
    judged = {side.name: side.judgement for side in judgements.sides}
    calibrations = {name: calibration(judgement) for name, judgement in judged.items()}
    errors = [(name_of(name), f"{each.error:.4f}") for name, each in calibrations.items()]
    labels = [each.number for each in found.sides[0].classes]
    by_class = [
        _captioned(precision_curves(judged, label), found.classes[label]) for label in labels[:_MOST_CURVES]
    ]
    left = len(labels) - len(by_class)
    more = f" {plural(left, 'class', 'classes')} more are not drawn." if left > 0 else ""
    return join(
        legend(judged),
        element(
            "div",
            _captioned(precision_curves(judged), "Precision over recall, the mean of the classes"),
            _captioned(calibration_curves(calibrations), "How often a score is right"),
            class_="pictures",
        ),
        element(
            "p",
            "A detection is right where it overlaps an object of its class by 0.5 or more. On the diagonal, "
            "of detections with a score of 0.7, seven in ten are right.",
            class_="muted",
        ),
        table(["side", "mean distance from the diagonal"], errors, right=(1,)),
        element("h3", "Precision over recall of each class"),
        element("div", *by_class, class_="pictures"),
        element("p", more, class_="muted") if more else None,
    )


def _captioned(drawing: Markup, text: str) -> Markup:
    return element("figure", drawing, element("figcaption", text))


def _disagreements(found: Evaluation, judgements: Judgements) -> Markup:
    if not found.disagreements:
        return element("p", "All sides detect the same in every picture.", class_="muted")
    places = {each.name: index for index, each in enumerate(judgements.pictures)}
    with tempfile.TemporaryDirectory(prefix="surgeon-") as folder:
        rows = [
            _disagreement(each, places[each.picture], judgements, found, Path(folder))
            for each in found.disagreements
        ]
    return join(
        element(
            "p",
            "The annotated objects, what the original detects, and what the side detects that differs most, "
            f"with scores of {THRESHOLD:g} or more. The number is the sum of the scores of detections that "
            "only one of them has, and of the differences of scores.",
            class_="muted",
        ),
        *rows,
    )


def _disagreement(
    each: Disagreement, index: int, judgements: Judgements, found: Evaluation, folder: Path
) -> Markup:
    sides = {side.name: side.found[index] for side in judgements.sides}
    original = judgements.sides[0]
    shown = {
        "annotated": _as_detections(judgements.objects[index], judgements.sizes[index]),
        original.name: ranked(sides[original.name], THRESHOLD),
        each.side: ranked(sides[each.side], THRESHOLD),
    }
    try:
        picture = judgements.pictures[index].read()
        files = [
            draw_detections(picture, detections, folder / f"{index}-{place}.png", found.classes)
            for place, detections in enumerate(shown.values())
        ]
    except SurgeonError as exc:  # the picture may be gone since it was evaluated
        return element("p", name_of(each.picture), f": {exc.diagnostics[0].message}")
    figures = _figures(shown, page_images([str(file) for file in files]))
    title = element("h3", name_of(Path(each.picture).name), f" {each.amount:.3f}")
    return join(title, element("div", *figures, class_="pictures"))


def _figures(shown: dict[str, Detections], images: Sequence[PageImage]) -> Iterator[Markup]:
    for (name, detections), image in zip(shown.items(), images, strict=True):
        caption = f"{name}: {len(detections)}"
        drawing = element("img", src=image.address, alt=caption, width=360) if image.address else None
        yield element("figure", drawing, element("figcaption", caption, f" {image.problem}"))


def _as_detections(objects: Objects, size: tuple[int, int]) -> Detections:
    boxes = (objects.boxes / (*size, *size)).astype(np.float32)
    return Detections(boxes, np.ones(len(objects), np.float32), objects.classes)
