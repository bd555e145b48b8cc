"""What the Ansible collection decides, and that its parts agree with each other."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from multinic import __version__

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / "ansible"
ROLE = COLLECTION / "roles/multinic"


def filters(name: str) -> ModuleType:
    """Return a module of filters, as Ansible loads it: by its file."""
    spec = importlib.util.spec_from_file_location(name, COLLECTION / f"plugins/filter/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hosts, reports = filters("hosts"), filters("reports")


def test_the_collection_has_the_version_of_the_program():
    assert yaml.safe_load((COLLECTION / "galaxy.yml").read_text())["version"] == __version__


def test_every_variable_of_the_role_is_checked_and_documented_with_its_default():
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    (spec,) = {json.dumps(one, sort_keys=True) for one in specs().values()}
    assert {name: option["default"] for name, option in json.loads(spec)["options"].items()} == defaults
    page = (COLLECTION / "README.md").read_text()
    told = dict(re.findall(r"^\| `(multinic_\w+)` \| (.*?) \|", page, re.MULTILINE))
    shown = {
        name: "" if told[name] == "empty" else yaml.safe_load(told[name].strip("`")) for name in defaults
    }
    assert shown == defaults


def specs() -> Any:
    return yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]


def test_every_variable_that_a_user_may_set_for_a_playbook_is_documented():
    used = "".join(path.read_text() for path in (COLLECTION / "playbooks").glob("*.yml"))
    optional = set(re.findall(r"(multinic_\w+) \| default\(", used))
    inner = {"multinic_old", "multinic_looked", "multinic_file"}
    assert {
        name for name in optional - inner if f"`{name}`" not in (COLLECTION / "README.md").read_text()
    } == set()


def test_the_licence_of_the_collection_is_that_of_the_program():
    assert (COLLECTION / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_a_host_is_read_from_what_it_prints():
    said = "seen=3.12\r\nseen=3.9\r\npython=/usr/bin/python3.12\r\npackage=deb 0.1.0\r\nWelcome=1\r\n"
    assert hosts.host_facts(said) == {
        "seen": "3.12",
        "python": "/usr/bin/python3.12",
        "tool": "",
        "program": "",
        "package": "deb 0.1.0",
        "systemd": "",
    }


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("/x/multinic_0.1.0_all.deb", "deb 0.1.0"),
        ("multinic-0.1.0-2.noarch.rpm", "rpm 0.1.0-2"),
        ("multinic-0.1.0-py3-none-any.whl", "wheel 0.1.0"),
        ("", ""),
    ],
)
def test_a_package_is_known_by_its_name(path, package):
    assert hosts.package_facts(path)["package"] == package


def test_a_file_of_another_name_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="leave the name as the build made it"):
        hosts.package_facts("/x/latest.deb")


@pytest.mark.parametrize(
    ("package", "wanted", "version", "answer"),
    [
        ("", "multinic_0.1.0_all.deb", "", True),
        ("deb 0.1.0", "multinic_0.1.0_all.deb", "", False),
        ("deb 0.2.0", "multinic_0.1.0_all.deb", "", True),
        ("deb 0.2.0", "", "", False),
        ("deb 0.2.0", "", "0.1.0", True),
        ("", "", "", True),
    ],
)
def test_what_is_there_already_is_not_installed(package, wanted, version, answer):
    assert hosts.to_install({"package": package}, hosts.package_facts(wanted), version) is answer


def status(**values: Any) -> str:
    interface = {"mac": "fa:16:3e:00:00:01", "name": "multinic0", "message": "row 1: …"}
    interface |= {"state": values.pop("state", "converged"), "reason": values.pop("reason", "converged")}
    return json.dumps({"exit": 0, "error": "", "interfaces": [interface], **values})


@pytest.mark.parametrize(
    ("now", "health", "before", "said"),
    [
        pytest.param(status(), "healthy", "{}", "", id="good"),
        pytest.param(
            status(state="failed", reason="mtu"), "degraded", "{}", "multinic0 is failed (mtu)", id="bad"
        ),
        pytest.param(
            status(state="invalid", reason="mtu"),
            "degraded",
            status(state="invalid", reason="mtu"),
            "",
            id="as before",
        ),
        pytest.param(
            status(state="invalid", reason="mtu"),
            "degraded",
            status(state="waiting", reason="x"),
            "invalid",
            id="worse",
        ),
        pytest.param(status(exit=None), "unhealthy", "{}", "no pass has finished", id="no pass"),
        pytest.param(
            status(error="no database", exit=75), "unhealthy", "{}", "no database", id="no database"
        ),
        pytest.param(status(), "unhealthy", "{}", "unhealthy", id="silent"),
    ],
)
def test_a_host_is_judged_by_its_last_pass_and_by_how_it_was(now, health, before, said):
    found = hosts.trouble(now, json.dumps({"status": health}), json.loads(before), ["converged", "waiting"])
    assert said in found
    assert bool(found) is bool(said)


def test_how_a_host_was_is_read_from_what_it_prints():
    said = 'package=deb 0.1.0\r\nkept=/x.deb\r\nstate=yes\r\n{"exit": 0}\r\n'
    was = {"package": "deb 0.1.0", "kept": "/x.deb", "state": True, "status": {"exit": 0}}
    assert hosts.remembered(said) == was
    assert hosts.remembered("package=\n") == {"package": "", "kept": "", "state": False, "status": {}}


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        ({"msg": "no"}, "no"),
        ({"msg": "non-zero return code", "rc": 1, "stderr": "a\nb\n"}, "non-zero return code: b"),
        ({"msg": "non-zero return code", "rc": 1, "stderr": "", "stdout": "c"}, "non-zero return code: c"),
        ({}, "a task failed"),
    ],
)
def test_a_command_that_failed_is_reported_with_its_last_words(failed, reason):
    assert hosts.reason(failed) == reason


HOSTS = {name: {"multinic_print": "p"} for name in "abcd"}


def judged(report: Any, batch: str, **verdicts: str) -> Any:
    """Run one batch: the hosts that have no verdict were lost."""
    work = reports.next_batch(report, batch)
    begun = reports.noted(report, work, HOSTS, True)
    assert {begun["hosts"][name]["result"] for name in work["hosts"]} <= {"started"}
    said = {
        name: {"multinic_verdict": {"result": result, "reason": "why"}} for name, result in verdicts.items()
    }
    return reports.noted(report, work, {name: HOSTS[name] | said.get(name, {}) for name in HOSTS})


def test_a_rollout_stops_at_a_host_that_is_bad_or_lost_and_goes_on_after_it():
    first = judged(reports.begin_rollout("", "abcd", HOSTS), "a", a="done")
    assert reports.next_batch(first, "bc") == {"hosts": ["b", "c"], "stopped": "", "last": False, "number": 2}

    second = judged(first, "bc", b="done")
    assert second["stopped"] == "c: the connection was lost during the change"
    assert reports.next_batch(second, "d")["stopped"]

    again = reports.begin_rollout(json.dumps(second), "abcd", HOSTS)
    assert reports.next_batch(again, "a")["hosts"] == []
    assert reports.next_batch(again, "bcd") == {"hosts": ["c", "d"], "stopped": "", "last": True, "number": 1}


def test_a_host_that_is_too_old_does_not_stop_a_rollout():
    report = judged(reports.begin_rollout("", "abcd", HOSTS), "ab", a="done", b="unsupported")
    assert report["stopped"] == ""


def test_a_batch_that_was_cut_short_is_done_again_and_stops_what_would_follow():
    begun = reports.noted(
        reports.begin_rollout("", "abcd", HOSTS), {"hosts": ["a"], "number": 1}, HOSTS, True
    )
    assert reports.next_batch(begun, "b")["stopped"] == "a is started"
    again = reports.begin_rollout(json.dumps(begun), "abcd", HOSTS)
    assert reports.next_batch(again, "a") == {"hosts": ["a"], "stopped": "", "last": False, "number": 1}


def test_a_host_that_is_to_get_something_else_is_done_again():
    report = judged(reports.begin_rollout("", "ab", HOSTS), "ab", a="done", b="done")
    other = HOSTS | {"b": {"multinic_print": "q"}}
    assert reports.next_batch(reports.begin_rollout(json.dumps(report), "ab", other), "ab")["hosts"] == ["b"]


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", '{"hosts": {"a": {}}}'])
def test_a_file_that_is_no_report_is_not_overwritten(text):
    with pytest.raises(ValueError, match="name another one"):
        reports.begin_rollout(text, "a", HOSTS)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            {"stdout": '{"error": "no database is configured", "hint": "set it"}'},
            "no database is configured; set it",
        ),
        ({"stdout": "", "stderr": "Traceback\nImportError: x\n"}, "ImportError: x"),
        ({"msg": "the connection was lost"}, "the connection was lost"),
    ],
)
def test_a_plan_that_could_not_be_made_has_its_reason(run, message):
    assert reports.planned(run) == {"result": "error", "message": message, "plan": None}


def test_the_table_has_every_host_also_those_without_a_plan():
    plan = {"backend": "netplan", "summary": {"create": 2}, "interfaces": []}
    known = {"a": {"multinic_plan": {"result": "planned", "message": "", "plan": plan}}, "b": {}}
    assert reports.plan_table(reports.plan_report("ab", known)) == [
        "host  result       backend  create  update  delete  unchanged  waiting  blocked  invalid",
        "a     planned      netplan  2       -       -       -          -        -        -",
        "b     unreachable  -        -       -       -       -          -        -        -        "
        "the connection was lost",
        "hosts: 1 planned, 1 unreachable; interfaces: 2 create",
    ]


cluster = filters("cluster")


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("multinic", "docker.io/library/multinic"),
        ("team/multinic", "docker.io/team/multinic"),
        ("registry.example.com/multinic", "registry.example.com/multinic"),
        ("localhost:5000/multinic", "localhost:5000/multinic"),
    ],
)
def test_an_image_is_called_as_the_kubelet_looks_for_it(name, full):
    assert cluster.qualified(name) == full


def archive(path: Path, files: dict[str, Any]) -> Path:
    """Write an archive with JSON in its files."""
    with tarfile.open(path, "w") as made:
        for name, document in files.items():
            data = json.dumps(document).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return path


def test_an_image_is_known_from_archives_of_docker_and_oci_and_anything_else_is_refused(tmp_path):
    config = {"architecture": "arm64"}
    docker = {"manifest.json": [{"Config": "c.json", "RepoTags": ["b:1", "a/b:1"]}], "c.json": config}
    annotations = {"io.containerd.image.name": "b:1 a/b:1"}
    oci = {
        "index.json": {"manifests": [{"digest": "sha256:1", "annotations": annotations}]},
        "blobs/sha256/1": {"config": {"digest": "sha256:2"}},
        "blobs/sha256/2": config,
    }
    for name, files in (("docker", docker), ("oci", oci)):
        found = cluster.image_facts(archive(tmp_path / name, files))
        assert found == {"names": "docker.io/library/b:1 docker.io/a/b:1", "architecture": "arm64"}
    (tmp_path / "text").write_text("no archive")
    for wrong in (tmp_path / "text", tmp_path / "missing", archive(tmp_path / "other", {"x": 1})):
        with pytest.raises(ValueError, match=f"{wrong} is no archive of an image"):
            cluster.image_facts(wrong)


def test_nodes_that_did_not_do_what_they_were_told_are_named_with_what_they_said_last():
    said = {
        "n1": {"does": {"rc": 0, "stdout": "hello\r\ndone\r\n"}},
        "n2": {"does": {"rc": 0, "stdout": "hello\r\n"}},
        "n3": {"does": {"rc": 1, "stdout": "no space\r\n", "stderr": "Shared connection to n3 closed.\r\n"}},
        "n4": {"does": {"unreachable": True, "msg": "Connection refused"}},
        "n5": {},
    }
    assert cluster.unreached(said, said, "does", "done") == (
        "n2: hello; n3: no space; n4: Connection refused; n5: the connection was lost"
    )


def pods(**revisions: str) -> str:
    """Return ready pods as kubectl shows them, by the node and the revision of each."""
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    return json.dumps(
        {
            "items": [
                {
                    "metadata": {"name": f"p-{node}", "labels": {"controller-revision-hash": revision}},
                    "spec": {"nodeName": node},
                    "status": ready,
                }
                for node, revision in revisions.items()
            ]
        }
    )


def test_nodes_with_an_old_pod_come_in_batches_of_the_sizes_that_were_asked_for():
    fleet = {f"n{number:02}": "old" for number in range(20)} | {"n03": "new"}
    found = cluster.batches(pods(**fleet), "new", "1 10% 50%")
    assert [len(batch) for batch in found] == [1, 2, 10, 6]
    assert [one["node"] for one in found[1]] == ["n01", "n02"]
    assert [one["node"] for one in cluster.renewed(pods(**fleet), "new")] == ["n03"]
    for wrong in ("0", "many", "1 %"):
        with pytest.raises(ValueError, match="BATCHES"):
            cluster.batches(pods(**fleet), "new", wrong)


def test_a_node_without_a_ready_new_pod_holds_its_batch():
    batch = [{"node": "a"}, {"node": "b"}, {"node": "c"}]
    found = json.loads(pods(a="new", b="old", c="new"))
    found["items"][2]["status"] = {
        "containerStatuses": [{"state": {"waiting": {"reason": "ErrImageNeverPull"}}}]
    }
    assert cluster.behind(json.dumps(found), "new", batch) == "b: no new pod yet; c: p-c: ErrImageNeverPull"
    assert cluster.behind("", "new", batch) == "the cluster does not answer"
    assert cluster.behind(pods(a="new"), "new", batch[:1]) == ""


def test_a_pod_that_does_not_come_is_named_with_its_node_and_what_it_said_last():
    found = json.loads(pods(a="new", b="new", c="new"))
    ended = {"lastState": {"terminated": {"message": "starting\nno disk\n"}}}
    found["items"][1]["status"] = {"containerStatuses": [ended]}
    del found["items"][2]["spec"]["nodeName"]
    condition = {"type": "PodScheduled", "status": "False", "message": "no free ports"}
    found["items"][2]["status"] = {"conditions": [condition]}
    assert cluster.not_ready(json.dumps(found)) == "b: p-b: no disk; no node: p-c: no free ports"


def test_a_table_says_how_each_node_fares_also_one_that_does_not_answer():
    said = {"status": "degraded", "processed_vms": 2, "failed_configs": 1, "database_connected": False}
    asked = [
        {"item": {"node": "a", "name": "p-a"}, "stdout": json.dumps(said)},
        {"item": {"node": "b", "name": "p-b"}, "stdout": ""},
    ]
    assert cluster.health_table(asked) == [
        "node  status     interfaces  failed  database     pod",
        "a     degraded   2           1       not reached  p-a",
        "b     no answer  -           -       -            p-b",
    ]
    assert cluster.unhealthy(asked) == ["a", "b"]
