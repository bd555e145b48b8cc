"""Filters about one host: what it has, what is wanted, what its status means."""

from __future__ import annotations

import json
import os
import re
from typing import Any

FILES = {
    "deb": re.compile(r"multinic_(?P<version>[^_]+)_\w+\.deb"),
    "rpm": re.compile(r"multinic-(?P<version>.+)\.\w+\.rpm"),
    "wheel": re.compile(r"multinic-(?P<version>[^-]+)-.*\.whl"),
}
FACTS = ("seen", "python", "tool", "program", "package", "systemd")


def host_facts(text: str) -> dict[str, str]:
    """Return what look.sh printed, the first of each name; an empty text for what it did not find."""
    lines = (line.strip().partition("=") for line in text.splitlines())
    found = [(name, value) for name, _, value in lines if name in FACTS]
    return dict.fromkeys(FACTS, "") | dict(reversed(found))


def package_facts(path: str) -> dict[str, str]:
    """Return form, version and both together ("deb 0.1.0") of a file; empty texts for an empty path."""
    if not path:
        return {"form": "", "version": "", "package": ""}
    for form, pattern in FILES.items():
        if found := pattern.fullmatch(os.path.basename(path)):
            version = found["version"]
            return {"form": form, "version": version, "package": f"{form} {version}"}
    raise ValueError(
        f"multinic_package: {path!r} has the name of no deb, rpm or wheel of multinic, "
        "such as multinic_0.1.0_all.deb; leave the name as the build made it"
    )


def to_install(host: dict[str, str], wanted: dict[str, str], version: str = "") -> bool:
    """Return whether a host has not what is wanted: a file, or else this version of a repository."""
    if wanted["package"]:
        return host["package"] != wanted["package"]
    return not host["package"] or (bool(version) and host["package"].split()[-1] != version)


def remembered(text: str) -> dict[str, Any]:
    """Return what before.sh printed: the package, the file of it that the host keeps, and the status.

    `state`: whether the host has the state of a multinic, which may have been removed.
    """
    head, brace, rest = text.replace("\r", "").partition("{")
    lines = dict(line.partition("=")[::2] for line in head.splitlines())
    return {
        "package": lines.get("package", ""),
        "kept": lines.get("kept", ""),
        "state": "state" in lines,
        "status": json.loads(brace + rest) if brace else {},
    }


def trouble(status: str, health: str, before: dict[str, Any], accepted: list[str]) -> str:
    """Return what is wrong with a host after a pass, or an empty text.

    An interface may be in an accepted state, and in one in which it was before, for the same reason.
    """
    now, said = json.loads(status), json.loads(health)
    if now["exit"] is None:
        return "no pass has finished since boot"
    if now["error"]:
        return f"the last pass: {now['error']}"
    known = {(one["mac"], one["state"], one["reason"]) for one in before.get("interfaces", ())}
    bad = [
        f"{one['name'] or one['mac']} is {one['state']} ({one['reason']}): {one['message']}"
        for one in now["interfaces"]
        if one["state"] not in accepted and (one["mac"], one["state"], one["reason"]) not in known
    ]
    if said["status"] == "unhealthy":
        bad.append("multinic health says unhealthy")
    return "; ".join(bad)


def reason(failed: dict[str, Any]) -> str:
    """Return why a task failed, with the last line that its command said."""
    message = failed.get("msg") or "a task failed"
    said = f"{failed.get('stderr') or failed.get('stdout') or ''}".strip().splitlines()
    return f"{message}: {said[-1]}" if failed.get("rc") and said else message


class FilterModule:
    """What Ansible takes from here."""

    def filters(self) -> dict[str, Any]:
        named = (host_facts, package_facts, to_install, remembered, trouble, reason)
        return {function.__name__: function for function in named}
