"""The file systems that the test hosts boot from: small Debians with netplan, systemd-networkd and udev.

Built once per recipe with mmdebstrap, from the mirror that it uses by default on this machine, and kept in
the user's cache directory. Boxes only read it: each writes to a layer of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BASE = "systemd-sysv,udev,dbus,iproute2,netplan.io,ethtool,iputils-ping,python3"
# What the program needs to run, as its Debian package would depend on it, and coverage to measure that.
_LIBRARIES = "python3-click,python3-jinja2,python3-pymysql,python3-pyroute2,python3-rich,python3-coverage"
PACKAGES = {
    # Its Python is older than the program allows: that of another image is lent to it (nspawn.py).
    "bullseye": _BASE,
    "bookworm": f"{_BASE},{_LIBRARIES}",
    "trixie": f"{_BASE},{_LIBRARIES},network-manager",
}
"""What is in the image of each suite. Kinds of hosts that share one take away what they have not."""
UNWANTED = ("man", "doc", "locale", "info")

# As installed hosts have it; of bullseye's packages each would make its own /bin.
SETUP = """\
set -eu
cd "$1"
for directory in bin sbin lib lib64; do
    mkdir -p "usr/$directory"
    [ -e "$directory" ] || ln -s "usr/$directory" "$directory"
done
"""

# systemd runs with a writable /proc/sys and /sys in a box (udev needs that), so what sets the kernel of the
# whole machine is masked, and udev looks at the network links of the box only. The rest saves time at boot.
# The first lines of the hook undo what mmdebstrap copies from the machine that it runs on.
CUSTOMIZE = r"""
set -eu
cd "$1"
rm -f etc/hostname etc/resolv.conf
: > etc/machine-id
for unit in \
    systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service systemd-random-seed.service \
    proc-sys-fs-binfmt_misc.automount apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    systemd-tmpfiles-clean.timer console-getty.service ldconfig.service systemd-journal-catalog-update.service
do
    ln -s /dev/null "etc/systemd/system/$unit"
done
mkdir -p etc/systemd/system/systemd-udev-trigger.service.d etc/netplan srv/checkout srv/coverage
cat > etc/systemd/system/systemd-udev-trigger.service.d/only-links.conf <<END
[Service]
ExecStart=
ExecStart=udevadm trigger --type=devices --action=add --subsystem-match=net
END
touch etc/.updated var/.updated
# The checkout is read-only in a box, so its byte code goes here; the libraries' is made now.
if [ -e usr/lib/python3/dist-packages/click ]; then
    PYTHONPYCACHEPREFIX=/var/cache/pycache chroot . python3 -c '
import click, coverage.cmdline, jinja2, pymysql, pyroute2
import rich.console, rich.logging, rich.progress, rich.syntax, rich.table
import concurrent.futures, http.server, logging.handlers, runpy, sqlite3, ssl, tomllib'
fi
rm -rf var/lib/apt/lists/* var/cache/apt/* var/log/* tmp/*
"""


def cache() -> Path:
    """Return the directory that images are kept in."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "multinic-tests"


def image_path(suite: str = "trixie") -> Path:
    """Return where the image of this recipe is, or will be."""
    recipe = "\n".join((suite, PACKAGES[suite], *UNWANTED, SETUP, CUSTOMIZE))
    return cache() / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def build_image(suite: str = "trixie") -> Path:
    """Return the directory with the image, built if this recipe was not yet."""
    image = image_path(suite)
    if image.exists():
        return image
    image.parent.mkdir(parents=True, exist_ok=True)
    with _lock(image.with_suffix(".lock")):
        if not image.exists():
            _build(suite, image)
    return image


def _build(suite: str, image: Path) -> None:
    for left_over in image.parent.glob(f"{image.name}.build-*"):  # of a run that was killed
        subprocess.run(["rm", "-rf", "--one-file-system", left_over], check=True)
    work = Path(tempfile.mkdtemp(prefix=f"{image.name}.build-", dir=image.parent))
    command = ["mmdebstrap", "--quiet", "--mode=root", "--format=directory", "--variant=minbase"]
    command += ["--aptopt=Acquire::Languages none", f"--include={PACKAGES[suite]}"]
    command += [f"--setup-hook={SETUP}", f"--customize-hook={CUSTOMIZE}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in UNWANTED]
    done = subprocess.run(
        [*command, suite, work / "root"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        timeout=1800,
    )
    if done.returncode:
        raise RuntimeError(f"the image of {suite} could not be built:\n{done.stdout[-4000:]}")
    (work / "root").rename(image)
    work.rmdir()


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
