"""netlink alone: no files, only the kernel. For hosts without a network service, demo and tests.

Its configuration ends with a reboot; the pass at boot configures everything again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multinic.backend import autoconf
from multinic.backend.base import Backend, Staged
from multinic.backend.steps import converge, free_and_rename
from multinic.host.host import Host
from multinic.kernel.faults import Faults
from multinic.kernel.links import Links
from multinic.kernel.set_properties import set_changed
from multinic.values.desired import DesiredLink
from multinic.values.plan import Interface, State


class Netlink(Backend):
    """Every host has it: it needs no network service."""

    name = "netlink"
    alone = True

    def lacks(self, host: Host) -> Mapping[str, str]:
        no_client = "netlink alone has no DHCP client"
        return {
            "dhcp4": no_client,
            "dhcp6": no_client,
            "dns": "netlink alone cannot configure the host's resolver",
            "lldp": "netlink alone has no LLDP receiver",
            "link_local.ipv4": "the kernel makes only IPv6 link-local addresses itself",
        }

    def properties(self, link: DesiredLink) -> Mapping[str, str]:
        return autoconf.sysctls(link)

    def may_own(self, host: Host, port: int) -> bool:
        return False  # there is no service

    def activate(
        self, host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
    ) -> None:
        free_and_rename(links, interfaces, faults)
        for interface in interfaces:
            if interface.state is not State.DELETE and interface.link and interface.key not in faults:
                with faults.of(interface):
                    # Before the link is up: then the kernel gives it addresses, and accepts advertisements.
                    set_changed(host, links, interface.link, interface.name, interface.changes)
                    _drop_link_local(links, interface)
                    converge(links, interface)


def _drop_link_local(links: Links, interface: Interface) -> None:
    """Remove the link-local address that the kernel gave a link before `addr_gen_mode` was changed."""
    link = interface.link
    forbidden = any(change.field == "addr_gen_mode" and change.new == "1" for change in interface.changes)
    for found in link.addresses if link and forbidden else ():
        if link and found.kernel and found.address.version == 6 and found.address.is_link_local:
            links.remove_address(link.index, interface.name, found.address)
