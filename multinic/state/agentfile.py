"""What the agent says of itself, in /run/multinic/agent.json: for `multinic status` and doctor."""

from __future__ import annotations

import json
import os
import time
from typing import Any, NamedTuple

from multinic import __version__
from multinic.host.host import Host
from multinic.host.lock import holder
from multinic.values.errors import HostError
from multinic.values.paths import AGENT, AGENT_LOCK

_VERSION = 1
_FIRST = "the first pass has not decided yet"


class Running(NamedTuple):
    """An agent that runs on this host."""

    process: str
    """In words."""
    since: int
    """Unix time; 0: it does not say."""
    listen: str
    """Where it answers for its health, as HOST:PORT; "" for nowhere."""
    version: str
    """Its version of multinic."""


def write(host: Host, listen: str) -> None:
    """Write what this process, the agent, says of itself as it begins. Raises HostError."""
    document: dict[str, Any] = {"version": _VERSION, "pid": os.getpid(), "since": int(time.time())}
    document |= {"multinic": __version__, "listen": listen, "ready": False, "trouble": _FIRST}
    _write(host, document)


def tell(host: Host, trouble: str) -> None:
    """Say also whether a person must act, and why: the reason code of a pass; "" if not. Raises HostError."""
    _write(host, _read(host) | {"ready": not trouble, "trouble": trouble})


def _write(host: Host, document: dict[str, Any]) -> None:
    # One field a line: the probe of a container reads them without a parser (packaging/container/ready).
    host.write(AGENT, json.dumps(document, indent=1) + "\n", 0o644)


def remove(host: Host) -> None:
    """Remove it again. Raises HostError."""
    host.remove(AGENT)


def _read(host: Host) -> dict[str, Any]:
    """Return what the file says; nothing if it cannot be read."""
    try:
        found: Any = json.loads(host.read(AGENT) or "{}")
    except (HostError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def running(host: Host) -> Running | None:
    """Return the agent that runs on this host; None if none is seen."""
    process = holder(host, AGENT_LOCK)
    if process is None:
        return None
    found = _read(host)
    since, listen = found.get("since"), found.get("listen")
    return Running(
        process,
        since if isinstance(since, int) and 0 <= since < 1 << 40 else 0,
        listen if isinstance(listen, str) else "",
        str(found.get("multinic", "")),
    )
