"""Following docs/getting-started.md, block by block: a database from nothing, the first row, the first host.

`sudo` and `mariadb` stand for what root does: here they lead to the server and the namespace of the test.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.kernel.node import mac_of
from tests.mariadb import PrivateMariaDB
from tests.mariadb import missing as mariadb_missing

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/getting-started.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|sql|toml) first-host(?: result)?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(bool(mariadb_missing()), reason=str(mariadb_missing()))
def test_the_page_for_newcomers_leads_to_a_first_interface(namespace, tmp_path):
    namespace.plug("ens7", mac_of(1))
    with PrivateMariaDB() as server:
        server.start(namespace.prefix, port=3306)
        programs = tmp_path / "bin"
        programs.mkdir()
        host = tmp_path / "host"
        settings = host / "etc/multinic/multinic.toml"
        settings.parent.mkdir(parents=True)
        shutil.copy(ROOT / "packaging/multinic.toml", settings)
        settings.chmod(0o640)
        program(programs / "sudo", 'exec "$@"')
        program(programs / "mariadb", f'exec /usr/bin/mariadb --no-defaults --socket={server.socket} "$@"')
        program(programs / "multinic", f'exec {sys.executable} -m multinic --root {host} "$@"')
        program(programs / "hostname", "echo worker-1")
        environment = {
            "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(ROOT),
            "MULTINIC_CONFIG": str(settings),
            "MULTINIC_NODE": "worker-1",
            "NO_COLOR": "1",
        }

        def shell(script: str, given: str | None = None) -> str:
            script = f"set -e\ncd {tmp_path}\n{script}"
            for theirs, here in (
                ("/etc/multinic/", f"{host}/etc/multinic/"),
                ("/run/mysqld/mysqld.sock", str(server.socket)),
            ):
                script = script.replace(theirs, here)
            return namespace.run("sh", "-c", script, env=environment, input=given).stdout

        said = []
        for kind, text in BLOCKS:
            if kind == "sql":
                said.append(shell("mariadb --skip-column-names multinic", text))
            elif kind == "toml":
                edit(settings, text.replace("/etc/multinic/", f"{host}/etc/multinic/"))
            else:
                said.append(shell(text))
    assert "10.10.1.11/24" in said[-2]
    assert said[-1].split() == ["port-1", "1"]


def edit(settings: Path, shown: str) -> None:
    """Change the lines of the package's file that the page shows."""
    text = settings.read_text()
    for name, value in re.findall(r"^(\w+) = (.*)$", shown, re.MULTILINE):
        text, changed = re.subn(rf'^#{name} = ""$', f"{name} = {value}", text, flags=re.MULTILINE)
        assert changed == 1
    settings.write_text(text)


def program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
