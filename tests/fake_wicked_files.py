"""How the fake wicked reads its files, as wicked 0.6.80 does: of much that is wrong it says nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

Config = dict[str, Any]

FLAGS = (
    *("default-route", "hostname", "dns", "nis", "ntp", "smb", "nds", "slp"),
    *("sip", "log", "mtu", "tz", "boot"),
)
"""What a client may update from an answer."""
MASKS = {
    "ipv4:dhcp": FLAGS,
    "ipv6:dhcp": ("hostname", "dns", "nis", "ntp", "sip", "tz", "boot"),
    "ipv6:auto": ("dns",),
}
"""The flags of each source of addresses: wicked drops all others."""
VARIABLES = {"ipv4:dhcp": "DHCLIENT", "ipv6:dhcp": "DHCLIENT6", "ipv6:auto": "AUTO6"}
SYSCTLS = ("addr_gen_mode", "accept_ra", "accept_dad", "autoconf", "disable_ipv6", "forwarding")
"""The variables of an ifsysctl file that it sets: `accept_ra_defrtr` and `ra_defrtr_metric` it does not."""


def read(name: str, directory: Path, said: list[str]) -> Config | None:
    """Return what the files of a link say, None if it has none; what wicked objects to goes to `said`."""
    if not (directory / f"ifcfg-{name}").is_file():
        return None
    values = variables((directory / f"ifcfg-{name}").read_text())
    return {
        "mtu": values.get("MTU", "") if values.get("MTU", "").isdigit() else "",
        "lladdr": values.get("LLADDR", ""),
        "addresses": list(addresses(values, said)),
        "routes": list(routes(lines(directory / f"ifroute-{name}"), name, said)),
        "rules": list(policy_rules(lines(directory / f"ifrule-{name}"), said)),
        "sysctls": sysctls(lines(directory / f"ifsysctl-{name}")),
        "sources": sources(values, said),
        "link_required": values.get("LINK_REQUIRED") != "no",
        "metric": values.get("DHCLIENT_ROUTE_PRIORITY", "0"),
        "rest": {key: value for key, value in values.items() if key.startswith(("START", "DHC"))},
    }


def variables(text: str) -> dict[str, str]:
    """Return the variables of a shell-like file; one with an open quote is lost, without a word."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        try:
            key, _, value = "".join(shlex.split(line)).partition("=")
            found[key] = value
        except ValueError:
            continue
    return found


def addresses(values: dict[str, str], said: list[str]) -> Iterator[str]:
    """Yield the addresses; one whose prefix is missing or wrong is the only one of its network."""
    for key, value in sorted(values.items()):
        if key.startswith("IPADDR"):
            address, _, prefix = value.partition("/")
            try:
                whole = f"/{ip_address(address).max_prefixlen}"
            except ValueError:
                said.append(f'unable to parse {key}="{value}"')
                continue
            try:
                yield str(ip_interface(value if prefix else address + whole))
            except ValueError:
                yield address + whole


def sources(values: dict[str, str], said: list[str]) -> dict[str, Any]:
    """Return by which the link gets more addresses, each with the flags in its <update> element."""
    words = values.get("BOOTPROTO", "static").split("+")
    found: dict[str, Any] = {}
    for word in words:
        if word in ("dhcp", "dhcp4"):
            found["ipv4:dhcp"] = flags("ipv4:dhcp", values, said)
        if word in ("dhcp", "dhcp6"):
            found["ipv6:dhcp"] = flags("ipv6:dhcp", values, said)
        if word == "auto6":
            found["ipv6:auto"] = flags("ipv6:auto", values, said)
        if word == "auto4":
            found["ipv4:auto"] = []
        if word not in ("dhcp", "dhcp4", "dhcp6", "auto4", "auto6", "static", "none", ""):
            said.append(f'Unknown value in BOOTPROTO="{values["BOOTPROTO"]}"')
    return found


def flags(source: str, values: dict[str, str], said: list[str]) -> list[str]:
    """Return the flags of a source in wicked's order; [] if all are off, and then there is no element."""
    variable = VARIABLES[source]
    chosen = {"dns", "ntp", "tz", "boot"} & set(MASKS[source])
    chosen |= {"default-route", "mtu"} if source == "ipv4:dhcp" else set()
    words = re.split(r"[ \t,]+", values.get(f"{variable}_UPDATE", "default"))
    if unknown := [word for word in words if word not in (*FLAGS, "all", "none", "default")]:
        said.append(f"Unknown flags in {variable}_UPDATE='{' '.join(unknown)}'")
    elif words != ["default"]:
        chosen = set(FLAGS) if "all" in words else set(words) - {"none"}
    for key, flag in (("SET_HOSTNAME", "hostname"), ("SET_DEFAULT_ROUTE", "default-route")):
        answer = values.get(f"{variable}_{key}")
        chosen |= {flag} if answer == "yes" else set()
        chosen -= {flag} if answer == "no" else set()
    return [flag for flag in MASKS[source] if flag in chosen]


def taken(config: Config, source: str) -> list[str]:
    """Return what the client updates from an answer: without the element, all that it knows."""
    return list(config["sources"][source] or MASKS[source])


def shown(name: str, config: Config) -> str:
    """Return the element that `show-config` prints of a link; much of the real one is left out."""
    parts = [f"  <name>{name}</name>"]
    for source, chosen in config["sources"].items():
        update = f"    <update>{','.join(chosen)}</update>\n" if chosen else ""
        parts.append(f"  <{source}>\n    <enabled>true</enabled>\n{update}  </{source}>")
    return f'<interface origin="compat:suse:ifcfg-{name}">\n' + "\n".join(parts) + "\n</interface>"


def routes(found: Iterable[str], name: str, said: list[str]) -> Iterator[list[str]]:
    """Yield routes in the words of ip(8): destination, gateway, netmask, interface, then options."""
    for line in found:
        words = line.split()
        try:
            to, via, netmask, interface, *options = words
            gateway = [] if via == "-" else ["via", str(ip_address(via))]
            if to != "default":
                ip_network(to)
            known = options[::2] in ([], ["table"], ["metric"], ["table", "metric"])
            if (netmask, interface) != ("-", name) or not known or not all(map(str.isdigit, options[1::2])):
                raise ValueError(line)
            family = "-6" if ":" in to + via else "-4"
            yield [family, to, *gateway, *options]
        except ValueError:
            said.append(f"Cannot parse route {line!r}")


def policy_rules(found: Iterable[str], said: list[str]) -> Iterator[dict[str, Any]]:
    for line in found:
        match = re.fullmatch(r"ipv([46])((?: (?:from|to) \S+)+ table \d+ priority \d+)", line)
        if match:
            yield {"family": match[1], "words": match[2].split()}
        else:
            said.append(f"Cannot parse rule {line!r}")


def sysctls(found: Iterable[str]) -> dict[str, str]:
    """Return the kernel variables that wicked sets."""
    pairs = (line.partition(" = ")[::2] for line in found)
    return {key: value for key, value in pairs if key.rpartition(".")[2] in SYSCTLS}


def lines(path: Path) -> list[str]:
    """Return the lines of a file that say something."""
    text = path.read_text() if path.is_file() else ""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
