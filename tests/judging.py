"""What tests of interruptions look at: a host's links, what the kernel tells of them, and the verdict."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests import watch
from tests.scratch import end_with_parent

LINK_SCOPE = 253
TENTATIVE = 0x40  # IFA_F_TENTATIVE
_LOCAL_TABLE = 255
THOROUGH = bool(os.environ.get("MULTINIC_TEST_THOROUGH"))
"""Try every moment with and without systemd's clean-up; else some, by turns with one of the two."""


def picked(moments: Sequence[Any], at_most: int) -> list[tuple[Any, bool]]:
    """Return so many of the moments, evenly spread, each with whether systemd cleans up after it."""
    if THOROUGH:
        return [(moment, recover) for moment in moments for recover in (True, False)]
    count = min(len(moments), at_most)
    spread = [moments[number * len(moments) // count] for number in range(count)]
    return [(moment, number % 2 == 0) for number, moment in enumerate(spread)]


def links_of(ip: Any) -> dict[str, Any]:
    """Return all links, routes and rules of a network namespace, without addresses of the kernel's making."""
    found: dict[str, Any] = {}
    for link in ip.get_links():
        found[f"link {link['index']}"] = {
            "name": link.get_attr("IFLA_IFNAME"),
            "mac": link.get_attr("IFLA_ADDRESS"),
            "up": bool(link["flags"] & 1),
            "mtu": link.get_attr("IFLA_MTU"),
            "altnames": altnames_of(link),
            "addresses": [],
        }
    # Sorted: of the order only matters which one of a subnet is the first, and that is among the flags.
    for address in sorted(ip.get_addr(), key=lambda address: address.get_attr("IFA_ADDRESS")):
        if address["scope"] != LINK_SCOPE:
            text = f"{address.get_attr('IFA_ADDRESS')}/{address['prefixlen']}"
            flags = address.get_attr("IFA_FLAGS") & ~TENTATIVE  # that goes in the kernel's own time
            line = f"{text} scope {address['scope']} flags {flags:x}"
            found[f"link {address['index']}"]["addresses"].append(line)
    found["routes"] = sorted(_route(route) for route in routes_of(ip))
    found["rules"] = sorted(
        f"{rule.get_attr('FRA_PRIORITY')} {rule.get_attr('FRA_SRC')} {rule.get_attr('FRA_TABLE')}"
        for rule in ip.get_rules()
    )
    return found


def altnames_of(link: Any) -> list[str]:
    """Return the alternative names of a link in a dump."""
    names = link.get_attr("IFLA_PROP_LIST")
    return sorted(names.get_attrs("IFLA_ALT_IFNAME")) if names else []


def routes_of(ip: Any) -> list[Any]:
    """Return the routes but those that follow from addresses: of the local table, multicast, link-local."""
    return [
        route
        for family in (socket.AF_INET, socket.AF_INET6)
        for route in ip.get_routes(family=family)
        if route.get_attr("RTA_TABLE") != _LOCAL_TABLE
        and not (route.get_attr("RTA_DST") or "").startswith(("fe80", "ff00"))
    ]


def _route(route: Any) -> str:
    parts = ("DST", "GATEWAY", "OIF", "TABLE", "PRIORITY", "PREFSRC")
    text = " ".join(f"{part.lower()} {route.get_attr(f'RTA_{part}')}" for part in parts)
    return f"{text} length {route['dst_len']} proto {route['proto']} type {route['type']}"


def files_below(root: Path) -> dict[str, str]:
    """Return mode and content of all files below a root but the program's memory; and what is left over."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and not name.startswith(("var/lib/multinic/", "run/multinic/")):
            found[name] = f"{path.stat().st_mode:o} {path.read_text()}"
        if path.name == "checkpoint.json" or path.name.endswith("-tmp"):
            found[name] = "left over"
    return found


class Witness:
    """Listens to what the kernel reports of all links but the ports' far ends."""

    def __init__(self) -> None:
        self._listener = watch.Listener()

    def events(self) -> list[str]:
        """Return what was reported since the last call."""
        events = self._listener.events()
        return [" ".join(event.values()) for event in events if not event["link"].startswith("far")]

    def of_others(self) -> list[str]:
        """Return those of them that are of the link of somebody else, or of no link."""
        return [line for line in self.events() if line.split(" ")[1] in ("eth0", "lo", "")]


def named(found: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return "old" or "new", or in which way it is neither."""
    if found == old:
        return "old"
    if found == new:
        return "new"
    lines = [
        f"{key}: {found.get(key)!r}\n    old: {old.get(key)!r}\n    new: {new.get(key)!r}"
        for key in sorted({*found, *old, *new})
        if found.get(key) not in (old.get(key), new.get(key))
    ]
    return "a third state:\n  " + "\n  ".join(lines or ["parts of both"])


def in_child(work: Callable[[], Any]) -> Any:
    """Return what `work` returns, done in a child of this process: it may leave its namespace."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        end_with_parent()
        os.close(reading)
        try:
            answer = {"answer": work()}
        except BaseException:  # noqa: BLE001 - raised by the parent
            answer = {"error": traceback.format_exc()}
        with open(writing, "w") as stream:
            json.dump(answer, stream)
        os._exit(0)
    os.close(writing)
    with open(reading) as stream:
        answer = json.loads(stream.read() or '{"error": "it died"}')
    os.waitpid(child, 0)
    if "error" in answer:
        raise AssertionError(answer["error"])
    return answer["answer"]


def judge_all(todo: Sequence[Any], judge: Callable[[Any, Path], dict[str, Any]], directory: Path) -> NoReturn:
    """Judge cases, several at a time, each in a child with a directory; print one JSON line a case."""
    workers = min(os.cpu_count() or 1, 4)
    children = [_worker(todo[number::workers], judge, directory / str(number)) for number in range(workers)]
    statuses = [os.waitpid(child, 0)[1] for child in children]
    sys.exit(1 if any(statuses) else 0)


def _worker(todo: Sequence[Any], judge: Callable[[Any, Path], dict[str, Any]], directory: Path) -> int:
    if child := os.fork():
        return child
    end_with_parent()
    status = 1
    try:
        for number, case in enumerate(todo):
            place = directory / str(number)
            found = in_child(lambda case=case, place=place: judge(case, place))
            shutil.rmtree(place)
            os.write(1, (json.dumps(found) + "\n").encode())  # at once, so that lines do not mix
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may go on as if it were the parent
        traceback.print_exc()
    finally:
        os._exit(status)
