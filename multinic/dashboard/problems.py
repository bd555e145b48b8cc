"""The answer when a page cannot be shown: a code, a sentence, what to do. It has no SQL and no traceback."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

from multinic.dashboard.filters import Invalid
from multinic.dashboard.pages import NotThere
from multinic.dashboard.pool import Busy
from multinic.database.connection import Missing
from multinic.database.status import is_denied
from multinic.values.errors import MultinicError, SourceRejected
from multinic.values.text import printable


class Problem(NamedTuple):
    """Why there is no page."""

    status: HTTPStatus
    code: str
    message: str
    hint: str = ""

    def document(self) -> dict[str, Any]:
        """Return what the API answers."""
        words = {"code": self.code, "message": self.message, "hint": self.hint}
        return {"error": {name: text for name, text in words.items() if text}}


# The sentences are also keys of the catalogues (locale/): a test looks that each is there.
NO_TABLES = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "no-tables",
    "The database has no status tables yet.",
    "Create them with `multinic db migrate`; the hosts fill them with their next full pass.",
)
DENIED = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "not-allowed",
    "The dashboard's user may not read the status tables.",
    "Give it the rights that `multinic db grants` prints.",
)
UNREACHABLE = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "database",
    "The database cannot be read.",
    "The log of the dashboard says why. This page tries again by itself.",
)
BUSY = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "busy",
    "Too many are waiting for the database.",
    "This page tries again by itself.",
)
EXPORTS = Problem(
    HTTPStatus.TOO_MANY_REQUESTS,
    "too-many-exports",
    "Other exports are running.",
    "Try again when they have ended.",
)
UNEXPECTED = Problem(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "unexpected",
    "This page cannot be shown: a bug of multinic.",
    "Report what the log of the dashboard says of it.",
)
NO_PAGE = Problem(HTTPStatus.NOT_FOUND, "not-found", "There is no such page.")
METHOD = Problem(
    HTTPStatus.METHOD_NOT_ALLOWED, "method", "The dashboard changes nothing: it only answers GET."
)
TOKEN = Problem(
    HTTPStatus.UNAUTHORIZED,
    "token",
    "A token is needed.",
    "Send it as `Authorization: Bearer`, or type it as the password; the user name does not matter.",
)
HOST = Problem(
    HTTPStatus.MISDIRECTED_REQUEST,
    "host",
    "The dashboard is not known under this name.",
    "Add the name to dashboard.hosts.",
)
TOO_LONG = Problem(HTTPStatus.REQUEST_URI_TOO_LONG, "too-long", "The address is too long.")
FIXED = (NO_TABLES, DENIED, UNREACHABLE, BUSY, EXPORTS, UNEXPECTED, NO_PAGE, METHOD, TOKEN, HOST, TOO_LONG)


def of_error(error: Exception) -> Problem:
    """Return what to say of an error."""
    if isinstance(error, Invalid):
        return Problem(HTTPStatus.BAD_REQUEST, "invalid", printable(str(error)))
    if isinstance(error, NotThere):
        return Problem(HTTPStatus.NOT_FOUND, "not-found", printable(str(error)))
    if isinstance(error, Missing):
        return NO_TABLES
    if isinstance(error, Busy):
        return BUSY
    if isinstance(error, SourceRejected) and is_denied(error):
        return DENIED
    return UNREACHABLE if isinstance(error, MultinicError) else UNEXPECTED
