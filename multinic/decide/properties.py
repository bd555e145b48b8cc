"""Properties of one link besides its name, state, MTU and addresses, each as a field with a text. Pure.

Kernel variables, offloads, queue length and alias are set by us whatever the backend: what a pass finds
different it sets, and what the link had before us is remembered and set back when nobody asks for it any
more. fields.py names them, properties.py reads and configure.py sets them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from multinic.fields import LARGER_OF_ALL, OFFLOAD
from multinic.model import DesiredLink
from multinic.plan import Change


def wanted(link: DesiredLink, of_backend: Mapping[str, str]) -> dict[str, str]:
    """Return what a link shall have, by field; `of_backend` is what its backend leaves to us."""
    options = link.options
    found = dict(of_backend)
    for field in LARGER_OF_ALL:
        if (value := getattr(options, field)) is not None:
            found[field] = str(value)
    for name, on in options.ethtool:
        found[f"{OFFLOAD}{name}"] = "on" if on else "off"
    if options.txqueuelen is not None:
        found["txqueuelen"] = str(options.txqueuelen)
    if options.description:
        found["description"] = options.description
    return found


def changes(
    fields: Mapping[str, str],
    of_backend: Mapping[str, str],
    present: Mapping[str, str],
    before: Mapping[str, str],
) -> Iterator[Change]:
    """Yield what must be set, and set back, on a link that has `present` and had `before` before us.

    What only a backend asks for and the kernel does not know needs nothing: no IPv6, no advertisements.
    """
    for field, value in sorted(fields.items()):
        if present.get(field, "") != value and (field in present or field not in of_backend):
            yield Change(field, present.get(field, ""), value)
    for field, value in sorted(before.items()):
        if field not in fields and field in present and present[field] != value:
            yield Change(field, present[field], value)


def overruled(fields: Mapping[str, str], of_all: Mapping[str, str]) -> str:
    """Return the field of a kernel variable that has no effect here; "" for none."""
    for field in LARGER_OF_ALL:
        if field in fields and int(of_all.get(field, "0")) > int(fields[field]):
            return field
    return ""
