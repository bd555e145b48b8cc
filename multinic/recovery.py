"""Put back what a checkpoint on disk says: after an interrupted change, or when an operator wants it."""

from __future__ import annotations

from multinic import backend, checkpoint
from multinic.host import Host
from multinic.links import Links
from multinic.lock import only_one
from multinic.log import Log
from multinic.observe import links as current_links
from multinic.paths import CHECKPOINT, LAST_CHECKPOINT


def recover(host: Host, log: Log) -> bool:
    """Put back what an interrupted run left half done; return whether there was anything."""
    return _undo(host, CHECKPOINT, log, "a change was interrupted; its interfaces are put back as they were")


def rollback(host: Host, log: Log) -> bool:
    """Put back how the interfaces were before the last change; return whether there was one."""
    with only_one(host):
        return recover(host, log) or _undo(host, LAST_CHECKPOINT, log, "the last change is undone")


def _undo(host: Host, path: str, log: Log, what: str) -> bool:
    saved = checkpoint.load(host, path)
    if saved is None:
        return False
    log.warning(what, reason="recovered")
    chosen, _ = backend.choose(saved.backend, host)
    with Links(host) as links:
        checkpoint.restore(
            host, links, saved.interfaces, reload=lambda: chosen.reload(host), observe=current_links
        )
    host.remove(path)
    return True
