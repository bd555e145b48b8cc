"""Put back what a checkpoint on disk says: after an interrupted change, or when an operator wants it."""

from __future__ import annotations

import os
from dataclasses import replace

from multinic import backend, checkpoint, record
from multinic.ending import uninterrupted
from multinic.errors import MultinicError
from multinic.host import Host
from multinic.links import Links
from multinic.lock import only_one
from multinic.log import Log
from multinic.observe import surroundings
from multinic.paths import CHECKPOINT, LAST_CHECKPOINT, OWN
from multinic.saved import Checkpoint


def recover(host: Host, log: Log) -> None:
    """Put back what an interrupted run left half done, if anything.

    What cannot be put back is told and not tried for ever: the pass that follows plans from what
    is there, and `multinic rollback` still has the checkpoint. Raises HostError where that cannot be kept.
    """
    try:
        _recover(host, log)
    except MultinicError as e:
        if not e.told:
            raise


def rollback(host: Host, log: Log, *, interrupted_only: bool = False) -> bool:
    """Put back an interrupted change, else the last finished one; return whether there was any.

    Raises Locked, HostError, and ConfigError for a backend that this version does not have.
    """
    with only_one(host):
        if _recover(host, log):
            return True
        with uninterrupted():
            saved = None if interrupted_only else checkpoint.load(host, LAST_CHECKPOINT)
            if saved is None:
                return False
            log.warning("the last change is undone", reason="rollback")
            checkpoint.reopen(host)
            try:
                _restore(host, saved)
            except MultinicError:
                checkpoint.commit(host)
                raise
            checkpoint.discard(host)
            return True


def _recover(host: Host, log: Log) -> bool:
    """Put back what was interrupted; return whether there was anything. The log tells its errors."""
    with uninterrupted():
        for directory in OWN:
            host.tidy(directory)
        try:
            saved = checkpoint.load(host, CHECKPOINT)
            if saved is None:
                return False
            words = "a change was interrupted; its interfaces are put back as they were"
            log.warning(words, reason="recovered")
            _restore(host, saved)
        except MultinicError as e:
            log.error(f"could not put everything back: {e}", hint=e.hint)
            checkpoint.commit(host)
            e.told = True
            raise
        checkpoint.discard(host)
        return True


def _restore(host: Host, saved: Checkpoint) -> None:
    # Usable or not: files and links can be put back before a network service runs, or after it was removed.
    chosen = backend.named(saved.backend)
    for directory in sorted({os.path.dirname(path) for i in saved.interfaces for path in i.files}):
        host.tidy(directory)
    with Links(host) as links:
        checkpoint.restore(
            host,
            links,
            saved.interfaces,
            reload=lambda names: chosen.reload(host, names),
            observe=surroundings,
        )
    _remember(host, saved)


def _remember(host: Host, saved: Checkpoint) -> None:
    """Remember of these interfaces what was remembered before the change, and of others what is now."""
    memory = record.load(host)
    changed = {interface.mac for interface in saved.interfaces}
    links = {mac: held for mac, held in memory.links.items() if mac not in changed}
    links |= {i.mac: i.held for i in saved.interfaces if i.mac is not None and i.held is not None}
    if links != memory.links:
        record.save(host, replace(memory, links=links))
