"""Commands of wicked: what it answers says little, so each is read for what it can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from multinic.errors import CommandFailed, HostError
from multinic.host import Host
from multinic.links import Faults
from multinic.naming import slot_of
from multinic.plan import Interface

CONFIGURATION = "/etc/sysconfig/network"
_DEFAULTS = ("config", "dhcp")  # what wicked reads along with every ifcfg file
_WAIT = 30  # seconds for links that are there; twice that is still within `command_timeout`
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


def objections(host: Host, *candidates: Mapping[str, bytes]) -> list[str]:
    """Return what wicked says of files in a scratch directory, besides what it makes of them."""
    with host.scratch() as inside:
        directory = Path(host.path(inside))
        for name in _DEFAULTS:
            file = host.file(f"{CONFIGURATION}/{name}", follow=True)
            (directory / name).write_bytes(file.content if file else b"")
        for name, content in (item for contents in candidates for item in contents.items()):
            (directory / name).write_bytes(content)
        said = host.complaints("wicked", "show-config", "--ifconfig", f"compat:{inside}", "all")
    return [line.replace(f"{inside}/", "").strip() for line in said.splitlines() if line.strip()]


def blame(host: Host, verb: str, interfaces: Mapping[str, Interface], faults: Faults) -> None:
    """Run a command of wicked for links by name; what it cannot do is the fault of one of them.

    Of several links it tells one status for all, so each is asked for.
    """
    of_all = status(host, verb, [*interfaces])
    for name, interface in interfaces.items() if of_all else ():
        own = of_all if len(interfaces) == 1 else status(host, "ifstatus", [name])
        if own not in _FINE:
            with faults.of(interface):
                words = f"wicked {verb} {name}: {_WORDS.get(own, f'status {own}')}"
                raise HostError(words, "look at `journalctl -u wickedd -u wickedd-nanny`")


def status(host: Host, verb: str, names: Sequence[str], seconds: int = _WAIT) -> int:
    """Run a command of wicked for links, return its exit status. Raises CommandFailed if wickedd is gone."""
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
    """Tell wicked of links that are not plugged in: it configures them when they are.

    A file alone it does not look at, but at those of a link that it is told to bring up, also in vain.
    """
    status(host, "ifup", names, seconds=1)


def forget(host: Host, name: str) -> None:
    """Have wicked forget one of our names without a file: it would configure the next link that bears it."""
    if slot_of(name) is not None and not host.present(f"{CONFIGURATION}/ifcfg-{name}"):
        host.run("wicked", "nanny", "delpolicy", f"policy__{name}")
