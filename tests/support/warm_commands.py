"""A ``surgeon`` that starts at once: each command is a process forked from one that has the libraries loaded.

To load TensorFlow takes longer than most commands do. A command still has a process, arguments, a folder, an
environment and standard streams of its own; what it does with libraries that it loads itself, other tests show.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

LIMIT_S = 120
"""How long the libraries may take to load."""

CLIENT = """\
#!{python} -IS
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({address!r})
socket.send_fds(link, [b"0"], [0, 1, 2])
link.sendall(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode())
link.shutdown(socket.SHUT_WR)
sys.exit(int(link.recv(8) or 255))
"""


@contextlib.contextmanager
def warm_commands() -> Iterator[Path]:
    """Give a folder for ``PATH`` with the program ``surgeon``; its server ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="surgeon-"))  # the path of a socket has about 100 bytes at most
    address = str(folder / "socket")
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        end = time.monotonic() + LIMIT_S
        while not os.path.exists(address):
            assert server.poll() is None and time.monotonic() < end, "the server of commands did not start"
            time.sleep(0.05)
        program = folder / "bin" / "surgeon"
        program.parent.mkdir()
        program.write_text(CLIENT.format(python=sys.executable, address=address), encoding="utf-8")
        program.chmod(0o755)
        yield program.parent
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        shutil.rmtree(folder)


def _serve(address: str) -> None:
    _load()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen()
    os.rename(f"{address}.new", address)
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(link)
            os._exit(0)
        link.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def _answer(link: socket.socket) -> None:
    """Run the command that is asked for, and send its exit code."""
    _, streams, _, _ = socket.recv_fds(link, 1, 3)
    with link.makefile("rb") as message:
        arguments, folder, environment = json.load(message)
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(link, streams, arguments, folder, environment)
    )
    process.start()
    process.join()
    code = process.exitcode or 0
    with contextlib.suppress(OSError):  # who asked has gone
        link.send(str(code if code >= 0 else 128 - code).encode())


def _run(
    link: socket.socket, streams: list[int], arguments: list[str], folder: str, environment: dict[str, str]
) -> None:
    from surgeon.cli import main

    link.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0)
    sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = arguments
    searched = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1] = [os.path.dirname(arguments[0]), *searched]
    try:
        sys.exit(main())
    finally:
        atexit._run_exitfuncs()


def _load() -> None:
    import surgeon
    from surgeon.optional import quiet, require

    for name in surgeon.__all__:
        getattr(surgeon, name)
    with quiet(), contextlib.suppress(surgeon.SurgeonError):
        for name in ("PIL.Image", "tensorflow", "onnxruntime", "onnx", "tf2onnx", "tf2onnx.tfonnx"):
            require(name, "running commands")


if __name__ == "__main__":
    from surgeon.ending import end_with_parent

    end_with_parent(os.getppid())
    _serve(sys.argv[1])
