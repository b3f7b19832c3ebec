"""What is suspect about the bars of an import beside each other, in words of its report.

``trading-platform check-files`` says more, and imports nothing (:mod:`trading_platform.workflows.quality.check_files`).
"""

from __future__ import annotations

from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.plausibility.examine import examine_values
from trading_platform.domain.quality.plausibility.rejections import find_swapped_columns
from trading_platform.domain.suspicions import Suspicion
from trading_platform.sources.files.reading import FileReading


def suspect_words(reading: FileReading, instrument: Instrument | None) -> list[str]:
    """A sentence for each finding; steps by a power of ten are among the assumptions of the reading.

    Args:
        reading: what was read.
        instrument: the instrument of its symbol; None if it is not known.
    """
    if instrument is None or reading.timeframe is None or reading.bars.is_empty():
        return []
    found = examine_values(reading.bars, instrument.calendar, reading.timeframe)
    swapped = find_swapped_columns(reading.rejected, reading.rows)
    return [each.words for each in (*found, *swapped) if each.rule is not Suspicion.UNIT]
