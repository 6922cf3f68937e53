"""The commands of a device's program."""

import argparse
import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

import numpy as np

from surgeon.atomic import check_writable, write_text
from surgeon.catalog.plugin_uses import PluginUse
from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.display import plural
from surgeon.engine.builds import TIMEOUT, CalibrationBatches, Output, Source, build, calibration_path
from surgeon.engine.engine import bench_json, load_engine
from surgeon.engine.libraries import check_libraries
from surgeon.engine.manifest import check_content, describe_file, manifest_path, read_manifest
from surgeon.engine.options import BuildOptions
from surgeon.engine.registry import read_registry
from surgeon.packaging.description import Description, read_description
from surgeon.packaging.detector.talk import (
    DONE,
    NOT_VERIFIED,
    REFUSED,
    exit_code,
    say,
    show_diagnostics,
    show_json,
    show_results,
)
from surgeon.runners.detect import detect_all
from surgeon.runners.detection_runner import DetectionRunner
from surgeon.runners.engine import EngineRunner
from surgeon.runners.image import listed, milliseconds_to_prepare
from surgeon.runners.image_result import THRESHOLD, check_threshold, report
from surgeon.runners.result_folder import ResultFolder
from surgeon.verification.limits import Limits
from surgeon.verification.records import read_records
from surgeon.verification.results import Tolerances
from surgeon.verification.verification import verify_runner
from surgeon.version import __version__

PROGRAM = "detector.py"

_VERBS = re.compile(r"\bsurgeon (build|run|bench|verify|doctor)\b(?! RECIPE)")
"""Commands of the package that this program has, too."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--child"]:
        importlib.import_module("surgeon.engine.child." + given[1]).main(given[2:])
        return DONE
    args = _parser().parse_args(given)

    def say_diagnostics(diagnostics: Iterable[Diagnostic], may_be_json: bool) -> None:
        _say_diagnostics(diagnostics, may_be_json and args.json)

    return exit_code(lambda: int(args.function(Folder(args.folder), args)), say_diagnostics)


class Folder:
    """The folder in which the program lies, with the model."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description: Description = read_description(path)

    @property
    def engine(self) -> Path:
        """Where the engine is kept unless another place is named."""
        return self.path / (self.description.name + ".engine")

    def source(self) -> Source:
        """Return the model's file; raise SurgeonError B106 where it is not the one that was packaged."""
        described = self.description
        path = self.path / described.source.name
        found = describe_file(path)
        if found.sha256 != described.source.sha256:
            raise error(
                "B106",
                f"'{path}' is not the file that was packaged; it has {found.bytes} bytes of "
                f"{described.source.bytes}",
                str(path),
                ["it was damaged, cut off, or overwritten"],
                ["copy the folder again"],
            )
        return Source(
            described.format,
            path,
            inputs=described.inputs,
            marks=described.marks,
            outputs=tuple(Output(each.name, each.dtype, each.shape) for each in described.outputs),
            uses=tuple(
                PluginUse(each.node, each.op, each.fields, version=each.version, namespace=each.namespace)
                for each in described.plugins
            ),
            model=described.model,
            graph=described.graph,
            recipe=described.recipe,
            recipe_digest=described.recipe_digest,
            target=described.target,
            detections=described.detections,
            image=described.image,
            labels=described.labels,
            classes=described.classes,
            batch=described.batch,
        )


# Commands


def _build(folder: Folder, args: argparse.Namespace) -> int:
    described = folder.description
    options = BuildOptions(
        precision=args.precision or described.precision,
        tf32=described.tf32 and args.tf32,
        workspace=args.workspace or described.workspace,
        max_batch=args.max_batch or described.max_batch,
        best_batch=args.best_batch or (None if args.max_batch else described.best_batch),
        dla_core=args.dla_core,
        report=args.layers is not None,
        algorithm=described.algorithm,
    )
    output = _engine_path(args.output or folder.engine)
    cache = args.calibration_cache
    if cache is None and described.calibration:
        cache = folder.path / described.calibration
    if options.precision == "int8" and cache is None:
        raise error(
            "B107",
            "an INT8 engine needs calibration; expected a calibration cache",
            help=["compute scales where the pictures are, and give the file with --calibration-cache"],
        )
    libraries = check_libraries(args.plugin_libraries)
    _check_plugins(described, libraries)
    built = build(
        folder.source(),
        output,
        options,
        libraries=libraries,
        calibration=None if cache is None else CalibrationBatches(cache=cache),
        timing_cache=args.timing_cache,
        force=args.force,
        timeout=args.timeout or TIMEOUT,
        watch=_watching(args.json),
    )
    if args.layers is not None and built.report:
        write_text(args.layers, built.report)
    if args.json:
        show_json(built.to_json())
        return DONE
    manifest = built.manifest
    done = (
        "is there already, built of the same" if built.reused else f"built in {manifest.build_seconds:.1f} s"
    )
    say(
        f"{built.path}: {manifest.engine.bytes} bytes, {manifest.precision}, batch up to "
        f"{manifest.max_batch}; {done}"
    )
    say(f"for TensorRT {manifest.tensorrt} on {manifest.gpu} ({manifest.compute_capability})")
    return DONE


def _engine_path(path: Path) -> Path:
    """Return where an engine is written; raise SurgeonError B109 and E105 where none can be."""
    if path.suffix.lower() not in EngineRunner.suffixes:
        raise error(
            "B109",
            f"the output '{path}' has the suffix of another kind of file; expected .engine or .plan",
            str(path),
            help=["name the output '.engine'"],
        )
    check_writable(path)
    for beside in (manifest_path(path), calibration_path(path)):
        check_writable(beside, follow_links=False)
    return path


def _check_plugins(described: Description, libraries: Sequence[Path]) -> None:
    """Raise SurgeonError B126 for plugins that are not registered, B125 where TensorRT cannot be used."""
    registry = read_registry(libraries)
    if registry is None:
        return
    if registry.problem:
        raise error("B125", f"TensorRT cannot be used: {registry.problem}", notes=_last(registry.log))
    for library in registry.libraries:
        if library.problem:
            raise error("B123", f"the plugin library '{library.path}' cannot be loaded: {library.problem}")
    names = {creator.name for creator in registry.creators}
    lacking = [each for each in described.plugins if each.creator not in names]
    if not lacking:
        return
    help = [
        "build the library of the folder 'plugins' (its README says how), and give it with --plugin-library"
    ]
    if not described.native_plugins:
        help = [
            f"TensorRT {registry.version} has no such plugin: make the folder again for this release, with "
            "'surgeon package --target'",
            "or give the library that has it with --plugin-library",
        ]
    raise SurgeonError(
        *[
            Diagnostic(
                "B126",
                f"the plugin {each.creator} of '{each.node}' is not registered; expected a creator of that "
                "name",
                each.node,
                (),
                tuple(help),
            )
            for each in lacking
        ]
    )


def _last(log: str) -> List[str]:
    return log.strip().splitlines()[-3:]


def _open(folder: Folder, args: argparse.Namespace) -> EngineRunner:
    path = args.engine or folder.engine
    if not path.exists():
        raise error(
            "E101",
            f"the engine '{path}' cannot be read: there is no such file",
            help=["build it first: surgeon build"],
        )
    return EngineRunner(load_engine(path, plugin_libraries=args.plugin_libraries))


def _run(folder: Folder, args: argparse.Namespace) -> int:
    least = check_threshold(args.threshold)
    pictures = listed([str(each) for each in args.pictures])
    results_folder = None
    if args.output is not None:
        drawing = _is_there("PIL")
        results_folder = ResultFolder(args.output, pictures, drawing=drawing)
        if not drawing:
            say("nothing is drawn: Pillow is not there; detections.json is written")
    unread: List[SurgeonError] = []
    with _open(folder, args) as runner:
        results = detect_all(
            DetectionRunner(runner),
            pictures,
            args.batch,
            threshold=least,
            labels=None,
            folder=results_folder,
            tensors=args.tensors and results_folder is not None,
            refused=unread.append,
            watch=None,
        )
    if args.json:
        show_json(report(results, least, unread))
    else:
        show_results(results)
    for exc in unread:
        _say_diagnostics(exc.diagnostics, False)
    return REFUSED if unread else DONE


def _bench(folder: Folder, args: argparse.Namespace) -> int:
    path = args.engine or folder.engine
    with _open(folder, args) as runner:
        engine = runner.engine
        found = engine.bench(batch=args.batch, warm_up=args.warm_up, rounds=args.rounds)
        manifest = engine.manifest
    preprocessing = None if manifest.image is None else found.batch * milliseconds_to_prepare(manifest.image)
    product = bench_json(path, manifest, found, preprocessing)
    if args.json:
        show_json(product)
        return DONE
    print(f"{path}: {manifest.precision}, batch {found.batch}, {plural(found.rounds, 'round')}")
    for label, times in (("GPU", found.gpu), ("as a CUDA graph", found.graph), ("with copies", found.whole)):
        if times is not None:
            values = "  ".join(f"{name} {value:.3f}" for name, value in times.items())
            print(f"  {label:16} ms: {values}")
    for name, value in product["parts_ms"].items():
        print(f"  {name:20} {value:8.3f} ms")
    for problem in (found.graph_problem, found.profile_problem):
        if problem:
            print(f"  {problem}")
    print(f"  {found.throughput:.0f} pictures in a second")
    return DONE


def _verify(folder: Folder, args: argparse.Namespace) -> int:
    named = folder.description.original
    if args.original is None and not named:
        raise error(
            "V123",
            "the folder has no stored originals; expected a file of them",
            help=["make one where TensorFlow is, with 'verify --store', and give it with --original"],
        )
    info, records = read_records(args.original or folder.path / named)
    usual = EngineRunner.tolerance
    box = usual if args.box_tolerance is None else args.box_tolerance
    score = usual if args.score_tolerance is None else args.score_tolerance
    given = args.box_tolerance is not None or args.score_tolerance is not None
    limits = Limits(Tolerances(box, score, usual), args.max_excused, widened=not given).check()
    with _open(folder, args) as runner:
        found = verify_runner(runner, records, info, limits, output=args.output)
    if args.json:
        show_json(found.to_json())
    else:
        print("put in: {}".format(", ".join(found.pictures)))
        for verdict in found.verdicts:
            print(f"{verdict.name}: {verdict.outcome}" + (f" ({verdict.reason})" if verdict.reason else ""))
            for each in verdict.comparisons:
                print(f"  {_compared(each.to_json())}")
        print(str(found.outcome))
    return DONE if found.passed else NOT_VERIFIED


def _compared(found: Mapping[str, Any]) -> str:
    reason = found["reason"] and f": {found['reason']}"
    head = f"{found['outcome']}  {found['subject']}, {found['picture']}"
    if found["kind"] == "detections":
        counts = f"{found['original']} original, {found['rewritten']} here, {found['matched']} matched"
        box, score = found["worst_box_error"], found["worst_score_error"]
        return f"{head}: {counts}; boxes off by up to {box:.2g}, scores by {score:.2g}{reason}"
    return f"{head}: off by {found['error']}{reason}"


def _doctor(folder: Folder, args: argparse.Namespace) -> int:
    described = folder.description
    libraries = check_libraries(args.plugin_libraries)
    registry = read_registry(libraries)
    problems: List[str] = []
    found: Dict[str, Any] = {
        "surgeon": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": np.__version__,
        "pictures": [name for name in ("PIL", "cv2") if _is_there(name)],
        "tensorrt": None,
        "engine": None,
    }
    if registry is None:
        problems.append("this Python has no TensorRT")
    elif registry.problem:
        problems.append(f"TensorRT cannot be used: {registry.problem}")
    else:
        names = {creator.name for creator in registry.creators}
        lacking = [each.creator for each in described.plugins if each.creator not in names]
        found["tensorrt"] = {
            "version": registry.version,
            "parsers": list(registry.parsers),
            "devices": [vars(device) for device in registry.devices],
            "driver_cuda": registry.driver_cuda,
            "cuda_runtimes": list(registry.cuda_runtimes),
            "lacking_plugins": lacking,
        }
        if described.format not in registry.parsers:
            problems.append(f"TensorRT {registry.version} has no parser for '{described.format}' files")
        if not registry.devices:
            problems.append("no GPU answers")
        problems += [f"the plugin {name} is not registered" for name in lacking]
    if folder.engine.exists():
        try:
            manifest = read_manifest(folder.engine)
            check_content(manifest, folder.engine.read_bytes(), folder.engine)
            found["engine"] = {"file": str(folder.engine), "tensorrt": manifest.tensorrt, "gpu": manifest.gpu}
        except SurgeonError as exc:
            problems += [each.message for each in exc.diagnostics]
        except OSError as exc:
            problems.append(f"the engine '{folder.engine}' cannot be read: {exc.strerror or exc}")
    found["problems"] = problems
    if args.json:
        show_json(found)
    else:
        for name, value in found.items():
            if name != "problems":
                print(f"{name:9} {value if value else 'none'}")
        for problem in problems:
            print(f"problem: {problem}")
        print("nothing is wrong" if not problems else plural(len(problems), "problem"))
    return REFUSED if problems else DONE


def _is_there(module: str) -> bool:
    try:
        importlib.import_module(module)
    except Exception:  # a broken package raises anything
        return False
    return True


# Talk


def _say_diagnostics(diagnostics: Iterable[Diagnostic], as_json: bool) -> None:
    show_diagnostics([_for_here(each) for each in diagnostics], as_json)


def _for_here(diagnostic: Diagnostic) -> Diagnostic:
    """Return a diagnostic that names this program's commands."""
    notes, help = (
        tuple(_VERBS.sub(rf"python3 {PROGRAM} \1", text) for text in texts)
        for texts in (diagnostic.notes, diagnostic.help)
    )
    return Diagnostic(diagnostic.code, diagnostic.message, diagnostic.where, notes, help, diagnostic.severity)


def _watching(quiet: bool) -> Any:
    """Return what says which phase of a build begins, on a terminal; None elsewhere."""
    if quiet or not sys.stderr.isatty():
        return None
    seen: List[str] = []

    def watch(phase: str, what: str, done: int, total: int) -> None:
        if not seen or seen[-1] != phase:
            seen.append(phase)
            say(f"TensorRT: {phase}")

    return watch


# Arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Build, run, measure and verify the engine of this folder's model, with the TensorRT of "
        "this device.",
        epilog="Exit codes: 0 done, 1 an error that the message explains, 2 wrong usage, 3 a failed "
        "verification.",
    )
    parser.add_argument("--version", action="version", version=f"surgeon {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    commands.required = True
    verbs = (
        ("build", "build the engine, unless it is there, built of the same", _build, _add_build),
        ("run", "detect objects in pictures", _run, _add_run),
        ("bench", "measure latency and throughput", _bench, _add_bench),
        ("verify", "compare with what the original computed", _verify, _add_verify),
        ("doctor", "say what this device has, and what the model lacks", _doctor, None),
    )
    for name, summary, function, add in verbs:
        verb = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        verb.set_defaults(function=function)
        verb.add_argument("--json", action="store_true", help="write the result as JSON")
        verb.add_argument(
            "--folder",
            metavar="DIR",
            type=Path,
            default=Path(os.path.dirname(os.path.abspath(sys.argv[0]))),
            help="the folder with the model (default: that of this program)",
        )
        verb.add_argument(
            "--plugin-library",
            metavar="LIB",
            type=Path,
            action="append",
            default=[],
            dest="plugin_libraries",
            help="load this plugin library; repeatable",
        )
        if name not in ("build", "doctor"):
            verb.add_argument("--engine", metavar="ENGINE", type=Path, help="take this engine")
        if add is not None:
            add(verb)
    return parser


def _add_build(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("-o", "--output", metavar="ENGINE", type=Path, help="the engine's file")
    precision = verb.add_mutually_exclusive_group()
    for name in ("fp32", "fp16", "int8"):
        precision.add_argument(
            "--" + name, dest="precision", action="store_const", const=name, help="build with " + name.upper()
        )
    verb.add_argument("--no-tf32", dest="tf32", action="store_false", help="compute FP32 layers without TF32")
    verb.add_argument("--workspace", metavar="SIZE", type=_bytes, help="memory for tactics, such as 512MiB")
    verb.add_argument("--batch", metavar="N", type=_positive, dest="max_batch", help="the largest batch")
    verb.add_argument("--best-batch", metavar="N", type=_positive, help="the batch to tune an open batch for")
    verb.add_argument("--dla-core", metavar="N", type=int, help="build for this deep learning accelerator")
    verb.add_argument("--calibration-cache", metavar="FILE", type=Path, help="scales for INT8")
    verb.add_argument("--timing-cache", metavar="FILE", type=Path, help="read and write what layers took")
    verb.add_argument("--layers", metavar="FILE", type=Path, help="write what TensorRT tells of the layers")
    verb.add_argument("--timeout", metavar="SECONDS", type=_positive, help="give up after this time")
    verb.add_argument(
        "--force", action="store_true", help="build even where the engine that is there is right"
    )


def _add_run(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "pictures", metavar="PICTURE", nargs="+", type=Path, help="pictures, folders, .npy arrays"
    )
    verb.add_argument("--threshold", metavar="X", type=float, default=THRESHOLD, help="score that is needed")
    verb.add_argument("--batch", metavar="N", type=_positive, help="pictures at once")
    verb.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="draw, and write detections.json, here"
    )
    verb.add_argument("--tensors", action="store_true", help="write the outputs, too (with -o)")


def _add_bench(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--batch", metavar="N", type=_positive, help="pictures in a batch")
    verb.add_argument("--rounds", metavar="N", type=_positive, default=500, help="batches to measure")
    verb.add_argument(
        "--warm-up", metavar="SECONDS", type=_seconds, default=1.0, help="time before it counts"
    )


def _add_verify(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--original", metavar="FILE.npz", type=Path, help="other stored originals")
    verb.add_argument("--box-tolerance", metavar="X", type=float, help="largest difference of a coordinate")
    verb.add_argument("--score-tolerance", metavar="X", type=float, help="largest difference of a score")
    verb.add_argument(
        "--max-excused", metavar="N", type=int, help="differences that a known rule may explain"
    )
    verb.add_argument("-o", "--output", metavar="DIR", type=Path, help="draw both sets of detections here")


def _positive(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 100000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a count; expected 1 to 100000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 60:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time; expected 0 to 60 seconds")
    return number


def _bytes(text: str) -> int:
    match = re.match(r"([0-9]+)\s*(|B|KiB|MiB|GiB)$", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size; expected bytes, or 512MiB or 1GiB")
    return int(match.group(1)) << {"KiB": 10, "MiB": 20, "GiB": 30}.get(match.group(2), 0)
