"""What this host has now: the kernel's tables and the files of one backend. Reads only."""

from __future__ import annotations

import re

from multinic.backend import Backend
from multinic.host import Host
from multinic.model import Observed
from multinic.netlink import Reader

_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")


def observe(host: Host, backend: Backend) -> Observed:
    """Return links, routes and rules of the kernel, and managed and foreign files. Raises HostError."""
    with Reader() as kernel:
        links, routes = kernel.links(), kernel.routes()
    files: dict[str, str] = {}
    modes: dict[str, int] = {}
    for path in backend.managed(host):
        found = host.file(path)
        # Something else at our path (a symlink, a directory) counts as an empty file: it is replaced.
        files[path] = found.content.decode("utf-8", "replace") if found else ""
        modes[path] = found.mode if found else 0
    foreign = {path: _COMMENT.sub("", text) for path in backend.foreign(host) if (text := host.read(path))}
    return Observed(links=links, routes=routes, files=files, modes=modes, foreign=foreign)
