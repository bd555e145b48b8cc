"""Where settings come from: /etc/multinic/multinic.toml, then the environment, then options."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Mapping
from typing import Any

from multinic.values.errors import ConfigError
from multinic.values.settings import KEYS, DatabaseSettings, Key, Secret, Settings, integer

DEFAULT_PATH = "/etc/multinic/multinic.toml"
CREDENTIAL = "multinic-password"  # the name in systemd's LoadCredential=

_SIZE_MAX = 1024 * 1024  # bytes of a settings or password file; both are a few lines


def load(
    path: str | None,
    options: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    default: str = DEFAULT_PATH,
) -> Settings:
    """Return the settings of file, environment and options; the later ones override the earlier.

    Files are read on the machine, or in the container, in which the program runs, even if the host is below
    another root. `path` None: the default path, which may be missing. Raises ConfigError, which names the
    key, the place and what is wrong.
    """
    values = {key.name: key.default for key in KEYS}
    warnings: list[str] = []
    values.update(_from_file(path, default, warnings))
    values.update(_from_environment(environment))
    by_name = {key.name: key for key in KEYS}
    for name, value in options.items():
        values[name] = _parse(by_name[name], value, f"option --{name.replace('.', '-')}")
    if "database.url" in options and _split_password(values["database.url"])[1]:
        raise ConfigError(
            "a password on the command line can be read by every user of this host",
            "put it in a file and name that in database.password_file, or in MULTINIC_DATABASE_PASSWORD",
        )
    url, password_in_url = _split_password(values["database.url"])
    password = _password(values["database.password_file"], environment, warnings)
    return _settings(values, url, password or password_in_url, tuple(warnings))


def _settings(values: Mapping[str, Any], url: str, password: Secret, warnings: tuple[str, ...]) -> Settings:
    """Return the values of all keys as settings; `url` is without a password."""
    return Settings(
        node=values["node"],
        backend=values["backend"],
        max_interfaces=values["max_interfaces"],
        routing_table_base=values["routing_table_base"],
        verify_timeout=values["verify_timeout"],
        command_timeout=values["command_timeout"],
        log_level=values["log_level"],
        log_format=values["log_format"],
        database=DatabaseSettings(
            url=url,
            password=password,
            connect_timeout=values["database.connect_timeout"],
            read_timeout=values["database.read_timeout"],
            ignore_deleted_at=values["database.deleted_at"] == "ignored",
        ),
        ask_for_mass_deletion=values["safety.mass_delete"] == "ask",
        fleet_brake=values["safety.fleet_brake"],
        probe_addresses=values["safety.probe_addresses"],
        metrics_textfile=values["metrics.textfile"],
        poll_interval=values["agent.poll_interval"],
        listen=values["agent.listen"],
        metrics_listen=values["agent.metrics_listen"],
        dashboard={
            name.removeprefix("dashboard."): value
            for name, value in values.items()
            if name.startswith("dashboard.")
        },
        warnings=warnings,
    )


def _parse(key: Key, value: Any, where: str) -> Any:
    try:
        return key.parse(value)
    except ValueError as e:
        shown = "(not shown)" if key.name == "database.url" else repr(value)
        raise ConfigError(f"{where}: {key.name} = {shown}: {e}") from None


def _read_file(file: str) -> tuple[str, int]:
    """Return the text and the permission bits of a regular file. Raises OSError and UnicodeError.

    Other files are refused: a read from a pipe could wait for ever, and a device has no end.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, encoding="utf-8") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if found.st_size > _SIZE_MAX:
            raise OSError(errno.EFBIG, f"larger than {_SIZE_MAX} bytes")
        return stream.read(), stat.S_IMODE(found.st_mode)


def _unreadable(error: OSError | UnicodeError, hint: str) -> tuple[str, str]:
    """Return why a file cannot be read, and what to do about it: `hint`, unless more is known."""
    if isinstance(error, UnicodeError):
        return "not UTF-8 text", "save it in UTF-8"
    if isinstance(error, PermissionError) and os.geteuid() == 0:
        hint = "chown it to root, chmod 0600; multinic.service sees nothing below /home, /root and /tmp"
    return error.strerror or str(error), hint


def secret_file(file: str, setting: str) -> str:
    """Return the text of a file that a setting names, without its line end. Raises ConfigError."""
    try:
        return _read_file(file)[0].rstrip("\r\n")
    except (OSError, UnicodeError) as e:
        reason, hint = _unreadable(e, f"correct {setting}, or run as a user who may read it")
        raise ConfigError(f"cannot read {file} ({setting}): {reason}", hint) from None


def _from_file(path: str | None, default: str, warnings: list[str]) -> dict[str, Any]:
    file = default if path is None else path
    try:
        text, mode = _read_file(file)
    except FileNotFoundError:
        if path is None:
            return {}
        raise ConfigError(f"{file}: no such file", "give the right path to --config") from None
    except (OSError, UnicodeError) as e:
        reason, hint = _unreadable(e, "run as root, or give --config a file you may read")
        raise ConfigError(f"{file}: {reason}", hint) from None
    if mode & 0o022:
        warnings.append(f"others may write to {file} (mode {mode:04o}): chmod go-w it")
    flat: dict[str, Any] = {}
    for name, value in _toml(text, file).items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": deep for inner, deep in value.items()})
        else:
            flat[name] = value
    by_name = {key.name: key for key in KEYS}
    for name in flat:
        if name not in by_name:
            raise _unknown(name, by_name, file)
    found = {name: _parse(by_name[name], value, str(file)) for name, value in flat.items()}
    if _split_password(found.get("database.url", ""))[1]:
        raise ConfigError(
            f"{file}: database.url contains a password",
            "move it to a file of its own (0600) and name that in database.password_file",
        )
    return found


def _toml(text: str, file: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise ConfigError(f"{file}: {e}") from None
    return document


def _unknown(name: str, known: Mapping[str, Key], file: str) -> ConfigError:
    import difflib  # only for this error

    last = name.rpartition(".")[2]
    if last in known:  # someone added it at the end of the file, below the tables
        return ConfigError(f"{file}: unknown key {name!r}", f"{last!r} belongs above the first [table]")
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return ConfigError(f"{file}: unknown key {name!r}", f"did you mean {near[0]!r}?" if near else "")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    # Unknown MULTINIC_ variables are not an error: Kubernetes sets some for every service of that name.
    found: dict[str, Any] = {}
    for key in KEYS:
        for variable in (*key.variables, key.variable):
            if environment.get(variable):
                found[key.name] = _parse(key, environment[variable], f"environment variable {variable}")
    if "database.url" not in found and (url := _earlier_url(environment)):
        found["database.url"] = url
    port = environment.get("HEALTH_PORT", "")
    if "agent.listen" not in found and port and not port.startswith("tcp://"):  # as with DB_PORT
        listen = Key("HEALTH_PORT", integer(1, 65535), None)
        found["agent.listen"] = f"127.0.0.1:{_parse(listen, port, 'environment')}"
    return found


def _earlier_url(environment: Mapping[str, str]) -> str:
    """Return the URL in the variables of earlier agents: DB_HOST, DB_PORT, DB_USER, DB_NAME; "" for none."""
    host = environment.get("DB_HOST", "")
    if not host:
        return ""
    port = environment.get("DB_PORT", "") or "3306"
    if port.startswith("tcp://"):  # not for us: Kubernetes sets it for a service named "db"
        port = "3306"
    port_key = Key("DB_PORT", integer(1, 65535), None)
    from urllib.parse import quote

    user = quote(environment.get("DB_USER", "") or "root", safe="")
    name = quote(environment.get("DB_NAME", "") or "multinic", safe="")
    return f"mysql://{user}@{host}:{_parse(port_key, port, 'environment')}/{name}"


def _split_password(url: str) -> tuple[str, Secret]:
    """Return a URL without the password that may be in it, and that password."""
    authority = url.partition("://")[2].partition("/")[0]
    if ":" not in authority.rpartition("@")[0]:  # as nearly always: without the price of a regular expression
        return url, Secret("")
    match = re.match(r"(\w+://[^/@:]*):([^/]*)(@.*)", url, re.DOTALL)
    if not match:
        return url, Secret("")
    from urllib.parse import unquote

    return match[1] + match[3], Secret(unquote(match[2]))


def _password(file: str, environment: Mapping[str, str], warnings: list[str]) -> Secret:
    """Return the password: a file, else a systemd credential, else the environment."""
    directory = environment.get("CREDENTIALS_DIRECTORY", "")
    credential = os.path.join(directory, CREDENTIAL) if directory else ""
    path = file or credential
    if file or (path and os.path.exists(path)):
        try:
            text, mode = _read_file(path)
        except (OSError, UnicodeError) as e:
            reason, hint = _unreadable(e, "correct database.password_file, or run as a user who may read it")
            raise ConfigError(f"cannot read the database password from {path}: {reason}", hint) from None
        if mode & 0o026:
            warnings.append(
                f"others may read or write the password file {path} (mode {mode:04o}): chmod 0600 it"
            )
        found = Secret(text.rstrip("\r\n"))
        if file or found:  # multinic.service has an empty credential if the operator sets none
            return found
    return Secret(environment.get("MULTINIC_DATABASE_PASSWORD") or environment.get("DB_PASSWORD") or "")


def node_name(settings: Settings) -> str:
    """Return the name to look for in the database: the configured one, else that of this machine.

    Raises ConfigError if the name of this machine cannot be that of a node.
    """
    name = settings.node or os.uname().nodename
    if not name.isprintable():
        raise ConfigError(f"this machine has the host name {name!r}, which no node can have", "set `node`")
    return name
