"""From the name of a host to a connected socket, within a limit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from multinic.database.limit import Limit
from multinic.values.errors import SourceError

# What socket.getaddrinfo returns: of each address family, type, protocol, canonical name and the address.
_Found = Sequence[tuple[int, int, int, str, Any]]


class Unresolved(SourceError):
    """No name server said in time which addresses a host has."""


Allowed = Callable[[str], bool]
"""Whether anything may be sent to an address."""


def anywhere(_: str) -> bool:
    """Allow every address."""
    return True


def tcp(host: str, port: int, timeout: float, limit: Limit, allowed: Allowed) -> socket.socket:
    """Connect to the first address of a host that answers. Raises SourceError and OSError.

    No address gets more than `timeout`, and the addresses share what is left of the limit, so that
    one without an answer leaves time for the next.
    """
    found = [one for one in _addresses(host, port, limit) if allowed(one[4][0].partition("%")[0])]
    if not found:
        raise SourceError(
            f"packets to {host} leave by a link that was just changed, so nothing is sent there"
        )
    problem: OSError = OSError(f"{host} has no address")
    for number, (family, kind, protocol, _, address) in enumerate(found):
        share = limit.left() / (len(found) - number)
        try:
            opened = _connected(socket.socket(family, kind, protocol), address, min(timeout, share))
        except OSError as e:
            problem = e
        else:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return opened
    raise problem


def local(path: str, timeout: float, limit: Limit) -> socket.socket:
    """Connect to a Unix socket. Raises SourceError and OSError."""
    return _connected(socket.socket(socket.AF_UNIX), path, min(timeout, limit.left()))


def _connected(opened: socket.socket, address: Any, timeout: float) -> socket.socket:
    try:
        opened.settimeout(timeout)
        opened.connect(address)
    except BaseException:
        opened.close()
        raise
    return opened


def _addresses(host: str, port: int, limit: Limit) -> _Found:
    """Return the addresses of a host in the resolver's order. Raises Unresolved and OSError."""
    name = host.encode()  # for text Python loads the codec of international names: 1 ms of every pass
    try:
        return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return _resolved(name, port, limit)


def _resolved(name: bytes, port: int, limit: Limit) -> _Found:
    """Ask the resolver in a thread that is left to itself when the limit is over.

    Nothing ends a getaddrinfo from outside, neither a signal nor a timeout of Python's. With two silent
    name servers it takes 20 s, and twice that with a search domain (resolv.conf(5): timeout, attempts).
    It may use the whole limit: with a dead first name server, glibc asks the second one after 5 s.
    An agent asks again before that is over: it then waits for the same thread, so that they do not pile up.
    """
    thread, outcome = _lookups.get((name, port), (None, []))
    if thread is None or not thread.is_alive():
        outcome = []
        thread = threading.Thread(target=_look_up, args=(name, port, outcome), daemon=True)
        _lookups[name, port] = (thread, outcome)
        thread.start()  # daemon: the process may end before it does
    thread.join(limit.left())  # unlike getaddrinfo, this lets a signal be handled
    if not outcome:
        raise Unresolved(f"the name {name.decode()} could not be resolved within {limit.seconds:g} s")
    del _lookups[name, port]
    (found,) = outcome
    if isinstance(found, OSError):
        raise found
    return found


_lookups: dict[tuple[bytes, int], tuple[threading.Thread, list[_Found | OSError]]] = {}
"""The threads that ask, by host and port, with their answer once they have it."""


def _look_up(name: bytes, port: int, outcome: list[_Found | OSError]) -> None:
    try:
        outcome.append(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
    except OSError as e:
        outcome.append(e)
