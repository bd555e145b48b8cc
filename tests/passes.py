"""The passes that systemd runs on a host under test: how many there were, and what they said."""

from __future__ import annotations

from tests.hosts import Host

PASSES = "/run/multinic-passes"
# What a test needs and a host does not: passes are counted as they end; coverage and rows are written.
COUNTED = f"""\
[Service]
ExecStopPost=+sh -c 'echo pass >> {PASSES}'
ReadWritePaths=-/srv/coverage -/srv/shared
"""


def passes(host: Host) -> int:
    """Return how many were counted since boot."""
    return host.read(PASSES).count("pass") if host.exists(PASSES) else 0


def show(host: Host, unit: str, name: str) -> str:
    """Return one property of a unit."""
    return host.run("systemctl", "show", f"--property={name}", "--value", unit).stdout.strip()


def idle(host: Host) -> bool:
    """Return whether none runs, and none is about to."""
    units = ("multinic.service", "multinic-hotplug.service")
    return all(show(host, unit, "ActiveState") in ("inactive", "failed") for unit in units) and not host.run(
        "systemctl", "list-jobs", "multinic*", "--no-legend"
    ).stdout.startswith("multinic")


def complaints(host: Host) -> str:
    """Return what our units, and systemd about them, said at level warning or worse."""
    ours = ("--unit=multinic*", "--priority=warning", "--output=cat", "--quiet", "--boot")
    said = host.run("journalctl", "--no-pager", *ours).stdout.splitlines()
    # systemd itself stumbles over the two versions of cgroups that it has in a container here.
    return "\n".join(line for line in said if "cgroup" not in line and "control group" not in line)


def do_pass(host: Host) -> None:
    """Have systemd run one pass, and wait for its end."""
    done = host.run("systemctl", "start", "multinic.service", check=False, timeout=300)
    assert done.returncode == 0, host.run("journalctl", "--no-pager", "--boot", "--unit=multinic*").stdout
