"""Answer HTTP on a socket that systemd opened, until nobody asks any more.

One thread, no children; every client has few bytes and few seconds, and when there are too many the
oldest has to go: who asks nothing, slowly or without end takes nobody else's answer away.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from multinic.errors import ConfigError

Answer = Callable[[str], tuple[HTTPStatus, Any]]
"""From the path of a request to a status and a JSON value."""

_IDLE = 5.0  # seconds: somebody who asks every few seconds is answered by one process
_PATIENCE = 3.0  # seconds that a client may take to ask, and to take its answer
_REQUEST_LIMIT = 8192  # bytes; a probe sends about a hundred
_CLIENTS = 64  # at once
_FIRST = 3  # the number of the first descriptor that systemd passes


@dataclass
class _Client:
    """Somebody who is connected, until `deadline` at the latest."""

    connection: socket.socket
    deadline: float
    request: bytes = b""
    answered: bool = False


def passed(environment: Mapping[str, str]) -> socket.socket:
    """Return the listening socket that systemd passed. Raises ConfigError where it is not one."""
    number = environment.get("LISTEN_FDS", "0")
    if number == "0":
        raise ConfigError(
            "no socket was passed: this is what multinic-health.service runs",
            "systemctl enable --now multinic-health.socket",
        )
    if number != "1":
        raise ConfigError(
            f"{number} sockets were passed; only one can be answered on",
            "write an empty ListenStream= before that of your drop-in: systemctl edit multinic-health.socket",
        )
    return socket.socket(fileno=_FIRST)


def serve(listener: socket.socket, answer: Answer, *, idle: float = _IDLE) -> None:
    """Answer everybody who connects; return once nobody did for `idle` seconds."""
    listener.setblocking(False)
    clients: dict[int, _Client] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        last = time.monotonic()
        while clients or time.monotonic() < last + idle:
            wake = min((client.deadline for client in clients.values()), default=last + idle)
            for key, _ in selector.select(max(0.0, wake - time.monotonic())):
                if key.fileobj is listener:
                    last = time.monotonic()
                    _accept(listener, selector, clients)
                elif client := clients.get(key.fd):
                    _hear(client, answer)
            for client in [c for c in clients.values() if c.deadline <= time.monotonic()]:
                _part(client, selector, clients)


def _accept(listener: socket.socket, selector: selectors.BaseSelector, clients: dict[int, _Client]) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return  # it went away again
    if len(clients) >= _CLIENTS:
        _part(min(clients.values(), key=lambda client: client.deadline), selector, clients)
    connection.setblocking(False)
    clients[connection.fileno()] = _Client(connection, time.monotonic() + _PATIENCE)
    selector.register(connection, selectors.EVENT_READ)


def _hear(client: _Client, answer: Answer) -> None:
    try:
        heard = client.connection.recv(_REQUEST_LIMIT)
        if not heard:
            client.deadline = 0.0
        elif not client.answered:
            client.request += heard
            head, end, _ = client.request.replace(b"\r\n", b"\n").partition(b"\n\n")
            if end or len(client.request) >= _REQUEST_LIMIT:
                # It fits into the buffer of the socket, as it is the first thing that is sent. What is still
                # to come from the client is read and forgotten: closing at once could take the answer back.
                client.connection.send(_response(head if end else None, answer))
                client.connection.shutdown(socket.SHUT_WR)
                client.answered = True
    except BlockingIOError:
        return
    except OSError:
        client.deadline = 0.0


def _part(client: _Client, selector: selectors.BaseSelector, clients: dict[int, _Client]) -> None:
    selector.unregister(client.connection)
    del clients[client.connection.fileno()]
    client.connection.close()


def _response(head: bytes | None, answer: Answer) -> bytes:
    """Return the whole response to a request; `head` None for one that is too long."""
    if head is None:
        return _written(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, None)
    words = head.split(b"\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return _written(HTTPStatus.BAD_REQUEST, None)
    if words[0] not in ("GET", "HEAD"):
        return _written(HTTPStatus.METHOD_NOT_ALLOWED, None, "Allow: GET, HEAD\r\n")
    try:
        status, value = answer(words[1].partition("?")[0])
    except Exception:  # noqa: BLE001 - the next one shall have an answer, too
        status, value = HTTPStatus.INTERNAL_SERVER_ERROR, None
    return _written(status, value, body=words[0] == "GET")


def _written(status: HTTPStatus, value: Any, more: str = "", *, body: bool = True) -> bytes:
    content = json.dumps({"error": status.phrase.lower()} if value is None else value).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode() + (content if body else b"")
