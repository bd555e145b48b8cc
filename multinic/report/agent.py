"""The agent on this host as seen by another run: whether there is one, and what it says over HTTP."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from multinic.host.host import Host
from multinic.state.agentfile import running

_PATIENCE = 2.0  # seconds that the agent has to answer
_LIMIT = 1 << 20  # bytes of its answer that are read


def agent(host: Host) -> dict[str, Any] | None:
    """Return what is known of the agent on this host; None if none is seen.

    `next_pass_in` and what begins with `last_` are None if it does not answer over HTTP.
    """
    found = running(host)
    if found is None:
        return None
    said = _ask(found.listen)
    wait, last = said.get("next_pass_in"), said.get("last_pass")
    last = last if isinstance(last, dict) else {}
    ago, status = last.get("seconds_ago"), last.get("exit")
    return {
        **found._asdict(),
        "answers": bool(said) if found.listen else None,
        "next_pass_in": wait if isinstance(wait, int | float) else None,
        "last_pass": str(last["result"]) if "result" in last else None,
        "last_pass_ago": ago if isinstance(ago, int | float) else None,
        "last_exit": status if isinstance(status, int) else None,
    }


def _ask(address: str) -> dict[str, Any]:
    """Return the health document of the agent; {} if nothing there answers with one."""
    from http.client import HTTPConnection, HTTPException

    host, _, port = address.rpartition(":")
    anywhere = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104 - an agent may listen there
    with suppress(OSError, HTTPException, ValueError, RecursionError):
        client = HTTPConnection(anywhere.get(host, host.strip("[]")), int(port), timeout=_PATIENCE)
        try:
            client.request("GET", "/")
            found = json.loads(client.getresponse().read(_LIMIT))
        finally:
            client.close()
        if isinstance(found, dict) and "uptime" in found:
            return found
    return {}
