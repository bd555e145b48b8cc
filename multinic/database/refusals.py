"""What a MySQL or MariaDB server refuses with: try later, or have it corrected, and how. Pure."""

from __future__ import annotations

import re

_GRANT = (
    "grant the user SELECT, and UPDATE of netplan_success and modified_at: `multinic db grants` prints the "
    "statements"
)
_WRONG_LOGIN = "correct database.url's user or the password"
_NOT_OURS = "this is not the table of the MultiNIC controller"
_VIEW = (
    "multi_interface is a view or a column of it is computed: let it be a table whose column netplan_success "
    "may be written"
)
_OTHER_LOGIN = "let this user log in by mysql_native_password, or by caching_sha2_password"
_OWN_USER = (
    "this user may log in only as that user of the database server's own machine (unix_socket, auth_socket): "
    "create a user with a password for multinic; `multinic db grants` prints the statements"
)
_EXPIRED = "the password has expired: give the user a new one, for example with PASSWORD EXPIRE NEVER"
_LOCKED = "as an administrator of the database: ALTER USER … ACCOUNT UNLOCK"
_TLS = "the server lets nobody in without TLS: add ?ssl_ca=/path/of/the/authority.pem to database.url"

REFUSALS = {
    1044: _GRANT,
    1045: _WRONG_LOGIN,
    1054: _NOT_OURS,
    1064: "what answers there does not understand multinic's SQL: it must be MySQL, MariaDB or like them",
    1130: "create the user for this host's address, or for '%': `multinic db grants` prints the statements",
    1142: _GRANT,
    1143: _GRANT,
    1227: _GRANT,
    1251: _OTHER_LOGIN,
    1275: _OTHER_LOGIN,
    1288: _VIEW,
    1348: _VIEW,
    1356: "correct the view, or the rights of the user who defined it",
    1370: _GRANT,
    1524: _OTHER_LOGIN,
    1698: _OWN_USER,
    1820: _EXPIRED,
    1862: _EXPIRED,
    1906: _VIEW,
    2059: _OTHER_LOGIN,
    3105: _VIEW,
    3118: _LOCKED,
    3159: _TLS,
    4151: _LOCKED,
}
"""Number → what to do. The server answered and said no: to try again does not help, a person must act."""

MISSING_TABLE, MISSING_COLUMN, MISSING_DATABASE, INCOMPARABLE = 1146, 1054, 1049, 1267
DENIED = (1142, 1143)
CONFLICTS = (1205, 1213)
"""A lock that was not let go in time, a deadlock."""
NODE_TABLE = re.compile(r"\bnode_table\b")


def of_the_server(code: int) -> bool:
    """Return whether a number is the server's and not the client's."""
    return 1000 <= code < 2000 or code >= 3000


def login_hint(*, tls: bool, certificate: bool) -> str:
    """Return what may be wrong where the server denies access: it says no more than that."""
    if not tls:
        return f"{_WRONG_LOGIN}; if the user must use TLS (REQUIRE SSL), add ?ssl_ca=… to database.url"
    if not certificate:
        return f"{_WRONG_LOGIN}; if the user needs a certificate (REQUIRE X509), add ssl_cert= and ssl_key="
    return f"{_WRONG_LOGIN}, or the certificate of ssl_cert"
