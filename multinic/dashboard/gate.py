"""What every request and every answer passes: the prefix, who may ask, what a browser may do with it.

It is at the same time where answers are counted and logged.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from multinic.dashboard import problems
from multinic.dashboard.options import Options, Proxies
from multinic.dashboard.problems import Problem
from multinic.host.log import Log

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Say = Callable[[Scope, Problem], App]
"""Returns the answer for a problem."""

TARGET_MAX = 8192
"""Bytes of a path with its query."""
PROBES = frozenset({"/livez", "/readyz"})
"""What anybody may ask: nothing of the fleet is in the answers."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Gate:
    """An ASGI application around another."""

    def __init__(self, app: App, say: Say, options: Options, log: Log) -> None:
        self._app, self._say, self._options, self._log = app, say, options, log
        self.answers: Counter[tuple[str, int]] = Counter()
        """How many answers there were, by the page and their status."""
        self.seconds = 0.0
        """How long they took together."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 0
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        target = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        scope = {**scope, "path": self._inner(scope["path"]), "root_path": ""}

        async def send_safely(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_ours(message["headers"])}
            await send(message)

        if target > TARGET_MAX:
            scope["path"] = "/api/" if scope["path"].startswith("/api/") else "/"
            scope["query_string"] = b""
            answer = self._say(scope, problems.TOO_LONG)
        elif scope["method"] not in ("GET", "HEAD"):
            answer = self._say(scope, problems.METHOD)
        else:
            problem = self._refusal(scope, headers)
            answer = self._say(scope, problem) if problem else self._app
        try:
            await answer(scope, receive, send_safely)
        except Exception as e:  # noqa: BLE001 - a reader gets a sentence, and the log what we must know
            self._log.error(f"{scope['path']}: unexpected error: {type(e).__name__}: {e}", where=_where(e))
            if not status:
                await self._say(scope, problems.UNEXPECTED)(scope, receive, send_safely)
        finally:
            self._note(scope, headers, status, time.monotonic() - begun)

    def _inner(self, path: str) -> str:
        """Return the path without the prefix, whether the proxy has taken it off or not."""
        prefix = self._options.prefix
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return path.removeprefix(prefix) or "/"
        return path

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Problem | None:
        if scope["path"] in PROBES:
            return None
        if not self._is_known(headers.get("host", "")):
            return problems.HOST
        options = self._options
        peer = (scope.get("client") or ("",))[0]
        if options.user_header and options.proxies.has(peer) and headers.get(options.user_header):
            return None
        if options.user_header and not options.token:
            return problems.TOKEN
        return None if not options.token or self._has_token(headers) else problems.TOKEN

    def _is_known(self, host: str) -> bool:
        """Return whether we answer under a name: a page elsewhere could give its own name our address."""
        name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        if name.lower() == "localhost" or name.lower() in self._options.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":  # as browsers ask for it
            try:
                given = base64.b64decode(given, validate=True).decode("utf-8").partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif kind.lower() != "bearer":
            return False
        return hmac.compare_digest(given.strip().encode(), self._options.token.reveal().encode())

    def _note(self, scope: Scope, headers: Mapping[str, str], status: int, seconds: float) -> None:
        page = scope["path"].rpartition("/")[2] or "overview"
        known = page if status < 400 and not scope["path"].startswith("/static/") else "other"
        self.answers[known, status] += 1
        self.seconds += seconds
        peer = (scope.get("client") or ("",))[0]
        client, user = peer, ""
        if self._options.proxies.has(peer):
            client = _before(headers.get("x-forwarded-for", ""), self._options.proxies) or peer
            user = headers.get(self._options.user_header, "")[:64] if self._options.user_header else ""
        who = f"{client} ({user})" if user else client
        self._log.info(f"{who} {scope['method']} {scope['path']} {status} {seconds * 1000:.0f} ms")


def _before(forwarded: str, proxies: Proxies) -> str:
    """Return the last address that is not that of a proxy of ours: those before it anybody can write."""
    for word in reversed([word.strip() for word in forwarded.split(",")]):
        if not proxies.has(word):
            return word[:64]
    return ""


def _with_ours(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    there = {name.lower() for name, _ in headers}
    ours = [*HEADERS.items(), ("cache-control", "no-store")]
    return [*headers, *((n.encode(), v.encode()) for n, v in ours if n.encode() not in there)]


def _where(error: Exception) -> str:
    """Return the last place of ours that an error passed."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if "multinic" in code.co_filename:
            place = f"{code.co_filename.rpartition('multinic/')[2]}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place
