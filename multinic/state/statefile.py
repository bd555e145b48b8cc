"""The state document: the result of the last pass, in /run/multinic/state.json, for status and monitoring.

Everybody may read it. Errors of the database and of the host name hosts, users and paths: their words are in
a file of root's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from multinic.host.host import Host
from multinic.values.errors import HostError, TooLarge
from multinic.values.paths import DETAILS, STATE

VERSION = 1
_HEARTBEAT = 300.0  # seconds: after these an unchanged state is written again, as a sign of life
_DETAILS = ("error", "database_error", "report_error", "tables_error")
_FOR_EVERYBODY = "root can read why, with `multinic status`"
_FIELDS = {"key", "name", "mac", "port_id", "row_id", "state", "reason", "message"}


def load_state(host: Host) -> dict[str, Any]:
    """Return the document of the last pass; {} if it is missing or damaged. Raises HostError."""
    try:
        document = json.loads(host.read(STATE) or "{}")
    except (TooLarge, ValueError, RecursionError):
        return {}
    return _with_details(host, document) if _is_state(document) else {}


def _with_details(host: Host, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the words that root alone may read, if we may."""
    if not any(document.get(field) for field in _DETAILS):
        return document
    try:
        details = json.loads(host.read(DETAILS) or "{}")
    except (HostError, ValueError, RecursionError):
        return document
    if not isinstance(details, dict):
        return document
    known = {field: str(details[field]) for field in _DETAILS if document.get(field) and details.get(field)}
    return document | known


def _is_state(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and document.get("version") == VERSION
        and isinstance(document.get("time"), int)
        and 0 <= document["time"] < 1 << 40  # a time that a calendar has
        and isinstance(document.get("interfaces"), list)
        and all(isinstance(item, dict) and item.keys() >= _FIELDS for item in document["interfaces"])
        and isinstance(document.get("since", 0), int)
        and isinstance(totals := document.get("totals", {}), dict)
        and all(isinstance(count, int) for count in totals.values())
    )


def save_state(host: Host, document: Mapping[str, Any]) -> None:
    """Write the document if it differs from the one on disk, or as a sign of life. Raises HostError."""
    old = load_state(host)
    fresh = 0 <= document["time"] - old.get("time", 0) < _HEARTBEAT
    if not (fresh and {**document, "time": 0} == {**old, "time": 0}):
        details = {field: document[field] for field in _DETAILS if document.get(field)}
        if details:
            host.write(DETAILS, json.dumps(details, indent=1) + "\n", 0o600)
        elif host.present(DETAILS):
            host.remove(DETAILS)
        public = {**document, **dict.fromkeys(details, _FOR_EVERYBODY)}
        host.write(STATE, json.dumps(public, indent=1) + "\n", 0o644)
