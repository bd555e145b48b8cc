"""netlink alone: no files, nothing but the kernel. For hosts without a network service, demo and tests.

What it configures is gone after a reboot; the boot-time run of multinic puts it there again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multinic.backend import Render, Staged
from multinic.configure import converge, release, tune
from multinic.host import Host
from multinic.links import Faults, Links
from multinic.model import DesiredLink
from multinic.plan import Interface, State

NAME = "netlink"


def unusable(host: Host) -> str:  # noqa: ARG001
    """Return "": every kernel speaks netlink."""
    return ""


def mode(path: str) -> int:  # noqa: ARG001
    """Return 0600; there is no such file."""
    return 0o600


def lacks(host: Host) -> Mapping[str, str]:  # noqa: ARG001
    """Return what needs a service that runs all the time."""
    no_client = "netlink alone has no DHCP client"
    return {
        "dhcp4": no_client,
        "dhcp6": no_client,
        "dns": "netlink alone does not speak to the host's resolver",
        "link_local.ipv4": "the kernel gives itself IPv6 link-local addresses only",
    }


def tuning(link: DesiredLink) -> Mapping[str, str]:
    """Return what keeps routers and the kernel from adding addresses and routes that nobody asked for.

    Values of Documentation/networking/ip-sysctl.rst.
    """
    options = link.options
    found = {"addr_gen_mode": "0" if 6 in link.link_local else "1"}  # 0: EUI-64, 1: none
    if not options.accept_ra:
        return found | {"accept_ra": "0"}
    found |= {"accept_ra": "2", "autoconf": "1"}  # 2: on a router too, which every Kubernetes node is
    if not options.default_route:
        return found | {"accept_ra_defrtr": "0"}
    metric = {} if options.metric is None else {"ra_defrtr_metric": str(options.metric)}
    return found | {"accept_ra_defrtr": "1"} | metric


def files(name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:  # noqa: ARG001
    """Return no files."""
    return {}


def slot_of_file(path: str) -> int | None:  # noqa: ARG001
    """Return None: no file is ours."""
    return None


def managed(host: Host) -> Sequence[str]:  # noqa: ARG001
    """Return nothing."""
    return ()


def foreign(host: Host) -> Sequence[str]:  # noqa: ARG001
    """Return nothing: nobody else configures such a host."""
    return ()


def watched(host: Host) -> Sequence[str]:  # noqa: ARG001
    """Return nothing."""
    return ()


def stage(host: Host, interfaces: Sequence[Interface]) -> Staged:  # noqa: ARG001
    """There is nothing to try out."""
    return Staged()


def activate(
    host: Host,
    links: Links,
    interfaces: Sequence[Interface],
    staged: Staged,  # noqa: ARG001
    faults: Faults,
) -> None:
    """Free what is removed, rename, then configure every link."""
    release(links, interfaces, faults)
    for interface in interfaces:
        if interface.state is not State.DELETE and interface.link and interface.key not in faults:
            with faults.of(interface):
                # Before the link is up: then the kernel gives it addresses, and listens to routers.
                tune(host, links, interface.link, interface.name, interface.changes)
                _drop_link_local(links, interface)
                converge(links, interface)


def _drop_link_local(links: Links, interface: Interface) -> None:
    """Remove the address that the kernel gave a link while it was told to."""
    link = interface.link
    told = any(change.field == "addr_gen_mode" and change.new == "1" for change in interface.changes)
    for found in link.addresses if link and told else ():
        if link and found.kernel and found.address.version == 6 and found.address.is_link_local:
            links.remove_address(link.index, interface.name, found.address)


def reload(host: Host, names: Sequence[str]) -> None:
    """Nothing reads files."""
