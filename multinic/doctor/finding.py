"""The finding of a check, and the values that checks share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from multinic.host.host import Host
from multinic.values.settings import Settings

if TYPE_CHECKING:
    from multinic.database.session import Session
    from multinic.database.statement import Answer
    from multinic.flow.view import View


class Level(str, Enum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    """Good to know; nothing is wrong."""
    WARNING = "warning"
    """It works, but something should be changed."""
    PROBLEM = "problem"
    """Something does not work, or will not work."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """One finding: the check, how bad it is, a sentence, and what to do."""

    check: str
    level: Level
    message: str
    hint: str = ""


@dataclass
class Examination:
    """What a check has found out and later checks use."""

    settings: Settings | None
    """None if they cannot be read."""
    host: Host
    database: Session | None = None
    """The open session; None if there is none."""
    answer: Answer | None = None
    """The rows of this node, not parsed yet."""
    view: View | None = None
    """The plan, from the database, else from the last known good state."""
