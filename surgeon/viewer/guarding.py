"""What stands before a viewer's server, in the viewer's process: only the page that surgeon opened is served.

Viewers of other packages serve whoever reaches their port: another user of the machine, or a page of the web
whose name is made to lead here. Their servers are all built on ``http.server`` of Python, whose requests pass
through here first. A request is answered only where it asks for this server by its name, does not come from
another page, and carries the token of the address that surgeon gave out; and then only what the page needs.
"""

from __future__ import annotations

import hmac
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

VARIABLE = "SURGEON_VIEWER_RULES"
"""Carries :class:`Rules` to the viewer's process; other users cannot read it, as they can a command line."""

KEY = "token"
_STATIC = re.compile(
    r"/(static_files/)?[A-Za-z0-9_-][A-Za-z0-9_.-]*\.(css|html|ico|js|json|png|svg|ttf|woff2?)"
)
_NAMES = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Rules:
    """What is served at a port, to whom.

    ``pages`` are paths that may be asked for. ``files`` are paths whose parameter ``path`` names a file, and
    it must lie in ``folder``. ``data`` are names below ``/data/``.
    """

    port: int
    token: str
    pages: tuple[str, ...]
    files: tuple[str, ...] = ()
    folder: str = ""
    data: tuple[str, ...] = ()

    def to_environment(self) -> dict[str, str]:
        """Return the variable that :func:`guard` reads."""
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def cookie(self) -> str:
        """The name of the cookie: cookies of all ports of a machine are kept together."""
        return f"surgeon-viewer-{self.port}"

    def refusal(self, method: str, target: str, header: Callable[[str], Iterable[str]]) -> str:
        """Return why a request is refused, empty where it is not; ``header`` gives the values of a header."""
        hosts = {f"{name}:{self.port}" for name in _NAMES}
        if len(named := list(header("Host"))) != 1 or named[0] not in hosts:
            return "it asks for another server"
        if any(origin not in {f"http://{host}" for host in hosts} for origin in header("Origin")):
            return "it comes from another page"
        if method not in ("GET", "HEAD"):
            return "it would change something"
        if not self.is_known(self.token_in_cookies(header("Cookie"))):
            return "it has no token; open the address that surgeon printed"
        return "" if self._allows(target) else "the page does not need it"

    def is_known(self, token: str) -> bool:
        """Return whether a token is the right one."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def token_in_cookies(self, cookies: Iterable[str]) -> str:
        """Return the token that a browser sent back, empty where there is none."""
        for text in cookies:
            try:
                found = SimpleCookie(text).get(self.cookie)
            except CookieError:
                continue
            if found is not None:
                return found.value
        return ""

    def _allows(self, target: str) -> bool:
        if not target.startswith("/") or target.startswith("//"):
            return False
        path, _, query = target.partition("?")
        if path in self.files:
            given = parse_qs(query, keep_blank_values=True).get("path", [])
            return len(given) == 1 and self._holds(given[0])
        if path.startswith("/data/"):
            return unquote(path.removeprefix("/data/")) in self.data
        return path in self.pages or _STATIC.fullmatch(path) is not None

    def _holds(self, path: str) -> bool:
        if not os.path.isabs(path) or "\0" in path:
            return False
        return os.path.realpath(path).startswith(os.path.realpath(self.folder) + os.sep)


def guard() -> None:
    """Have every server of ``http.server`` in this process obey the rules in the environment."""
    rules = Rules(**json.loads(os.environ.pop(VARIABLE)))
    parse = BaseHTTPRequestHandler.parse_request

    def parse_request(self: BaseHTTPRequestHandler) -> bool:
        return parse(self) and _admits(rules, self)

    BaseHTTPRequestHandler.parse_request = parse_request  # type: ignore[method-assign]


def _admits(rules: Rules, handler: BaseHTTPRequestHandler) -> bool:
    """Return whether a request may be answered; answer it here where not."""
    target = handler.path
    query = parse_qs(urlsplit(target).query, keep_blank_values=True)
    given = query.get(KEY, [""])[0]
    values = {name: handler.headers.get_all(name, []) for name in ("Host", "Origin", "Cookie")}
    if given and rules.is_known(given):
        values["Cookie"] = [f"{rules.cookie}={given}"]
    refusal = rules.refusal(handler.command, target, values.__getitem__)
    if not (refusal or given):
        return True
    handler.close_connection = True
    if refusal:
        body = f"Refused: {refusal}.\n".encode()
        handler.send_response(403)
        handler.send_header("Content-Type", "text/plain; charset=utf-8")
    else:
        # The page's own requests carry a cookie; the token goes out of the address, and of the history.
        body = b""
        handler.send_response(303)
        handler.send_header("Location", _without_token(target))
        handler.send_header("Set-Cookie", f"{rules.cookie}={given}; Path=/; HttpOnly; SameSite=Lax")
        handler.send_header("Referrer-Policy", "no-referrer")
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Cache-Control", "no-store")
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
    return False


def _without_token(target: str) -> str:
    path, _, query = target.partition("?")
    kept = "&".join(part for part in query.split("&") if part.partition("=")[0] != KEY)
    return f"{path}?{kept}" if kept else path
