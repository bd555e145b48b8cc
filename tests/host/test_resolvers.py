"""The rpm and the programs that resolve its dependencies, dnf and zypper: which Python comes with it.

What a distribution offers is made up here, by packages of its names and versions that hold nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.host.image import build_image
from tests.hosts import run
from tests.packages import build

TOOLS = ("dnf", "zypper", "createrepo_c", "rpmbuild")
# Where the tier is required, what lacks is a failure.
pytestmark = pytest.mark.skipif(
    "MULTINIC_TEST_REQUIRE" not in os.environ and any(shutil.which(tool) is None for tool in TOOLS),
    reason=f"not all of {', '.join(TOOLS)} are here",
)
SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: A name and a version
License: MIT
BuildArch: noarch
{provides}
%description
Nothing else.
%files
"""
# What every system has of what the package asks for.
BASE = {"bash": "5.1", "systemd": "249", "util-linux": "2.37", "findutils": "4.8", "grep": "3.1"}
# Installs, updates and removes in a root that is gone afterwards, for all that its scripts need.
LIFE = """\
set -eu
image=$1 old=$2 new=$3
shift 3
mount -t tmpfs tmpfs /mnt
mkdir /mnt/changes /mnt/work /mnt/root /mnt/repository
mount -t overlay overlay -o "lowerdir=$image,upperdir=/mnt/changes,workdir=/mnt/work" /mnt/root
mount -t proc proc /mnt/root/proc
mount --bind /dev /mnt/root/dev

offer() {
    cp -a "$@" /mnt/repository
    rm -rf /mnt/repository/repodata
    createrepo_c --quiet /mnt/repository
}
offer "$old"/*.rpm
if [ "$1" = zypper ]; then
    # As for an image that is made with its settings.
    mkdir --parents /mnt/root/etc/multinic
    printf '[database]\\nurl = "mysql://multinic@db1/multinic"\\n' >/mnt/root/etc/multinic/multinic.toml
fi
[ "$1" = dnf ] || "$@" addrepo --refresh --no-gpgcheck dir:/mnt/repository offered
"$@" install multinic
echo "== installed: $(chroot /mnt/root multinic --version)"
[ "$1" = dnf ] || ls /mnt/root/etc/systemd/system/timers.target.wants/multinic.timer
touch /mnt/root/usr/share/multinic/multinic/__pycache__/gone.cpython-311.pyc
offer "$new"/*.rpm
"$@" update multinic
echo "== updated: $(chroot /mnt/root multinic --version)"
(cd /mnt/root/usr/share/multinic/multinic && ls __pycache__/gone* __pycache__/__init__* || :)
"$@" remove multinic
echo "== removed: $(ls -d /mnt/root/usr/share/multinic 2>&1 || :)"
"""


def resolver(tool: str, root: Path, repository: Path, work: Path) -> list[str]:
    """Return the command that works on a root, and has what a repository offers and nothing else."""
    if tool == "zypper":  # its repositories are kept in the root
        return ["zypper", f"--root={root}", "--non-interactive", "--no-gpg-checks"]
    options = [
        f"--setopt={name}" for name in ("reposdir=/nonexistent", "offered.gpgcheck=0", "metadata_expire=0")
    ]
    options += [f"--setopt=cachedir={work}", f"--repofrompath=offered,file://{repository}"]
    return ["dnf", f"--installroot={root}", "--assumeyes", "--noplugins", "--releasever=1", *options]


@dataclass(frozen=True)
class Distribution:
    """What a distribution offers of Python, and which of them the package is to bring along."""

    tool: str
    offered: Mapping[str, str]
    chosen: str | None
    """None: there is none that is new enough."""


DISTRIBUTIONS = {
    "SLES 15": Distribution("zypper", {"python3": "3.6.15", "python311": "3.11.10"}, "python311"),
    "Leap 15": Distribution("zypper", {"python3": "3.6.15", "python312": "3.12.6"}, "python312"),
    "SLES 16": Distribution("zypper", {"python313": "3.13.1"}, "python313"),
    "RHEL 9": Distribution("dnf", {"python3": "3.9.21", "python3.12": "3.12.8"}, "python3.12"),
    "RHEL 10": Distribution("dnf", {"python3": "3.12.8"}, "python3"),
    "SLES 15 without its modules": Distribution("zypper", {"python3": "3.6.15"}, None),
    "RHEL 9 without AppStream": Distribution("dnf", {"python3": "3.9.21"}, None),
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return directories with our package, an older and a newer one."""
    made = [tmp_path_factory.mktemp(f"release-{release}") for release in "12"]
    for directory, release in zip(made, "12", strict=True):
        build("rpm", directory, release)
    return made


def offer(directory: Path, packages: Mapping[str, str]) -> None:
    """Make packages of these names and versions."""
    for name, version in packages.items():
        provides = "Provides: /bin/sh" if name == "bash" else ""
        spec = directory / f"{name}.spec"
        spec.write_text(SPEC.format(name=name, version=version, provides=provides))
        places = ("--define", f"_rpmdir {directory}", "--define", f"_topdir {directory}/top")
        run("rpmbuild", "--quiet", "-bb", *places, "--define", "_rpmfilename %{NAME}.rpm", spec)


def environment(directory: Path) -> dict[str, str]:
    """Return what keeps a resolver from this machine's own places, and from its language."""
    return {**os.environ, "ZYPP_LOGFILE": str(directory / "log"), "LC_ALL": "C.UTF-8", "HOME": "/root"}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_package_brings_a_python_that_is_new_enough(
    name: str, packages: list[Path], tmp_path: Path
) -> None:
    distribution = DISTRIBUTIONS[name]
    repository, root = tmp_path / "repository", tmp_path / "root"
    shutil.copytree(packages[0], repository)
    offer(repository, {**BASE, **distribution.offered})
    run("createrepo_c", "--quiet", repository)
    command = resolver(distribution.tool, root, repository, tmp_path / "cache")
    if distribution.tool == "zypper":
        run(*command, "addrepo", "--no-gpgcheck", f"dir:{repository}", "offered", env=environment(tmp_path))
        command += ["install", "--dry-run"]
    else:
        command += ["--assumeno", "install"]

    done = run(*command, "multinic", env=environment(tmp_path), check=False)

    said = done.stdout + done.stderr
    if distribution.chosen is None:
        assert "nothing provides (python3 >= 3.10 or " in said
    else:
        words = set(said.split())
        assert {"multinic", "util-linux", distribution.chosen} <= words
        assert not words & (distribution.offered.keys() - {distribution.chosen})


@pytest.mark.parametrize("tool", ["dnf", "zypper"])
def test_the_package_is_installed_updated_and_removed(
    tool: str, packages: list[Path], tmp_path: Path
) -> None:
    old, new = tmp_path / "old", packages[1]
    shutil.copytree(packages[0], old)
    offer(old, {**BASE, "python3": "3.6.15", "python311": "3.11.10"})
    command = resolver(tool, Path("/mnt/root"), Path("/mnt/repository"), Path("/mnt/cache"))
    script = ("unshare", "--mount", "--pid", "--fork", "sh", "-c", LIFE, "sh")

    done = run(*script, build_image("bookworm"), old, new, *command, env=environment(tmp_path), timeout=300)

    assert "scriptlet failed" not in done.stdout + done.stderr
    installing, installed, updated = done.stdout.partition("== installed: multinic ")
    assert installed
    if tool == "zypper":
        assert "names a database: enabling multinic.timer\n" in installing  # nothing is started in an image
    else:
        assert "multinic: nothing is configured yet" in installing
    _, found, removing = updated.partition("== updated: multinic ")
    assert found
    listed = removing.split("\n")[1:2]
    assert listed[0].startswith("__pycache__/__init__.cpython-311"), "byte code of the new version alone"
    assert "/usr/share/multinic': No such file" in removing.partition("== removed: ")[2]
