"""The real Prometheus: its promtool, and a server of a test that scrapes one page (scripts/prometheus.sh)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tests import unpacked
from tests.hosts import eventually
from tests.scratch import END_WITH_TESTS

ROOT = Path(__file__).parents[1]
RULES = ROOT / "docs/observability/alerts.yml"


def program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`."""
    hint = "scripts/prometheus.sh gets it"
    return unpacked.program(f"usr/bin/{name}", package="prometheus", tier="kernel", hint=hint)


def promtool(*arguments: str | Path, stdin: str = "") -> str:
    """Run promtool and return what it said; it must have nothing to complain of."""
    command = [program("promtool"), *map(os.fspath, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def of_dashboard() -> list[str]:
    """Return the expressions of the dashboard, with all jobs and instances chosen."""
    panels = json.loads(RULES.with_name("dashboard.json").read_text(encoding="utf-8"))["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    chosen = {"$job": ".*", "$instance": ".*", "$__rate_interval": "5m"}
    for variable, value in chosen.items():
        found = [expression.replace(variable, value) for expression in found]
    return found


class Server:
    """A Prometheus that scrapes a page every second and has our rules."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> dict[frozenset[tuple[str, str]], float]:
        """Return the present value of each series of an expression, by its labels."""
        words = urllib.parse.urlencode({"query": expression})
        found = self._ask(f"query?{words}")["result"]
        return {
            frozenset(one["metric"].items()): float(one["value"][1])
            for one in (found if isinstance(found, list) else [])
        }

    def target(self) -> Mapping[str, Any]:
        """Return what it says of the page: `health` is "up" if it could read it."""
        targets: list[Mapping[str, Any]] = self._ask("targets")["activeTargets"]
        return targets[0] if targets else {"health": "unknown", "lastError": ""}

    def rules(self) -> dict[str, str]:
        """Return the health of each of our alerts, by name."""
        (group,) = self._ask("rules")["groups"] or ({"rules": []},)
        return {rule["name"]: rule["health"] for rule in group["rules"]}

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]


@contextmanager
def serving(page: Path) -> Iterator[Server]:
    """Yield a Prometheus that scrapes a file, as node_exporter would hand it on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = page.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            with _prometheus(f"127.0.0.1:{web.server_port}", page.parent / "prometheus") as server:
                yield server
        finally:
            web.shutdown()


@contextmanager
def _prometheus(target: str, directory: Path) -> Iterator[Server]:
    directory.mkdir()
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    jobs = [{"job_name": "node", "static_configs": [{"targets": [target]}]}]
    settings = {"global": every, "rule_files": [str(RULES)], "scrape_configs": jobs}
    (directory / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        *(*END_WITH_TESTS, program("prometheus"), f"--config.file={directory / 'prometheus.yml'}"),
        *(f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={address}"),
    ]
    with (directory / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        server = Server(f"http://{address}")
        try:
            eventually(lambda: _answers(server, process, directory / "log"), timeout=60)
            yield server
        finally:
            process.terminate()


def _answers(server: Server, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return bool(server.target()["health"] != "unknown" and server.rules())
    except OSError:
        return False
