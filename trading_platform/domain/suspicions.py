"""What may be suspect about many bars together; rows that break a rule alone have a rejection reason."""

from __future__ import annotations

from enum import StrEnum


class Suspicion(StrEnum):
    """The rule that some bars break together; names as in the rule book."""

    UNIT = "unit"
    OTHER_INSTRUMENT = "other_instrument"
    TIME_ZONE = "time_zone"
    FROZEN = "frozen"
    REPEATED_DAY = "repeated_day"
    SWAPPED_COLUMNS = "swapped_columns"
    MISSING_SESSIONS = "missing_sessions"
    SOURCES_DIFFER = "sources_differ"
