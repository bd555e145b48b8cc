"""The packages of this checkout, built for tests that install them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from multinic import __version__
from tests.hosts import CHECKOUT, Host
from tests.node import Node

OLDER = "0.0.9"


def build(form: str, directory: Path, release: str = "1") -> Path:
    """Build a package of this checkout, with libraries from the pip of the environment that we run in."""
    environment = {**os.environ, "DIST": str(directory), "VENV": sys.prefix, "RELEASE": release}
    command = [CHECKOUT / "packaging/build.sh", form]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return max(directory.glob(f"*.{form}"))


def older(package: Path, directory: Path, *more: str) -> Path:
    """Return a deb that differs from `package` by an earlier version, and by having `more` files."""
    tree = directory / "older"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    for file in (tree / "DEBIAN/control", tree / "usr/share/multinic/multinic/__init__.py"):
        text = file.read_text()
        assert __version__ in text
        file.write_text(text.replace(__version__, OLDER))
    for path in more:
        (tree / path).write_text("gone = True\n")
    made = directory / "older.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, made], check=True)
    return made


def apt(host: Host, *arguments: str) -> str:
    """Run apt-get as an unattended administrator; return what it said."""
    command = ("apt-get", "-y", "-o", "Dpkg::Options::=--force-confold", *arguments)
    done = host.run(*command, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=300)
    assert "error" not in done.stdout + done.stderr
    return done.stdout


def configure(node: Node) -> None:
    """Do what an administrator does after the installation."""
    settings = node.host.read("/etc/multinic/multinic.toml")
    url = f"mysql://multinic@{node.host.gateway}:{node.server.port}/{node.database}"
    node.configure(settings.replace('#url = ""', f'url = "{url}"\npassword_file = "/etc/multinic/password"'))
    node.host.write("/etc/multinic/password", "hush-hush\n", 0o600)
