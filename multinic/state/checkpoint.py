"""How interfaces were before a change: saved on disk first, put back exactly, also after a crash."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from multinic.configure import primaries, put_back, tune_back
from multinic.errors import HostError
from multinic.fields import FIELDS
from multinic.host import Host
from multinic.links import Links, kept
from multinic.model import ObservedLink, ObservedRoute, ObservedRule, Rule
from multinic.paths import CHECKPOINT, LAST_CHECKPOINT
from multinic.plan import Interface
from multinic.saved import Checkpoint, Saved, document, from_document
from multinic.witness import Surroundings

_KERNEL_ROUTES = (2, 9, 16)  # RTPROT_KERNEL, RA, DHCP: they follow from addresses, routers and leases
_SETTLE = 5.0  # seconds for a network service to stop working on a link we put back


def take(
    host: Host,
    backend: str,
    interfaces: Iterable[Interface],
    around: Surroundings,
    runtime_paths: Callable[[str], Collection[str]],
) -> Checkpoint:
    """Save how the interfaces of a plan are now; it is on disk when this returns."""
    saved = tuple(
        Saved(
            key=interface.key,
            name=interface.name,
            mac=interface.mac,
            held=interface.held,
            files={
                path: host.file(path)
                for path in sorted({c.path for c in interface.files} | set(runtime_paths(interface.name)))
            },
            link=interface.link,
            routes=_routes(interface.link, around.routes),
            rules=tuple(rule for rule in around.rules if rule.rule in _rules(interface)),
            our_rules=_rules(interface),
            tuning={**interface.noted, **{c.field: c.old for c in interface.changes if c.field in FIELDS}},
        )
        for interface in interfaces
    )
    checkpoint = Checkpoint(backend, saved)
    host.write(CHECKPOINT, json.dumps(document(checkpoint)), 0o600)
    return checkpoint


def _routes(link: ObservedLink | None, routes: Sequence[ObservedRoute]) -> tuple[ObservedRoute, ...]:
    return tuple(
        route
        for route in routes
        if link is not None and route.link == link.index and route.protocol not in _KERNEL_ROUTES
    )


def _rules(interface: Interface) -> tuple[Rule, ...]:
    wanted = interface.desired.rules if interface.desired else ()
    return tuple(dict.fromkeys([*wanted, *(found.rule for found in interface.stale_rules)]))


def commit(host: Host) -> None:
    """Finish the change: its checkpoint is now for `multinic rollback` only."""
    host.rename(CHECKPOINT, LAST_CHECKPOINT)


def reopen(host: Host) -> None:
    """Begin to undo the last finished change: whoever comes next will go on if we are interrupted."""
    host.rename(LAST_CHECKPOINT, CHECKPOINT)


def discard(host: Host) -> None:
    """Finish a change that is undone: there is nothing left to put back."""
    host.remove(CHECKPOINT)


def load(host: Host, path: str) -> Checkpoint | None:
    """Return a checkpoint from disk, None if there is none. Raises HostError for a damaged one."""
    text = host.read(path)
    if text is None:
        return None
    try:
        return from_document(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as e:
        raise HostError(
            f"the checkpoint {path} is damaged: {e}",
            f"look at the host's links and files, then remove {path}",
        ) from e


def restore(
    host: Host,
    links: Links,
    saved: Sequence[Saved],
    *,
    reload: Callable[[Sequence[str]], None],
    observe: Callable[[], Surroundings],
) -> None:
    """Put interfaces back: files, names, then, once the backend has read the files, the rest.

    What goes wrong with one does not keep the others; the first error is raised at the end.
    """
    faults: list[HostError] = []
    for interface in saved:
        for path, file in interface.files.items():
            with kept(faults):
                host.restore(path, file)
    faults += _names_back(links, saved, observe().links)
    with kept(faults):
        reload(_names(saved))
    end = time.monotonic() + _SETTLE
    while True:
        around = observe()
        now, routes = {link.index: link for link in around.links}, set(around.routes)
        errors: list[HostError] = []
        different = False
        for interface in saved:
            with kept(errors):
                different |= _put_back_rules(links, interface, around.rules)
            link = _same_link(interface.link, now)
            if not interface.link or not link:
                continue
            with kept(errors):
                tune_back(host, links, link, interface.tuning)
            lost = [route for route in interface.routes if route not in routes]
            new = [route for route in _routes(link, around.routes) if route not in interface.routes]
            if lost or new or _differs(interface.link, link):
                different = True
                with kept(errors):
                    for route in new:
                        links.remove_route(link.name, route)
                    put_back(links, interface.link, link, interface.routes)
        if not different or time.monotonic() > end:
            break
        time.sleep(0.05)
    for error in faults + errors:
        raise error


def _names(saved: Iterable[Saved]) -> list[str]:
    """Return what interfaces and their links were called before the change, and after it."""
    before = [interface.link.name for interface in saved if interface.link]
    return sorted({*before, *(interface.name for interface in saved if interface.name)})


def _put_back_rules(links: Links, saved: Saved, present: Sequence[ObservedRule]) -> bool:
    """Make the rules of one interface as they were; return whether there was anything to do."""
    new = [rule for rule in present if rule.rule in saved.our_rules and rule not in saved.rules]
    lost = [rule for rule in saved.rules if rule not in present]
    for rule in new:
        links.remove_rule(rule)
    for rule in lost:
        links.add_rule(rule)
    return bool(new or lost)


def _names_back(
    links: Links, saved: Sequence[Saved], observed: Sequence[ObservedLink]
) -> Sequence[HostError]:
    now = {link.index: link for link in observed}
    wanted: dict[int, tuple[str, str]] = {}
    for interface in saved:
        link = _same_link(interface.link, now)
        if interface.link and link and link.name != interface.link.name:
            wanted[link.index] = (link.name, interface.link.name)
    return list(links.rename_all(wanted).values())


def _same_link(before: ObservedLink | None, now: Mapping[int, ObservedLink]) -> ObservedLink | None:
    """Return the link as it is now, unless it is gone and its number belongs to another one."""
    link = now.get(before.index) if before else None
    return link if link and before and link.mac == before.mac else None


def _differs(before: ObservedLink, now: ObservedLink) -> bool:
    return _compared(before) != _compared(now) or not set(before.altnames) <= set(now.altnames)


def _compared(link: ObservedLink) -> tuple[object, ...]:
    addresses = frozenset(found.address for found in link.addresses if not found.kernel)
    return (link.name, link.up, link.mtu, addresses, primaries(link))
