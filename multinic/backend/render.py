"""Desired links into file text: strict Jinja2 templates, each of which an operator may override."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multinic.errors import ConfigError
from multinic.paths import TEMPLATES

BANNER = "Managed by multinic. Changes here are undone: change the database, or /etc/multinic/templates."


def shipped() -> Path:
    """Return the directory of the templates that come with multinic."""
    package = Path(__file__).parent
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


def fingerprint(overrides: str) -> list[list[object]]:
    """Return what changes whenever a template does, without reading one: path, size, time."""
    found: list[list[object]] = []
    for directory in (shipped(), Path(overrides)):
        if not directory.is_dir():
            continue
        for path in sorted(directory.rglob("*.j2")):
            status = path.stat()
            found.append([str(path), status.st_size, status.st_mtime_ns])
    return found


class Renderer:
    """The templates, loaded once a pass and only when something must be rendered."""

    def __init__(self, overrides: str) -> None:
        import jinja2  # a converged host renders nothing

        self._environment = jinja2.Environment(  # noqa: S701 - configuration files, not HTML
            loader=jinja2.FileSystemLoader([overrides, str(shipped())]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def __call__(self, template: str, context: Mapping[str, Any]) -> str:
        """Return the text of one file. Raises ConfigError for a template that cannot be rendered."""
        try:
            return self._environment.get_template(template).render(banner=BANNER, **context)
        except Exception as e:  # noqa: BLE001 - an operator's template may raise whatever Python can
            place = getattr(e, "filename", None) or template
            line = getattr(e, "lineno", None)
            words = getattr(e, "message", None) or str(e)
            raise ConfigError(
                f"template {place}{f', line {line}' if line else ''}: {words}",
                f"correct it, or remove it from {TEMPLATES} to use the one that comes with multinic",
            ) from None
