"""A network namespace that ends with this process; without root it is in a user namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from multinic.values.errors import HostError, Refused
from multinic.values.settings import KEYS

_OUTSIDE = "MULTINIC_DEMO_OUTSIDE"  # the machine's own network namespace, for this program inside the new one
_LIMIT = 10.0  # seconds; making a namespace takes milliseconds
_SYSCTL = "/proc/sys"
# In a container, root may make a namespace but change nothing in it: without CAP_NET_ADMIN no link
# (SIOCSIFFLAGS, IFF_UP), and no variable where /proc/sys is mounted read-only.
_CHANGE = """\
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", 1))
open("/proc/sys/net/ipv4/conf/lo/forwarding", "r+").close()
"""


def inside() -> bool:
    """Return whether `enter` started this process. Raises Refused if it is not in another namespace."""
    outside = os.environ.get(_OUTSIDE, "")
    if outside == _namespace():
        raise Refused("this is not a network namespace of the demo; nothing was changed", f"unset {_OUTSIDE}")
    return bool(outside)


def _namespace() -> str:
    return os.readlink("/proc/self/ns/net")


def enter(*arguments: str) -> NoReturn:
    """Replace this process by multinic, with these arguments, in a new namespace. Raises HostError."""
    command = [*_unshare(), sys.executable, "-m", "multinic", *arguments]
    sys.stdout.flush()
    os.execve(command[0], command, environment() | {_OUTSIDE: _namespace()})  # noqa: S606 - no shell on purpose


def environment() -> dict[str, str]:
    """Return the environment without settings of multinic, so that the demo reaches no real database."""
    our_variables = {variable for key in KEYS for variable in (key.variable, *key.variables)}
    kept = {
        name: text
        for name, text in os.environ.items()
        if name not in our_variables
        and not name.startswith(("DB_", "MULTINIC_"))
        and name not in ("HEALTH_PORT", "CREDENTIALS_DIRECTORY")
    }
    # The processes that this one starts in another directory shall find the same package.
    found = str(Path(__file__).parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [found, os.environ.get("PYTHONPATH", "")]))
    return kept


def _unshare() -> list[str]:
    """Return the command that makes the namespace; it was tried first. Raises HostError if none works."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/bin", "/bin"])
    unshare = shutil.which("unshare", path=path)
    if unshare is None:
        raise HostError(
            "unshare is not installed", "install util-linux (Debian, Ubuntu: apt-get install util-linux)"
        )
    as_root = [unshare, "--net"]
    as_user = [unshare, "--user", "--map-root-user", "--net"]
    said = ""
    for command in [as_root, as_user] if os.geteuid() == 0 else [as_user]:
        tried = subprocess.run(
            [*command, sys.executable, "-IS", "-c", _CHANGE],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_LIMIT,
            check=False,
        )
        if tried.returncode == 0:
            return command
        said = said or tried.stderr.strip().rpartition("\n")[2]
    raise HostError(f"you cannot make and change a network namespace on this machine ({said})", _remedy())


def _remedy() -> str:
    """Return what to do if user namespaces are switched off; each distribution has its own switch."""
    if os.geteuid() == 0:
        return "in a container, run the container with --privileged, or the demo on its host"
    if _sysctl("kernel/unprivileged_userns_clone") == "0":  # Debian's and its hardened kernels'
        return "run it as root, or allow user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1"
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":  # Ubuntu 23.10 and later
        return (
            "AppArmor keeps user namespaces from programs without a profile: run it as root, "
            "or allow them: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if _sysctl("user/max_user_namespaces") == "0":  # RHEL's switch
        return "run it as root, or allow user namespaces: sudo sysctl user.max_user_namespaces=10000"
    return "run it as root"


def _sysctl(name: str) -> str:
    try:
        return Path(_SYSCTL, name).read_text(encoding="ascii").strip()
    except OSError:
        return ""
