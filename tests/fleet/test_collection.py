"""The collection as Galaxy would have it."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from tests.fleet import ansible


def test_the_collection_has_no_fault_in_the_profile_for_production(controller: Path) -> None:
    # As it is installed: the playbooks name the role by its full name.
    place = controller / "collections/ansible_collections/multinic/multinic"
    done = ansible.tool(controller, "ansible-lint", "--nocolor", within=place, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Profile 'production'" in done.stdout + done.stderr


def test_the_tarball_holds_the_role_and_the_playbooks_and_nothing_of_a_run(controller: Path) -> None:
    (tarball,) = controller.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        names = set(archive.getnames())
        files = [file for name in names if not name.endswith(".md") if (file := archive.extractfile(name))]
        named = {page for file in files for page in re.findall(r"[\w./-]+\.md\b", file.read().decode())}
    assert {f"playbooks/{name}.yml" for name in ("install", "plan", "rollout", "remove")} <= names
    assert {
        "roles/multinic/tasks/main.yml",
        "plugins/filter/hosts.py",
        "meta/runtime.yml",
        "LICENSE",
    } <= names
    assert [name for name in names if "__pycache__" in name or name.startswith(".ansible/")] == []
    # A message names no page that only the checkout has.
    assert named <= names
