"""One line for each decision, as text or JSON. Not `logging`: an idle pass must not pay for its import."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

from multinic.values.text import printable

LEVELS = ("debug", "info", "warning", "error")  # no line has the level "debug"; see `watched`
_JOURNAL = {"warning": "<4>", "error": "<3>"}  # all other lines have the level that the unit sets


class Log:
    """The log of decisions. Fields that are None or an empty text are left out."""

    # No dataclass: making one costs every pass more than writing its methods here.
    def __init__(
        self,
        format: str = "text",  # noqa: A002 - the setting's own name
        level: str = "info",
        node: str = "",
        stream: TextIO | None = None,
    ) -> None:
        self.format, self.level, self.node = format, level, node
        self.stream = stream or sys.stderr
        self.complained = False
        """Whether a line of the level "error" was written."""

    @property
    def watched(self) -> bool:
        """Whether a person reads the log now: on a terminal, or with the level "debug"."""
        return self.level == "debug" or self.stream.isatty()

    def info(self, msg: str, **fields: object) -> None:
        """Log a decision."""
        self._write("info", msg, fields)

    def warning(self, msg: str, **fields: object) -> None:
        """Log something that an operator should look at some time."""
        self._write("warning", msg, fields)

    def error(self, msg: str, **fields: object) -> None:
        """Log something that an operator must look at."""
        self.complained = True
        self._write("error", msg, fields)

    def _write(self, level: str, msg: str, fields: dict[str, object]) -> None:
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        present = {key: value for key, value in fields.items() if value not in (None, "")}
        if self.format == "json":
            import json

            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = json.dumps({"time": now, "level": level, "msg": msg, "node": self.node, **present})
        else:
            name = present.pop("interface_name", "")
            start = f"{name}: " if name and not msg.startswith(f"{name}:") else ""
            mark = "" if level == "info" else f"{level}: "
            line = printable(f"{mark}{start}{msg}")
            if "hint" in present:
                line += f"\n{mark_for(self.stream, level)}  {printable(str(present['hint']))}"
        try:
            print(mark_for(self.stream, level) + line, file=self.stream, flush=True)
        except OSError:
            pass  # the reader went away, or the disk is full; the pass goes on and reports to the database


def mark_for(stream: TextIO, level: str) -> str:
    """Return the prefix that gives a line its level in systemd's journal; "" if the stream goes elsewhere."""
    journal = os.environ.get("JOURNAL_STREAM")
    if not journal or level not in _JOURNAL:
        return ""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return ""
    return _JOURNAL[level] if journal == f"{found.st_dev}:{found.st_ino}" else ""
