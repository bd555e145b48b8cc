"""Properties of one link besides its name, state, MTU and addresses, each as a field with a text. Pure.

We set kernel variables, offloads, queue length and description ourselves, with every backend: a pass sets
each one that differs. The record keeps what the link had before us, and it is set back when no row asks for
the property any more. values/fields.py names them; the room kernel reads and sets them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from multinic.values.desired import DesiredLink
from multinic.values.fields import LARGER_OF_ALL, OFFLOAD
from multinic.values.plan import Change


def wanted(link: DesiredLink, of_backend: Mapping[str, str]) -> dict[str, str]:
    """Return the properties that a link shall have; `of_backend`: those that its backend leaves to us."""
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
    """Yield the properties to set, and to set back, on a link that has `present` and had `before` before us.

    A property that only a backend asks for is left out if the kernel does not have it: a kernel without IPv6
    accepts no router advertisements anyway.
    """
    for field, value in sorted(fields.items()):
        if present.get(field, "") != value and (field in present or field not in of_backend):
            yield Change(field, present.get(field), value)
    for field, value in sorted(before.items()):
        if field not in fields and field in present and present[field] != value:
            yield Change(field, present[field], value)


def overruled(fields: Mapping[str, str], of_all: Mapping[str, str]) -> str:
    """Return a field that has no effect because the variable of `all` is larger; "" for none."""
    for field in LARGER_OF_ALL:
        if field in fields and int(of_all.get(field, "0")) > int(fields[field]):
            return field
    return ""
