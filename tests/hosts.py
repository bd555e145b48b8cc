"""What every host is to a test, however it was booted: commands, files, links.

A container with systemd: tests/host/nspawn.py. A virtual machine: tests/vm/machine.py.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


class CommandFailed(subprocess.CalledProcessError):
    """A command ended with another status than 0; what it printed is part of the message."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.stdout or ''}{self.stderr or ''}".rstrip()


def run(
    *argv: str | os.PathLike[str],
    check: bool = True,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
    input: str | None = None,  # noqa: A002 - as subprocess.run calls it
) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it printed, byte for byte; past `timeout` kill its process group."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(None if input is None else input.encode(), timeout=timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    text = [data.decode(errors="surrogateescape") for data in (out, err)]
    done = subprocess.CompletedProcess(argv, process.returncode, *text)
    if check and done.returncode:
        raise CommandFailed(done.returncode, shlex.join(str(word) for word in argv), *text)
    return done


def eventually(
    condition: Callable[[], Any], *, timeout: float = 30, pause: float = 0.02, what: str = ""
) -> Any:
    """Wait until `condition()` is true and return it; past `timeout` seconds, fail with its last value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what or condition} not within {timeout} s, but {value!r}")
        time.sleep(pause)
    return value


@dataclass(frozen=True)
class Stat:
    """What `stat` says of a file in a box."""

    mode: int
    owner: str
    group: str
    inode: int
    size: int
    mtime: str
    """With nanoseconds."""


class Host(ABC):
    """A host that runs."""

    gateway: str
    """The address by which the host reaches what is around it, such as the database."""

    @abstractmethod
    def run(
        self,
        *argv: str,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        input: str | None = None,  # noqa: A002 - as subprocess.run calls it
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, as root, with the environment of a service plus `env`."""

    def multinic(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run this checkout's program on the host; options are those of `run`."""
        return self.run("multinic", *arguments, **options)

    def read(self, path: str) -> str:
        """Return the text of a file."""
        return self.run("cat", path).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, and the directories above it."""
        script = 'mkdir -p "$(dirname "$1")" && rm -f "$1" && cat > "$1" && chmod "$2" "$1"'
        self.run("sh", "-euc", script, "sh", path, f"{mode:o}", input=text)

    def remove(self, *patterns: str) -> None:
        """Remove the files and directories that these shell patterns match, if any."""
        self.run("sh", "-c", f"rm -rf {' '.join(patterns)}")

    def exists(self, path: str) -> bool:
        """Return whether there is such a file, even if it is a dangling symbolic link."""
        return self.run("sh", "-c", 'test -e "$1" || test -L "$1"', "sh", path, check=False).returncode == 0

    def stat(self, path: str) -> Stat:
        """Return mode, owner and the like of a file."""
        fields = self.run("stat", "--format=%a %U %G %i %s %y", path).stdout.split(maxsplit=5)
        mode, owner, group, inode, size, mtime = fields
        return Stat(int(mode, 8), owner, group, int(inode), int(size), mtime.strip())

    def glob(self, *patterns: str) -> list[str]:
        """Return the paths that these shell patterns match, sorted."""
        found = self.run("sh", "-c", f"ls -d {' '.join(patterns)} 2>/dev/null", check=False).stdout
        return sorted(found.splitlines())

    def links(self) -> dict[str, dict[str, Any]]:
        """Return the host's links by name, as `ip -json -details address` describes them."""
        found = json.loads(self.run("ip", "-json", "-details", "address").stdout)
        return {link["ifname"]: link for link in found}

    def addresses(self, name: str) -> list[str]:
        """Return the addresses of a link with their prefixes, without IPv6's own (link-local) ones."""
        found = self.links().get(name, {}).get("addr_info", ())
        return [f"{one['local']}/{one['prefixlen']}" for one in found if one["scope"] != "link"]

    def link_of(self, mac: str) -> dict[str, Any] | None:
        """Return the link with this MAC, whatever its name is now."""
        return next((link for link in self.links().values() if link.get("address") == mac.lower()), None)
