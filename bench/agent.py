"""What the agent costs: CPU, statements, children, file writes and memory of passes; time from plug to pass.

    python bench/agent.py [PASSES] [PODS] [ROUTES]

As root, in a network namespace of its own, with a private MariaDB inside it: ten links are configured, then
the agent runs PASSES passes (10,000 by default) as fast as they come, a change among them. Of fewer than
1,000 every part is short. With PODS and ROUTES the namespace has as many links of others and routes, and a
row uses policy routing. What the agent opens and starts is counted by an audit hook in the agent itself, in
a run of its own, as the hook costs time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.figures import note  # noqa: E402
from bench.idle import MAC, configured, crowd, fill, installed  # noqa: E402
from tests.mariadb import PrivateMariaDB  # noqa: E402
from tests.namespaces import Namespace  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
ASK = """\
import http.client, sys
for path in sys.stdin:
    client = http.client.HTTPConnection("127.0.0.1:8080", timeout=30)
    client.request("GET", path.strip())
    print(client.getresponse().read().decode().strip(), flush=True)
"""
PROBE = (sys.executable, "-S", "-E", "-c", "import socket; socket.create_connection(('127.0.0.1', 8080))")
# In the agent, before it starts: counts what it starts, and what it opens to write.
WATCHER = """\
import os, sys
counts = {"children": 0, "writes": 0}
def hook(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec"):
        counts["children"] += 1
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        # The lock is opened, and nothing is written to it.
        counts["writes"] += isinstance(arguments[0], str) and not arguments[0].endswith("/lock")
sys.addaudithook(hook)
import threading, time
def tell():
    while True:
        time.sleep(0.2)
        print(counts["children"], counts["writes"], file=out, flush=True)
out = open(os.environ["WATCHED"], "w")
threading.Thread(target=tell, daemon=True).start()
"""


class Running:
    """An agent in a namespace, and a client that asks it."""

    def __init__(self, namespace: Namespace, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._client = namespace.popen(
            *(sys.executable, "-S", "-E", "-c", ASK), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
        )

    def passes(self) -> int:
        assert self._client.stdin
        assert self._client.stdout
        self._client.stdin.write("/\n")
        return int(json.loads(self._client.stdout.readline())["passes"])

    def close(self) -> None:
        self._client.communicate()
        self.process.terminate()
        self.process.wait()

    def cpu(self) -> float:
        """Return the CPU time of the process until now, in milliseconds."""
        text = Path(f"/proc/{self.process.pid}/schedstat").read_text().split()
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e6 or float(
            text[0]
        )

    def memory(self) -> float:
        """Return the resident memory in MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def agent(
    namespace: Namespace, program: list[str], root: Path, interval: str, **environment: str
) -> Iterator[Running]:
    """Run an agent, from its first passes on."""
    settings = str(root / "etc/multinic/multinic.toml")
    command = [*program, "--config", settings, "--root", str(root), "agent"]
    process = namespace.popen(
        *command, env={"MULTINIC_AGENT_POLL_INTERVAL": interval, **environment}, stderr=subprocess.DEVNULL
    )
    while subprocess.call([*namespace.prefix, *PROBE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        time.sleep(0.2)
    running = Running(namespace, process)
    while interval != "1h" and running.passes() < 10:
        time.sleep(0.2)
    time.sleep(2)
    try:
        yield running
    finally:
        running.close()


def main() -> None:
    """Prepare a host, then measure one agent after the other."""
    passes, pods, routes = (int(word) for word in [*sys.argv[1:], *["10000", "0", "0"][len(sys.argv) - 1 :]])
    with Namespace() as namespace, PrivateMariaDB() as server, tempfile.TemporaryDirectory() as directory:
        server.start(namespace.prefix, port=3306)
        program, how = installed(Path(directory))
        fill(server)
        for number in range(10):
            namespace.plug(f"eth{number}", MAC.format(number))
        root = configured(Path(directory) / "host")
        if pods or routes:
            crowd(namespace, server, pods, routes)
        print(f"multinic is {how}; {pods} links of pods, {routes} routes")
        short = passes < 1000
        cheap(namespace, program, root, server, *((2, 0.5) if short else (5, 2.0)))
        watched(namespace, program, root, Path(directory), 1 if short else 5)
        busy(namespace, program, root, 1 if short else 5)
        long(namespace, program, root, server, passes)
        plugged(namespace, program, root, server, 1 if short else 5)


def cheap(
    namespace: Namespace, program: list[str], root: Path, server: PrivateMariaDB, times: int, seconds: float
) -> None:
    """Print what an idle pass costs, ten times a second and as fast as it goes."""
    for interval in ("100ms", "1ms"):
        with agent(namespace, program, root, interval) as running:
            figures = []
            for _ in range(times):
                cpu, count = running.cpu(), running.passes()
                time.sleep(seconds)
                count = running.passes() - count
                figures.append((running.cpu() - cpu) / count)
            with server.statements("node") as statements:
                count = running.passes()
                time.sleep(1)
                count = running.passes() - count
            median, least, most = statistics.median(figures), min(figures), max(figures)
            print(f"idle pass every {interval}: CPU {median:.2f} ms ({least:.2f} to {most:.2f}),", end=" ")
            print(f"{len(statements) / count:.2f} statements, resident {running.memory():.1f} MiB")
            if interval == "100ms":
                note("idle pass of the agent, ten a second", median, "ms CPU", to_reach=2)
                note("statements of an idle pass of the agent", len(statements) / count, "", to_reach=1)


def watched(namespace: Namespace, program: list[str], root: Path, directory: Path, seconds: float) -> None:
    """Print what passes start and write."""
    (directory / "watcher").mkdir()
    (directory / "watcher/sitecustomize.py").write_text(WATCHER)
    report = directory / "watched"
    python = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(directory / 'site')!r}); "]
    python[-1] += "from multinic.cli import main; main()"
    del program
    environment = {"PYTHONPATH": str(directory / "watcher"), "WATCHED": str(report)}
    with agent(namespace, python, root, "10ms", **environment) as running:
        before, count = report.read_text().splitlines()[-1].split(), running.passes()
        time.sleep(seconds)
        after, count = report.read_text().splitlines()[-1].split(), running.passes() - count
        children, writes = (int(a) - int(b) for a, b in zip(after, before, strict=True))
        print(f"{count} idle passes: {children} child processes, {writes} files opened to be written")
        note("child processes and written files of idle passes of the agent", children + writes, to_reach=0)


def busy(namespace: Namespace, program: list[str], root: Path, seconds: float) -> None:
    """Print what 500 events a second of links that are not ours cost."""
    namespace.run("ip", "link", "add", "pod", "type", "veth", "peer", "name", "far")
    with agent(namespace, program, root, "1h") as running:
        passes, cpu, events, begun = running.passes(), running.cpu(), 0, time.monotonic()
        with namespace.popen("ip", "-batch", "-", stdin=subprocess.PIPE, bufsize=1) as ip:
            assert ip.stdin
            while (now := time.monotonic() - begun) < seconds:
                if events < 500 * now:
                    ip.stdin.write(f"link set pod {'up' if events % 2 else 'down'}\n")
                    events += 1
                else:
                    time.sleep(0.0005)
        cost = (running.cpu() - cpu) / (time.monotonic() - begun)
        print(f"{events / seconds:.0f} events of other links a second: CPU {cost:.1f} ms a second,", end=" ")
        print(f"{running.passes() - passes} passes")
        note("500 events of other links a second, in the agent", cost, "ms CPU a second")
    namespace.run("ip", "link", "del", "pod")


def long(namespace: Namespace, program: list[str], root: Path, server: PrivateMariaDB, passes: int) -> None:
    """Print the memory over many passes, with a change in the middle."""
    with agent(namespace, program, root, "1ms") as running:
        print(f"resident after {running.passes()} passes: {running.memory():.1f} MiB")
        for part in range(1, 5):
            while running.passes() < passes * part / 4:
                time.sleep(0.2)
            if part == 2:
                server.execute("UPDATE multi_interface SET mtu = 1400", database="multinic")
            descriptors = len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))
            print(f"after {running.passes()}: {running.memory():.1f} MiB, {descriptors} descriptors")
        note(f"memory of the agent after {passes:,} passes", running.memory(), "MiB", to_reach=45)


def plugged(namespace: Namespace, program: list[str], root: Path, server: PrivateMariaDB, times: int) -> None:
    """Print how long it takes from a NIC that is plugged in to its pass, and to its configuration."""
    figures = []
    with agent(namespace, program, root, "1h") as running:
        for number in range(times):
            namespace.unplug("multinic9")
            time.sleep(8)
            with server.connect() as control, control.cursor() as cursor:
                cursor.execute("SET GLOBAL general_log = OFF")
                cursor.execute("TRUNCATE TABLE mysql.general_log")
                cursor.execute("SET GLOBAL general_log = ON")
            begun = time.time()
            peer = ("peer", "name", "eth9", "address", MAC.format(9), "netns", str(namespace.pid))
            namespace.cloud.run("ip", "link", "add", f"again{number}", "type", "veth", *peer)
            made = time.time()
            while "multinic9" not in namespace.links():
                time.sleep(0.005)
            server.execute("SET GLOBAL general_log = OFF")
            (row,) = server.execute(
                "SELECT UNIX_TIMESTAMP(MIN(event_time)) AS at FROM mysql.general_log"
                " WHERE user_host LIKE 'node[%%' AND command_type = 'Query'"
            )
            figures.append((float(row["at"]) - made, float(row["at"]) - begun))
        running.passes()
    after, whole = zip(*figures, strict=True)
    print(
        f"from a NIC that is plugged in to the statement of its pass: {1000 * max(after):.0f} ms at most",
        end="",
    )
    print(
        f" after `ip link add` ended ({1000 * max(whole):.0f} ms after it began), in {len(figures)} attempts"
    )


if __name__ == "__main__":
    main()
