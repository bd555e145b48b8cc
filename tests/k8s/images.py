"""The file systems that this tier starts from: that of its nodes, and that of its containers."""

from __future__ import annotations

from tests.host import image
from tests.images import Image

# A node is a host like those of the tier `host`, with what those have of the libraries: a test runs
# the program on the node, too. iptables is what plugins of CNI write their rules by.
NODE = Image(
    "kubernetes-node",
    "trixie",
    f"{image.PACKAGES['bookworm']},containerd,runc,procps,openssh-server"
    ",containernetworking-plugins,iptables",
    image.SETUP,
    image.CUSTOMIZE + "systemctl --root=. --quiet disable containerd ssh.service\n",
)

_WITHOUT_LISTS = 'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*'
# Stands in for the base that the Dockerfile names, so that the tests need no registry of images: both are a
# Debian with Python and pip.
BASE = Image("container-base", "trixie", "python3,python3-pip", "true", _WITHOUT_LISTS)

image.IMAGES[NODE.name] = NODE
