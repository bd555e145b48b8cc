"""A real agent on a node, and clients that ask it over HTTP inside the node's namespace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kernel.node import Node, until

# -S -E: no more of an interpreter than a request needs.
CLIENT = (sys.executable, "-S", "-E", "-c")
ASK = """\
import http.client, json, sys
for line in sys.stdin:
    where, method, path = line.split()
    client = http.client.HTTPConnection(where, timeout=30)
    try:
        client.request(method, path)
        answer = client.getresponse()
        print(json.dumps([answer.status, answer.read().decode()]), flush=True)
    except OSError as e:
        print(json.dumps([0, str(e)]), flush=True)
"""
RARELY = {"MULTINIC_AGENT_POLL_INTERVAL": "1h"}
"""No pass by the clock: what happens then was called for by something else."""


class Agent:
    """One agent that runs."""

    def __init__(self, node: Node, process: subprocess.Popen[str], log: Path) -> None:
        self.node, self.process, self._log = node, process, log
        self._client = node.namespace.popen(
            *CLIENT, ASK, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
        )

    @property
    def log(self) -> str:
        """All that it has logged."""
        return self._log.read_text(encoding="utf-8")

    def ask(self, path: str, method: str = "GET", where: str = "127.0.0.1:8080") -> tuple[int, Any]:
        """Return status and document of an answer; 0 for none."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(f"{where} {method} {path}\n")
        status, body = json.loads(self._client.stdout.readline())
        return status, json.loads(body) if body.startswith("{") else body

    def document(self) -> dict[str, Any]:
        """Return the health document."""
        found: dict[str, Any] = self.ask("/")[1]
        return found

    def passes(self) -> int:
        """Return how many passes there were."""
        return int(self.document()["passes"])

    def at_rest(self) -> int:
        """Wait until no pass has begun for 1.5 s and none is due soon; return how many there were.

        The kernel tells of a carrier up to a second late.
        """
        last = (-1, 0.0)

        def rests() -> bool:
            nonlocal last
            document, now = self.document(), time.monotonic()
            if document["passes"] != last[0]:
                last = (document["passes"], now)
            return now - last[1] > 1.5 and document["next_pass_in"] > 100

        until(rests)
        return last[0]

    def pass_more(self) -> None:
        """Wait until a pass that began later than now has ended."""
        before = self.passes()
        until(lambda: self.passes() >= before + 2)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def memory(self) -> int:
        """Return the resident memory in KiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])

    def descriptors(self) -> int:
        """Return how many files and sockets it has open between two passes: the least of many looks."""
        return min(len(os.listdir(f"/proc/{self.process.pid}/fd")) for _ in range(200))

    def close(self) -> None:
        """End the client, and the agent if it still runs."""
        self._client.communicate()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            finally:
                self.process.kill()


@contextmanager
def agent_on(
    node: Node, env: Mapping[str, str] | None = None, *, ready: bool = True, prefix: tuple[str, ...] = ()
) -> Iterator[Agent]:
    """Run an agent during the block; `ready`: wait until its first pass has decided."""
    path = node.directory / f"agent-{time.monotonic_ns()}.log"
    with path.open("w") as log:
        process = node.namespace.popen(
            *prefix,
            *node.command("agent"),
            env=node.environment({"MULTINIC_AGENT_POLL_INTERVAL": "300ms", **(env or {})}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    agent = Agent(node, process, path)
    try:
        if ready:
            until(lambda: process.poll() is not None or agent.ask("/readyz")[0] == 200, 60)
            assert process.poll() is None, agent.log
        yield agent
    finally:
        agent.close()
    assert "Traceback" not in agent.log, agent.log
