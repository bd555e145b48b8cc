"""What a check finds, and what the checks share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from multinic.host import Host
from multinic.settings import Settings

if TYPE_CHECKING:
    from multinic.source.database import Answer, Database
    from multinic.view import View


class Level(str, Enum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    """Good to know; nothing is wrong."""
    WARNING = "warning"
    """It works, and something should be changed."""
    PROBLEM = "problem"
    """Something does not work, or will not."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """One finding: which check, how bad, what was seen, what to do."""

    check: str
    level: Level
    message: str
    hint: str = ""


@dataclass
class Seen:
    """What one check found out and a later one looks at."""

    settings: Settings | None
    """None where they cannot be read."""
    host: Host
    database: Database | None = None
    """The open connection; None where there is none."""
    answer: Answer | None = None
    """The rows of this node, as they came."""
    view: View | None = None
    """The plan, from the database or else from the last known good state."""
