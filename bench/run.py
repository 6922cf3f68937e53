"""Measure the budgets of start-up, `convert`, ONNX and `verify` as whole processes, and write the table of
docs/benchmarks.md.

    python bench/run.py                 # everything: the graph with 765,000 nodes takes some minutes to
    generate
    python bench/run.py --largest 10    # without the largest graph
    python bench/run.py --model ssd.pb  # convert this graph instead of generated ones

A measurement, not a test: it fails only where a command fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from process import MB, Measured, measure, tools

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"
CACHE = ROOT / "build" / "bench"
TABLE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
SURGEON = str(Path(sys.executable).parent / "surgeon")
CONVERT_TO_UFF = str(Path(sys.executable).parent / "convert-to-uff")

NODES = 7655
START_UP_S, LITERAL_S, AUTO_S, LARGEST_S, VERIFY_S, ONNX_S = 0.15, 0.75, 1.0, 40.0, 8.0, 6.25
"""The last is a twelfth of what tf2onnx takes for the untouched graph (docs/onnx.md)."""

ANONYMOUS, LARGEST_PEAK, VERIFY_PEAK = 150 * MB, 3000 * MB, 1200 * MB
PEAK_PER_FILE, ONNX_PEAK_PER_FILE = 1.5, 6.0
GROWTH = 1.0


@dataclass(frozen=True)
class Row:
    """One line of the table: what ran, what it cost, what it may cost, and whether it does."""

    what: str
    measured: Measured
    budget: str
    within: bool
    note: str = ""

    def markdown(self) -> str:
        """Return the line."""
        m = self.measured
        cells = (
            self.what,
            f"{m.seconds:.2f} s ({m.fastest:.2f} to {m.slowest:.2f})",
            f"{m.peak / MB:.0f} MB",
            f"{m.anonymous / MB:.0f} MB",
            self.budget,
            ("yes" if self.within else "**no**") + self.note,
        )
        return f"| {' | '.join(cells)} |"


def graph_of(times: int) -> Path:
    """Return the benchmark graph with so many times the nodes, generated unless it is there already."""
    digest = hashlib.sha256()
    for source in sorted([*(ROOT / "surgeon" / "zoo").rglob("*.py"), BENCH / "generate.py"]):
        digest.update(source.read_bytes())
    path = CACHE / f"ssd-{NODES * times}-{digest.hexdigest()[:12]}.pb"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"part-{path.name}")
        say(f"generating {path.name}")
        subprocess.run([sys.executable, BENCH / "generate.py", part, str(NODES * times)], check=True)
        part.rename(path)
    return path


def conversion(recipe: str, model: Path, suffix: str = "uff") -> list[str]:
    """Return the command that converts a graph to a file with that suffix."""
    named = BENCH / f"{recipe}.yaml"
    return [
        SURGEON,
        "convert",
        str(named) if named.exists() else recipe,
        str(model),
        "-o",
        str(CACHE / f"out.{suffix}"),
    ]


def start_up(runs: int) -> Iterator[Row]:
    """Measure the commands that must answer at once."""
    for option in ("--version", "--help"):
        say(f"surgeon {option}")
        cost = measure([SURGEON, option], runs * 4)
        yield Row(f"`surgeon {option}`", cost, f"{START_UP_S} s", cost.seconds <= START_UP_S)


def conversions(model: Path, runs: int) -> Iterator[Row]:
    """Measure `convert` with literal and with derived fields."""
    size = model.stat().st_size
    for recipe, budget_s in (("literal", LITERAL_S), ("auto", AUTO_S)):
        say(f"convert, {recipe} fields")
        cost = measure(conversion(recipe, model), runs)
        within = (
            cost.seconds <= budget_s and cost.anonymous <= ANONYMOUS and cost.peak <= PEAK_PER_FILE * size
        )
        budget = f"{budget_s:g} s; anonymous {ANONYMOUS / MB:.0f} MB; peak {PEAK_PER_FILE * size / MB:.0f} MB"
        yield Row(f"`convert`, {recipe} fields: {size / MB:.0f} MB", cost, budget, within)


def onnx(model: Path, runs: int) -> Iterator[Row]:
    """Measure `convert` to ONNX in standard operators.

    The peak is that of the process with TensorFlow in it.
    """
    say("convert to ONNX")
    size = model.stat().st_size
    cost = measure(conversion("auto", model, "onnx"), max(1, runs // 2))
    within = cost.seconds <= ONNX_S and cost.peak <= ONNX_PEAK_PER_FILE * size
    yield Row(
        f"`convert` to ONNX: {size / MB:.0f} MB",
        cost,
        f"{ONNX_S:g} s; peak {ONNX_PEAK_PER_FILE * size / MB:.0f} MB",
        within,
    )


def verification(model: Path, runs: int) -> Iterator[Row]:
    """Measure `verify` on one picture that it makes itself."""
    say("verify")
    cost = measure([SURGEON, "verify", str(BENCH / "auto.yaml"), str(model)], max(1, runs // 2))
    what = f"`verify`, one picture of 300 x 300: {model.stat().st_size / MB:.0f} MB"
    within = cost.seconds <= VERIFY_S and cost.peak <= VERIFY_PEAK
    yield Row(what, cost, f"{VERIFY_S:g} s; peak {VERIFY_PEAK / MB:.0f} MB", within)


def growth(factors: Sequence[int], first: Measured, runs: int) -> Iterator[Row]:
    """Measure `convert` with more nodes at the same bytes of weights, against the first measurement."""
    for factor in factors:
        model = graph_of(factor)
        say(f"convert, {factor} x the nodes")
        cost = measure(conversion("literal", model), max(1, runs // factor))
        ratio = cost.seconds / first.seconds / factor
        within = ratio <= GROWTH and cost.seconds <= LARGEST_S and cost.peak <= LARGEST_PEAK
        budget = f"no faster than the nodes; {LARGEST_S:g} s; peak {LARGEST_PEAK / MB:.0f} MB"
        what = f"`convert`, literal fields: {NODES * factor:,} nodes, {model.stat().st_size / MB:.0f} MB"
        yield Row(what, cost, budget, within, f" ({ratio:.2f} x the nodes' growth)")


def scripts(model: Path, runs: int) -> Iterator[Row]:
    """Measure `convert-to-uff` with a script, and `collapse_namespaces` on two large graphs.

    The second must take about as long for each node as the first.
    """
    say("convert-to-uff")
    command = [CONVERT_TO_UFF, str(model), "-q", "-O", "NMS", "-p", str(BENCH / "script_config.py")]
    cost = measure([*command, "-o", str(CACHE / "script.uff")], runs)
    yield Row(f"`convert-to-uff` with a script: {model.stat().st_size / MB:.0f} MB", cost, "none", True)
    first = 0.0
    for nodes in (100_000, 1_000_000):
        say(f"collapse_namespaces, {nodes:,} nodes")
        command = [sys.executable, str(BENCH / "collapse.py"), str(nodes)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        cost = Measured(told["seconds"], told["seconds"], told["seconds"], told["peak"], told["peak"])
        ratio = told["seconds"] / nodes / first if first else 1.0
        first = first or told["seconds"] / nodes
        note = f" ({ratio:.2f} x the nodes' growth)" if nodes > 100_000 else ""
        what = f"`collapse_namespaces` in a script: {nodes:,} nodes, time of the call"
        yield Row(what, cost, "no faster than 1.5 x the nodes", ratio <= 1.5, note)


def machine() -> str:
    """Return what the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cpu}, {cores} cores; {platform.system()} {platform.release()}; Python {platform.python_version()}."
    )


def report(rows: Sequence[Row], runs: int) -> str:
    """Return the text between the markers."""
    told = [
        f"Measured on: {machine()}",
        "",
        *(f"- {line}" for line in tools()),
        f"- Seconds are the median of {runs} runs of a warm page cache (start-up: {runs * 4}; larger graphs:"
        " fewer), with the extremes in brackets; MB are 10^6 bytes.",
        "",
    ]
    head = ["| what | time | peak memory | anonymous memory | budget | within |", "|---|---|---|---|---|---|"]
    return "\n".join([*told, *head, *(row.markdown() for row in rows)])


def write_between_markers(path: Path, text: str) -> None:
    """Replace what stands between the markers; a file without them gets them at its end."""
    before = (
        path.read_text(encoding="utf-8")
        if path.exists()
        else "# Benchmarks\n\n`make bench` writes this table.\n"
    )
    if BEGIN not in before or END not in before:
        before = f"{before.rstrip()}\n\n{BEGIN}\n{END}\n"
    head, _, rest = before.partition(BEGIN)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def say(text: str) -> None:
    """Tell the person who waits what runs now."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print the table, and write it to the docs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="timed runs per command (default 5)")
    parser.add_argument("--largest", type=int, default=100, choices=(1, 10, 100), help="most times the nodes")
    parser.add_argument(
        "--model", type=Path, help="convert this graph; nothing is generated, growth is not measured"
    )
    parser.add_argument(
        "--output", type=Path, default=TABLE, help="the Markdown file (default docs/benchmarks.md)"
    )
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    rows = list(start_up(options.runs))
    model = options.model or graph_of(1)
    converted = list(conversions(model, options.runs))
    rows += [*converted, *onnx(model, options.runs), *verification(model, options.runs)]
    rows += scripts(model, options.runs)
    if options.model is None:
        factors = [factor for factor in (10, 100) if factor <= options.largest]
        rows += growth(factors, converted[0].measured, options.runs)
    text = report(rows, options.runs)
    write_between_markers(options.output, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
