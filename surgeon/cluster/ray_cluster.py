"""Ray: a cluster of one that this process starts and stops, or one that it joins, and tasks on it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from surgeon.cluster.nodes import GPU_KIND, TENSORRT, Node, Nodes
from surgeon.cluster.performing import perform
from surgeon.cluster.tasks import Done, Task
from surgeon.diagnostics import SurgeonError, error
from surgeon.optional import no_stderr, require

RETRIES = 2
"""Times that Ray starts a task again whose process or node died."""

_REACHED = 10.0
"""Seconds in which a cluster must answer."""

_OBJECTS = 80 << 20
"""Bytes of Ray's object store: what travels are options and results, never models."""

_LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray then listens on the loopback alone, on Linux too
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_oom_retries": str(RETRIES),
    "RAY_kill_child_processes_on_worker_exit_with_raylet_subreaper": "true",
}
"""Environment of a cluster of one."""


@cache
def _token() -> str:
    """Return the secret of this process's clusters; Ray reads it once."""
    return secrets.token_hex(32)


def ray_library() -> Any:
    """Import Ray; raise SurgeonError E108 with the installation line where it is missing."""
    return require("ray", "a fleet")


@dataclass
class RayCluster:
    """A cluster that tasks are sent to. ``dashboard`` is the address of its pages, '' without."""

    ray: Any
    dashboard: str
    joined: bool

    def nodes(self) -> Nodes:
        """Return the nodes that are alive, by name and by what they have."""
        alive = (
            Node(str(each["NodeManagerHostname"]), dict(sorted(each["Resources"].items())))
            for each in self.ray.nodes()
            if each["Alive"]
        )
        return Nodes(tuple(sorted(alive, key=lambda node: (node.name, str(node.platforms())))))

    def submit(self, task: Task, before: Sequence[Any]) -> Any:
        """Send a task, which begins when those in ``before`` are done; return what stands for its outcome."""
        demands = task.demands
        options: dict[str, Any] = {
            "num_cpus": 1,
            "memory": demands.memory,
            "max_retries": RETRIES,
            "name": task.job,
        }
        if demands.platform is not None:
            options |= {
                "num_gpus": 1,
                "accelerator_type": demands.platform.gpu,
                "resources": {f"{TENSORRT}{demands.platform.tensorrt}": 0.001},
            }
        return self.ray.remote(perform).options(**options).remote(task, *before)

    def wait(self, waiting: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Return those outcomes that are there, after some seconds at the latest."""
        ready, _ = self.ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        if not ready:
            ready, _ = self.ray.wait(list(waiting), num_returns=1, timeout=seconds)
        return list(ready)

    def outcome(self, task: Task, ref: Any) -> Done:
        """Return a task's outcome; where its process or node died too often, that is a diagnostic."""
        try:
            done: Done = self.ray.get(ref)
        except self.ray.exceptions.RayError as exc:
            return Done.failed(task.options, task.key, _died(task, exc))
        return done

    def cancel(self, ref: Any) -> None:
        """Take a task back that has not begun."""
        with contextlib.suppress(Exception):
            self.ray.cancel(ref, force=True)


def _died(task: Task, exc: Exception) -> SurgeonError:
    text = " ".join(str(exc).split())
    kind = type(exc).__name__
    out_of_memory = "OutOfMemory" in kind
    what = "the memory of its node did not suffice" if out_of_memory else f"its process or node died ({kind})"
    return error(
        "F105",
        f"the job '{task.job}' ended {RETRIES + 1} times without an answer: {what}",
        None,
        [f"{text:.300}"],
        [
            "give it more with the job's 'memory'"
            if out_of_memory
            else "do the same with its own verb, which shows more",
            "run the fleet with --retry when the cause is removed",
        ],
    )


@contextlib.contextmanager
def cluster_of_one(node: Node, *, dashboard: bool) -> Iterator[RayCluster]:
    """Start a cluster on this machine, which listens on the loopback only, and stop it with the block.

    Raise SurgeonError F111 where it does not start.
    """
    before = {name: os.environ.get(name) for name in (*_LOOPBACK, "RAY_AUTH_TOKEN", "RAY_ADDRESS", "TMPDIR")}
    # Jobs that are given up in the middle leave their temporary files.
    temporary = tempfile.mkdtemp(prefix="surgeon-fleet-")
    os.environ.update(_LOOPBACK, RAY_AUTH_TOKEN=_token(), TMPDIR=temporary)
    os.environ.pop("RAY_ADDRESS", None)
    # A socket's path may have about a hundred bytes, and Ray's own part of it is long.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp" if os.path.isdir("/tmp") else None)
    ray: Any = None
    try:
        ray = ray_library()
        if ray._private.ray_constants.ENABLE_RAY_CLUSTER:
            raise error(
                "F111",
                "Ray was imported before the fleet, and would listen on the network; expected a process "
                "without it",
                help=["call surgeon.fleet before 'import ray', or join a cluster with 'address'"],
            )
        own = {
            name: amount for name, amount in node.resources.items() if name.startswith((GPU_KIND, TENSORRT))
        }
        context = _init(
            ray,
            num_cpus=int(node.resources["CPU"]),
            num_gpus=int(node.resources.get("GPU", 0)),
            resources=own,
            _memory=int(node.resources["memory"]),
            object_store_memory=_OBJECTS,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            _temp_dir=folder,
        )
        yield RayCluster(ray, context.dashboard_url or "", False)
    finally:
        if ray is not None:
            ray.shutdown()
        for each in (folder, temporary):
            shutil.rmtree(each, ignore_errors=True)
        _restore(before)


@contextlib.contextmanager
def joined_cluster(address: str) -> Iterator[RayCluster]:
    """Join a cluster that runs, and leave it with the block; raise SurgeonError F111 where it cannot."""
    ray = ray_library()
    _check_reachable(address)
    try:
        context = _init(ray, address=address)
        yield RayCluster(ray, context.dashboard_url or "", True)
    except ray.exceptions.RayError as exc:
        raise _not_joined(address, f"it does not answer any more: {' '.join(str(exc).split())}") from None
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise SurgeonError F111 where nothing listens at HOST:PORT, for which Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACHED).close()
    except (OSError, OverflowError) as exc:
        raise _not_joined(address, f"nothing answers there: {exc}") from None


def _not_joined(address: str, text: str) -> SurgeonError:
    return error(
        "F111",
        f"the cluster at '{address}' cannot be joined: {text:.300}",
        help=["check the address, and that its nodes have this Python and this Ray"],
    )


def _init(ray: Any, **options: Any) -> Any:
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        with no_stderr(), _signals_held():
            return ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except Exception as exc:  # Ray raises of many kinds here
        address = options.get("address")
        text = " ".join(str(exc).split()) or type(exc).__name__
        if address:
            raise _not_joined(address, text) from None
        raise error(
            "F111",
            f"Ray cannot be started: {text:.300}",
            help=["see that ports of the loopback and some hundred megabytes of memory are free"],
        ) from None


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let signals that end this process act after the block, by the handlers that were there before it.

    Ray forgets processes when it is interrupted while it starts, and takes SIGTERM over.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    held: list[int] = []
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)
        if held:
            os.kill(os.getpid(), held[0])


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
