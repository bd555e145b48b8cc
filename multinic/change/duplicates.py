"""Ask, before a new IPv4 address is put on a link, whether another machine has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Interface

from multinic.backend.base import Staged
from multinic.change.saving import ApplyContext, all_or_nothing
from multinic.kernel import arp, observe
from multinic.kernel.faults import Faults
from multinic.kernel.links import Links
from multinic.kernel.pyroute import iproute
from multinic.state import checkpoint
from multinic.values.observed import Surroundings
from multinic.values.plan import Interface, State


def claimed(
    context: ApplyContext, interfaces: Sequence[Interface], meanwhile: Callable[[], object]
) -> dict[str, str]:
    """Return the interfaces that ask for an IPv4 address of another machine: key → words.

    A link that is down is set up for that, and down again: the kernel then forgets what routers and itself
    have put on it meanwhile. `meanwhile` is called if somebody is asked, while there may be answers. Raises
    HostError.
    """
    probes = {i.key: _probes(i) for i in interfaces}
    asking = [i for i in interfaces if probes[i.key]]
    if not asking:
        return {}
    around = observe.surroundings()
    sleeping = [i for i in asking if i.link is not None and not i.link.up]
    if not sleeping:
        return _asked_or_warned(context, asking, around, meanwhile)
    saving = all_or_nothing(context, sleeping, around, Staged(), finish=checkpoint.discard)
    with saving, Links(context.host) as links:
        faults = Faults()  # a link that vanishes stops no other, and fails by what is done to it next
        for interface in sleeping:
            with faults.of(interface):
                _set(links, interface, up=True)
        found = _asked_or_warned(context, asking, around, meanwhile)
        for interface in sleeping:
            with faults.of(interface):
                _set(links, interface, up=False)
    return found


def refused(context: ApplyContext, left: Sequence[Interface]) -> dict[str, str]:
    """Return which interfaces lack an IPv4 address because their service has found it on another machine.

    Such a service leaves the address out, and says so in its own log alone: so the network is asked again.
    """
    asking = [i for i in left if _probes(i)] if context.backend.leaves_duplicates_out else []
    try:
        return _asked(asking, observe.surroundings()) if asking else {}
    except arp.CannotAskError:
        return {}


def _set(links: Links, interface: Interface, *, up: bool) -> None:
    if interface.link is not None:
        (links.up if up else links.down)(interface.link.index, interface.link.name)


def _probes(interface: Interface) -> list[arp.Probe]:
    """Return what to ask for an interface: its IPv4 addresses that its link does not have yet."""
    link, wish = interface.link, interface.desired
    if link is None or link.mac is None or wish is None or interface.state is State.DELETE:
        return []
    present = {found.address.ip for found in link.addresses}
    return [
        arp.Probe(link.name, link.mac, address.ip)
        for address in wish.addresses
        if isinstance(address, IPv4Interface) and address.ip not in present
    ]


def _asked_or_warned(
    context: ApplyContext,
    asking: Sequence[Interface],
    around: Surroundings,
    meanwhile: Callable[[], object],
) -> dict[str, str]:
    def prepare() -> None:
        iproute()  # which the change will need
        meanwhile()

    try:
        return _asked(asking, around, prepare)
    except arp.CannotAskError as e:
        words = f"cannot ask by ARP whether another machine has an address: {e}"
        context.log.warning(words, hint="run with CAP_NET_RAW, or set safety.probe_addresses = false")
        return {}


def _asked(
    asking: Sequence[Interface], around: Surroundings, meanwhile: Callable[[], object] = lambda: None
) -> dict[str, str]:
    """Return the interfaces of which another machine has an address: key → words. Raises CannotAskError."""
    own = {str(mac) for link in around.links for mac in (link.mac, link.permanent_mac) if mac}
    probes = {probe: i.key for i in asking for probe in _probes(i)}
    return {
        probes[probe]: f"{probe.address} is in use by another machine on that network ({owner})"
        for probe, owner in arp.claimed(probes, own, meanwhile).items()
    }
