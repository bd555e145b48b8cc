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
    """Say what a container needs besides the right command, and what of the node may forbid it."""
    hint = "correct --host-command; in a container it takes hostPID, SYS_ADMIN, SYS_CHROOT, SYS_PTRACE"
    try:
        with open("/proc/self/attr/current", encoding="utf-8") as file:
            confined = confinement(file.read())
    except OSError:  # a kernel with neither
        confined = ""
    return f"{hint}; {confined}" if confined else hint


def confinement(label: str) -> str:
    """Return what may deny a process of this label something, and the chart's value that allows it; or "".

    AppArmor writes a label as "PROFILE (MODE)", SELinux as "USER:ROLE:TYPE:LEVEL".
    """
    label = label.strip("\0\n ")
    profile, _, mode = label.rpartition(" ")
    if mode == "(enforce)":
        return f"the AppArmor profile {profile} may deny it (the chart's appArmorProfile: Unconfined)"
    match label.split(":"):
        case [_, _, kind, *_] if kind not in ("spc_t", "unconfined_t"):
            return f"the SELinux type {kind} may deny it (the chart's seLinuxOptions.type: spc_t)"
    return ""
