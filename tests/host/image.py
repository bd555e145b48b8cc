"""The file systems that boxes boot from: small Debians with netplan, systemd-networkd and udev.

Boxes only read them: each writes to a layer of its own.
"""

from __future__ import annotations

from pathlib import Path

from tests.images import Image

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


IMAGES = {suite: Image(suite, suite, packages, SETUP, CUSTOMIZE) for suite, packages in PACKAGES.items()}


def build_image(suite: str = "trixie") -> Path:
    """Return the directory with the image, built if this recipe was not yet."""
    return IMAGES[suite].build()
