"""Checks of other programs that may configure our links: cloud-init, network services, and their files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping

from multinic.backend import nmcli
from multinic.backend.detect import NETPLAN_SOURCES, NETWORK_MANAGER, NETWORKD, running
from multinic.decide.routing import ROUTE_PROTOCOL
from multinic.doctor.finding import Examination, Finding, Level
from multinic.doctor.interfaces import our_links
from multinic.host.host import Host
from multinic.kernel.observe import surroundings
from multinic.values.errors import CommandFailed
from multinic.values.rtnetlink import PROTOCOL_STATIC, RECEIVED
from multinic.values.text import counted

_RULES = "/etc/udev/rules.d"
_HOTPLUG = "cloud-init-hook-hotplug.rules"
_NETWORKD_DIRECTORIES = ("/usr/lib/systemd", "/run/systemd", "/etc/systemd")  # the later ones override
_NETWORK_FILES = ("/run/systemd/network", "/etc/systemd/network")
_GLOB = re.compile(r"[*?\[]")
_OF_NETPLAN = re.compile(r"""(?m)^\s*(?:match:\s*\{.*?)?name:\s*(\[.*?\]|"[^"]*"|'[^']*'|[^\s#,}]+)""")
# networkd removes routes and rules with any other protocol.
_NOT_FOREIGN = RECEIVED | {PROTOCOL_STATIC, ROUTE_PROTOCOL}
_DEFAULT_RULES = {0, 32766, 32767}  # their priorities; an old kernel does not report their protocol
_DROP_IN = (
    "write /etc/systemd/networkd.conf.d/multinic.conf with [Network], ManageForeignRoutingPolicyRules=no and "
    "ManageForeignRoutes=no, then restart systemd-networkd"
)


def cloud_init(seen: Examination) -> Iterator[Finding]:
    """Check that cloud-init does not configure NICs that are plugged in."""
    rules = [name for name in seen.host.names(_RULES) if name.endswith(_HOTPLUG)]
    if rules:
        words = f"cloud-init also configures NICs that are plugged in ({_RULES}/{rules[0]})"
        hint = "take hotplug out of updates.network.when in /etc/cloud/cloud.cfg.d, and remove that file"
        yield Finding("cloud-init", Level.PROBLEM, words, hint)
    elif seen.host.present("/etc/cloud/cloud.cfg"):
        yield Finding("cloud-init", Level.OK, "cloud-init does not configure NICs that are plugged in")


def owners(seen: Examination) -> Iterator[Finding]:
    """Check that no other service, file or udev rule configures a link of ours."""
    if seen.view is None:
        return
    service = seen.view.backend.name
    found = False
    for index, name in sorted(our_links(seen).items()):
        by_networkd = _of_networkd(seen.host, index)
        if by_networkd and "multinic" not in by_networkd:
            found = True
            words = f"systemd-networkd configures {name} by {by_networkd}, which is not ours"
            yield Finding("owners", Level.PROBLEM, words, "make that file match other links only")
        if service != "networkmanager" and _of_network_manager(seen.host, index):
            found = True
            words = f"NetworkManager also configures {name}"
            hint = "add unmanaged-devices=interface-name:multinic* below [keyfile] in its configuration"
            yield Finding("owners", Level.PROBLEM, words, hint)
    for name in sorted(_left_alone(seen, service)):
        found = True
        words = f"NetworkManager leaves {name} alone (unmanaged): its connection cannot come up"
        yield Finding("owners", Level.PROBLEM, words, nmcli.UNMANAGED_HINT)
    for path, text in sorted(seen.view.observed.foreign.items()):
        for name in sorted(set(re.findall(r"(?m)^\s+['\"]?(multinic[0-9]+)['\"]?:", text))):
            if path.startswith(NETPLAN_SOURCES):
                found = True
                words = f"{path} names {name}: netplan merges it with our file of that name"
                yield Finding("owners", Level.PROBLEM, words, "remove that interface from the file")
    for path, name, other in _named_by_rules(seen):
        found = True
        words = f"{path} gives the link of {name} the name {other}: at boot udev follows it, not our file"
        yield Finding("owners", Level.PROBLEM, words, "remove that line")
    if not found and our_links(seen):
        yield Finding("owners", Level.OK, "no other program configures our links")


def _left_alone(seen: Examination, service: str) -> set[str]:
    """Return the links of ours that NetworkManager does not manage, where it should."""
    if service != "networkmanager":
        return set()
    try:
        return nmcli.unmanaged(seen.host) & set(our_links(seen).values())
    except CommandFailed:
        return set()  # the check of the backend says it


def _named_by_rules(seen: Examination) -> Iterator[tuple[str, str, str]]:
    """Yield the udev rules that give a link of ours another name: path, our name, the other name."""
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
    """Return the .network file with which networkd configures a link; "" for none."""
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


def patterns(seen: Examination) -> Iterator[Finding]:
    """Look for configuration that matches every link of a kind, such as `match: {name: "en*"}`."""
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
    names = {"ens9", "enp9s0", "eth9"}  # possible names of the next NIC that is plugged in
    names.update(entry.name_before for entry in seen.view.record.entries.values() if entry.name_before)
    names.update(i.link.name for i in seen.view.plan.interfaces if i.link)
    for path, globs in sorted(_globs(seen.host, seen.view.observed.foreign).items()):
        hit = sorted({name for glob in globs for name in names if fnmatch.fnmatchcase(name, glob)})
        if any(fnmatch.fnmatchcase("multinic0", glob) for glob in globs):
            words = f"{path} matches every link with a name like {' '.join(globs)}, also ours"
            yield Finding("patterns", Level.PROBLEM, words, "make it match only the links that it is for")
        elif hit:
            words = f"{path} matches every link with a name like {' '.join(globs)}, also a NIC without a row"
            hint = "make it match only the links that it is for, by MAC address or name"
            yield Finding("patterns", Level.WARNING, words, hint)


def _no_auto_default(host: Host) -> bool:
    """Return whether NetworkManager leaves NICs alone for which there is no connection."""
    paths = ["/etc/NetworkManager/NetworkManager.conf"]
    for directory in ("/usr/lib", "/run", "/etc"):
        names = host.names(f"{directory}/NetworkManager/conf.d")
        paths += [f"{directory}/NetworkManager/conf.d/{name}" for name in names if name.endswith(".conf")]
    texts = [host.read(path, follow=True) or "" for path in paths]
    return any(re.search(r"(?m)^\s*no-auto-default\s*\+?=.*\*", text) for text in texts)


def _globs(host: Host, foreign: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the patterns for link names in files of netplan and networkd that are not ours: by path."""
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


def foreign_routes(seen: Examination) -> Iterator[Finding]:
    """Report routes and rules of other programs that networkd removes when it configures a link."""
    if not running(seen.host, NETWORKD):
        return
    rules, routes = _manages_foreign(seen.host)
    around = surroundings()
    at_stake = []
    foreign = [r for r in around.rules if r.protocol not in _NOT_FOREIGN]
    if rules and (count := sum(1 for found in foreign if found.rule.priority not in _DEFAULT_RULES)):
        at_stake.append(counted(count, "policy rule"))
    if routes and (count := sum(1 for route in around.routes if route.protocol not in _NOT_FOREIGN)):
        at_stake.append(counted(count, "route"))
    if at_stake:
        words = (
            f"systemd-networkd may remove {' and '.join(at_stake)} of other programs when it configures a "
            "link; multinic gives back what is lost during its passes, but not between them"
        )
        yield Finding("foreign-routes", Level.WARNING, words, _DROP_IN)
    else:
        yield Finding(
            "foreign-routes", Level.OK, "there are no routes or rules that systemd-networkd would remove"
        )


def _manages_foreign(host: Host) -> tuple[bool, bool]:
    """Return whether networkd manages rules, and routes, of other programs; by default it does."""
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
