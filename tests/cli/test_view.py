"""The verb ``view``, and ``diff --html``."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from detector_graphs import SMALL

from surgeon.installation import install_command
from surgeon.verification import Outcome, Tolerances, Verdict, Verification
from surgeon.viewer import serving


def verification(outcome: Outcome = Outcome.FAILED) -> Verification:
    return Verification(
        "small",
        "uff@tensorrt-8.5",
        ("cat.jpg",),
        False,
        Tolerances(),
        None,
        (Verdict("cut to cut", outcome, "bad"),),
    )


def verdict(path: Path) -> Path:
    path.write_text(json.dumps(verification().to_json()))
    return path


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write("\\n".join(sys.argv).encode())
server = http.server.HTTPServer((sys.argv[2], int(sys.argv[4])), Handler)
"""


@pytest.fixture
def viewers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give ``viewers(code)``: the viewers then are that program, and need no package.

    They take any free port: tests that run beside these take the usual ones, too.
    """
    monkeypatch.setattr(serving, "PORTS", ())

    def replaced(code: str) -> None:
        for name in ("MODEL_EXPLORER", "NETRON"):
            monkeypatch.setattr(serving, name, replace(getattr(serving, name), module="json", code=code))

    return replaced


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Give ``stopped(signal)``: this process gets that signal once a viewer serves."""
    serve = serving.serve_until_interrupted

    def ended_by(number: int) -> None:
        def serve_a_while(*arguments: Any) -> None:
            timer = threading.Timer(0.2, os.kill, (os.getpid(), number))
            timer.start()
            try:
                serve(*arguments)
            finally:
                timer.cancel()  # a signal that comes later would end the tests

        monkeypatch.setattr(serving, "serve_until_interrupted", serve_a_while)

    ended_by(signal.SIGTERM)
    return ended_by


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch, stopped: Callable[[int], None]) -> list[tuple[str, list[str]]]:
    """Give the addresses that were opened, with the arguments of the viewer there; then this process gets SIGTERM."""
    opened: list[tuple[str, list[str]]] = []

    def open_address(address: str) -> bool:
        # The answer sets a cookie, and leads to the page.
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(address, timeout=10) as answer:
            opened.append((address, answer.read().decode().split("\n")))
        return True

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", open_address)
    return opened


def test_a_model_alone_becomes_a_page(run, work: Path) -> None:
    ran = run("view", "small.pb", "--html", "page.html")
    page = (work / "page.html").read_text()
    assert (ran.code, ran.out) == (0, "") and ran.err.startswith("page.html: the page, ")
    assert page.startswith("<!DOCTYPE html>") and 'data-path="body"' in page and 'id="surgery"' not in page


def test_a_recipe_shows_what_becomes_of_the_model(run, work: Path) -> None:
    ran = run("view", "small.pb", "small.yaml", "--html", "page.html", "--set", "top=5.0", "--json")
    page = (work / "page.html").read_text()
    assert (
        ran.code == 0 and "CustomClipPlugin" in page and "small.yaml:" in page and "clipMax <b>5</b>" in page
    )
    assert ran.json["page"] == "page.html" and ran.json["bytes"] == (work / "page.html").stat().st_size
    assert (
        ran.json["graphs"]["before"]["nodes"] == 9
        and ran.json["graphs"]["after"]["ops"]["CustomClipPlugin"] == 1
    )
    told = {namespace["name"]: namespace for namespace in ran.json["namespaces"]}
    assert (
        told["pre"]["fate"] == "collapsed"
        and told["pre"]["into"] == {"Input": 3}
        and told["body"]["fate"] == "partly"
    )


def test_the_target_decides_what_is_said(run, work: Path) -> None:
    assert (
        run("view", "small.pb", "small.yaml", "--html", "page.html", "--target", "uff@tensorrt-7.0").code == 0
    )
    assert "uff@tensorrt-7.0" in (work / "page.html").read_text()


def test_a_verdict_of_another_recipe_is_refused(run, work: Path) -> None:
    verdict(work / "verdict.json")
    (work / "other.yaml").write_text((work / "small.yaml").read_text().replace("name: small", "name: other"))
    ran = run("view", "small.pb", "other.yaml", "--html", "page.html", "--verification", "verdict.json")
    assert ran.code == 1 and "error[W103]" in ran.err and not (work / "page.html").exists()


def test_a_verdict_is_shown(run, work: Path) -> None:
    verdict(work / "verdict.json")
    assert (
        run("view", "small.pb", "small.yaml", "--html", "page.html", "--verification", "verdict.json").code
        == 0
    )
    page = (work / "page.html").read_text()
    assert "cut to cut" in page and "Not run" not in page


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["small.pb", "small.yaml", "--verification", "none.json"], "W102"),
        (["small.pb", "small.yaml", "--verification", "small.yaml"], "W101"),
        (["none.pb"], "E101"),
        (["small.pb", "no such recipe"], "R112"),
    ],
)
def test_what_is_wrong_is_said_and_no_page_is_written(
    run, work: Path, arguments: list[str], code: str
) -> None:
    ran = run("view", *arguments, "--html", "page.html")
    assert ran.code == 1 and f"error[{code}]" in ran.err and not (work / "page.html").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["small.pb", "small.yaml", "--verify"],
        ["small.pb", "--netron", "--html", "p.html"],
        ["small.pb", "--netron", "--export", "p.html"],
        ["small.pb", "--html", "p.html", "--port", "80"],
        ["small.pb", "--export", "p.html", "--no-open"],
        ["small.pb", "--port", "65536"],
        ["small.pb", "small.yaml", "--verification", "v.json"],
        ["small.pb", "--html", "p.html", "--verify"],
        ["small.pb", "--html", "p.html", "--verification", "v.json"],
        ["small.pb", "small.yaml", "--html", "p.html", "--images", "."],
        ["small.pb", "--html", "p.html", "--target", "uff@tensorrt-7.0"],
        ["small.pb", "--html", "p.html", "--set", "a=b"],
        ["small.pb", "--html", "p.html", "--anchors", "constant"],
        ["small.pb", "small.yaml", "--html", "p.html", "--verify", "--verification", "v.json"],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(run, work: Path, arguments: list[str]) -> None:
    ran = run("view", *arguments)
    assert ran.code == 2 and "error" in ran.err and not (work / "p.html").exists()


def test_a_page_that_cannot_be_written_leaves_nothing(run, work: Path) -> None:
    assert "error[E105]" in run("view", "small.pb", "--html", "none/page.html").err
    assert not (work / "none").exists()


def test_the_page_shows_a_verification_made_now(run, zoo_ssd: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="verifying runs TensorFlow")
    pytest.importorskip("PIL", reason="Pillow reads and writes pictures")
    from surgeon.zoo import demo

    page = tmp_path / "page.html"
    model = zoo_ssd("2019", **SMALL)
    ran = run("view", model, "ssd", "--html", page, "--verify", "--images", demo.picture_paths()[0])
    text = page.read_text()
    assert ran.code == 0 and "each alone" in text and "data:image/" in text and ">passed<" in text
    assert page.stat().st_size < 3_000_000


@pytest.mark.parametrize(
    ("outcome", "code"), [(Outcome.FAILED, 3), (Outcome.INCONCLUSIVE, 3), (Outcome.PASSED, 0)]
)
def test_a_verification_that_fails_is_the_exit_code(
    run, work: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, code: int
) -> None:
    monkeypatch.setattr("surgeon.verify", lambda *arguments, **choices: verification(outcome))
    ran = run("view", "small.pb", "small.yaml", "--html", "page.html", "--verify", "--images", ".")
    assert ran.code == code and f">{outcome}<" in (work / "page.html").read_text()


def test_the_files_for_model_explorer_are_written(run, work: Path) -> None:
    ran = run("view", "small.pb", "small.yaml", "--export", "out")
    assert (ran.code, ran.out) == (0, "") and sorted(path.name for path in (work / "out").iterdir()) == [
        "after.json",
        "before.json",
        "colours.json",
        "sync.json",
    ]
    assert "model-explorer out/before.json out/after.json --node_data_paths out/colours.json" in ran.err
    assert json.loads((work / "out" / "after.json").read_text())["graphs"][0]["id"] == "after"
    both = run("view", "small.pb", "--export", "one", "--html", "page.html", "--json")
    assert both.json["page"] == "page.html" and both.json["explorer"] == [
        "one/graph.json",
        "one/colours.json",
    ]
    assert "error[E105]" in run("view", "small.pb", "--export", "small.pb").err


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.exhaustive)]
)
def test_model_explorer_opens_in_the_browser_until_it_is_stopped(
    run, work: Path, viewers, browser, stopped, number: int
) -> None:
    viewers(SERVER + "server.serve_forever()")
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # it may be ignored where the tests run behind a shell
    try:
        stopped(number)
        check_explorer(run, browser)
    finally:
        signal.signal(signal.SIGINT, before)


def check_explorer(run, browser: list[tuple[str, list[str]]]) -> None:
    ran = run("view", "small.pb", "small.yaml")
    ((address, arguments),) = browser
    assert (
        ran.code == 0
        and ran.out.strip() == address
        and "Ctrl-C ends it" in ran.err
        and "sync.json" in ran.err
    )
    assert arguments[1:4] == ["--host", "127.0.0.1", "--port"] and address.startswith(
        f"http://127.0.0.1:{arguments[4]}/?data="
    )
    shown = json.loads(unquote(address.partition("data=")[2].partition("&")[0]))
    assert [Path(model["url"]).name for model in shown["models"]] == ["before.json", "after.json"]
    assert not Path(shown["models"][0]["url"]).exists()  # nothing is left


def test_where_nothing_can_be_opened_the_address_is_said(
    run, work: Path, viewers, browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewers(SERVER + "server.serve_forever()")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    ran = run("view", "small.pb", "--json")
    assert ran.code == 0 and not browser and "no browser could be opened" in ran.err
    assert ran.json["address"].startswith("http://127.0.0.1:") and ran.json["kind"] == "graph"


@pytest.mark.parametrize(
    ("arguments", "name"), [(["small.pb"], "small.pb"), (["small.pb", "small.yaml"], "small.rewritten.pb")]
)
def test_netron_gets_the_model_or_the_rewritten_graph(
    run, work: Path, viewers, browser, arguments: list[str], name: str
) -> None:
    viewers(
        f"{SERVER}import shutil; shutil.copy(sys.argv[5], {str(work / 'got.pb')!r}); server.serve_forever()"
    )
    ran = run("view", *arguments, "--netron")
    ((address, given),) = browser
    assert ran.code == 0 and "/?token=" in address and Path(given[5]).name == name
    assert ("CustomClipPlugin" in run("inspect", "got.pb").out) is (len(arguments) == 2)


def test_netron_gets_no_file_that_is_not_there(run, work: Path, viewers) -> None:
    viewers("")
    assert "error[E101]" in run("view", "none.pb", "--netron").err
    (work / "folder").mkdir()
    assert "saved_model.pb" in run("view", "folder", "--netron").err


@pytest.mark.parametrize("option", [[], ["--netron"]])
def test_a_package_that_is_missing_is_named(
    run, work: Path, monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "model_explorer", None)
    monkeypatch.setitem(sys.modules, "netron", None)
    ran = run("view", "small.pb", *option)
    assert ran.code == 1 and "error[E108]" in ran.err and install_command("view") in ran.err


def test_a_port_in_use_is_said(run, work: Path, viewers) -> None:
    viewers("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run("view", "small.pb", "--port", taken.getsockname()[1])
    assert ran.code == 1 and "error[W104]" in ran.err and "--port N" in ran.err and ran.out == ""


def test_usual_ports_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = taken.getsockname()[1]
        monkeypatch.setattr(serving, "PORTS", [used])
        assert serving.choose_port(None) not in (0, used)
        assert serving.choose_port(0) not in (0, used)


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers each request with the status of its server."""

    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def taken_meanwhile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], list[int]]]:
    """Give ``taken_meanwhile(status)``: another program takes the port after it was chosen for a viewer.

    It answers with this status, or lets nobody connect to where that is 0. The function returns the port it takes.
    """
    choose, taken, servers = serving.choose_port, [], contextlib.ExitStack()

    def start(status: int) -> list[int]:
        calls: list[int | None] = []

        def choose_and_lose(port: int | None) -> int:
            chosen = choose(port)
            calls.append(port)
            if len(calls) == 2:  # the first was a look before the graph is read
                taken.append(chosen)
                if status:
                    server = http.server.ThreadingHTTPServer(("127.0.0.1", chosen), Answers)
                    server.status = status  # type: ignore[attr-defined]
                    servers.callback(server.server_close)
                    servers.callback(server.shutdown)
                    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
                else:
                    bound = servers.enter_context(socket.socket())
                    bound.bind(("127.0.0.1", chosen))
            return chosen

        monkeypatch.setattr(serving, "choose_port", choose_and_lose)
        return taken

    with servers:
        yield start


MOVES_ON = SERVER.replace("server = ", "serve = lambda port: ").replace("int(sys.argv[4])", "port") + (
    "try:\n    server = serve(int(sys.argv[4]))\nexcept OSError:\n    server = serve(0)\n"
)
"""Model Explorer serves at another port where its own is taken; Netron ends."""


@pytest.mark.parametrize(
    ("status", "server"),
    [
        pytest.param(0, SERVER, id="silent"),
        pytest.param(200, SERVER, id="open"),
        pytest.param(403, SERVER, id="guarded", marks=pytest.mark.exhaustive),
        pytest.param(200, MOVES_ON, id="open, moves on", marks=pytest.mark.exhaustive),
        pytest.param(403, MOVES_ON, id="guarded, moves on"),
    ],
)
def test_a_port_that_is_taken_while_the_viewer_starts_is_left_for_the_next(
    run, work: Path, viewers, browser, taken_meanwhile, status: int, server: str
) -> None:
    viewers(f"{server}server.serve_forever()")
    taken = taken_meanwhile(status)
    ran = run("view", "small.pb")
    ((address, arguments),) = browser
    assert ran.code == 0 and ran.out.strip() == address
    assert taken and arguments[4] != str(taken[0]) and address.startswith(f"http://127.0.0.1:{arguments[4]}/")


def test_a_port_that_was_asked_for_and_is_taken_meanwhile_is_said(
    run, work: Path, viewers, browser, taken_meanwhile
) -> None:
    viewers(f"{SERVER}server.serve_forever()")
    taken_meanwhile(403)
    ran = run("view", "small.pb", "--port", serving.choose_port(0))
    assert ran.code == 1 and "error[W104]" in ran.err and not browser


def test_a_viewer_that_does_not_start_says_what_it_wrote(run, work: Path, viewers) -> None:
    viewers("print('no flask here'); raise SystemExit(5)")
    ran = run("view", "small.pb", "--port", "0")
    assert (
        ran.code == 1
        and "error[W105]" in ran.err
        and "exit code 5" in ran.err
        and "no flask here" in ran.err
        and "Traceback" not in ran.err
    )


def test_a_viewer_that_ends_by_itself_is_said(run, work: Path, viewers) -> None:
    viewers(SERVER + "server.handle_request(); server.handle_request(); raise SystemExit(4)")
    ran = run("view", "small.pb", "--no-open", "--port", "0")
    assert ran.code == 1 and "error[W106]" in ran.err and "exit code 4" in ran.err


def test_two_graphs_become_a_page_of_differences(run, work: Path) -> None:
    assert run("convert", "small.yaml", "small.pb", "-o", "new.pb").code == 0
    ran = run("diff", "small.pb", "new.pb", "--html", "diff.html")
    page = (work / "diff.html").read_text()
    assert (ran.code, ran.out) == (0, "") and ran.err.startswith("diff.html: the page, ")
    assert "Changed nodes" in page and ">removed<" in page and "small.pb and new.pb" in page
    assert run("diff", "small.pb", "new.pb", "--html", "diff.html", "--json").json["equal"] is False
    assert "removed" in run("diff", "small.pb", "new.pb").out
    assert (
        "error[E101]" in run("diff", "small.pb", "none.pb", "--html", "none.html").err
        and not (work / "none.html").exists()
    )


def test_the_function_returns_the_story(work: Path) -> None:
    import surgeon.viewer.change_report

    told = surgeon.view("small.pb", "small.yaml", html="page.html")
    assert (
        isinstance(told, surgeon.viewer.change_report.ChangeReport)
        and told.before is not None
        and (work / "page.html").is_file()
    )
    assert surgeon.view("small.pb").kind == "graph"
    with pytest.raises(TypeError, match="goes with a recipe"):
        surgeon.view("small.pb", verification="verdict.json")
    read = surgeon.viewer.read_verification(verdict(work / "verdict.json"))
    assert surgeon.view("small.pb", "small.yaml", verification=read).recipe == "small"


def test_a_signal_while_planning_leaves_nothing(
    run, work: Path, viewers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*arguments: Any, **choices: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal did not end it")

    viewers("")
    (work / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work / "temporary"))
    monkeypatch.setattr("surgeon.view", ended)
    before = signal.getsignal(signal.SIGTERM)
    ran = run("view", "small.pb", "small.yaml", "--no-open", "--port", "0")
    assert (
        ran.code == 143
        and list((work / "temporary").iterdir()) == []
        and signal.getsignal(signal.SIGTERM) is before
    )


def test_a_viewer_ends_with_the_process_that_started_it(work: Path) -> None:
    program = (
        "import sys, time\nfrom dataclasses import replace\nfrom surgeon.viewer import serving\n"
        f"viewer = replace(serving.NETRON, module='json', code={SERVER + 'server.serve_forever()'!r})\n"
        "with serving.serving(viewer, serving.choose_port(0)) as server:\n    print(server.process.pid, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        viewer = int(started.stdout.readline())
        assert alive(viewer)
        started.kill()
    end = time.monotonic() + 20
    while alive(viewer) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(viewer)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    "command",
    [
        ["view", "small.pb", "--html", "small.pb"],
        ["view", "small.pb", "small.yaml", "--html", "small.yaml"],
        ["view", "small.pb", "small.yaml", "--html", "./small.pb"],
        ["diff", "small.pb", "other.pb", "--html", "other.pb"],
        ["view", "small.pb", "small.yaml", "--html", "verdict.json", "--verification", "verdict.json"],
    ],
)
def test_a_page_is_not_written_over_what_it_is_made_of(run, work: Path, command: list[str]) -> None:
    (work / "other.pb").write_bytes((work / "small.pb").read_bytes())
    verdict(work / "verdict.json")
    before = {path.name: path.read_bytes() for path in work.iterdir() if path.is_file()}
    ran = run(*command)
    assert ran.code == 1 and "error[W107]" in ran.err
    assert {path.name: path.read_bytes() for path in work.iterdir() if path.is_file()} == before


def test_an_export_takes_its_own_old_files_away_and_no_others(run, work: Path) -> None:
    assert run("view", "small.pb", "small.yaml", "--export", "out").code == 0
    (work / "out" / "first.json").write_text('{"label":"mine"}')
    assert run("view", "small.pb", "--export", "out").code == 0
    assert sorted(path.name for path in (work / "out").iterdir()) == [
        "colours.json",
        "first.json",
        "graph.json",
    ]


def test_the_command_that_opens_an_export_can_be_pasted(run, work: Path) -> None:
    ran = run("view", "small.pb", "--export", "sp ace/o'x")
    line = next(line for line in ran.err.splitlines() if line.startswith("open: "))
    assert shlex.split(line.removeprefix("open: ")) == [
        "model-explorer",
        "sp ace/o'x/graph.json",
        "--node_data_paths",
        "sp ace/o'x/colours.json",
    ]


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with serving.ended_by_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN and callable(
                signal.getsignal(signal.SIGTERM)
            )
    finally:
        signal.signal(signal.SIGHUP, before)
