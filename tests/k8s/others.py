"""Others on the nodes: a pod in a network of its own, by a real CNI, and somebody's rules and routes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.hosts import eventually
from tests.k8s.cluster import ADDRESS, Cluster
from tests.k8s.node import SANDBOX, KubeNode

NEIGHBOUR: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "neighbour", "namespace": "default"},
    "spec": {
        "selector": {"matchLabels": {"app": "neighbour"}},
        "template": {
            "metadata": {"labels": {"app": "neighbour"}},
            "spec": {"containers": [{"name": "pause", "image": SANDBOX, "imagePullPolicy": "Never"}]},
        },
    },
}
# A table of its own and a rule that leads to it, as Calico and Cilium have them; 80 is a number of theirs.
RULES = (
    "ip rule add priority 100 from 10.244.0.0/16 lookup 100;"
    f" ip route add 10.77.0.0/24 via {ADDRESS} protocol 80 table 100"
)
SHOW = (
    "ip rule; ip route show table 100; ip route | grep veth; ip -brief address | grep ^veth;"
    " iptables-save | sed '/^#/d; s/ \\[[0-9:]*\\]//'"
)


def settle(cluster: Cluster, *hosts: KubeNode) -> None:
    """Have all of it on nodes that were just booted, and wait until it changes no more."""
    cluster.control.apply(NEIGHBOUR)
    for host in hosts:
        host.run("sh", "-ec", RULES)
    cluster.control.kubectl("rollout", "status", "daemonset/neighbour", "--timeout=150s", timeout=160)
    for host in hosts:
        eventually(lambda h=host: has_settled(h), timeout=60, pause=0.3, what="addresses of a pod's link")


def has_settled(host: KubeNode) -> bool:
    """Return whether the pod is there, and no address is new."""
    return "10.244." in shown(host) and "tentative" not in host.run("ip", "address").stdout


def shown(host: KubeNode) -> str:
    """Return what others have on a node: rules, routes, links of pods, tables of the firewall."""
    return host.run("sh", "-c", SHOW).stdout


@contextmanager
def kept(*hosts: KubeNode) -> Iterator[None]:
    """Fail if anything that others have on a node is another thing after the block."""
    before = [shown(host) for host in hosts]
    for text in before:
        assert "MASQUERADE" in text, text
        assert "lookup 100" in text, text
        assert "10.77.0.0/24" in text, text
    yield
    assert [shown(host) for host in hosts] == before
