"""The systemd units and the udev rule: installed where an administrator's own are, without the package."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from multinic.host.host import Host
from multinic.values.errors import ConfigError

TIMER, SERVICE, HOTPLUG, AGENT, RULES = (
    "multinic.timer",
    "multinic.service",
    "multinic-hotplug.service",
    "multinic-agent.service",
    "90-multinic.rules",
)
NAMES = (SERVICE, TIMER, HOTPLUG, AGENT, "multinic-health.service", "multinic-health.socket", RULES)
DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""The directories in which systemd looks for units; the first one that has a unit counts."""
RULE_DIRECTORIES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
WANTED = (
    f"/etc/systemd/system/timers.target.wants/{TIMER}",
    "/etc/systemd/system/sockets.target.wants/multinic-health.socket",
    f"/etc/systemd/system/multi-user.target.wants/{AGENT}",
)
"""The symlinks that `systemctl enable` makes."""
DISABLE = f"systemctl disable --now {TIMER} {AGENT} multinic-health.socket"

_PACKAGED = "/usr/bin/multinic"  # the program in the units of the repository
_MARK = "# Part of multinic; "
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - by ProtectHome= and PrivateTmp=

_ELSEWHERE = (
    "install multinic elsewhere, for example into what `/usr/bin/python3 -m venv /opt/multinic` makes"
)


def find(host: Host, name: str) -> str | None:
    """Return the path of an installed unit or rule; None if there is none."""
    return next(_all(host, name), None)


def hidden(host: Host) -> Iterator[tuple[str, str]]:
    """Yield the units that `install` wrote and that hide those of a package: the paths of both."""
    for name in NAMES:
        packaged = [path for path in _all(host, name) if path.startswith(("/usr/lib/", "/lib/"))]
        if packaged and _is_ours(host, name):
            yield _path(name), packaged[0]


def program(host: Host) -> str | None:
    """Return the path of the program that the installed units run; None if it is not known."""
    path = find(host, SERVICE)
    return _program_in(host.read(path) or "") if path else None


def stale(host: Host) -> Iterator[str]:
    """Yield the paths of installed units of multinic that differ from those of this version."""
    service = program(host)
    for name in NAMES:
        path = find(host, name)
        text = host.read(path) or "" if path else ""
        where = service or _program_in(text) or _PACKAGED  # the service may be masked
        if path and text.startswith(_MARK) and text != _shipped(name).replace(_PACKAGED, where):
            yield path


def exposed(program: str) -> tuple[str, int] | None:
    """Return a part of a program that users other than root may change, and its owner; None if there is none.

    Raises OSError for a part that does not exist.
    """
    for part in map(Path, _parts(program)):
        for path in (*reversed(part.parents), part):
            found = path.stat()
            any_user = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
            if found.st_uid or any_user:
                return str(path), found.st_uid
    return None


def started_as() -> str:
    """Return the name or path with which this program was started."""
    return "multinic" if os.path.basename(sys.argv[0]) == "__main__.py" else sys.argv[0]


def install(host: Host, program: str | None = None) -> Iterator[str]:
    """Write the units that differ, and yield lines that say what was done and what to do next.

    `program`: the one that they run, by default this one. Raises ConfigError if there are units that are not
    ours, and for a program that no service can run.
    """
    where = _runnable(program or started_as())
    for name in NAMES:
        found = find(host, name)
        if found is not None and not _is_ours(host, name):
            raise ConfigError(f"there is a {found} already, and it is not from this command", _remedy(found))
    for name in NAMES:
        text = _shipped(name).replace(_PACKAGED, where)
        if host.read(_path(name)) == text:
            yield f"{_path(name)} is there already"
        else:
            host.write(_path(name), text, 0o644)
            yield f"wrote {_path(name)}"
    yield ""
    yield "Next, once the settings name the database and `multinic plan` shows what you expect:"
    yield "    systemctl daemon-reload && udevadm control --reload"
    yield f"    systemctl enable --now {TIMER}"
    yield "    systemctl enable --now multinic-health.socket  # optional: http://127.0.0.1:8080/"
    yield f"or, for a process that stays and answers there itself: systemctl enable --now {AGENT}"


def remove(host: Host) -> Iterator[str]:
    """Remove the units that `install` wrote, and yield lines that say what was done.

    Raises ConfigError while they are enabled, unless a package has units of the same names, which take over.
    """
    our_names = [name for name in NAMES if _is_ours(host, name)]
    alone = {*our_names} - {os.path.basename(path) for path, _ in hidden(host)}
    if enabled := [path for path in WANTED if host.present(path) and os.path.basename(path) in alone]:
        raise ConfigError(f"{os.path.basename(enabled[0])} is still enabled", DISABLE)
    for name in our_names:
        host.remove(_path(name))
        yield f"removed {_path(name)}"
    yield "next: systemctl daemon-reload && udevadm control --reload"


def _all(host: Host, name: str) -> Iterator[str]:
    """Yield the paths at which a unit or rule is installed; the first one counts."""
    seen: list[str] = []
    for directory in RULE_DIRECTORIES if name == RULES else DIRECTORIES:
        path = f"{directory}/{name}"
        # /lib may be /usr/lib by another name.
        if host.present(path) and path.removeprefix("/usr") not in seen:
            seen.append(path.removeprefix("/usr"))
            yield path


def _program_in(text: str) -> str | None:
    """Return the path of the program that a unit runs; None if it does not name one."""
    found = re.search(r"(?m)^ExecStart=(/\S+) (?:reconcile|agent|health --socket)$", text)
    return found[1] if found else None


def _shipped(name: str) -> str:
    """Return the text of a unit of this version: from beside the program, or from a package."""
    package = Path(__file__).parents[1]
    places = [package / "systemd", package.parent / "systemd"]
    places += [Path("/usr/lib/systemd/system"), Path("/usr/lib/udev/rules.d")]
    path = next((place / name for place in places if (place / name).is_file()), None)
    if path is None:
        raise ConfigError(f"this installation has no {name}", "install it again")
    return path.read_text(encoding="utf-8")


def _path(name: str) -> str:
    return f"{(RULE_DIRECTORIES if name == RULES else DIRECTORIES)[0]}/{name}"


def _is_ours(host: Host, name: str) -> bool:
    return (host.read(_path(name)) or "").startswith(_MARK)


def _remedy(found: str) -> str:
    """Return what to do if a unit or rule is there that is not ours."""
    if found.startswith(("/usr/", "/lib/")):
        return f"systemctl enable --now {TIMER}"
    return f"systemctl unmask {os.path.basename(found)}, if it is masked; else move it away"


def _runnable(program: str) -> str:
    """Return the path of a program for a unit. Raises ConfigError if a service cannot run it for long."""
    path = os.path.abspath(shutil.which(program) or program)
    if not os.path.isfile(path) or not os.access(path, os.R_OK | os.X_OK):
        raise ConfigError(f"{path} is not a program", "name the installed one with --program FILE")
    if not re.fullmatch(r"[\w/.+-]+", path, re.ASCII):
        raise ConfigError(
            f"a unit cannot name the program {path!r}", "name another path of it with --program"
        )
    for part in _parts(path):
        if part.startswith(tuple(f"{directory}/" for directory in _HIDDEN)):
            raise ConfigError(
                f"services cannot see {part}: they have no access to {', '.join(_HIDDEN)}", _ELSEWHERE
            )
    if cache := _cache_of(os.path.realpath(path)):
        raise ConfigError(f"{path} is in the cache {cache}, which may be emptied at any time", _ELSEWHERE)
    return path


def _parts(program: str) -> Iterator[str]:
    """Yield the files of a program that a service must see: the program, and the Python in its first line."""
    yield from (program, os.path.realpath(program))
    with open(program, "rb") as file:
        start = file.read(4096).decode("utf-8", "replace")
    # pip writes the second form for long paths.
    if found := re.match(r"#!\s*(/\S+)\n(?:'''exec' \"?(/[^\"\n]+?)\"? \"\$0\")?", start):
        interpreter = found[2] or found[1]
        yield from (interpreter, os.path.realpath(interpreter))


def _cache_of(path: str) -> str | None:
    """Return the cache directory in which a program is, as with `uvx` and `pipx run`; None if there is none.

    The environment itself, PREFIX of PREFIX/bin/PROGRAM, does not count: many have the tag, so that backups
    leave them out.
    """
    return next((str(d) for d in Path(path).parents[2:] if (d / "CACHEDIR.TAG").exists()), None)
