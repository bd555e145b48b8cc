"""A rollout over some of the nodes, or over one after the other."""

from __future__ import annotations

import re

from multinic import __version__
from tests.k8s.checks import ROWS, converged, is_converged, no_event, soon
from tests.k8s.cluster import OTHER_VERSION, RELEASE, VERSIONS, Cluster
from tests.k8s.operator import operator


def test_a_node_that_is_not_chosen_keeps_its_links_and_gets_no_agent(cluster: Cluster) -> None:
    converged(cluster, "node2", 1)
    cluster.control.kubectl("label", "node", "node1", "network=multinic")
    with no_event(cluster):
        cluster.install("nodeSelector.network=multinic")
        soon(lambda: set(cluster.pods()) == {"node1"}, "an agent on the chosen node only")
        assert not cluster.nodes["node2"].processes("multinic agent$")
        assert is_converged(cluster, "node2", 1)
        cluster.install()
        assert set(cluster.pods()) == {"node1", "node2"}
    cluster.control.kubectl("label", "node", "node1", "network-")


def versions(cluster: Cluster) -> list[str]:
    """Return the version that runs on each node."""
    return [host.http("/")[1]["version"] for host in cluster.nodes.values()]


def test_deploy_stops_at_a_canary_that_is_ill_and_goes_on_once_it_is_well(cluster: Cluster) -> None:
    """By scripts/deploy.sh over SSH, without a registry. A node that is not reached comes before all that."""
    for node, slot in ROWS.items():
        converged(cluster, node, slot)
    first, second = cluster.nodes.values()
    mtu = first.links()["multinic0"]["mtu"]
    change = "UPDATE multi_interface SET mtu = %s WHERE port_id = 'port-0'"
    before = cluster.names()
    with operator(cluster) as someone, no_event(cluster):
        second.run("systemctl", "stop", "ssh")
        done = someone.deploy(VERSIONS[1])
        assert done.status != 0
        assert "not reached: node2: " in done.said
        assert "nothing was changed anywhere" in done.said
        second.run("systemctl", "start", "ssh")

        cluster.sql(change, 20)
        for _ in range(2):  # nor does another run go past it
            done = someone.deploy(VERSIONS[1], BATCHES="1", SOAK="0")
            assert done.status != 0
            assert "the rollout stops here, not healthy: node1 -- " in done.said
            assert versions(cluster) == [OTHER_VERSION, __version__]
        canary = cluster.names()
        assert canary["node1"] != before["node1"]
        assert canary["node2"] == before["node2"]

        cluster.sql(change, mtu)
        soon(lambda: first.http("/")[1]["status"] == "healthy", "a canary that is well")
        done = someone.deploy(VERSIONS[1], BATCHES="1", SOAK="0")
        assert done.status == 0, done.said
        for node, pod in cluster.names().items():
            assert re.search(rf"{node} healthy \d+ \d+ reached {pod}", done.said), done.said
        assert versions(cluster) == [OTHER_VERSION] * 2
        assert cluster.names()["node1"] == canary["node1"]

        cluster.install()
        assert versions(cluster) == [__version__] * 2
    cluster.kubectl("delete", "secret", f"{RELEASE}-database")
