"""pyroute2, without a third of it that nothing here uses: 6 MB and 90 ms for every process with a change.

`import pyroute2` imports its database, wireless, nftables and more. Here the package is a module that has not
run yet. It runs when it is asked for a name that is not one of its modules, so nobody sees a difference.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

_NAME = "pyroute2"


def iproute() -> tuple[Any, Any]:
    """Return the class IPRoute and the exception NetlinkError."""
    if _NAME not in sys.modules:
        _delay()
    linux, exceptions = (import_module(f"{_NAME}.{name}") for name in ("iproute.linux", "netlink.exceptions"))
    return linux.IPRoute, exceptions.NetlinkError


def _delay() -> None:
    spec = find_spec(_NAME)
    if spec is None or spec.loader is None:
        return
    package, loader = module_from_spec(spec), spec.loader

    def missing(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if find_spec(f"{_NAME}.{name}"):
            return import_module(f"{_NAME}.{name}")
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, name)

    package.__dict__["__getattr__"] = missing
    sys.modules[_NAME] = package
