"""Commands of wicked, and how to read its answers, which say little."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from multinic.backend.detect import WICKED, running
from multinic.decide.naming import slot_of
from multinic.host.host import Host
from multinic.host.scratch import scratch
from multinic.kernel.faults import Faults
from multinic.values.errors import CommandFailed, HostError
from multinic.values.plan import Interface

CONFIGURATION = "/etc/sysconfig/network"
_POLICIES = "/run/wicked/nanny"
_LEASES = ("/run/wicked", "/var/lib/wicked")
_DEFAULTS = ("config", "dhcp")  # files that wicked reads together with every ifcfg file
_WAIT = 30  # seconds for links that are plugged in; twice that is still within `command_timeout`
_WAIT_FOR_LEASE = (
    5  # seconds: wicked asks on without the command, which would wait for a server until its end
)
_NO_DAEMON = 1
_FINE = (0, 162, 163)  # up; set up so far, waiting for a lease; up with an earlier configuration
_WORDS = {
    155: "it is disabled",
    156: "it is not set up",
    157: "there is no such link",
    158: "setting it up failed",
    159: "wicked has no configuration of it",
    168: "it has no carrier",
}
_SHOWN = re.compile(r"<interface\b.*?<name>(?P<name>[^<]*)</name>(?P<rest>.*?)</interface>", re.DOTALL)
_CLIENT = re.compile(r"<(?P<client>ipv[46]:dhcp)>(?P<rest>.*?)</(?P=client)>", re.DOTALL)


def objections(host: Host, *candidates: Mapping[str, bytes]) -> list[str]:
    """Return what is wrong with these files, put into a scratch directory: the lines that wicked writes to
    stderr, and the DHCP clients that would take everything from an answer.
    """
    with scratch(host) as inside:
        directory = Path(host.path(inside))
        for name in _DEFAULTS:
            file = host.file(f"{CONFIGURATION}/{name}", follow=True)
            (directory / name).write_bytes(file.content if file else b"")
        for name, content in (item for contents in candidates for item in contents.items()):
            (directory / name).write_bytes(content)
        shown, said = host.outputs_of("wicked", "show-config", "--ifconfig", f"compat:{inside}", "all")
    lines = (line.replace(f"{inside}/", "").strip().removeprefix("wicked: ") for line in said.splitlines())
    found = [line for line in lines if line]
    return [*found, *_unlimited_clients(shown)]


def _unlimited_clients(shown: str) -> Iterator[str]:
    """Yield an objection to each DHCP client without an <update> element: its flags are all off.

    wicked 0.6.80 writes no element for that, and takes a missing one for all flags: default route, MTU, DNS.
    """
    for interface in _SHOWN.finditer(shown):
        for client in _CLIENT.finditer(interface["rest"]):
            if "<update>" not in client["rest"]:
                words = "would take all that a server says, because no update flag is on"
                yield f"{interface['name']}: {client['client']} {words}"


def run(host: Host, verb: str, interfaces: Mapping[str, Interface], faults: Faults) -> None:
    """Run a command of wicked for links, by name, and add those for which it failed to `faults`."""
    leased = {name: interface for name, interface in interfaces.items() if _is_leased(interface)}
    _run(host, verb, {n: i for n, i in interfaces.items() if n not in leased}, faults, _WAIT)
    _run(host, verb, leased, faults, _WAIT_FOR_LEASE)


def _is_leased(interface: Interface) -> bool:
    options = interface.desired.options if interface.desired else None
    return options is not None and (options.dhcp4 or options.dhcp6)


def _run(host: Host, verb: str, interfaces: Mapping[str, Interface], faults: Faults, seconds: int) -> None:
    """Run a command of wicked for links.

    It has one exit status for all links, so if that is an error wicked is asked about each of them.
    """
    of_all = exit_status(host, verb, [*interfaces], seconds)
    for name, interface in interfaces.items() if of_all else ():
        state = of_all if len(interfaces) == 1 else exit_status(host, "ifstatus", [name])
        if state not in _FINE:
            with faults.of(interface):
                words = f"wicked {verb} {name}: {_WORDS.get(state, f'status {state}')}"
                raise HostError(words, "look at `journalctl -t wicked -t wickedd -t wickedd-nanny`")


def exit_status(host: Host, verb: str, names: Sequence[str], seconds: int = _WAIT) -> int:
    """Run a command of wicked and return its exit status.

    Raises CommandFailed if it has none, for example because it took too long, and if wickedd does not run.
    """
    options = ["--quiet"] if verb == "ifstatus" else ["--timeout", str(seconds)]
    try:
        if names:
            host.run("wicked", verb, *options, *names)
    except CommandFailed as e:
        if e.status is None or e.status == _NO_DAEMON:
            raise
        return e.status
    return 0


def load(host: Host, names: Sequence[str]) -> None:
    """Have wicked read the files of links that are not plugged in: it configures them when they are.

    A new file alone has no effect. `ifup` reads it, even if the link is missing.
    """
    exit_status(host, "ifup", names, seconds=1)


def forget(host: Host, name: str) -> None:
    """Have wicked forget a name of ours that has no file: else it configures the next link of that name.

    Its leases go too, which wicked keeps for a link that comes back.
    """
    if slot_of(name) is not None and not host.present(f"{CONFIGURATION}/ifcfg-{name}"):
        drop_policy(host, name)
        for path in leases(host, name):
            host.remove(path)


def drop_policy(host: Host, name: str) -> None:
    """Have wicked's nanny forget a name, until the next `ifup`; nothing is done if it does not know it.

    While wickedd is stopped no command is run: D-Bus would start the nanny alone, which hangs for 60 s and
    then configures no new link until it is started again. It reads the file of a policy when it starts.
    """
    path = policy_file(name)
    if host.present(_POLICIES) and not host.present(path):
        return
    if running(host, WICKED):
        host.run("wicked", "nanny", "delpolicy", f"policy__{name}")
    else:
        host.remove(path)


def policy_file(name: str) -> str:
    """Return the file in which wicked's nanny keeps what it knows of a name."""
    return f"{_POLICIES}/policy__{name}.xml"


def leases(host: Host, name: str) -> list[str]:
    """Return the files in which wicked keeps the leases of a name."""
    begin = (f"lease-{name}-", f"leaseinfo.{name}.")
    return [
        f"{directory}/{file}"
        for directory in _LEASES
        for file in host.names(directory)
        if file.startswith(begin)
    ]
