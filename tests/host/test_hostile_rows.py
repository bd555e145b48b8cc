"""netplan's own parser on what comes of hostile rows: what networkd and udev read means the parsed values.

The corpus, and the reading of the YAML itself, are those of tests/unit/test_hostile_rows.py.
"""

from __future__ import annotations

import json

import pytest

from multinic.backend import generator
from multinic.backend.netplan import Netplan
from multinic.backend.render import Renderer
from multinic.decide.naming import name_of
from multinic.decide.routing import resolved
from multinic.values.desired import DesiredLink
from tests.host.nspawn import Box
from tests.unit import hostile
from tests.unit.making import want

ROOT = "/tmp/hostile"  # in the box
WRITE = """\
import json, os, sys
for path, text in json.load(sys.stdin).items():
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(text)
"""
READ = """\
import json, os, sys
paths = [os.path.join(at, name) for at, _, names in os.walk(sys.argv[1]) for name in names]
found = [path for path in paths if os.path.isfile(path)]
print(json.dumps({path.removeprefix(sys.argv[1]): open(path).read() for path in found}))
"""
LIMITS = [
    want(900, mtu=68),
    want(901, mtu=65535),
    want(902, "fd00::1/128", mtu=1280),
    want(
        903,
        *(f"10.{number}.0.1/16" for number in range(32)),
        *(f"fd{number:02x}::1/64" for number in range(32)),
    ),
    want(904, "10.9.0.0/31", "10.9.0.2/32", "fe80::1/64", "::ffff:10.0.0.1/128"),
]


LINK_LOCAL = {(): "no", (4,): "ipv4", (6,): "ipv6", (4, 6): "yes"}


@pytest.fixture(scope="module")
def made(box: Box) -> dict[str, tuple[DesiredLink, dict[str, str]]]:
    """What one run of the generator makes of all files: link name → what it is to be, path → text."""
    rows = [*LIMITS, *hostile.corpus(200), *hostile.corpus(100, options=True)]
    links = {name_of(slot): resolved(link, slot, 1000) for slot, link in enumerate(rows)}
    render = Renderer("/nonexistent")
    files = {
        path: text
        for name, link in links.items()
        for path, text in Netplan().files(name, link, render).items()
    }
    box.remove(ROOT)
    box.run("python3", "-c", WRITE, input=json.dumps({f"{ROOT}{path}": text for path, text in files.items()}))
    done = box.run("/usr/libexec/netplan/generate", "--root-dir", ROOT)
    assert (done.stdout, done.stderr) == ("", "")
    found = json.loads(box.run("python3", "-c", READ, f"{ROOT}/run").stdout)
    box.remove(ROOT)
    by_name = {name: {f"/run{path}" for path in found if f"-{name}." in path} for name in links}
    assert {path for paths in by_name.values() for path in paths} == {
        f"/run{path}" for path in found if "multinic" in path
    }
    return {
        name: (link, {path: found[path.removeprefix("/run")] for path in by_name[name]})
        for name, link in links.items()
    }


def settings(text: str) -> list[tuple[str, str, str]]:
    """Return the settings of an ini file as networkd reads it: section, key, value."""
    section, found = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found.append((section, key, value))
    return sorted(found)


def test_netplan_makes_the_files_that_are_installed_and_no_others(made):
    for name, (_, files) in made.items():
        assert files.keys() == set(generator.runtime_paths(name))


def test_networkd_is_told_exactly_the_parsed_values(made):
    for name, (link, files) in made.items():
        mtu = [("Link", "MTUBytes", str(link.mtu))] if link.mtu else []
        match = ("Match", "PermanentMACAddress", str(link.mac))
        assert settings(files[f"/run/systemd/network/10-netplan-{name}.network"]) == sorted(
            [
                match,
                ("Match", "Name", name),
                ("Network", "LinkLocalAddressing", LINK_LOCAL[link.link_local]),
                ("Network", "IPv6AcceptRA", "no"),
                *(("Network", "Address", str(address)) for address in link.addresses),
                *(("Network", "DNS", str(server)) for server in link.options.dns),
                *(("Network", "Domains", " ".join(names)) for names in [link.options.search] if names),
                *(
                    ("Route", key, value)
                    for route in link.routes
                    for key, value in {
                        "Destination": str(route.to),
                        "Gateway": str(route.via),
                        "GatewayOnLink": "true",
                        "Table": str(route.table),
                    }.items()
                ),
                *mtu,
            ]
        )
        assert settings(files[f"/run/systemd/network/10-netplan-{name}.link"]) == sorted(
            [match, ("Link", "Name", name), ("Link", "WakeOnLan", "off"), *mtu]
        )


def test_udev_is_told_nothing_but_the_name_of_that_mac(made):
    for name, (link, files) in made.items():
        rules = [line for line in files[f"/run/udev/rules.d/99-netplan-{name}.rules"].splitlines() if line]
        match = f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{link.mac}"'
        assert rules == [f'{match}, NAME="{name}"']
