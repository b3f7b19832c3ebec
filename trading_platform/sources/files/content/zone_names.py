"""Names of time zones in files."""

from __future__ import annotations

from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@cache
def is_zone_name(text: str) -> bool:
    """Whether this is the name of a place's zone in the IANA database, such as ``America/New_York`` or ``US/Eastern``.

    ``EST`` is none: some mean the clock of New York by it, others five hours behind UTC all year.
    """
    if "/" not in text:
        return False
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
