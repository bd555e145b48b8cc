"""QEMU's two languages, lines of JSON both: that of the machine (QMP), and that of the agent in the guest."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

Message = dict[str, Any]


class Refused(Exception):
    """QEMU or its agent answered with an error."""


class Channel:
    """One UNIX socket, with a limit for every answer."""

    def __init__(self, path: Path, alive: Callable[[], None], timeout: float = 60) -> None:
        """Connect as soon as QEMU listens; `alive` raises once it never will."""
        deadline = time.monotonic() + timeout
        self._received = b""
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                self._socket.close()
                alive()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def send(self, message: Message, prefix: bytes = b"") -> None:
        """Send one message."""
        self._socket.settimeout(60)
        self._socket.sendall(prefix + json.dumps(message).encode() + b"\n")

    def receive(self, deadline: float) -> Message:
        """Return the next message; what is no JSON is a rest of an answer that nobody waited for."""
        while True:
            while b"\n" in self._received:
                line, self._received = self._received.split(b"\n", 1)
                try:
                    message: Message = json.loads(line.rsplit(b"\xff", 1)[-1])
                except ValueError:
                    continue
                return message
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("QEMU closed the connection")
            self._received += data

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Qmp:
    """The machine's side: commands, and what it tells by itself."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = count(1)
        self._events: list[Message] = []
        self.agent_listens = False
        self._channel.receive(time.monotonic() + 60)  # the greeting
        self.command("qmp_capabilities")

    def command(self, name: str, /, **arguments: Any) -> Any:
        """Run one command and return its answer. Raises Refused."""
        number = next(self._numbers)
        self._channel.send({"execute": name, "arguments": arguments, "id": number})
        deadline = time.monotonic() + 60
        while True:
            message = self._channel.receive(deadline)
            if message.get("id") != number:
                self._note(message)
            elif "error" in message:
                raise Refused(f"{name}: {message['error']['desc']}")
            else:
                return message["return"]

    def wait_for(self, name: str, timeout: float, **data: Any) -> None:
        """Wait for an event with this data, also one that has come already. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self._events:
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    self._events.remove(event)
                    return
            self._note(self._channel.receive(deadline))

    def wait_for_agent(self, timeout: float) -> None:
        """Wait until the agent listens, in a guest that boots."""
        deadline = time.monotonic() + timeout
        while not self.agent_listens:
            self._note(self._channel.receive(deadline))

    def forget(self) -> None:
        """Forget the events so far."""
        self._events.clear()

    def _note(self, message: Message) -> None:
        if message.get("event") == "VSERPORT_CHANGE":
            self.agent_listens = message["data"]["open"]
        if "event" in message:
            self._events.append(message)


class Agent:
    """The guest's side: qemu-guest-agent."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = count(1)

    def synchronise(self, timeout: float) -> None:
        """Skip what is left of an exchange that was cut off, by a reboot for example."""
        number = next(self._numbers)
        request = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
        self._channel.send(request, prefix=b"\xff")
        deadline = time.monotonic() + timeout
        while self._channel.receive(deadline).get("return") != number:
            pass

    def send(self, name: str, /, **arguments: Any) -> None:
        """Send a command that has no answer."""
        self._channel.send({"execute": name, "arguments": arguments})

    def command(self, name: str, /, timeout: float = 60, **arguments: Any) -> Any:
        """Run one command and return its answer. Raises Refused."""
        self.send(name, **arguments)
        message = self._channel.receive(time.monotonic() + timeout)
        if "error" in message:
            raise Refused(f"{name}: {message['error']['desc']}")
        return message["return"]
