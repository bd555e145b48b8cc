"""Put back what a checkpoint on disk says: after an interrupted change, or when an operator wants it."""

from __future__ import annotations

from multinic import backend, checkpoint
from multinic.errors import MultinicError
from multinic.host import Host
from multinic.links import Links
from multinic.lock import only_one
from multinic.log import Log
from multinic.observe import links as current_links
from multinic.paths import CHECKPOINT, LAST_CHECKPOINT


def recover(host: Host, log: Log) -> bool:
    """Put back what an interrupted run left half done; return whether there was anything.

    What cannot be put back is told and not tried for ever: the pass that follows plans from what
    is there, and `multinic rollback` still has the checkpoint.
    """
    try:
        saved = checkpoint.load(host, CHECKPOINT)
        if saved is None:
            return False
        log.warning("a change was interrupted; its interfaces are put back as they were", reason="recovered")
        _restore(host, saved)
    except MultinicError as e:
        log.error(f"could not put everything back: {e}", hint=e.hint)
    checkpoint.commit(host)
    return True


def rollback(host: Host, log: Log, *, interrupted_only: bool = False) -> bool:
    """Put back an interrupted change, else the last finished one; return whether there was any.

    Raises Locked, HostError, and ConfigError for a backend that this version does not have.
    """
    with only_one(host):
        if recover(host, log):
            return True
        saved = None if interrupted_only else checkpoint.load(host, LAST_CHECKPOINT)
        if saved is None:
            return False
        log.warning("the last change is undone", reason="rollback")
        _restore(host, saved)
        host.remove(LAST_CHECKPOINT)
        return True


def _restore(host: Host, saved: checkpoint.Checkpoint) -> None:
    # Usable or not: files and links can be put back before a network service runs, or after it was removed.
    chosen = backend.named(saved.backend)
    with Links(host) as links:
        checkpoint.restore(
            host, links, saved.interfaces, reload=lambda: chosen.reload(host), observe=current_links
        )
