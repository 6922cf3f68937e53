"""Run the cases that stand beside a recipe, in '<recipe>.cases.yaml', and say of each whether it is as expected.

    surgeon test my_recipe.yaml

    cases:
      - name: three classes, exporter of 2018
        zoo: {date: 2018, classes: 3}             # or 'model: ../models/my.pb', relative to this file
        expect:
          derived: {NMS.numClasses: 4}
          nodes: {NMS: {op: NMS_TRT, fields: {keepTopK: 100}}, Preprocessor/sub: absent}
          verify: {max-excused: 15}
      - name: no detector
        zoo: {network: lenet}
        expect: {error: R201}

The exit code is 0 where all are, 3 where nothing but verifications went wrong, else 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.cli import console
from surgeon.cli.options import add_paths
from surgeon.cli.verify import EXIT_FAILED

if TYPE_CHECKING:
    from surgeon.graph import Graph
    from surgeon.verify.cases import RecipeCase

NAME = "test"
SUMMARY = "run the cases beside a recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a shipped recipe's name, or the path of a .yaml file")
    parser.add_argument("--cases", metavar="FILE", type=Path, help="the file of cases (default: beside the recipe)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only cases whose name holds this text")
    add_paths(parser)


def run(args: argparse.Namespace) -> int:
    from surgeon.catalog import load_catalog
    from surgeon.language import find_recipe
    from surgeon.verify.cases import cases_file, chosen_cases, run_case

    recipe = find_recipe(args.recipe, args.recipe_paths)
    path = args.cases or cases_file(recipe)
    cases = chosen_cases(path, args.only)
    catalog = load_catalog(args.plugin_paths)
    results = []
    for case in cases:
        result = run_case(case, recipe, path.parent, catalog, open_model, args.recipe_paths)
        results.append(result)
        if not args.json:
            console.show(f"{'passed' if result.passed else 'FAILED'}  {case.name}")
            for failure in result.failures:
                console.show(f"        {failure}")
    failed = [result for result in results if not result.passed]
    if args.json:
        console.show_json({"recipe": str(recipe), "cases": [result.to_json() for result in results]})
    else:
        console.show(f"{console.plural(len(results), 'case')}, {len(failed)} failed")
    if not failed:
        return 0
    return EXIT_FAILED if all(result.unverified for result in failed) else 1


def open_model(case: RecipeCase, folder: Path) -> Graph:
    """Return a case's model: read from a file, or generated; raise SurgeonError V122 for options that the generator refuses."""
    from surgeon.graphdef import from_bytes, load_graph

    if case.model is not None:
        return load_graph(folder / case.model)
    return from_bytes(_generated(case), f"generated for '{case.name}'")


def _generated(case: RecipeCase) -> bytes:
    from surgeon.diagnostics import error
    from surgeon.zoo import SsdOptions, build_lenet, build_ssd

    options: dict[str, Any] = dict(case.zoo)
    network = options.pop("network", "ssd")
    try:
        if network == "lenet":
            return build_lenet(**options)
        if network != "ssd":
            raise ValueError(f"network is '{network}'; expected 'ssd' or 'lenet'")
        if "date" in options:
            options["date"] = str(options["date"])
        ratios = options.get("aspect_ratios")
        return build_ssd(SsdOptions(**{**options, **({"aspect_ratios": tuple(ratios)} if ratios else {})}))
    except (TypeError, ValueError) as exc:
        reason = " ".join(str(exc).split()).replace("SsdOptions.__init__() got", "got")
        raise error("V122", f"the model of the case '{case.name}' cannot be generated: {reason}",
                    help=["the options are those of surgeon.zoo.SsdOptions: date, classes, height, ..."]) from None  # fmt: skip
