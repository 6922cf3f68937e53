"""Make a matrix of models, recipes, targets, precisions and GPUs, as a FLEET.yaml says: each cell is a chain
of jobs, such as convert, verify, build, bench and package. Jobs run on Ray: on this machine, whose CPUs and
GPUs they share, or on a cluster that --address names. What was made is kept in a store and never made twice.

    surgeon fleet FLEET.yaml -o fleet
    surgeon fleet FLEET.yaml -o fleet --retry
    surgeon fleet FLEET.yaml -o fleet --address 10.0.0.5:6379
    surgeon fleet --status fleet

Results, and a report as HTML, Markdown and JSON, stand in DIR. Ctrl-C loses nothing that is done: the next
run goes on. The exit code is 1 where a job of some cell failed, and 3 where all is done and some verdict is
not passed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.cli import console
from surgeon.cli.options import positive

if TYPE_CHECKING:
    from surgeon.cluster.report import CellReport, FleetReport
    from surgeon.cluster.tasks import Done

NAME = "fleet"
TASK = "deploy"
SUMMARY = "Make a matrix of models, recipes and targets, on one machine or many."
EXIT_FAILED, EXIT_NOT_PASSED = 1, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fleet", metavar="FLEET", nargs="?", type=Path, help="a fleet file (.yaml)")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="the folder for results and the report"
    )
    parser.add_argument(
        "--status", metavar="DIR", type=Path, help="show how the fleet in this folder stands, and do nothing"
    )
    parser.add_argument("--retry", action="store_true", help="try again what failed before")
    parser.add_argument(
        "--store",
        metavar="PLACE",
        help="a folder or URL for what is made, such as s3://bucket/fleet (default: the file's, else "
        "DIR/store)",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="join this Ray cluster, whose nodes you trust, instead of starting one",
    )
    parser.add_argument(
        "--cpus", metavar="N", type=positive, help="CPUs that jobs share on this machine (default: all)"
    )
    parser.add_argument(
        "--dashboard", action="store_true", help="start Ray's dashboard, on this machine's loopback"
    )


def run(args: argparse.Namespace) -> int:
    import surgeon
    from surgeon.cluster.fleet import fleet_status

    if args.status is not None:
        if args.fleet is not None or args.output is not None:
            args.wrong_usage("--status DIR stands alone")
        return _show(fleet_status(args.status), args)
    if args.fleet is None or args.output is None:
        args.wrong_usage("FLEET and -o DIR are needed, or --status DIR")
    if args.address is not None and (args.cpus is not None or args.dashboard):
        args.wrong_usage("--cpus and --dashboard are for this machine, not for a cluster that runs")
    report = surgeon.fleet(
        args.fleet,
        args.output,
        address=args.address,
        retry=args.retry,
        store=args.store,
        cpus=args.cpus,
        dashboard=args.dashboard,
        started=lambda dashboard: console.say(f"Ray's dashboard: http://{dashboard}"),
        watch=None if args.json else _say,
    )
    return _show(report, args)


def _say(cell: CellReport, done: Done) -> None:
    """Say how a job of a cell ended, and why it failed."""
    if done.status == "skipped":
        return
    how = done.status if done.verdict is None else done.verdict
    console.say(f"{cell.name}: {done.job} {how}" + (f", {done.seconds:.1f} s" if done.made else ""))
    for each in done.diagnostics:
        if each["severity"] == "error":
            console.say_error(f"  {each['code']}: {each['message']}")
            for text in each["help"]:
                console.say(f"    {text}")


def _show(report: FleetReport, args: argparse.Namespace) -> int:
    from surgeon.cluster.report_pages import heading, row

    if args.json:
        console.show_json(report.to_json())
    else:
        console.table([heading(report), *(row(report, cell) for cell in report.cells)])
        console.show()
        console.show(report.summary + ("; a process is at work on it" if report.running else ""))
        if args.status is not None:
            for cell in report.cells:
                for done in cell.jobs:
                    if done.status == "failed":
                        _say(cell, done)
        else:
            console.say(f"made {report.made}, found in the store {report.found}")
        console.say(f"report: {report.folder / 'report.html'}")
    if args.status is not None:
        return 0
    if report.failed:
        if not args.json:
            console.next_step(
                ["surgeon", "fleet", str(args.fleet), "-o", str(args.output), "--retry"],
            )
        return EXIT_FAILED
    return 0 if report.passed else EXIT_NOT_PASSED
