"""How a command ends that is ended from outside, or whose streams are closed: nothing is left, nothing is hidden."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SURGEON = [sys.executable, "-m", "surgeon"]
CONVERT = ["convert", "small.yaml", "small.pb", "-o"]
ALIKE = pytest.mark.exhaustive
"""Of variants that are like others: each starts a process, which takes a second."""


def closing(*descriptors: int):
    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@pytest.mark.parametrize(
    "closed", [(1,), pytest.param((2,), marks=ALIKE), pytest.param((1, 2), marks=ALIKE), (0, 1, 2)]
)
def test_a_file_is_written_whatever_stream_is_closed(run, work: Path, closed: tuple[int, ...]) -> None:
    assert run(*CONVERT, "apart.uff").code == 0
    done = subprocess.run([*SURGEON, *CONVERT, "out.uff"], preexec_fn=closing(*closed))
    assert done.returncode == 0
    assert (work / "out.uff").read_bytes() == (work / "apart.uff").read_bytes()


@pytest.mark.parametrize(
    "command",
    [["inspect", "small.pb"], pytest.param(["inspect", "small.pb", "--json"], marks=ALIKE), ["--help"]],
)
def test_a_product_cannot_be_printed_to_a_closed_stream(work: Path, command: list[str]) -> None:
    done = subprocess.run([*SURGEON, *command], preexec_fn=closing(1), stderr=subprocess.PIPE)
    assert done.returncode == 1 and done.stderr.startswith(b"error[E105]: standard output")
    assert b"Traceback" not in done.stderr and b"ignored" not in done.stderr
    both = subprocess.run([*SURGEON, *command], preexec_fn=closing(1, 2))
    assert both.returncode == 1


@pytest.mark.parametrize(
    ("command", "code"),
    [(["inspect", "none.pb"], 1), (["convert"], 2), pytest.param(["schema"], 0, marks=ALIKE)],
)
def test_the_exit_code_does_not_depend_on_standard_error(work: Path, command: list[str], code: int) -> None:
    done = subprocess.run([*SURGEON, *command], preexec_fn=closing(2), stdout=subprocess.DEVNULL)
    assert done.returncode == code


@pytest.mark.parametrize("gone", ["a pipe that nobody reads", "a full disk"])
def test_a_file_is_written_when_only_standard_error_is_gone(work: Path, gone: str) -> None:
    if gone == "a full disk":
        if not os.path.exists("/dev/full"):
            pytest.skip("this system has no /dev/full")
        stream = os.open("/dev/full", os.O_WRONLY)
    else:
        read, stream = os.pipe()
        os.close(read)
    done = subprocess.run([*SURGEON, *CONVERT, "out.uff"], stderr=stream)
    os.close(stream)
    assert done.returncode == 0 and (work / "out.uff").stat().st_size


def test_a_pipe_as_output(run, work: Path) -> None:
    assert run(*CONVERT, "apart.uff").code == 0
    os.mkfifo("pipe.uff")
    alone = run(*CONVERT, "pipe.uff")
    assert alone.code == 1 and "error[E105]: 'pipe.uff'" in alone.err
    assert "nothing reads from this pipe" in alone.err
    reader = os.open("pipe.uff", os.O_RDONLY | os.O_NONBLOCK)
    read = subprocess.run([*SURGEON, *CONVERT, "pipe.uff"], capture_output=True, timeout=60)
    assert read.returncode == 0
    assert os.read(reader, 1 << 20) == (work / "apart.uff").read_bytes()
    os.close(reader)


@pytest.mark.parametrize("name", ["pipe.uff", "pipe.onnx", "pipe.pb", "pipe.pbtxt"])
def test_a_pipe_as_input_is_not_waited_for(run, work: Path, name: str) -> None:
    def waited(number: int, frame: object) -> None:
        raise AssertionError("it waits for the pipe")

    os.mkfifo(name)
    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(60)
    try:
        ran = run("inspect", name)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert ran.code == 1 and "error[E101]" in ran.err and "pipe or a device" in ran.err


WRITING = """
import time
from surgeon.atomic import writing
from surgeon.ending import Ended, ended_by_signals
try:
    with ended_by_signals(), writing("out.uff") as handle:
        handle.write(b"half")
        handle.flush()
        print("ready", flush=True)
        time.sleep(60)
except Ended as exc:
    print(exc.number)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_half_written_file(work: Path, number: signal.Signals) -> None:
    before = sorted(os.listdir())
    with subprocess.Popen(
        [sys.executable, "-c", WRITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert any(name.endswith(".part") for name in os.listdir())
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert sorted(os.listdir()) == before
    assert out == b"" if number is signal.SIGINT else out == f"{int(number)}\n".encode()


def children(process: int) -> list[int]:
    """Return the numbers of the processes that one has started."""
    return [int(text) for text in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(
    not os.path.exists(f"/proc/self/task/{os.getpid()}/children"), reason="this system does not list children"
)
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=ALIKE), signal.SIGKILL])
def test_a_conversion_that_is_ended_leaves_no_child(work: Path, number: signal.Signals) -> None:
    pytest.importorskip("tf2onnx")
    before = sorted(os.listdir())
    process = subprocess.Popen([*SURGEON, *CONVERT, "out.onnx"], stderr=subprocess.PIPE)
    assert wait_for(lambda: children(process.pid))
    started = children(process.pid)
    time.sleep(0.5)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (128 + number if number is not signal.SIGKILL else -number)
    assert b"Traceback" not in said
    assert wait_for(lambda: not any(map(lives, started)), 20.0)
    assert sorted(os.listdir()) == before


def test_a_viewer_removes_the_folders_of_a_process_that_was_killed(tmp_path: Path) -> None:
    from surgeon.viewer.serving import _watch

    folders = [tmp_path / "it's one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "graph.json").write_text("{}")
    code = f"{_watch(*folders)}; import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as viewer:
        time.sleep(0.5)
        assert viewer.poll() is None and all(folder.is_dir() for folder in folders)
        assert viewer.stdin is not None
        viewer.stdin.close()
        viewer.wait(30)
    assert not any(folder.exists() for folder in folders)
