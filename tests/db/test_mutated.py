"""A server that answers anything: the recorded answers of a real one, with some of their bytes changed."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from multinic.database import source
from multinic.values.errors import SourceError
from tests.db.conftest import settings
from tests.schemas import CONTROLLER

ANSWERS = int(os.environ.get("MULTINIC_TEST_ANSWERS", "3000"))
"""How many answers are changed; 100,000 were tried once."""


SPECIAL = (0, 1, 0x7F, 0x80, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF)
"""Bytes with a meaning in MySQL's packets."""


@contextmanager
def listening(serve) -> Iterator[int]:
    """Let `serve` talk to each client, one after the other, during a block; yield the port."""

    def accept() -> None:
        with suppress(OSError):
            while True:
                opened, _ = listener.accept()
                with opened, suppress(OSError):
                    serve(opened)

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def exchange(port: int) -> None:
    """Do what every pass does."""
    with source.connect(
        settings(f"mysql://node@127.0.0.1:{port}/multinic", "secret", connect_timeout=0.1, read_timeout=0.1)
    ) as session:
        session.ask("node1")
        session.report_success({1: True})


@pytest.fixture
def recorded(mariadb, database) -> list[bytes]:
    """What a real server says at first, and after each packet of ours."""
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    CONTROLLER.attach(connection, "fa:16:3e:00:00:01", address="10.0.0.11", mtu=1450)
    mariadb.create_user("node", "secret", [f"SELECT, UPDATE ON `{database}`.*"])
    turns: list[bytes] = []

    def relay(client: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(str(mariadb.socket))
            while True:
                server.settimeout(0.5)
                said = b""
                with suppress(TimeoutError):
                    while more := server.recv(1 << 16):
                        said += more
                        server.settimeout(0.1)
                turns.append(said)
                client.sendall(said)
                if not (heard := client.recv(1 << 16)):
                    return
                server.sendall(heard)

    with (
        listening(relay) as port,
        source.connect(settings(f"mysql://node@127.0.0.1:{port}/{database}", "secret")) as session,
    ):
        session.ask("node1")
        session.report_success({1: True})
    return turns


def changed(answer: bytes, dice: random.Random) -> bytes:
    """Return an answer with bytes changed, taken out, doubled or put in, or cut short."""
    data = bytearray(answer)
    for _ in range(dice.choice([1, 1, 1, 2, 5])):
        place = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0 if place < len(data):
                data[place] = dice.choice(
                    [0, 1, 0x7F, 0x80, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, dice.randrange(256)]
                )
            case 1:
                del data[place : place + dice.randrange(1, 5)]
            case 2:
                data[place:place] = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 5)))
            case 3:
                data[place:place] = data[place : place + 20]
            case _:
                del data[place:]
    return bytes(data)


def test_no_answer_is_more_than_an_error_of_the_database(recorded: list[bytes]) -> None:
    dice = random.Random(14)
    said = 0

    def serve(client: socket.socket) -> None:
        nonlocal said
        strange = dice.randrange(len(recorded))
        client.settimeout(1)
        for number, answer in enumerate(recorded):
            said += 1
            client.sendall(changed(answer, dice) if number >= strange else answer)
            if number >= strange and dice.random() < 0.9:
                client.shutdown(socket.SHUT_WR)  # so nobody waits for the rest of a packet
            if not client.recv(1 << 16):
                return

    with listening(serve) as port:
        while said < ANSWERS:
            with suppress(SourceError):  # one of ours, with the words of it
                exchange(port)
