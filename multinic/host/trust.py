"""Files that are programs for us, such as templates: only root, or who runs us, may change them."""

from __future__ import annotations

import os
import stat

from multinic.host.directories import check_ours, check_root
from multinic.host.host import Host
from multinic.values.errors import HostError


def check_trusted(host: Host, path: str) -> None:
    """Raise HostError if another user could change what is at `path`, or exchange a directory above it.

    Below another root no symlink may lead out of it: what is there is another machine's.
    """
    root, reached = os.path.realpath(host.root), os.path.realpath(host.path(path))
    if host.root != "/":
        check_root(host.root)
        if not reached.startswith(f"{root}/"):
            raise HostError(f"{path} leads out of {host.root}", "remove the symlink")
    try:
        for where in (*_below(host.root, host.path(path)), *_below(root, reached)):
            _check(where)
    except OSError as e:
        raise HostError(f"{path} cannot be checked: {e.strerror}", "run as root") from e


def _below(root: str, path: str) -> list[str]:
    """Return the directories on the way from `root` to `path`, and `path` itself."""
    names = os.path.relpath(path, root).split("/")
    return [os.path.join(root, *names[: number + 1]) for number in range(len(names))]


def _check(path: str) -> None:
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        if found.st_uid not in (0, os.geteuid()):
            raise HostError(f"{path} is a symlink of another user (uid {found.st_uid})", "remove it")
    elif stat.S_ISDIR(found.st_mode):
        if not os.statvfs(path).f_flag & os.ST_RDONLY:  # a mounted ConfigMap may have any mode
            check_ours(path, found)
    elif found.st_uid not in (0, os.geteuid()):
        raise HostError(f"{path} belongs to another user (uid {found.st_uid})", f"chown root {path}")
    elif found.st_mode & 0o002 or (found.st_mode & 0o020 and found.st_gid not in (0, os.getegid())):
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise HostError(f"{path} can be written by other users (mode {mode})", f"chmod go-w {path}")
