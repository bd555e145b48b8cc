"""The real nginx, as the documentation has it, before a dashboard (scripts/unpack.sh)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import unpacked
from tests.hosts import CHECKOUT, eventually
from tests.mariadb import free_port
from tests.scratch import END_WITH_TESTS
from tests.web.server import Dashboard

_PLACES = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def program() -> str:
    """Return the path of nginx."""
    hint = "scripts/unpack.sh nginx usr/sbin/nginx gets it"
    return unpacked.program("usr/sbin/nginx", package="nginx", tier="web", hint=hint)


def documented() -> str:
    """Return the block of nginx's settings in the documentation."""
    (block,) = re.findall(
        r"^location .*?^}", (CHECKOUT / "docs/dashboard.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return str(block)


@contextmanager
def nginx(behind: Dashboard, prefix: str, directory: Path, *, strip: bool = False) -> Iterator[Dashboard]:
    """Run it before a dashboard; `strip`: it takes the prefix off."""
    port = free_port()
    location = documented().replace("/multinic/", f"{prefix}/")
    location = location.replace("http://127.0.0.1:8090;", f"{behind.address}{'/' if strip else ''};")
    assert behind.address in location
    places = "".join(f"    {name}_temp_path {directory}/{name};\n" for name in _PLACES)
    (directory / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{\n{places}    access_log off;\n"
        f"    server {{\n        listen 127.0.0.1:{port};\n        {location}\n    }}\n}}\n"
    )
    command = [*END_WITH_TESTS, program(), "-p", str(directory), "-c", str(directory / "nginx.conf")]
    process = subprocess.Popen([*command, "-e", str(directory / "error.log")])
    try:
        found = Dashboard(port, behind.log)
        eventually(lambda: process.poll() is not None or _answers(found, prefix), timeout=60)
        assert process.poll() is None, (directory / "error.log").read_text()
        yield found
    finally:
        process.terminate()
        process.wait(30)


def _answers(found: Dashboard, prefix: str) -> bool:
    try:
        return found.get(f"{prefix}/livez").status == 200
    except ConnectionError:
        return False
