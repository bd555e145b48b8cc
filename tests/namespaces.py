"""Throw-away network namespaces with links that are plugged in and out, as a cloud does it.

A namespace lives as long as a holder process of the tests, which ends by itself when the tests do, even when
they are killed: nothing is left behind, and nothing has a name on the machine. Without root the same happens
inside a user namespace, where the machine allows that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests import terminal
from tests.hosts import eventually
from tests.prepared import prepared
from tests.scratch import END_WITH_TESTS

# A user's PATH often lacks the last two.
SBIN = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

FAR_INDICES = 10_000  # the links in `cloud` have higher indices than this

# The holder mounts its own /sys, so that /sys/class/net shows its links and not the machine's; where a
# container forbids that, only a program that reads /sys would notice. It ends when its standard input does.
HOLD = "mount -t sysfs multinic-tests /sys 2>/dev/null; echo ready; exec cat"

_AS_ROOT = ("unshare", "--net", "--mount")


def missing() -> str | None:
    """Say why no network namespace can be made here; tried for real, inside one."""
    needed = {"ip": "iproute2", "mount": "mount", "ping": "iputils-ping", "sysctl": "procps"}
    needed |= dict.fromkeys(("unshare", "nsenter"), "util-linux")
    for program, package in needed.items():
        if not shutil.which(program, path=SBIN):
            return f"{program} not found (Debian, Ubuntu: {package})"
    if _unshare():
        return None
    if os.geteuid() != 0:
        return "only root may make network namespaces and veth links here"
    return f"no network namespaces or veth links here: {_tried(_AS_ROOT).stderr.strip()}"


@cache
def _unshare() -> tuple[str, ...] | None:
    """Return the command that makes a network namespace here, if any does."""
    for command in (_AS_ROOT, (*_AS_ROOT, "--user", "--map-root-user")):
        if _tried(command).returncode == 0:
            return command
    return None


def _tried(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    veth = [*command, "ip", "link", "add", "multinic-a", "type", "veth", "peer", "name", "multinic-b"]
    return subprocess.run(veth, capture_output=True, text=True, env=_environment(), check=False)


def _environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return os.environ | {"PATH": SBIN} | dict(extra or {})


class Namespace:
    """One network namespace, gone at the end of its `with` block; `cloud` has the other ends of its links."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        unshare = _unshare()
        if unshare is None:
            raise RuntimeError(missing() or "no network namespace can be made here")
        self._user = ("--user", "--preserve-credentials") if "--user" in unshare else ()
        self._holder = self._hold([*unshare, "sh", "-c", HOLD])
        self._cloud: Namespace | None = None
        self._plugged = 0
        self.run("ip", "link", "set", "lo", "up")

    def beside(self) -> Namespace:
        """Make another in the same user namespace, so that links can go from one to the other; this one
        closes it.
        """
        made = Namespace.__new__(Namespace)
        made._stack, made._user, made._cloud, made._plugged = ExitStack(), self._user, None, 0
        made._holder = made._hold([*self.prefix, "unshare", "--net", "--mount", "sh", "-c", HOLD])
        return self._stack.enter_context(made)

    def _hold(self, command: Sequence[str]) -> subprocess.Popen[str]:
        holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(), bufsize=1
        )
        self._stack.callback(_end, holder)
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            self.close()
            raise RuntimeError(f"{' '.join(command)} made no namespace")
        return holder

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the namespace; its links go with it, on both ends."""
        self._stack.close()

    @property
    def pid(self) -> int:
        """A process inside, for commands that take one: `ip link set X netns PID`."""
        return self._holder.pid

    @property
    def prefix(self) -> tuple[str, ...]:
        """The command prefix that runs a program inside, in the directory where it is called."""
        self._refuse_the_machine()
        # Its root too: where the tests run in a chroot, that is not the root of the mount namespace.
        inside = ("nsenter", f"--target={self.pid}", *self._user, "--mount", "--root", "--net", "--")
        return (*inside, *END_WITH_TESTS, "env", f"--chdir={Path.cwd()}")

    @property
    def cloud(self) -> Namespace:
        """The namespace on the other side, made when it is first needed."""
        if self._cloud is None:
            self._cloud = self.beside()
        return self._cloud

    def run(
        self,
        *argv: str | os.PathLike[str],
        check: bool = True,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - the word of subprocess.run
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside and return what it said; `env` is added to the environment."""
        done = subprocess.run(
            [*self.prefix, *map(os.fspath, argv)],
            check=False,
            capture_output=True,
            text=True,
            env=_environment(env),
            timeout=timeout,
            **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}),
        )
        if check and done.returncode:
            command = " ".join(map(str, argv))
            raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def run_program(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        timeout: float = 60,
        *,
        on_terminal: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m multinic ...` inside as `run` does, without the import where that is the same."""
        self._refuse_the_machine()
        where = (self._namespaces("mnt", "net"), f"/proc/{self.pid}/root")
        env = {**env, **terminal.ENVIRONMENT} if on_terminal else env
        done = prepared().run(command[3:], _environment(env), where, timeout, on_terminal=on_terminal)
        if done is None and on_terminal:
            command = [sys.executable, terminal.__file__, *command]
        return done or self.run(*command, check=False, env=env, timeout=timeout)

    def popen(self, *argv: str | os.PathLike[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program inside; the caller ends it."""
        options = {"text": True, "env": _environment(options.pop("env", None))} | options
        return subprocess.Popen([*self.prefix, *map(os.fspath, argv)], **options)

    def plug(self, name: str, mac: str | None = None, mtu: int | None = None, *, up: bool = False) -> None:
        """Hot-plug a link: from one moment to the next it is there, down, as the cloud made it.

        It is a veth whose other end is in `cloud`. (A veth has no permanent MAC.) `up` sets both ends up.
        """
        self._plugged += 1
        far = f"port{self._plugged}"
        size = ["mtu", str(mtu)] if mtu else []
        address = ["address", mac] if mac else []
        # Made from the cloud's side, so that the link does not appear under another name or MAC first. Its
        # index is none of a link here: wicked would take that one for the link below, and clip the MTU.
        self.cloud.run(
            *("ip", "link", "add", far, "index", str(FAR_INDICES + self._plugged), *size, "type", "veth"),
            *("peer", "name", name, *address, *size, "netns", str(self.pid)),
        )
        self.cloud.run("ip", "link", "set", far, "up")
        if up:
            self.run("ip", "link", "set", name, "up")

    def unplug(self, name: str) -> None:
        """Take a link away, and its other end with it."""
        self.run("ip", "link", "del", name)

    def bridge(self, name: str, *ports: str) -> None:
        """Make a bridge with these ports, and set all up."""
        self.run("ip", "link", "add", name, "type", "bridge")
        for port in ports:
            self.run("ip", "link", "set", port, "master", name, "up")
        self.run("ip", "link", "set", name, "up")

    def macvlan(self, name: str, parent: str, mac: str | None = None) -> None:
        """Make a macvlan link on top of another one."""
        address = ["address", mac] if mac else []
        self.run("ip", "link", "add", name, "link", parent, *address, "type", "macvlan", "mode", "bridge")

    def links(self) -> dict[str, dict[str, Any]]:
        """Return what `ip -json -details address` says, by link name."""
        return {link["ifname"]: link for link in self._json("address")}

    def addresses(self, name: str) -> list[str]:
        """Return the addresses that somebody gave a link ("10.0.0.5/24"), none that the kernel made."""
        return [
            f"{info['local']}/{info['prefixlen']}"
            for info in self.links()[name]["addr_info"]
            if info.get("protocol") != "kernel_ll" and info["scope"] != "link"
        ]

    def routes(self, *selector: str) -> list[dict[str, Any]]:
        """Return the routes of the main table, or of `routes("table", "1001")`."""
        return self._json("route", "show", *selector)

    def rules(self) -> list[dict[str, Any]]:
        """Return the IPv4 policy rules."""
        return self._json("rule")

    def settle(self) -> None:
        """Wait until all carriers are there and no address is tentative any more.

        Read after this what a later reading is compared with; else the load of the machine decides.
        """

        def settled() -> bool:
            found = self.links().items()
            links = {name: link for name, link in found if name != "lo" and "UP" in link["flags"]}
            # A link that was set down and up again shows its old state until the kernel gets to it, up to a
            # second later. Asked for one link alone, it does that first (rtnl_getlink, linkwatch_sync_dev).
            self.run("ip", "-batch", "-", input="".join(f"link show dev {name}\n" for name in links))
            return all(
                link["operstate"] == "UP" and not any(info.get("tentative") for info in link["addr_info"])
                for link in links.values()
            )

        eventually(settled, timeout=20, what="links that are up, without tentative addresses")

    def _json(self, *argv: str) -> list[dict[str, Any]]:
        output = self.run("ip", "-json", "-details", *argv).stdout
        return [entry for entry in json.loads(output or "[]") if entry]

    def _refuse_the_machine(self) -> None:
        """Never touch the machine's own links, whatever went wrong before."""
        if self._holder.poll() is not None:
            raise RuntimeError("this namespace is closed")
        refuse_the_machine(self.pid)

    @contextmanager
    def monitor(self) -> Iterator[list[Event]]:
        """Collect every change of links, addresses, routes and rules during a block; see `monitor()`."""
        with monitor(self.prefix) as events:
            yield events

    def _namespaces(self, *names: str) -> list[str]:
        names = ("user", *names) if self._user else names
        return [f"/proc/{self.pid}/ns/{name}" for name in names]


def refuse_the_machine(pid: int) -> None:
    """Raise if a process is in the network namespace of the tests themselves."""
    theirs, ours = (os.readlink(f"/proc/{who}/ns/net") for who in (pid, "self"))
    if theirs == ours:
        raise RuntimeError(f"refused: process {pid} is in the machine's own network namespace")


def _end(holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.close()
    try:
        holder.wait(10)
    except subprocess.TimeoutExpired:
        holder.kill()
        holder.wait()
    holder.stdout.close()


@dataclass(frozen=True)
class Event:
    """One message of the kernel: `kind` is such as RTM_NEWADDR, `link` the name then ("" for a rule)."""

    kind: str
    link: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} {self.link} {self.detail}"


@contextmanager
def monitor(prefix: Sequence[str]) -> Iterator[list[Event]]:
    """Collect what the kernel reports where a command prefix leads; the list is filled when the block ends.

    Complete from the first line of the block to its last: it begins when the socket listens, and at the end
    what the kernel has queued is read out.
    """
    from tests.watch import Listener

    listener = Listener(prefix)
    events: list[Event] = []
    try:
        yield events
    finally:
        events += [Event(**event) for event in listener.events()]
        listener.close()
