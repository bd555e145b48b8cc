"""The fake wicked (tests/fake_wicked.py) as a service and its client, as SLES has them: on a booted host.

    python wickedd.py serve                    the service, /etc/systemd/system/wickedd.service
    python wickedd.py wicked ifup eth0         the client, /usr/sbin/wicked

Links are configured by the service; the client only asks it, through a local socket. So what confines the
client, as it does every child of multinic.service, is felt as with the real one. And as with that, it is the
client that reads the files which `show-config` is about. The nanny hears of links from the kernel: it
configures those that are plugged in, when it has a policy for them, and asks for leases until it gets one.
"""

from __future__ import annotations

import io
import json
import select
import socket
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fake_wicked import IN_PROGRESS, NO_CARRIER, Wicked, links

DIRECTORY = Path("/run/wicked")
SOCKET = DIRECTORY / "socket"
_LINKS = 1  # RTMGRP_LINK
_AGAIN = 1.0  # seconds until the next try to get a lease


def serve() -> None:
    """Bring up what has a file, then do what clients ask for and what the kernel says, one by one."""
    DIRECTORY.mkdir(exist_ok=True)
    (DIRECTORY / "wicked.json").unlink(missing_ok=True)
    (DIRECTORY / "root").unlink(missing_ok=True)
    (DIRECTORY / "root").symlink_to("/")
    SOCKET.unlink(missing_ok=True)
    with (
        socket.socket(socket.AF_UNIX) as server,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel,
    ):
        kernel.bind((0, _LINKS))
        kernel.setblocking(False)
        server.bind(str(SOCKET))
        server.listen()
        start()
        is_asking = True
        while True:
            ready, _, _ = select.select([server, kernel], [], [], _AGAIN if is_asking else None)
            if server in ready:
                connection, _ = server.accept()
                with connection, connection.makefile("rw") as stream:
                    json.dump(run(json.loads(stream.readline())), stream)
            if kernel in ready:
                with suppress(BlockingIOError, OSError):  # ENOBUFS: more happened than it keeps
                    while kernel.recv(1 << 16):
                        pass
            is_asking = look()


def start() -> None:
    wicked = Wicked(DIRECTORY)
    wicked.started()
    for path in sorted(wicked.etc.glob("ifcfg-*")):
        wicked.ifup(path.name.removeprefix("ifcfg-"))
    wicked.save()


def look() -> bool:
    """Configure links that are new and have a policy, or that have a carrier now, and ask for leases.

    Return whether it must ask again.
    """
    wicked = Wicked(DIRECTORY)
    wicked.look()
    for name, link in links().items():
        held = wicked.held.get(str(link["ifindex"]))
        has_carrier = "LOWER_UP" in link["flags"]
        if held is None:
            if name in wicked.policies and not wicked.deaf:
                wicked.configure(name, wicked.policies[name])
        elif held["status"] == NO_CARRIER and has_carrier:
            wicked.configure(name, held["config"])
        elif held["status"] == IN_PROGRESS and has_carrier:
            wicked.ask_servers(name)
    wicked.save()
    return any(held["status"] == IN_PROGRESS for held in wicked.held.values())


def run(arguments: list[str]) -> tuple[int, str, str]:
    """Do what `wicked` is asked for; return its exit status and what it prints."""
    wicked = Wicked(DIRECTORY)
    with redirect_stderr(io.StringIO()) as said, redirect_stdout(io.StringIO()) as printed:
        status = wicked.wicked(*arguments)
    if arguments[0] != "show-config":
        wicked.save()
    return status, printed.getvalue(), said.getvalue()


def ask(arguments: list[str]) -> tuple[int, str, str]:
    """Have the service do it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(SOCKET))
        with client.makefile("rw") as stream:
            print(json.dumps(arguments), file=stream, flush=True)
            status, printed, said = json.load(stream)
    return status, printed, said


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    here = sys.argv[2] == "show-config"
    status, printed, said = run(sys.argv[2:]) if here else ask(sys.argv[2:])
    print(printed, end="")
    print(said, file=sys.stderr, end="")
    sys.exit(status)
