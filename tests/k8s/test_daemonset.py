"""The chart on a real cluster, as an operator lives with it: one story after the other, on two nodes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.hosts import eventually
from tests.k8s.checks import (
    ROWS,
    converged,
    is_converged,
    no_event,
    read_only,
    removed,
    slow_generator,
    soon,
    states,
)
from tests.k8s.cluster import ADDRESS, OTHER_VERSION, RELEASE, VERSIONS, Cluster
from tests.k8s.others import kept, settle
from tests.node import mac_of

PROBED = 6  # seconds: probes run every second, and the third that fails has a consequence
HUNGRY = "memory = []\nwhile True: memory.append(bytearray(1 << 20))"


def test_install(cluster: Cluster) -> None:
    """Both nodes get their NICs from the database, through netplan on the host, by a pod with few rights."""
    for node, slot in ROWS.items():
        converged(cluster, node, slot)
        host = cluster.nodes[node]
        assert mac_of(slot) in host.read("/etc/netplan/90-multinic0.yaml")
        assert host.exists("/run/systemd/network/10-netplan-multinic0.network")
        assert host.http("/readyz")[0] == host.http("/livez")[0] == 200
        assert host.http("/")[1]["status"] == "healthy"
        assert {line["level"] for line in cluster.logs(node)} == {"info"}
    assert "converged" in cluster.kubectl("exec", cluster.pod("node1"), "--", "multinic", "status")
    for pod in cluster.pods().values():
        (container,) = pod["spec"]["containers"]
        assert not container["securityContext"].get("privileged")
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_a_nic_comes_later_and_a_row_goes(cluster: Cluster) -> None:
    host = cluster.nodes["node1"]
    host.let_udev_know(1, mac_of(2))
    cluster.attach("node1", 2)
    soon(
        lambda: "waiting" in states(host),
        "a row without a NIC",
    )
    with kept(host), host.monitor("multinic0") as events:
        cluster.plug("node1", 2, "eth2")
        converged(cluster, "node1", 2, 1)
        cluster.sql("UPDATE multi_interface SET mtu = 1300 WHERE port_id = 'port-2'")
        soon(lambda: host.links()["multinic1"]["mtu"] == 1300, "another MTU")
        removed(cluster, "node1", 2, 1)
    assert events == []
    assert is_converged(cluster, "node1", 0)


def test_a_kernel_variable_is_set_although_those_of_the_container_are_read_only(cluster: Cluster) -> None:
    variable = "/proc/sys/net/ipv4/conf/multinic0/rp_filter"
    host = cluster.nodes["node1"]
    tried = cluster.kubectl(
        "exec", cluster.pod("node1"), "--", "sh", "-c", f"exec 2>&1; echo 2 >{variable} || true"
    )
    assert "Read-only" in tried
    cluster.sql("UPDATE multi_interface SET options = '{\"rp_filter\": 2}' WHERE port_id = 'port-0'")
    soon(lambda: host.read(variable).strip() == "2", "rp_filter of the host")
    converged(cluster, "node1", 0)


def test_a_database_that_is_down_restarts_nothing_and_makes_nothing_unavailable(cluster: Cluster) -> None:
    host = cluster.nodes["node1"]
    with no_event(cluster):
        cluster.server.stop()
        try:
            soon(lambda: host.http("/")[0] == 503, "an answer that says so")
            found = host.http("/")[1]
            assert found["last_pass"]["result"] == "database-unreachable"
            assert not found["database_connected"]
            assert host.http("/readyz")[0] == host.http("/livez")[0] == 200
            time.sleep(PROBED)
            assert cluster.unavailable() == cluster.restarts() == 0
        finally:
            cluster.start_database()
        soon(lambda: host.http("/")[1]["status"] == "healthy", "a node that recovers")
    assert cluster.unavailable() == cluster.restarts() == 0


def test_a_pod_is_deleted_and_another_one_goes_on(cluster: Cluster) -> None:
    before = cluster.pod("node1")
    with no_event(cluster):
        cluster.kubectl("delete", "pod", before, timeout=120)
        soon(
            lambda: cluster.pods().get("node1", {}).get("metadata", {}).get("name", before) != before,
            "another pod",
        )
        cluster.rolled_out()
        soon(lambda: cluster.nodes["node1"].http("/")[1]["status"] == "healthy", "a pod that goes on")


def kill(cluster: Cluster, agent: int) -> None:
    """Kill the agent of node1."""
    cluster.nodes["node1"].run("kill", "-KILL", str(agent))


def exhaust(cluster: Cluster, agent: int) -> None:
    """Have the kernel kill the agent of node1 because its container needs more memory than it may have."""
    # Something else in the container takes the memory; the agent is the first to go.
    cluster.nodes["node1"].run("sh", "-c", f"echo 1000 >/proc/{agent}/oom_score_adj")
    cluster.kubectl("exec", cluster.pod("node1"), "--", "python3", "-c", HUNGRY, check=False)


@pytest.mark.parametrize(("slot", "end", "reason"), [(3, kill, "Error"), (4, exhaust, "OOMKilled")])
def test_a_pod_that_is_killed_in_mid_change_leaves_the_node_well(
    cluster: Cluster, slot: int, end: Callable[[Cluster, int], None], reason: str
) -> None:
    host = cluster.nodes["node1"]
    host.let_udev_know(1, mac_of(slot))
    restarts = cluster.restarts()
    cluster.attach("node1", slot, link=f"eth{slot}")
    with slow_generator(host), kept(host), host.monitor("multinic0") as events:
        (agent,) = host.processes("multinic agent$")
        end(cluster, agent)
        soon(lambda: cluster.restarts() == restarts + 1, "a container that was started again")
    (container,) = cluster.pods()["node1"]["status"]["containerStatuses"]
    assert container["lastState"]["terminated"]["reason"] == reason
    converged(cluster, "node1", slot, 1)
    assert events == []
    assert is_converged(cluster, "node1", 0)
    cluster.rolled_out()
    removed(cluster, "node1", slot, 1)


def test_500_links_at_once_stay_within_the_memory_of_the_chart(cluster: Cluster) -> None:
    """Links of pods that come and go do not disturb the agent, at the limit that the chart has by default."""
    host, restarts = cluster.nodes["node1"], cluster.restarts()
    pods = range(250)
    come = "".join(f"link add pod{n} type veth peer name far{n}\n" for n in pods)
    go = "".join(f"link delete pod{n}\n" for n in pods)
    host.let_udev_know(1, mac_of(5))
    with kept(host), host.monitor("multinic0") as events:
        host.run("ip", "-batch", "-", input=come, timeout=120)
        cluster.attach("node1", 5, link="eth5")
        host.run("ip", "-batch", "-", input=go, timeout=120)
        converged(cluster, "node1", 5, 1)
    assert events == []
    assert cluster.restarts() == restarts
    removed(cluster, "node1", 5, 1)


def test_a_node_that_was_rebooted_is_as_before(cluster: Cluster) -> None:
    host, before = cluster.nodes["node2"], cluster.restarts()
    host.reboot()
    eventually(
        lambda: cluster.restarts() > before, timeout=150, pause=0.5, what="a container of the new boot"
    )
    converged(cluster, "node2", 1)
    cluster.rolled_out()
    settle(cluster, host)


def test_an_upgrade_and_the_way_back_cause_no_event_on_any_link(cluster: Cluster) -> None:
    with no_event(cluster):
        cluster.install(version=VERSIONS[1])
        assert {host.http("/")[1]["version"] for host in cluster.nodes.values()} == {OTHER_VERSION}
        cluster.control.helm("rollback", RELEASE, "--namespace=kube-system")
        cluster.rolled_out()
        assert OTHER_VERSION not in {host.http("/")[1]["version"] for host in cluster.nodes.values()}
    assert cluster.flags()["port-0"] == cluster.flags()["port-1"] == 1


def test_a_bad_image_stops_at_the_first_node_also_while_the_database_is_down(cluster: Cluster) -> None:
    before = cluster.names()
    with no_event(cluster):
        cluster.server.stop()
        try:
            cluster.install(version="none", wait=False)
            soon(lambda: "ErrImageNeverPull" in cluster.kubectl("get", "pods"), "a pod that cannot begin")
            assert len(before.items() & cluster.names().items()) == 1
            cluster.control.helm("rollback", RELEASE, "--namespace=kube-system")
            cluster.rolled_out()
        finally:
            cluster.start_database()
        for host in cluster.nodes.values():
            soon(lambda h=host: h.http("/")[1]["status"] == "healthy", "a node that recovers")


def test_a_pod_with_too_few_rights_says_so_and_does_not_crash(cluster: Cluster) -> None:
    cluster.install("securityContext.capabilities.add={NET_ADMIN}")
    cluster.sql("UPDATE multi_interface SET mtu = 1420 WHERE port_id = 'port-1'")
    soon(lambda: "multinic: configuration" in cluster.described("node2"), "why")
    assert any("SYS_ADMIN" in line.get("hint", "") for line in cluster.logs("node2"))
    assert cluster.restarts() == 0
    cluster.install()
    soon(lambda: cluster.nodes["node2"].links()["multinic0"]["mtu"] == 1420, "the change")
    converged(cluster, "node2", 1)


def test_a_wrong_password_is_seen_and_a_right_one_needs_no_restart(cluster: Cluster) -> None:
    restarts = cluster.restarts()
    cluster.server.create_user("multinic", "another one", ["SELECT, UPDATE ON *.*"])
    cluster.disconnect()
    soon(lambda: cluster.unavailable() == 2, "pods that are not ready")
    words = "multinic: database-refused"
    soon(lambda: words in cluster.described("node1"), "why")
    assert any("Access denied" in line["msg"] for line in cluster.logs("node1"))
    assert cluster.nodes["node1"].http("/livez")[0] == 200
    cluster.password = "another one"
    cluster.install()
    soon(lambda: cluster.unavailable() == 0, "pods that are ready again")
    assert cluster.restarts() == restarts


def test_a_host_that_takes_no_change_has_one_reason_and_no_crash_loop(cluster: Cluster) -> None:
    host, restarts = cluster.nodes["node1"], cluster.restarts()
    with read_only(host, "/etc/netplan"):
        cluster.sql("UPDATE multi_interface SET mtu = 1400 WHERE port_id = 'port-0'")
        soon(
            lambda: any("ead-only file system" in line["msg"] for line in cluster.logs("node1")), "its reason"
        )
    converged(cluster, "node1", 0)
    soon(lambda: host.links()["multinic0"]["mtu"] == 1400, "the change, once that is possible")
    assert cluster.restarts() == restarts


def test_the_host_and_the_daemonset_on_one_node_get_one_clear_answer(cluster: Cluster) -> None:
    """Whoever comes second says so and changes nothing."""
    host = cluster.nodes["node1"]
    url = f"mysql://multinic@{ADDRESS}:{cluster.server.port}/{cluster.database}"
    settings = f'[database]\nurl = "{url}"\npassword_file = "/etc/multinic/password"\n'
    host.write("/etc/multinic/multinic.toml", settings, 0o600)
    host.write("/etc/multinic/password", cluster.password, 0o600)
    host.multinic("install-units")
    with no_event(cluster):
        host.run("systemctl", "enable", "--now", "multinic.timer")
        said = "an agent runs the passes of this host"
        soon(
            lambda: said in host.run("journalctl", "--unit=multinic.service").stdout,
            "what the timer's pass says",
        )
        host.run("systemctl", "stop", "multinic.service")
        cluster.kubectl("delete", "pod", cluster.pod("node1"), timeout=120)
        words = "multinic.timer runs the passes of this host"
        soon(lambda: words in cluster.described("node1"), "what the pod says")
        host.run("systemctl", "disable", "--now", "multinic.timer")
        cluster.rolled_out()
    host.remove("/etc/systemd/system/*multinic*", "/etc/udev/rules.d/90-multinic.rules", "/etc/multinic")
    host.run("systemctl", "daemon-reload")
