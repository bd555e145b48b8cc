"""The pass that timers run, without click."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from multinic.flow import reconcile as flow
from multinic.host import config, ending
from multinic.host.directories import check_root
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.values.errors import ConfigError, Exit, MultinicError
from multinic.values.paths import AGENT_LOCK
from multinic.values.settings import Settings

_FAILED = (Exit.ERROR, Exit.USAGE)
"""What systemd takes for a failure of the unit (systemd/multinic.service)."""


def run() -> Exit:
    """Do what `multinic reconcile` does without an option: file and environment say all."""
    file = os.environ.get("MULTINIC_CONFIG") or None
    settings = loaded(lambda: config.load(file, {}, os.environ), lambda: Host(_root()))
    host = Host(_root(), command_timeout=settings.command_timeout)
    log = Log(settings.log_format, settings.log_level, config.node_name(settings))
    return reconcile(settings, host, log)


def _root() -> str:
    root = os.environ.get("MULTINIC_ROOT") or "/"
    if root != "/" and os.path.lexists(root):
        check_root(root)
    return root


def loaded(load: Callable[[], Settings], host: Callable[[], Host]) -> Settings:
    """Return the settings; if they are wrong, that is the result of this pass. Raises ConfigError."""
    try:
        return load()
    except ConfigError as e:
        from multinic.flow import broken_off

        broken_off.without_settings(host(), e)
        raise


def reconcile(settings: Settings, host: Host, log: Log) -> Exit:
    """Do one pass, unless an agent does them on this host; a signal ends it in order."""
    if host.present(AGENT_LOCK) and "INVOCATION_ID" in os.environ:  # systemd starts this
        from multinic.agent.alone import refuse_beside_agent

        refuse_beside_agent(host)
    ending.in_order()
    with _cause(host, log):
        status = flow.reconcile(settings, host, log)
        if status in _FAILED:
            _log_cause(host, log)
    return status


@contextmanager
def _cause(host: Host, log: Log) -> Iterator[None]:
    """See to it that the log of a pass says why that failed."""
    try:
        yield
    except MultinicError as e:
        if e.logged and e.exit in _FAILED:
            _log_cause(host, log, str(e))
        raise


def _log_cause(host: Host, log: Log, error: str = "") -> None:
    from multinic.report.log import log_cause

    log_cause(host, log, error)
