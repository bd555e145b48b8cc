"""Three nodes of a real Galera cluster on loopback, for the tests alone.

All begin with a copy of one set of data. A node that knows the position of its data, or recovers it after it
was killed, gets the rest from the others' caches; one that does not gets all data of another node, which a
script of ours copies as the server's own does with rsync: while the other node takes no writes.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.mariadb import SBIN, START_TIMEOUT, PrivateMariaDB, free_port

LIBRARIES = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")
TRANSFER = """\
#!/bin/sh
set -e
bypass=
while [ $# -gt 0 ]; do
    case $1 in
        --role) role=$2; shift ;;
        --address) address=$2; shift ;;
        --datadir) data=$2; shift ;;
        --gtid) position=$2; shift ;;
        --bypass) bypass=1 ;;
    esac
    shift
done
file={directory}/$(echo "$address" | tr -c '0-9\\n' _)
if [ "$role" = joiner ]; then
    rm -rf "$file" "$file.data"
    echo "ready $address"
    until [ -s "$file" ]; do sleep 0.05; done
    if [ -d "$file.data" ]; then
        find "${data:?}" -mindepth 1 -maxdepth 1 ! -name 'galera.*' ! -name '*.dat' -exec rm -r {} +
        cp -R "$file.data/." "$data"
        rm -r "$file.data"
    fi
    cat "$file"
else
    if [ -z "$bypass" ]; then
        rm -f "$data/tables_flushed"
        echo 'flush tables'
        until grep -q : "$data/tables_flushed" 2>/dev/null; do sleep 0.05; done
        position=$(cat "$data/tables_flushed")
        rm "$data/tables_flushed"
        mkdir "$file.data"
        find "${data:?}" -mindepth 1 -maxdepth 1 ! -name 'galera.*' ! -name '*.dat' \\
            -exec cp -R {} "$file.data" \\;
    fi
    echo continue
    echo "$position" >"$file.new"
    mv "$file.new" "$file"
    echo "done $position"
fi
"""
# How soon a node that is silent is no part of the cluster; the defaults are five times as long.
QUICK = "evs.keepalive_period=PT0.3S;evs.suspect_timeout=PT2S;evs.inactive_timeout=PT6S;gcache.size=8M"


def missing() -> str | None:
    """Say what a cluster needs and this machine lacks."""
    return None if _library() else "Galera's library not found (Debian, Ubuntu: galera-4)"


def _library() -> str:
    return next((path for path in LIBRARIES if Path(path).exists()), "")


class Cluster:
    """Three nodes that have what is written to any of them."""

    def __init__(self, directory: Path, nodes: list[PrivateMariaDB]) -> None:
        self.nodes = nodes
        self._directory = directory
        self._ports = [free_port() for _ in nodes]
        script = directory / "wsrep_sst_copy"
        script.write_text(TRANSFER.replace("{directory}", str(directory)))
        script.chmod(0o755)

    def start(
        self, number: int, *, first: bool = False, killed: bool = False, transfer: str = "copy"
    ) -> None:
        """Start one node; `killed`: it looks first where it ended, as the server's unit has it do.

        `transfer` "skip": it waits for the state of the others for ever, in SST.
        """
        others = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        listen = f"gmcast.listen_addr=tcp://127.0.0.1:{self._ports[number]}"
        options = [
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON",
            f"--wsrep-provider={_library()}",
            # In MariaDB 11.8 it is on, and then an option of the library cannot be set while it runs.
            "--loose-plugin-wsrep-provider=OFF",
            "--wsrep-cluster-name=multinic",
            f"--wsrep-cluster-address=gcomm://{'' if first else others}",
            "--wsrep-node-address=127.0.0.1",
            f"--wsrep-provider-options={listen};ist.recv_addr=127.0.0.1:{free_port()};{QUICK}",
            f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}",
            f"--wsrep-sst-method={transfer}",
            *(["--wsrep-new-cluster"] if first else []),
        ]
        node = self.nodes[number]
        if killed:
            (said,) = re.findall(r"Recovered position: *(\S+)", node.run([*options, "--wsrep-recover"]))
            options.append(f"--wsrep-start-position={said}")
        node.start(["env", f"PATH={self._directory}:{SBIN}"], options=options)
        if transfer != "skip":
            self.wait(number, "ON")

    def wait(self, number: int, ready: str) -> None:
        """Wait until a node serves (ready "ON") or no longer does ("OFF")."""
        self._until(lambda: self._status(number, "ready") == ready)

    def settle(self) -> None:
        """Wait until all nodes know each other and serve."""
        every = range(len(self.nodes))
        self._until(
            lambda: all(
                (self._status(number, "cluster_size"), self._status(number, "ready"))
                == (str(len(every)), "ON")
                for number in every
            )
        )

    def catch_up(self) -> None:
        """Wait until every node has what was written before to any of them."""
        for node in self.nodes:
            with node.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SET SESSION wsrep_sync_wait = 1")
                cursor.execute("SELECT COUNT(*) FROM mysql.global_priv")

    def _status(self, number: int, name: str) -> str:
        return str(self.nodes[number].execute(f"SHOW STATUS LIKE 'wsrep_{name}'")[0]["Value"])

    def _until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + START_TIMEOUT
        while not condition():
            assert time.monotonic() < end, self.nodes[0].log.read_text(errors="replace")[-4000:]
            time.sleep(0.05)

    @contextmanager
    def isolated(self, number: int) -> Iterator[None]:
        """Run a block while a node does not hear the others: it lets in, and answers 1047."""
        setting = "SET GLOBAL wsrep_provider_options = 'gmcast.isolate={}'"
        self.nodes[number].execute(setting.format(1))
        self.wait(number, "OFF")
        try:
            yield
        finally:
            self.nodes[number].execute(setting.format(0))
            self.wait(number, "ON")

    def hosts(self, *numbers: int) -> str:
        """Return nodes as database.url lists them, in this order."""
        return ",".join(f"127.0.0.1:{self.nodes[number].port}" for number in numbers)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run three nodes during a block."""
    with ExitStack() as exits:
        nodes = [exits.enter_context(PrivateMariaDB()) for _ in range(3)]
        made = Cluster(nodes[0].directory, nodes)
        made.start(0, first=True)  # so that the data have a position in the history of a cluster
        nodes[0].stop()
        for node in nodes[1:]:
            shutil.copytree(nodes[0].data, node.data)
        for number in range(len(nodes)):
            made.start(number, first=number == 0)
        yield made
