"""The dashboard as a process: databases that come and go, who may read, proxies, settings, the demo."""

from __future__ import annotations

import asyncio
import base64
import socket
import sqlite3
import subprocess
import time
from collections import deque
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from multinic.dashboard.pool import Pool
from multinic.dashboard.statements import now
from multinic.database import grants, schema
from multinic.demo.fleet import Fleet
from multinic.values.errors import SourceError
from tests.mariadb import PrivateMariaDB, free_port
from tests.web.conftest import settings
from tests.web.nginx import nginx
from tests.web.server import BIN, Dashboard, Page, dashboard

PAGES = 120
"""So many pages a crawl looks at: all kinds, and many filters."""
TOKEN = "0123456789abcdef-secret"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small fleet that nobody writes to."""
    path = tmp_path_factory.mktemp("small") / "fleet.db"
    with Fleet(settings(f"sqlite:///{path}"), nodes=12):
        return f"sqlite:///{path}"


def test_a_database_that_is_down_gives_a_page_that_says_so_and_comes_back_by_itself(tmp_path: Path) -> None:
    with PrivateMariaDB() as server:
        server.start()
        url = server.url(database=server.fresh_database())
        with Fleet(settings(url), nodes=3):
            pass
        with dashboard(url, tmp_path) as found:
            assert found.get("/nodes").status == 200
            assert found.get("/readyz").status == 200
            server.stop()
            answer = found.eventually("/nodes", 503)
            assert "The database cannot be read." in answer.text
            assert '<meta http-equiv="refresh"' in answer.text
            assert answer.headers["retry-after"] == "5"
            for text in (answer.text, found.get("/api/v1/nodes").text):
                assert str(server.port) not in text
                assert "SELECT" not in text
            assert found.get("/api/v1/nodes").json["error"]["code"] == "database"
            assert found.eventually("/readyz", 503)
            assert found.get("/livez").status == 200
            assert "multinic_dashboard_database_up 0" in found.get("/metrics").text
            server.start()
            assert "worker-a001" in found.eventually("/nodes", 200).text
            assert found.eventually("/readyz", 200)
            log = found.log.read_text()
            assert log.count(f"mysql 127.0.0.1:{server.port}") == 1
            assert "the database can be read again" in log


def test_the_user_that_grants_prints_may_read_everything_and_another_is_told_what_it_lacks(
    mariadb: PrivateMariaDB, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Fleet(settings(mariadb.url(database=database)), nodes=3):
        pass
    for text in grants.statements("multinic", database)["a dashboard: it reads"]:
        mariadb.execute(text.replace("'choose a password'", "'pw-of-it'"))
    url = mariadb.url(user=grants.DASHBOARD, database=database)
    monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", "pw-of-it")
    with dashboard(url, tmp_path) as found:
        for path in ("/", "/nodes", "/interfaces", "/node?name=worker-a001", "/wall"):
            assert found.get(path).status == 200
        assert found.get("/api/v1/overview").json["subnets"] is not None
    mariadb.create_user("stranger", "pw-of-it", [f"SELECT ON `{database}`.multi_interface"])
    with dashboard(mariadb.url(user="stranger", database=database), tmp_path) as found:
        assert found.get("/api/v1/wall").json["error"]["code"] == "not-allowed"
        assert "`multinic db grants`" in found.get("/").text
        assert "pw-of-it" not in found.log.read_text()
    mariadb.execute(f"DROP USER '{grants.DASHBOARD}'@'%'")


def test_a_connection_of_the_dashboard_writes_nothing_whatever_its_user_may(
    mariadb: PrivateMariaDB, database: str, tmp_path: Path
) -> None:
    for url in (mariadb.url(database=database), f"sqlite:///{tmp_path}/fleet.db"):
        with Fleet(settings(url), nodes=1):
            pass
        pool = Pool(settings(url))
        for text in (
            "DELETE FROM multinic_node",
            "UPDATE multi_interface SET mtu = 9",
            "DROP TABLE multi_subnet",
        ):
            with pytest.raises(SourceError, match=r"(?i)read.?only"):
                asyncio.run(pool.ask(lambda session, text=text: session.execute(text, ())))
        assert asyncio.run(pool.ask(now))
        pool.close()


@pytest.mark.parametrize("product", ["mariadb", "sqlite"])
def test_a_node_that_the_controller_has_deleted_is_in_no_list_and_no_count(
    product: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/fleet.db"
    if product == "mariadb":
        server = request.getfixturevalue("mariadb")
        url = server.url(database=server.fresh_database())
    with Fleet(settings(url), nodes=4) as fleet:
        for name, deleted in (("a001", "NULL"), ("b001", "'2026-01-01 00:00:00'")):
            columns = "attached_node_id, attached_node_name, deleted_at"
            values = f"'id-{name}', 'worker-{name}', {deleted}"
            fleet.database.execute(f"INSERT INTO node_table ({columns}) VALUES ({values})", ())
    with dashboard(url, tmp_path) as found:
        assert [row["node"][-4:] for row in found.get("/api/v1/nodes").json["rows"]] == [
            "a001",
            "c001",
            "d001",
        ]
        overview = found.get("/api/v1/overview").json
        assert overview["nodes"]["total"] == 3
        assert overview["states"][-1]["converged"] == overview["interfaces"]["converged"]
        assert "worker-b001" not in found.get("/interfaces").text + found.get("/api/v1/export/nodes.csv").text
        assert found.get("/node?name=worker-b001").status == 200  # its page stays
    monkeypatch.setenv("MULTINIC_DATABASE_DELETED_AT", "ignored")
    with dashboard(url, tmp_path) as found:
        assert found.get("/api/v1/overview").json["nodes"]["total"] == 4


def test_without_tables_the_page_names_the_command_and_shows_them_once_they_are_there(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    sqlite3.connect(path).execute("VACUUM")
    with dashboard(f"sqlite:///{path}", tmp_path) as found:
        answer = found.get("/")
        assert answer.status == 503
        assert "`multinic db migrate`" in answer.text
        assert list(schema.init(settings(f"sqlite:///{path}")))
        assert "<code>multinic doctor</code>" in found.eventually("/", 200).text
        assert "<code>multinic doctor</code>" in found.get("/nodes").text


def test_only_who_has_the_token_or_comes_through_the_proxy_may_read(small: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    options = {"token_file": str(tmp_path / "token"), "user_header": "X-User", "hosts": "ops.example.org"}
    with dashboard(small, tmp_path, proxies="127.0.0.9", **options) as found:
        refused = found.get("/nodes")
        assert refused.status == 401
        assert refused.headers["www-authenticate"].startswith("Basic ")
        assert found.get("/static/dashboard.css").status == found.get("/metrics").status == 401
        assert found.get("/nodes", X_User="root").status == 401  # not from the proxy
        assert found.get("/nodes", Authorization=f"Bearer {TOKEN}").status == 200
        basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
        assert found.get("/nodes", Authorization=f"Basic {basic}").status == 200
        for wrong in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", "Basic /w==", f"Digest {TOKEN}"):
            assert found.get("/nodes", Authorization=wrong).status == 401
        assert found.get("/livez").status == found.get("/readyz").status == 200
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert found.get("/nodes", Host="evil.example.org", **good).status == 421
        for name in ("OPS.example.org:80", "localhost", "[::1]:80"):
            assert found.get("/nodes", Host=name, **good).status == 200
        assert TOKEN not in found.log.read_text()
    with dashboard(small, tmp_path, proxies="127.0.0.0/30", user_header="X-User") as found:
        assert found.get("/nodes").status == 401
        assert found.get("/nodes", X_User="kim", X_Forwarded_For="10.0.0.1, 192.0.2.7").status == 200
        said(found, "192.0.2.7 (kim) GET /nodes 200")


def said(found: Dashboard, words: str) -> None:
    """Wait for words in the log: a line comes after its answer."""
    end = time.monotonic() + 60
    while words not in found.log.read_text():
        assert time.monotonic() < end, found.log.read_text()
        time.sleep(0.05)


def crawl(found: Dashboard, prefix: str) -> int:
    """Follow every link from the first page; return how many pages there were."""
    waiting, seen = deque([f"{prefix}/"]), set()
    while waiting and len(seen) < PAGES:
        path = waiting.popleft()
        if path in seen:
            continue
        seen.add(path)
        answer = found.get(path)
        assert answer.status in (200, 303), (path, answer.status)
        target = answer.headers.get("location")
        page = Page(answer.text) if "html" in answer.headers.get("content-type", "") else None
        for link in [target] if target else [*page.links, *page.files] if page else []:
            parts = urlsplit(urljoin(path, link))
            assert not parts.netloc, link
            assert parts.path.startswith(f"{prefix}/"), (path, link)
            if not parts.path.endswith("/jump"):
                waiting.append(f"{parts.path}?{parts.query}" if parts.query else parts.path)
    return len(seen)


@pytest.mark.parametrize(
    ("prefix", "strip"), [("", False), ("/ops/multinic", False), ("/ops/multinic", True)]
)
def test_every_link_leads_somewhere_below_the_prefix_through_the_documented_nginx(
    small: str, tmp_path: Path, prefix: str, strip: bool
) -> None:
    options = {"prefix": prefix, "proxies": "127.0.0.1"}
    with (
        dashboard(small, tmp_path, **options) as behind,
        nginx(behind, prefix, tmp_path, strip=strip) as found,
    ):
        assert crawl(found, prefix) == PAGES
        answer = found.get(f"{prefix}/jump?q=worker-a001")
        assert answer.headers["location"] == f"{prefix}/node?name=worker-a001"
        cookie = found.get(f"{prefix}/?lang=ko").headers["set-cookie"]
        assert f"Path={prefix or '/'};" in cookie
        assert found.get(f"{prefix}/nodes", source="127.0.0.5", X_Forwarded_For="192.0.2.1").status == 200
        said(behind, "127.0.0.5 GET /nodes 200")


def test_a_client_that_sends_no_whole_request_loses_its_place(small: str, tmp_path: Path) -> None:
    whole = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with dashboard(small, tmp_path) as found:
        clients = [socket.create_connection(("127.0.0.1", found.port), timeout=60) for _ in range(3)]
        silent, slow, late = clients
        slow.send(whole[:-2])
        late.send(whole)
        answer = b""
        while not answer.endswith(b"alive\n"):
            answer += late.recv(4096)
        late.send(whole[:5])  # the second request of a connection
        assert [client.recv(4096) for client in (silent, slow, late)] == [b""] * 3
        for client in clients:
            client.close()
        assert found.get("/livez").status == 200


def test_it_says_what_is_wrong_with_its_settings(small: str, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("secret")
    for name, value, words in (
        ("USER_HEADER", "X-User", "names no proxy"),
        ("PROXIES", "proxy1", "'proxy1' is not an address"),
        ("PROXIES", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("LINKS", "Grafana", "is not of the form NAME=URL"),
        ("LINKS", "X=javascript:alert(1)", "is not of the form NAME=URL"),
        ("TOKEN_FILE", str(tmp_path / "none"), "No such file"),
        ("TOKEN_FILE", str(tmp_path / "short"), "shorter than 16"),
        ("PREFIX", "ops", "must be a path"),
    ):
        done = subprocess.run(
            [BIN / "multinic", "--database-url", small, "dashboard"],
            check=False, env={"PATH": "/usr/bin", f"MULTINIC_DASHBOARD_{name}": value},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2, done
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_the_demo_shows_a_fleet_that_lives_and_leaves_nothing_behind(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [BIN / "multinic", "demo", "--fleet"],
        env={"PATH": "/usr/bin", "TMPDIR": str(tmp_path), "MULTINIC_DASHBOARD_LISTEN": f"127.0.0.1:{port}"},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert "answers at" in process.stderr.readline()
        found = Dashboard(port, tmp_path / "none")
        found.eventually("/", 200)
        assert "worker-h025" in found.get("/nodes?q=worker-h025").text
        assert list(tmp_path.iterdir())
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert list(tmp_path.iterdir()) == []
