"""The systemd units and the udev rule, put where an administrator's own are, where no package brings them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from multinic.errors import ConfigError
from multinic.host import Host

TIMER, SERVICE, HOTPLUG, RULES = (
    "multinic.timer",
    "multinic.service",
    "multinic-hotplug.service",
    "90-multinic.rules",
)
NAMES = (SERVICE, TIMER, HOTPLUG, "multinic-health.service", "multinic-health.socket", RULES)
DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Where systemd looks for units, the first first."""
RULE_DIRECTORIES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
WANTED = (
    f"/etc/systemd/system/timers.target.wants/{TIMER}",
    "/etc/systemd/system/sockets.target.wants/multinic-health.socket",
)
"""What `systemctl enable` makes."""
DISABLE = "systemctl disable --now multinic.timer multinic-health.socket"

_PACKAGED = "/usr/bin/multinic"  # what the units in the repository run
_MARK = "# Part of multinic; "
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - from services, by ProtectHome= and PrivateTmp=

_ELSEWHERE = (
    "install multinic elsewhere, for example into what `/usr/bin/python3 -m venv /opt/multinic` makes"
)


def find(host: Host, name: str) -> str | None:
    """Return the path of an installed unit or rule; None where there is none."""
    return next(_all(host, name), None)


def hidden(host: Host) -> Iterator[tuple[str, str]]:
    """Yield what `install` wrote and what a package brought in vain: the paths of both."""
    for name in NAMES:
        packaged = [path for path in _all(host, name) if path.startswith(("/usr/lib/", "/lib/"))]
        if packaged and _is_ours(host, name):
            yield _path(name), packaged[0]


def program(host: Host) -> str | None:
    """Return the path of the program that the installed units run; None where they do not say."""
    path = find(host, SERVICE)
    return _named(host.read(path) or "") if path else None


def stale(host: Host) -> Iterator[str]:
    """Yield the paths of installed units that are ours, and not those of this version."""
    service = program(host)
    for name in NAMES:
        path = find(host, name)
        text = host.read(path) or "" if path else ""
        where = service or _named(text) or _PACKAGED  # the service may be masked
        if path and text.startswith(_MARK) and text != _shipped(name).replace(_PACKAGED, where):
            yield path


def exposed(program: str) -> tuple[str, int] | None:
    """Return what of a program others than root may change, and the user whose it is; None if nothing.

    Raises OSError for a part that is not there.
    """
    for part in map(Path, _parts(program)):
        for path in (*reversed(part.parents), part):
            found = path.stat()
            anybody = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
            if found.st_uid or anybody:
                return str(path), found.st_uid
    return None


def started() -> str:
    """Return the name or path by which this program was started."""
    return "multinic" if os.path.basename(sys.argv[0]) == "__main__.py" else sys.argv[0]


def install(host: Host, program: str | None = None) -> Iterator[str]:
    """Write what differs, for this `program` or another, and yield what was done and what comes next.

    Raises ConfigError where units of a package or of somebody else are there, and for a program that no
    service can run.
    """
    where = _runnable(program or started())
    for name in NAMES:
        found = find(host, name)
        if found is not None and not _is_ours(host, name):
            raise ConfigError(f"there is a {found} already, which is not from here", _way_round(found))
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


def remove(host: Host) -> Iterator[str]:
    """Remove what `install` wrote, and yield what was done.

    Raises ConfigError while it is enabled, unless a package has units of the same names: those take over.
    """
    ours = [name for name in NAMES if _is_ours(host, name)]
    alone = {*ours} - {os.path.basename(path) for path, _ in hidden(host)}
    if enabled := [path for path in WANTED if host.present(path) and os.path.basename(path) in alone]:
        raise ConfigError(f"{os.path.basename(enabled[0])} is still enabled", DISABLE)
    for name in ours:
        host.remove(_path(name))
        yield f"removed {_path(name)}"
    yield "next: systemctl daemon-reload && udevadm control --reload"


def _all(host: Host, name: str) -> Iterator[str]:
    """Yield the paths at which there is a unit or rule, the one that counts first."""
    seen: list[str] = []
    for directory in RULE_DIRECTORIES if name == RULES else DIRECTORIES:
        path = f"{directory}/{name}"
        # /lib may be /usr/lib by another name.
        if host.present(path) and path.removeprefix("/usr") not in seen:
            seen.append(path.removeprefix("/usr"))
            yield path


def _named(text: str) -> str | None:
    """Return the path of the program that a unit runs."""
    found = re.search(r"(?m)^ExecStart=(/\S+) (?:reconcile|health --socket)$", text)
    return found[1] if found else None


def _shipped(name: str) -> str:
    """Return the text of a unit as this version has it: beside the program, or where packages bring it."""
    package = Path(__file__).parent
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


def _way_round(found: str) -> str:
    """Return what to do about a unit or rule that is not ours."""
    if found.startswith(("/usr/", "/lib/")):
        return f"systemctl enable --now {TIMER}"
    return f"systemctl unmask {os.path.basename(found)}, if it is masked; else move it away"


def _runnable(program: str) -> str:
    """Return the path of a program for a unit. Raises ConfigError where services cannot run it for long."""
    path = os.path.abspath(shutil.which(program) or program)
    if not os.path.isfile(path) or not os.access(path, os.R_OK | os.X_OK):
        raise ConfigError(f"{path} is no program", "name the installed one with --program FILE")
    if not re.fullmatch(r"[\w/.+-]+", path, re.ASCII):
        raise ConfigError(
            f"a unit cannot name the program {path!r}", "name another path of it with --program"
        )
    for part in _parts(path):
        if part.startswith(tuple(f"{directory}/" for directory in _HIDDEN)):
            raise ConfigError(
                f"{part} cannot be seen by services, which are kept out of {', '.join(_HIDDEN)}", _ELSEWHERE
            )
    if cache := _cache_of(os.path.realpath(path)):
        raise ConfigError(f"{path} is in the cache {cache}, which may be emptied at any time", _ELSEWHERE)
    return path


def _parts(program: str) -> Iterator[str]:
    """Yield what a service must see of a program: itself, and the Python of its first line."""
    yield from (program, os.path.realpath(program))
    with open(program, "rb") as file:
        start = file.read(4096).decode("utf-8", "replace")
    # The second form is that of pip for long paths.
    if found := re.match(r"#!\s*(/\S+)\n(?:'''exec' \"?(/[^\"\n]+?)\"? \"\$0\")?", start):
        interpreter = found[2] or found[1]
        yield from (interpreter, os.path.realpath(interpreter))


def _cache_of(path: str) -> str | None:
    """Return the cache in which an environment is, as those of `uvx` and `pipx run` are.

    Not the environment itself, PREFIX/bin/PROGRAM: many have the tag, so that backups leave them out.
    """
    return next((str(d) for d in Path(path).parents[2:] if (d / "CACHEDIR.TAG").exists()), None)
