"""A stand-in for netplan's generator, udevd and networkd, where a host is a namespace and a directory.

    python stand_in.py ROOT /usr/libexec/netplan/generate --root-dir DIR
    python stand_in.py ROOT networkctl reload

It does what a change and a boot need: YAML becomes .link and .network files; reloading configures the links
whose .network file is another one than before, and takes from a link what its file no longer says. What the
real ones do is tested on a booted host (tests/host); losing power at every moment cannot be tested there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml


def main() -> None:
    """Be the command that is asked for."""
    root, command, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if command.endswith("generate"):
        generate(root / arguments[1].strip("/"))
    elif command == "networkctl":
        reload(root)
    elif command != "udevadm":
        os.execvp(command, [command, *arguments])


def generate(root: Path) -> None:
    """Make networkd's files of netplan's."""
    for path in sorted((root / "etc/netplan").glob("*.yaml")):
        for name, link in yaml.safe_load(path.read_text())["network"]["ethernets"].items():
            for ending, told in ((".link", {"mac": link["match"]["macaddress"]}), (".network", link)):
                made = root / f"run/systemd/network/10-netplan-{name}{ending}"
                made.parent.mkdir(parents=True, exist_ok=True)
                made.write_text(json.dumps(told))
                made.chmod(0o640)


def boot(root: Path) -> None:
    """Name the links as udev does, and configure them."""
    generate(root)
    names = {link["address"]: link["ifname"] for link in links()}
    for path in (root / "run/systemd/network").glob("*.link"):
        new, old = name_of(path), names.get(json.loads(path.read_text())["mac"])
        if old and old != new:
            ip("link", "set", old, "name", new)
    reload(root)


def reload(root: Path) -> None:
    """Configure the links whose files changed."""
    memory = root / "run/networkd.json"
    known = json.loads(memory.read_text()) if memory.exists() else {}
    wanted = {
        name_of(path): json.loads(path.read_text())
        for path in sorted((root / "run/systemd/network").glob("*.network"))
    }
    present = {link["ifname"]: link for link in links()}
    for name in known.keys() | wanted.keys():
        if name in present and known.get(name) != wanted.get(name):
            configure(present[name], wanted.get(name), known.get(name, {}))
    memory.write_text(json.dumps({name: link for name, link in wanted.items() if name in present}))


def configure(link: dict[str, Any], wanted: dict[str, Any] | None, known: dict[str, Any]) -> None:
    """Make a link as its file says; None: as it is without one, still up."""
    name, addresses = link["ifname"], (wanted or {}).get("addresses", [])
    for address in known.get("addresses", []):
        if address not in addresses:
            ip("address", "del", address, "dev", name)
    if wanted is None or link["address"] != wanted["match"]["macaddress"]:
        return
    if "mtu" in wanted:
        ip("link", "set", name, "mtu", str(wanted["mtu"]))
    ip("link", "set", name, "up")
    for address in addresses:
        ip("address", "replace", address, "dev", name)


def name_of(path: Path) -> str:
    return path.stem.removeprefix("10-netplan-")


def links() -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-json", "link"], capture_output=True, check=True)
    return json.loads(done.stdout)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=False)


if __name__ == "__main__":
    main()
