"""Ansible for the tests: its programs in an environment of its own, the collection as it is installed.

It is not in the environment of the tests: what it brings (cryptography) changes how PyMySQL logs in.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hosts import CHECKOUT, run

ENVIRONMENT = Path(f"{sys.prefix}-fleet")
PLAYER = Path(os.environ.get("MULTINIC_TEST_ANSIBLE") or ENVIRONMENT)
"""Where ansible-core is: MULTINIC_TEST_ANSIBLE names an environment with another version."""
COLLECTION = CHECKOUT / "ansible"
TIMEOUT = 600


def missing() -> str | None:
    """Say why no playbook can be run here."""
    for place in (ENVIRONMENT, PLAYER):
        if not (place / "bin/ansible-playbook").exists():
            return f"no Ansible in {place} (scripts/setup.sh fleet)"
    return None


def tool(
    directory: Path, name: str, *arguments: str | Path, check: bool = True, within: Path = Path("/")
) -> Any:
    """Run one of Ansible's programs `within` a directory, with all that it keeps in a directory of ours."""
    place = PLAYER if (PLAYER / "bin" / name).exists() else ENVIRONMENT
    environment = {
        "PATH": f"{place}/bin:{os.environ['PATH']}",
        "HOME": str(directory),
        "PWD": str(within),
        "LANG": "C.UTF-8",
        "ANSIBLE_HOME": str(directory / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(directory / "collections"),
        "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).parent / "connection"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_GALAXY_SERVER_LIST": "",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
    }
    program = ("env", f"--chdir={within}", place / "bin" / name)
    return run(*program, *arguments, check=check, env=environment, timeout=TIMEOUT)


def installed(directory: Path) -> Path:
    """Build the collection and install it from its tarball, without a network; return the tarball."""
    tool(directory, "ansible-galaxy", "collection", "build", COLLECTION, "--output-path", directory)
    (tarball,) = directory.glob("multinic-multinic-*.tar.gz")
    tool(directory, "ansible-galaxy", "collection", "install", "--offline", tarball)
    return tarball


@dataclass(frozen=True)
class Outcome:
    """How a playbook ended."""

    status: int
    said: str

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """What it counted: host → ok, changed, unreachable, failed, …"""
        lines = self.said.partition("PLAY RECAP")[2].splitlines()[1:]
        found = [re.match(r"(\S+)\s+: (.*)", line) for line in lines]
        return {
            match[1]: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", match[2])}
            for match in found
            if match
        }


def playbook(
    directory: Path, name: str, hosts: dict[str, dict[str, Any]], *options: str, **more: Any
) -> Outcome:
    """Run a playbook of the collection over some hosts, with more variables."""
    inventory = directory / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    variables = directory / "variables.json"
    variables.write_text(json.dumps(more))
    arguments = ("--inventory", inventory, "--extra-vars", f"@{variables}", "--forks", "8", *options)
    done = tool(
        directory, "ansible-playbook", f"multinic.multinic.{name}", *arguments, check=False, within=directory
    )
    return Outcome(done.returncode, done.stdout + done.stderr)
