"""Read properties of a link that no dump tells: kernel variables under /proc/sys, and offloads."""

from __future__ import annotations

from collections.abc import Iterable

from multinic import ethtool
from multinic.fields import OFFLOAD, SYSCTLS


def read(name: str, fields: Iterable[str]) -> dict[str, str]:
    """Return those of `fields` (fields.py) that the kernel knows of this link. Raises HostError."""
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
    """Return a kernel variable of a link, or of `all`; None where there is none."""
    try:
        with open(sysctl_path(name, field), encoding="ascii") as variable:
            return variable.read().strip()
    except OSError:  # also a link that vanished meanwhile, and one whose kernel cannot tell (EIO)
        return None


def sysctl_path(name: str, field: str) -> str:
    """Return where a kernel variable of this network namespace is."""
    return f"/proc/sys/net/ipv{SYSCTLS[field]}/conf/{name}/{field}"
