"""The files of interfaces: rendered anew only where something that goes into them has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from multinic import __version__
from multinic.backend.base import Backend
from multinic.backend.render import Renderer, fingerprint, overrides_in
from multinic.host.host import Host
from multinic.host.trust import check_trusted
from multinic.state.codec import encode
from multinic.values.desired import DesiredLink
from multinic.values.errors import ConfigError
from multinic.values.paths import TEMPLATES
from multinic.values.plan import Plan
from multinic.values.record import Rendered


class Rendering:
    """Renders the files of interfaces, or takes them from the last rendering."""

    def __init__(self, host: Host, chosen: Backend, known: Mapping[str, Rendered]) -> None:
        self._overrides = host.path(TEMPLATES)
        for path in overrides_in(self._overrides):  # each is a program that we would run
            check_trusted(host, f"{TEMPLATES}/{path.relative_to(self._overrides)}")
        self._backend = chosen
        self._inputs = [__version__, chosen.name, fingerprint(self._overrides)]
        self._renderer: Renderer | None = None
        self._known = known
        self.used: dict[str, Rendered] = {}

    def __call__(self, name: str, link: DesiredLink) -> Mapping[str, str]:
        """Return the files of one interface: path → text."""
        wanted = encode(replace(link, row_id=0, port_id=""))
        key = hashlib.sha256(json.dumps([self._inputs, name, wanted]).encode()).hexdigest()
        known = self.used.get(name) or self._known.get(name)
        if known is None or known.key != key:
            known = Rendered(key, dict(self._backend.files(name, link, self._render)))
        self.used[name] = known
        return known.files

    def _render(self, template: str, context: Mapping[str, object]) -> str:
        self._renderer = self._renderer or Renderer(self._overrides)
        return self._renderer(template, context)


def rendered(plan: Plan, rendering: Rendering, names: Sequence[str]) -> dict[str, str]:
    """Return the files of the named interfaces, or of all: path → text. Raises ConfigError."""
    wanted = {i.name: i.desired for i in plan.interfaces if i.desired and i.name}
    if unknown := [name for name in names if name not in wanted]:
        raise ConfigError(
            f"no interface {unknown[0]!r} on this node", f"there are {', '.join(wanted) or 'none'}"
        )
    files: dict[str, str] = {}
    for name, link in wanted.items():
        if not names or name in names:
            files.update(rendering(name, link))
    return files
