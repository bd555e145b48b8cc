"""Where the programs of the cluster are: scripts/kubernetes.sh builds and keeps them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests import mariadb
from tests.fleet import ansible
from tests.host import nspawn
from tests.hosts import CHECKOUT
from tests.images import cache

NEEDED = {"buildah": "buildah", "openssl": "openssl", "ssh-keygen": "openssh-client"}
"""Programs, and the packages of Debian and Ubuntu that have them."""


def directory() -> Path:
    """Return the directory with `kube` and `helm`, for the version that the script names."""
    script = (CHECKOUT / "scripts/kubernetes.sh").read_text()
    found = re.search(r"^version=(\S+)$", script, re.MULTILINE)
    assert found
    return cache() / f"kubernetes-{found[1]}"


def missing() -> str | None:
    """Say why there can be no cluster here."""
    if reason := nspawn.available() or mariadb.missing() or ansible.missing():
        return reason
    if lacking := [name for name in NEEDED if not shutil.which(name)]:
        packages = " ".join(NEEDED[name] for name in lacking)
        return f"{', '.join(lacking)} not found (Debian, Ubuntu: {packages})"
    if not (directory() / "kube").exists():
        return "Kubernetes is not built (scripts/kubernetes.sh)"
    return None
