"""The servers of Model Explorer and Netron, asked by others: they get nothing; the page gets what it needs."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.graph import parse_graph
from surgeon.viewer import report_graph
from surgeon.viewer.explorer import explorer_query, write_explorer
from surgeon.viewer.serving import HOST, MODEL_EXPLORER, NETRON, Server, choose_port, serving

READ = "/api/v1/read_text_file?path="


class Asking:
    """A viewer that serves, and what it answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cookie = f"surgeon-viewer-{server.port}={server.token}"

    def ask(
        self, target: str, method: str = "GET", cookie: str | None = "", **headers: str
    ) -> tuple[int, bytes]:
        """Return status and body; ``cookie`` is the right one where it is empty, None sends none."""
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=20)
        sent = {} if cookie is None else {"Cookie": cookie or self.cookie}
        try:
            connection.request(method, target, headers={**sent, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read(100_000)
        finally:
            connection.close()

    def status(self, target: str, method: str = "GET", cookie: str | None = "", **headers: str) -> int:
        return self.ask(target, method, cookie, **headers)[0]


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elsewhere") / "secret.json"
    path.write_text('{"secret": 1}')
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, secret: Path) -> Path:
    """The files of a view, and a link that leads out of them."""
    folder = tmp_path_factory.mktemp("view")
    graph = parse_graph("graph v1\na = Placeholder() {dtype: float32, shape: shape[2]}\nb = Relu(a)\n")
    write_explorer(report_graph(graph), folder)
    (folder / "link.json").symlink_to(secret)
    return folder


@pytest.fixture(scope="module")
def explorer(folder: Path) -> Iterator[Asking]:
    pytest.importorskip("model_explorer")
    with serving(MODEL_EXPLORER, choose_port(0), folder=folder) as server:
        yield Asking(server)


@pytest.fixture(scope="module")
def netron(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    pytest.importorskip("netron")
    place = tmp_path_factory.mktemp("home")
    for name in ("model é.onnx", "model é.onnx.data", "id_rsa"):
        (place / name).write_bytes(name.encode())
    with serving(NETRON, choose_port(0), [place / "model é.onnx"]) as server:
        yield Asking(server)


@pytest.fixture(params=["explorer", "netron"])
def viewer(request: pytest.FixtureRequest) -> Asking:
    asking: Asking = request.getfixturevalue(request.param)
    return asking


def test_the_page_reads_the_files_of_the_view_and_no_others(
    explorer: Asking, folder: Path, secret: Path
) -> None:
    status, body = explorer.ask(READ + quote(str(folder / "graph.json")))
    assert status == 200 and "Placeholder" in json.loads(body)["content"]
    assert explorer.status(READ + quote(str(folder / "colours.json"), safe="")) == 200
    beside = folder.with_name(folder.name + "-beside")
    beside.mkdir()
    (beside / "x.json").write_text("{}")
    outside = [
        str(secret),
        "/etc/passwd",
        "~/.ssh/id_rsa",
        "graph.json",
        str(folder),
        str(folder / ".." / secret.parent.name / secret.name),
        str(folder / "link.json"),
        str(beside / "x.json"),
        f"{folder}/graph.json\0",
        "",
    ]
    targets = [READ + quote(path, safe="") for path in outside]
    inside = quote(str(folder / "graph.json"), safe="")
    targets += [
        f"{READ}{inside}&path={quote(str(secret), safe='')}",
        f"{READ}{quote(str(secret), safe='')}&path={inside}",
        "/api/v1/read_text_file",
        READ.replace("text", "te%78t") + quote(str(secret)),
        READ.replace("/api", "//api") + quote(str(secret)),
        READ.replace("/api", "/./api") + quote(str(secret)),
        f"http://{HOST}:{explorer.server.port}{READ}{quote(str(secret))}",
        READ.replace("?", ";x?") + quote(str(secret)),
    ]
    for target in targets:
        status, body = explorer.ask(target)
        assert status == 403 and b"secret" not in body.replace(b"secret.json", b""), target


def test_nothing_that_the_page_does_not_need_is_served(explorer: Asking, secret: Path) -> None:
    command = quote(json.dumps({"cmdId": "convert", "extensionId": "builtin_json", "modelPath": str(secret)}))
    assert explorer.status(f"/api/v1/send_command?json={command}") == 403
    for path in ("send_command", "upload", "update_config", "refresh_page"):
        assert explorer.status(f"/apipost/v1/{path}", "POST") == 403
    for page in ("/", "/check_health", "/api/v1/get_extensions", "/static_files/favicon.svg"):
        assert explorer.status(page) == 200
    for path in ("/../server.py", "/server.py", "/static_files/../index.html", "/%2e%2e/server.py"):
        assert explorer.status(path) == 403


def test_the_viewer_of_files_serves_the_model_and_its_weights_only(netron: Asking) -> None:
    for name in ("model é.onnx", "model é.onnx.data"):
        assert netron.ask(f"/data/{quote(name)}") == (200, name.encode())
    for path in ("id_rsa", "%69d_rsa", "../home0/id_rsa", "/etc/passwd", ""):
        assert netron.status(f"/data/{path}") == 403
    for page in ("/", "/index.js", "/favicon.ico"):
        assert netron.status(page) == 200
    assert netron.status("/server.py") == 403


def test_who_has_no_token_gets_nothing(viewer: Asking) -> None:
    right = viewer.cookie
    other = f"surgeon-viewer-{viewer.server.port + 1}={viewer.server.token}"
    for cookie in (None, right[:-1], f"{right}x", other, "a=b", "=;;", right.partition("=")[0], "é"):
        assert viewer.status("/", cookie=cookie) == 403
    for target in ("/?token=", "/?token=wrong", "/?token=é".encode().decode("latin-1")):
        assert viewer.status(quote(target, safe="/?=%"), cookie=None) == 403
    assert viewer.status("/", cookie=f"a=b; {right}") == 200


def test_a_request_for_another_server_or_from_another_page_gets_nothing(viewer: Asking) -> None:
    port = viewer.server.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert viewer.status("/", Host=host) == 200
        assert viewer.status("/", Host=host, Origin=f"http://{host}") == 200
    # A name of the web that was made to lead to this machine; its page would send the cookie of that name only.
    for host in (
        f"evil.example:{port}",
        "127.0.0.1",
        f"127.0.0.1:{port + 1}",
        f"127.0.0.1:{port}.evil.example",
        "",
    ):
        assert viewer.status("/", Host=host) == 403
    for origin in (
        "http://evil.example",
        f"http://127.0.0.1:{port + 1}",
        f"https://127.0.0.1:{port}",
        "null",
    ):
        assert viewer.status("/", Origin=origin) == 403
    for method in ("POST", "PUT", "OPTIONS", "DELETE"):
        assert viewer.status("/", method) == 403


def test_the_address_lets_a_browser_in_and_keeps_the_token_out_of_it(viewer: Asking) -> None:
    connection = http.client.HTTPConnection(HOST, viewer.server.port, timeout=20)
    connection.request("GET", f"/?data=%7B%7D&token={viewer.server.token}")
    answer = connection.getresponse()
    cookie = answer.getheader("Set-Cookie", "")
    assert answer.status == 303 and answer.getheader("Location") == "/?data=%7B%7D"
    assert cookie.startswith(viewer.cookie) and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    connection.close()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(viewer.server.address("/?a=b"), timeout=20) as page:
        assert page.status == 200 and page.url.endswith("/?a=b")


def test_the_token_stands_in_no_command_line(viewer: Asking) -> None:
    command = Path(f"/proc/{viewer.server.process.pid}/cmdline")
    if not command.exists():
        pytest.skip("this system shows no command lines")
    assert viewer.server.token.encode() not in command.read_bytes()


def test_the_address_of_a_view_opens_it(explorer: Asking, folder: Path) -> None:
    graph = parse_graph("graph v1\na = Placeholder() {dtype: float32, shape: shape[2]}\nb = Relu(a)\n")
    address = explorer.server.address(explorer_query(report_graph(graph), folder))
    assert address.startswith(f"http://{HOST}:{explorer.server.port}/?data=")
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(address, timeout=20) as page:
        assert b"Model Explorer" in page.read()


def test_a_viewer_that_does_not_pass_through_the_guard_is_not_shown() -> None:
    code = (
        "import sys, socket\n"
        "server = socket.create_server((sys.argv[2], int(sys.argv[4])))\n"
        "while True:\n"
        "    connection = server.accept()[0]\n"
        "    connection.recv(10000)\n"
        "    connection.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n')\n"
        "    connection.close()\n"
    )
    open_to_all = replace(NETRON, module="json", code=code)
    with pytest.raises(SurgeonError, match="W105") as exc, serving(open_to_all, choose_port(0)):
        raise AssertionError
    assert "everybody" in exc.value.diagnostics[0].message
