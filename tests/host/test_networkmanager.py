"""What is special to NetworkManager, on a booted host that it manages.

What every backend promises is in test_behaviours.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from ipaddress import ip_interface

import pytest

from multinic.backend.networkmanager import NetworkManager
from multinic.backend.render import Renderer
from multinic.decide.naming import name_of
from tests.host.lan import advertising, dhcp_server
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.host.test_hostile_rows import LIMITS
from tests.hosts import eventually
from tests.node import mac_of
from tests.unit import hostile
from tests.unit.test_hostile_rows import read_ini

KEYFILES = "/etc/NetworkManager/system-connections"
NO_AUTO_DEFAULT = "/etc/NetworkManager/conf.d/10-cloud.conf"


@pytest.fixture
def node(boxes: Callable[[str], Box]) -> Node:
    box = boxes("networkmanager")
    box.clean()
    return Node(box)


def all_up(node: Node, *slots: int) -> None:
    for slot in slots:
        eventually(lambda name=f"multinic{slot}": node.box.settled(name), what=f"multinic{slot}")


def profiles(node: Node) -> dict[str, str]:
    """Return the connections that NetworkManager knows, and the link on which each is active."""
    found = node.box.run("nmcli", "--terse", "--fields", "NAME,DEVICE", "connection", "show").stdout
    return dict(line.split(":") for line in found.splitlines() if not line.startswith("lo:"))


def test_all_connections_are_loaded_once_and_only_they_are_activated(node: Node):
    for slot in range(3):
        node.attach(slot, link=f"ens{slot + 3}")
    assert [item["state"] for item in node.plan().values()] == ["create"] * 3

    with node.box.monitor("eth0") as events, node.commands() as commands:
        node.run("reconcile")

    assert events == []
    changing = [line for line in commands if "--offline" not in line and "status" not in line]
    paths = " ".join(f"{KEYFILES}/multinic{slot}.nmconnection" for slot in range(3))
    assert changing[:2] == ["/usr/bin/udevadm control --reload", f"/usr/bin/nmcli connection load {paths}"]
    # NetworkManager itself may have begun with those that were loaded.
    assert len(changing) == 5
    assert all("connection up uuid" in line or "device reapply multinic" in line for line in changing[2:])
    all_up(node, 0, 1, 2)
    for slot in range(3):
        name = f"multinic{slot}"
        assert node.box.addresses(name) == [f"10.5.0.{slot + 10}/24"]
        assert node.box.links()[name]["mtu"] == 1450
        assert node.box.stat(f"{KEYFILES}/{name}.nmconnection").mode == 0o600
        assert profiles(node)[name] == name


def test_a_link_that_it_leaves_alone_is_named_before_a_connection_is_tried(node: Node):
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}")
    node.box.run("nmcli", "device", "set", "ens3", "managed", "no")
    doctor = json.loads(node.run("--output", "json", "doctor", expect=4).stdout)["findings"]
    told = [item["message"] for item in doctor if item["check"] == "owners"]
    assert told == ["NetworkManager leaves ens3 alone (unmanaged): its connection cannot come up"]
    with node.commands() as commands:
        done = node.run("reconcile", expect=4)
    assert "multinic0: failed: NetworkManager leaves multinic0 alone (unmanaged) (look for" in done.stderr
    ups = [line for line in commands if "connection up" in line or "reapply" in line]
    assert len(ups) == 1
    assert node.flags() == {"port-0": 0, "port-1": 1}


def test_a_change_is_applied_without_taking_the_link_down(node: Node):
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    all_up(node, 0, 1)
    node.box.run("ip", "address", "add", "10.5.0.99/32", "dev", "multinic0")  # keepalived, say
    node.sql("UPDATE multi_interface SET mtu = 1400, address = '10.5.0.10, fd00:5::10/64' WHERE id = 1")

    with node.box.monitor() as events, node.commands() as commands:
        node.run("reconcile")

    assert {event.link for event in events} <= {"multinic0"}
    assert "/usr/bin/nmcli --wait 0 device reapply multinic0" in commands
    assert not any("connection up" in line for line in commands)
    gone = [event for event in events if "DEL" in str(event) and "10.5.0.10/" in str(event)]
    assert gone == []
    assert sorted(node.box.addresses("multinic0")) == ["10.5.0.10/24", "10.5.0.99/32", "fd00:5::10/64"]
    assert node.box.links()["multinic0"]["mtu"] == 1400
    assert node.plan()["multinic0"]["state"] == "unchanged"


def test_removal_leaves_no_trace(node: Node):
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}", address=f"10.5.0.{slot + 10}, fd00:5::{slot + 10}/64")
    node.run("reconcile")
    all_up(node, 0, 1)
    node.detach(0)

    with node.box.monitor("eth0", "multinic1") as events:
        node.run("reconcile")

    assert events == []
    link = node.box.links()["ens3"]
    assert (link["address"], link["mtu"], "UP" in link["flags"]) == (mac_of(0), 1500, False)
    assert link["addr_info"] == []
    assert profiles(node) == {"management": "eth0", "multinic1": "multinic1"}
    assert node.box.glob(f"{KEYFILES}/*multinic0*", "/etc/systemd/network/70-multinic0.link") == []
    assert node.box.glob("/run/NetworkManager/system-connections/*multinic*") == []


@pytest.fixture
def greedy(node: Node) -> Iterator[Node]:
    """A host whose NetworkManager makes up a connection with DHCP for every link that nobody configures."""
    node.box.remove(NO_AUTO_DEFAULT)
    node.box.run("nmcli", "general", "reload")
    yield node
    node.box.run("nmcli", "connection", "delete", "Wired connection 1", check=False)


@pytest.fixture
def dhcp(node: Node) -> Iterator[None]:
    """A server on the network of the NICs that gives out addresses and a default route."""
    with dhcp_server(node.box):
        yield


def test_a_link_that_networkmanager_took_for_itself_is_taken_over(greedy: Node):
    greedy.box.plug("ens3", mac_of(0))
    eventually(lambda: profiles(greedy).get("Wired connection 1") == "ens3", timeout=30)
    greedy.attach(0)
    greedy.run("reconcile")
    all_up(greedy, 0)
    assert profiles(greedy)["multinic0"] == "multinic0"
    assert greedy.box.addresses("multinic0") == ["10.5.0.10/24"]

    greedy.detach(0)
    greedy.run("apply", "--yes", "--allow-mass-delete")
    # Up or down: that NetworkManager may take a link that is free again at once.
    assert greedy.box.link_of(mac_of(0))["ifname"] == "ens3"
    assert greedy.box.addresses("ens3") == []
    assert greedy.plan() == {}


def take_over(node: Node, number: int) -> None:
    """Write the row of a link that is plugged in already, and carry it out; eth0 sees nothing of that."""
    node.attach(number)
    with node.box.monitor("eth0") as events:
        node.run("reconcile")
    assert events == []
    all_up(node, 0)
    assert node.box.addresses("multinic0") == [f"10.5.0.{10 + number}/24"]


def test_also_with_an_address_and_a_default_route_that_a_server_gave_it(greedy: Node, dhcp: None):
    greedy.box.plug("ens9", mac_of(7))  # for the name of a link whose connection was deleted it makes none up
    eventually(lambda: "default via 10.5.0.1" in greedy.box.run("ip", "route").stdout, timeout=30)
    take_over(greedy, 7)
    assert "10.5.0.1" not in greedy.box.run("ip", "route", "show", "default").stdout
    assert greedy.plan()["multinic0"]["state"] == "unchanged"


def test_also_with_the_only_ipv6_default_route_of_the_host(greedy: Node):
    """Whatever network a NIC is in, its router may announce itself before the first pass."""
    with advertising(greedy.box):
        greedy.box.plug("ens10", mac_of(8))
        default = ("ip", "-6", "route", "show", "default")
        eventually(lambda: "dev ens10" in greedy.box.run(*default).stdout, timeout=30)
        take_over(greedy, 8)
        assert greedy.box.run(*default).stdout == ""
        assert greedy.plan()["multinic0"]["state"] == "unchanged"


def test_dhcp_brings_an_address_and_nothing_else_unless_asked(node: Node, dhcp: None):
    node.attach(0, link="ens3", address=None, options='{"dhcp4": true}')
    node.run("reconcile")
    leased = eventually(lambda: node.box.addresses("multinic0"), timeout=30)
    assert leased[0].startswith("10.5.0.1")
    node.run("reconcile")
    assert node.flags() == {"port-0": 1}
    assert "10.5.0.1" not in node.box.run("ip", "route", "show", "default").stdout
    assert "nameserver" not in node.box.read("/etc/resolv.conf")

    node.sql("UPDATE multi_interface SET options = %s", '{"dhcp4": true, "default_route": true}')
    node.run("reconcile")
    default = eventually(lambda: re.findall("default via 10.5.0.1 .*", node.box.run("ip", "route").stdout))
    assert "metric 2000" in default[0]
    assert node.box.addresses("multinic0") == leased
    assert node.plan()["multinic0"]["state"] == "unchanged"
    node.detach(0)
    node.run("apply", "--yes", "--allow-mass-delete")
    assert node.box.addresses("ens3") == []


def _disconnect(box: Box) -> None:
    box.run("nmcli", "device", "disconnect", "multinic0")


def _delete_connection(box: Box) -> None:
    box.run("nmcli", "connection", "delete", "multinic0")


def _modify_connection(box: Box) -> None:
    box.run("nmcli", "connection", "modify", "multinic0", "802-3-ethernet.mtu", "1300")
    box.run("nmcli", "connection", "up", "multinic0")


def _open_file(box: Box) -> None:
    box.run("chmod", "0644", f"{KEYFILES}/multinic0.nmconnection")
    box.run("nmcli", "connection", "reload")


@pytest.mark.parametrize(
    "drift",
    [_disconnect, _delete_connection, _modify_connection, _open_file],
)
def test_what_was_done_with_nmcli_is_repaired(node: Node, drift):
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    all_up(node, 0, 1)
    text = node.box.read(f"{KEYFILES}/multinic0.nmconnection")
    drift(node.box)
    planned = node.plan()
    assert (planned["multinic0"]["state"], planned["multinic0"]["reason"]) == ("update", "drift")
    assert planned["multinic1"]["state"] == "unchanged"

    with node.box.monitor("eth0", "multinic1") as events:
        node.run("reconcile")

    assert events == []
    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    link = node.box.links()["multinic0"]
    assert (link["address"], link["mtu"], "UP" in link["flags"]) == (mac_of(0), 1450, True)
    assert node.box.read(f"{KEYFILES}/multinic0.nmconnection") == text
    eventually(lambda: profiles(node).get("multinic0") == "multinic0", what="an active connection")
    all_up(node, 0)
    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    assert node.plan()["multinic0"]["state"] == "unchanged"


def test_a_row_removed_while_its_link_is_unplugged_leaves_no_file_and_no_connection(node: Node):
    mac = node.attach(0, link="ens3")
    node.run("reconcile")
    node.box.unplug(mac)
    node.detach(0)
    node.run("apply", "--yes", "--allow-mass-delete")  # the last row of a node: the deletion fuse
    assert node.box.glob(f"{KEYFILES}/*multinic*", "/etc/systemd/network/70-*") == []
    assert profiles(node) == {"management": "eth0"}
    node.box.plug("ens3", mac)
    eventually(lambda: "ens3" in node.box.links())
    assert node.plan() == {}


def test_one_port_may_take_the_place_of_another_in_one_pass(node: Node):
    settings = node.box.read("/etc/multinic/multinic.toml")
    node.configure(f"max_interfaces = 1\n{settings}")
    node.attach(0, link="ens3")
    node.run("reconcile")
    all_up(node, 0)
    node.detach(0)
    node.attach(5, link="ens8")

    node.run("reconcile")

    assert node.box.link_of(mac_of(5))["ifname"] == "multinic0"
    assert node.box.addresses("multinic0") == ["10.5.0.15/24"]
    assert node.box.link_of(mac_of(0))["ifname"] == "ens3"
    assert node.box.addresses("ens3") == []
    all_up(node, 0)
    assert node.plan()["multinic0"]["state"] == "unchanged"


def test_a_keyfile_that_networkmanager_refuses_is_found_before_anything_is_written(node: Node):
    for slot in range(3):
        node.attach(slot, link=f"ens{slot + 3}")
    good = node.run("render", "multinic0").stdout.split("<==\n", 1)[1].split("\n==>")[0]
    good = good.replace("multinic0", "{{ name }}").replace("10.5.0.10", "10.5.0.12")
    good = good.replace("uuid=", "uuid={{ uuid }}\n# ")
    bad = "{% if name == 'multinic0' %}ipv4\n{% elif name == 'multinic1' %}[ethernet]\nmtu=many\n{% endif %}"
    node.box.write("/etc/multinic/templates/networkmanager/keyfile.j2", f"{good}\n{bad}")

    done = node.run("reconcile", expect=4)

    assert "multinic0: failed: networkmanager refuses its file: " in done.stderr
    assert (
        "multinic1: failed: networkmanager refuses its file: it does not understand mtu=many" in done.stderr
    )
    assert node.box.glob(f"{KEYFILES}/multinic*") == [f"{KEYFILES}/multinic2.nmconnection"]
    assert node.box.link_of(mac_of(1))["ifname"] == "ens4"
    assert node.flags() == {"port-0": 0, "port-1": 0, "port-2": 1}
    assert node.box.glob("/run/multinic/*multinic-tmp") == []


def test_a_failed_update_of_a_working_link_keeps_it_working(node: Node):
    node.attach(0, link="ens3")
    node.run("reconcile")
    all_up(node, 0)
    text = node.box.read(f"{KEYFILES}/multinic0.nmconnection")
    template = text.replace("mtu=1450", "mtu=1440")  # a template that does not do what it should
    node.box.write("/etc/multinic/templates/networkmanager/keyfile.j2", template)
    node.sql("UPDATE multi_interface SET mtu = 1400")

    done = node.run("reconcile", expect=4)

    assert "mtu 1440 → 1400" in done.stderr
    assert node.box.read(f"{KEYFILES}/multinic0.nmconnection") == text
    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    assert node.box.links()["multinic0"]["mtu"] == 1450
    assert node.box.run("nmcli", "-g", "802-3-ethernet.mtu", "con", "show", "multinic0").stdout == "1450\n"
    assert profiles(node)["multinic0"] == "multinic0"


def test_rollback_takes_the_last_change_back(node: Node):
    node.attach(0, link="ens3")
    # NetworkManager sets every link up that it may manage, to learn whether it has a carrier.
    eventually(lambda: "UP" in node.box.links()["ens3"]["flags"])
    node.run("reconcile")
    all_up(node, 0)
    node.run("rollback")
    link = node.box.link_of(mac_of(0))
    assert (link["ifname"], link["mtu"], "UP" in link["flags"]) == ("ens3", 1500, True)
    assert node.box.addresses("ens3") == []
    assert profiles(node) == {"management": "eth0"}


def test_an_option_that_no_keyfile_can_say_is_refused_by_name(node: Node):
    node.attach(0, link="ens3", address="fd00:5::10/64", options='{"link_local": []}')
    done = node.run("reconcile", expect=4)
    assert "multinic0: failed: networkmanager refuses its file: options.link_local of row 1" in done.stderr
    node.sql("UPDATE multi_interface SET options = %s", '{"dns": {"addresses": ["10.5.0.53"]}}')
    assert "options.dns of row 1: it takes 10.5.0.53 only on" in node.run("apply", "--yes", expect=4).stderr
    assert node.box.glob(f"{KEYFILES}/multinic*") == []


OPTIONS = {
    "gateway": ["10.5.0.1", "fd00:5::1"],
    "policy_routing": "auto",
    "routes": [{"to": "10.20.0.0/16", "via": "10.5.0.1", "metric": 300}, {"to": "fd00:6::/64"}],
    "dns": {"addresses": ["10.5.0.53", "fd00:5::53"], "search": ["a.example"]},
    "rp_filter": 2,
    "description": "storage",
}
ROUTES = {
    "10.20.0.0/16 via 10.5.0.1 metric 300",
    "fd00:6::/64 metric 1024",
    "10.5.0.0/24 table 1000",
    "default via 10.5.0.1 table 1000",
    "fd00:5::/64 table 1000 metric 1024",
    "default via fd00:5::1 table 1000 metric 1024",
}


def routes(box: Box) -> set[str]:
    """Return the routes of multinic0 that do not follow from its addresses."""
    found = set()
    for family in ("-4", "-6"):
        said = box.run("ip", family, "route", "show", "table", "all", "dev", "multinic0", "proto", "static")
        for line in said.stdout.splitlines():
            found.add(" ".join(re.sub(r"proto static|scope link|pref medium", "", line).split()))
    return found


def rules(box: Box) -> list[str]:
    """Return the sources of the rules of slot 0."""
    both = box.run("ip", "rule").stdout + box.run("ip", "-6", "rule").stdout
    return re.findall(r"(?m)^1000:\s+from (\S+) lookup 1000", both)


def test_what_options_ask_for_is_configured_and_taken_away_again(node: Node):
    both = "10.5.0.10, fd00:5::10/64"
    node.attach(0, link="ens3", address=both, options=json.dumps(OPTIONS))
    node.run("reconcile")
    all_up(node, 0)
    assert routes(node.box) == ROUTES
    assert sorted(rules(node.box)) == ["10.5.0.10", "fd00:5::10"]
    resolved = node.box.read("/etc/resolv.conf")
    assert re.findall(r"(?m)^(?:nameserver|search) (.*)", resolved) == [
        "a.example",
        "10.5.0.53",
        "fd00:5::53",
    ]
    assert node.box.links()["multinic0"]["ifalias"] == "storage"
    assert node.box.read("/proc/sys/net/ipv4/conf/multinic0/rp_filter") == "2\n"
    assert node.plan()["multinic0"]["state"] == "unchanged"

    node.box.run("ip", "route", "flush", "table", "1000")
    node.box.run("ip", "rule", "delete", "priority", "1000")
    assert node.plan()["multinic0"]["reason"] == "drift"
    node.run("reconcile")
    assert sorted(rules(node.box)) == ["10.5.0.10", "fd00:5::10"]
    assert node.plan()["multinic0"]["state"] == "unchanged"

    node.sql("UPDATE multi_interface SET options = NULL")
    with node.box.monitor("multinic0") as events:
        node.run("reconcile")
    assert [event for event in events if "DEL" in str(event) and "10.5.0.10/24" in str(event)] == []
    assert (routes(node.box), rules(node.box)) == (set(), [])
    assert "nameserver" not in node.box.read("/etc/resolv.conf")
    assert node.box.addresses("multinic0") == ["10.5.0.10/24", "fd00:5::10/64"]
    assert node.plan()["multinic0"]["state"] == "unchanged"


READ_ALL = """\
import json, subprocess, sys
command = ["nmcli", "--offline", "connection", "modify", "connection.zone", ""]
done = [subprocess.run(command, input=text, capture_output=True, text=True) for text in json.load(sys.stdin)]
print(json.dumps([[one.stdout, one.stderr] for one in done]))
"""


def test_networkmanager_reads_exactly_the_parsed_values(boxes: Callable[[str], Box]):
    """Its own reader on what comes of hostile rows, and what it writes again of that."""
    render = Renderer("/nonexistent")
    texts = [
        text
        for slot, link in enumerate([*LIMITS, *hostile.corpus(100)])
        for path, text in NetworkManager().files(name_of(slot), link, render).items()
        if path.endswith(".nmconnection")
    ]
    said = json.loads(boxes("networkmanager").run("python3", "-c", READ_ALL, input=json.dumps(texts)).stdout)
    assert len(said) == len(texts)
    for text, (out, err) in zip(texts, said, strict=True):
        understood = _canonical(read_ini(out))
        assert (err, understood.pop("proxy")) == ("", {})
        assert understood == {"ethernet": {}, **_canonical(read_ini(text))}


def _canonical(sections: dict[str, dict[str, str]]) -> dict[str, dict[str, object]]:
    """Return a keyfile with its addresses as values: there are several ways to write one."""
    return {
        section: {
            key: ip_interface(value) if key.startswith("address") else value for key, value in found.items()
        }
        for section, found in sections.items()
    }


EARLIER = """\
[connection]
id=multinic0
uuid=6928f3a0-0001-0002-0003-000000000004
type=ethernet
interface-name={link}
timestamp=1764300000

[ethernet]
mac-address={mac}
mtu=1450

[ipv4]
method=manual
address1=10.5.0.10/24

[ipv6]
addr-gen-mode=default
method=disabled

[proxy]
"""


@pytest.mark.parametrize("renamed", [False, True], ids=["of the first ones", "of the last ones"])
def test_what_an_earlier_agent_left_is_adopted(node: Node, renamed: bool):
    """The first ones left the link its name; the last ones named it, and their files begin with 90-."""
    mac = node.attach(0, link="ens3")
    link, start = ("multinic0", "90-") if renamed else ("ens3", "")
    if renamed:
        node.box.run("ip", "link", "set", "ens3", "name", "multinic0")
        text = f"[Match]\nMACAddress={mac}\n\n[Link]\nName=multinic0\n"
        node.box.write("/etc/systemd/network/90-multinic0.link", text)
    path = f"{KEYFILES}/{start}multinic0.nmconnection"
    node.box.write(path, EARLIER.format(link=link, mac=mac.upper()), 0o600)
    node.box.run("nmcli", "connection", "reload")
    node.box.run("nmcli", "connection", "up", "multinic0")

    node.run("reconcile")

    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    assert node.plan()["multinic0"]["state"] == "unchanged"
    files = (f"{KEYFILES}/*multinic0*", "/etc/systemd/network/*0-multinic0.link")
    assert node.box.glob(*files) == [
        f"{KEYFILES}/multinic0.nmconnection",
        "/etc/systemd/network/70-multinic0.link",
    ]
    node.detach(0)
    node.run("apply", "--yes", "--allow-mass-delete")
    assert node.box.glob(*files) == []
    assert node.box.link_of(mac)["addr_info"] == []
