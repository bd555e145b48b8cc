"""A fake wicked and udevd, where a host is a network namespace and a directory.

    python fake_wicked.py DIRECTORY wicked ifup --timeout 30 multinic0
    python fake_wicked.py DIRECTORY udevadm control --reload
    python fake_wicked.py DIRECTORY plugged eth1

It configures the kernel of the namespace by the files below DIRECTORY/root, and keeps what it was told in
DIRECTORY/wicked.json. It does what was seen of wicked 0.6.80, above all where that surprises: exit 0 says
nothing; a file is unknown until a link of that name was brought up, also in vain; a policy outlives its file;
`ifreload` repairs no drift; `ifup` leaves old routes; a link that is held under an earlier name stays as it
is. Whatever a program must never ask of wicked ends it with status 99.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

OK, NO_DAEMON, SEVERAL_FAILED, FORBIDDEN = 0, 1, 2, 99
NO_DEVICE, FAILED, NO_CONFIG, NO_CARRIER = 157, 158, 159, 168

Config = dict[str, Any]


def main() -> int:
    """Be the command that is asked for; return its exit status."""
    wicked = Wicked(Path(sys.argv[1]))
    command, *arguments = sys.argv[2:]
    if command in ("wicked", "udevadm"):
        with (wicked.directory / "commands.log").open("a", encoding="utf-8") as log:
            print(command, *arguments, file=log)
    status = wicked.run(command, arguments)
    wicked.save()
    return status


class Wicked:
    """What wickedd, its nanny and udevd know."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.etc = directory / "root/etc/sysconfig/network"
        self._memory = directory / "wicked.json"
        known = json.loads(self._memory.read_text()) if self._memory.exists() else {}
        self.policies: dict[str, Config] = known.get("policies", {})
        self.held: dict[str, Any] = known.get("held", {})
        """Links that it has brought up, by index: name and configuration."""
        self.names: dict[str, str] = known.get("names", {})
        """The names that udevd gives, by MAC address."""

    def save(self) -> None:
        self._memory.write_text(json.dumps(vars(self), default=str))

    def run(self, command: str, arguments: list[str]) -> int:
        if command == "udevadm":
            return self.udevadm(arguments)
        if command == "plugged":
            return self.plugged(*arguments)
        verb, *arguments = arguments
        if verb == "nanny" and arguments[0] == "delpolicy" and len(arguments) == 2:
            if self.policies.pop(arguments[1].removeprefix("policy__"), None) is None:
                print(f"Unable to delete policy named {arguments[1]}", file=sys.stderr)
            return OK
        if verb == "show-config":
            return self.show_config(arguments)
        if verb == "ifstatus" and arguments[0] == "--quiet" and len(arguments) == 2:
            return self.status(arguments[1])
        names = arguments[2:]
        if (self.directory / "wickedd-is-stopped").exists():
            print("wickedd is not running", file=sys.stderr)
            return NO_DAEMON
        if verb not in ("ifup", "ifdown", "ifreload") or arguments[0] != "--timeout" or "all" in names:
            return FORBIDDEN
        statuses = [getattr(self, verb)(name) for name in names]
        if len(statuses) == 1:
            return statuses[0]
        return SEVERAL_FAILED if {NO_DEVICE, FAILED} & set(statuses) else OK

    # udevd

    def udevadm(self, arguments: list[str]) -> int:
        """Read .link files: what is written later does not count before the next time."""
        if arguments != ["control", "--reload"]:
            return FORBIDDEN
        self.names = {}
        for path in sorted((self.directory / "root/etc/systemd/network").glob("*.link")):
            found = dict(re.findall(r"(?m)^(\w+)=(.*)$", path.read_text()))
            self.names.setdefault(found["MACAddress"], found["Name"])
        return OK

    def plugged(self, name: str) -> int:
        """Name a link that is new and down; the nanny configures it where it has a policy for it."""
        wanted = self.names.get(links()[name]["address"])
        if wanted and wanted not in links():
            ip("link", "set", name, "name", wanted)
            name = wanted
        if name in self.policies:
            self.configure(name, self.policies[name])
        return OK

    # wicked

    def ifup(self, name: str) -> int:
        config = self.read(name)
        if config is None:
            return NO_CONFIG
        self.policies[name] = config
        link = links().get(name)
        if link is None:
            return NO_DEVICE
        held = self.held.get(str(link["ifindex"]))
        if held and held["name"] != name:
            return OK  # "up", with the addresses of its earlier name
        return self.configure(name, config)

    def ifreload(self, name: str) -> int:
        config, link = self.read(name), links().get(name)
        held = self.held.get(str(link["ifindex"])) if link else None
        if held and config == held["config"]:
            return OK  # nothing to reload, whatever the kernel has
        if config is None or held:
            self.ifdown(name)
        return self.ifup(name) if config is not None else OK

    def ifdown(self, name: str) -> int:
        """Take down a link that it has brought up; MTU, MAC address and name stay."""
        link = links().get(name)
        if link is None or self.held.pop(str(link["ifindex"]), None) is None:
            return OK  # "no matching interfaces"
        held = self.policies.pop(name, None) or {}
        for rule in held.get("rules", []):
            ip(f"-{rule['family']}", "rule", "del", *rule["words"])
        ip("address", "flush", "dev", name)
        for version in ("-4", "-6"):
            ip(version, "route", "flush", "dev", name, "table", "all")
        ip("link", "set", name, "down")
        return OK

    def status(self, name: str) -> int:
        link = links().get(name)
        if link is None:
            return NO_DEVICE
        held = self.held.get(str(link["ifindex"]))
        return held["status"] if held else 156

    def configure(self, name: str, config: Config) -> int:
        """Make a link as its files say, without taking it down; nothing that is no longer asked for goes,
        but addresses that it gave itself."""
        link = links()[name]
        before = self.held.get(str(link["ifindex"]), {}).get("config", {})
        for field, value in config["sysctls"].items():
            Path("/proc/sys", field.replace(".", "/")).write_text(value)
        if config["lladdr"] and config["lladdr"] != link["address"]:
            ip("link", "set", name, "address", config["lladdr"])
        if config["mtu"].isdigit() and int(config["mtu"]) != link["mtu"]:
            ip("link", "set", name, "mtu", config["mtu"])
        if "UP" not in link["flags"]:
            ip("link", "set", name, "up")
        if "LOWER_UP" not in links()[name]["flags"]:
            self.held[str(link["ifindex"])] = {"name": name, "config": config, "status": NO_CARRIER}
            return NO_CARRIER
        present = [f"{info['local']}/{info['prefixlen']}" for info in link["addr_info"]]
        for address in before.get("addresses", []):
            if address in present and address not in config["addresses"]:
                ip("address", "del", address, "dev", name)
        for address in config["addresses"]:
            if address not in present:
                ip("address", "add", address, "dev", name, "nodad")
        failed = [route for route in config["routes"] if not add_route(name, route)]
        for rule in config["rules"]:
            if rule not in rules(rule["family"]):
                ip(f"-{rule['family']}", "rule", "add", *rule["words"], "protocol", "0")
        status = FAILED if failed else OK
        self.held[str(link["ifindex"])] = {"name": name, "config": config, "status": status}
        return status

    # Files

    def read(self, name: str, directory: Path | None = None, said: list[str] | None = None) -> Config | None:
        """Return what the files of a link say; what cannot be read is left out, and told to `said` alone."""
        directory, said = directory or self.etc, [] if said is None else said
        if not (directory / f"ifcfg-{name}").is_file():
            return None
        values = variables((directory / f"ifcfg-{name}").read_text(), said)
        return {
            "bootproto": values.get("BOOTPROTO", "static"),
            "mtu": values.get("MTU", ""),
            "lladdr": values.get("LLADDR", ""),
            "addresses": list(addresses(values, said)),
            "routes": list(routes(lines(directory / f"ifroute-{name}"), name, said)),
            "rules": list(policy_rules(lines(directory / f"ifrule-{name}"), said)),
            "sysctls": dict(re.findall(r"(\S+) = (\S+)", "\n".join(lines(directory / f"ifsysctl-{name}")))),
            "rest": {key: value for key, value in values.items() if key.startswith(("DHC", "AUTO", "START"))},
        }

    def show_config(self, arguments: list[str]) -> int:
        """Say what is wrong with the files of a directory; the exit status is 0 all the same."""
        directory = self.directory / "root" / arguments[1].removeprefix("compat:").lstrip("/")
        said = [
            f"unable to find global config '{directory / name}'"
            for name in ("config", "dhcp")
            if not (directory / name).exists()
        ]
        for path in sorted(directory.glob("ifcfg-*")):
            name = path.name.removeprefix("ifcfg-")
            of_this: list[str] = []
            self.read(name, directory, of_this)
            said += [f"{path}: {line}" for line in of_this]
        for line in said:
            print(line, file=sys.stderr)
        return OK


def variables(text: str, said: list[str]) -> dict[str, str]:
    """Return the variables of a shell-like file; one with an open quote is lost."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        try:
            key, _, value = "".join(shlex.split(line)).partition("=")
            found[key] = value
        except ValueError:
            said.append(f"open quote in {line}")
    return found


def addresses(values: dict[str, str], said: list[str]) -> Iterator[str]:
    for key, value in sorted(values.items()):
        if key.startswith("IPADDR"):
            try:
                yield str(ip_interface(value))
            except ValueError:
                said.append(f"cannot parse address {value}")


def routes(found: list[str], name: str, said: list[str]) -> Iterator[list[str]]:
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
            said.append(f"cannot parse route {line!r}")


def policy_rules(found: list[str], said: list[str]) -> Iterator[dict[str, Any]]:
    for line in found:
        match = re.fullmatch(r"ipv([46])((?: (?:from|to) \S+)+ table \d+ priority \d+)", line)
        if match:
            yield {"family": match[1], "words": match[2].split()}
        else:
            said.append(f"cannot parse rule {line!r}")


def add_route(name: str, route: list[str]) -> bool:
    """Add or replace a route; one that the kernel does not take is the failure of its link."""
    family, *words = route
    done = subprocess.run(
        ["ip", family, "route", "replace", *words, "dev", name], capture_output=True, text=True, check=False
    )
    return done.returncode == 0


def rules(family: str) -> list[dict[str, Any]]:
    """Return the rules of the kernel as the files have them."""
    found = json.loads(
        subprocess.run(["ip", "-json", f"-{family}", "rule"], capture_output=True, check=True).stdout
    )
    return [
        {
            "family": family,
            "words": [
                *("from", f"{rule['src']}/{rule.get('srclen', 128 if family == '6' else 32)}"),
                *("table", rule["table"], "priority", str(rule["priority"])),
            ],
        }
        for rule in found
    ]


def lines(path: Path) -> list[str]:
    """Return the lines of a file that say something."""
    text = path.read_text() if path.is_file() else ""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def links() -> dict[str, dict[str, Any]]:
    done = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True)
    return {link["ifname"]: link for link in json.loads(done.stdout) if link}


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
