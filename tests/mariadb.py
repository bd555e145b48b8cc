"""A real MariaDB server in a temporary directory, for the tests alone.

It shares nothing with a database server of the machine: own data, own port, own socket, no configuration
file.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.scratch import END_WITH_TESTS, scratch

START_TIMEOUT = 180  # seconds; two are usual, and a busy machine once needed more than 60
# A user's PATH often lacks the last two.
SBIN = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

# Everything a test server can do without: durability, memory, and looking up who connects.
OPTIONS = (
    "--skip-name-resolve",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=4M",
    "--aria-pagecache-buffer-size=8M",
    "--key-buffer-size=1M",
    "--log-output=TABLE",
)


def missing() -> str | None:
    """Say what a private server needs and this machine lacks."""
    # The last two are what mariadb-install-db calls, and what makes the certificates.
    needed = ("mariadbd", "mariadb-install-db", "my_print_defaults", "openssl")
    lacking = [name for name in needed if not shutil.which(name, path=SBIN)]
    packages = "mariadb-server-core mariadb-client-core openssl"
    return f"{', '.join(lacking)} not found (Debian, Ubuntu: {packages})" if lacking else None


class PrivateMariaDB:
    """A server of its own; `start()` it, and leave the `with` block to end it and remove its data."""

    def __init__(self) -> None:
        self._exits = ExitStack()
        self.directory = self._exits.enter_context(scratch("mariadb"))
        self.data = self.directory / "data"
        self.socket = self.directory / "socket"
        self.log = self.directory / "log"
        self.host = "127.0.0.1"
        self.port = 0
        self.ca: Path | None = None
        """The authority that signed the server's certificate, when started with tls=True."""
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def __enter__(self) -> PrivateMariaDB:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(
        self,
        prefix: Sequence[str] = (),
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        tls: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        """Start the server and wait until it answers on its socket.

        `prefix` is a command to run it under, such as one that enters a network namespace. `address` is what
        it listens on, there. A server that was stopped starts again with its data and, by default, its port.
        """
        assert self._process is None, "this server runs already"
        self.host = address
        self.port = port or self.port or free_port()
        if not self.data.exists():
            self._initialise()
        certificate = self._certificate() if tls else ()
        command = [*prefix, *self._command(), *certificate, *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def run(self, options: Sequence[str]) -> str:
        """Run the server, which is stopped, for something after which it ends; return what it said."""
        done = subprocess.run(
            [*self._command(), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=START_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _command(self) -> list[str]:
        return [
            *END_WITH_TESTS,
            _find("mariadbd"),
            "--no-defaults",
            "--user=root",  # root must say that it means it, also in a user namespace; others ignore it
            f"--datadir={self.data}",
            f"--tmpdir={self.directory}",  # its files bear process ids, which are not unique
            f"--socket={self.socket}",
            f"--pid-file={self.directory / 'pid'}",
            f"--bind-address={self.host}",
            f"--port={self.port}",
            *OPTIONS,
        ]

    def kill(self) -> None:
        """End the server where it stands; what it had not written yet is lost."""
        assert self._process is not None, "this server does not run"
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End the server and keep its data."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)  # a frozen one would not hear the next signal
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End the server and remove its data."""
        self.stop()
        self._exits.close()

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None, "this server does not run"
        return self._process.pid

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Run a block while the server accepts connections (its kernel does) but answers nothing."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def freeze(self) -> None:
        """Stop the process where it stands, as a hanging server does."""
        os.kill(self.pid, signal.SIGSTOP)
        while any(_state(task) != "T" for task in Path(f"/proc/{self.pid}/task").iterdir()):
            time.sleep(0.001)  # a thread on the other processor may still be at work

    def thaw(self) -> None:
        """Let a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def url(
        self,
        *,
        user: str = "root",
        password: str | None = None,
        database: str = "",
        host: str = "",
        query: str = "",
    ) -> str:
        """Return a database.url of multinic; without the password, unless a test wants to see that."""
        secret = "" if password is None else f":{quote(password, safe='')}"
        address = host or (f"[{self.host}]" if ":" in self.host else self.host)
        text = f"mysql://{quote(user, safe='')}{secret}@{address}:{self.port}/{database}"
        return f"{text}?{query}" if query else text

    def connect(self, **options: Any) -> Any:
        """Return a PyMySQL connection, by default root's, through the socket, committing every statement."""
        import pymysql
        from pymysql.cursors import DictCursor

        defaults: dict[str, Any] = {
            "user": "root",
            "charset": "utf8mb4",
            "autocommit": True,
            "cursorclass": DictCursor,
            "connect_timeout": 5,
        }
        if "host" not in options:
            defaults["unix_socket"] = str(self.socket)
        return pymysql.connect(**(defaults | options))

    def execute(self, statement: str, *values: Any, database: str | None = None) -> list[dict[str, Any]]:
        """Run one statement as root and return its rows."""
        with self.connect(database=database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def fresh_database(self) -> str:
        """Create an empty database and return its name."""
        self._databases += 1
        name = f"multinic_{self._databases}"
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return name

    def create_user(
        self,
        name: str,
        password: str = "",
        grants: Sequence[str] = (),
        *,
        tls: bool = False,
        plugin: str = "",
    ) -> None:
        """Create (anew) a user who may come from anywhere.

        `grants` are written as between GRANT and TO: "SELECT ON `db`.*". `tls` refuses plain connections.
        """
        identified = f"VIA {plugin} USING PASSWORD(%s)" if plugin else "BY %s"
        require = " REQUIRE SSL" if tls else ""
        self.execute(f"CREATE OR REPLACE USER %s@'%%' IDENTIFIED {identified}{require}", name, password)
        for grant in grants:
            self.execute(f"GRANT {grant} TO %s@'%%'", name)

    @contextmanager
    def statements(self, user: str | None = None) -> Iterator[list[str]]:
        """Record what the server receives during a block; the list is filled when the block ends.

        Everything a client asks for counts, so also what PyMySQL sends on its own when it connects ("SET
        NAMES ...", "SET AUTOCOMMIT = 0"); a command that is not a query stands by its name ("Init DB
        multinic"). Not counted, as the server does not log it: a ping; and that a client connects and leaves.
        `user`: only this user's connections.
        """
        received: list[str] = []
        with self.connect() as control, control.cursor() as cursor:
            cursor.execute("SET GLOBAL general_log = OFF")
            cursor.execute("TRUNCATE TABLE mysql.general_log")
            cursor.execute("SET GLOBAL general_log = ON")
            try:
                yield received
            finally:
                cursor.execute("SET GLOBAL general_log = OFF")
                cursor.execute(
                    "SELECT command_type, user_host, CONVERT(argument USING utf8mb4) AS argument"
                    " FROM mysql.general_log WHERE thread_id <> CONNECTION_ID() AND thread_id <> 0"
                    " AND command_type NOT IN ('Connect', 'Quit')"
                )
                received += [
                    row["argument"] if row["command_type"] == "Query" else _named(row)
                    for row in cursor.fetchall()
                    if user is None or row["user_host"].startswith(f"{user}[")
                ]

    def _initialise(self) -> None:
        command = [
            _find("mariadb-install-db"),
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-name-resolve",
            "--skip-test-db",
            "--innodb-log-file-size=4M",
            f"--datadir={self.data}",
            f"--tmpdir={self.directory}",
            *(["--user=root"] if os.geteuid() == 0 else []),
        ]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=os.environ | {"PATH": SBIN}
        )
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")

    def _wait_until_it_answers(self) -> None:
        import pymysql

        deadline = time.monotonic() + START_TIMEOUT
        while True:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mariadbd did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            try:
                self.connect().close()
            except pymysql.err.OperationalError:
                time.sleep(0.05)
            else:
                return

    def _certificate(self) -> tuple[str, ...]:
        """Make an authority and a certificate for the server's address, signed by it."""
        ca, ca_key, key, request, certificate, names = (
            self.directory / name
            for name in ("ca.pem", "ca-key.pem", "key.pem", "request.pem", "certificate.pem", "names")
        )
        names.write_text(f"subjectAltName=DNS:localhost,IP:127.0.0.1,IP:{self.host}\n")
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        sign = ["openssl", "x509", "-req", "-days", "2", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial"]
        for command in (
            [*new, "-x509", "-days", "2", "-subj", "/CN=multinic tests", "-keyout", ca_key, "-out", ca],
            [*new, "-subj", "/CN=localhost", "-keyout", key, "-out", request],
            [*sign, "-extfile", names, "-in", request, "-out", certificate],
        ):
            subprocess.run(command, check=True, capture_output=True)
        self.ca = ca
        return f"--ssl-cert={certificate}", f"--ssl-key={key}", f"--ssl-ca={ca}"


def _state(task: Path) -> str:
    """Return the state of a thread: the word after its name, which is in brackets."""
    return task.joinpath("stat").read_text().rpartition(")")[2].split()[0]


def _named(row: dict[str, Any]) -> str:
    return f"{row['command_type']} {row['argument']}".rstrip()


def _find(program: str) -> str:
    found = shutil.which(program, path=SBIN)
    if found is None:
        raise FileNotFoundError(missing())
    return found


def free_port() -> int:
    """Return a port of the loopback address on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
