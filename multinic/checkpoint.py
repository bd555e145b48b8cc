"""How interfaces were before a change: saved on disk first, put back exactly, also after a crash."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from multinic.errors import HostError
from multinic.host import File, Host
from multinic.links import Links, kept, primaries, put_back
from multinic.model import Held, Mac, ObservedAddress, ObservedLink, ObservedRoute
from multinic.paths import CHECKPOINT, LAST_CHECKPOINT
from multinic.plan import Interface
from multinic.record import held_document, held_from
from multinic.witness import Surroundings

_VERSION = 1
_KERNEL_ROUTES = (2, 9)  # RTPROT_KERNEL, RTPROT_RA: made by the kernel itself
_SETTLE = 5.0  # seconds for a network service to stop working on a link we put back


@dataclass(frozen=True)
class Saved:
    """One interface before the change."""

    key: str
    name: str
    mac: Mac | None
    held: Held | None
    """What the host remembered of it."""
    files: Mapping[str, File | None]
    link: ObservedLink | None
    routes: tuple[ObservedRoute, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """All interfaces of one change, and the backend that made it."""

    backend: str
    interfaces: tuple[Saved, ...]


def take(
    host: Host,
    backend: str,
    interfaces: Iterable[Interface],
    routes: Iterable[ObservedRoute],
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
            routes=_routes(interface.link, tuple(routes)),
        )
        for interface in interfaces
    )
    checkpoint = Checkpoint(backend, saved)
    host.write(CHECKPOINT, json.dumps(_document(checkpoint)), 0o600)
    return checkpoint


def _routes(link: ObservedLink | None, routes: Sequence[ObservedRoute]) -> tuple[ObservedRoute, ...]:
    return tuple(
        route
        for route in routes
        if link is not None and route.link == link.index and route.protocol not in _KERNEL_ROUTES
    )


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
        return _from_document(json.loads(text))
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
            link = _same_link(interface.link, now)
            if not interface.link or not link:
                continue
            lost = [route for route in interface.routes if route not in routes]
            if lost or _differs(interface.link, link):
                different = True
                with kept(errors):
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


def _document(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "boot": _boot(),
        "backend": checkpoint.backend,
        "interfaces": [
            {
                "key": saved.key,
                "name": saved.name,
                "mac": str(saved.mac) if saved.mac else None,
                "held": held_document(saved.held) if saved.held else None,
                "files": {path: _file_document(file) for path, file in saved.files.items()},
                "link": _link_document(saved.link),
                "routes": [_route_document(route) for route in saved.routes],
            }
            for saved in checkpoint.interfaces
        ],
    }


def _boot() -> str:
    """Return what identifies the running kernel's boot."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def _file_document(file: File | None) -> dict[str, Any] | None:
    if file is None:
        return None
    content = base64.b64encode(file.content).decode("ascii")
    return {"content": content, "mode": file.mode, "uid": file.uid, "gid": file.gid}


def _route_document(route: ObservedRoute) -> list[Any]:
    via = str(route.via) if route.via else None
    return [str(route.to), via, route.link, route.table, route.metric, route.protocol, route.raw.hex()]


def _link_document(link: ObservedLink | None) -> dict[str, Any] | None:
    if link is None:
        return None
    return {
        "index": link.index,
        "name": link.name,
        "mac": str(link.mac) if link.mac else None,
        "up": link.up,
        "mtu": link.mtu,
        "altnames": list(link.altnames),
        "addresses": [[str(found.address), found.kernel, found.raw.hex()] for found in link.addresses],
    }


def _from_document(document: Mapping[str, Any]) -> Checkpoint:
    if document["version"] != _VERSION:
        raise ValueError(f"unknown version {document['version']}")
    # After a reboot links are as the boot made them of the files; then only the files are put back.
    same_boot = document["boot"] == _boot()
    return Checkpoint(
        backend=str(document["backend"]),
        interfaces=tuple(
            Saved(
                key=item["key"],
                name=item["name"],
                mac=Mac(item["mac"]) if item["mac"] else None,
                held=None if item["held"] is None else held_from(item["held"]),
                files={path: _file_from(file) for path, file in item["files"].items()},
                link=_link_from(item["link"]) if same_boot else None,
                routes=tuple(_route_from(*route) for route in item["routes"]),
            )
            for item in document["interfaces"]
        ),
    )


def _file_from(item: Mapping[str, Any] | None) -> File | None:
    if item is None:
        return None
    return File(base64.b64decode(item["content"]), item["mode"], item["uid"], item["gid"])


def _route_from(
    to: str, via: str | None, link: int, table: int, metric: int, protocol: int, raw: str
) -> ObservedRoute:
    gateway = ip_address(via) if via else None
    return ObservedRoute(ip_network(to), gateway, link, table, metric, protocol, bytes.fromhex(raw))


def _link_from(item: Mapping[str, Any] | None) -> ObservedLink | None:
    if item is None:
        return None
    return ObservedLink(
        index=item["index"],
        name=item["name"],
        mac=Mac(item["mac"]) if item["mac"] else None,
        up=item["up"],
        mtu=item["mtu"],
        altnames=tuple(item["altnames"]),
        addresses=tuple(
            ObservedAddress(ip_interface(address), kernel=kernel, raw=bytes.fromhex(raw))
            for address, kernel, raw in item["addresses"]
        ),
    )
