"""The statements that give each user what it needs and no more. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from multinic.database.tables import EVENT, INTERFACE, NODE

OF_HOSTS = {
    NODE: ("INSERT", "UPDATE", "DELETE"),
    INTERFACE: ("INSERT", "UPDATE", "DELETE"),
    EVENT: ("INSERT", "DELETE"),
}
"""What the hosts may do with our own tables besides reading."""
ADMINISTRATOR, DASHBOARD = "multinic-admin", "multinic-dashboard"
_PLACEHOLDER = "'choose a password'"


def statements(user: str, name: str) -> Mapping[str, list[str]]:
    """Return the statements for the administrator, the user of the hosts and the dashboard, in this order.

    `name` is the database's. An administrator of the server runs them, with passwords of his own.
    """
    database = f"`{name.replace('`', '``')}`"
    # Rights on a database are rights on a pattern: in a name, _ and % stand for themselves only so.
    pattern = database.replace("_", "\\_").replace("%", "\\%")
    hosts, administrator, dashboard = map(_quoted, (user, ADMINISTRATOR, DASHBOARD))
    return {
        "an administrator, who runs `multinic db init` or `multinic db migrate` now": [
            _user(administrator),
            f"GRANT SELECT, INSERT, CREATE, ALTER, INDEX ON {pattern}.* TO {administrator}",
        ],
        "the hosts, once the tables are there: they read, and write two columns and our own tables": [
            _user(hosts),
            f"GRANT SELECT ON {pattern}.* TO {hosts}",
            f"GRANT UPDATE (netplan_success, modified_at) ON {database}.multi_interface TO {hosts}",
            *(
                f"GRANT {', '.join(rights)} ON {database}.{table} TO {hosts}"
                for table, rights in OF_HOSTS.items()
            ),
        ],
        "a dashboard: it reads": [_user(dashboard), f"GRANT SELECT ON {pattern}.* TO {dashboard}"],
    }


def _user(account: str) -> str:
    return f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY {_PLACEHOLDER}"


def _quoted(name: str) -> str:
    """Return the account of a user who may come from anywhere."""
    text = name.replace("\\", "\\\\").replace("'", "''")
    return f"'{text}'@'%'"
