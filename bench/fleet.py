"""What a fleet costs beside its jobs: 200 small conversions on 1, 2 and 4 CPUs of a cluster of one, twice.

python bench/fleet.py [-o FOLDER] [--models 100] [--cpus 1 2 4]

Each cell converts a graph of six nodes, which takes some milliseconds; the rest is the fleet's own. More
CPUs than the machine has show whether the result stays the same, not speed. It prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import surgeon
from surgeon.formats.graphdef import save_graph
from surgeon.graph import parse_graph

GRAPH = """\
graph v1
picture = Placeholder() {{dtype: uint8, shape: shape[?,4,4,3]}}
pre/float = Cast(picture) {{SrcT: uint8, DstT: float32}}
pre/scale = Const() {{dtype: float32, value: tensor<float32[]: {scale}>}}
pre/scaled = Mul(pre/float, pre/scale) {{T: float32}}
body/clipped = Relu6(pre/scaled) {{T: float32}}
result = Identity(body/clipped) {{T: float32}}
"""
RECIPE = """\
recipe: 1
name: small
outputs: [clip]
nodes:
  Input: {op: Placeholder, like: pre/scaled}
  clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}
namespaces: {picture: Input, pre: Input, body/clipped: clip}
"""
FLEET = """\
fleet: 1
matrix:
  model: "*.pb"
  recipe: small.yaml
  target: [uff@tensorrt-8.5, uff@tensorrt-7.0]
jobs: [convert]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--cpus", type=int, nargs="+", default=[1, 2, 4])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = args.output or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(args.models):
            save_graph(parse_graph(GRAPH.format(scale=0.5 + index)), folder / f"m{index}.pb")
        (folder / "small.yaml").write_text(RECIPE, encoding="utf-8")
        (folder / "FLEET.yaml").write_text(FLEET, encoding="utf-8")
        begin = time.monotonic()
        for index in range(args.models):
            surgeon.convert(folder / "small.yaml", folder / f"m{index}.pb", folder / "direct.uff")
        direct = (time.monotonic() - begin) / args.models
        print(f"in one process, without a fleet: {1000 * direct:.0f} ms for a conversion\n")
        print("| CPUs | cells | first run, s | a cell, ms | starting and stopping Ray, s | second run, s |")
        print("|---:|---:|---:|---:|---:|---:|")
        contents = set()
        for cpus in args.cpus:
            contents.add(measured(folder, cpus))
        print("\nevery run wrote the same bytes" if len(contents) == 1 else "\nRUNS DIFFER")
        sys.exit(len(contents) != 1)


def measured(folder: Path, cpus: int) -> tuple[bytes, ...]:
    """Run the fleet twice and print a row; return what it wrote."""
    output = folder / f"out-{cpus}"
    ends: list[float] = []
    begin = time.monotonic()
    first = surgeon.fleet(
        folder / "FLEET.yaml", output, cpus=cpus, watch=lambda cell, done: ends.append(time.monotonic())
    )
    whole = time.monotonic() - begin
    assert first.passed and first.made == len(first.cells) == len(ends)
    # The first answers come when Ray and its workers stand.
    warm = 10 * cpus
    each = (ends[-1] - ends[warm]) / (len(ends) - warm - 1)
    begin = time.monotonic()
    second = surgeon.fleet(folder / "FLEET.yaml", output, cpus=cpus)
    again = time.monotonic() - begin
    assert second.made == 0
    rest = whole - each * len(ends)
    print(
        f"| {cpus} | {len(ends)} | {whole:.1f} | {1000 * each:.0f} | {rest:.1f} | {again:.1f} |", flush=True
    )
    return tuple(path.read_bytes() for path in sorted(output.glob("cells/*/convert/model.uff")))


if __name__ == "__main__":
    main()
