"""Settings: where each comes from, what is refused and how, and that no password is ever shown."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.host.config import load, node_name
from multinic.values.errors import ConfigError
from multinic.values.settings import KEYS, Brake, DatabaseSettings, Secret, Settings

FILE = "etc/multinic/multinic.toml"
SECRET = "s3cr3t-0f-th3-cl0ud"


def settings(
    root: Path, text: str = "", options: Mapping[str, Any] | None = None, **environment: str
) -> Settings:
    """Return the settings of a host whose configuration file has this text."""
    file = root / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return load(None, options or {}, environment, default=str(file))


def refused(root: Path, *args: Any, **environment: str) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        settings(root, *args, **environment)
    assert str(error.value).isprintable()
    return error.value


def test_everything_but_the_database_has_a_default(tmp_path: Path) -> None:
    found = load(None, {}, {}, default=str(tmp_path / FILE))
    assert found == Settings(
        node="",
        backend="auto",
        max_interfaces=10,
        routing_table_base=1000,
        verify_timeout=10.0,
        command_timeout=60.0,
        log_level="info",
        log_format="text",
        database=DatabaseSettings("", found.database.password, 3.0, 5.0, ignore_deleted_at=False),
        ask_for_mass_deletion=False,
        fleet_brake=Brake(5, 10),
        probe_addresses=True,
        metrics_textfile="",
        poll_interval=30.0,
        listen="127.0.0.1:8080",
        metrics_listen="",
        dashboard={
            "listen": "127.0.0.1:8090",
            "prefix": "",
            "hosts": "",
            "proxies": "",
            "user_header": "",
            "token_file": "",
            "silent_after": 900.0,
            "retired": "",
            "links": "",
        },
    )
    assert not found.database.password


def test_the_documented_file_is_understood(tmp_path: Path) -> None:
    (tmp_path / "etc/multinic").mkdir(parents=True)
    (tmp_path / "etc/multinic/password").write_text(SECRET + "\n", encoding="utf-8")
    found = settings(
        tmp_path,
        f"""
        node = "node1.example.org"
        backend = "netplan"
        max_interfaces = 20
        verify_timeout = "1m"
        [database]
        url = "mysql://multinic@db1,db2:3306/multinic?ssl_ca=/etc/ssl/certs/db-ca.pem"
        password_file = "{tmp_path}/etc/multinic/password"
        connect_timeout = "500ms"
        read_timeout = 7
        deleted_at = "ignored"
        [agent]
        poll_interval = "1.5h"
        listen = "[::1]:8081"
        """,
    )
    assert found.node == "node1.example.org"
    assert (found.backend, found.max_interfaces, found.verify_timeout) == ("netplan", 20, 60.0)
    assert found.database.url == "mysql://multinic@db1,db2:3306/multinic?ssl_ca=/etc/ssl/certs/db-ca.pem"
    assert found.database.password.reveal() == SECRET
    assert (found.database.connect_timeout, found.database.read_timeout) == (0.5, 7.0)
    assert found.database.ignore_deleted_at
    assert (found.poll_interval, found.listen) == (5400.0, "[::1]:8081")


@pytest.mark.parametrize(
    ("text", "environment", "options", "node"),
    [
        pytest.param("", {}, {}, "", id="default"),
        pytest.param('node = "file"', {}, {}, "file", id="file"),
        pytest.param('node = "file"', {"NODE_NAME": "seed"}, {}, "seed", id="environment over file"),
        pytest.param(
            'node = "file"',
            {"NODE_NAME": "seed", "MULTINIC_NODE": "ours"},
            {},
            "ours",
            id="our variable over the earlier agents'",
        ),
        pytest.param(
            'node = "file"', {"MULTINIC_NODE": "ours"}, {"node": "option"}, "option", id="option over all"
        ),
        pytest.param('node = "file"', {"MULTINIC_NODE": ""}, {}, "file", id="an empty variable says nothing"),
    ],
)
def test_later_sources_win(
    tmp_path: Path, text: str, environment: dict[str, str], options: dict[str, str], node: str
) -> None:
    assert settings(tmp_path, text, options, **environment).node == node


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_has_a_variable_of_ours(tmp_path: Path, key: Any) -> None:
    values = {
        "backend": "netlink",
        "max_interfaces": "17",
        "routing_table_base": "1700",
        "log_level": "error",
        "log_format": "json",
        "database.deleted_at": "ignored",
        "safety.mass_delete": "ask",
        "safety.fleet_brake": "17, 50%",
        "safety.probe_addresses": "false",
        "metrics.textfile": "/srv/multinic.prom",
        "database.password_file": str(tmp_path / "password"),
        "agent.listen": "127.0.0.1:17",
        "agent.metrics_listen": "[::]:17",
        "dashboard.listen": "127.0.0.1:17",
        "dashboard.prefix": "/17",
    }
    (tmp_path / "password").write_text("17", encoding="utf-8")
    before, after = (
        load(None, {}, {}, default=str(tmp_path / FILE)),
        load(None, {}, {key.variable: values.get(key.name, "17")}, default=str(tmp_path / FILE)),
    )
    assert repr(before) != repr(after) or after.database.password.reveal() == "17"


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        pytest.param({"DB_HOST": "db1"}, "mysql://root@db1:3306/multinic", id="host alone"),
        pytest.param(
            {"DB_HOST": "db1", "DB_PORT": "3307", "DB_USER": "nic", "DB_NAME": "cloud"},
            "mysql://nic@db1:3307/cloud",
            id="all of them",
        ),
        pytest.param(
            {"DB_HOST": "db1", "DB_USER": "a@b/c", "DB_NAME": "x?y"},
            "mysql://a%40b%2Fc@db1:3306/x%3Fy",
            id="signs that mean something in a URL",
        ),
        pytest.param(
            {"DB_HOST": "db1", "DB_PORT": "tcp://10.96.0.7:3306"},
            "mysql://root@db1:3306/multinic",
            id="Kubernetes' variable of a service named db",
        ),
        pytest.param({"DB_PORT": "tcp://10.96.0.7:3306"}, "", id="that alone is no database"),
        pytest.param(
            {"DB_HOST": "db1", "MULTINIC_DATABASE_URL": "sqlite:////x.db"},
            "sqlite:////x.db",
            id="ours over it",
        ),
    ],
)
def test_the_variables_of_the_earlier_agents_keep_working(
    tmp_path: Path, environment: dict[str, str], url: str
) -> None:
    assert settings(tmp_path, "", **environment).database.url == url


def test_more_variables_of_the_earlier_agents(tmp_path: Path) -> None:
    found = settings(tmp_path, POLL_INTERVAL="45s", LOG_LEVEL="DEBUG", HEALTH_PORT="9090", DB_PASSWORD=SECRET)
    assert (found.poll_interval, found.log_level, found.listen) == (45.0, "debug", "127.0.0.1:9090")
    assert found.database.password.reveal() == SECRET


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        pytest.param({"POLL_INTERVAL": "1m30s"}, 90.0, id="Go's compound time"),
        pytest.param({"LOG_LEVEL": "warn"}, "warning", id="logrus' short level"),
        pytest.param({"HEALTH_PORT": "tcp://10.96.0.9:8080"}, "127.0.0.1:8080", id="a service named health"),
    ],
)
def test_what_the_earlier_agents_understood_is_understood(
    tmp_path: Path, environment: dict[str, str], told: object
) -> None:
    found = settings(tmp_path, "", **environment)
    assert told in (found.poll_interval, found.log_level, found.listen)


def test_variables_that_kubernetes_makes_of_a_service_named_multinic_are_no_error(tmp_path: Path) -> None:
    services = {"MULTINIC_PORT": "tcp://10.96.0.8:80", "MULTINIC_SERVICE_HOST": "10.96.0.8"}
    assert settings(tmp_path, "", **services).listen == "127.0.0.1:8080"


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        pytest.param(
            "max_interface = 5", "unknown key 'max_interface'", "'max_interfaces'", id="a letter short"
        ),
        pytest.param(
            "[database]\nurls = ''", "unknown key 'database.urls'", "'database.url'", id="in a table"
        ),
        pytest.param(
            "[databse]\nurl = ''", "unknown key 'databse.url'", "'database.url'", id="a wrong table"
        ),
        pytest.param("url = ''", "unknown key 'url'", "", id="outside its table"),
        pytest.param(
            "[database]\nnode = 'x'", "unknown key 'database.node'", "'node' belongs above", id="too far down"
        ),
        pytest.param("qqqqqqqq = 1", "unknown key 'qqqqqqqq'", "", id="nothing near"),
        pytest.param("[node]\nname = 'x'", "unknown key 'node.name'", "", id="a table for a value"),
        pytest.param("database = 'x'", "unknown key 'database'", "", id="a value for a table"),
        pytest.param("node = ", "Invalid value", "", id="no TOML"),
        pytest.param("node = 'a'\nnode = 'b'", "overwrite", "", id="a key twice"),
        pytest.param("node = 7", "node = 7: must be a text", "", id="a number for a text"),
        pytest.param('node = "a\\u001bb"', "node = 'a\\x1bb': must not", "", id="a control character"),
        pytest.param(
            "backend = 'nmcli'", "backend = 'nmcli': must be one of auto, netplan", "", id="a backend"
        ),
        pytest.param("max_interfaces = 0", "must be between 1 and 1000", "", id="no interface"),
        pytest.param("max_interfaces = 1001", "must be between 1 and 1000", "", id="too many interfaces"),
        pytest.param("max_interfaces = true", "must be a whole number", "", id="a truth for a number"),
        pytest.param("max_interfaces = 2.5", "must be a whole number", "", id="a fraction"),
        pytest.param("max_interfaces = -1", "must be a whole number", "", id="a negative number"),
        pytest.param("verify_timeout = '10 parsecs'", "must be a time like", "", id="a time"),
        pytest.param("verify_timeout = '1 30'", "must be a time like", "", id="two numbers for a time"),
        pytest.param("verify_timeout = ''", "must be a time like", "", id="an empty time"),
        pytest.param("verify_timeout = true", "must be a time like", "", id="a truth for a time"),
        pytest.param("verify_timeout = '0s'", "more than 0", "", id="no time"),
        pytest.param("verify_timeout = '25h'", "at most a day", "", id="too long a time"),
        pytest.param("verify_timeout = '-5s'", "must be a time like", "", id="a negative time"),
        pytest.param("log_level = 'loud'", "must be one of debug, info", "", id="a level"),
        pytest.param("log_format = 'xml'", "must be one of text, json", "", id="a format"),
        pytest.param(
            "[database]\ndeleted_at = 'yes'", "must be one of removes, ignored", "", id="deleted_at"
        ),
    ],
)
def test_a_mistake_in_the_file_is_named_with_file_and_key(
    tmp_path: Path, text: str, words: str, hint: str
) -> None:
    error = refused(tmp_path, text)
    assert words in str(error)
    assert str(tmp_path / "etc/multinic/multinic.toml") in str(error)
    assert hint in error.hint


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"MULTINIC_MAX_INTERFACES": "many"}, "MULTINIC_MAX_INTERFACES: max_interfaces = 'many'"),
        ({"POLL_INTERVAL": "often"}, "POLL_INTERVAL: agent.poll_interval = 'often'"),
        ({"DB_HOST": "db", "DB_PORT": "99999"}, "DB_PORT = '99999': must be between 1 and 65535"),
        ({"HEALTH_PORT": "x"}, "HEALTH_PORT = 'x': must be a whole number"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    assert words in str(refused(tmp_path, "", **environment))


def test_a_file_that_is_asked_for_must_exist_and_be_readable(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match=str(path)):
            load(str(path), {}, {})
    (tmp_path / "latin.toml").write_bytes(b"node = '\xe9'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(str(tmp_path / "latin.toml"), {}, {})


def test_a_file_that_is_asked_for_is_read_instead_of_the_default_one(tmp_path: Path) -> None:
    settings(tmp_path, "node = 'default'")
    (tmp_path / "other.toml").write_text("node = 'other'", encoding="utf-8")
    assert load(str(tmp_path / "other.toml"), {}, {}, default=str(tmp_path / FILE)).node == "other"


def test_the_node_is_this_machine_unless_it_is_named(tmp_path: Path) -> None:
    assert node_name(settings(tmp_path))
    assert node_name(settings(tmp_path, "node = 'node7'")) == "node7"


# Passwords.


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://multinic:{SECRET}@db/multinic",
        f"mysql://multinic:x@{SECRET}@db/multinic",
        f"mysql://:{SECRET}@db/multinic",
    ],
)
def test_a_password_on_the_command_line_or_in_the_file_is_refused_and_not_repeated(
    tmp_path: Path, url: str
) -> None:
    for error in (
        refused(tmp_path, "", {"database.url": url}),
        refused(tmp_path, f'[database]\nurl = "{url}"'),
    ):
        assert "password" in str(error)
        assert SECRET not in "".join(traceback.format_exception(error))
        assert "password_file" in error.hint


def test_a_url_that_cannot_be_a_setting_is_not_repeated(tmp_path: Path) -> None:
    error = refused(tmp_path, "", MULTINIC_DATABASE_URL=f"mysql://u:{SECRET}\n@db/x")
    assert SECRET not in "".join(traceback.format_exception(error))


def test_the_password_file_comes_before_credential_and_environment(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/multinic-password").write_text("credential", encoding="utf-8")
    (tmp_path / "file").write_text(f" {SECRET} \r\n", encoding="utf-8")
    environment = {"MULTINIC_DATABASE_PASSWORD": "ours", "DB_PASSWORD": "seed"}
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    config = f'[database]\npassword_file = "{tmp_path}/file"'

    def password(text: str, **variables: str) -> str:
        return settings(tmp_path, text, **variables).database.password.reveal()

    assert password(config, **environment, **credentials) == f" {SECRET} "
    assert password("", **environment, **credentials) == "credential"
    (tmp_path / "credentials/multinic-password").write_text(
        "\n", encoding="utf-8"
    )  # what the unit has instead
    assert password("", **environment, **credentials) == "ours"
    assert password("", **environment) == "ours"
    assert password("", DB_PASSWORD="seed") == "seed"
    assert password("", CREDENTIALS_DIRECTORY=str(tmp_path)) == ""


def test_a_password_file_that_cannot_be_read_is_an_error_and_no_empty_password(tmp_path: Path) -> None:
    for content in (None, b"\xff\xfe"):
        if content is not None:
            (tmp_path / "file").write_bytes(content)
        error = refused(tmp_path, f'[database]\npassword_file = "{tmp_path}/file"', DB_PASSWORD=SECRET)
        assert str(tmp_path / "file") in str(error)
        assert ("UTF-8" if content else "password_file") in error.hint


def test_root_that_may_not_read_everything_is_told_what_the_service_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(ConfigError, match="Permission denied") as error:
        load(str(tmp_path / "multinic.toml"), {}, {})
    assert "chown it to root" in error.value.hint


@given(user=st.text(max_size=5), password=st.text(min_size=6), name=st.text(min_size=1, max_size=5))
def test_a_password_in_the_url_of_the_environment_is_taken_out_of_it(
    user: str, password: str, name: str
) -> None:
    user, name = quote(user, safe=""), quote(name, safe="")
    url = f"mysql://{user}:{quote(password, safe='')}@db/{name}"
    found = load(None, {}, {"MULTINIC_DATABASE_URL": url}, default="/nonexistent").database
    assert (found.url, found.password.reveal()) == (f"mysql://{user}@db/{name}", password)
    beside = load(
        None, {}, {"MULTINIC_DATABASE_URL": url, "DB_PASSWORD": "other"}, default="/nonexistent"
    ).database
    assert (beside.url, beside.password.reveal()) == (found.url, "other")


def test_a_password_with_an_at_sign_in_the_url_of_the_environment_is_understood() -> None:
    found = load(None, {}, {"MULTINIC_DATABASE_URL": "mysql://u:p@ss@db/x"}, default="/nonexistent").database
    assert (found.url, found.password.reveal()) == ("mysql://u@db/x", "p@ss")


def test_a_file_that_others_may_read_or_write_is_told_where_that_matters(tmp_path: Path) -> None:
    password, file = tmp_path / "password", tmp_path / "etc/multinic/multinic.toml"
    password.write_text(SECRET, encoding="utf-8")
    text = f'[database]\npassword_file = "{password}"'
    settings(tmp_path, text)
    for mode, path, told in [
        (0o600, password, False),
        (0o640, password, False),
        (0o644, password, True),
        (0o620, password, True),
        (0o602, password, True),
        (0o600, file, False),
        (0o644, file, False),
        (0o664, file, True),
        (0o646, file, True),
    ]:
        password.chmod(0o600)
        file.chmod(0o640)
        path.chmod(mode)
        warnings = load(None, {}, {}, default=str(tmp_path / FILE)).warnings
        assert [str(path) in line and f"{mode:04o}" in line for line in warnings] == [True] * told
        assert SECRET not in str(warnings)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
@pytest.mark.parametrize("name", ["password", "etc/multinic/multinic.toml"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], object], name: str
) -> None:
    (tmp_path / "etc/multinic").mkdir(parents=True)
    make(tmp_path / name)
    with pytest.raises(ConfigError, match=f"{name}: (not a regular file|Is a directory)"):
        load(
            None,
            {},
            {"MULTINIC_DATABASE_PASSWORD_FILE": str(tmp_path / "password")},
            default=str(tmp_path / FILE),
        )


@pytest.mark.parametrize("name", ["password", "etc/multinic/multinic.toml"])
def test_a_file_that_is_much_too_large_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "etc/multinic").mkdir(parents=True)
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match=f"{name}: larger than"):
        load(
            None,
            {},
            {"MULTINIC_DATABASE_PASSWORD_FILE": str(tmp_path / "password")},
            default=str(tmp_path / FILE),
        )


def test_a_password_may_be_reached_by_a_symlink_as_in_a_mounted_secret(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data/password").write_text(SECRET, encoding="utf-8")
    (tmp_path / "password").symlink_to("..data/password")
    found = settings(tmp_path, f'[database]\npassword_file = "{tmp_path}/password"')
    assert found.database.password.reveal() == SECRET


@given(st.text(min_size=4))
def test_a_secret_is_in_no_text_that_is_made_of_it(text: str) -> None:
    secret = Secret(f"<{text}>")
    found = DatabaseSettings("", secret, 1, 1, ignore_deleted_at=False)
    for shown in (repr(secret), str(secret), f"{secret}", f"{found}", repr([secret]), "%s" % secret):  # noqa: UP031
        assert f"<{text}>" not in shown
    assert secret.reveal() == f"<{text}>"
    assert secret
    assert not Secret("")
