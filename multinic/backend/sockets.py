"""Which netlink sockets are those of a network service: what goes by them goes because of our change."""

from __future__ import annotations

from multinic.host.host import Host
from multinic.kernel.ports import open_ports
from multinic.values.errors import HostError

BY_SYSTEMD = 1
"""The port of a socket that systemd has opened for networkd (systemd-networkd.socket): its process number."""


def may_own(host: Host, service: str, port: int, *others: int) -> bool:
    """Return whether a port may be of a service: that of its main process, or one of `others`.

    The first socket of a process has its number as port. If no socket has any of these ports, it may be.
    """
    known = {_main_process(host, service), *others} & open_ports()
    return port in known or not known


def _main_process(host: Host, service: str) -> int:
    command = ("systemctl", "show", "--property=MainPID", "--value", f"{service}.service")
    try:
        return int(host.run(*command, changes=False).strip() or 0)
    except (HostError, ValueError):
        return 0
