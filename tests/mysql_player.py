"""A small MySQL server that plays what a test tells it, packet by packet, and keeps what the client says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

OK = b"\x00\x00\x00\x02\x00\x00\x00"
CHALLENGE = b"abcdefghijklmnopqrst"
CAPABILITIES = 0x000F_A20D | 0x0008_0000  # 4.1, secure connection, plugin, with a database; no TLS


def error(code: int, words: str, state: str = "HY000") -> bytes:
    """Return an error packet."""
    return b"\xff" + struct.pack("<H", code) + b"#" + state.encode() + words.encode()


def switch(plugin: str) -> bytes:
    """Return the packet that asks for another way to log in."""
    return b"\xfe" + plugin.encode() + b"\0" + CHALLENGE + b"\0"


def greeting(plugin: str, version: str = "9.7.0") -> bytes:
    """Return a server's first packet."""
    low, high = CAPABILITIES & 0xFFFF, CAPABILITIES >> 16
    head = b"\x0a" + version.encode() + b"\0" + struct.pack("<I", 7) + CHALLENGE[:8] + b"\0"
    rest = struct.pack("<HBHHB", low, 255, 2, high, 21) + bytes(10) + CHALLENGE[8:] + b"\0"
    return head + rest + plugin.encode() + b"\0"


class Player:
    """One connection: send packets, read what the client answers."""

    def __init__(self, opened: socket.socket, heard: list[bytes]) -> None:
        self._socket, self._number, self.heard = opened, 0, heard

    def say(self, packet: bytes) -> None:
        self._socket.sendall(struct.pack("<I", len(packet))[:3] + bytes([self._number % 256]) + packet)
        self._number += 1

    def hear(self) -> bytes:
        """Return the client's next packet."""
        head = self._exactly(4)
        packet = self._exactly(head[0] | head[1] << 8 | head[2] << 16)
        self._number = head[3] + 1
        self.heard.append(packet)
        return packet

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data


@contextmanager
def playing(play: Callable[[Player], None]) -> Iterator[tuple[int, list[bytes]]]:
    """Play the same to every client during a block; yield the port, and the list of what they say."""
    heard: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                opened, _ = listener.accept()
                with opened, suppress(OSError, EOFError):
                    play(Player(opened, heard))

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def logged_in(then: Callable[[Player, bytes], bytes]) -> Callable[[Player], None]:
    """Return a play that lets everybody in, and answers each statement with `then`."""

    def play(player: Player) -> None:
        player.say(greeting("mysql_native_password"))
        player.hear()
        player.say(OK)
        while True:
            statement = player.hear()
            if statement[:1] == b"\x01":  # it leaves
                return
            player.say(then(player, statement[1:]))

    return play
