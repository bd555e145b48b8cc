"""`multinic doctor` on hosts made of files, with an SQLite database: what it finds, and that it never gives
up."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from multinic.database import schema
from multinic.doctor import examine as doctor
from multinic.doctor.database import too_much
from multinic.doctor.finding import Examination, Finding, Level
from multinic.host import config
from multinic.host.host import Host
from multinic.install import units
from multinic.values.errors import HostError
from multinic.values.settings import Settings
from tests.unit.making import row
from tests.unit.test_detect import CLOUD_INIT, GENERATE, MANAGER, NETWORK, NETWORKD, yaml

Found = dict[str, list[dict[str, str]]]


# In front of every command: the generator of netplan is not of this machine, and finds nothing wrong.
WITHOUT_GENERATOR = ("sh", "-c", 'case $1 in */netplan/generate) ;; *) exec "$@" ;; esac', "sh")


class Patient:
    """A host below a directory, and its database."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.root.mkdir(mode=0o755)
        self.file = directory / "multinic.db"
        self.options: dict[str, Any] = {"database.url": f"sqlite:///{self.file}", "node": "node1"}

    def have(self, *parts: Mapping[str, str]) -> None:
        for name, text in {name: text for part in parts for name, text in part.items()}.items():
            path = self.root / name
            for directory in reversed(path.relative_to(self.root).parents):
                (self.root / directory).mkdir(mode=0o755, exist_ok=True)
            path.write_text(text)

    def init(self, *rows: Mapping[str, Any]) -> None:
        list(schema.init(self.settings().database))
        for columns in rows:
            marks = ", ".join("?" * len(columns))
            self.sql(
                f"INSERT INTO multi_interface ({', '.join(columns)}) VALUES ({marks})", *columns.values()
            )

    def sql(self, statement: str, *values: Any) -> None:
        with sqlite3.connect(self.file) as connection:
            connection.execute(statement, values)
        connection.close()

    def document(self) -> dict[str, Any]:
        return doctor.examine(self.settings, lambda _: Host(str(self.root), WITHOUT_GENERATOR))

    def settings(self) -> Settings:
        return config.load(None, self.options, {}, default=str(self.root / "etc/multinic/multinic.toml"))

    def findings(self) -> Found:
        found: Found = {}
        for item in self.document()["findings"]:
            found.setdefault(item["check"], []).append(item)
        return found

    def levels(self, check: str) -> list[str]:
        return [item["level"] for item in self.findings().get(check, [])]


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(tmp_path)


def said(found: Found, check: str) -> str:
    return " ".join(f"{item['message']} {item['hint']}" for item in found[check])


def test_a_good_host_has_no_problem(patient: Patient) -> None:
    patient.init(row(1))
    patient.have(GENERATE, NETWORKD, yaml(CLOUD_INIT))
    document = patient.document()
    assert (document["exit"], document["summary"].get("problem"), document["node"]) == (0, None, "node1")
    assert {"database", "privileges", "index", "node", "backend"} <= {
        f["check"] for f in document["findings"]
    }


def test_without_a_database_the_host_is_looked_at_all_the_same(patient: Patient) -> None:
    patient.have(GENERATE, NETWORKD, yaml(CLOUD_INIT))
    found = patient.findings()
    assert "multinic db init" in said(found, "database")
    assert found["database"][0]["level"] == "problem"
    assert found["backend"][0]["message"].startswith("netplan: ")
    assert {"leftovers", "interfaces", "foreign-routes", "state", "timer"} <= set(found)


def test_settings_that_cannot_be_read_are_a_finding_and_the_host_is_looked_at(patient: Patient) -> None:
    patient.have({"etc/multinic/multinic.toml": 'bakend = "auto"\n'})
    document = patient.document()
    assert document["findings"][0]["hint"] == "did you mean 'backend'?"
    assert (document["node"], document["exit"]) == (None, 4)
    assert "backend" in {item["check"] for item in document["findings"]}


def test_settings_that_others_may_write_are_told(patient: Patient) -> None:
    patient.have({"etc/multinic/multinic.toml": ""})
    (patient.root / "etc/multinic/multinic.toml").chmod(0o666)
    assert "chmod go-w" in said(patient.findings(), "settings")


def test_rows_of_a_name_like_this_one_are_told(patient: Patient) -> None:
    patient.init(row(1, attached_node_name="node-1"), row(2, attached_node_name="another"))
    found = patient.findings()
    assert found["node"][0]["level"] == "warning"
    assert "node-1" in said(found, "node")
    assert "another" not in said(found, "node")


def test_where_no_name_is_like_this_one_some_are_named(patient: Patient) -> None:
    patient.init(row(1, attached_node_name="worker-a"), row(2, attached_node_name="worker-b"))
    assert "of 2 others, such as 'worker-a', 'worker-b'" in said(patient.findings(), "node")


def test_an_ambiguous_name_is_a_problem(patient: Patient) -> None:
    patient.init(row(1, attached_node_name="node1.a"), row(2, attached_node_name="node1.b"))
    assert patient.levels("node") == ["problem"]


def test_a_missing_index_is_told_with_the_statement_that_makes_it(patient: Patient) -> None:
    patient.init()
    patient.sql("DROP INDEX multi_interface_node")
    found = patient.findings()
    assert found["index"][0]["level"] == "warning"
    statement = found["index"][0]["hint"].partition(": ")[2]
    patient.sql(statement)
    assert patient.levels("index") == ["ok"]


def test_columns_that_the_database_lacks_are_named(patient: Patient) -> None:
    patient.init()
    patient.sql("ALTER TABLE multi_interface DROP COLUMN mtu")
    assert "mtu" in said(patient.findings(), "schema")


def test_a_database_that_is_none_of_ours_is_a_problem(patient: Patient) -> None:
    patient.sql("CREATE TABLE something (id INT)")
    assert "multinic db init" in said(patient.findings(), "schema")


@pytest.mark.parametrize(
    ("grants", "excess"),
    [
        pytest.param(
            [
                "GRANT USAGE ON *.* TO `multinic`@`%` IDENTIFIED BY PASSWORD '*ABC'",
                "GRANT SELECT ON `multinic`.* TO `multinic`@`%`",
                "GRANT UPDATE (`netplan_success`, `modified_at`) ON `m`.`multi_interface` TO `multinic`@`%`",
            ],
            [],
            id="what is needed",
        ),
        pytest.param(["GRANT ALL PRIVILEGES ON *.* TO `root`@`%`"], ["ALL PRIVILEGES"], id="everything"),
        pytest.param(
            ["GRANT SELECT, INSERT, DELETE ON `multinic`.* TO `m`@`%`"],
            ["DELETE", "INSERT"],
            id="rows of others",
        ),
        pytest.param(["GRANT `reader` TO `m`@`%`"], [], id="a role"),
        pytest.param(
            ["GRANT SELECT (`id`), INSERT (`id`, `mtu`) ON `a`.`b` TO `m`@`%`"], ["INSERT"], id="of columns"
        ),
    ],
)
def test_privileges_beyond_what_is_needed_are_named(grants: list[str], excess: list[str]) -> None:
    assert too_much(grants) == excess


def test_a_backend_that_does_not_manage_the_host_is_told(patient: Patient) -> None:
    patient.have(GENERATE, NETWORKD, yaml(CLOUD_INIT))
    patient.options["backend"] = "netlink"
    assert "this host is managed by netplan" in said(patient.findings(), "backend")
    patient.options["backend"] = "netplan"
    assert patient.levels("backend") == ["ok"]


def test_a_backend_that_cannot_be_used_is_a_problem_once(patient: Patient) -> None:
    patient.have(GENERATE)
    patient.options["backend"] = "netplan"
    found = patient.findings()
    assert [item["level"] for item in found["backend"]] == ["problem"]
    assert "systemd-networkd is not running" in said(found, "backend")


def test_files_of_another_backend_are_a_problem(patient: Patient) -> None:
    patient.have(yaml("network: {}\n", "etc/netplan/93-multinic3.yaml"))
    patient.options["backend"] = "netlink"
    assert "/etc/netplan/93-multinic3.yaml" in said(patient.findings(), "leftovers")
    assert patient.levels("leftovers") == ["problem"]


def test_an_invalid_row_is_a_problem_with_its_value(patient: Patient) -> None:
    patient.init(row(1, macaddress="zz"))
    found = patient.findings()
    assert "'zz'" in said(found, "interfaces")
    assert "problem" in patient.levels("interfaces")


@pytest.mark.parametrize("name", ["10-cloud-init-hook-hotplug.rules", "90-cloud-init-hook-hotplug.rules"])
def test_the_hotplug_of_cloud_init_is_a_problem(patient: Patient, name: str) -> None:
    patient.have({"etc/cloud/cloud.cfg": ""})
    assert patient.levels("cloud-init") == ["ok"]
    patient.have({f"etc/udev/rules.d/{name}": ""})
    assert patient.levels("cloud-init") == ["problem"]


ALL_EN = """\
network:
  version: 2
  ethernets:
    all-en:
      match: {match}
      dhcp4: true
"""


@pytest.mark.parametrize(
    ("match", "levels"),
    [
        pytest.param('{name: "en*"}', ["warning"], id="as Debian's cloud images"),
        pytest.param("\n        name: [en*, 'eth*']", ["warning"], id="a list"),
        pytest.param("\n        name: '*'", ["problem"], id="everything"),
        pytest.param("{name: mul*}", ["problem"], id="our names"),
        pytest.param("{name: wl*}", [], id="other cards"),
        pytest.param("{name: ens3}", [], id="no pattern"),
    ],
)
def test_netplan_files_that_take_every_link_are_told(patient: Patient, match: str, levels: list[str]) -> None:
    patient.have(GENERATE, NETWORKD, yaml(ALL_EN.replace("{match}", match)))
    assert patient.levels("patterns") == levels


def test_network_files_that_take_every_link_are_told(patient: Patient) -> None:
    patient.have(
        NETWORKD, NETWORK, {"etc/systemd/network/20-wired.network": "[Match]\nName=en* eth*\n[Network]\n"}
    )
    patient.have({"etc/systemd/network/10-multinic0.network": "[Match]\nName=multinic*\n"})
    found = patient.findings()
    assert [item["level"] for item in found["patterns"]] == ["warning"]
    assert "/etc/systemd/network/20-wired.network" in said(found, "patterns")


def test_connections_that_networkmanager_makes_up_are_told(patient: Patient) -> None:
    patient.have(MANAGER, {"etc/NetworkManager/NetworkManager.conf": "[main]\n#no-auto-default=*\n"})
    assert patient.levels("patterns") == ["warning"]
    patient.have({"etc/NetworkManager/conf.d/multinic.conf": "[main]\nno-auto-default=*\n"})
    assert patient.levels("patterns") == []


def test_what_may_not_be_read_is_a_note(patient: Patient) -> None:
    def check(_: object) -> Iterator[Finding]:
        raise HostError("cannot read /etc/netplan/a.yaml", "run as root") from PermissionError()
        yield

    (found,) = doctor._guarded("owners", check, Examination(None, Host(str(patient.root))))
    assert (found.level, found.hint) == (Level.NOTE, "run as root")


def test_a_check_that_trips_is_a_warning_and_not_a_traceback(patient: Patient) -> None:
    def check(_: object) -> Iterator[Finding]:
        yield Finding("owners", Level.OK, "so far")
        raise IndexError("odd")

    found = list(doctor._guarded("owners", check, Examination(None, Host(str(patient.root)))))
    assert [one.level for one in found] == [Level.OK, Level.WARNING]
    assert "IndexError: odd" in found[1].message


def test_a_file_of_others_that_speaks_of_our_name_is_a_problem(patient: Patient) -> None:
    patient.have(GENERATE, NETWORKD, yaml("network:\n  ethernets:\n    multinic0:\n      dhcp4: true\n"))
    assert patient.levels("owners") == ["problem"]


RULE = 'SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="fa:16:3e:00:00:01", KERNEL=="eth*", NAME="%s"\n'


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        pytest.param(RULE % "eth1", ["problem"], id="another name"),
        pytest.param(RULE % "multinic0", [], id="our name"),
        pytest.param("#" + RULE % "eth1", [], id="a comment"),
        pytest.param(RULE.replace("00:01", "00:02") % "eth1", [], id="another link"),
    ],
)
def test_a_udev_rule_that_gives_our_link_another_name_is_a_problem(
    patient: Patient, text: str, levels: list[str]
) -> None:
    patient.init(row(1))
    patient.have(GENERATE, NETWORKD, {"etc/udev/rules.d/70-persistent-net.rules": text})
    assert patient.levels("owners") == levels


@pytest.mark.parametrize(
    ("parts", "managed"),
    [
        pytest.param({}, (True, True), id="default"),
        pytest.param(
            {"etc/systemd/networkd.conf": "[Network]\nManageForeignRoutes=no\n"},
            (True, False),
            id="routes left alone",
        ),
        pytest.param(
            {
                "etc/systemd/networkd.conf": "[Network]\nManageForeignRoutingPolicyRules=no\n",
                "usr/lib/systemd/networkd.conf.d/1.conf": "[Network]\nManageForeignRoutingPolicyRules=yes\n",
            },
            (True, True),
            id="a drop-in weighs more",
        ),
        pytest.param(
            {
                "etc/systemd/networkd.conf.d/multinic.conf": (
                    "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=false\n"
                )
            },
            (False, False),
            id="as we recommend",
        ),
        pytest.param(
            {"etc/systemd/networkd.conf": "[Network]\n#ManageForeignRoutes=no\n"},
            (True, True),
            id="a comment",
        ),
    ],
)
def test_what_networkd_removes_is_read_from_its_settings(
    patient: Patient, parts: Mapping[str, str], managed: tuple[bool, bool]
) -> None:
    from multinic.doctor.neighbours import _manages_foreign

    patient.have(parts)
    assert _manages_foreign(Host(str(patient.root))) == managed


@pytest.fixture
def remembering(patient: Patient) -> Callable[[str, str], None]:
    def write(path: str, text: str) -> None:
        patient.have({path: text})
        (patient.root / "var/lib/multinic").mkdir(mode=0o700, parents=True, exist_ok=True)

    return write


def test_a_damaged_memory_is_told(patient: Patient, remembering: Callable[[str, str], None]) -> None:
    remembering("var/lib/multinic/record.json", '{"version": 1, "links": {"nonsense": 1}}')
    found = patient.findings()
    assert found["files"][0]["level"] == "warning"
    assert "record.json is damaged" in said(found, "files")


def test_an_unfinished_change_and_a_damaged_one_are_told(
    patient: Patient, remembering: Callable[[str, str], None]
) -> None:
    whole = {"version": 1, "boot": "x", "backend": "netlink", "interfaces": []}
    remembering("var/lib/multinic/checkpoint.json", json.dumps(whole))
    assert "multinic rollback --interrupted" in said(patient.findings(), "files")
    remembering("var/lib/multinic/checkpoint.json", "{")
    assert patient.levels("files") == ["problem"]


STATE = {"version": 1, "time": 0, "exit": 0, "interfaces": []}


@pytest.mark.parametrize(
    ("state", "levels"),
    [
        pytest.param({}, ["ok"], id="a good pass"),
        pytest.param({"time": -3600}, ["warning"], id="long ago"),
        pytest.param({"time": 3600}, ["warning"], id="a clock that was set back"),
        pytest.param({"exit": 75, "database_error": "refused"}, ["warning"], id="without a database"),
        pytest.param({"exit": 75, "report_error": "read-only"}, ["warning"], id="without a report"),
        pytest.param({"exit": 5, "error": "two would configure one link"}, ["problem"], id="a refusal"),
    ],
)
def test_what_the_last_pass_came_to_is_told(
    patient: Patient, state: Mapping[str, Any], levels: list[str]
) -> None:
    document = {**STATE, **state, "time": int(time.time()) + state.get("time", 0)}
    patient.have({"run/multinic/state.json": json.dumps(document)})
    assert patient.levels("state") == levels


def test_an_interface_that_failed_is_a_problem(patient: Patient) -> None:
    failed = dict.fromkeys(("key", "name", "mac", "port_id", "row_id", "reason"), "x")
    item = {**failed, "name": "multinic2", "state": "failed", "message": "not there after 10 s"}
    patient.have(
        {"run/multinic/state.json": json.dumps({**STATE, "time": int(time.time()), "interfaces": [item]})}
    )
    assert "multinic2 failed: not there after 10 s" in said(patient.findings(), "state")


def test_a_timer_that_is_installed_must_be_enabled(patient: Patient) -> None:
    assert patient.levels("timer") == ["note"]
    for name in ("multinic.timer", "multinic.service", "multinic-hotplug.service"):
        patient.have({f"usr/lib/systemd/system/{name}": ""})
    patient.have({"usr/lib/udev/rules.d/90-multinic.rules": ""})
    assert patient.levels("timer") == ["warning"]
    patient.have({"etc/systemd/system/timers.target.wants/multinic.timer": ""})
    assert patient.levels("timer") == ["ok"]


def test_what_belongs_to_the_timer_and_is_missing_is_named(patient: Patient) -> None:
    patient.have({"etc/systemd/system/multinic.timer": ""})
    patient.have({"etc/systemd/system/timers.target.wants/multinic.timer": ""})
    findings = patient.findings()["timer"]
    assert [item["level"] for item in findings] == ["problem", "warning", "warning", "ok"]
    assert [item["message"].split()[0] for item in findings[:3]] == [
        "multinic.service",
        "multinic-hotplug.service",
        "90-multinic.rules",
    ]


@pytest.fixture
def installed(patient: Patient) -> Patient:
    """A host with our units, enabled, and the program that they run."""
    patient.have({"usr/bin/env": ""})
    for _ in units.install(Host(str(patient.root)), "/usr/bin/env"):
        pass
    patient.have({"etc/systemd/system/timers.target.wants/multinic.timer": ""})
    assert patient.levels("timer") == ["ok"]
    return patient


def test_units_that_are_not_of_this_version_are_named(installed: Patient) -> None:
    unit = installed.root / "etc/systemd/system/multinic-hotplug.service"
    unit.write_text(unit.read_text().replace("sleep 0.2", "sleep 0.1"))
    assert installed.levels("timer") == ["warning", "ok"]
    assert "/etc/systemd/system/multinic-hotplug.service" in said(installed.findings(), "timer")


def test_units_that_hide_those_of_a_package_are_named(installed: Patient) -> None:
    installed.have({"usr/lib/systemd/system/multinic.timer": "# Part of multinic; of the package\n"})
    assert installed.levels("timer") == ["warning", "ok"]
    assert "the units of the package are hidden by /etc/systemd/system/multinic.timer" in said(
        installed.findings(), "timer"
    )


def test_a_masked_service_makes_no_other_unit_one_of_another_version(installed: Patient) -> None:
    service = installed.root / "etc/systemd/system/multinic.service"
    service.unlink()
    service.symlink_to("/dev/null")
    assert installed.levels("timer") == ["ok"]


def test_a_program_that_went_away_is_a_problem(installed: Patient) -> None:
    (installed.root / "usr/bin/env").unlink()
    assert installed.levels("timer") == ["problem", "ok"]
    assert "runs /usr/bin/env, which does not exist" in said(installed.findings(), "timer")


def test_a_rule_that_is_switched_off_is_noted(installed: Patient) -> None:
    rule = installed.root / "etc/udev/rules.d/90-multinic.rules"
    rule.unlink()
    rule.symlink_to("/dev/null")
    assert installed.levels("timer") == ["note", "ok"]


def test_a_host_full_of_nonsense_is_told_about_and_nothing_is_raised(patient: Patient) -> None:
    patient.have(GENERATE, NETWORKD, MANAGER)
    for path in (
        "etc/netplan/x.yaml",
        "etc/systemd/networkd.conf",
        "run/multinic/state.json",
        "var/lib/multinic/record.json",
        "var/lib/multinic/checkpoint.json",
        "run/systemd/netif/links/1",
        "etc/os-release",
        "etc/udev/rules.d/\x1b[31m",
    ):
        patient.have({path: ""})
        (patient.root / path).write_bytes(b"\xff\x00[Network\n{\x1b[31m: &*" * 100)
    patient.file.write_bytes(b"\x00" * 5000)
    document = patient.document()
    assert document["exit"] == 4
    assert not [item for item in document["findings"] if "please report" in item["hint"]]


def test_nothing_is_written(patient: Patient) -> None:
    patient.init(row(1))
    patient.have(GENERATE, NETWORKD, yaml(CLOUD_INIT))

    def files() -> list[tuple[Path, int]]:
        there = [path for path in patient.root.rglob("*") if not path.is_relative_to(patient.root / "run")]
        return sorted((path, path.lstat().st_mtime_ns) for path in there)

    before, content = files(), patient.file.read_bytes()
    patient.document()
    assert files() == before
    assert patient.file.read_bytes() == content
    assert not [path for path in (patient.root / "run").rglob("*") if "scratch" in path.name]
