"""What the tests of this tier wait for and compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.hosts import eventually
from tests.k8s.cluster import Cluster
from tests.k8s.node import KubeNode
from tests.k8s.others import kept
from tests.node import mac_of

SOON = 60  # seconds; what is waited for takes two on an idle machine
ROWS = {"node1": 0, "node2": 1}
"""The port that each node has from the beginning, as its first."""


def soon(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition as long as a busy machine may need."""
    return eventually(condition, timeout=SOON, pause=0.3, what=what)


def is_converged(cluster: Cluster, node: str, slot: int, number: int = 0) -> bool:
    """Return whether a port has its link on a node, with its address, and the database was told."""
    host = cluster.nodes[node]
    found = host.link_of(mac_of(slot)) or {}
    name, address = f"multinic{number}", [f"10.5.0.{slot + 10}/24"]
    done = cluster.flags()[f"port-{slot}"] == 1
    return done and found.get("ifname") == name and host.addresses(name) == address


def converged(cluster: Cluster, node: str, slot: int, number: int = 0) -> None:
    """Wait until a port has what it should have."""
    soon(lambda: is_converged(cluster, node, slot, number), f"port {slot} on {node}")


def removed(cluster: Cluster, node: str, slot: int, number: int = 0) -> None:
    """Delete the row of a port, and wait until its node has let the link go."""
    host = cluster.nodes[node]
    cluster.detach(slot)
    soon(lambda: not host.exists(f"/etc/netplan/9{number}-multinic{number}.yaml"), "no file of it")
    soon(lambda: not host.addresses((host.link_of(mac_of(slot)) or {})["ifname"]), "no address of it")


def states(host: KubeNode) -> set[str]:
    """Return the states that the interfaces of a node have."""
    return {item["state"] for item in host.http("/")[1]["interfaces"]}


@contextmanager
def no_event(cluster: Cluster) -> Iterator[None]:
    """Fail if any link of any node has an event during the block, or if anything of others has changed."""
    first, second = cluster.nodes.values()
    with no_event_on(first), no_event_on(second):
        yield


@contextmanager
def no_event_on(host: KubeNode) -> Iterator[None]:
    """The same for one node."""
    with kept(host), host.monitor() as events:
        yield
    assert not events, "\n".join(map(str, events))


@contextmanager
def slow_generator(host: KubeNode) -> Iterator[None]:
    """Have netplan's generator not end during the block, which begins once it has been run."""
    generator, real = "/usr/libexec/netplan/generate", "/usr/libexec/netplan/real"
    text = f'#!/bin/sh\ntouch /run/slow\nwhile [ -e {real} ]; do sleep 0.05; done\nexec {generator} "$@"\n'
    host.remove("/run/slow")
    host.run("mv", generator, real)
    try:
        host.write(generator, text, 0o755)
        soon(lambda: host.exists("/run/slow"), "a change that is half done")
        yield
    finally:
        host.run("mv", real, generator)


@contextmanager
def read_only(host: KubeNode, directory: str) -> Iterator[None]:
    """Have a directory of a node not be writable during the block, for containers either.

    They see what is mounted from the moment on that it is, but not that it is made read-only afterwards.
    """
    host.run("mount", "--bind", "-o", "ro", directory, directory)
    host.run("mount", "-o", "remount,bind,ro", directory)
    try:
        yield
    finally:
        host.run("umount", directory)
