"""A fake wicked and udevd, where a host is a network namespace and a directory.

    python fake_wicked.py DIRECTORY wicked ifup --timeout 30 multinic0
    python fake_wicked.py DIRECTORY udevadm control --reload
    python fake_wicked.py DIRECTORY plugged eth1
    python fake_wicked.py DIRECTORY renamed multinic0 byhand0
    python fake_wicked.py DIRECTORY stopped

It configures the kernel of the namespace by the files below DIRECTORY/root, and keeps what it was told in
DIRECTORY/wicked.json. It does what was measured of wicked 0.6.80, above all where that surprises; each line
is tested in tests/kernel/test_fake_wicked.py or tests/unit/test_fake_wicked_files.py:

- Exit 0 says nothing; `ifup` of a link without a file is 3.
- A file is unknown until a link of that name was brought up, also in vain; a policy outlives its file, and is
  in a file of its own, which the nanny reads when it starts. `delpolicy` of a policy that `ifdown` took away
  is an error.
- `ifreload` repairs no drift; `ifup` leaves old routes, and deletes and adds static IPv6 addresses of a link
  that is up.
- A link that is held under an earlier name stays as it is. If it was renamed and has its name again, the
  nanny has an unchanged policy: `ifup` waits in vain, until the policy is deleted.
- `ifup` of a link without a carrier ends with 168 and gives it nothing, unless LINK_REQUIRED is 'no'.
- An IPv4 address that another machine has is left out with exit 0, unless the link had no carrier and need
  not have one: then nobody is asked. With one of IPv6 `ifup` fails.
- An address of the file that a server gives, too, has no lifetime; the lease is in a file in /var/lib/wicked.
- While no DHCP server answers, `ifup` waits until its end, also without a carrier, and wicked asks on.
- Without an <update> element a client takes everything from an answer. An ifsysctl file sets only some
  variables. Link-local IPv4 beside DHCP is a fallback.
- While wickedd is stopped, `delpolicy` hangs for 60 s, and then the nanny configures no new link until it is
  started again. /run/wicked stays.
- A link whose far end has the index of a link of this host gets at most the MTU of that one.
- `show-config` says nothing of an open quote, a bad MTU, a bad prefix and unknown variables.

It waits for nothing: what takes wicked 30 s ends at once. It asks the network about addresses only if there
is a file DIRECTORY/asks-the-network, because that takes seconds. Whatever a program must never ask of wicked
ends it with status 99.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.fake_wicked_files import Config, lines, policy_rules, read, routes, shown, taken

__all__ = ["lines", "policy_rules", "routes"]

OK, NO_DAEMON, SEVERAL_FAILED, NO_FILE, FORBIDDEN = 0, 1, 2, 3, 99
NOT_SET_UP, NO_DEVICE, FAILED, IN_PROGRESS, NO_CARRIER = 156, 157, 158, 162, 168


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
        """Links that it has brought up, by index: name, configuration, renamed since or not, leases."""
        self.names: dict[str, str] = known.get("names", {})
        """The names that udevd gives, by MAC address."""
        self.deaf: bool = known.get("deaf", False)
        """Whether the nanny hears of no new link any more."""

    def save(self) -> None:
        self._memory.write_text(json.dumps(vars(self), default=str))

    def run(self, command: str, arguments: list[str]) -> int:
        if command == "wicked":
            return self.wicked(*arguments)
        found: int = getattr(self, command)(*arguments)
        return found

    def wicked(self, verb: str, *arguments: str) -> int:
        if verb == "nanny" and arguments[0] == "delpolicy" and len(arguments) == 2:
            return self.delpolicy(arguments[1].removeprefix("policy__"))
        if verb == "show-config":
            return self.show_config(arguments[1])
        if self.is_stopped:
            print("wickedd is not running", file=sys.stderr)
            return NO_DAEMON
        if verb == "ifstatus" and arguments[0] == "--quiet" and len(arguments) == 2:
            return self.status(arguments[1])
        names = arguments[2:]
        if verb not in ("ifup", "ifdown", "ifreload") or arguments[0] != "--timeout" or "all" in names:
            return FORBIDDEN
        statuses = [getattr(self, verb)(name) for name in names]
        if len(statuses) == 1:
            return int(statuses[0])
        return SEVERAL_FAILED if {NO_DEVICE, FAILED, NO_FILE} & set(statuses) else OK

    # What happens to the host

    @property
    def is_stopped(self) -> bool:
        return (self.directory / "wickedd-is-stopped").exists()

    def stopped(self) -> int:
        """Be stopped as a service: what is in /run/wicked stays, and the links stay."""
        (self.directory / "wickedd-is-stopped").touch()
        return OK

    def started(self) -> int:
        """Start again: the nanny knows what is in the files of its policies."""
        (self.directory / "wickedd-is-stopped").unlink(missing_ok=True)
        self.nanny.mkdir(parents=True, exist_ok=True)
        files = sorted(self.nanny.glob("policy__*.xml"))
        self.policies = {path.stem.removeprefix("policy__"): json.loads(path.read_text()) for path in files}
        self.deaf = False
        return OK

    def udevadm(self, *arguments: str) -> int:
        """Read .link files: what is written later does not count before the next time."""
        if arguments != ("control", "--reload"):
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
        if name in self.policies and not self.deaf and not self.is_stopped:
            self.configure(name, self.policies[name])
        return OK

    def renamed(self, old: str, new: str) -> int:
        """Rename a link by hand, and hear of it."""
        ip("link", "set", old, "down")
        ip("link", "set", old, "name", new)
        self.look()
        return OK

    def look(self) -> None:
        """See which links that it holds have another name now, or are gone."""
        present = {str(link["ifindex"]): name for name, link in links().items()}
        self.held = {index: held for index, held in self.held.items() if index in present}
        for index, held in self.held.items():
            held["renamed"] = held["renamed"] or present[index] != held["name"]

    # The nanny

    @property
    def nanny(self) -> Path:
        return self.directory / "root/run/wicked/nanny"

    def know(self, name: str, config: Config) -> bool:
        """Take a policy over; return whether it is another one than before."""
        changed = self.policies.get(name) != config
        self.policies[name] = config
        (self.nanny / f"policy__{name}.xml").write_text(json.dumps(config))
        return changed

    def forget(self, name: str) -> bool:
        (self.nanny / f"policy__{name}.xml").unlink(missing_ok=True)
        return self.policies.pop(name, None) is not None

    def delpolicy(self, name: str) -> int:
        if self.is_stopped:
            self.deaf = True
            print("delpolicy: no answer for 60 s", file=sys.stderr)
            return NO_DAEMON
        if not self.forget(name):
            print(f"Unable to delete policy named policy__{name}", file=sys.stderr)
            return NO_DAEMON
        for held in self.held.values():
            held["renamed"] = held["renamed"] and held["name"] != name
        return OK

    # The client

    def ifup(self, name: str) -> int:
        config = read(name, self.etc, [])
        if config is None:
            return NO_FILE
        changed = self.know(name, config)
        link = links().get(name)
        if link is None:
            return NO_DEVICE
        held = self.held.get(str(link["ifindex"]))
        if held and held["name"] != name:
            return OK  # "up", with the addresses of its earlier name
        if self.deaf and not held:
            return IN_PROGRESS
        if held and held["renamed"] and not changed:
            return IN_PROGRESS
        return self.configure(name, config)

    def ifreload(self, name: str) -> int:
        config, link = read(name, self.etc, []), links().get(name)
        held = self.held.get(str(link["ifindex"])) if link else None
        if held and config == held["config"]:
            return OK  # nothing to reload, whatever the kernel has
        if config is None or held:
            self.ifdown(name)
        return self.ifup(name) if config is not None else OK

    def ifdown(self, name: str) -> int:
        """Take down a link that it has brought up; MTU, MAC address and name stay."""
        link = links().get(name)
        held = self.held.pop(str(link["ifindex"]), None) if link else None
        if held is None:
            return OK  # "no matching interfaces"
        self.forget(held["name"])
        for rule in held["config"]["rules"]:
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
        return int(held["status"]) if held else NOT_SET_UP

    def show_config(self, where: str) -> int:
        """Print how the files of a directory are understood, and what is wrong; the exit status is 0."""
        directory = self.directory / "root" / where.removeprefix("compat:").lstrip("/")
        for name in ("config", "dhcp"):
            if not (directory / name).exists():
                print(f"wicked: unable to find global config '{directory / name}'", file=sys.stderr)
        for path in sorted(directory.glob("ifcfg-*")):
            name, said = path.name.removeprefix("ifcfg-"), list[str]()
            print(shown(name, read(name, directory, said) or {}))
            for line in said:
                print(f"wicked: ifcfg-{name}: {line}", file=sys.stderr)
        return OK

    # The kernel

    def configure(self, name: str, config: Config) -> int:
        """Make a link as its files say, without taking it down; nothing that is no longer asked for goes,
        but addresses that it gave itself."""
        link = links()[name]
        before = self.held.get(str(link["ifindex"]))
        held = {"name": name, "config": config, "renamed": False, "status": NO_CARRIER, "leased": []}
        self.held[str(link["ifindex"])] = held
        for field, value in config["sysctls"].items():
            Path("/proc/sys", field.replace(".", "/")).write_text(value)
        if config["lladdr"] and config["lladdr"] != link["address"]:
            ip("link", "set", name, "address", config["lladdr"])
        self.set_mtu(link, int(config["mtu"] or 0))
        if "UP" not in link["flags"]:
            ip("link", "set", name, "up")
        if "LOWER_UP" not in links()[name]["flags"] and config["link_required"]:
            return NO_CARRIER
        held["status"] = self.add_all(name, link, config, before["config"]["addresses"] if before else [])
        return self.ask_servers(name)

    def set_mtu(self, link: dict[str, Any], wanted: int) -> None:
        """Set an MTU; a link of this host that has the index of the far end is taken for the one below."""
        below = {other["ifindex"]: other["mtu"] for other in links().values()}
        mtu = min(wanted or link["mtu"], below.get(link.get("link_index"), 1 << 31))
        if mtu != link["mtu"]:
            ip("link", "set", link["ifname"], "mtu", str(mtu))

    def add_all(self, name: str, link: dict[str, Any], config: Config, before: list[str]) -> int:
        """Add addresses, routes and rules; `before`: the addresses that it gave the link last."""
        present = [f"{info['local']}/{info['prefixlen']}" for info in link["addr_info"]]
        for address in before:
            if address in present and (address not in config["addresses"] or ":" in address):
                ip("address", "del", address, "dev", name)
                present.remove(address)
        asks = "LOWER_UP" in link["flags"] or config["link_required"]
        missing = [address for address in config["addresses"] if address not in present]
        refused = [address for address in missing if not self.add(name, address, asks=asks)]
        sources = config["sources"]
        if (
            "ipv4:auto" in sources
            and "ipv4:dhcp" not in sources
            and not any("169.254." in p for p in present)
        ):
            ip("address", "add", f"169.254.7.{link['ifindex'] % 250 + 1}/16", "dev", name, "scope", "link")
        failed = [route for route in config["routes"] if not add_route(name, route)]
        for rule in config["rules"]:
            if rule not in rules(rule["family"]):
                ip(f"-{rule['family']}", "rule", "add", *rule["words"], "protocol", "0")
        return FAILED if failed or [each for each in refused if ":" in each] else OK

    def add(self, name: str, address: str, *, asks: bool) -> bool:
        """Add an address, of IPv4 without asking for it if not `asks`; return whether the link has it."""
        if not (self.directory / "asks-the-network").exists():
            ip("address", "add", address, "dev", name, "nodad")
            return True
        if ":" not in address and asks:
            from multinic.kernel import arp
            from multinic.values.addresses import Mac

            mine = links()[name]["address"]
            probe = arp.Probe(name, Mac(mine), IPv4Address(address.partition("/")[0]))
            if arp.claimed([probe], [mine]):
                return False
        ip("address", "add", address, "dev", name)
        while found := [i for i in links()[name]["addr_info"] if address.startswith(i["local"] + "/")]:
            if not found[0].get("tentative") or found[0].get("dadfailed"):
                return not found[0].get("dadfailed")
            time.sleep(0.05)
        return False

    def ask_servers(self, name: str) -> int:
        """Ask those DHCP servers from which a link has no lease yet; return its status."""
        from tests import fake_wicked_lease

        link = links()[name]
        held = self.held[str(link["ifindex"])]
        clients = {"ipv4:dhcp": fake_wicked_lease.ask, "ipv6:dhcp": fake_wicked_lease.ask6}
        lacking = [source for source in clients if source in held["config"]["sources"]]
        for source in [source for source in lacking if source not in held["leased"]]:
            lease = clients[source](name, link["address"]) if "LOWER_UP" in link["flags"] else None
            if lease is not None:
                self.take(name, held["config"], source, lease)
                held["leased"].append(source)
        if set(lacking) - set(held["leased"]):
            held["status"] = IN_PROGRESS
        elif held["status"] == IN_PROGRESS:
            held["status"] = OK
        return int(held["status"])

    def take(self, name: str, config: Config, source: str, lease: Any) -> None:
        """Take from a lease what the flags of its client allow."""
        update = taken(config, source)
        lifetime = ("valid_lft", str(lease.seconds), "preferred_lft", str(lease.seconds))
        if lease.address not in config["addresses"]:  # else it keeps the one without a lifetime
            ip("address", "replace", lease.address, "dev", name, *lifetime)
        if lease.router and "default-route" in update:
            words = ("via", lease.router, "dev", name, "proto", "dhcp", "metric", config["metric"])
            ip("route", "replace", "default", *words)
        if lease.mtu and "mtu" in update:
            ip("link", "set", name, "mtu", str(lease.mtu))
        if lease.dns and "dns" in update:
            text = "".join(f"nameserver {server}\n" for server in lease.dns)
            (self.directory / "root/etc/resolv.conf").write_text(text)
        family = source.partition(":")[0]
        kept = self.directory / "root/var/lib/wicked" / f"lease-{name}-dhcp-{family}.xml"
        kept.parent.mkdir(parents=True, exist_ok=True)
        address = lease.address.partition("/")[0]
        kept.write_text(f"<lease>\n  <state>granted</state>\n  <address>{address}</address>\n</lease>\n")


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


def links() -> dict[str, dict[str, Any]]:
    done = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True)
    return {link["ifname"]: link for link in json.loads(done.stdout) if link}


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
