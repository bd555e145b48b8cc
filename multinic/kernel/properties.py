"""Read the properties of a link that netlink dumps lack: kernel variables below /proc/sys, and offloads."""

from __future__ import annotations

import os
from collections.abc import Iterable

from multinic.kernel import ethtool
from multinic.values.fields import OFFLOAD, SYSCTLS


def read(name: str, fields: Iterable[str]) -> dict[str, str]:
    """Return the values of `fields` (fields.py) that this link has: field → text. Raises HostError."""
    found: dict[str, str] = {}
    for field in fields:
        if field.startswith(OFFLOAD):
            on = ethtool.get(name, field.removeprefix(OFFLOAD))
            value = None if on is None else "on" if on else "off"
        else:
            value = read_sysctl(name, field) if field in SYSCTLS else None
        if value is not None:
            found[field] = value
    return found


def read_sysctl(name: str, field: str) -> str | None:
    """Return a kernel variable of a link, or of `all`; None if there is none."""
    try:
        descriptor = os.open(sysctl_path(name, field), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, 4096).decode("ascii").strip()
        finally:
            os.close(descriptor)
    except OSError:  # also if the link has vanished, or the kernel cannot read the variable (EIO)
        return None


def sysctl_path(name: str, field: str) -> str:
    """Return the path of a kernel variable of this network namespace."""
    return f"/proc/sys/net/ipv{SYSCTLS[field]}/conf/{name}/{field}"
