"""How bad something is: the words of ``audit.system_events``, of alerts and of checks."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How bad an event is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"
