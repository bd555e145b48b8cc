"""Answer HTTP on sockets: on one that systemd opened, until no client connects any more; or on our own.

One thread, no children. Each client may send few bytes and has few seconds; if there are too many, the oldest
of the same listener is closed. So a client that is silent, slow or endless does not keep others from their
answer. docs/decisions/0003 says why this is not `http.server`.
"""

from __future__ import annotations

import errno
import json
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from multinic.values.errors import ConfigError

Answer = Callable[[str], tuple[HTTPStatus, Any]]
"""From the path of a request to a status and a JSON value, or a `Content`; None: the words of the status."""

_IDLE = 5.0  # seconds: one process answers a monitor that asks every few seconds
_PATIENCE = 3.0  # seconds that a client has to send its request, and again to take its answer
_REQUEST_LIMIT = 8192  # bytes; a probe sends about a hundred
_CLIENTS = 64  # at once, of each listener
_BACKLOG = 1024  # connections that wait to be accepted: beyond it, the kernel lets a client wait for 1 s
_BATCH = 16  # connections that are accepted before those that are open have their turn
_SHORT = 0.05  # seconds of rest if there are no more descriptors
_FIRST = 3  # the number of the first descriptor that systemd passes


class Content(NamedTuple):
    """An answer that is not JSON."""

    body: bytes
    type: str
    """Its media type, for the header Content-Type."""


@dataclass
class _Client:
    """A connection, which is closed at `deadline` at the latest."""

    connection: socket.socket
    listener: _Listener
    deadline: float
    request: bytes = b""
    answered: bool = False
    unsent: bytes = b""
    """What the client has not taken yet of its answer."""


@dataclass
class _Listener:
    socket: socket.socket
    answer: Answer
    clients: dict[int, _Client] = field(default_factory=dict)


def passed_socket(environment: Mapping[str, str]) -> socket.socket:
    """Return the listening socket that systemd passed. Raises ConfigError if there is not exactly one."""
    number = environment.get("LISTEN_FDS", "0")
    if number == "0":
        raise ConfigError(
            "no socket was passed: this is what multinic-health.service runs",
            "systemctl enable --now multinic-health.socket",
        )
    if number != "1":
        raise ConfigError(
            f"{number} sockets were passed; only one can be used",
            "write an empty ListenStream= before that of your drop-in: systemctl edit multinic-health.socket",
        )
    return socket.socket(fileno=_FIRST)


def serve(
    answers: Mapping[socket.socket, Answer],
    *,
    idle: float | None = _IDLE,
    stop: socket.socket | None = None,
) -> None:
    """Answer all clients of these listeners.

    Returns when no client has connected for `idle` seconds, or when `stop` can be read.
    """
    listeners = [_Listener(listening, answer) for listening, answer in answers.items()]
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            listener.socket.setblocking(False)
            selector.register(listener.socket, selectors.EVENT_READ, listener)
        if stop is not None:
            selector.register(stop, selectors.EVENT_READ)
        last = time.monotonic()
        while (wake := _wake(listeners, None if idle is None else last + idle)) is not None:
            ready = [key.data for key, _ in selector.select(max(0.0, wake - time.monotonic()))]
            if None in ready:
                break
            if any(isinstance(data, _Listener) for data in ready):
                last = time.monotonic()
            for data in ready:
                _turn(data, selector)
            for client in [c for listener in listeners for c in listener.clients.values()]:
                if client.deadline <= time.monotonic():
                    _close(client, selector)
        for client in [c for listener in listeners for c in listener.clients.values()]:
            _close(client, selector)


def _turn(data: _Listener | _Client, selector: selectors.BaseSelector) -> None:
    if isinstance(data, _Listener):
        _accept(data, selector)
    else:
        _attend(data, selector)


def _wake(listeners: Iterable[_Listener], end: float | None) -> float | None:
    """Return when to look again; None: the time is over, and no client is left."""
    deadlines = [client.deadline for listener in listeners for client in listener.clients.values()]
    if deadlines:
        return min(deadlines)
    if end is None:
        return time.monotonic() + 3600
    return end if time.monotonic() < end else None


def _accept(listener: _Listener, selector: selectors.BaseSelector) -> None:
    for _ in range(_BATCH):
        try:
            connection, _address = listener.socket.accept()
        except OSError as e:
            if e.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(_SHORT)  # nothing can be accepted now, and the listener stays ready
            return  # no more, or the client has gone again
        clients = listener.clients
        if len(clients) >= _CLIENTS:
            _close(min(clients.values(), key=lambda client: client.deadline), selector)
        connection.setblocking(False)
        client = _Client(connection, listener, time.monotonic() + _PATIENCE)
        clients[connection.fileno()] = client
        selector.register(connection, selectors.EVENT_READ, client)


def _attend(client: _Client, selector: selectors.BaseSelector) -> None:
    """Read from a client, and send what it may take of its answer."""
    if client.connection.fileno() < 0:
        return  # closed a moment ago, as the oldest of too many
    try:
        if client.unsent:
            _send(client, selector)
        else:
            _receive(client, selector)
    except BlockingIOError:
        return
    except OSError:
        client.deadline = 0.0


def _receive(client: _Client, selector: selectors.BaseSelector) -> None:
    received = client.connection.recv(_REQUEST_LIMIT)
    if not received:
        client.deadline = 0.0
    elif not client.answered:
        client.request += received
        head, end, _ = client.request.replace(b"\r\n", b"\n").partition(b"\n\n")
        if end or len(client.request) >= _REQUEST_LIMIT:
            client.unsent = _response(head, client.listener.answer, complete=bool(end))
            client.answered, client.deadline = True, time.monotonic() + _PATIENCE
            _send(client, selector)


def _send(client: _Client, selector: selectors.BaseSelector) -> None:
    client.unsent = client.unsent[client.connection.send(client.unsent) :]
    if client.unsent:
        selector.modify(client.connection, selectors.EVENT_WRITE, client)
        return
    # Anything that the client still sends is read and dropped: closing at once could take the answer back.
    client.connection.shutdown(socket.SHUT_WR)
    selector.modify(client.connection, selectors.EVENT_READ, client)


def _close(client: _Client, selector: selectors.BaseSelector) -> None:
    selector.unregister(client.connection)
    del client.listener.clients[client.connection.fileno()]
    client.connection.close()


def _response(head: bytes, answer: Answer, *, complete: bool) -> bytes:
    """Return the whole response to a request; not `complete`: it is too long."""
    line, end, _ = head.partition(b"\n")
    if not complete:
        too_long = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if end else HTTPStatus.REQUEST_URI_TOO_LONG
        return _written(too_long, None)
    words = line.decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        return _written(HTTPStatus.BAD_REQUEST, None)
    if not words[2].startswith("HTTP/1."):
        return _written(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, None)
    if words[0] not in ("GET", "HEAD"):
        return _written(HTTPStatus.METHOD_NOT_ALLOWED, None, "Allow: GET, HEAD\r\n")
    try:
        status, value = answer(_path(words[1]))
    except Exception:  # noqa: BLE001 - other clients shall have an answer, too
        status, value = HTTPStatus.INTERNAL_SERVER_ERROR, None
    return _written(status, value, body=words[0] == "GET")


def _path(target: str) -> str:
    """Return the path of a request's target: without its query, and without the host, which proxies add."""
    if target.startswith("http://"):
        target = "/" + target.removeprefix("http://").partition("/")[2]
    return target.partition("?")[0]


def _written(status: HTTPStatus, value: Any, more: str = "", *, body: bool = True) -> bytes:
    if isinstance(value, Content):
        content, kind = value
    else:
        words = {"error": status.phrase.lower()} if value is None else value
        content, kind = json.dumps(words).encode() + b"\n", "application/json"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode() + (content if body else b"")


def listen(address: str, setting: str) -> socket.socket:
    """Return a socket that listens at `HOST:PORT`. Raises ConfigError, which names the setting."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, int(port)), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as e:
        remedy = f"give {setting} another port, or end what has this one: ss --listening --tcp --processes"
        words = f"cannot listen on {address} ({setting}): {e.strerror or e}"
        raise ConfigError(words, remedy if e.errno == errno.EADDRINUSE else f"correct {setting}") from None
