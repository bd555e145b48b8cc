"""The chart on a real cluster, as an operator lives with it: one story after the other, on two nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.hosts import eventually
from tests.k8s.cluster import Cluster
from tests.node import mac_of

SOON = 60  # seconds; what is waited for takes two on an idle machine


def converged(cluster: Cluster, node: str, slot: int, number: int) -> bool:
    """Return whether a port has its link on a node, with its address, and the database was told."""
    host = cluster.nodes[node]
    found = host.link_of(mac_of(slot)) or {}
    name, address = f"multinic{number}", [f"10.5.0.{slot + 10}/24"]
    done = cluster.flags()[f"port-{slot}"] == 1
    return done and found.get("ifname") == name and host.addresses(name) == address


@contextmanager
def no_event(cluster: Cluster) -> Iterator[None]:
    """Fail if any link of any node has an event during the block."""
    with cluster.nodes["node1"].monitor() as first, cluster.nodes["node2"].monitor() as second:
        yield
    assert [*first, *second] == []


def test_install(cluster: Cluster) -> None:
    """Both nodes get their NICs from the database, through netplan on the host."""
    for number, node in enumerate(("node1", "node2")):
        cluster.nodes[node].let_udev_know(0, mac_of(number))
        cluster.attach(node, number, link="eth1")
    cluster.install()
    for number, node in enumerate(("node1", "node2")):
        eventually(lambda n=number, o=node: converged(cluster, o, n, 0), timeout=SOON, pause=0.3, what=node)
        text = cluster.nodes[node].read("/etc/netplan/90-multinic0.yaml")
        assert mac_of(number) in text
        assert cluster.nodes[node].exists("/run/systemd/network/10-netplan-multinic0.network")
    assert cluster.nodes["node1"].http("/readyz")[0] == 200
