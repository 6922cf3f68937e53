"""Run the cases that stand beside a recipe, in '<recipe>.cases.yaml', and say of each whether it is as
expected.

    surgeon test my_recipe.yaml
    surgeon test MyPlugin --plugin-path my_plugins

Of a plugin, the cases in its folder's cases.yaml run on its reference; a negative control passes where it
differs. A recipe's cases look like this:

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
from surgeon.display import plural

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.catalog.cases import Case
    from surgeon.graph import Graph
    from surgeon.verification.recipe_cases import RecipeCase

NAME = "test"
TASK = "prove"
SUMMARY = "Run the test cases of a recipe or a plugin."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe",
        metavar="RECIPE|PLUGIN",
        help="a shipped recipe's name, the path of a .yaml file, or a plugin's name",
    )
    parser.add_argument(
        "--cases", metavar="FILE", type=Path, help="the file of cases (default: beside the recipe)"
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="only cases whose name holds this text")
    add_paths(parser)


def run(args: argparse.Namespace) -> int:
    from surgeon.catalog import load_catalog
    from surgeon.diagnostics import error, nearest_note
    from surgeon.language import find_recipe, recipe_files
    from surgeon.stages import tell_stage
    from surgeon.verification.recipe_cases import cases_file, chosen_cases, run_case

    catalog = load_catalog(args.plugin_paths)
    if args.recipe in catalog:
        if args.cases is not None:
            args.wrong_usage("--cases goes with a recipe; a plugin's cases are in its folder")
        return _test_plugin(args, catalog)
    shipped = recipe_files(args.recipe_paths)
    if not args.recipe.endswith((".yaml", ".yml")) and "/" not in args.recipe and args.recipe not in shipped:
        raise error(
            "R112",
            f"there is no recipe and no plugin named '{args.recipe}'",
            notes=nearest_note(args.recipe, [*shipped, *catalog]),
            help=["'surgeon list recipes' and 'surgeon list plugins' show them; a path needs '.yaml'"],
        )
    recipe = find_recipe(args.recipe, args.recipe_paths)
    path = args.cases or cases_file(recipe)
    cases = chosen_cases(path, args.only)
    results = []
    for i, case in enumerate(cases):
        tell_stage("running cases", case.name, i, len(cases))
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
        console.show(f"{plural(len(results), 'case')}, {len(failed)} failed")
    if not failed:
        return 0
    return EXIT_FAILED if all(result.unverified for result in failed) else 1


def _test_plugin(args: argparse.Namespace, catalog: Catalog) -> int:
    """Run a plugin's cases and negative controls on its reference."""
    from surgeon.catalog.cases import Negative
    from surgeon.diagnostics import error
    from surgeon.verification.recipe_cases import named_so

    cases, reference = catalog.cases(args.recipe), catalog.reference(args.recipe)
    if cases is None or reference is None:
        lacking = "cases.yaml" if cases is None else "reference.py"
        raise error(
            "C118",
            f"the plugin {args.recipe} has no '{lacking}'; expected one in its folder",
            catalog.folder(args.recipe),
            help=["write one; the plugin author's guide in docs/plugin-guide.md shows how"],
        )
    every: tuple[Case | Negative, ...] = cases.cases + cases.negative
    chosen = named_so(
        [(case.name, case) for case in every], args.only, catalog.folder(args.recipe) / "cases.yaml"
    )
    rows: list[dict[str, Any]] = []
    for case in chosen:
        differences = cases.mismatches(case, reference)
        control = isinstance(case, Negative)
        passed = bool(differences) == control
        rows.append({"name": case.name, "negative": control, "passed": passed, "differences": differences})
        if not args.json:
            console.show(
                f"{'passed' if passed else 'FAILED'}  {case.name}{' (negative control)' if control else ''}"
            )
            for text in (
                () if passed else differences or ("it gives what the case gives; expected a difference",)
            ):
                console.show(f"        {text}")
    failed = sum(not row["passed"] for row in rows)
    if args.json:
        console.show_json({"plugin": args.recipe, "cases": rows})
    else:
        console.show(f"{plural(len(rows), 'case')}, {failed} failed")
    return 1 if failed else 0


def open_model(case: RecipeCase, folder: Path) -> Graph:
    """Return a case's model: read from a file, or generated.

    Raise SurgeonError V122 for options that the generator refuses.
    """
    from surgeon.formats.graphdef import from_bytes, load_graph

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
        raise error(
            "V122",
            f"the model of the case '{case.name}' cannot be generated: {reason}",
            help=["the options are those of surgeon.zoo.SsdOptions: date, classes, height, ..."],
        ) from None
