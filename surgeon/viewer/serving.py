"""Viewers of other packages, each in a process of its own that serves this machine only.

They are Model Explorer and Netron.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from surgeon.children import command, environment
from surgeon.diagnostics import SurgeonError, error
from surgeon.ending import ended_by_signals
from surgeon.installation import install_command
from surgeon.optional import require
from surgeon.viewer.guarding import KEY, Rules

HOST = "127.0.0.1"

PORTS = range(8080, 8100)
"""Ports that are tried where none is asked for: what a browser remembers of a viewer is kept by port."""

_ATTEMPTS = 20
"""Ports that a viewer is started at where other programs take them one after another."""

_STARTING = 60.0
"""Seconds that a viewer may take to start."""

_STOPPING = 5.0
_LINES = 6


@dataclass(frozen=True)
class Viewer:
    """A viewer of another package: how it is called, imported and started.

    ``ready`` is what to ask for to learn whether it serves. ``pages`` and ``files`` are those of
    :class:`~surgeon.viewer.guarding.Rules`: what its page asks for.
    """

    title: str
    module: str
    code: str
    ready: str
    pages: tuple[str, ...] = ("/",)
    files: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise SurgeonError E108 where the package is missing or broken."""
        require(self.module, f"showing a graph in {self.title}")


MODEL_EXPLORER = Viewer(
    "Model Explorer",
    "model_explorer",
    "from model_explorer.cmdline import main; main()",
    "/check_health",
    (
        "/",
        "/api/v1/check_new_version",
        "/api/v1/get_extensions",
        "/apistream/server_director",
        "/check_health",
    ),
    ("/api/v1/notify_user_provided_model_path", "/api/v1/read_text_file"),
)
NETRON = Viewer("Netron", "netron", "from netron import main; main()", "/")


@dataclass(frozen=True)
class Server:
    """A viewer that serves, at a port of this machine, whoever has the token."""

    process: subprocess.Popen[bytes]
    port: int
    token: str

    def address(self, query: str) -> str:
        """Return the address of a page with the token, by which the browser is let in."""
        separator = "&" if "?" in query else "?"
        return f"http://{HOST}:{self.port}{query}{separator}{KEY}={self.token}"


_GUARD = "from surgeon.viewer.guarding import guard; guard()"
_REFUSED = 403


def choose_port(port: int | None) -> int:
    """Return a port that is free now: the one asked for, a usual one for None, any for 0.

    Raise SurgeonError W104 for one in use.
    """
    if port is None:
        for usual in PORTS:
            with contextlib.suppress(OSError):
                return _bound(usual)
        return _bound(0)
    try:
        return _bound(port)
    except OSError as exc:
        raise error(
            "W104",
            f"port {port} cannot be served: {exc.strerror or exc}; expected one that is free",
            help=["name another: --port N", "leave --port out, and a free one is taken"],
        ) from None


@contextlib.contextmanager
def serving(
    viewer: Viewer,
    port: int | None,
    files: Sequence[Path] = (),
    folder: Path | None = None,
    temporary: Sequence[Path] = (),
) -> Iterator[Server]:
    """Run a viewer at a port of this machine while the block runs; it serves when the block begins.

    The port is one of :func:`choose_port`. Where another program takes it before the viewer does, the next
    one is tried, or W104 is raised for one that was asked for.

    The viewer serves only who has the token, and only its own page, ``files`` with what belongs to them, and
    what is in ``folder``. It removes the folders in ``temporary`` where this process is killed. Raise
    SurgeonError E108 where its package is missing, W105 where it does not start, or would serve everybody.
    """
    viewer.check()
    with ended_by_signals(), contextlib.ExitStack() as running:
        yield _first_started(running, viewer, port, files, folder, temporary)


def _first_started(
    running: contextlib.ExitStack,
    viewer: Viewer,
    port: int | None,
    files: Sequence[Path],
    folder: Path | None,
    temporary: Sequence[Path],
) -> Server:
    """Return the viewer at the first port that no other program takes meanwhile; ``running`` ends it."""
    for _ in range(_ATTEMPTS):
        chosen = choose_port(port)
        try:
            return running.enter_context(_started(viewer, chosen, files, folder, temporary))
        except SurgeonError as exc:
            failure = exc
            if not _is_in_use(chosen):  # this viewer has ended
                break
    raise failure


@contextlib.contextmanager
def _started(
    viewer: Viewer, port: int, files: Sequence[Path], folder: Path | None, temporary: Sequence[Path]
) -> Iterator[Server]:
    data = tuple(name for path in files for name in _served_names(path))
    own_folder = "" if folder is None else str(folder)
    rules = Rules(port, secrets.token_urlsafe(24), viewer.pages, viewer.files, own_folder, data)
    inherited = {key: value for key, value in os.environ.items() if key != "COLAB_RELEASE_TAG"}
    with (
        tempfile.TemporaryDirectory(prefix="surgeon-viewer-") as place,
        tempfile.TemporaryFile() as output,
    ):
        # Its own session keeps the terminal's Ctrl-C out.
        process = subprocess.Popen(
            command(
                f"{_watch(place, *temporary)}; {_GUARD}; {viewer.code}", *_arguments(viewer, port, files)
            ),
            cwd=place,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment(rules.to_environment(), inherited),
        )
        try:
            _await(viewer, process, rules, output)
            yield Server(process, port, rules.token)
        finally:
            _stop(process)


def _watch(*folders: str | Path) -> str:
    """Return what a viewer runs beside itself.

    Its standard input ends when this process does, however that ends. Then it removes the folders, and ends.
    """
    removed = [str(folder) for folder in folders]
    actions = f"(os.read(0, 1), [shutil.rmtree(folder, True) for folder in {removed!r}], os._exit(0))"
    return f"import os, shutil, threading; threading.Thread(target=lambda: {actions}, daemon=True).start()"


def serve_until_interrupted(viewer: Viewer, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody presses Ctrl-C, or ends this process.

    Raise SurgeonError W106 where the viewer ends by itself.
    """
    with contextlib.suppress(KeyboardInterrupt):
        code = process.wait()
        raise error(
            "W106",
            f"{viewer.title} ended by itself, with exit code {code}; expected it to serve until it is "
            "stopped",
            help=["start it again"],
        )


def served_file(path: Path) -> Path:
    """Return the file that Netron is given for a model: a SavedModel folder's graph.

    Raise SurgeonError E101.
    """
    file = path / "saved_model.pb" if os.path.isdir(path) else path
    if not os.path.isfile(file):
        raise error("E101", f"'{file}' cannot be read: there is no such file", help=["check the path"])
    return file


def can_show_browser() -> bool:
    """Return whether a browser with windows can be expected here."""
    if os.environ.get("BROWSER") or sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _bound(port: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        found: int = probe.getsockname()[1]
        return found


def _is_in_use(port: int) -> bool:
    try:
        _bound(port)
    except OSError:
        return True
    return False


def _arguments(viewer: Viewer, port: int, files: Sequence[Path]) -> list[str]:
    # What Model Explorer shows stands in the address; it must not look for itself through a proxy.
    own = (
        ["--no_open_in_browser", "--skip_health_check"]
        if viewer is MODEL_EXPLORER
        else [str(path.resolve()) for path in files]
    )
    return ["--host", HOST, "--port", str(port), *own]


def _served_names(path: Path) -> tuple[str, ...]:
    """Return the names under which Netron asks for a file, and for the weights that belong to it."""
    beside = [path.with_name(f"{path.name}.data"), *sorted(path.parent.glob("variables/variables.*"))]
    inside = beside if path.name == "saved_model.pb" else beside[:1]
    return (path.name, *(str(file.relative_to(path.parent)) for file in inside if file.is_file()))


def _await(viewer: Viewer, process: subprocess.Popen[bytes], rules: Rules, output: IO[bytes]) -> None:
    end = time.monotonic() + _STARTING
    while time.monotonic() < end:
        if process.poll() is not None:
            raise _not_started(viewer, f"it ended with exit code {process.returncode}", output)
        status = _status(rules.port, viewer.ready)
        if status is not None and status != _REFUSED:
            raise _not_started(viewer, "it would serve everybody on this machine, without a token", output)
        if status == _REFUSED:
            status = _status(rules.port, viewer.ready, rules)
            if status == 200:
                return
            if status == _REFUSED:
                raise _not_started(viewer, f"another program answers at port {rules.port}", output)
        time.sleep(0.05)
    raise _not_started(viewer, f"it did not answer within {_STARTING:.0f} s", output)


def _status(port: int, path: str, rules: Rules | None = None) -> int | None:
    """Return the status of an answer, with the token where there are rules; None where there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)
    headers = {} if rules is None else {"Cookie": f"{rules.cookie}={rules.token}"}
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _not_started(viewer: Viewer, why: str, output: IO[bytes]) -> SurgeonError:
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - 4000))
    lines = [line.strip() for line in output.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return error(
        "W105",
        f"{viewer.title} did not start: {why}",
        notes=[f"it wrote: {line}" for line in lines[-_LINES:]],
        help=[
            f"try it alone: python -c '{viewer.code}'",
            f"install it again: {install_command('view', upgrade=True)}",
        ],
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOPPING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
