"""Measure an engine on this machine's GPU: latency on the GPU, as a CUDA graph where the engine can be one,
and with the copies of input and output; where the time of a batch goes; and pictures in a second where
batches follow each other without copies.

    surgeon bench ssd.engine
    surgeon bench ssd.engine --batch 8 --rounds 1000 --json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeon.cli import console
from surgeon.cli.options import add_plugin_libraries, positive
from surgeon.display import plural

NAME = "bench"
TASK = "deploy"
SUMMARY = "Measure the latency and throughput of an engine."

_MOST = 100_000

_PARTS = {
    "preprocessing": ("preprocessing", "on one thread, of pictures of 500 x 375"),
    "copy_in": ("copy of the input", ""),
    "enqueue": ("enqueueing", "what the host needs to start the execution"),
    "network": ("network", "the profile's layers but suppression"),
    "suppression": ("suppression", "its layers in the profile"),
    "copy_out": ("copy of the outputs", ""),
    "without_suppression": ("GPU less suppression", "the floor: suppression that costs nothing"),
}
"""Parts of a batch's time: how each is called, and what it is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("engine", metavar="ENGINE", type=Path, help="an engine that 'surgeon build' built")
    add_plugin_libraries(parser)
    parser.add_argument(
        "--batch", metavar="N", type=positive, help="pictures in a batch (default: the largest)"
    )
    parser.add_argument(
        "--rounds", metavar="N", type=_rounds, default=500, help="batches to measure (default: 500)"
    )
    parser.add_argument(
        "--warm-up",
        metavar="SECONDS",
        type=_seconds,
        default=1.0,
        help="time to run before it counts (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    from surgeon.engine import load_engine
    from surgeon.engine.engine import bench_json
    from surgeon.runners.image import milliseconds_to_prepare

    with load_engine(args.engine, plugin_libraries=args.plugin_libraries) as engine:
        found = engine.bench(batch=args.batch, warm_up=args.warm_up, rounds=args.rounds)
        manifest = engine.manifest
    # What is prepared for a batch counts with it.
    preprocessing = None if manifest.image is None else found.batch * milliseconds_to_prepare(manifest.image)
    if args.json:
        console.show_json(bench_json(args.engine, manifest, found, preprocessing))
        return 0
    console.show(
        console.bold(
            f"{args.engine}: {manifest.precision}, batch {found.batch}, "
            f"{plural(found.rounds, 'round')}, "
            f"TensorRT {manifest.tensorrt} on {manifest.gpu}"
        )
    )
    names = list(found.gpu)
    rows = [("GPU, ms", found.gpu), ("as a CUDA graph, ms", found.graph), ("with copies, ms", found.whole)]
    console.table(
        [
            ["", *names],
            *([label, *(f"{times[name]:.3f}" for name in names)] for label, times in rows if times),
        ],
        right=range(1, len(names) + 1),
    )
    if found.graph is None:
        console.show(f"  no CUDA graph: {found.graph_problem}")
    parts = {"preprocessing": preprocessing, **found.parts}
    console.show(f"where the time of a batch of {found.batch} goes, medians in ms:")
    console.table(
        [
            [label, f"{value:.3f}", note]
            for name, (label, note) in _PARTS.items()
            if (value := parts.get(name)) is not None
        ],
        right=(1,),
    )
    if found.profile_problem:
        console.show(f"  no profile of the layers: {found.profile_problem}")
    console.show(f"  {found.throughput:,.0f} pictures in a second")
    return 0


def _rounds(text: str) -> int:
    number = positive(text)
    if number > _MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is too many; expected at most {_MOST}")
    return number


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 60:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time; expected 0 to 60 seconds")
    return number
