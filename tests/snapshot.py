"""All that the kernel says of a network namespace: what must be the same after a change is undone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping

SHOWN: Mapping[str, tuple[str, ...]] = {
    "rules": ("ip rule", "ip -6 rule"),
    "routes": ("ip route show table all", "ip -6 route show table all"),
    "addresses": ("ip -oneline -details address",),
    "links": ("ip -oneline -details link",),
    "offloads": ("ethtool --show-features {}",),
    "sysctls": ("sysctl -a --pattern ^net\\.ipv[46]\\.(conf|neigh|route)\\.",),
}
Snapshot = dict[str, list[str]]


def take(run: Callable[..., subprocess.CompletedProcess[str]], name: str) -> Snapshot:
    """Return what there is, by the words of SHOWN; offloads of the link `name` only.

    Without the queueing discipline, which a link has from the first time that it is up.
    """
    said = {}
    for what, commands in SHOWN.items():
        text = "".join(run(*command.format(name).split()).stdout for command in commands)
        said[what] = sorted(re.sub(r" qdisc \w+", "", line) for line in text.splitlines())
    return said


def different(before: Snapshot, after: Snapshot) -> Snapshot:
    """Return what has gone ("- ...") and what is new ("+ ...")."""
    return {
        what: [f"- {line}" for line in before[what] if line not in after[what]]
        + [f"+ {line}" for line in after[what] if line not in before[what]]
        for what in SHOWN
        if before[what] != after[what]
    }
