"""What can go wrong, named by remedy, and the exit statuses that tell a script which it was."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of every command (docs/reference.md lists them for operators)."""

    OK = 0
    ERROR = 1
    """Unexpected: our bug, or a host that does what no host should."""
    USAGE = 2
    """The command line or the configuration must be corrected; 2 is click's own usage status."""
    PENDING = 3
    """`plan --detailed-exitcode`: something would change."""
    PARTIAL = 4
    """Some interfaces failed or were invalid; the rest is fine."""
    REFUSED = 5
    """A safety rule said no; nothing was done."""
    RETRY = 75
    """Try again later (EX_TEMPFAIL of sysexits.h): no database, or another run is busy."""


class MultinicError(Exception):
    """An error an operator can read: what happened, and in `hint` what to do next."""

    exit = Exit.ERROR
    told = False
    """Whether the operator knows of it already, by the log."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(MultinicError):
    """The configuration or the command line is wrong; correct it and run again."""

    exit = Exit.USAGE


class SourceError(MultinicError):
    """The desired state could not be read, so nothing may be changed; try again later."""

    exit = Exit.RETRY


class SourceBusy(SourceError):
    """The database answered and cannot serve us now (too many connections, read-only); try again later."""


class SourceRejected(SourceError):
    """The database answered and said no (password, privileges, schema); an operator must act."""

    exit = Exit.USAGE


class NoSuchDatabase(SourceRejected):
    """The server has no database of that name; `multinic db init` can make it."""


class Refused(MultinicError):
    """Valid but unsafe: a safety rule said no and nothing was done."""

    exit = Exit.REFUSED


class Locked(MultinicError):
    """Another run is busy on this host; the next pass will do."""

    exit = Exit.RETRY


class HostError(MultinicError):
    """The host refused a change or a command of it failed."""


class TooLarge(HostError):
    """A file is larger than any of ours: somebody else's, or damaged."""


class CommandFailed(HostError):
    """A command of the host ended with an error or ran past its limit."""

    def __init__(self, message: str, *, status: int | None, stdout: str = "", stderr: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
