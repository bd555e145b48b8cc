"""The parts of the agent that need no host: its pace, its heart, its answers, and what it makes of errors."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from multinic.agent import passes
from multinic.agent.health import Snapshot, health, only_metrics, status
from multinic.agent.heart import Heart
from multinic.agent.pace import Allowance, How, Pace
from multinic.agent.passes import Passes
from multinic.agent.session import KeptSession
from multinic.database import dial, source
from multinic.database.limit import Limit
from multinic.host import config, serve
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.host.notify import Supervisor
from multinic.kernel.link_events import of_interest
from multinic.kernel.messages import attribute
from multinic.values.errors import ConfigError, Exit, Refused, SourceError
from multinic.values.passed import PASS_REASONS, UNEXPECTED, Passed, reason_of

GOOD = Passed(Exit.OK, "converged", 0.1, idle=False)
BAD_ROW = GOOD._replace(exit=Exit.PARTIAL)


def waits(*hows: How, interval: float = 30.0, chance: float = 1.0) -> list[float]:
    pace = Pace(interval, lambda: chance)
    return [round(pace.after(how), 3) for how in hows]


@pytest.mark.parametrize(
    ("hows", "seconds"),
    [
        pytest.param([How.SETTLED] * 3, [30, 30, 30], id="nothing happens"),
        pytest.param([How.UNSETTLED] * 6, [2, 4, 8, 16, 30, 30], id="a lease is missing"),
        pytest.param(
            [How.UNSETTLED, How.SETTLED, How.UNSETTLED], [2, 30, 2], id="a change, and later another"
        ),
        pytest.param([How.FAILING] * 4, [30, 60, 120, 120], id="no database"),
        pytest.param([How.FAILING, How.FAILING, How.SETTLED, How.FAILING], [30, 60, 30, 30], id="it is back"),
        pytest.param([How.BUSY] * 3, [1, 2, 4], id="another run is busy"),
    ],
)
def test_when_the_next_pass_is_due(hows: list[How], seconds: list[float]) -> None:
    assert waits(*hows) == seconds


def test_chance_makes_a_wait_shorter_and_never_longer() -> None:
    assert waits(How.SETTLED, How.FAILING, chance=0.0) == [25.5, 15.0]
    assert waits(How.FAILING, interval=600.0) == [600.0]
    assert waits(How.UNSETTLED, How.BUSY, interval=0.5) == [0.5, 0.5]


def test_events_start_ten_passes_at_once_and_then_one_every_three_seconds() -> None:
    allowance = Allowance(100.0)
    assert [allowance.take(100.0) for _ in range(12)] == [0.0] * 10 + [3.0, 6.0]
    assert allowance.take(1000.0) == 0.0


def test_the_heart_knows_how_long_it_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    heart = Heart(Supervisor({}))
    heart.beat(60.0)
    assert heart.alive
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert not heart.alive
    heart.beat(600.0)
    monkeypatch.setattr(time, "monotonic", lambda: now + 600)
    assert heart.alive


@pytest.mark.parametrize(
    ("seen", "word", "codes"),
    [
        pytest.param(Snapshot(0.0), "unhealthy", (503, 200, 503), id="before the first pass"),
        pytest.param(Snapshot(0.0, GOOD, 1000.0), "healthy", (200, 200, 200), id="all is well"),
        pytest.param(
            Snapshot(0.0, GOOD._replace(exit=Exit.PARTIAL), 1000.0),
            "degraded",
            (200, 200, 200),
            id="a bad row",
        ),
        pytest.param(
            Snapshot(0.0, GOOD._replace(exit=Exit.RETRY, finished=False), 1000.0),
            "unhealthy",
            (503, 200, 200),
            id="no database",
        ),
        pytest.param(Snapshot(0.0, GOOD, 1.0), "unhealthy", (503, 200, 200), id="no pass for long"),
        pytest.param(Snapshot(0.0, GOOD, 1.0, next_at=5000.0), "healthy", (200, 200, 200), id="none was due"),
    ],
)
def test_status_and_codes(
    seen: Snapshot, word: str, codes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1010.0)
    assert str(status(seen, 1010.0)) == word
    answer = health(lambda: seen, Heart(Supervisor({})), None)
    assert tuple(answer(path)[0].value for path in ("/", "/livez", "/readyz")) == codes
    assert answer("/")[1]["status"] == word


def test_a_loop_that_hangs_is_not_alive_whatever_the_database_does(monkeypatch: pytest.MonkeyPatch) -> None:
    heart = Heart(Supervisor({}))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3600)
    answer = health(lambda: Snapshot(now, GOOD, now + 3599), heart, None)
    assert [answer(path)[0].value for path in ("/", "/livez", "/readyz")] == [200, 503, 503]


def test_metrics_are_answered_where_there_are_any_and_alone_on_their_listener() -> None:
    seen = Snapshot(0.0)
    with_metrics = health(lambda: seen, Heart(Supervisor({})), lambda: b"multinic_up 1\n")
    for answer in (with_metrics, only_metrics(lambda: b"multinic_up 1\n")):
        assert answer("/metrics")[1].body == b"multinic_up 1\n"
    assert only_metrics(lambda: b"")("/")[0] is HTTPStatus.NOT_FOUND

    def missing() -> bytes:
        raise ConfigError("metrics need a library")

    assert only_metrics(missing)("/metrics") == (HTTPStatus.NOT_FOUND, {"error": "metrics need a library"})
    found, words = only_metrics(None)("/metrics")
    assert (found, "metrics" in words["error"]) == (HTTPStatus.NOT_FOUND, True)


def test_an_answer_that_is_not_json_and_a_long_one_arrive_whole() -> None:
    long = b"x" * 8_000_000  # more than a socket takes at once
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answers = {listener: only_metrics(lambda: long)}
        stopped, stop = socket.socketpair()
        thread = threading.Thread(target=serve.serve, args=(answers,), kwargs={"idle": None, "stop": stopped})
        thread.start()
        with socket.create_connection(listener.getsockname(), timeout=30) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            head, _, body = b"".join(iter(lambda: client.recv(1 << 16), b"")).partition(b"\r\n\r\n")
        stop.close()
        thread.join(30)
        assert not thread.is_alive()
        stopped.close()
    assert b"Content-Type: text/plain; version=0.0.4" in head
    assert body == long


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "[::1]:{}", "localhost:{}"])
def test_a_port_that_is_taken_is_named_with_its_setting(address: str) -> None:
    with serve.listen(address.format(0), "agent.listen") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=r"\(agent.listen\): Address already in use") as told:
            serve.listen(address.format(port), "agent.listen")
    assert "another port" in told.value.hint
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.1:80 \(agent\.metrics_listen\)"):
        serve.listen("203.0.113.1:80", "agent.metrics_listen")


def event(*attributes: tuple[int, bytes]) -> bytes:
    return bytes(32) + b"".join(attribute(kind, value) for kind, value in attributes)


def test_the_events_of_links_that_matter_are_told_from_others() -> None:
    ours, other = bytes.fromhex("fa163e000001"), bytes.fromhex("fa163e000002")
    wanted = of_interest(["fa:16:3e:00:00:01"])
    assert wanted.search(event((3, b"ens7\0"), (1, ours)))
    assert wanted.search(event((1, other), (3, b"bond\0"), (54, ours)))
    assert wanted.search(event((3, b"multinic12\0"), (1, other)))
    assert not wanted.search(event((3, b"veth12\0"), (1, other)))
    assert not wanted.search(event((3, b"multinic-x\0"), (20, b"an alias that says " + ours)))
    assert not of_interest(()).search(event((3, b"ens7\0"), (1, ours)))


# Errors


@pytest.fixture
def one(tmp_path: Path) -> Passes:
    settings = config.load(None, {"database.url": "sqlite:////none"}, {}, default=str(tmp_path / "none"))
    tmp_path.chmod(0o755)
    return Passes(settings, Host(str(tmp_path)), Log(stream=io.StringIO()), Heart(Supervisor({})))


def test_no_exception_of_a_pass_gets_through_and_a_bug_is_logged_once(
    one: Passes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Exit:
        raise ZeroDivisionError("by\x1b[31mnothing")

    monkeypatch.setattr(passes, "reconcile", broken)
    for _ in range(3):
        found = one.run()
        assert (found.reason, found.exit, found.finished) == (UNEXPECTED, Exit.ERROR, False)
    assert isinstance(one._log.stream, io.StringIO)
    logged = one._log.stream.getvalue()
    assert logged.count("unexpected error: ZeroDivisionError") == 1
    assert "test_agent.py:" in logged
    assert "\x1b" not in logged

    monkeypatch.setattr(passes, "reconcile", lambda *_, **__: Exit.OK)
    assert one.run()[:2] == (Exit.OK, "converged")


def test_what_ends_the_process_gets_through(one: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: Any, **__: Any) -> Exit:
        raise SystemExit(143)

    monkeypatch.setattr(passes, "reconcile", ended)
    with pytest.raises(SystemExit):
        one.run()


def test_every_error_has_a_reason_code() -> None:
    assert reason_of(Refused("no")) == "refused"
    assert {reason_of(kind("x")) for kind in (ConfigError, ValueError)} == {"configuration", UNEXPECTED}
    assert len(set(PASS_REASONS)) == len(PASS_REASONS)


def test_a_resolver_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = config.load(
        None,
        {"database.url": "mysql://db/m"},
        {"MULTINIC_DATABASE_CONNECT_TIMEOUT": "20ms", "MULTINIC_DATABASE_READ_TIMEOUT": "30ms"},
        default=str(tmp_path / "none"),
    ).database
    asked, released = [], threading.Event()

    def getaddrinfo(name: bytes, port: int, **options: Any) -> Any:
        if options.get("flags"):
            raise socket.gaierror
        asked.append(name)
        released.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for _ in range(3):
        with pytest.raises(dial.Unresolved):
            dial._addresses("slow.example", 3306, Limit(settings))
    assert asked == [b"slow.example"]
    released.set()
    (thread,) = [thread for thread, _ in dial._lookups.values()]
    thread.join(30)
    assert dial._addresses("slow.example", 3306, Limit(settings))[0][4] == ("127.0.0.1", 3306)
    assert dial._lookups == {}


class Opened:
    """A session that somebody opened."""

    def __init__(self, *, first: bool) -> None:
        self.at_first, self.closed, self.allowed = first, False, None

    def close(self) -> None:
        self.closed = True


def test_a_session_is_kept_as_long_as_it_works_and_longest_with_the_first_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now, opened = [0.0], []
    hosts = iter([False, True, True, True])

    def connect(_: Any) -> Opened:
        opened.append(Opened(first=next(hosts)))
        return opened[-1]

    monkeypatch.setattr(source, "connect", connect)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    kept = KeptSession(config.load(None, {}, {}, default=str(tmp_path / "none")).database)
    for seconds, count in [(0, 1), (299, 1), (301, 2), (3800, 2), (3902, 3)]:
        now[0] = seconds
        with kept() as session:
            session.allowed = lambda _: False
        assert len(opened) == count
    assert [one.closed for one in opened] == [True, True, False]
    with pytest.raises(Refused), kept():
        raise Refused("by a safety rule")
    assert (len(opened), kept.works) == (3, True)
    with kept() as session:
        assert session.allowed("192.0.2.1")  # what a pass forbids holds for that pass
    with pytest.raises(SourceError), kept():
        raise SourceError("gone")
    assert (opened[-1].closed, kept.works) == (True, False)
    with kept():
        assert len(opened) == 4


# systemd


@pytest.mark.parametrize("path", ["{}/notify", "@multinic-test-{}"])
def test_systemd_hears_of_it_on_a_path_and_on_an_abstract_socket(tmp_path: Path, path: str) -> None:
    path = path.format(tmp_path if path.startswith("{") else os.getpid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(path.replace("@", "\0"))
        heard.settimeout(30)
        Supervisor({"NOTIFY_SOCKET": path}).ready("two\nlines")
        assert heard.recv(1000) == b"READY=1\nSTATUS=two lines"
    Supervisor({"NOTIFY_SOCKET": path}).stopping()  # nobody listens any more


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "180000000"}, 180.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "nonsense"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_that_of_this_process(environment: dict[str, str], seconds: float) -> None:
    assert Supervisor({"NOTIFY_SOCKET": "/x", **environment}).watchdog == seconds
    assert Supervisor(environment).watchdog == 0.0
