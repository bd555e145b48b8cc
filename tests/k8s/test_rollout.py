"""A rollout over some of the nodes."""

from __future__ import annotations

from tests.k8s.checks import converged, is_converged, no_event, soon
from tests.k8s.cluster import Cluster


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
