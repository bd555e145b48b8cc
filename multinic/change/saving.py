"""All or nothing: save how interfaces are before a change, and restore them if it does not get there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from multinic.backend.base import Backend, Staged
from multinic.change.restore import restore
from multinic.decide.others import bystanders
from multinic.decide.witness import Loss, less
from multinic.host.ending import uninterrupted
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.kernel import observe
from multinic.kernel.links import Links
from multinic.kernel.reach import Database
from multinic.state import checkpoint
from multinic.state.checkpoint import Saved
from multinic.values.errors import HostError
from multinic.values.observed import Surroundings
from multinic.values.plan import Interface, Plan


@dataclass(frozen=True)
class ApplyContext:
    """Where and how a plan is carried out."""

    host: Host
    backend: Backend
    replan: Callable[[], Plan]
    """Makes a new plan from what is observed at that moment."""
    timeout: float
    """How long the kernel may take to agree with the plan, in seconds."""
    database: Database | None
    """None if no network leads to it."""
    log: Log
    probe_addresses: bool
    """Whether the network is asked whether another machine has a new IPv4 address."""
    given_back: list[Loss] = field(default_factory=list)
    """What others lost by the change and got back; filled while it is carried out."""


Withdrawn = Callable[[], frozenset[Hashable]]
"""Return what was taken away by its owner since the change began (kernel/deletions.py)."""


@dataclass(frozen=True)
class Before:
    """How everything was before a change: the interfaces that it is about, and what is of others."""

    interfaces: tuple[Saved, ...]
    bystanders: Surroundings
    withdrawn: Withdrawn

    def others(self) -> Surroundings:
        """Return what bystanders had and have not taken away themselves since."""
        return less(self.bystanders, self.withdrawn())


@contextmanager
def all_or_nothing(
    context: ApplyContext,
    doable: Sequence[Interface],
    around: Surroundings,
    staged: Staged,
    *,
    withdrawn: Withdrawn = frozenset,
    finish: Callable[[Host], None] = checkpoint.commit,
) -> Iterator[Before]:
    """Save how the interfaces are, and restore them if the block raises anything, also for a signal.

    `finish` ends the checkpoint of a block that raised nothing.
    """
    before = Before((), bystanders(doable, around), withdrawn)
    finished = False
    try:
        taken = checkpoint.take(
            context.host,
            context.backend.name,
            doable,
            around,
            lambda name: [path for path in staged.runtime if f"-{name}." in path],
        )
        before = replace(before, interfaces=taken.interfaces)
        yield before
        with uninterrupted():
            finish(context.host)
            finished = True
    except BaseException:
        if not finished:
            with uninterrupted():
                _undo(context, before)
        raise


def _undo(context: ApplyContext, before: Before) -> None:
    """Restore everything and end the checkpoint; if that fails, keep it for `multinic rollback`."""
    finish = checkpoint.discard
    if restore_saved(context, before):
        finish = checkpoint.commit
    elif names := ", ".join(interface.name or interface.key for interface in before.interfaces):
        context.log.warning(f"the change was broken off; restored as before: {names}", reason="recovered")
    try:
        finish(context.host)
    except HostError as e:
        context.log.error(f"could not end the checkpoint: {e}", hint=e.hint)


def restore_saved(context: ApplyContext, before: Before, keys: Collection[str] | None = None) -> str:
    """Restore interfaces (`keys` None: all); return what went wrong, "" for nothing. An error is logged."""
    saved = [i for i in before.interfaces if keys is None or i.key in keys]
    if not saved:
        return ""
    try:
        with Links(context.host) as links:  # a new socket: a signal may have cut a request on the other one
            restore(
                context.host,
                links,
                saved,
                before.others,
                reload=lambda names: context.backend.reload(context.host, names),
                observe=observe.surroundings,
            )
    except HostError as e:
        context.log.error(f"could not restore everything: {e}", hint=e.hint)
        return str(e)
    return ""
