"""Execute the notebooks in place and store what they show.

    python notebooks/run.py                  all of them
    python notebooks/run.py 03 05            those whose names begin so
    python notebooks/run.py --timeout 900    seconds that each may take

What differs from run to run or from machine to machine is left out: times of execution, versions of the
kernel, paths. So is the text of values that show themselves as HTML, but for its beginning.
"""

from __future__ import annotations

import argparse
import atexit
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent

MOST_TEXT = 200
"""Characters of text that are kept beside HTML."""

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(path: Path, timeout: int, kernel: KernelManager | None = None) -> nbformat.NotebookNode:
    """Return the notebook, executed from the start in its own folder, with what may be stored.

    Without ``kernel`` it has a fresh one; a kernel that is given runs on.
    Raise nbclient's CellExecutionError where a cell fails; CellTimeoutError after ``timeout`` seconds in one.
    """
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    # 'surgeon' in a shell is the one of this interpreter.
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"}
    client = NotebookClient(
        notebook,
        km=kernel,
        timeout=timeout,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute(env=environment)
    if kernel is not None:
        client.kc.stop_channels()
        atexit.unregister(client._cleanup_kernel)  # it would end a kernel that is not its own
    return tidied(notebook, paths_here(path.parent))


def paths_here(folder: Path) -> dict[str, str]:
    """Return this machine's paths and what stands for them in a stored notebook, the longest first."""
    found = {
        f"{folder}{os.sep}": "",
        str(folder): ".",
        str(folder.parent): "..",
        str(FOLDER.parent): "..",  # a checkout, which hints to install extras name
        sys.prefix: "$VIRTUAL_ENV",
        tempfile.gettempdir(): "$TMPDIR",
        str(Path.home()): "~",
    }
    return {path: found[path] for path in sorted(found, key=len, reverse=True)}


def tidied(notebook: nbformat.NotebookNode, paths: Mapping[str, str]) -> nbformat.NotebookNode:
    """Return the notebook without what differs between runs and machines.

    Paths are replaced in the text of outputs.
    """
    notebook.metadata = nbformat.from_dict(METADATA)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            tidy = [_replaced(_shortened(output), paths) for output in _joined(cell.outputs)]
            cell.outputs = [nbformat.from_dict(output) for output in tidy]  # type: ignore[no-untyped-call]
    return notebook


def _shortened(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the output with little text where it has HTML, which says the same.

    A file is always written anew.
    """
    if output.output_type == "stream":
        # A shell's output comes from a terminal of its own, with its ends of lines.
        output.text = re.sub(
            r"^Overwriting ", "Writing ", output.text.replace("\r\n", "\n"), flags=re.MULTILINE
        )
    data = output.get("data", {})
    text = data.get("text/plain", "")
    if "text/html" in data and len(text) > MOST_TEXT:
        data["text/plain"] = f"{text[:MOST_TEXT]}..."
    return output


def _joined(outputs: Iterable[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return outputs with the pieces of one stream, which arrive as they please, in one."""
    found: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = found[-1] if found else None
        if (
            last is not None
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            found.append(output)
    return found


def _replaced(value: Any, paths: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for path, stands_for in paths.items():
            value = value.replace(path, stands_for)
        return value
    if isinstance(value, Mapping):
        return {
            key: inner if str(key).startswith("image/") else _replaced(inner, paths)
            for key, inner in value.items()
        }
    return [_replaced(inner, paths) for inner in value] if isinstance(value, list) else value


def main(arguments: list[str] | None = None) -> int:
    """Execute the notebooks that are named and store each one that ran through.

    Return 1 where there is none.
    """
    parser = argparse.ArgumentParser(description="Execute the notebooks in place and store what they show.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="the beginning of a notebook's name (default: all)"
    )
    parser.add_argument(
        "--timeout", type=int, default=600, metavar="SECONDS", help="that one cell may take (default: 600)"
    )
    options = parser.parse_args(arguments)
    wanted = [
        path
        for path in sorted(FOLDER.glob("*.ipynb"))
        if not options.names or path.name.startswith(tuple(options.names))
    ]
    if not wanted:
        print(f"no notebook begins with {' or '.join(options.names)}", file=sys.stderr)
        return 1
    for path in wanted:
        print(path.name, flush=True)
        nbformat.write(execute(path, options.timeout), path)  # type: ignore[no-untyped-call]
    return 0


if __name__ == "__main__":
    sys.exit(main())
