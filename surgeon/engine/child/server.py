"""The child process in which TensorRT works: it takes orders from a socket.

Plugins that assert end their process, drivers hang, memory runs out. None of that must take the caller along.
"""

import ctypes
import os
import threading
import time
from multiprocessing.connection import Connection
from typing import Any, Dict, List, Mapping, Sequence

from .devices import devices
from .failures import MissingPackage, NoDevice, require

LETTERS = ("F", "E", "W", "I", "V")
"""TensorRT's severities, gravest first."""

_QUIET_PHASES = frozenset({"build"})
"""Phases whose verbose lines are counted and not sent on; there are tens of thousands."""

_TRIED_PHASES = frozenset({"capture", "profile"})
"""Phases that may fail: there is then no CUDA graph or no profile, and the engine runs without."""


class Server:
    """Answers orders: each is a name with arguments, each answer what it gives or why there is none."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()  # TensorRT logs and reports from threads of its own
        self._phase = ""
        self._progress: Any = None
        self._executor: Any = None
        self._trt: Any = None
        self._log: Any = None
        self._libraries: List[ctypes.CDLL] = []

    def serve(self) -> None:
        """Answer until the connection is closed."""
        while True:
            try:
                name, arguments = self._connection.recv()
            except EOFError:
                return
            try:
                answer = getattr(self, f"do_{name}")(**arguments)
            except MissingPackage as exc:
                self._send("missing", *exc.args)
            except NoDevice:
                self._send("no device")
            except Exception as exc:  # TensorRT's bindings and CUDA raise of many kinds; the parent explains
                self._send("failed", type(exc).__name__, " ".join(str(exc).split()))
            else:
                self._send("done", answer)

    # Orders

    def do_open(self, libraries: List[str]) -> Dict[str, Any]:
        """Import TensorRT, load the plugin libraries, and say what is there."""
        self._begin("import")
        trt = self._trt = require("tensorrt", "building and running engines")
        self._log = _make_log(trt, self._log_line)
        self._begin("libraries")
        if not trt.init_libnvinfer_plugins(self._log, ""):
            raise RuntimeError("init_libnvinfer_plugins failed")
        for library in libraries:
            self._libraries.append(ctypes.CDLL(library, ctypes.RTLD_GLOBAL))
        self._begin("device")
        from .cuda import call

        gpus = devices()
        if not gpus:
            raise NoDevice
        call("cudaFree", None)  # makes the context, so that a GPU without room for it is told as such
        name, capability, memory = gpus[0]
        return {"tensorrt": trt.__version__, "gpu": name, "capability": capability, "memory": memory}

    def do_build(self, **job: Any) -> Dict[str, Any]:
        """Build an engine; see :func:`build`."""
        from .build import Progress, build

        self._progress = Progress(self._report)
        try:
            return build(self._trt, self._log, self._progress, self._ask, job)
        finally:
            self._progress = None

    def do_layers(self, source: Mapping[str, Any]) -> Dict[str, Any]:
        """Parse a file; return its layers, and the flag that makes them keep a precision ('' for none)."""
        from .network import parse
        from .precision import constraint, layers_of

        self._begin("parse")
        builder = self._trt.Builder(self._log)
        network, kept = parse(self._trt, builder, self._log, source)
        answer = {"constraint": constraint(self._trt), "layers": layers_of(network)}
        del kept
        return answer

    def do_inspect(self, data: bytes) -> str:
        """Return what TensorRT's inspector tells of an engine's layers; see :func:`inspect`."""
        from .build import inspect

        self._begin("report")
        return inspect(self._trt, self._log, data)

    def do_load(self, data: bytes, max_batch: int, graphs: bool = True) -> List[Dict[str, Any]]:
        """Load an engine; return its bindings."""
        from .execute import Executor

        self._begin("load")
        self._executor = Executor(self._trt, self._log, data, max_batch, graphs, self._begin)
        return [
            {"name": b.name, "is_input": b.is_input, "dtype": b.dtype.name, "shape": list(b.shape)}
            for b in self._executor.bindings
        ]

    def do_run(self, feeds: Mapping[str, Any]) -> Any:
        """Run one batch."""
        self._begin("run")
        return self._executor.run(feeds)

    def do_start(self, feeds: Mapping[str, Any]) -> None:
        """Send a batch on its way; see :meth:`Executor.start`."""
        self._begin("run")
        self._executor.start(feeds)

    def do_finish(self) -> Any:
        """Return the outputs of the batch that was started first."""
        return self._executor.finish()

    def do_bench(self, feeds: Mapping[str, Any], warm_up: float, rounds: int) -> Any:
        """Measure."""
        self._begin("run")
        return self._executor.bench(feeds, warm_up, rounds)

    # Talk

    def _begin(self, phase: str) -> None:
        self._report("phase", phase)

    def _report(self, kind: str, *values: Any) -> None:
        if kind == "phase":
            self._phase = values[0]
        self._send(kind, *values)

    def _send(self, kind: str, *values: Any) -> None:
        with self._sending:
            self._connection.send((kind, *values))

    def _ask(self, what: str, number: int) -> Any:
        self._send("ask", what, number)
        return self._connection.recv()

    def _log_line(self, letter: str, text: str) -> None:
        if self._phase in _TRIED_PHASES:
            return
        if letter == "V":
            if self._progress is not None:
                self._progress.line(text)
            if self._phase in _QUIET_PHASES:
                return
        self._send("log", letter, text[:2000])


def _make_log(trt: Any, write: Any) -> Any:
    """Return a logger of TensorRT that passes every line on."""
    logger = trt.ILogger
    severities = [logger.INTERNAL_ERROR, logger.ERROR, logger.WARNING, logger.INFO, logger.VERBOSE]
    letters = {int(severity): letter for severity, letter in zip(severities, LETTERS)}

    class Log(logger):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            logger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            write(letters.get(int(severity), "V"), message)

    return Log()


def _end_with_parent() -> None:
    """End this process soon after its parent, however that ends: a build would go on for an hour."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: Sequence[str]) -> None:
    """Serve the socket whose descriptor is the only argument."""
    _end_with_parent()
    Server(Connection(int(arguments[0]))).serve()
    # TensorRT's objects may fail while the interpreter takes them apart; the answers are sent.
    os._exit(0)
