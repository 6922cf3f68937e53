"""``surgeon.migrate``: a recipe from a script for graphsurgeon."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.api.init import write_schema
from surgeon.authoring import check_output
from surgeon.compat.messages import clean
from surgeon.compat.migration.comparison import Comparison, MigrationDifference, compare
from surgeon.compat.migration.drafting import Drafted, Drafter, Refinement, Source
from surgeon.compat.migration.final_graph import FinalGraph, final_graph, likely_outputs
from surgeon.compat.migration.history import History
from surgeon.compat.migration.peer_configs import is_peer_config, recipe_of_config
from surgeon.compat.migration.repairs import refined
from surgeon.compat.migration.scripts import ScriptOptions, ScriptRun, run_script
from surgeon.compat.remarks import collecting
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error, errors_in, nearest_note
from surgeon.display import plural
from surgeon.graph import Graph
from surgeon.language import Recipe, parse_recipe
from surgeon.request import PathLike, Request, Work
from surgeon.rewrite import Plan, plan
from surgeon.stages import tell_stage
from surgeon.targets import Target

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.verification import Verification

LEFT_OUT = "verification was left out"

_ROUNDS = 4
"""How often a draft is refined at most; each round writes out what the one before left different."""


@dataclass(frozen=True)
class Migration:
    """A recipe that was written from a script.

    ``text`` is the recipe; ``script_graph`` is what the script makes of the model and ``recipe_graph`` what
    the recipe makes of it, both as far as the outputs need them; they are None where the recipe cannot be
    planned. ``differences`` are what differs between them, each with its reason. ``diagnostics`` are
    warnings about the script and ``errors``. ``verification`` is None where nothing was verified;
    ``unverified`` then says why.
    """

    name: str
    text: str
    recipe: Recipe
    differences: tuple[MigrationDifference, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    script_graph: Graph | None = None
    recipe_graph: Graph | None = None
    verification: Verification | None = None
    unverified: str = ""

    def __repr__(self) -> str:
        state = "equal" if self.equal else "not equal"
        return f"<Migration '{self.name}', {state}, {plural(len(self.differences), 'difference')}>"

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Why the recipe does not give the script's graph, if it does not."""
        return errors_in(self.diagnostics)

    @property
    def equal(self) -> bool:
        """True if the recipe gives the script's graph, but for differences that have a reason."""
        return self.script_graph is not None and not self.errors

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "recipe": self.name,
            "text": self.text,
            "equal": self.equal,
            "differences": [each.to_json() for each in self.differences],
            "diagnostics": [each.to_json() for each in self.diagnostics],
            "verification": None if self.verification is None else self.verification.to_json(),
            "unverified": self.unverified,
        }


def migrate(
    script: PathLike,
    model: Graph | PathLike,
    output: PathLike | None = None,
    *,
    name: str | None = None,
    function: str | None = None,
    spec: str | None = None,
    arguments: Sequence[str] = (),
    outputs: Sequence[str] = (),
    literal: bool = False,
    verify: bool = True,
    images: PathLike | None = None,
    target: Target | str | None = None,
    plugin_paths: Iterable[PathLike] = (),
    force: bool = False,
) -> Migration:
    """Write a recipe that does to a model what a script for graphsurgeon does.

    A ``.json`` file in place of the script is OpenVINO's for a detector: the recipe is read off the graph. A
    ``.yaml`` file is Polygraphy's list of subgraphs that plugins replace. There is nothing to compare the
    recipe's graph with then.

    The script is executed, on ``model`` in place of any graph that it reads, up to where it converts the
    graph. If it has a function ``preprocess`` or ``add_plugin``, that is called; ``function`` names
    another. ``spec`` chooses among its dictionaries of numbers, and ``arguments`` are its command line.
    ``outputs`` are the graph's outputs, by default those that the script converts, else the nodes that it
    puts in and nothing reads.

    Fields that equal what the graph says become ``auto``, unless ``literal``. ``output`` is a ``.yaml``
    file; None writes nothing, and an existing file with other content is replaced only with ``force``. The
    recipe is planned on the model and its graph compared with the script's. With ``verify``, a recipe that
    gives detections is verified where TensorFlow is installed, with ``images`` as :func:`surgeon.verify`
    takes them.

    Raise SurgeonError P123 and P126 for a script that cannot be read or fails, P131 for one without
    surgery, P132 for one that edits another graph, P135 for what no recipe can hold, P136 where it is open
    what to call, P138 for a config that maps to no recipe, P137 where the outputs are not known, D149, E105
    and E120 for the output, and as :func:`surgeon.load_graph` does. Nothing is written then. A recipe that
    cannot be planned, or gives another graph, is written, with the reasons among ``errors``.
    """
    from surgeon.formats.graphdef import check_unchanged
    from surgeon.language.schema import MODELINE

    path = None if output is None else check_output(Path(output))
    work = Request.of(None, model, target=target, plugin_paths=plugin_paths).resolve()
    graph, file = work.graph, Path(script)
    with_schema = path is not None and not (os.path.exists(path) and not os.path.isfile(path))
    modeline = MODELINE if with_schema else ""
    if is_peer_config(file):
        made = _configured(file, work, name or (path.stem if path is not None else ""), modeline)
        check_unchanged(graph)
        made = _verified(made, work, images) if verify else replace(made, unverified=LEFT_OUT)
        return made if path is None else _written(made, path, work, with_schema, force)
    tell_stage("running the script", str(file))
    with collecting() as remarks:
        run = run_script(file, graph, ScriptOptions(tuple(arguments), function, spec))
    history = History(graph, run.recording)
    _check_same_graph(history, file)
    source = Source(
        file.name,
        Path(graph.source).name or "a graph",
        name or (path.stem if path is not None else file.stem),
        modeline,
    )
    wanted = _outputs(run, history, file, outputs, work.catalog)
    final = final_graph(run.recording.graphdef, wanted, work.catalog, history.is_new)
    drafter = _drafter(source, work, history, run, final, literal)
    made = _compared(drafter, work, history, tuple(_once(remarks)))
    check_unchanged(graph)
    made = _verified(made, work, images) if verify else replace(made, unverified=LEFT_OUT)
    if path is not None:
        made = _written(made, path, work, with_schema, force)
    return made


def _configured(config: Path, work: Work, name: str, modeline: str) -> Migration:
    """Return the recipe for a model that a peer's config is for."""
    made = recipe_of_config(config, work, name, modeline)
    planned = plan(made.recipe, work.graph, target=work.target, catalog=work.catalog)
    return Migration(
        made.name, made.text, made.recipe, diagnostics=made.diagnostics, recipe_graph=planned.result
    )


def _once(remarks: Iterable[Diagnostic]) -> list[Diagnostic]:
    return list(dict.fromkeys(remarks))


def _check_same_graph(history: History, script: Path) -> None:
    """Raise SurgeonError P132 where the script edits a graph that is not the model."""
    start = history.edits[0].before if history.edits else history.final
    known = sum(node.name in history.graph for node in start)
    if known * 2 < max(len(start), len(history.graph)):
        raise error(
            "P132",
            f"the script edits a graph of {plural(len(start), 'node')}, of which {known} are in the model's "
            f"{len(history.graph)}",
            str(script),
            help=[
                "give the model that the script reads",
                "or name the function that edits it with --function",
            ],
        )


def _outputs(
    run: ScriptRun, history: History, script: Path, given: Sequence[str], catalog: Catalog
) -> list[str]:
    """Return the names of the outputs; raise SurgeonError P138 for a config that maps to no recipe, P137
    where they are not known.
    """
    nodes = [node.name for node in run.recording.graphdef.node]
    chosen = [_output(name, nodes) for name in given or run.outputs]
    chosen = chosen or likely_outputs(run.recording.graphdef, map(history.last_name, history.made), catalog)
    missing = [name for name in chosen if name not in nodes]
    if chosen and not missing:
        return chosen
    raise error(
        "P137",
        f"the script's graph has no node '{missing[0]}'"
        if missing
        else "the script does not say what its outputs are",
        str(script),
        nearest_note(missing[0], nodes) if missing else (),
        ["name them with -O, as you give them to 'convert-to-uff -O'"],
    )


def _output(name: str, nodes: Sequence[str]) -> str:
    """Return the node that a name means, or a position: 1 is the first, -1 the last."""
    if clean(name) in nodes or not name.lstrip("-").isdigit() or not int(name):
        return clean(name)
    at = int(name) - (int(name) > 0)
    return nodes[at] if -len(nodes) <= at < len(nodes) else name


def _drafter(
    source: Source, work: Work, history: History, run: ScriptRun, final: FinalGraph, literal: bool
) -> Drafter:
    there = {node.name for node in run.recording.graphdef.node}
    names = [last for name in history.made if (last := history.last_name(name)) in there]
    messages = final_graph(run.recording.graphdef, names, work.catalog, history.is_new).nodes
    return Drafter(
        source,
        work.graph,
        history,
        final,
        {name: messages[name] for name in names},
        work.catalog,
        work.target.most_rows,
        literal=literal,
    )


def _compared(drafter: Drafter, work: Work, history: History, remarks: tuple[Diagnostic, ...]) -> Migration:
    """Return the recipe whose graph is as near to the script's as steps can bring it."""
    refinement = Refinement()
    for _ in range(_ROUNDS + 1):  # the first may put nodes apart
        tell_stage("writing the recipe")
        drafted = drafter.draft(refinement)
        try:
            planned = plan(drafted.recipe, work.graph, target=work.target, catalog=work.catalog)
        except SurgeonError as exc:
            apart = drafter.rewired() if "S405" in {each.code for each in exc.diagnostics} else set()
            if apart <= refinement.apart:
                return _unplanned(drafted, exc, remarks)
            refinement = replace(refinement, apart=apart)
            continue
        assert planned.result is not None
        comparison = compare(drafter.final, planned.result, drafted.recipe, history, work.catalog)
        further = refined(refinement, comparison, drafted.recipe, history, drafter.source.script)
        if further == refinement:
            break
        refinement = further
    return _migration(drafted, planned, comparison, remarks)


def _unplanned(drafted: Drafted, exc: SurgeonError, remarks: tuple[Diagnostic, ...]) -> Migration:
    failed = Diagnostic(
        "P134",
        "the recipe that says what the script does cannot be planned on the model",
        None,
        (),
        ("correct the recipe by hand; what is wrong with it is wrong with the script, too",),
    )
    diagnostics = (*remarks, *drafted.diagnostics, failed, *exc.diagnostics)
    return Migration(drafted.recipe.name, drafted.text, drafted.recipe, (), diagnostics)


def _migration(
    drafted: Drafted, planned: Plan, comparison: Comparison, remarks: tuple[Diagnostic, ...]
) -> Migration:
    notes = tuple(each for each in planned.diagnostics if each.severity is not Severity.NOTE)
    diagnostics = (*remarks, *drafted.diagnostics, *notes)
    left = comparison.unexplained
    if left:
        diagnostics += (
            Diagnostic(
                "P134",
                f"the recipe's graph differs from the script's in {plural(len(left), 'part')}, without a "
                "reason",
                None,
                tuple(map(str, left[:6])),
                ("correct the recipe by hand", "please report the script, if you can share it"),
            ),
        )
    return Migration(
        drafted.recipe.name,
        drafted.text,
        drafted.recipe,
        comparison.differences,
        diagnostics,
        comparison.script,
        comparison.recipe,
    )


def _verified(made: Migration, work: Work, images: PathLike | None) -> Migration:
    """Return the migration with its verification, or the reason why there is none."""
    if made.recipe_graph is None:
        return replace(made, unverified="the recipe cannot be planned")
    nodes = [made.recipe_graph[ref.node] for ref in made.recipe_graph.outputs]
    if not any(
        work.catalog.detections(node.op, node.name, node.attrs) for node in nodes if node.op in work.catalog
    ):
        return replace(made, unverified="no output of the recipe holds detections")
    if made.recipe.image is None:
        return replace(made, unverified="it is not known how a picture becomes the input")
    if importlib.util.find_spec("tensorflow") is None:
        return replace(made, unverified="TensorFlow is not installed")
    from surgeon.api.verify import verify

    return replace(made, verification=verify(made.recipe, work.graph, images=images, target=work.target))


def _written(made: Migration, path: Path, work: Work, with_schema: bool, force: bool) -> Migration:
    from surgeon.atomic import check_replaceable, check_writable, write_text
    from surgeon.language.schema import SCHEMA_FILE

    check_replaceable(path, made.text.encode("utf-8"), force=force)
    if with_schema:
        check_writable(path)
        write_schema(path.parent / SCHEMA_FILE, work.catalog, force)
    write_text(path, made.text)
    return replace(made, recipe=parse_recipe(made.text, str(path)))
