"""Check that links are those of the host: this whole room works in the network namespace of this process.

On a host that is always the right one. In a container it is right if the container shares the host's network.
"""

from __future__ import annotations

import os

from multinic.host.host import Host
from multinic.values.errors import ConfigError, HostError

_NAMESPACE = "/proc/self/ns/net"


def check_namespace(host: Host) -> None:
    """Raise ConfigError if the host's commands run in another network namespace than this process.

    The check starts a process, so it is made only if commands have a prefix.
    """
    if not host.prefix:
        return
    try:
        theirs = host.run("readlink", _NAMESPACE, changes=False).strip()
    except HostError as e:
        raise ConfigError(f"no command can be run on the host: {e}", _hint()) from e
    if theirs != os.readlink(_NAMESPACE):
        raise ConfigError(
            "this process has links of its own, not those of the host: nothing was looked at or changed",
            "share the host's network with it (in Kubernetes hostNetwork: true), or correct --host-command",
        )


def _hint() -> str:
    """Say what a container needs besides the right command, and which profile of AppArmor may forbid it."""
    hint = "correct --host-command; in a container it takes hostPID, SYS_ADMIN, SYS_CHROOT, SYS_PTRACE"
    confined = _confined_by()
    if not confined:
        return hint
    return f"{hint}; the AppArmor profile {confined} may deny it (the chart's appArmorProfile: Unconfined)"


def _confined_by() -> str:
    """Return the profile of AppArmor that this process has; an empty text if none is enforced."""
    try:
        with open("/proc/self/attr/current", encoding="utf-8") as file:
            name, _, mode = file.read().strip("\0\n ").rpartition(" ")
    except OSError:  # a kernel without it
        return ""
    return name if mode == "(enforce)" else ""
