"""A backend whose service does not run or is not installed any more, for `purge`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multinic.backend.base import Backend, Staged
from multinic.backend.detect import NETWORKD, UDEV, running
from multinic.backend.netlink import Netlink
from multinic.backend.steps import reload_udev
from multinic.host.host import Host
from multinic.kernel.faults import Faults
from multinic.kernel.links import Links
from multinic.values.desired import DesiredLink
from multinic.values.plan import Interface


class WithoutService(Netlink):
    """The files of one backend, and netlink for the links: no service uses these files any more."""

    def __init__(self, known: Backend) -> None:
        self.name, self._known = known.name, known

    def mode(self, path: str) -> int:
        return self._known.mode(path)

    def properties(self, link: DesiredLink) -> Mapping[str, str]:
        return self._known.properties(link)

    def slot_of_file(self, path: str) -> int | None:
        return self._known.slot_of_file(path)

    def managed(self, host: Host) -> Sequence[str]:
        return self._known.managed(host)

    def stage(self, host: Host, interfaces: Sequence[Interface]) -> Staged:
        """Return the files that the service made from ours, to remove them too."""
        made = [path for i in interfaces for path in self._known.traces(host, i.name)]
        return Staged(dict.fromkeys(made))

    def may_own(self, host: Host, port: int) -> bool:
        return self._known.may_own(host, port)

    def activate(
        self, host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
    ) -> None:
        """Remove the files that were made from ours, then free the links."""
        for path, file in sorted(staged.runtime.items()):
            host.restore(path, file)
        if running(host, UDEV):  # or udev would give a renamed link the settings of its removed file again
            reload_udev(host)
        self.reload(host, ())
        super().activate(host, links, interfaces, staged, faults)

    def reload(self, host: Host, names: Sequence[str]) -> None:
        """Have networkd read its files again, if it runs."""
        if running(host, NETWORKD):
            host.run("networkctl", "reload")
