"""All that the kernel says of a network namespace: what must be the same after a change is undone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

SHOWN: Mapping[str, tuple[str, ...]] = {
    "rules": ("ip rule", "ip -6 rule"),
    "routes": ("ip route show table all", "ip -6 route show table all"),
    "addresses": ("ip -oneline -details address",),
    "links": ("ip -oneline -details link",),
    "offloads": ("ethtool --show-features {}",),
    "sysctls": ("sysctl -a --pattern ^net\\.ipv[46]\\.(conf|neigh|route)\\.",),
}
Snapshot = dict[str, list[str]]


def all_options(subnet: int) -> dict[str, Any]:
    """Return options that change all of SHOWN but addresses, for 10.SUBNET.0.0/24 and fd00:SUBNET::/64."""
    return {
        "gateway": [f"10.{subnet}.0.1", f"fd00:{subnet}::1"],
        "policy_routing": "auto",
        "default_route": True,
        "metric": 4000,
        "routes": [
            {"to": "10.50.0.0/16", "via": f"10.{subnet}.0.1", "metric": 50},
            {"to": "fd00:50::/48", "via": f"fd00:{subnet}::1"},
            {"to": "10.51.0.0/16", "via": "10.66.0.1", "on_link": True, "table": 700},
        ],
        "rp_filter": 2,
        "arp_ignore": 1,
        "arp_announce": 2,
        "ethtool": {"gro": False, "tso": False},
        "txqueuelen": 500,
        "description": "storage of rack 7",
    }


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
