"""Render desired links into the text of files: strict Jinja2 templates, which an operator may override."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multinic.values.errors import ConfigError
from multinic.values.paths import TEMPLATES

BANNER = "Managed by multinic. Changes here are undone: change the database, or /etc/multinic/templates."


def shipped() -> Path:
    """Return the directory of the templates that come with multinic."""
    package = Path(__file__).parents[1]
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


def overrides_in(directory: str) -> list[Path]:
    """Return the templates of the operator in this directory."""
    return sorted(Path(directory).rglob("*.j2")) if os.path.isdir(directory) else []


def fingerprint(overrides: str) -> list[list[object]]:
    """Return path, size and time of all templates: they differ after a change, and no template is read."""
    found: list[list[object]] = []
    for directory in (shipped(), Path(overrides)):
        if not directory.is_dir():
            continue
        for path in sorted(directory.rglob("*.j2")):
            status = path.stat()
            found.append([str(path), status.st_size, status.st_mtime_ns])
    return found


class Renderer:
    """The templates, loaded once in a pass, and only if something must be rendered."""

    def __init__(self, overrides: str) -> None:
        import jinja2  # a converged host renders nothing
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        self._environment = ImmutableSandboxedEnvironment(
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
        except Exception as e:  # noqa: BLE001 - an operator's template may raise any exception
            place = getattr(e, "filename", None) or template
            line = getattr(e, "lineno", None)
            words = getattr(e, "message", None) or str(e)
            raise ConfigError(
                f"template {place}{f', line {line}' if line else ''}: {words}",
                f"correct it, or remove it from {TEMPLATES} to use the one that comes with multinic",
            ) from None
