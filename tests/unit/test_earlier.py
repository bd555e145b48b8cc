"""Files that earlier versions wrote: an update forgets no link, an interrupted change is still put back."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from multinic.backend.choice import named
from multinic.backend.render import Renderer
from multinic.decide.differences import file_changes
from multinic.decide.naming import name_of
from multinic.decide.policy import Policy
from multinic.host.host import File, Host
from multinic.state import checkpoint
from multinic.state.record import load_record, save_record
from multinic.values.addresses import Mac
from multinic.values.desired import DesiredLink, Options, Route, Rule
from multinic.values.observed import Observed, ObservedAddress, ObservedLink, ObservedRoute, ObservedRule
from multinic.values.paths import CHECKPOINT, RECORD
from multinic.values.record import Entry, Failure, Record, Rendered
from tests.golden.test_golden import desired_of, golden, slot_of_case

EARLIER = Path(__file__).parent / "earlier"
"""As version 0.1.0 wrote them, but for the boot in the checkpoint, which is that of the test."""
MAC = Mac("fa:16:3e:00:00:01")
OUR_RULE = Rule(ip_network("10.0.0.5/32"), None, 1000, 1000)
WISH = DesiredLink(
    mac=MAC,
    port_id="port-1",
    row_id=1,
    addresses=(ip_interface("10.0.0.5/24"), ip_interface("fd00::5/64")),
    mtu=1450,
    options=Options(
        dhcp6=True,
        gateways=(ip_address("10.0.0.1"),),
        default_route=True,
        routes=(Route(ip_network("10.20.0.0/16"), ip_address("10.0.0.1"), 5, 77, on_link=True),),
        policy_routing=True,
        dns=(ip_address("10.0.0.2"),),
        search=("example.org",),
        rp_filter=2,
        link_local=(6,),
        ethtool=(("gro", False),),
        txqueuelen=500,
        description="storage",
    ),
    routes=(
        Route(ip_network("0.0.0.0/0"), ip_address("10.0.0.1"), 2000),
        Route(ip_network("fd00::/64"), None, 1024, 1000),
    ),
    rules=(OUR_RULE,),
)
ENTRY = Entry(0, "port-1", "ens7", 1500, WISH, None, {"rp_filter": "0", "accept_ra": "1"})
FAILED = Entry(
    1, "port-2", "ens8", 9000, None, Failure(3, 1700000000.5, None, 7, "not there after 10 s", suspect=True)
)
REMEMBERED = Record(
    {MAC: ENTRY, Mac("fa:16:3e:00:00:02"): FAILED},
    {"multinic0": Rendered("0a1b", {"/etc/netplan/90-multinic0.yaml": "network: {}\n"})},
    2,
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(str(tmp_path))


def test_an_earlier_record_is_read_whole_and_written_as_it_was(host: Host) -> None:
    text = (EARLIER / "record.json").read_text()
    host.write(RECORD, text, 0o600)
    assert load_record(host) == REMEMBERED
    save_record(host, REMEMBERED)
    written = json.loads(host.read(RECORD) or "")
    for entry in written["links"].values():
        if entry["failure"]:  # an earlier version ignores what it does not know
            assert entry["failure"].pop("carrier") is None
    assert {key: written[key] for key in json.loads(text)} == json.loads(text)


@pytest.mark.parametrize("rebooted", [False, True])
def test_an_earlier_checkpoint_is_read_whole_but_for_links_of_another_boot(
    host: Host, rebooted: bool
) -> None:
    document = json.loads((EARLIER / "checkpoint.json").read_text())
    document["boot"] = "another one" if rebooted else host.boot_id()
    host.write(CHECKPOINT, json.dumps(document), 0o600)
    loaded = checkpoint.load(host, CHECKPOINT)
    assert loaded is not None
    assert loaded.backend == "netplan"
    (saved,) = loaded.interfaces
    assert (saved.key, saved.name, saved.mac, saved.entry) == (str(MAC), "multinic0", MAC, ENTRY)
    assert saved.files == {
        "/etc/netplan/90-multinic0.yaml": File(b"old\xff\n", 0o600, 0, 0),
        "/run/x": None,
    }
    if rebooted:
        assert (saved.link, saved.rules, saved.our_rules) == (None, (), ())
        return
    addresses = (
        ObservedAddress(ip_interface("10.0.0.9/24")),
        ObservedAddress(ip_interface("fe80::1/64"), kernel=True),
    )
    assert saved.link == ObservedLink(7, "ens7", MAC, up=True, altnames=("enp0s7",), addresses=addresses)
    assert [found.raw for found in saved.link.addresses] == [b"\1\2", b"\3"]
    gateway = ip_address("10.0.0.1")
    assert saved.routes == (ObservedRoute(ip_network("10.9.0.0/16"), gateway, 7, 254, 10, 4),)
    assert saved.routes[0].raw == b"\5\6"
    assert saved.rules == (ObservedRule(OUR_RULE, 2, 114, b"\7"),)
    assert saved.our_rules == (OUR_RULE, Rule(None, ip_network("fd00::/8"), 1000, 1000))
    assert saved.properties == {"rp_filter": "0"}


def _says_nothing_of_lldp(path: str, text: str) -> str | None:
    """Return a file of a golden case as an earlier version wrote it; None: it did not write it."""
    without = text.replace("\n[Network]\nLLDP=no\n", "").replace("LLDP=no\n", "")
    return without if "[" in without or not path.endswith(".conf") else None


@pytest.mark.parametrize(
    "case", ["netplan/one-address", "netplan/dhcp", "networkd/one-address", "networkd/dhcp"]
)
def test_files_that_say_nothing_of_lldp_stay_until_something_else_changes(case: str) -> None:
    """A file that an update rewrote would have networkd configure every link again."""
    backend, wish = named(case.split("/", maxsplit=1)[0]), desired_of(Path(case))
    name = name_of(slot_of_case(Path(case)))
    policy = Policy(
        backend.name,
        10,
        backend.mode,
        lambda name, link: backend.files(name, link, Renderer("/nonexistent")),
        backend.slot_of_file,
        without_lldp=backend.without_lldp,
    )
    texts = {path: _says_nothing_of_lldp(path, text) for path, text in golden(Path(case)).items()}
    files = {path: text for path, text in texts.items() if text is not None}
    assert files != golden(Path(case))
    modes = {path: backend.mode(path) for path in files}

    def changes(**options: object) -> dict[str, str | None]:
        """Return what would be written for the row with other options."""
        link = replace(wish, options=replace(wish.options, **options))  # type: ignore[arg-type]
        observed = Observed((), (), (), files=files, modes=modes)
        return {change.path: change.new for change in file_changes(name, link, observed, policy)}

    assert changes() == {}
    assert any("LLDP=yes" in (text or "") for text in changes(lldp=True).values())
    assert any("LLDP=no" in (text or "") for text in changes(search=("example.org",)).values())
