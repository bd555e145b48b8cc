"""The disk that virtual machines start from: a Debian with a kernel, netplan and QEMU's guest agent.

No loop device is needed: mke2fs fills the file system from a directory.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.images import Image

MANAGEMENT_MAC = "52:54:00:99:00:02"
SIZE = "2G"  # sparse: only what is used takes space

# The initramfs has what finds the disk, and no more: emulation takes long to unpack it.
SETUP = """\
set -eu
cd "$1"
mkdir -p etc/initramfs-tools/conf.d usr/share/initramfs-tools/modules.d
printf 'MODULES=list\\nCOMPRESS=zstd\\n' > etc/initramfs-tools/conf.d/vm
printf '%s\\n' virtio_pci virtio_blk ext4 crc32c_generic > usr/share/initramfs-tools/modules.d/vm
"""
# The one NIC that an instance has at first is configured as cloud-init does it. The machine-id is that of a
# host which was booted before, or the presets would run. What is masked only adds load; the kernel confines
# by AppArmor also without its service. containerd runs when a test starts it.
CUSTOMIZE = f"""\
set -eu
cd "$1"
echo node1 > etc/hostname
echo '127.0.0.1 localhost node1' > etc/hosts
echo '/dev/vda / ext4 defaults,noatime 0 1' > etc/fstab
: > etc/resolv.conf
chroot . systemd-machine-id-setup 2>/dev/null
chroot . systemctl --quiet enable systemd-networkd
chroot . systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \\
    e2scrub_all.timer e2scrub_reap.service fstrim.timer ldconfig.service \\
    systemd-journal-catalog-update.service apparmor.service
chroot . systemctl --quiet disable containerd.service
cat > etc/netplan/50-cloud-init.yaml <<END
network:
  version: 2
  ethernets:
    eth0:
      match:
        macaddress: "{MANAGEMENT_MAC}"
      set-name: eth0
      dhcp4: true
END
chmod 600 etc/netplan/50-cloud-init.yaml
rm -rf var/lib/apt/lists/* var/cache/apt/* var/log/* tmp/*
"""
PACKAGES = (
    "linux-image-cloud-amd64,initramfs-tools,zstd,systemd-sysv,udev,dbus,kmod,qemu-guest-agent"
    ",netplan.io,iproute2,ethtool,iputils-ping,python3,apparmor,containerd,runc"
)


@dataclass(frozen=True)
class Disk(Image):
    """An image that is a disk, with the kernel and the initramfs to start it by."""

    @property
    def recipe(self) -> str:
        return "\n".join((super().recipe, "disk", SIZE))

    def finish(self, work: Path) -> Path:
        made, root = work / "made", work / "root"
        made.mkdir()
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy(root / name, made)
        # Younger features than the kernel of an older Debian knows are left out.
        command = ["mke2fs", "-q", "-t", "ext4", "-m", "0", "-O", "^orphan_file,^metadata_csum_seed"]
        command += ["-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", root, made / "disk.img", SIZE]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return made


TRIXIE = Disk("vm", "trixie", PACKAGES, SETUP, CUSTOMIZE)
