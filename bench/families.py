"""Take every family of detectors from 'init' to each target: the table of docs/families/index.md.

    python bench/families.py -o build/families
    python bench/families.py -o build/families --only yolo --graphs ../models --page docs/families/index.md

Rows are the SAMPLES of the modules in surgeon/zoo, and each frozen graph of the folders that --graphs names.
Each graph gets the recipe that 'surgeon init' writes, or the shipped one that RECIPES of its module names,
without a change by hand. An ONNX file for ONNX Runtime is run there, and held against TensorFlow; of a target
of TensorRT, which needs a GPU, the rewritten graph is run by the plugins' references, and the file is
written. Each row is computed in a process of its own. What OUTPUT holds already is not computed again;
--again computes it, and --stored leaves out what is not there yet.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RUN = "onnx@onnxruntime"
TARGETS = (RUN, "onnx@tensorrt-10", "onnx@tensorrt-8.5", "uff@tensorrt-8.5")
BEGIN, END = "<!-- families:begin -->", "<!-- families:end -->"
LIMIT = 900
"""Seconds that a row may take."""


def sample_modules() -> Mapping[str, str]:
    """Return the module of each sample by its name."""
    import surgeon.zoo

    found: dict[str, str] = {}
    for info in pkgutil.iter_modules(surgeon.zoo.__path__, "surgeon.zoo."):
        if not info.ispkg:
            samples = getattr(importlib.import_module(info.name), "SAMPLES", {})
            found |= dict.fromkeys(samples, info.name)
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def compute(name: str, module: str, graph: str) -> dict[str, Any]:
    """Return a row: the family, and what came of each target."""
    import surgeon
    from surgeon.families import Family, recognise_detector

    row: dict[str, Any] = {"name": name, "family": "", "targets": {}}
    with tempfile.TemporaryDirectory() as folder:
        path, recipe, parameters = Path(graph), Path(folder) / "recipe.yaml", {}
        own: tuple[str, Mapping[str, Any]] | None = None
        if module:
            zoo = importlib.import_module(module)
            path = Path(folder) / f"{name}.pb"
            path.write_bytes(zoo.SAMPLES[name]())
            own = getattr(zoo, "RECIPES", {}).get(name)
        loaded = surgeon.load_graph(path)
        found = recognise_detector(loaded)
        row["family"] = found.name if isinstance(found, Family) else ""
        row["nodes"] = len(loaded)
        source: str | Path = recipe
        if own is not None:
            source, parameters = own
            row["recipe"] = source
        else:
            try:
                surgeon.init(loaded, recipe)
            except surgeon.SurgeonError as exc:
                row["targets"] = dict.fromkeys(TARGETS, refusal(exc))
                return row
        proofs: dict[str, dict[str, Any]] = {}
        for target in TARGETS:
            row["targets"][target] = result(source, loaded, parameters, target, Path(folder), proofs)
    return row


def result(
    recipe: str | Path,
    graph: Any,
    parameters: Mapping[str, Any],
    target: str,
    folder: Path,
    proofs: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Return what converting and verifying for one target gave; ``proofs`` are those of rewritten graphs."""
    import surgeon

    file = folder / f"model.{target.partition('@')[0]}"
    start = time.monotonic()
    try:
        surgeon.convert(recipe, graph, file, target=target, parameters=parameters)
        seconds = time.monotonic() - start
        plan = surgeon.plan(recipe, graph, target=target, parameters=parameters)
        assert plan.result is not None
        key = RUN if target == RUN else plan.result.digest
        if key not in proofs:
            options = {"onnx": file} if target == RUN else {"target": target}
            verification = surgeon.verify(recipe, graph, parameters=parameters, **options)
            proofs[key] = summary(verification)
        return {**proofs[key], "seconds": round(seconds, 1)}
    except surgeon.SurgeonError as exc:
        return refusal(exc)


def refusal(exc: Any) -> dict[str, Any]:
    """Return the codes of an error, with its first message."""
    codes = list(dict.fromkeys(each.code for each in exc.diagnostics))
    return {"outcome": "refused", "codes": codes, "reason": exc.diagnostics[0].message}


def summary(verification: Any) -> dict[str, Any]:
    """Return the worst of a verification's comparisons of detections, cut to cut and end to end."""
    from surgeon.verification import DetectionComparison

    whole = [verdict for verdict in verification.verdicts if verdict.name != "each alone"]
    compared = [c for v in whole for c in v.comparisons if isinstance(c, DetectionComparison)]
    first = compared[0] if compared else None
    errors = {
        "box": max((c.worst_box_error for c in compared), default=0.0),
        "score": max((c.worst_score_error for c in compared), default=0.0),
        "mask": max((c.worst_mask_error for c in compared if c.masks), default=None),
    }
    return {
        "outcome": str(verification.outcome),
        "reason": "; ".join(v.reason for v in verification.verdicts if v.outcome != "passed" and v.reason),
        "detections": first.original if first else 0,
        "matched": min((c.matched for c in compared), default=0),
        "excused": max((sum(c.excused.values()) for c in compared), default=0),
        **errors,
        "power": len(verification.power),
        "unnoticed": len(verification.not_exercised),
    }


def cell(found: Mapping[str, Any]) -> str:
    """Return one cell of the table."""
    if found["outcome"] == "refused":
        return "refused: " + ", ".join(found["codes"][:3])
    if found["outcome"] not in ("passed", "failed", "inconclusive", "not compared"):
        return str(found["outcome"])
    mask = f", {found['mask']:.0e}" if found.get("mask") is not None else ""
    excused = f", {found['excused']} excused" if found["excused"] else ""
    matched = f"{found['matched']} of {found['detections']}{excused}"
    numbers = f"{matched}; {found['box']:.0e}, {found['score']:.0e}{mask}"
    outcome = "" if found["outcome"] == "passed" else f"**{found['outcome']}**: "
    return f"{outcome}{numbers}; {found['seconds']:.0f} s"


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the table as Markdown."""
    lines = [
        f"| family | graph | {' | '.join(f'`{target}`' for target in TARGETS)} |",
        "|---" * (2 + len(TARGETS)) + "|",
    ]
    for row in rows:
        cells = (cell(row["targets"][target]) for target in TARGETS)
        family = row["family"] or ("by recipe" if row.get("recipe") else "none")
        lines.append(f"| {family} | `{row['name']}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def written_into(page: Path, content: str) -> None:
    """Put the table between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    page.write_text(f"{before}\n\n{content}\n{after}", encoding="utf-8")


def computed(name: str, module: str, graph: str, output: Path, limit: float) -> dict[str, Any]:
    """Compute a row in a process of its own, and return it; a row that ends early says so in each cell."""
    file = output / f"{name}.json"
    words = [sys.executable, __file__, "--row", name, module, graph, str(file)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit)
        outcome = "" if done.returncode == 0 else f"ended with {done.returncode}"
        if outcome:
            print(done.stderr[-2000:], file=sys.stderr)
    except subprocess.TimeoutExpired:
        outcome = f"over {limit:.0f} s"
    if outcome:
        return {"name": name, "family": "", "targets": {each: {"outcome": outcome} for each in TARGETS}}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/families"), help="folder of rows")
    parser.add_argument("--only", nargs="*", help="rows whose names hold one of these texts")
    parser.add_argument("--graphs", nargs="*", type=Path, default=[], help="folders of frozen graphs")
    parser.add_argument("--again", action="store_true", help="compute rows that are there already")
    parser.add_argument("--stored", action="store_true", help="leave out rows that OUTPUT does not hold")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds a row may take")
    parser.add_argument("--page", type=Path, help="page that the table is written into")
    parser.add_argument("--row", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        name, module, graph, file = args.row
        Path(file).write_text(json.dumps(compute(name, module, graph), indent=1), encoding="utf-8")
        return
    args.output.mkdir(parents=True, exist_ok=True)
    wanted = [(name, module, "") for name, module in sample_modules().items()]
    wanted += [(path.stem, "", str(path)) for folder in args.graphs for path in sorted(folder.glob("*.pb"))]
    rows = []
    for name, module, graph in wanted:
        if args.only and not any(text in name for text in args.only):
            continue
        file = args.output / f"{name}.json"
        if args.stored and not file.is_file():
            continue
        if args.again or not file.is_file():
            print(f"{name} ...", file=sys.stderr, flush=True)
            row = computed(name, module, graph, args.output, args.limit)
        else:
            row = json.loads(file.read_text(encoding="utf-8"))
        rows.append(row)
        print(table([row]).splitlines()[-1], flush=True)
    (args.output / "table.md").write_text(table(rows), encoding="utf-8")
    if args.page is not None:
        written_into(args.page, table(rows))


if __name__ == "__main__":
    main()
