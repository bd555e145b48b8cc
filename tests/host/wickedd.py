"""The fake wicked (tests/fake_wicked.py) as a service and its client, as SLES has them: on a booted host.

    python wickedd.py serve                    the service, /etc/systemd/system/wickedd.service
    python wickedd.py wicked ifup eth0         the client, /usr/sbin/wicked

Links are configured by the service; the client only asks it, through a local socket. So what confines the
client, as it does every child of multinic.service, is felt as with the real one. And as with that, it is the
client that reads the files which `show-config` is about. There is no nanny: links that are plugged in later
stay as they are.
"""

from __future__ import annotations

import io
import json
import socket
import sys
from contextlib import redirect_stderr
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fake_wicked import Wicked

DIRECTORY = Path("/run/wicked")
SOCKET = DIRECTORY / "socket"


def serve() -> None:
    """Bring up what has a file, then do what clients ask for, one after the other."""
    DIRECTORY.mkdir(exist_ok=True)
    (DIRECTORY / "wicked.json").unlink(missing_ok=True)
    (DIRECTORY / "root").unlink(missing_ok=True)
    (DIRECTORY / "root").symlink_to("/")
    SOCKET.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(SOCKET))
        server.listen()
        for path in sorted((DIRECTORY / "root/etc/sysconfig/network").glob("ifcfg-*")):
            run(["ifup", "--timeout", "30", path.name.removeprefix("ifcfg-")])
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rw") as stream:
                json.dump(run(json.loads(stream.readline())), stream)


def run(arguments: list[str]) -> tuple[int, str]:
    """Do what `wicked` is asked for; return its exit status and what it says."""
    wicked = Wicked(DIRECTORY)
    with redirect_stderr(io.StringIO()) as said:
        status = wicked.run("wicked", arguments)
    if arguments[0] != "show-config":
        wicked.save()
    return status, said.getvalue()


def ask(arguments: list[str]) -> tuple[int, str]:
    """Have the service do it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(SOCKET))
        with client.makefile("rw") as stream:
            print(json.dumps(arguments), file=stream, flush=True)
            status, said = json.load(stream)
    return status, said


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    here = sys.argv[2] == "show-config"
    status, said = run(sys.argv[2:]) if here else ask(sys.argv[2:])
    print(said, file=sys.stderr, end="")
    sys.exit(status)
