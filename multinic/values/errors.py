"""What can go wrong, named by what to do next, and the exit statuses for scripts."""

from __future__ import annotations

from enum import IntEnum

from multinic.values.asked import Asked


class Exit(IntEnum):
    """Exit statuses of every command (docs/reference.md lists them for operators)."""

    OK = 0
    ERROR = 1
    """Unexpected: a bug of ours, or a host that behaves as no host should."""
    USAGE = 2
    """The command line or the configuration must be corrected; 2 is click's own usage status."""
    PENDING = 3
    """`plan --detailed-exitcode`: something would change."""
    PARTIAL = 4
    """Some interfaces failed or were invalid; the rest is fine."""
    REFUSED = 5
    """A safety rule refused; nothing was done."""
    RETRY = 75
    """Try again later (EX_TEMPFAIL of sysexits.h): no database, or another run is busy."""


class MultinicError(Exception):
    """An error an operator can read: what happened, and in `hint` what to do next."""

    exit = Exit.ERROR
    logged = False
    """Whether it is in the log already: then it is not printed again."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(MultinicError):
    """The configuration or the command line is wrong; correct it and run again."""

    exit = Exit.USAGE


class SourceError(MultinicError):
    """The database could not be read, so nothing may be changed; try again later."""

    exit = Exit.RETRY
    asked: Asked = {}  # noqa: RUF012 - replaced, never changed
    """What was asked of each host until then."""


class SourceBusy(SourceError):
    """The database answered and cannot serve us now (too many connections, read-only); try again later."""


class SourceOutdated(SourceError):
    """The database answered with an older state than this host has read; it may catch up."""


class SourceRejected(SourceError):
    """The database answered and refused (password, privileges, schema); an operator must act."""

    exit = Exit.USAGE


class NoSuchDatabase(SourceRejected):
    """The server has no database of that name; `multinic db init` can make it."""


class Refused(MultinicError):
    """Valid but unsafe: a safety rule refused, and nothing was done."""

    exit = Exit.REFUSED


class Locked(MultinicError):
    """Another run is busy on this host; the next pass does the work."""

    exit = Exit.RETRY


class HostError(MultinicError):
    """The host refused a change, or a command on it failed."""


class TooLarge(HostError):
    """A file is larger than any of ours: it belongs to another program, or is damaged."""


class CommandFailed(HostError):
    """A command on the host ended with an error, or ran longer than its limit."""

    def __init__(self, message: str, *, status: int | None, stdout: str = "", stderr: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
