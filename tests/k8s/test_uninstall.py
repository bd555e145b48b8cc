"""The end of a release: what stays on the nodes, and what does not. Last: the program is gone then."""

from __future__ import annotations

from tests.k8s.checks import ROWS, is_converged, no_event, soon
from tests.k8s.cluster import RELEASE, Cluster


def test_uninstall_leaves_the_links_as_they_are(cluster: Cluster) -> None:
    with no_event(cluster):
        cluster.control.helm("uninstall", RELEASE, "--namespace=kube-system", "--wait")
        soon(lambda: not cluster.pods(), "no pods")
    for node, slot in ROWS.items():
        assert is_converged(cluster, node, slot)
        assert cluster.nodes[node].exists("/etc/netplan/90-multinic0.yaml")
