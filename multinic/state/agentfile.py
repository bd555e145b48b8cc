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
    """Write what this process, the agent, says of itself. Raises HostError."""
    document: dict[str, Any] = {"version": _VERSION, "pid": os.getpid(), "since": int(time.time())}
    document |= {"multinic": __version__, "listen": listen}
    host.write(AGENT, json.dumps(document, indent=1) + "\n", 0o644)


def remove(host: Host) -> None:
    """Remove it again. Raises HostError."""
    host.remove(AGENT)


def running(host: Host) -> Running | None:
    """Return the agent that runs on this host; None if none is seen."""
    process = holder(host, AGENT_LOCK)
    if process is None:
        return None
    try:
        found: Any = json.loads(host.read(AGENT) or "{}")
    except (HostError, ValueError, RecursionError):
        found = {}
    found = found if isinstance(found, dict) else {}
    since, listen = found.get("since"), found.get("listen")
    return Running(
        process,
        since if isinstance(since, int) and 0 <= since < 1 << 40 else 0,
        listen if isinstance(listen, str) else "",
        str(found.get("multinic", "")),
    )
