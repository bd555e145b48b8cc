"""One agent on a host, and no timer beside it: the one that starts second says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from multinic.host.host import Host
from multinic.host.lock import held, holder
from multinic.state import agentfile
from multinic.values.errors import ConfigError, HostError, Locked
from multinic.values.paths import AGENT_LOCK

_TIMER = "multinic.timer"
_STOP_TIMER = f"systemctl disable --now {_TIMER}"


@contextmanager
def only_agent(host: Host, listen: str) -> Iterator[None]:
    """Be the agent of this host during the block, and let `multinic status` know.

    Raises Locked while another one runs, ConfigError while the timer runs the passes.
    """
    with held(host, AGENT_LOCK, "an agent runs on this host already", "end that one first"):
        if _timer_is_active(host):
            words = f"{_TIMER} runs the passes of this host: there is nothing to do for an agent beside it"
            raise ConfigError(words, f"if the agent shall run them: {_STOP_TIMER}")
        try:
            with suppress(HostError):  # a full disk keeps no passes from running
                agentfile.write(host, listen)
            yield
        finally:
            with suppress(HostError):
                agentfile.remove(host)


def refuse_beside_agent(host: Host) -> None:
    """Raise Locked if an agent runs on this host: for passes that systemd starts."""
    if who := holder(host, AGENT_LOCK):
        words = f"an agent runs the passes of this host ({who}): {_TIMER} has nothing to do beside it"
        raise Locked(words, f"disable one of the two, for example: {_STOP_TIMER}")


def _timer_is_active(host: Host) -> bool:
    if not host.present("/run/systemd/system"):
        return False
    try:
        return host.run("systemctl", "is-active", _TIMER, changes=False, timeout=5).strip() == "active"
    except HostError:
        return False
