"""Train the demo model, evaluate a frozen detector of the same shapes, or write pictures of them.

    python bench/demo_model.py train -o DIR [--seed 0] [--steps 4000] [--width 0.234375]
    python bench/demo_model.py evaluate MODEL.pb [--pictures 500]
    python bench/demo_model.py pictures -o DIR [--pictures 500] [--seed 777777]

Needs TensorFlow, Pillow and pycocotools: pip install '.[training]'.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from surgeon.diagnostics import SurgeonError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands and return the exit code."""
    parser = argparse.ArgumentParser(description="the demo model")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train from nothing and write model.pb and log.json")
    train.add_argument("-o", "--output", metavar="DIR", type=Path, required=True)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--steps", type=int, help="steps of 16 pictures")
    train.add_argument(
        "--width", type=float, help="multiplier of the network's channels; the shipped model has 15/64"
    )
    evaluate = commands.add_parser("evaluate", help="mean average precision of a frozen graph, by TensorFlow")
    evaluate.add_argument("model", metavar="MODEL", type=Path)
    evaluate.add_argument("--pictures", type=int, default=500)
    pictures = commands.add_parser(
        "pictures", help="write pictures and what they show as a dataset for 'surgeon evaluate'"
    )
    pictures.add_argument("-o", "--output", metavar="DIR", type=Path, required=True)
    pictures.add_argument("--pictures", type=int, default=500)
    pictures.add_argument("--seed", type=int, default=777_777, help="seed of the pictures (default: 777777)")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        found = {"train": _train, "evaluate": _evaluate, "pictures": _pictures}[args.command](args)
    except SurgeonError as exc:
        print("\n\n".join(diagnostic.render() for diagnostic in exc.diagnostics), file=sys.stderr)
        return 1
    print(json.dumps(found, indent=1))
    return 0


def _train(args: argparse.Namespace) -> object:
    from surgeon.zoo.training.trainer import Schedule, train

    schedule = Schedule() if args.steps is None else Schedule(steps=args.steps)
    wider = {} if args.width is None else {"width": args.width}
    result = train(args.output, args.seed, schedule, **wider)
    return None if result is None else result.to_json()


def _pictures(args: argparse.Namespace) -> object:
    from surgeon.zoo.demo.dataset import write_dataset

    return {"dataset": str(write_dataset(args.output, args.pictures, args.seed))}


def _evaluate(args: argparse.Namespace) -> object:
    from surgeon.zoo.training.evaluation import evaluate, fresh_pictures
    from surgeon.zoo.training.frozen import frozen_detector

    return evaluate(frozen_detector(args.model), fresh_pictures(args.pictures)).to_json()


if __name__ == "__main__":
    sys.exit(main())
