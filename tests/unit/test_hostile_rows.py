"""Whatever a row holds, a file that comes of it means exactly the parsed values, and nothing else.

The same corpus goes through netplan's own parser on a booted host (tests/host/test_hostile_rows.py). A new
backend gets a reader of its files here and there; the rest counts for every backend.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from ipaddress import ip_interface
from typing import Any
from uuid import UUID, uuid5

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multinic.backend.choice import named
from multinic.backend.render import Renderer
from multinic.database.rows import desired, match_node, parse
from multinic.database.statement import Answer
from multinic.decide.naming import name_of
from multinic.decide.routing import resolved
from multinic.values.addresses import Mac
from multinic.values.desired import DesiredLink, InvalidRow
from multinic.values.errors import ConfigError
from multinic.values.settings import BACKENDS
from tests import fake_wicked
from tests.unit import hostile
from tests.unit.making import row

SAFE = re.compile(r"[0-9A-Za-z:./_-]+")
"""Nothing in it means anything to YAML, Jinja, an ini file, a shell without quotes, or a terminal."""
RENDER = Renderer("/nonexistent")


class _Strict(yaml.SafeLoader):
    """YAML in which no key may stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep)
        assert len(found) == len(node.value)
        return found


def read_netplan(text: str) -> Any:
    """Return a file for netplan, or the drop-in for networkd."""
    return yaml.load(text, _Strict) if "\nnetwork:\n" in text else read_networkd(text)


def meant_netplan(name: str, link: DesiredLink) -> Any:
    wanted: dict[str, Any] = {
        "match": {"macaddress": str(link.mac)},
        "set-name": name,
        "optional": True,
        "dhcp4": False,
        "dhcp6": False,
        "accept-ra": False,
        "link-local": ["ipv6"] if any(address.version == 6 for address in link.addresses) else [],
    }
    if link.mtu is not None:
        wanted["mtu"] = link.mtu
    if link.addresses:
        wanted["addresses"] = [str(address) for address in link.addresses]
    drop_in = f"/etc/systemd/network/10-netplan-{name}.network.d/multinic.conf"
    return {**in_netplan_file(name, wanted), drop_in: [("[Network]", ""), ("LLDP", "no")]}


def in_netplan_file(name: str, wanted: dict[str, Any]) -> Any:
    path = f"/etc/netplan/9{name.removeprefix('multinic')}-{name}.yaml"
    return {path: {"network": {"version": 2, "ethernets": {name: wanted}}}}


def read_ini(text: str) -> dict[str, dict[str, str]]:
    """Return what any reader of such files makes of it: no line is continued, no value is quoted."""
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("["):
            assert line.removeprefix("[").removesuffix("]") not in found
            section = found.setdefault(line.removeprefix("[").removesuffix("]"), {})
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals
            assert re.fullmatch(r"[A-Za-z0-9_-]+", key)
            assert key not in section
            assert "\\" not in value
            section[key] = value
    return found


def meant_networkmanager(name: str, link: DesiredLink) -> Any:
    keyfile: dict[str, dict[str, str]] = {
        "connection": {
            "id": name,
            "uuid": str(uuid5(UUID("6d1e1b02-8b0c-5f3e-9d0a-5a1c6f0e7c11"), f"{name} {link.mac}")),
            "type": "ethernet",
            "interface-name": name,
            "autoconnect-priority": "100",
        }
    }
    if link.mtu is not None:
        keyfile["ethernet"] = {"mtu": str(link.mtu)}
    for version in (4, 6):
        keyfile[f"ipv{version}"] = {"method": "disabled"}
        addresses = [address for address in link.addresses if address.version == version]
        if addresses:
            keyfile[f"ipv{version}"] = {
                "method": "manual",
                **({"addr-gen-mode": "eui64"} if version == 6 else {}),
                **{f"address{number}": str(address) for number, address in enumerate(addresses, 1)},
                "ignore-auto-dns": "true",
                "ignore-auto-routes": "true",
                "never-default": "true",
            }
    return {
        f"/etc/NetworkManager/system-connections/{name}.nmconnection": keyfile,
        f"/etc/systemd/network/70-{name}.link": {
            "Match": {"MACAddress": str(link.mac), "Type": "ether"},
            "Link": {"Name": name},
        },
    }


def read_wicked(text: str) -> Any:
    """Return what a shell that sources an ifcfg file has of it; of other files their lines."""
    lines = text.splitlines()[1:]
    if "='" not in text:
        said: list[str] = []
        if lines and lines[0].startswith("ipv"):
            assert len(list(fake_wicked.policy_rules(lines, said))) == len(lines)
        elif lines and " - multinic" in lines[0]:
            name = lines[0].split()[3]
            assert len(list(fake_wicked.routes(lines, name, said))) == len(lines)
        assert said == []
        return lines
    # Nothing but what the file sets is there, and what the shell itself sets.
    script = "set -a; . /dev/stdin; exec /usr/bin/env -0"
    for options in (["-nu", "/dev/stdin"], ["-uc", script]):
        done = subprocess.run(
            ["sh", *options], input=text, capture_output=True, text=True, env={}, check=True
        )
        assert done.stderr == ""
    pairs = [entry.partition("=") for entry in done.stdout.split("\0") if entry]
    found = {key: value for key, _, value in pairs if key not in ("PWD", "OLDPWD", "SHLVL", "_")}
    assert found == dict(re.findall(r"(?m)^(\w+)='([\w.:/+]*)'$", text))
    return found


def meant_wicked(name: str, link: DesiredLink) -> Any:
    etc = "/etc/sysconfig/network"
    variables = {"STARTMODE": "auto", "LINK_REQUIRED": "no", "BOOTPROTO": "static"}
    variables |= {f"IPADDR_{number}": str(address) for number, address in enumerate(link.addresses)}
    if link.mtu is not None:
        variables["MTU"] = str(link.mtu)
    none = int(not any(address.version == 6 for address in link.addresses))
    sysctls = {"addr_gen_mode": none, "accept_ra": 0}
    return {
        f"{etc}/ifcfg-{name}": variables,
        f"{etc}/ifsysctl-{name}": [f"net.ipv6.conf.{name}.{key} = {value}" for key, value in sysctls.items()],
        f"/etc/systemd/network/70-{name}.link": [
            *("[Match]", f"MACAddress={link.mac}", ""),
            *("[Link]", "NamePolicy=", f"Name={name}"),
        ],
    }


def read_networkd(text: str) -> list[tuple[str, str]]:
    """Return sections and assignments in their order, as systemd reads them: values are not quoted."""
    found = []
    for line in text.splitlines():
        if line.startswith("["):
            found.append((line, ""))
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals
            assert re.fullmatch(r"[A-Za-z0-9]+", key)
            assert not re.search(r"[\\%]", value)  # a line that goes on, a specifier
            found.append((key, value))
    return found


def meant_networkd(name: str, link: DesiredLink) -> Any:
    dual = any(address.version == 6 for address in link.addresses)
    network = [
        ("[Match]", ""),
        ("Name", name),
        ("MACAddress", str(link.mac)),
        ("[Link]", ""),
        ("RequiredForOnline", "no"),
        *([] if link.mtu is None else [("MTUBytes", str(link.mtu))]),
        ("[Network]", ""),
        ("DHCP", "no"),
        ("IPv6AcceptRA", "no"),
        ("LLDP", "no"),
        ("LinkLocalAddressing", "ipv6" if dual else "no"),
        *(("Address", str(address)) for address in link.addresses),
    ]
    naming = [
        ("[Match]", ""),
        ("MACAddress", str(link.mac)),
        ("Type", "ether"),
        ("[Link]", ""),
        ("Name", name),
    ]
    return {
        f"/etc/systemd/network/10-{name}.link": naming,
        f"/etc/systemd/network/10-{name}.network": network,
    }


READERS: dict[str, tuple[Callable[[str], Any], Callable[[str, DesiredLink], Any]]] = {
    "netplan": (read_netplan, meant_netplan),
    "networkmanager": (read_ini, meant_networkmanager),
    "networkd": (read_networkd, meant_networkd),
    "wicked": (read_wicked, meant_wicked),
}
"""backend: (what a reader makes of one of its files, what that must be by path)"""


def test_every_backend_that_writes_files_is_read_back() -> None:
    assert READERS.keys() == set(BACKENDS) - {"auto", "netlink"}


@pytest.mark.parametrize("backend", READERS)
@settings(max_examples=250)
@given(columns=hostile.rows(), slot=st.integers(0, 999))
@example(columns=(row(mtu=68.0, address="10.0.0.5/24 fd00::5/64"), {}), slot=0)
@example(columns=(row(address="10.0.0.5", mtu="1500 "), {"cidr": "10.0.0.0/24\n"}), slot=7)
def test_a_file_means_exactly_the_parsed_values(
    backend: str, columns: tuple[dict[str, Any], dict[str, Any]], slot: int
) -> None:
    files, (read, meant) = named(backend).files, READERS[backend]
    link = parse(*columns)
    if isinstance(link, DesiredLink):
        written = files(name_of(slot), link, RENDER)
        for path, text in written.items():
            assert SAFE.fullmatch(path)
            assert text.isascii()
            assert all(line.isprintable() for line in text.split("\n"))
            assert text.startswith("# Managed by multinic.")
        assert {path: read(text) for path, text in written.items()} == meant(name_of(slot), link)


@settings(max_examples=250)
@given(columns=hostile.rows(options=True), slot=st.integers(0, 999))
def test_options_in_a_netplan_file_mean_exactly_the_parsed_values(
    columns: tuple[dict[str, Any], dict[str, Any]], slot: int
) -> None:
    link = parse(*columns)
    if isinstance(link, DesiredLink):
        name, link = name_of(slot), resolved(link, slot, 1000)
        (path, text) = next(iter(named("netplan").files(name, link, RENDER).items()))
        wanted = meant_netplan(name, link)[path]["network"]["ethernets"][name]
        options = link.options
        wanted["link-local"] = [f"ipv{version}" for version in link.link_local]
        wanted["dhcp4"] = options.dhcp4
        if options.dns or options.search:
            servers = [str(server) for server in options.dns]
            wanted["nameservers"] = {"addresses": servers, "search": list(options.search)}
        if options.routes:
            wanted["routes"] = [
                {"to": str(to.to), "via": str(to.via), "on-link": True, "table": 7} for to in options.routes
            ]
        assert {path: read_netplan(text)} == in_netplan_file(name, wanted)


@pytest.mark.parametrize("backend", READERS)
@settings(max_examples=100)
@given(columns=hostile.rows(options=True), slot=st.integers(0, 999))
def test_no_option_puts_more_into_a_file_than_its_reader_can_take(
    backend: str, columns: tuple[dict[str, Any], dict[str, Any]], slot: int
) -> None:
    """And the one text that may hold anything, the description, is in none of them."""
    files, read = named(backend).files, READERS[backend][0]
    link = parse(*columns)
    if isinstance(link, DesiredLink):
        link = resolved(link, slot, 1000)
        written = files(name_of(slot), link, RENDER)
        plain = replace(link, options=replace(link.options, description=""))
        assert written == files(name_of(slot), plain, RENDER)
        for path, text in written.items():
            assert SAFE.fullmatch(path)
            assert text.isascii()
            assert all(line.isprintable() for line in text.split("\n"))
            read(text)


@settings(max_examples=250)
@given(hostile.rows(options=True))
def test_the_parsed_values_are_those_of_the_row(columns: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """By a reading of the row that is much simpler than the program's."""
    found, subnet = columns
    link = parse(*columns)
    if isinstance(link, DesiredLink):
        wished = json.loads(said(subnet.get("options")).strip() or "null") or {}
        wished |= json.loads(said(found.get("options")).strip() or "null") or {}
        assert link.options.description == (wished.get("description") or "").strip()
        search = (wished.get("dns") or {}).get("search") or []
        assert link.options.search == tuple(dict.fromkeys(name.lower().rstrip(".") for name in search))
        assert str(link.mac).replace(":", "") == re.sub(r"[\s:-]", "", said(found["macaddress"])).lower()
        assert link.port_id == said(found["port_id"]).strip()
        assert link.row_id == found["id"]
        words = re.split(r"[\s,;]+", said(found.get("address")))
        written = [ip_interface(word).ip for word in words if word]
        assert {address.ip for address in link.addresses} == set(written)
        mtu = said(found.get("mtu")).strip()
        assert (link.mtu or "") == (float(mtu) if mtu else "")


def said(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def leaves(value: Any) -> Iterator[Any]:
    """Return everything that a template can print of a value, down to what is no longer made of parts.

    But for the description: that is for people, any text in one line, and a template must quote it.
    """
    if is_dataclass(value):
        for field in fields(value):
            if field.name != "description":
                yield from leaves(getattr(value, field.name))
        if isinstance(value, Mac):
            yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from leaves(item)
    elif value is not None and value != "":
        yield value
        if hasattr(value, "network"):
            yield from (value.ip, value.network, value.with_prefixlen, value.with_netmask, value.ip.exploded)


@settings(max_examples=250)
@given(columns=hostile.rows(options=True), slot=st.integers(0, 9999))
def test_no_value_can_break_out_of_a_template_that_quotes_nothing(
    columns: tuple[dict[str, Any], dict[str, Any]], slot: int
) -> None:
    """An operator's template may put a value anywhere; none has a sign that means something there."""
    link = parse(*columns)
    if isinstance(link, DesiredLink):
        for value in (name_of(slot), *leaves(link)):
            assert SAFE.fullmatch(str(value)), value
            assert not str(value).startswith("-")
        assert link.options.description.isprintable()
        assert len(link.options.description.encode()) <= 255


def test_a_shell_that_reads_values_without_quotes_sees_words_and_runs_nothing() -> None:
    words = [str(value) for link in hostile.corpus(60, options=True) for value in leaves(link)]
    script = f"A={' A='.join(words)}\nset -- {' '.join(words)}\nprintf '%s\\n' \"$@\""
    done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, check=True, cwd="/")
    assert (done.stdout.splitlines(), done.stderr) == (words, "")


@settings(max_examples=100)
@given(st.lists(hostile.rows(options=True), max_size=4))
def test_no_row_stops_the_others_and_every_word_about_it_can_be_printed(
    columns: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    good = [(row(901, macaddress="fa:16:3e:00:09:01"), {}), (row(902, macaddress="fa:16:3e:00:09:02"), {})]
    found = answered([good[0], *columns, good[1]])
    assert {901, 902} <= {link.row_id for link in found.links}
    for bad in found.invalid:
        assert isinstance(bad, InvalidRow)
        for text in (bad.mac_text, bad.port_id, bad.reason, bad.message):
            assert text.isprintable()
            assert len(text) < 1000
        assert bad.reason
        assert bad.message


def answered(columns: list[tuple[dict[str, Any], dict[str, Any]]]) -> Any:
    """Return what node1 desires when the database answers with these rows."""
    names = tuple(dict.fromkeys(name for own, _ in columns for name in own))
    of_subnet = tuple(dict.fromkeys(name for _, subnet in columns for name in subnet))
    rows = tuple(
        (*(own.get(name) for name in names), None, *(subnet.get(name) for name in of_subnet))
        for own, subnet in columns
    )
    answer = Answer((*names, "_subnet", *of_subnet), rows)
    return desired("node1", answer, ignore_deleted_at=False, database="")


@settings(max_examples=100)
@given(node=hostile.texts, names=st.lists(hostile.texts, max_size=4))
def test_a_node_name_is_found_as_it_is_or_not_at_all(node: str, names: list[str]) -> None:
    found, problem = "", ""
    try:
        found = match_node(node, names)
    except ConfigError as e:
        problem = f"{e} {e.hint}"
    assert found in ("", *names)
    assert problem.isprintable()
    assert node not in names or found.casefold() == node.casefold()
