"""Severities of ``audit.system_events``, of alerts and of checks."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """The severity of an event."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"
