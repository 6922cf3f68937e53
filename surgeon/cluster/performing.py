"""One job of one cell, on the node where Ray puts it: found in the store, or done and stored."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from surgeon.cluster.digests import content_digest, files_below, program_digest, tool_versions
from surgeon.cluster.job import JobCall, JobResult, job_kinds
from surgeon.cluster.jobs.init import RECIPE
from surgeon.cluster.store import Store
from surgeon.cluster.tasks import Done, Input, Task, as_json
from surgeon.diagnostics import SurgeonError, error

_GRACE = 60
"""Seconds that a job may take beyond its time, so that what has a limit of its own can say what it did."""


def perform(task: Task, *before: Done) -> Done:
    """Do a job, unless its result is stored; return how it ended.

    ``before`` are earlier jobs of the cell. What the user can cause, and a bug as well, comes back as a
    diagnostic; nothing is raised but what ends the process.
    """
    options, begin = task.options, time.monotonic()
    stopping = next((each for each in before if each.stops), None)
    if stopping is not None:
        return Done.skipped(options, task.key, stopping.reason or _reason(stopping))
    lacking = next((each for each in before if each.job in task.given and each.status != "done"), None)
    if lacking is not None:
        return Done.skipped(options, task.key, lacking.reason or _reason(lacking), stops=False)
    try:
        return _stored_or_made(task)
    except SurgeonError as exc:
        problem = exc
    except MemoryError:
        problem = error(
            "E109",
            f"'{task.job}' had to stop: the memory does not suffice",
            help=["give the job more with 'memory', or a node with more"],
        )
    except Exception as exc:
        problem = _bug(task.job, exc)
    return Done.failed(options, task.key, problem, time.monotonic() - begin, socket.gethostname())


def _reason(stopping: Done) -> str:
    ended = "failed" if stopping.status == "failed" else f"has the verdict '{stopping.verdict}'"
    return f"'{stopping.job}' {ended}"


def _bug(job: str, exc: Exception) -> SurgeonError:
    frames = traceback.extract_tb(exc.__traceback__)
    last = frames[-1] if frames else None
    text = " ".join(str(exc).split())
    place = f"{Path(last.filename).name}:{last.lineno}" if last is not None else None
    return error(
        "F110",
        f"the job '{job}' ended with a bug of surgeon: {type(exc).__name__}: {text:.300}",
        place,
        help=["please report it; the other cells are not affected"],
    )


def _stored_or_made(task: Task) -> Done:
    store = Store(task.store)
    held = store.read(task.key)
    if held is not None:
        return Done.of_record(task.options, task.key, held.record, made=False)
    kind = job_kinds()[task.job]
    _check_node(task)
    attempt = _Attempt(store, task)
    attempt.check()
    begin = time.monotonic()
    with store.making() as folder, tempfile.TemporaryDirectory(prefix="surgeon-") as place, attempt.limited():
        result = kind.run(_call(task, store, folder, Path(place)))
        _check_platform(task, result)
        record = {
            "job": task.job,
            "result": _relative(result.result, (str(folder), place)),
            "verdict": result.verdict,
            "diagnostics": _relative(list(as_json(result.diagnostics)), (str(folder), place)),
            "seconds": round(time.monotonic() - begin, 3),
            "node": socket.gethostname(),
        }
        made = store.write(task.key, folder, record)
    return Done.of_record(task.options, task.key, made.record, made=True)


def _check_node(task: Task) -> None:
    """Raise SurgeonError F109 where this node has other versions than the key was made of."""
    here = {"surgeon": program_digest(), **tool_versions(task.tools)}
    wanted = {"surgeon": task.program, **task.tools}
    for name, version in wanted.items():
        if here[name] != version:
            raise error(
                "F109",
                f"the node '{socket.gethostname()}' has {name} {here[name] or '(none)'}; expected "
                f"{version or 'none'}, as where the fleet was started",
                help=["install the same on all nodes"],
            )


def _check_platform(task: Task, result: JobResult) -> None:
    """Raise SurgeonError F109 for an engine of another TensorRT than the node is said to have."""
    platform, manifest = task.demands.platform, result.result.get("manifest")
    if platform is None or not isinstance(manifest, Mapping) or "tensorrt" not in manifest:
        return
    if manifest["tensorrt"] != platform.tensorrt:
        raise error(
            "F109",
            f"the node '{socket.gethostname()}' has TensorRT {manifest['tensorrt']}; expected "
            f"{platform.tensorrt}, which its resource 'tensorrt-{platform.tensorrt}' states",
            help=["start the node with the resource of the TensorRT that it has"],
        )


def _call(task: Task, store: Store, folder: Path, place: Path) -> JobCall:
    given = {job: _fetched(store, key, job, place / "given" / job) for job, key in task.given.items()}
    request = dict(task.request)
    request["plugin_paths"] = tuple(_here(store, each, place) for each in task.plugins)
    recipe = task.recipe if "init" not in given else given["init"] / RECIPE
    if task.recipe is not None:
        request["parameters"] = None
    return JobCall(
        task.values,
        task.options,
        recipe,
        _here(store, task.model, place),
        request,
        {option: _here(store, each, place) for option, each in task.inputs.items()},
        task.facts,
        given,
        task.options_of,
        folder,
    )


def _fetched(store: Store, key: str, job: str, into: Path) -> Path:
    held = store.read(key)
    if held is None:
        raise error(
            "F106",
            f"the store '{store.place}' lacks what '{job}' made; expected it, for the job is done",
            help=["run the fleet again", "a store in a folder must be one that every node sees"],
        )
    return store.fetch(held, into)


def _here(store: Store, given: Input, place: Path) -> Path:
    """Return where this node has a file or folder of the user: at its path, or copied from the store."""
    if os.path.exists(given.path) and _digest_here(str(given.path), _state(given.path)) == given.digest:
        return given.path
    held = store.read(given.key)
    if held is not None:
        (first, *_) = Path(held.files[0].name).parts
        return store.fetch(held, place / "inputs" / given.digest[:16]) / first
    changed = os.path.exists(given.path)
    raise error(
        "F108",
        f"'{given.path}' was changed after the fleet was started"
        if changed
        else f"the node '{socket.gethostname()}' does not see '{given.path}'",
        help=["run the fleet again" if changed else "put it on a file system that every node sees"],
    )


def _state(path: Path) -> tuple[Any, ...]:
    """Return size and time of a file, or of all files of a folder."""
    names = [path / name for name in files_below(path)] if os.path.isdir(path) else [path]
    return tuple((str(name), (found := os.stat(name)).st_size, found.st_mtime_ns) for name in names)


@lru_cache(maxsize=256)
def _digest_here(path: str, state: tuple[Any, ...]) -> str:
    return content_digest(Path(path))


def _relative(value: Any, folders: tuple[str, ...]) -> Any:
    """Return JSON values in which paths below the folders of this job are relative to them."""
    if isinstance(value, str):
        for folder in folders:
            value = value.replace(f"{folder}/", "").replace(folder, ".")
        return value
    if isinstance(value, Mapping):
        return {key: _relative(each, folders) for key, each in value.items()}
    return [_relative(each, folders) for each in value] if isinstance(value, list | tuple) else value


class _Attempt:
    """The time that a job may take. A process that hangs in a library is ended, and not started again."""

    def __init__(self, store: Store, task: Task) -> None:
        self._task = task
        self._note = Path(tempfile.gettempdir()) / f"surgeon-fleet-{os.getppid()}-{task.key[:24]}.late"

    def check(self) -> None:
        """Raise SurgeonError F105 where an earlier attempt on this node was given up for its time."""
        with contextlib.suppress(FileNotFoundError):
            self._note.unlink()
            raise error(
                "F105",
                f"the job '{self._task.job}' was given up after {self._task.options.timeout} s",
                help=["give it a longer 'timeout' in seconds, and run the fleet with --retry"],
            )

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """End this process where the block takes longer than the job may; Ray starts the job once more."""
        timer = threading.Timer(self._task.options.timeout + _GRACE, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        with contextlib.suppress(OSError):
            self._note.write_text("", encoding="utf-8")
        os._exit(1)
