"""The end of a release: what stays on the nodes, and what does not. Last: the program is gone then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.host.test_moving import FILE
from tests.hosts import CommandFailed
from tests.k8s.checks import ROWS, converged, is_converged, no_event, read_only, soon
from tests.k8s.cluster import RELEASE, Cluster
from tests.k8s.node import SANDBOX
from tests.k8s.others import kept
from tests.node import mac_of


def uninstall(cluster: Cluster) -> None:
    """Delete the release, with what it does at its end."""
    cluster.control.helm("uninstall", RELEASE, "--namespace=kube-system", "--timeout=100s", timeout=120)


def purge_log(cluster: Cluster) -> str:
    """Return what the Job said that waits for all nodes."""
    return cluster.kubectl("logs", f"job/{RELEASE}-purge")


def test_uninstall_leaves_the_links_as_they_are(cluster: Cluster) -> None:
    with no_event(cluster):
        cluster.control.helm("uninstall", RELEASE, "--namespace=kube-system", "--wait")
        soon(lambda: not cluster.pods(), "no pods")
    for node, slot in ROWS.items():
        assert is_converged(cluster, node, slot)
        assert cluster.nodes[node].exists("/etc/netplan/90-multinic0.yaml")


def test_purge_on_uninstall_takes_everything_off_all_nodes_and_names_one_that_fails(cluster: Cluster) -> None:
    host = cluster.nodes["node2"]
    with kept(*cluster.nodes.values()):
        cluster.install("purgeOnUninstall=true", "purge.timeoutSeconds=30")
        for node, slot in ROWS.items():
            converged(cluster, node, slot)
        with read_only(host, "/etc/netplan"), pytest.raises(CommandFailed):
            uninstall(cluster)
        (line,) = [line for line in purge_log(cluster).splitlines() if "node2" in line]
        assert "ead-only file system" in line
        assert is_converged(cluster, "node2", 1)

        cluster.install("purgeOnUninstall=true")
        uninstall(cluster)
        for node, slot in ROWS.items():
            host = cluster.nodes[node]
            name = (host.link_of(mac_of(slot)) or {})["ifname"]
            assert name.startswith("eth")  # the number is that of the last plugging
            assert not host.addresses(name)
            assert not host.glob("/etc/netplan/*multinic*", "/var/lib/multinic/*")
    everything = ("get", "all,secrets,configmaps", "--output=name")
    soon(
        lambda: "multinic" not in cluster.kubectl(*everything), "nothing of the release"
    )  # pods end by and by


def earlier_chart(directory: Path) -> Path:
    """Write what matters of the chart of the earlier agent in Go: names, labels, a privileged pod."""
    labels = {"app.kubernetes.io/name": "multinic-agent", "app.kubernetes.io/instance": RELEASE}
    metadata = {"name": RELEASE, "labels": labels}
    container = {
        "name": "multinic-agent",
        "image": SANDBOX,
        "imagePullPolicy": "Never",
        "securityContext": {"privileged": True},
    }
    pod = {
        "hostNetwork": True,
        "hostPID": True,
        "containers": [container],
        "tolerations": [{"operator": "Exists"}],
    }
    daemonset = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}]
    rbac = "rbac.authorization.k8s.io/v1"
    secret = {"metadata": {"name": f"{RELEASE}-db"}, "stringData": {"password": "of no use"}}
    objects = [
        {"apiVersion": "v1", "kind": "Secret", **secret},
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": daemonset},
    ]
    (directory / "templates").mkdir()
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: multinic-agent\nversion: 0.6.0\n")
    (directory / "templates/all.yaml").write_text("\n---\n".join(map(json.dumps, objects)))
    return directory


def test_a_release_of_the_earlier_agent_is_upgraded_in_place_without_a_flap(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.control.helm("install", RELEASE, str(earlier_chart(tmp_path)), "--namespace=kube-system")
    cluster.rolled_out()
    pods = cluster.pods()
    cluster.sql("UPDATE multi_interface SET mtu = 1450, netplan_success = 0")
    for node, slot in ROWS.items():
        host = cluster.nodes[node]
        text = FILE.format(slot=0, host=slot + 10, mac=mac_of(slot).upper())
        host.remove("/etc/netplan/90-multinic0.yaml", "/var/lib/multinic", "/run/multinic")
        host.write("/etc/netplan/90-multinic0.yaml", text, 0o644)
        host.let_udev_know(0, mac_of(slot))
        host.run("netplan", "apply")
        soon(lambda h=host: h.addresses("multinic0") and h.settled("multinic0"), "what the other agent left")
    first, second = cluster.nodes.values()
    with kept(first, second), first.monitor() as events, second.monitor() as more:
        cluster.install()
        for node, slot in ROWS.items():
            converged(cluster, node, slot)
    told = [str(event) for event in (*events, *more)]
    assert [text for text in told if " down " in text or ("DEL" in text and "10.5.0." in text)] == []
    for node in ROWS:
        assert cluster.pod(node) != pods[node]["metadata"]["name"]
        assert cluster.nodes[node].stat("/etc/netplan/90-multinic0.yaml").mode == 0o600
    assert RELEASE not in cluster.control.kubectl("get", "clusterroles", "--output=name")
