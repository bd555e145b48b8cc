"""The demo, step by step: each step explains, runs the real commands, and checks the result."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

from multinic.demo.actors import Cloud, Controller
from multinic.demo.stage import Stage
from multinic.host.language import translated
from multinic.values.errors import Exit

NODE = "demo-node"
CONFIG = f"""\
node = "{NODE}"
backend = "netlink"     # nothing but the kernel; most real hosts have netplan

[database]
url = "sqlite:///multinic.db"
"""
FIRST, SECOND, LATER, WRONG = (f"fa:16:3e:00:00:0{number}" for number in (1, 2, 3, 4))


class Story:
    """The demo, from the first step to the last."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._stack = ExitStack()

    def __enter__(self) -> Story:
        self._cloud = Cloud()
        self._stack.callback(self._cloud.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self) -> None:
        """Play all steps. Raises HostError for the first promise that is not kept."""
        self.stage.say("multinic: the extra network links of a host, from a database", "bold")
        self.stage.say(
            "A network namespace stands for the host, and an SQLite file for the database. The demo touches "
            "nothing of this machine and leaves nothing behind. The commands are the real ones."
        )
        self._host()
        self._rows()
        self._plan()
        self._apply()
        self._reconcile()
        self._drift()
        self._hot_plug()
        self._removal()
        self._end()

    def _host(self) -> None:
        self.stage.step(
            "A host, its configuration, an empty database",
            "The host has a link of its own, eth0. Then one file:",
        )
        self._cloud.change("lo", state="up")
        self._cloud.plug("eth0", "fa:16:3e:00:00:ee")
        self._cloud.change("eth0", state="up")
        self._cloud.address("add", "eth0", "198.51.100.10/24")
        self._cloud.default_route("198.51.100.1")
        self._eth0 = self._cloud.link("eth0")
        path = self.stage.directory / "etc/multinic/multinic.toml"
        path.parent.mkdir(parents=True)
        path.write_text(CONFIG, encoding="utf-8")
        path.chmod(0o640)
        self.stage.command("cat etc/multinic/multinic.toml")
        self.stage.say(CONFIG.rstrip())
        self.stage.multinic("db", "init")

    def _rows(self) -> None:
        self.stage.step(
            "The cloud attaches ports",
            "Three links appear on the host, under names that are not ours. The controller has written four "
            "rows: one for a link that is not plugged in yet, and one with a mistake in it.",
        )
        self._controller = Controller(self.stage.directory / "multinic.db")
        self._stack.callback(self._controller.close)
        for name, mac in (("ens7", FIRST), ("ens8", SECOND), ("ens9", WRONG)):
            self._cloud.plug(name, mac)
        for number in (1, 2, 3):
            self._controller.subnet(f"subnet-{number}", f"10.10.{number}.0/24")
        self._controller.port(NODE, "port-a", FIRST, "subnet-1", "10.10.1.11", 1450)
        self._controller.port(NODE, "port-b", SECOND, "subnet-2", "10.10.2.11", None)
        self._controller.port(NODE, "port-c", LATER, "subnet-3", "10.10.3.11", None)
        self._controller.port(NODE, "port-d", WRONG, "subnet-3", "10.10.33.12", 9000)
        columns = ("port_id", "macaddress", "address", "cidr", "mtu")
        self.stage.table(columns, self._controller.rows(", ".join(columns)))

    def _plan(self) -> None:
        self.stage.step("Look first", "`plan` says what would change, and why. It changes nothing.")
        before = self._cloud.links()
        self.stage.multinic("plan", "--out", "plan.json", exit=Exit.PARTIAL)
        states = {name: item["state"] for name, item in self._planned().items()}
        wanted = {"multinic0": "create", "multinic1": "create", "multinic2": "waiting", WRONG: "invalid"}
        self.stage.promise(
            "two links will be configured, one is waited for, one row is refused with its reason",
            states == wanted,
        )
        self.stage.promise("nothing has changed yet", self._cloud.links() == before)

    def _apply(self) -> None:
        self.stage.step(
            "Then change",
            "`apply` carries out the plan and reads the kernel until it agrees. A bad row stops no other.",
        )
        self.stage.multinic("apply", "--yes", "plan.json", exit=Exit.PARTIAL)
        kept = self._as_desired("multinic0", FIRST, "10.10.1.11/24", 1450)
        self.stage.promise("ens7 is multinic0 now: up, 10.10.1.11/24, MTU 1450", kept)
        kept = self._as_desired("multinic1", SECOND, "10.10.2.11/24", 1500)
        self.stage.promise("ens8 is multinic1 now: up, 10.10.2.11/24", kept)
        found = self._cloud.link("ens9")
        self.stage.promise(
            "ens9, the link of the bad row, is as it was", not found.up and not found.addresses
        )
        self.stage.promise(
            "the controller reads netplan_success: 1, 1, 0, 0", self._reported() == [1, 1, 0, 0]
        )

    def _reconcile(self) -> None:
        self.stage.step(
            "One pass without questions",
            "The controller corrects its row. `reconcile` is what a timer runs: plan, apply, verify, report.",
        )
        self._controller.readdress("port-d", "10.10.3.12")
        self.stage.multinic("reconcile")
        kept = self._as_desired("multinic3", WRONG, "10.10.3.12/24", 9000)
        self.stage.promise(
            "ens9 is multinic3 now; multinic2 is kept for the link that is still to come", kept
        )
        self.stage.promise(
            "the controller reads netplan_success: 1, 1, 0, 1", self._reported() == [1, 1, 0, 1]
        )
        self.stage.say("\nAnd once more, with nothing to do:")
        before, written = self._cloud.links(), self._written()
        self.stage.multinic("reconcile", quiet=True)
        self.stage.promise(
            "no link changed, no file was written, no row was updated",
            (self._cloud.links(), self._written()) == (before, written),
        )

    def _drift(self) -> None:
        self.stage.step(
            "Drift",
            "A user with a root shell deletes the address of multinic0, renames multinic1 to mgmt0, and sets "
            "the MTU of multinic3 to 1500.",
        )
        before = self._cloud.links()
        self._cloud.address("del", "multinic0", "10.10.1.11/24")
        self._cloud.change("multinic1", state="down")  # kernels before 6.2 rename no link that is up
        self._cloud.change("multinic1", ifname="mgmt0")
        self._cloud.change("mgmt0", state="up")
        self._cloud.change("multinic3", mtu=1500)
        self.stage.multinic("plan", "--out", "plan.json")
        found = {
            (name, change["field"], change["from"], change["to"])
            for name, item in self._planned().items()
            for change in item["changes"]
        }
        wanted = {
            ("multinic0", "address", None, "10.10.1.11/24"),
            ("multinic1", "name", "mgmt0", "multinic1"),
            ("multinic3", "mtu", "1500", "9000"),
        }
        self.stage.promise("the plan is exactly these three differences", found == wanted)
        self.stage.multinic("reconcile")
        now = self._cloud.links()
        self.stage.promise("all links are as they were before", now == before)

    def _hot_plug(self) -> None:
        self.stage.step("Hot-plug", "The link that was waited for is plugged in, as ens10.")
        self._cloud.plug("ens10", LATER)
        self.stage.multinic("reconcile")
        kept = self._as_desired("multinic2", LATER, "10.10.3.11/24", 1500)
        self.stage.promise("ens10 is multinic2 now: up, 10.10.3.11/24", kept)
        self.stage.promise(
            "the controller reads netplan_success: 1, 1, 1, 1", self._reported() == [1, 1, 1, 1]
        )

    def _removal(self) -> None:
        self.stage.step("Removal", "The cloud detaches the port of multinic1, and its row is gone.")
        self._controller.detach("port-b")
        self.stage.multinic("reconcile")
        found = self._cloud.link("ens8")
        kept = (
            not found.up
            and not found.addresses
            and found.mac == SECOND
            and "multinic1" not in self._cloud.links()
        )
        self.stage.promise(
            "the link has the name ens8 again, and is down and without an address, as it was plugged in", kept
        )

    def _end(self) -> None:
        self.stage.step("The result", "`status` shows the last result beside the present state of the links.")
        self.stage.multinic("status")
        kept = self._cloud.link("eth0") == self._eth0
        self.stage.promise("eth0, which is not ours, is exactly as it was at the beginning", kept)
        end = translated("\nAll {count} promises were kept.")
        self.stage.say(end.format(count=self.stage.promises), "bold green")

    def _as_desired(self, name: str, mac: str, address: str, mtu: int) -> bool:
        found = self._cloud.links().get(name)
        wanted = (mac, True, mtu, (address,))
        return found is not None and (found.mac, found.up, found.mtu, found.addresses) == wanted

    def _reported(self) -> list[int]:
        return [success for (success,) in self._controller.rows("netplan_success")]

    def _planned(self) -> dict[str, dict[str, Any]]:
        """Return the interfaces of the saved plan by name."""
        text = (self.stage.directory / "plan.json").read_text(encoding="utf-8")
        return {item["name"] or item["mac"]: item for item in json.loads(text)["interfaces"]}

    def _written(self) -> dict[str, int]:
        """Return the time of the last write of every file, also of the database."""
        files = (path for path in self.stage.directory.rglob("*") if path.is_file())
        return {str(path): path.stat().st_mtime_ns for path in files}
