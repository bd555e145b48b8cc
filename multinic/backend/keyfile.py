"""NetworkManager's keyfiles: where they are, which options they can have, how NetworkManager reads them."""

from __future__ import annotations

import re

from multinic.host.host import Host
from multinic.values.desired import DesiredLink
from multinic.values.errors import CommandFailed

DIRECTORY = "/etc/NetworkManager/system-connections"
MODE = 0o600  # NetworkManager ignores a keyfile that other users may read

_ENTRY = re.compile(r"(?m)^\[(?P<section>[^\]\n]+)\]|^(?P<key>[^#;=\s\[][^=\n]*?)[ \t]*=[ \t]*(?P<value>.*)$")
_DEFAULTS = frozenset({"", "true", "false", "auto", "default", "0", "-1"})
"""Values that NetworkManager may leave out although it has understood them."""
_OFFLINE_UNKNOWN = 2  # exit status of nmcli before 1.38, which has no --offline


def path_of(name: str) -> str:
    return f"{DIRECTORY}/{name}.nmconnection"


def uuid_for(name: str, link: DesiredLink) -> str:
    """Return the identifier of a connection; it is always the same for the same link in the same slot.

    Another link in that slot gets another identifier, so that the connection of the earlier link ends.
    """
    from uuid import UUID, uuid5

    return str(uuid5(UUID("6d1e1b02-8b0c-5f3e-9d0a-5a1c6f0e7c11"), f"{name} {link.mac}"))


def uuid_in(host: Host, name: str) -> str:
    """Return the identifier in the keyfile of a link; "" where there is none."""
    return _entries(host.read(path_of(name)) or "").get(("connection", "uuid"), "")


def unsupported(wish: DesiredLink | None) -> str:
    """Return why a keyfile cannot have an option of a row; "" if it can have them all."""
    if wish is None:
        return ""
    options = wish.options
    items = (*wish.addresses, *(route.to for route in wish.routes))
    versions: set[int] = {*wish.link_local, *(item.version for item in items)}
    if options.dhcp4:
        versions.add(4)  # IPv6 from outside needs link-local addresses anyway
    if 6 in versions and 6 not in wish.link_local:
        return f"options.link_local of row {wish.row_id}: with IPv6 it always gives a link-local address"
    for server in options.dns:
        if server.version not in versions:
            return (
                f"options.dns of row {wish.row_id}: it takes {server} only on a link with IPv{server.version}"
            )
    if options.search and not versions:
        return f"options.dns.search of row {wish.row_id}: it takes domains only on a link with addresses"
    return ""


def objection(host: Host, name: str, text: str) -> str:
    """Return the objection of NetworkManager's reader to a keyfile; "" for none. Raises CommandFailed."""
    command = ("nmcli", "--offline", "connection", "modify", "connection.id", name)
    try:
        understood = host.run(*command, changes=False, stdin=text)
    except CommandFailed as e:
        if e.status is None:
            raise
        words = " ".join(e.stderr.replace("Error: ", "").split())
        return "" if e.status == _OFFLINE_UNKNOWN else words[:300] or "nmcli refused it"
    left_out = {entry: value for entry, value in _entries(text).items() if value not in _DEFAULTS}
    for section, key in left_out.keys() - _entries(understood).keys():
        return f"it does not understand {key}={left_out[section, key]} in [{section}]"
    return ""


def _entries(text: str) -> dict[tuple[str, str], str]:
    section, found = "", {}
    for match in _ENTRY.finditer(text):
        if match["section"]:
            section = match["section"]
        else:
            found[section, match["key"]] = match["value"].strip()
    return found
