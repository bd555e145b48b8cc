"""The kernel's tables are read again only after an announcement: none that counts may be missed.

By the agent, pass after pass, and by a change, which looks at all routes half a dozen times.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import PIPE

from tests.hosts import eventually
from tests.kernel.node import ROOT
from tests.namespaces import Namespace

MAC = "fa:16:3e:00:00:01"

# For each line of input: whether what is kept is what a new look finds, whether it was read anew for that,
# and whether it is something else than before.
KEEPER = """\
import json, sys
from multinic.flow.tables import Kept, more_of, read
of = frozenset([sys.argv[1]]), more_of([254, 1001], [3], {})
kept = Kept()
before = kept(*of)
for line in sys.stdin:
    now, fresh = kept(*of), read(*of)
    print(json.dumps([now.text == fresh.text, now is not before, fresh.text != before.text]), flush=True)
    before = now
"""

# The same for the routes that a change looks at, but for the last.
KEEPER_OF_ROUTES = """\
import json, sys
from multinic.kernel import dumps, reader
from multinic.kernel.routes import routes_by

read = []
once = reader.Reader._parts_once
reader.Reader._parts_once = lambda *args: read.append(args) or once(*args)

def look(kind):
    read.clear()
    with kind() as kernel:
        return {route: route.raw for route in routes_by(kernel)}, bool(read)

with dumps.kept():
    look(dumps.KeepingReader)
    for line in sys.stdin:
        (now, anew), (fresh, _) = look(dumps.KeepingReader), look(reader.Reader)
        print(json.dumps([now == fresh, anew]), flush=True)
"""

OF_OTHERS = """\
link add pod0 type veth peer name far0
link set pod0 up
link set far0 up
addr add 10.9.0.2/24 dev pod0
route add 10.8.0.0/24 dev pod0
route replace 10.8.0.0/24 dev pod0 mtu 1300
addr add fd00::1/64 dev pod0 nodad
addr del fd00::1/64 dev pod0
link set pod0 mtu 1400
link set pod0 down
link del pod0
"""

# Each changes what counts. Those that begin with ! are announced by nothing but what brings them about.
THAT_COUNT = """\
addr add 10.0.0.1/24 dev multinic0
addr add fd00:1::1/64 dev multinic0 nodad
addr del fd00:1::1/64 dev multinic0
link set multinic0 mtu 1400
link set multinic0 alias uplink
link set multinic0 txqueuelen 77
link property add dev multinic0 altname port0
link set multinic0 name port1
link set port1 name multinic0
route add 10.20.0.0/24 via 10.0.0.9 dev multinic0
route add 10.21.0.0/24 nexthop via 10.0.0.9 nexthop dev other
! route replace 10.20.0.0/24 dev other
route add 10.22.0.0/24 dev other table 1001
rule add from 10.0.0.1 table 1001 priority 1001
rule del from 10.0.0.1 table 1001 priority 1001
! link set other down
route add 10.23.0.0/24 via 10.0.0.9 dev multinic0 src 10.1.0.1
! addr del 10.1.0.1/24 dev other
nexthop add id 7 via 10.0.0.9 dev multinic0
route add 10.24.0.0/24 nhid 7
! nexthop del id 7
link set multinic0 down
link set multinic0 up
link add link other name copy address fa:16:3e:00:00:01 type macvlan
link set copy address 02:00:00:00:00:07
link del multinic0
"""


@contextmanager
def keeping(namespace: Namespace, keeper: str) -> Iterator[Callable[[str], list[bool]]]:
    """Let a keeper run; yield what has ip run a command, and returns the keeper's answer after it."""
    namespace.plug("multinic0", MAC, up=True)
    namespace.plug("other", "fa:16:3e:00:00:02", up=True)
    namespace.run("ip", "addr", "add", "10.1.0.1/24", "dev", "other")
    namespace.settle()
    program = (sys.executable, "-c", keeper, MAC)
    with namespace.popen(*program, stdin=PIPE, stdout=PIPE, bufsize=1, cwd=ROOT) as child:

        def after(command: str) -> list[bool]:
            assert child.stdin
            assert child.stdout
            namespace.run("ip", *command.lstrip("! ").split())
            child.stdin.write("\n")
            found: list[bool] = json.loads(child.stdout.readline())
            return found

        after("link show")
        yield after
        assert child.stdin
        child.stdin.close()


def test_what_is_kept_is_what_a_new_look_would_find(namespace: Namespace) -> None:
    with keeping(namespace, KEEPER) as after:
        for command in OF_OTHERS.splitlines():
            # With the link goes an IPv4 address, and with any of these may go a route of ours.
            is_read = command.startswith(("link del", "route replace"))
            assert after(command) == [True, is_read, False], command
        for command in THAT_COUNT.splitlines():
            assert after(command) == [True, True, "nexthop add" not in command], command
            namespace.run("ip", "link", "set", "other", "up")
            assert after("link show")[0]
        namespace.run("ip", "link", "add", "pod1", "type", "veth", "peer", "name", "far1")
        namespace.run("ip", "-batch", "-", input="link set pod1 up\nlink set pod1 down\n" * 1000)
        assert after("link show") == [True, True, False], "more than the kernel keeps for us: look anew"


def test_the_routes_that_a_change_looks_at_are_kept_until_anything_is_announced(namespace: Namespace) -> None:
    with keeping(namespace, KEEPER_OF_ROUTES) as after:
        for command in (*OF_OTHERS.splitlines(), *THAT_COUNT.splitlines()):
            assert after(command)[1], command  # the kernel may be still at it: IPv6 routes go a little later
            namespace.run("ip", "link", "set", "other", "up")
            # Nothing happens any more; but the kernel announces later that nobody else has an IPv6 address.
            eventually(lambda: after("link show") == [True, False])


# Another process sets a link down, on which a route goes that the kernel comes to last. Who looks as soon as
# that is announced may see the route still; later it must not.
HASTY = """\
import subprocess, time
from multinic.kernel import dumps
from multinic.kernel.announced import Announcements
from multinic.kernel.reader import Reader

def look(kind):
    with kind() as kernel:
        return [route["to"] for route in kernel.routes(table=0) if route["to"] == bytes([1, 0, 0, 0])]

for _ in range(10):
    for words in ("link set multinic0 up", "addr replace 10.0.0.1/24 dev multinic0",
                  "route replace 1.0.0.0/24 dev multinic0"):
        subprocess.run(["ip", *words.split()], check=True)
    time.sleep(0.05)
    with dumps.kept():
        announcements = Announcements()
        assert look(dumps.KeepingReader)
        with subprocess.Popen(["ip", "link", "set", "multinic0", "down"]):
            announcements.wait(lambda *_: True, 5)
            look(dumps.KeepingReader)
        announcements.close()
        time.sleep(0.2)
        assert look(dumps.KeepingReader) == look(Reader) == []
"""


def test_who_looks_while_the_kernel_is_at_it_does_not_keep_that(namespace: Namespace) -> None:
    namespace.plug("multinic0", MAC, up=True)
    namespace.plug("other", "fa:16:3e:00:00:02", up=True)
    namespace.run("sysctl", "-qw", "net.ipv6.conf.multinic0.disable_ipv6=1")
    routes = "".join(f"route add 100.{n >> 8}.{n & 255}.0/24 dev other\n" for n in range(20_000))
    namespace.run("ip", "-batch", "-", input=routes)
    namespace.run(sys.executable, "-c", HASTY, env={"PYTHONPATH": str(ROOT)})
