"""Who else may configure our links: cloud-init, files of others, other network services, networkd itself."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping

from multinic.backend.detect import NETPLAN_SOURCES, NETWORK_MANAGER, NETWORKD, running
from multinic.doctor.finding import Finding, Level, Seen
from multinic.doctor.interfaces import ours
from multinic.host import Host
from multinic.observe import surroundings
from multinic.routing import ROUTE_PROTOCOL

_RULES = "/etc/udev/rules.d"
_HOTPLUG = "cloud-init-hook-hotplug.rules"
_NETWORKD_DIRECTORIES = ("/usr/lib/systemd", "/run/systemd", "/etc/systemd")  # the later weigh more
_NETWORK_FILES = ("/run/systemd/network", "/etc/systemd/network")
_GLOB = re.compile(r"[*?\[]")
_OF_NETPLAN = re.compile(r"""(?m)^\s*(?:match:\s*\{.*?)?name:\s*(\[.*?\]|"[^"]*"|'[^']*'|[^\s#,}]+)""")
# RTPROT_ of linux/rtnetlink.h: kernel, static, router advertisement, DHCP; networkd removes what has others.
_NOT_FOREIGN = {2, 4, 9, 16, ROUTE_PROTOCOL}
_DEFAULT_RULES = {0, 32766, 32767}  # their priorities; an old kernel does not tell whose they are
_DROP_IN = (
    "write /etc/systemd/networkd.conf.d/multinic.conf with [Network], ManageForeignRoutingPolicyRules=no and "
    "ManageForeignRoutes=no, then restart systemd-networkd"
)


def cloud_init(seen: Seen) -> Iterator[Finding]:
    """Look for cloud-init's own handling of NICs that are plugged in."""
    rules = [name for name in seen.host.names(_RULES) if name.endswith(_HOTPLUG)]
    if rules:
        words = f"cloud-init configures NICs that are plugged in, too ({_RULES}/{rules[0]})"
        hint = "take hotplug out of updates.network.when in /etc/cloud/cloud.cfg.d, and remove that file"
        yield Finding("cloud-init", Level.PROBLEM, words, hint)
    elif seen.host.present("/etc/cloud/cloud.cfg"):
        yield Finding("cloud-init", Level.OK, "cloud-init leaves NICs alone that are plugged in")


def owners(seen: Seen) -> Iterator[Finding]:
    """Ask the services that run whether one that is not our backend's configures a link of ours."""
    if seen.view is None:
        return
    service = seen.view.backend.NAME
    found = False
    for index, name in sorted(ours(seen).items()):
        by_networkd = _of_networkd(seen.host, index)
        if by_networkd and "multinic" not in by_networkd:
            found = True
            words = f"systemd-networkd configures {name} by {by_networkd}, which is not ours"
            yield Finding("owners", Level.PROBLEM, words, "make that file match other links only")
        if service != "networkmanager" and _of_network_manager(seen.host, index):
            found = True
            words = f"NetworkManager configures {name}, too"
            hint = "add unmanaged-devices=interface-name:multinic* below [keyfile] in its configuration"
            yield Finding("owners", Level.PROBLEM, words, hint)
    for path, text in sorted(seen.view.observed.foreign.items()):
        for name in sorted(set(re.findall(r"(?m)^\s+['\"]?(multinic[0-9]+)['\"]?:", text))):
            if path.startswith(NETPLAN_SOURCES):
                found = True
                words = f"{path} speaks of {name}: netplan puts it together with our file of that name"
                yield Finding("owners", Level.PROBLEM, words, "take it out of there")
    for path, name, other in _named_by_rules(seen):
        found = True
        words = f"{path} calls the link of {name} {other}: at boot udev obeys that, and not our file"
        yield Finding("owners", Level.PROBLEM, words, "remove that line")
    if not found and ours(seen):
        yield Finding("owners", Level.OK, "nobody else configures our links")


def _named_by_rules(seen: Seen) -> Iterator[tuple[str, str, str]]:
    """Yield the udev rules that give a MAC address of ours another name: path, our name, theirs."""
    names = {str(i.mac): i.name for i in seen.view.plan.interfaces if i.name} if seen.view else {}
    for file in (name for name in seen.host.names(_RULES) if name.endswith(".rules")):
        for line in (seen.host.read(f"{_RULES}/{file}", follow=True) or "").lower().splitlines():
            mac, given = (
                re.search(r'address\}=="([0-9a-f:]{17})"', line),
                re.search(r'\bname:?="([^"]+)"', line),
            )
            if mac and given and not line.startswith("#") and names.get(mac[1], given[1]) != given[1]:
                yield f"{_RULES}/{file}", names[mac[1]], given[1]


def _of_networkd(host: Host, index: int) -> str:
    """Return the .network file by which networkd configures a link; "" for none."""
    if not running(host, NETWORKD):
        return ""
    state = host.read(f"/run/systemd/netif/links/{index}") or ""
    file = re.search(r"(?m)^NETWORK_FILE=(.+)$", state)
    return file[1] if file and not re.search(r"(?m)^ADMIN_STATE=unmanaged", state) else ""


def _of_network_manager(host: Host, index: int) -> bool:
    if not running(host, NETWORK_MANAGER):
        return False
    return bool(
        re.search(r"(?m)^connection-uuid=\S", host.read(f"/run/NetworkManager/devices/{index}") or "")
    )


def patterns(seen: Seen) -> Iterator[Finding]:
    """Look for configuration that takes every link of a kind, such as `match: {name: "en*"}`."""
    if running(seen.host, NETWORK_MANAGER) and not _no_auto_default(seen.host):
        words = (
            "NetworkManager makes a connection with DHCP for every NIC that is plugged in, also without a row"
        )
        hint = (
            "write [main] and no-auto-default=* to /etc/NetworkManager/conf.d/multinic.conf, then reload it"
        )
        yield Finding("patterns", Level.WARNING, words, hint)
    if seen.view is None:
        return
    names = {"ens9", "enp9s0", "eth9"}  # what a NIC that is plugged in next may be called
    names.update(held.name_before for held in seen.view.memory.links.values() if held.name_before)
    names.update(i.link.name for i in seen.view.plan.interfaces if i.link)
    for path, globs in sorted(_globs(seen.host, seen.view.observed.foreign).items()):
        hit = sorted({name for glob in globs for name in names if fnmatch.fnmatchcase(name, glob)})
        if any(fnmatch.fnmatchcase("multinic0", glob) for glob in globs):
            words = f"{path} takes every link that is called like {' '.join(globs)}: ours, too"
            yield Finding("patterns", Level.PROBLEM, words, "make it name the links that it is for")
        elif hit:
            words = (
                f"{path} takes every link that is called like {' '.join(globs)}, also a NIC without a row yet"
            )
            hint = "make it name the links that it is for, by MAC address or name"
            yield Finding("patterns", Level.WARNING, words, hint)


def _no_auto_default(host: Host) -> bool:
    """Return whether NetworkManager leaves NICs alone for which nobody wrote a connection."""
    paths = ["/etc/NetworkManager/NetworkManager.conf"]
    for directory in ("/usr/lib", "/run", "/etc"):
        names = host.names(f"{directory}/NetworkManager/conf.d")
        paths += [f"{directory}/NetworkManager/conf.d/{name}" for name in names if name.endswith(".conf")]
    texts = [host.read(path, follow=True) or "" for path in paths]
    return any(re.search(r"(?m)^\s*no-auto-default\s*\+?=.*\*", text) for text in texts)


def _globs(host: Host, foreign: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the patterns for names of links in netplan's and networkd's files of others."""
    found: dict[str, list[str]] = {}
    for path, text in foreign.items():
        if path.endswith(".yaml"):
            words = " ".join(re.sub(r"[\[\]\"',]", " ", match) for match in _OF_NETPLAN.findall(text))
            found[path] = [word for word in words.split() if _GLOB.search(word)]
    for directory in _NETWORK_FILES if running(host, NETWORKD) else ():
        for name in host.names(directory):
            if name.endswith(".network") and "multinic" not in name and "-netplan-" not in name:
                text = host.read(f"{directory}/{name}", follow=True) or ""
                match = re.search(r"(?ms)^\[Match\]$(.*?)(?=^\[|\Z)", text)
                names = re.findall(r"(?m)^Name=(.*)$", match[1]) if match else []
                found[f"{directory}/{name}"] = [
                    word for word in " ".join(names).split() if _GLOB.search(word)
                ]
    return {path: globs for path, globs in found.items() if globs}


def foreign_routes(seen: Seen) -> Iterator[Finding]:
    """Tell of routes and rules that networkd removes when it configures a link, unless it is told not to."""
    if not running(seen.host, NETWORKD):
        return
    rules, routes = _manages_foreign(seen.host)
    around = surroundings()
    at_stake = []
    foreign = [r for r in around.rules if r.protocol not in _NOT_FOREIGN]
    if rules and (count := sum(1 for found in foreign if found.rule.priority not in _DEFAULT_RULES)):
        at_stake.append(f"{count} policy rules")
    if routes and (count := sum(1 for route in around.routes if route.protocol not in _NOT_FOREIGN)):
        at_stake.append(f"{count} routes")
    if at_stake:
        words = (
            f"systemd-networkd may remove {' and '.join(at_stake)} of others whenever it configures a link; "
            "multinic gives them back, but not what is lost between its passes"
        )
        yield Finding("foreign-routes", Level.WARNING, words, _DROP_IN)
    else:
        yield Finding(
            "foreign-routes", Level.OK, "systemd-networkd has no routes or rules of others to remove"
        )


def _manages_foreign(host: Host) -> tuple[bool, bool]:
    """Return whether networkd counts rules, and routes, of others as its own; it does unless told not to."""
    texts = [
        host.read(f"{directory}/networkd.conf", follow=True) or "" for directory in _NETWORKD_DIRECTORIES
    ]
    drop_ins: dict[str, str] = {}
    for directory in _NETWORKD_DIRECTORIES:
        for name in host.names(f"{directory}/networkd.conf.d"):
            if name.endswith(".conf"):
                drop_ins[name] = f"{directory}/networkd.conf.d/{name}"
    texts += [host.read(path, follow=True) or "" for _, path in sorted(drop_ins.items())]
    last = {
        key: value.lower()
        for text in texts
        for key, value in re.findall(r"(?m)^\s*(ManageForeign\w+)\s*=\s*(\w+)", text)
    }
    off = {"no", "false", "0", "off", "n", "f"}
    rules, routes = (last.get(f"ManageForeign{what}", "yes") for what in ("RoutingPolicyRules", "Routes"))
    return rules not in off, routes not in off
