"""A TCP proxy that gets into the way: after so many bytes of an answer it stalls, drips or hangs up.

It listens where `prefix` leads, and ends when its standard input does.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress


@contextmanager
def proxy(
    to: str | os.PathLike[str],
    way: str = "forward",
    after: int = 0,
    prefix: Sequence[str] = (),
    address: str = "127.0.0.1",
) -> Iterator[Proxy]:
    """Run a proxy to a Unix socket during a block.

    `way`: "forward" everything; or, `after` so many bytes of answers on each connection, "stall" (say
    nothing more), "drip" (a byte a second) or "hang-up".
    """
    command = [*prefix, sys.executable, "-I", __file__, os.fspath(to), way, str(after), address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    made = Proxy(process, int(process.stdout.readline()))
    try:
        yield made
    finally:
        made.end()


class Proxy:
    """A running proxy and the port that it listens on."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    def end(self) -> None:
        """End it, and with it every connection: nothing listens on its port any more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def serve(to: str, way: str, after: int, address: str) -> None:
    """Carry every connection; print the port first."""
    with socket.create_server((address, 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(to)
            threading.Thread(target=questions, args=(client, server), daemon=True).start()
            threading.Thread(target=answers, args=(server, client, way, after), daemon=True).start()


def questions(client: socket.socket, server: socket.socket) -> None:
    """Carry what the client says."""
    with suppress(OSError):
        while data := client.recv(1 << 16):
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)


def answers(server: socket.socket, client: socket.socket, way: str, left: int) -> None:
    """Carry what the server says, for as long as `way` lets it."""
    with suppress(OSError):
        while way == "forward" or left > 0 or way == "drip":
            if way == "drip" and left <= 0:
                time.sleep(1)
            data = server.recv(1 << 16 if way == "forward" else max(left, 1))
            client.sendall(data)
            left -= len(data)
            if not data:
                break
        if way == "stall":
            threading.Event().wait()
        client.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    arguments = (sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
    threading.Thread(target=serve, args=arguments, daemon=True).start()
    sys.stdin.read()
