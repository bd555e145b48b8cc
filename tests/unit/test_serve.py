"""HTTP on a socket that systemd would pass: everybody has an answer, whatever the others do."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from multinic.cli import main
from multinic.host import serve
from multinic.host.host import Host
from multinic.report import health
from multinic.values.paths import STATE

ITEM = dict.fromkeys(("key", "name", "mac", "port_id", "row_id", "reason", "message"), "") | {
    "state": "converged"
}


def answer(path: str) -> tuple[HTTPStatus, Any]:
    if path == "/bug":
        raise RuntimeError("secret")
    return HTTPStatus.OK, {"path": path}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def served(listener: socket.socket) -> Iterator[Callable[[bytes], bytes]]:
    """Somebody answers on the socket, and after him the next, as systemd has it; what is given is sent there,
    and returned what comes back."""
    done = threading.Event()

    def answer_everybody() -> None:
        while not done.is_set():
            serve.serve({listener: answer}, idle=0.05)

    thread = threading.Thread(target=answer_everybody)
    thread.start()

    def ask(request: bytes) -> bytes:
        with socket.create_connection(listener.getsockname(), timeout=30) as client:
            client.sendall(request)
            return b"".join(iter(lambda: client.recv(4096), b""))

    yield ask
    done.set()
    thread.join(30)
    assert not thread.is_alive(), "somebody is still there although nobody asks"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, id="a probe"),
        pytest.param(b"GET /x?y=z HTTP/1.0\n\n", 200, id="by hand, with a query"),
        pytest.param(b"HEAD / HTTP/1.1\r\n\r\n", 200, id="head"),
        pytest.param(b"GET /bug HTTP/1.1\r\n\r\n", 500, id="a bug of ours"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405, id="post"),
        pytest.param(b"GET /\r\n\r\n", 400, id="no version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10000, 431, id="endless headers"),
        pytest.param(b"A" * 100_000, 414, id="endless line"),
        pytest.param(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414, id="a long address"),
        pytest.param(b"GET http://node1:8080/x?y HTTP/1.1\r\n\r\n", 200, id="through a proxy"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="a later version"),
    ],
)
def test_every_request_has_the_answer_it_deserves(
    served: Callable[[bytes], bytes], request_: bytes, status: int
) -> None:
    head, _, body = served(request_).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"secret" not in body
    if request_.startswith(b"HEAD"):
        assert body == b""
    else:
        assert f"Content-Length: {len(body)}".encode() in head
        assert json.loads(body) == (
            {"path": request_.split()[1].partition(b"?")[0].decode().removeprefix("http://node1:8080")}
            if status == 200
            else {"error": HTTPStatus(status).phrase.lower()}
        )


def test_who_says_nothing_takes_nobodys_answer_away(
    served: Callable[[bytes], bytes], listener: socket.socket
) -> None:
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(listener.getsockname(), timeout=30))
            for _ in range(200)
        ]
        for client in silent[::2]:
            client.sendall(b"GET / HT")
        assert served(b"GET /me HTTP/1.1\r\n\r\n").endswith(b'{"path": "/me"}\n')
        # and each of them is sent away in the end
        for client in silent:
            with suppress(ConnectionResetError):
                assert client.recv(100) == b""


def test_of_too_many_the_oldest_have_to_go(
    served: Callable[[bytes], bytes], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "_PATIENCE", 3600.0)
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(listener.getsockname(), timeout=30))
            for _ in range(100)
        ]
        assert served(b"GET /me HTTP/1.1\r\n\r\n").endswith(b'{"path": "/me"}\n')
        assert [client.recv(100) for client in silent[:36]] == [b""] * 36
        silent[-1].sendall(b"GET /last HTTP/1.1\r\n\r\n")
        assert silent[-1].recv(4096).endswith(b'{"path": "/last"}\n')


def test_a_request_in_pieces_and_one_that_goes_away_are_heard_out(
    served: Callable[[bytes], bytes], listener: socket.socket
) -> None:
    with socket.create_connection(listener.getsockname(), timeout=30) as gone:
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        gone.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with socket.create_connection(listener.getsockname(), timeout=30) as client:
        for piece in (b"GET /a", b" HTTP/1.1\r\nHo", b"st: x\r\n\r", b"\n"):
            client.sendall(piece)
            served(b"GET / HTTP/1.1\r\n\r\n")
        assert client.makefile("rb").read().endswith(b'{"path": "/a"}\n')


def test_the_command_answers_on_the_socket_that_systemd_passes(
    listener: socket.socket, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    command = [sys.executable, "-c", _AS_SYSTEMD, str(listener.fileno())]
    with subprocess.Popen(
        [*command, "--root", str(tmp_path), "health", "--socket"],
        pass_fds=[listener.fileno()],
    ) as process:
        try:
            url = "http://{}:{}/".format(*listener.getsockname())
            with pytest.raises(urllib.error.HTTPError) as told:
                urllib.request.urlopen(url, timeout=30)
            assert json.load(told.value)["status"] == "unhealthy"
        finally:
            process.send_signal(signal.SIGTERM)


_AS_SYSTEMD = """\
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "multinic", *sys.argv[2:]])
"""


@pytest.mark.parametrize(
    ("environment", "hint"),
    [
        pytest.param({}, "systemctl enable --now multinic-health.socket", id="by hand"),
        pytest.param(
            {"LISTEN_FDS": "2"}, "an empty ListenStream= before", id="a drop-in that adds an address"
        ),
    ],
)
def test_what_is_not_one_socket_is_told_with_a_remedy(environment: dict[str, str], hint: str) -> None:
    done = CliRunner(env=environment).invoke(main, ["health", "--socket"])
    assert (done.exit_code, hint in done.output) == (2, True)


# What is answered


@pytest.fixture
def host(tmp_path: Path) -> Host:
    tmp_path.chmod(0o755)
    return Host(str(tmp_path))


def tell(host: Host, **fields: Any) -> None:
    now = int(time.time())
    state = {"version": 1, "time": now, "since": now - 9930, "exit": 0, "interfaces": [ITEM]}
    totals = {"configured": 42, "failed": 3, "removed": 2}
    host.write(STATE, json.dumps(state | {"from_memory": False, "totals": totals} | fields), 0o644)


def test_the_documented_document(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(host)
    monkeypatch.setattr(time, "clock_gettime", lambda _: 1e6)
    assert health.document(host) == {
        "status": "healthy",
        "uptime": "2h45m30s",
        "processed_vms": 42,
        "failed_configs": 3,
        "database_connected": True,
        "deleted_interfaces": 2,
        "held": 0,
    }


def test_a_clock_that_was_wrong_makes_nobody_older_than_the_host(host: Host) -> None:
    tell(host, since=0)
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    told = health.document(host)["uptime"]
    possible = range(int(before), int(time.clock_gettime(time.CLOCK_BOOTTIME)) + 1)
    assert told in {health.duration(seconds) for seconds in possible}


@pytest.mark.parametrize(
    ("fields", "status", "codes"),
    [
        pytest.param({}, "healthy", (200, 200, 200), id="all is well"),
        pytest.param(
            {"interfaces": [ITEM | {"state": "waiting"}]}, "healthy", (200, 200, 200), id="not plugged in"
        ),
        pytest.param(
            {"interfaces": [ITEM, ITEM | {"state": "invalid"}], "exit": 4},
            "degraded",
            (200, 200, 200),
            id="a bad row",
        ),
        pytest.param(
            {"interfaces": [ITEM, ITEM | {"state": "failed"}], "exit": 4},
            "degraded",
            (200, 200, 200),
            id="a failure",
        ),
        pytest.param(
            {"interfaces": [ITEM, ITEM | {"state": "blocked"}], "exit": 5},
            "degraded",
            (200, 200, 200),
            id="a safety rule",
        ),
        pytest.param({"from_memory": True, "exit": 75}, "unhealthy", (503, 200, 503), id="no database"),
        pytest.param({"time": int(time.time()) - 3600}, "unhealthy", (503, 503, 503), id="no pass for long"),
        pytest.param(
            {"time": int(time.time()) + 36000}, "unhealthy", (503, 503, 503), id="a clock that was set back"
        ),
        pytest.param({"version": 2}, "unhealthy", (503, 503, 503), id="of another version"),
        pytest.param({"totals": {"failed": "x"}}, "unhealthy", (503, 503, 503), id="nonsense"),
    ],
)
def test_status_and_codes(host: Host, fields: dict[str, Any], status: str, codes: tuple[int, ...]) -> None:
    tell(host, **fields)
    assert health.document(host)["status"] == status
    assert health.document(host)["database_connected"] == (status != "unhealthy")
    assert tuple(health.answer(host, path)[0].value for path in ("/", "/livez", "/readyz")) == codes
    assert health.answer(host, "/x") == (HTTPStatus.NOT_FOUND, None)
    done = CliRunner().invoke(main, ["--root", host.root, "health"])
    assert (json.loads(done.stdout)["status"], done.exit_code) == (status, 4 if status == "unhealthy" else 0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (60, "1m0s"), (3600, "1h0m0s"), (360_061, "100h1m1s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert health.duration(seconds) == text
