"""Nodes of a cluster for deploy.sh: booted hosts with the real sshd and containerd, without a kubelet."""

from __future__ import annotations

from dataclasses import replace

from tests.host import image
from tests.host.kinds import NETPLAN
from tests.images import Image

IMAGE = Image(
    "ssh-node",
    "trixie",
    f"{image.PACKAGES['bookworm']},containerd,runc,openssh-server,sudo",
    image.SETUP,
    image.CUSTOMIZE + "systemctl --root=. --quiet disable containerd ssh.service\n",
)
image.IMAGES[IMAGE.name] = IMAGE
NODE = replace(NETPLAN, name=IMAGE.name, suite=IMAGE.name, without=())
