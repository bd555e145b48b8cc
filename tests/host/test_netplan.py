"""The main job on a booted host: rows in MariaDB, real netplan, real networkd, real udev."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.host.lan import advertising
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB
from tests.node import mac_of


@pytest.fixture
def node(clean: Box, server: PrivateMariaDB) -> Node:
    return Node(clean, server)


def test_ten_links_are_named_and_configured_with_one_generator_run_and_one_reload(node: Node):
    for slot in range(10):
        node.attach(slot, link=f"ens{slot + 3}")
    planned = node.plan()
    assert [item["state"] for item in planned.values()] == ["create"] * 10
    assert list(planned) == [f"multinic{slot}" for slot in range(10)]

    with node.box.monitor("eth0") as events, node.commands() as commands:
        node.run("reconcile")

    assert events == []
    assert len([line for line in commands if line.startswith("/usr/libexec/netplan/generate")]) == 1
    assert [line for line in commands if not line.startswith("/usr/libexec")] == [
        "/usr/bin/udevadm control --reload",
        "/usr/bin/networkctl reload",
    ]
    links = node.box.links()
    for slot in range(10):
        name = f"multinic{slot}"
        assert links[name]["address"] == mac_of(slot)
        assert (links[name]["mtu"], "UP" in links[name]["flags"]) == (1450, True)
        assert node.box.addresses(name) == [f"10.5.0.{slot + 10}/24"]
        file = node.box.stat(f"/etc/netplan/9{slot}-{name}.yaml")
        assert (file.mode, file.owner) == (0o600, "root")
        eventually(lambda name=name: node.box.settled(name), what=f"networkd to be done with {name}")
    assert node.flags() == {f"port-{slot}": 1 for slot in range(10)}


def test_a_second_pass_changes_nothing_at_all(node: Node):
    for slot in range(3):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    eventually(lambda: all(node.box.settled(f"multinic{slot}") for slot in range(3)))
    before = node.stats()

    with (
        node.box.monitor() as events,
        node.commands() as commands,
        node.server.statements("multinic") as said,
    ):
        done = node.run("reconcile")

    assert (done.stdout, done.stderr) == ("", "")
    assert events == []
    assert commands == []
    assert node.stats() == before
    assert len(said) == 1
    assert said[0].startswith("SELECT")


def test_what_somebody_edited_and_applied_is_repaired_and_nothing_else_is_touched(node: Node):
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    eventually(lambda: all(node.box.settled(f"multinic{slot}") for slot in range(2)))
    path = "/etc/netplan/90-multinic0.yaml"
    text = node.box.read(path)
    node.box.write(path, text.replace("1450", "1300"), 0o600)
    node.box.run("netplan", "apply")
    eventually(lambda: node.box.links()["multinic0"]["mtu"] == 1300)
    assert [item["state"] for item in node.plan().values()] == ["update", "unchanged"]

    with node.box.monitor("eth0", "multinic1") as events:
        node.run("reconcile")

    assert events == []
    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    assert node.box.links()["multinic0"]["mtu"] == 1450
    assert (node.box.read(path), node.box.stat(path).mode) == (text, 0o600)
    assert node.plan()["multinic0"]["state"] == "unchanged"


def test_one_port_may_take_the_place_of_another_in_one_pass(node: Node):
    settings = node.box.read("/etc/multinic/multinic.toml")
    node.configure(f"max_interfaces = 1\n{settings}")
    node.attach(0, link="ens3")
    node.run("reconcile")
    node.detach(0)
    node.attach(5, link="ens8")
    node.box.let_udev_know(0, mac_of(5))

    node.run("reconcile")

    assert node.box.link_of(mac_of(5))["ifname"] == "multinic0"
    assert node.box.addresses("multinic0") == ["10.5.0.15/24"]
    assert node.box.link_of(mac_of(0))["ifname"] == "ens3"
    assert node.box.addresses("ens3") == []
    assert node.plan()["multinic0"]["state"] == "unchanged"


def test_files_of_the_earlier_agents_are_adopted_without_a_flap(node: Node):
    """They wrote 9N-multinicN.yaml themselves, 0644, and had netplan apply it."""
    mac = node.attach(3, link="ens3")
    node.box.let_udev_know(3, mac)
    earlier = {
        "match": {"macaddress": mac},
        "set-name": "multinic3",
        "dhcp4": False,
        "addresses": ["10.5.0.13/24"],
        "mtu": 1450,
    }
    document = {"network": {"version": 2, "ethernets": {"multinic3": earlier}}}
    node.box.write("/etc/netplan/93-multinic3.yaml", json.dumps(document), 0o644)
    node.box.run("netplan", "apply")
    eventually(lambda: node.box.addresses("multinic3") == ["10.5.0.13/24"])
    eventually(lambda: node.box.settled("multinic3"))
    planned = node.plan()["multinic3"]
    assert (planned["state"], planned["reason"], planned["changes"]) == ("update", "adopt", [])

    with node.box.monitor("multinic3") as events:
        node.run("reconcile")

    gone = [event for event in events if "DEL" in str(event) and "10.5.0.13" in str(event)]
    assert gone == []
    assert node.box.stat("/etc/netplan/93-multinic3.yaml").mode == 0o600
    assert node.flags() == {"port-3": 1}
    assert node.plan()["multinic3"]["state"] == "unchanged"


@pytest.mark.parametrize("kind", ["netplan", "bookworm"])
def test_what_earlier_agents_left_to_netplans_defaults_is_adopted(boxes: Callable[[str], Box], kind: str):
    """netplan lets routers give a link addresses and a default route; what they removed kept its name."""
    box = boxes(kind)
    box.clean()
    node = Node(box, backend="netplan")
    with advertising(box):
        for slot in range(2):
            mac = node.attach(slot, address=None, mtu=None, link=f"ens{slot + 3}")
            ethernet = {"match": {"macaddress": mac}, "set-name": f"multinic{slot}"}
            document = {"network": {"version": 2, "ethernets": {f"multinic{slot}": ethernet}}}
            box.write(f"/etc/netplan/9{slot}-multinic{slot}.yaml", json.dumps(document), 0o644)
        box.run("netplan", "apply")
        # Of all links: one route may have both as next hops, and then ip shows it for neither of them.
        eventually(lambda: "default" in box.run("ip", "-6", "route").stdout, timeout=60)
        box.remove("/etc/netplan/91-multinic1.yaml")
        box.run("netplan", "apply")
        node.detach(1)
        node.sql("UPDATE multi_interface SET address = '10.5.0.10', mtu = 1450")

        node.run("reconcile")

        assert box.addresses("multinic0") == ["10.5.0.10/24"]
        assert "default" not in box.run("ip", "-6", "route").stdout
        link = box.link_of(mac_of(1))
        assert (link["ifname"].startswith("multinic"), "UP" in link["flags"]) == (False, False)
        assert node.run("reconcile").stderr == ""


def test_a_link_that_networkd_does_not_configure_is_put_back_and_the_others_stay(node: Node):
    """Without the drop-in of these test hosts a veth does not match netplan's file: a real failure."""
    for slot in range(3):
        node.attach(slot, link=f"ens{slot + 3}")
    dropin = "/etc/systemd/network/10-netplan-multinic1.network.d/veth.conf"
    kept = node.box.read(dropin)
    node.box.remove(dropin)
    try:
        with node.box.monitor("eth0") as events:
            done = node.run("reconcile", expect=4)
    finally:
        node.box.write(dropin, kept)

    assert events == []
    assert "multinic1: failed: not there after 4 s" in done.stderr
    link = node.box.link_of(mac_of(1))
    assert (link["ifname"], link["mtu"], "UP" in link["flags"], link["addr_info"]) == (
        "ens4",
        1500,
        False,
        [],
    )
    assert node.box.glob("/etc/netplan/*multinic1*", "/run/systemd/network/*multinic1.*") == []
    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    assert node.box.addresses("multinic2") == ["10.5.0.12/24"]
    assert node.flags() == {"port-0": 1, "port-1": 0, "port-2": 1}
    node.run("apply", "--yes")  # a person need not wait for the next attempt
    assert node.flags() == {"port-0": 1, "port-1": 1, "port-2": 1}


def test_a_broken_file_of_somebody_else_is_named_and_nothing_is_changed(node: Node):
    node.attach(0, link="ens3")
    node.box.write("/etc/netplan/60-broken.yaml", "network: [\n", 0o600)
    before = node.box.links()["ens3"]

    done = node.run("reconcile", expect=1)

    assert "/etc/netplan/60-broken.yaml" in done.stderr
    assert node.box.links()["ens3"] == before
    assert node.box.glob("/etc/netplan/*multinic*") == []


def _foreign_address(node: Node) -> None:
    node.box.run("ip", "address", "add", "10.77.0.1/24", "dev", "ens3")


def _bridge_port(node: Node) -> None:
    node.box.run("ip", "link", "add", "br0", "type", "bridge")
    node.box.run("ip", "link", "set", "ens3", "master", "br0")


@pytest.mark.parametrize("owner", [_foreign_address, _bridge_port])
def test_a_link_that_somebody_else_uses_is_not_touched(node: Node, owner):
    node.attach(0, link="ens3")
    node.attach(1, link="ens4")
    owner(node)
    before = node.box.links()["ens3"]

    done = node.run("reconcile", expect=5)

    assert "multinic0: blocked: row" in done.stderr
    assert node.box.links()["ens3"] == before
    assert node.box.addresses("multinic1") == ["10.5.0.11/24"]
    assert node.flags() == {"port-0": 0, "port-1": 1}


def test_the_link_of_the_default_route_is_not_touched(node: Node):
    mac = node.box.links()["eth0"]["address"]
    node.attach(0, macaddress=mac)
    with node.box.monitor("eth0") as events:
        done = node.run("reconcile", expect=5)
    assert events == []
    assert "link eth0 carries the default route" in done.stderr
    assert node.plan(expect=5)["multinic0"]["reason"] == "in-use"
    assert node.box.glob("/etc/netplan/*multinic*") == []


def test_a_saved_plan_is_carried_out_or_refused_when_stale(node: Node):
    node.attach(0, link="ens3")
    node.run("plan", "--out", "/root/plan.json")
    node.sql("UPDATE multi_interface SET mtu = 1400")
    done = node.run("apply", "--yes", "/root/plan.json", expect=5)
    assert "stale" in done.stderr
    assert node.box.glob("/etc/netplan/*multinic*") == []
    assert "ens3" in node.box.links()

    node.run("plan", "--out", "/root/plan.json")
    node.run("apply", "--yes", "/root/plan.json")
    assert node.box.links()["multinic0"]["mtu"] == 1400


OLD = """\
#!/bin/sh
# As before systemd 244.
[ "$1" != reload ] || { echo "Unknown operation $1." >&2; exit 1; }
exec /usr/bin/networkctl.real "$@"
"""


def test_a_networkd_that_cannot_reload_is_restarted(boxes: Callable[[str], Box]):
    box = boxes("bullseye")
    box.clean()
    node = Node(box)
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}")
    box.run("mv", "/usr/bin/networkctl", "/usr/bin/networkctl.real")
    try:
        box.write("/usr/bin/networkctl", OLD, 0o755)
        node.run("reconcile")
        addresses = [box.addresses(f"multinic{slot}") for slot in range(2)]
        assert addresses == [["10.5.0.10/24"], ["10.5.0.11/24"]]
        node.detach(0)
        with box.monitor("eth0", "multinic1") as events:
            node.run("reconcile")
    finally:
        box.run("mv", "/usr/bin/networkctl.real", "/usr/bin/networkctl")
    assert box.addresses("ens3") == []
    assert box.addresses("multinic1") == ["10.5.0.11/24"]
    # It sets what it finds once more, and takes nothing away.
    assert [event for event in events if "DEL" in event.kind] == []


@pytest.mark.parametrize("kind", ["netplan", "bookworm", "bullseye"])
def test_what_other_links_lose_after_a_daemon_reload_is_given_back(boxes: Callable[[str], Box], kind: str):
    """netplan's generator comes with it and writes all files anew: networkd then sets up every link again."""
    box = boxes(kind)
    box.clean()
    node = Node(box, backend="netplan")
    box.run("ip", "address", "add", "10.99.0.77/32", "dev", "eth0")
    box.run("ip", "route", "add", "10.244.9.0/24", "via", box.gateway)

    def of_others() -> list[str]:
        routes = box.run("ip", "route").stdout.splitlines()
        return sorted([*box.addresses("eth0"), *(line.strip() for line in routes if "multinic" not in line)])

    before = of_others()
    box.run("systemctl", "daemon-reload")
    node.attach(0, link="ens3")
    said = node.run("reconcile").stderr
    try:
        assert "eth0 lost the address 10.99.0.77/32" in said
        assert "it is given back" in said
        assert of_others() == before
        with box.monitor("eth0") as events:
            assert node.run("reconcile").stderr == ""
        assert events == []
    finally:
        box.run("ip", "route", "delete", "10.244.9.0/24", check=False)
        box.run("ip", "address", "delete", "10.99.0.77/32", "dev", "eth0", check=False)


def test_where_its_renderer_is_networkmanager_that_is_taken(boxes: Callable[[str], Box]):
    box = boxes("desktop")
    box.clean()
    node = Node(box)
    node.attach(0, link="ens3")
    assert "netplan's renderer is NetworkManager" in node.run("plan").stdout
    done = node.run("--backend", "netplan", "reconcile", expect=2)
    assert "renderer is NetworkManager on this host: set backend to networkmanager" in done.stderr
    text = box.read(box.kind.management)

    with box.monitor("eth0") as events:
        node.run("reconcile")

    assert events == []
    assert box.addresses("multinic0") == ["10.5.0.10/24"]
    assert box.read(box.kind.management) == text
    assert box.glob("/etc/netplan/*") == [box.kind.management]
    box.reboot()
    eventually(lambda: box.addresses("multinic0") == ["10.5.0.10/24"], timeout=30)
    assert node.plan()["multinic0"]["state"] == "unchanged"


def test_an_interface_on_which_a_file_of_somebody_else_builds_is_not_removed_and_the_others_go_on(node: Node):
    """Without it netplan would read no file of the host any more."""
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    vlan = "network: {version: 2, vlans: {vlan9: {id: 9, link: multinic0}}}\n"
    node.box.write("/etc/netplan/99-vlan.yaml", vlan, 0o600)
    node.detach(0)
    node.sql("UPDATE multi_interface SET mtu = 1400 WHERE port_id = 'port-1'")
    node.attach(2, link="ens5")

    said = node.run("reconcile", expect=5).stderr

    assert "multinic0: blocked: not removed: /etc/netplan/99-vlan.yaml names multinic0" in said
    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    assert node.box.links()["multinic1"]["mtu"] == 1400
    assert node.box.addresses("multinic2") == ["10.5.0.12/24"]
    assert node.run("reconcile", expect=5).stderr == ""
    node.run("purge", "--yes", expect=5)
    assert node.box.glob("/etc/netplan/9*") == ["/etc/netplan/90-multinic0.yaml", "/etc/netplan/99-vlan.yaml"]
    assert node.box.links().keys() >= {"multinic0", "ens4", "ens5"}
    node.box.remove("/etc/netplan/99-vlan.yaml")
    node.run("purge", "--yes")
    assert node.box.links().keys() >= {"ens3", "ens4", "ens5"}


def test_a_file_that_cannot_be_read_without_one_that_goes_blames_that_removal_alone(node: Node):
    """What names an interface in no word that we would find: a file of somebody else that adds to ours."""
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    vlan = 'network: {version: 2, vlans: {vlan9: {id: 9, link: "multinic\\u0030"}}}\n'
    node.box.write("/etc/netplan/99-vlan.yaml", vlan, 0o600)
    node.detach(0)
    node.sql("UPDATE multi_interface SET mtu = 1400 WHERE port_id = 'port-1'")

    said = node.run("apply", "--yes", expect=4).stderr

    assert "multinic0: failed: netplan cannot do without its file: /etc/netplan/99-vlan.yaml" in said
    assert "no network" not in said
    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    assert node.box.links()["multinic1"]["mtu"] == 1400


def test_an_update_from_a_version_that_left_lldp_on_touches_no_link(node: Node):
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    drop_ins = node.box.glob("/etc/systemd/network/10-netplan-multinic*.network.d/multinic.conf")
    for path in drop_ins:
        assert "LLDP=no" in node.box.read(path)
        node.box.remove(path)  # that version wrote nothing else into it
    node.box.run("networkctl", "reload")
    eventually(lambda: all(node.box.settled(f"multinic{slot}") for slot in range(2)))
    before = {path: node.box.stat(path) for path in node.box.glob("/etc/netplan/*multinic*")}

    with node.box.monitor() as events:
        node.run("reconcile")
    assert events == []
    assert {path: node.box.stat(path) for path in before} == before
    assert [path for path in drop_ins if node.box.exists(path)] == []
    assert {found["state"] for found in node.plan().values()} == {"unchanged"}

    node.sql("UPDATE multi_interface SET mtu = 1400 WHERE port_id = 'port-0'")
    node.run("reconcile")
    assert ["LLDP=no" in node.box.read(path) for path in drop_ins if node.box.exists(path)] == [True]
