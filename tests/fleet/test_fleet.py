"""A fleet as an operator sees it: the plan of all hosts, a rollout that stops, goes on, and takes back."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pip
import pytest

from multinic.database import tables
from tests import wheel
from tests.fleet import locked
from tests.fleet.ansible import Outcome
from tests.fleet.conftest import KINDS, Fleet
from tests.hosts import CHECKOUT, eventually
from tests.node import mac_of

PAGE = CHECKOUT / "docs/fleet.md"
ALL = (*KINDS, "bullseye1", "gone")


@pytest.fixture(scope="module", autouse=True)
def rows(fleet: Fleet) -> None:
    """Every host has a NIC and its row; the second one of a batch has a wrong row, too."""
    for slot, name in enumerate(KINDS):
        fleet.attach(name, slot, link="ens7")
    fleet.attach("bookworm1", 9, address="192.0.2.7")


def report(fleet: Fleet, name: str) -> Any:
    """Return a document that a playbook wrote."""
    return json.loads((fleet.directory / name).read_text())


def documented(name: str) -> list[str]:
    """Return the lines of a block in the documentation."""
    (block,) = re.findall(rf"^```text {name}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return comparable(block.splitlines())


def comparable(lines: list[str]) -> list[str]:
    """Return lines without what differs from run to run, and from one version of Ansible to the next."""
    return [re.sub(r"\d{4}-\d\d-\d\d \S+|Task failed: ", "", line).rstrip() for line in lines]


def test_the_plan_of_the_fleet_needs_nothing_on_the_hosts_and_leaves_nothing(
    fleet: Fleet, debs: tuple[Path, Path]
) -> None:
    done = fleet.play("plan", hosts=ALL, multinic_package=str(debs[0]))

    print(done.said)
    found = report(fleet, "multinic-plan.json")["hosts"]
    assert {name: host["result"] for name, host in found.items()} == {
        **dict.fromkeys(KINDS, "planned"),
        "bullseye1": "unsupported",
        "gone": "unreachable",
    }
    shown = [json.loads(line) for line in re.findall(r'^ {8}(".*"),?$', done.said, re.MULTILINE)]
    assert comparable(shown) == documented("plan")
    assert found["trixie2"]["plan"]["interfaces"][0]["mac"] == mac_of(2)
    assert found["bookworm1"]["plan"]["summary"] == {"create": 1, "invalid": 1}
    assert [host["changed"] for host in done.recap.values()] == [0] * len(ALL)
    assert {name for name, host in done.recap.items() if host["failed"]} == {"gone"}
    for name, box in fleet.boxes.items():
        assert fleet.left(name) == []
        assert box.glob("/root/.ansible/tmp/*", "/tmp/ansible*", "/tmp/multinic*") == []


def test_a_check_on_a_host_that_has_nothing_shows_its_plan_and_changes_nothing(
    fleet: Fleet, debs: tuple[Path, Path]
) -> None:
    done = fleet.play("install", "--check", "--diff", hosts=["trixie1"], multinic_package=str(debs[0]))

    assert done.status == 0, done.said
    assert "multinic_0.0.9_all.deb would be installed" in done.said
    assert "name ens7 → multinic0" in done.said
    assert fleet.left("trixie1") == []


def roll(fleet: Fleet, package: Path, serial: Any, hosts: Any = KINDS, **variables: Any) -> Any:
    """Run a rollout whose report is named after its package; return how it ended, and the report."""
    file = fleet.directory / f"{package.stem}.json"
    variables = {"multinic_package": str(package), "multinic_serial": serial, **variables}
    done = fleet.play("rollout", hosts=hosts, multinic_report_file=str(file), **variables)
    print(done.said)
    return done, report(fleet, file.name)


def results(document: Any) -> dict[str, str]:
    return {name: host["result"] for name, host in document["hosts"].items()}


def test_a_rollout_stops_at_a_bad_host_takes_it_back_and_begins_no_other(
    fleet: Fleet, debs: tuple[Path, Path]
) -> None:
    done, found = roll(fleet, debs[0], [1, 1, 2])

    assert done.status != 0
    assert results(found) == {
        "trixie1": "done",
        "bookworm1": "bad",
        "trixie2": "not begun",
        "bookworm2": "not begun",
    }
    assert "bookworm1: fa:16:3e:00:00:09 is invalid" in found["stopped"]
    assert found["stopped"] in done.said
    table = (fleet.directory / "multinic_0.0.9_all.txt").read_text()
    assert comparable(table.splitlines()) == documented("rollout")
    assert fleet.version("trixie1") == "0.0.9"
    assert fleet.boxes["trixie1"].addresses("multinic0") == ["10.5.0.10/24"]
    for slot, name in list(enumerate(KINDS))[1:]:
        assert fleet.left(name) == []
        assert fleet.boxes[name].link_of(mac_of(slot))["ifname"] == "ens7"  # type: ignore[index]


def test_the_same_rollout_goes_on_where_it_stopped(fleet: Fleet, debs: tuple[Path, Path]) -> None:
    canary = report(fleet, "multinic_0.0.9_all.json")["hosts"]["trixie1"]
    fleet.sql("DELETE FROM multi_interface WHERE port_id = 'port-9'")

    done, found = roll(fleet, debs[0], [1, 1, 2], multinic_soak=1)

    assert done.status == 0
    assert set(results(found).values()) == {"done"}
    assert found["hosts"]["trixie1"] == canary
    flags = fleet.sql("SELECT attached_node_name AS node, netplan_success AS good FROM multi_interface")
    assert {row["node"]: row["good"] for row in flags} == dict.fromkeys(KINDS, 1)
    for name, box in fleet.boxes.items():
        if name in KINDS:
            assert box.run("systemctl", "is-enabled", "multinic.timer").stdout == "enabled\n"
            modes = [box.stat(f"/etc/multinic/{file}").mode for file in ("multinic.toml", "password")]
            assert modes == [0o640, 0o600]


def test_a_second_installation_changes_nothing(fleet: Fleet, debs: tuple[Path, Path]) -> None:
    done = fleet.play("install", multinic_package=str(debs[0]))

    assert done.status == 0, done.said
    assert {name: host["changed"] for name, host in done.recap.items()} == dict.fromkeys(KINDS, 0)


def healthy(fleet: Fleet, name: str) -> bool:
    """Return whether the last pass of a host went well."""
    status = json.loads(fleet.boxes[name].run("multinic", "--output", "json", "status").stdout)
    states = {one["state"] for one in status["interfaces"]}
    return (status["exit"], status["error"], states) == (0, "", {"converged"})


def test_a_canary_that_is_bad_gets_its_package_settings_and_timer_back(
    fleet: Fleet, debs: tuple[Path, Path]
) -> None:
    settings = fleet.boxes["trixie1"].read("/etc/multinic/multinic.toml")
    url = fleet.hosts["trixie1"]["multinic_database_url"]
    fleet.hosts["trixie1"]["multinic_database_url"] = f"mysql://multinic@{fleet.boxes['trixie1'].gateway}:1/x"

    done, found = roll(fleet, debs[1], [1, "100%"])
    fleet.hosts["trixie1"]["multinic_database_url"] = url

    assert done.status != 0
    assert results(found) == {"trixie1": "bad", **dict.fromkeys(list(KINDS)[1:], "not begun")}
    assert "taken back" in found["hosts"]["trixie1"]["reason"]
    assert [fleet.version(name) for name in KINDS] == ["0.0.9"] * len(KINDS)
    assert fleet.boxes["trixie1"].read("/etc/multinic/multinic.toml") == settings
    eventually(lambda: healthy(fleet, "trixie1"), timeout=60)


def test_a_rollout_stops_at_a_host_that_is_not_there_and_takes_its_batch_back(
    fleet: Fleet, debs: tuple[Path, Path]
) -> None:
    done, found = roll(fleet, debs[1], [2, 1], hosts=("trixie1", "gone", "bookworm2"))

    assert done.status != 0
    assert results(found) == {"trixie1": "taken back", "gone": "unreachable", "bookworm2": "not begun"}
    assert [fleet.version(name) for name in ("trixie1", "bookworm2")] == ["0.0.9"] * 2
    eventually(lambda: healthy(fleet, "trixie1"), timeout=60)


def test_a_removal_frees_the_links_and_leaves_nothing(fleet: Fleet) -> None:
    done = fleet.play("remove")

    assert done.status == 0, done.said
    for slot, name in enumerate(KINDS):
        assert fleet.left(name) == []
        assert fleet.boxes[name].link_of(mac_of(slot))["ifname"] == "ens7"  # type: ignore[index]


@pytest.fixture
def wheel_at_hand(fleet: Fleet) -> Iterator[Path]:
    """A wheel of this checkout, and on the first host an environment with pip, as there is no network."""
    box = fleet.boxes["trixie1"]
    made = wheel.build(fleet.directory)
    shutil.copytree(Path(pip.__file__).parent, box.shared / "pip")
    box.run("python3", "-m", "venv", "--without-pip", "--system-site-packages", "/opt/multinic")
    box.write(
        "/opt/multinic/bin/pip", '#!/bin/sh\nexec /opt/multinic/bin/python3 /srv/shared/pip "$@"\n', 0o755
    )
    yield made
    box.remove("/opt/multinic")


def test_a_wheel_is_installed_with_its_units_and_removed_with_them(fleet: Fleet, wheel_at_hand: Path) -> None:
    box = fleet.boxes["trixie1"]
    options = ["--no-index", "--no-deps", "--no-warn-script-location"]
    one = ["trixie1"]

    done = fleet.play(
        "install", hosts=one, multinic_package=str(wheel_at_hand), multinic_pip_arguments=options
    )

    assert done.status == 0, done.said
    assert box.run("readlink", "/usr/local/bin/multinic").stdout == "/opt/multinic/bin/multinic\n"
    assert box.run("systemctl", "is-enabled", "multinic.timer").stdout == "enabled\n"
    assert healthy(fleet, "trixie1")
    assert box.addresses("multinic0") == ["10.5.0.10/24"]

    done = fleet.play("remove", hosts=one)

    assert done.status == 0, done.said
    assert fleet.left("trixie1") == []
    assert not box.exists("/opt/multinic")
    assert not box.exists("/usr/local/bin/multinic")


@pytest.fixture
def dashboard_at_hand(fleet: Fleet, debs: tuple[Path, Path]) -> Iterator[dict[str, Any]]:
    """What the dashboard is installed with: a wheel, and the locked libraries, as hosts have no network."""
    box = fleet.boxes["trixie2"]
    shutil.copytree(Path(pip.__file__).parent, box.shared / "pip")
    locked.fetch(fleet.directory / "dashboard.txt", box.shared / "wheels")
    place = "/opt/multinic-dashboard"
    box.run("python3", "-m", "venv", "--without-pip", place)
    box.write(f"{place}/bin/pip", f'#!/bin/sh\nexec {place}/bin/python3 /srv/shared/pip "$@"\n', 0o755)
    user = "multinic-dashboard"
    fleet.server.create_user(user, "only-to-read", [f"SELECT ON `{fleet.database}`.*"])
    for table in tables.OURS:
        for text in tables.statements(table, "mysql"):
            fleet.sql(text)
    built = next(fleet.directory.glob("*.whl"), None) or wheel.build(fleet.directory)
    url = fleet.hosts["trixie2"]["multinic_database_url"]
    yield {
        "multinic_dashboard_package": str(built),
        "multinic_dashboard_database_url": url.replace("multinic@", f"{user}@"),
        "multinic_dashboard_password": "only-to-read",
        "multinic_dashboard_token": "0123456789abcdef",
        "multinic_dashboard_settings": {"silent_after": "30m"},
        "multinic_pip_arguments": ["--no-index", "--find-links=/srv/shared/wheels"],
    }
    for table in tables.OURS:
        fleet.sql(f"DROP TABLE {table}")
    box.remove(place)


def asked(fleet: Fleet, name: str, path: str, token: str = "") -> str:
    """Return the status that the dashboard of a host answers with, or why there is none."""
    script = (
        "import sys, urllib.error, urllib.request\n"
        "request = urllib.request.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]})\n"
        "try: print(urllib.request.urlopen(request).status)\n"
        "except urllib.error.HTTPError as found: print(found.code)\n"
        "except OSError as found: print(found)\n"
    )
    address = f"http://127.0.0.1:8090{path}"
    return str(fleet.boxes[name].run("python3", "-c", script, address, token).stdout.strip())


def test_the_dashboard_is_installed_on_one_host_once_and_removed(
    fleet: Fleet, dashboard_at_hand: dict[str, Any]
) -> None:
    box, given = fleet.boxes["trixie2"], dashboard_at_hand

    def play(name: str, *options: str, **variables: Any) -> Outcome:
        variables = {"multinic_hosts": "all", **given, **variables}
        return fleet.play(name, *options, hosts=["trixie2"], **variables)

    lacking = play("dashboard", multinic_dashboard_package="/x/multinic_1_all.deb")
    assert "the dashboard needs a wheel" in lacking.said
    checked = play("dashboard", "--check")
    assert "the dashboard would be installed from multinic-" in checked.said
    assert fleet.left("trixie2") == []

    done = play("dashboard")

    assert done.status == 0, done.said
    assert "only-to-read" not in done.said
    assert "0123456789abcdef" not in done.said
    eventually(lambda: asked(fleet, "trixie2", "/readyz") == "200", timeout=60)
    assert asked(fleet, "trixie2", "/nodes") == "401"
    assert asked(fleet, "trixie2", "/nodes", "0123456789abcdef") == "200"
    unit = "multinic-dashboard.service"
    assert box.run("systemctl", "is-enabled", unit).stdout == "enabled\n"
    leader = box.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip()
    assert box.run("stat", "--format=%U", f"/proc/{leader}").stdout == "multinic-dashboard\n"
    for file in ("multinic.toml", "password", "token"):
        said = box.run("stat", "--format=%a %U %G", f"/etc/multinic-dashboard/{file}").stdout
        assert said == "640 root multinic-dashboard\n"
    assert box.run("systemctl", "is-enabled", "multinic.timer", check=False).returncode != 0

    again = play("dashboard")
    assert again.recap["trixie2"]["changed"] == 0, again.said
    assert box.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip() == leader

    assert play("dashboard", multinic_dashboard_settings={"prefix": "/nics"}).status == 0
    eventually(lambda: asked(fleet, "trixie2", "/nics/readyz") == "200", timeout=60)

    gone = play("remove")
    assert gone.status == 0, gone.said
    assert fleet.left("trixie2") == []
    assert not box.exists("/opt/multinic-dashboard")
    assert box.run("id", "multinic-dashboard", check=False).returncode != 0
    assert play("remove").recap["trixie2"]["changed"] == 0
