"""The program installed by pip into a virtual environment: with `install-units` it runs like a package's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pip
import pytest

from tests import wheel
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.passes import COUNTED, complaints

PLACE = "/opt/multinic"
PROGRAM = f"{PLACE}/bin/multinic"


@pytest.fixture
def installed(clean: Box, tmp_path: Path) -> Iterator[Box]:
    """A host with the wheel in an environment; without a network, it has the distribution's libraries."""
    shutil.copy(wheel.build(tmp_path), clean.shared)
    shutil.copytree(Path(pip.__file__).parent, clean.shared / "pip")
    clean.run("python3", "-m", "venv", "--without-pip", "--system-site-packages", PLACE)
    options = ("--no-index", "--no-deps", "--disable-pip-version-check")
    name = next(clean.shared.glob("*.whl")).name
    clean.run(
        f"{PLACE}/bin/python3", "/srv/shared/pip", "install", *options, f"/srv/shared/{name}", timeout=300
    )
    yield clean
    clean.remove(PLACE)


def test_a_host_is_kept_by_a_wheel(installed: Box) -> None:
    box = installed
    node = Node(box)
    assert box.exists(f"{PLACE}/share/man/man5/multinic.toml.5")
    settings = box.read(f"{PLACE}/share/doc/multinic/multinic.toml")
    assert '#url = ""' in settings
    node.configure(settings.replace('#url = ""', 'url = "sqlite:////srv/shared/multinic.db"'))
    node.attach(0, link="eno1")

    box.run(PROGRAM, "install-units")
    units = [path for path in box.glob("/etc/systemd/system/multinic*") if not path.endswith(".d")]
    assert len(units) == 6
    assert box.run("systemd-analyze", "verify", *units).stderr == ""
    box.write("/etc/systemd/system/multinic.service.d/test.conf", COUNTED)
    box.run("systemctl", "daemon-reload")
    box.run("udevadm", "control", "--reload")
    box.run("systemctl", "enable", "--now", "multinic.timer")
    eventually(lambda: node.flags() == {"port-0": 1}, timeout=60)
    assert box.addresses("multinic0") == ["10.5.0.10/24"]
    assert "multinic.timer is enabled and active" in box.run(PROGRAM, "doctor").stdout
    assert complaints(box) == ""

    box.run("systemctl", "disable", "--now", "multinic.timer")
    box.run(PROGRAM, "purge", "--yes")
    box.run(PROGRAM, "install-units", "--remove")
    assert box.glob("/etc/systemd/system/multinic*") == ["/etc/systemd/system/multinic.service.d"], "by hand"
    assert box.glob("/etc/udev/rules.d/*multinic.rules") == []
