"""The dashboard as its users start it: a process, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from tests.mariadb import free_port
from tests.scratch import END_WITH_TESTS

START_TIMEOUT = 60  # seconds; it takes one
BIN = Path(sys.executable).parent


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Dashboard:
    """A running dashboard."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self.log = port, log
        self.address = f"http://127.0.0.1:{port}"

    def get(self, path: str, method: str = "GET", source: str = "", **headers: str) -> Answer:
        """Ask, from this address; in the names of headers a _ stands for a -."""
        mine = (source, 0) if source else None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=mine)
        try:
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def eventually(self, path: str, status: int) -> Answer:
        """Ask until the answer has this status."""
        end = time.monotonic() + 60
        while (answer := self.get(path)).status != status:
            assert time.monotonic() < end, (path, answer)
            time.sleep(0.2)
        return answer


@contextmanager
def dashboard(url: str, directory: Path, *, port: int = 0, **settings: str) -> Iterator[Dashboard]:
    """Run a dashboard with these settings, each without its "dashboard."."""
    port = port or free_port()
    settings = {"listen": f"127.0.0.1:{port}"} | settings
    environment = {f"MULTINIC_DASHBOARD_{name.upper()}": value for name, value in settings.items()}
    log = directory / f"dashboard-{port}.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*END_WITH_TESTS, str(BIN / "multinic"), "--database-url", url, "dashboard"],
            env=os.environ | environment,
            stderr=stream,
        )
    try:
        found = Dashboard(port, log)
        end = time.monotonic() + START_TIMEOUT
        while "answers at" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield found
    finally:
        process.terminate()
        process.wait(30)


class Page(HTMLParser):
    """What is in a page: its links, forms and files of ours, its text, and what our policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.files: list[str] = []
        self.inline: list[str] = []
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self._tag = tag
        self.inline += [f"{tag} {name}" for name in found if name == "style" or name.startswith("on")]
        if tag in ("a", "form"):
            self.links += [found[name] for name in ("href", "action") if name in found]
        if tag in ("link", "script", "img"):
            self.files += [found[name] for name in ("href", "src") if name in found]

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(f"<{self._tag}> with text")
