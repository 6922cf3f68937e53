"""Convert a frozen TensorFlow graph to UFF, with the options of NVIDIA's convert-to-uff and its mapping.

The preprocessor's code is executed. What TensorRT will stumble over is told as a warning. 'surgeon convert'
converts by a recipe, strictly and with a proof.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from surgeon.cli import console, guarded
from surgeon.cli.usage import Parser

_SIGNED = ("-O", "--output-node")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    top = Parser(prog="convert-to-uff", description=(__doc__ or "").strip())
    top.add_argument("input_file", metavar="MODEL", help="a frozen graph")
    top.add_argument(
        "-l", "--list-nodes", action="store_true", help="list the nodes and their numbers, and end"
    )
    top.add_argument("-t", "--text", action="store_true", help="write the text form, too (.pbtxt)")
    top.add_argument(
        "--write_preprocessed",
        "--write-preprocessed",
        action="store_true",
        help="write the graph before the conversion, too (_preprocessed.pb)",
    )
    top.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    top.add_argument("-d", "--debug", action="store_true", help="name each custom operation on the way")
    top.add_argument("-o", "--output", metavar="FILE", help="the file to write (default: MODEL with .uff)")
    top.add_argument(
        "-O",
        "--output-node",
        action="append",
        default=[],
        metavar="NODE",
        help="an output: a name, or a number of --list-nodes, negative ones counted from the end; repeatable",
    )
    top.add_argument(
        "-I",
        "--input-node",
        action="append",
        default=[],
        metavar="NAME,NEW_NAME,DTYPE,SIZE,...",
        help="put an input in for a node; repeatable",
    )
    top.add_argument(
        "-p", "--preprocessor", metavar="FILE", help="a Python file whose preprocess(dynamic_graph) is run"
    )
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    words = _joined(sys.argv[1:] if argv is None else argv)
    return guarded("convert-to-uff", lambda: _convert(parser().parse_args(words)))


def _joined(words: Sequence[str]) -> list[str]:
    """Return the words, a negative number joined to its option, from which argparse would part it."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in _SIGNED and word[:1] == "-" and word[1:].isdigit():
            joined[-1] += f"={word}" if joined[-1].startswith("--") else word
        else:
            joined.append(word)
    return joined


def _convert(args: argparse.Namespace) -> int:
    from surgeon.compat.graphsurgeon import DynamicGraph
    from surgeon.compat.remarks import collecting
    from surgeon.compat.running import script_failure
    from surgeon.compat.uff.converting import convert_file
    from surgeon.diagnostics import SurgeonError

    console.only_errors(args.quiet)
    if args.list_nodes:
        for number, node in enumerate(DynamicGraph(args.input_file), 1):
            console.show_lines(f'{number} {node.op}: "{node.name}"')
        return 0
    with collecting() as found:
        try:
            done = convert_file(
                args.input_file,
                args.output or args.input_file,
                args.output_node,
                preprocessor=args.preprocessor,
                inputs=args.input_node,
                text=args.text,
                write_preprocessed=args.write_preprocessed,
                quiet=not args.debug,
            )
        except SurgeonError as exc:
            raise SurgeonError(*found, *exc.diagnostics) from None
        except MemoryError:
            raise
        except Exception as exc:
            if args.preprocessor is None:
                raise
            raise SurgeonError(*found, script_failure(exc, [Path(args.preprocessor)])) from exc
    console.say_diagnostics(found)
    if not args.quiet:
        names = [", ".join(node.name for node in nodes) or "none" for nodes in (done.inputs, done.outputs)]
        console.say(f"{done.path}: {len(done.model.nodes)} nodes; inputs: {names[0]}; outputs: {names[1]}")
    return 0
