"""Record what the command line does to a corpus of graphs, and compare two records.

    python bench/replay.py record -o before.json.gz --models DIR
    python bench/replay.py record -o after.json.gz --models DIR
    python bench/replay.py compare before.json.gz after.json.gz --expected expected.yaml

A row of a record is one command, under the key graph/recipe/target/verb: its exit code, codes, output and
written files. `compare` exits with 1 where something differs that is not expected, and with 2 where the
records cannot be compared. docs/replay.md tells what is recorded.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import fnmatch
import gzip
import hashlib
import importlib
import importlib.util
import io
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

import surgeon
from surgeon.zoo import SsdOptions, build_lenet, build_ssd

CORPUS = Path(__file__).resolve().parents[1] / "build" / "replay" / "corpus"
LIBRARIES = "tensorflow tensorflow-cpu tf2onnx onnx onnxruntime numpy protobuf pydantic pillow".split()
LARGE = 20_000_000
"""Bytes above which a quick record omits a graph, and a full one tries shipped recipes for few targets."""

UFF, ONNX = "uff@tensorrt-8.5", "onnx@onnxruntime"
FEW, EACH = (UFF, ONNX), ("graphdef", UFF, ONNX, "onnx@tensorrt-8.5")
"""Targets that a quick record has, and one target of each format and runtime."""

SUFFIXES = {"graphdef": "pb", "uff": "uff", "onnx": "onnx"}
GENERATED = {
    "ssd-2017": SsdOptions(date="2017", depth_multiplier=0.1),
    "ssd-2018-oblong": SsdOptions(date="2018", depth_multiplier=0.1, classes=1, height=192, width=256),
    "ssd-2019-numbers": SsdOptions(
        date="2019",
        depth_multiplier=0.1,
        classes=20,
        aspect_ratios=(1.0, 2.0, 0.5),
        min_scale=0.15,
        max_scale=0.9,
        score_threshold=0.3,
        iou_threshold=0.45,
        max_detections=50,
    ),
}
VERIFIED = ("demo", "ssd-2017", "ssd-2019-numbers")
"""Graphs whose results are drawn, verified and run in a quick record, too."""

DEMO = {
    "convert batch": "convert ssd demo.pb -o batch.onnx --batch dynamic --opset 13 --json",
    "convert efficient-nms": (
        "convert ssd demo.pb -o efficient.onnx --plugins efficient-nms --target onnx@tensorrt-8.6"
    ),
    "convert native": "convert ssd demo.pb -o native.onnx --target onnx@tensorrt-8.5 --json",
    "convert constant anchors": "convert ssd demo.pb -o constant.uff --anchors constant --json",
    "convert .pbtxt": "convert ssd demo.pb -o out.pbtxt",
    "inspect .pbtxt": "inspect out.pbtxt --json --under FeatureExtractor --depth 3",
    "init with labels": "init demo.pb --labels labels.pbtxt --name shapes",
    "init with few labels": "init demo.pb --labels few.txt",
    "plan": "plan ssd demo.pb -o plan.json --json",
    "diff in words": "diff demo.pb out.pbtxt",
    "diff --html": "diff demo.pb constant.uff --html diff.html --json",
    "view --export": "view demo.pb ssd --export explorer --json",
    "view of ONNX": "view batch.onnx --html onnx.html --json",
    "verify pictures": "verify ssd demo.pb --images pictures --json",
    "verify in words": "verify ssd_nvidia_numbers demo.pb --images pictures --max-excused 40",
    "verify --store": "verify ssd demo.pb --images pictures --store original.npz",
    "verify --original": "verify --onnx batch.onnx --original original.npz --json",
    "run in words": "run ssd demo.pb pictures --labels labels.pbtxt --threshold 0.5 -o found",
    "run ONNX": "run batch.onnx pictures --json",
    "test cases": "test ssd --cases cases.yaml --json",
    "demo": "demo -o everything --json",
    "refused: no such file": "inspect absent.pb",
    "refused: cut off": "inspect cut.pb",
    "refused: no graph": "check ssd few.txt",
    "refused: no such recipe": "check nothing demo.pb",
    "refused: no such target": "check ssd demo.pb --target uff@tensorrt-4.0",
    "refused: no such parameter": "check ssd demo.pb --set nothing=1",
    "refused: suffix": "convert ssd demo.pb -o out.txt",
    "refused: suffix and target": "convert ssd demo.pb -o out.uff --target onnx@onnxruntime",
    "refused: opset": "convert ssd demo.pb -o out.onnx --opset 5",
    "refused: no output": "convert ssd demo.pb",
    "refused: no such subject": "explain NMS_TRTT",
    "refused: no such list": "list nothing",
    "refused: other model": "apply plan.json out.pbtxt -o out.uff",
    "refused: no picture": "run ssd demo.pb absent.jpg",
    "refused: wrong options": "view demo.pb --html out.html --netron",
}
"""What is recorded of the demo model alone."""

SHOWN, WIDTH, NEAR = 5, 160, 200
"""Keys of a group and characters of a line that a comparison prints; lines that it compares from the first
that differs.
"""

CASES = """\
cases:
  - {name: derived, zoo: {date: 2017, classes: 3}, expect: {derived: {NMS.numClasses: 4}, verify: {}}}
  - {name: wrong, zoo: {date: 2019}, expect: {nodes: {NMS: absent}}}
  - {name: refused, zoo: {network: lenet}, expect: {error: R201}}
"""

Row = dict[str, Any]


class Stream(io.StringIO):
    """A stream in memory whose encoding has every character."""

    encoding = "utf-8"  # type: ignore[assignment]


class Recorder:
    """Runs commands in the working folder and keeps what they did."""

    def __init__(self, places: Mapping[str, Path], quick: bool) -> None:
        """``places`` says what a record holds in the place of a folder of this machine."""
        found = {
            str(form): name for name, path in places.items() for form in (path.absolute(), path.resolve())
        }
        self._places = dict(sorted(found.items(), key=lambda item: -len(item[0])))
        self.quick = quick
        self.rows: dict[str, Row] = {}

    def run(self, key: str, *arguments: str) -> Row:
        """Run and record one command, and the files that its options name to be written."""
        if key in self.rows:
            raise RuntimeError(f"two commands are recorded as '{key}'")
        options = pairwise(arguments)
        written = [
            Path(value) for option, value in options if option in ("-o", "--html", "--export", "--store")
        ]
        for path in written:
            remove(path)
        code, output, talk = command(*arguments)
        talk = self._normal(talk)
        self.rows[key] = {
            "exit": code,
            "codes": list(dict.fromkeys(re.findall(r"\[([A-Z]\d{3})\]", talk))),
            "stdout": self._normal(output),
            "stderr": talk,
            "files": {str(file): self._file(file) for path in written for file in files_in(path)},
        }
        return self.rows[key]

    def names(self, what: str, column: str = "name") -> list[str]:
        """Return the names that `surgeon list` gives, and record it where it is not yet."""
        key = f"surgeon/-/-/list {what}"
        row = self.rows.get(key) or self.run(key, "list", what, "--json")
        return [entry[column] for entry in json.loads(row["stdout"])]

    def _file(self, file: Path) -> Row:
        data = file.read_bytes()
        for folder, name in self._places.items():
            data = data.replace(folder.encode(), name.encode())
        if file.suffix in (".yaml", ".json"):
            return {"text": data.decode()}
        return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}

    def _normal(self, text: str) -> str:
        for folder, name in self._places.items():
            text = text.replace(folder, name)
        return re.sub(r"\b0x[0-9a-f]{8,}\b", "<address>", text)


def command(*arguments: str) -> tuple[int, str, str]:
    """Run one command in this process; return its exit code, its output and its talk."""
    from surgeon.cli import main

    output, talk = Stream(), Stream()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(talk):
        try:
            code = main(arguments)
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
    if code == 130:
        raise KeyboardInterrupt
    return code, output.getvalue(), talk.getvalue()


def remove(path: Path) -> None:
    """Take a file or folder away, where there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def files_in(path: Path) -> list[Path]:
    """Return a file, or the files of a folder, by name; none where there is none."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def record_program(recorder: Recorder) -> None:
    """Record what needs no graph."""
    pages = sorted(Path(surgeon.__file__).parent.rglob("*.md"), key=lambda page: page.stem)
    subjects = [page.stem for page in pages if re.fullmatch(r"[A-Z]\d{3}", page.stem)]
    plugins = recorder.names("plugins", "op")
    subjects += [*plugins, *recorder.names("steps", "step"), *recorder.names("ops", "op")]
    subjects += [*recorder.names("targets"), *recorder.names("recipes")]
    recorder.names("lints", "code")
    for subject in dict.fromkeys(subjects):
        recorder.run(f"surgeon/-/-/explain {subject}", "explain", subject, "--json")
    for plugin in plugins:
        recorder.run(f"surgeon/-/-/explain {plugin} in words", "explain", plugin)
        recorder.run(f"surgeon/-/-/test {plugin}", "test", plugin, "--json")
    recorder.run("surgeon/-/-/schema", "schema")
    top = recorder.run("surgeon/-/-/help", "--help")
    for verb in re.findall(r"^ {4}([a-z]+) ", top["stdout"], re.MULTILINE):
        recorder.run(f"surgeon/-/-/help {verb}", verb, "--help")


def record_demo(recorder: Recorder) -> None:
    """Record what the demo model alone shows."""
    Path("cut.pb").write_bytes(Path("demo.pb").read_bytes()[:50_000])
    Path("cases.yaml").write_text(CASES, encoding="utf-8")
    Path("few.txt").write_text("circle\nsquare\n", encoding="utf-8")
    # Until TensorFlow is imported, tf2onnx has a process of its own. In this one it is faster.
    recorder.run("demo/-/-/convert by a child", "convert", "ssd", "demo.pb", "-o", "child.onnx")
    if importlib.util.find_spec("tensorflow"):
        importlib.import_module("tensorflow")
    for name, arguments in DEMO.items():
        recorder.run(f"demo/-/-/{name}", *arguments.split())


def record_graph(recorder: Recorder, name: str) -> None:
    """Record what is told of the graph NAME.pb, and every recipe on it."""
    file = f"{name}.pb"
    if name == "demo":
        record_demo(recorder)
    for target in (UFF, ONNX):
        recorder.run(f"{name}/-/{target}/inspect", "inspect", file, "--json", "--target", target)
    recorder.run(f"{name}/-/-/inspect in words", "inspect", file, "--ops", "--depth", "2")
    init = recorder.run(f"{name}/-/-/init", "init", file, "-o", "init.yaml", "--json")
    own = [] if init["exit"] else ["init.yaml"]
    seen: set[str] = set()
    recipes = [*own, *recorder.names("recipes")]
    fitting = [recipe for recipe in recipes if record_recipe(recorder, name, recipe, seen)]
    if fitting:
        record_result(recorder, name, fitting[0])


def record_recipe(recorder: Recorder, name: str, recipe: str, seen: set[str]) -> bool:
    """Record a recipe on a graph; return whether it applies.

    ``seen`` holds what shipped recipes made of the graph. A recipe that makes the same again is checked only.
    """
    file, shipped = f"{name}.pb", recipe in recorder.names("recipes")

    def run(verb: str, target: str, *options: str) -> Row:
        key = f"{name}/{recipe}/{target}/{verb}"
        return recorder.run(key, verb, recipe, file, *options, "--target", target)

    def convert(target: str) -> Row:
        return run("convert", target, "-o", product(recipe, target))

    rewritten = convert("graphdef")["files"].get(product(recipe, "graphdef"), {}).get("sha256")
    if rewritten in seen:
        return run("check", UFF, "--json")["exit"] == 0
    if rewritten and shipped:
        seen.add(rewritten)
    targets = FEW if recorder.quick else EACH
    accepted = [target for target in targets if run("check", target, "--json")["exit"] == 0]
    if not accepted:
        return False
    for target in targets:
        run("plan", target, "-o", f"{recipe}-{target}.json")
        if target != "graphdef":
            convert(target)
    if rewritten:
        recorder.run(f"{name}/{recipe}/-/diff", "diff", file, product(recipe, "graphdef"), "--json")
    if not recorder.quick and not (shipped and Path(file).stat().st_size > LARGE):
        for target in [target for target in recorder.names("targets") if target not in targets]:
            run("check", target, "--json")
            convert(target)
    return True


def product(recipe: str, target: str) -> str:
    """Return the name of the file that a conversion writes."""
    return f"{recipe}-{target}.{SUFFIXES[target.partition('@')[0]]}"


def record_result(recorder: Recorder, name: str, recipe: str) -> None:
    """Record what people read of a recipe, its plan replayed, and its products read, verified and run."""
    file, uff, onnx = f"{name}.pb", product(recipe, UFF), product(recipe, ONNX)

    def run(verb: str, *arguments: str) -> None:
        recorder.run(f"{name}/{recipe}/-/{verb}", verb.partition(" ")[0], *arguments)

    run("check in words", recipe, file)
    run("plan in words", recipe, file)
    run("apply", f"{recipe}-{UFF}.json", file, "-o", "applied.uff", "--json")
    run("inspect UFF", uff, "--json")
    run("inspect ONNX", onnx, "--json")
    if name in VERIFIED or not recorder.quick:
        run("view", file, recipe, "--html", "page.html", "--json")
        run("verify", recipe, file, "--json")
        run("verify --onnx", recipe, file, "--onnx", onnx, "--json")
        run("run", recipe, file, "pictures", "--json")


def record(args: argparse.Namespace) -> int:
    """Write a record."""
    with contextlib.suppress(ImportError):  # a new version is no difference
        importlib.import_module("surgeon.version").__version__ = "0"
    graphs, home = corpus(args), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        places = {"<scratch>": Path(folder), "<corpus>": args.corpus, "<python>": Path(sys.prefix)}
        places |= {"<root>": Path(surgeon.__file__).parents[1]} | (
            {"<models>": args.models} if args.models else {}
        )
        recorder = Recorder(places, args.quick)
        try:
            for name in fnmatch.filter(("surgeon", *graphs), args.only):
                begin, before = time.monotonic(), len(recorder.rows)
                scratch = Path(folder, name)
                scratch.mkdir()
                os.chdir(scratch)
                if name in graphs:
                    Path(f"{name}.pb").symlink_to(graphs[name])
                    for beside in ("labels.pbtxt", "pictures"):
                        Path(beside).symlink_to(args.corpus / "demo" / beside)
                    record_graph(recorder, name)
                else:
                    record_program(recorder)
                shutil.rmtree(scratch)
                say(f"{name}: {len(recorder.rows) - before} rows, {time.monotonic() - begin:.0f} s")
        finally:
            os.chdir(home)
    content = {"head": head(args, graphs), "rows": dict(sorted(recorder.rows.items()))}
    data = (json.dumps(content, indent=1) + "\n").encode()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_bytes(gzip.compress(data, mtime=0) if args.output.suffix == ".gz" else data)
    say(f"{args.output}: {len(recorder.rows)} rows")
    return 0


def say(text: str) -> None:
    """Tell how far the recording is."""
    print(text, file=sys.stderr, flush=True)


def corpus(args: argparse.Namespace) -> dict[str, Path]:
    """Return the graphs by name; those that are not in the folder of the corpus yet are written."""
    surgeon.demo_model(args.corpus / "demo")
    graphs = {"demo": args.corpus / "demo" / "ssd.pb"}
    for name in (*GENERATED, "lenet"):
        path = graphs[name] = args.corpus / f"{name}.pb"
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(build_ssd(GENERATED[name]) if name in GENERATED else build_lenet())
            part.rename(path)
    models = {path.stem: path for path in sorted(args.models.glob("*.pb"))} if args.models else {}
    return {
        name: path
        for name, path in {**models, **graphs}.items()
        if fnmatch.fnmatchcase(name, args.only) and not (args.quick and path.stat().st_size > LARGE)
    }


def head(args: argparse.Namespace, graphs: Mapping[str, Path]) -> Row:
    """Return what two records must have in common."""
    versions: dict[str, str | None] = dict.fromkeys(LIBRARIES)
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in graphs.items()}
    return {"quick": args.quick, "python": platform.python_version(), **versions, "graphs": digests}


def differences(before: Row, after: Row) -> Iterator[tuple[str, str, str]]:
    """Yield the key, the part and the kind of every difference between the rows of two records."""
    for key in sorted({*before, *after}):
        if key not in after or key not in before:
            yield key, "missing" if key in before else "new", ""
            continue
        old, new = ({**row, **row["files"]} for row in (before[key], after[key]))
        for part in dict.fromkeys((*old, *new)):
            if part != "files" and old.get(part) != new.get(part):
                yield key, part, changed(old.get(part), new.get(part))


def changed(old: Any, new: Any) -> str:
    """Return how a part of a row changed: its first lines that did, or that a file did."""
    if old is None or new is None:
        return "a file that is written after alone" if old is None else "a file that is written before alone"
    if isinstance(old, dict) and "text" not in old:
        return f"other bytes, {new['bytes'] - old['bytes']:+}"
    a, b = (str(part["text"] if isinstance(part, dict) else part).splitlines() for part in (old, new))
    alike = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    near = slice(alike, alike + NEAR)
    lines = difflib.unified_diff(a[near], b[near], n=0, lineterm="")
    return "\n".join([line[:WIDTH] for line in lines if line[0] in "+-"][2 : 2 + 2 * SHOWN])


def compare(args: argparse.Namespace) -> int:
    """Print what differs between two records, grouped by what changed; return the exit code."""
    before, after = (
        json.loads((gzip.open if path.suffix == ".gz" else open)(path, "rb").read()) for path in args.records
    )
    if before["head"] != after["head"]:
        heads = (json.dumps(each["head"], indent=1) for each in (before, after))
        print("the records cannot be compared, for their heads differ:", changed(*heads), sep="\n")
        return 2
    expected = yaml.safe_load(args.expected.read_text(encoding="utf-8")) or {} if args.expected else {}
    counts = dict.fromkeys(expected, 0)
    groups: dict[tuple[str, str, str], list[str]] = {}
    for key, part, how in differences(before["rows"], after["rows"]):
        names = (key, f"{key}#{part}")
        fitting = [
            pattern for pattern in expected if any(fnmatch.fnmatchcase(name, pattern) for name in names)
        ]
        for pattern in fitting:
            counts[pattern] += 1
        if not fitting:
            groups.setdefault((key.rpartition("/")[2], part, how), []).append(key)
    for (verb, part, how), keys in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        more = [f"and {len(keys) - SHOWN} more"] if len(keys) > SHOWN else []
        print(f"{verb} #{part}: {len(keys)}")
        print(textwrap.indent("\n".join([*keys[:SHOWN], *more, *how.splitlines()]), "    "))
    for pattern, reason in expected.items():
        print(f"expected{'' if counts[pattern] else ' in vain'}: {pattern} ({counts[pattern]}): {reason}")
    total = sum(map(len, groups.values()))
    print(f"{len(before['rows'])} rows before, {len(after['rows'])} after; not expected: {total}")
    return 1 if total else 0


def absolute(text: str) -> Path:
    """Return the path that an argument gives, whatever the working folder will be."""
    return Path(text).absolute()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the two verbs; return the exit code."""
    os.environ.update(COLUMNS="100", NO_COLOR="1", CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    new = verbs.add_parser("record", help="record what the command line does")
    new.add_argument("-o", "--output", metavar="FILE", type=absolute, required=True, help=".json or .json.gz")
    new.add_argument("--models", metavar="DIR", type=absolute, help="a folder of further frozen graphs (.pb)")
    new.add_argument("--corpus", metavar="DIR", type=absolute, default=CORPUS, help="keeps the other graphs")
    new.add_argument(
        "--only", metavar="GLOB", default="*", help="graphs to record, and 'surgeon' (default: all)"
    )
    new.add_argument("--quick", action="store_true", help="fewer targets, and no graph over 20 MB")
    new.set_defaults(run=record)
    two = verbs.add_parser("compare", help="print what differs between two records")
    two.add_argument("records", metavar="RECORD", type=absolute, nargs=2, help="a file that 'record' wrote")
    two.add_argument(
        "--expected", metavar="FILE", type=absolute, help="YAML of what may differ: 'glob: reason'"
    )
    two.set_defaults(run=compare)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
