"""What installations start: `multinic reconcile`, as timers run it, without click; the rest by the commands.

A timer starts the program 2,880 times a day on every host, always with the same words, and click takes a
fifth of an idle pass. Whatever else is asked for, and whatever goes wrong, is left to the commands: they have
the words for it.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import NoReturn

from multinic.cli import streams


def main() -> None:
    """Be the program."""
    options = {"MULTINIC_HOST_COMMAND", "_MULTINIC_COMPLETE"}  # of the commands
    if sys.argv[1:] == ["reconcile"] and options.isdisjoint(os.environ):
        _reconcile()
    from multinic.cli.commands import main as commands

    commands()


def prepare() -> None:
    """Make the process fit for any command."""
    streams.prepare()
    # The password is in our memory, so there must be no core file. If the kernel passes crashes to a
    # collector all the same, the administrator wants that.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def leave(status: int) -> NoReturn:
    """End the process without taking the interpreter apart.

    That would cost a tenth of an idle pass. Nothing is lost: what a command opened it has closed, and nothing
    waits for the end of the interpreter.
    """
    streams.flush()
    os._exit(status)


def _reconcile() -> NoReturn:
    prepare()
    try:
        from multinic.cli import unattended

        status = unattended.run()
    except BaseException as e:  # noqa: BLE001 - the command raises it again
        _end_by(e)
    leave(status)


def _end_by(error: BaseException) -> NoReturn:
    """End as `multinic reconcile` does if this error ends its pass."""
    from multinic.cli.commands import main as commands
    from multinic.cli.reconcile import reconcile

    def again(*_: object) -> NoReturn:
        raise error

    reconcile.callback = again
    commands()
    leave(1)  # it has left before
