"""The use case of ``trading-platform corporate-actions import``: stores the splits and dividends of a file.

:mod:`trading_platform.sources.files.actions.read_actions` reads the file;
:mod:`trading_platform.workflows.corporate_actions.fetch_actions` fetches actions from vendors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trading_platform.domain.market.calendars import check_calendar
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.quality.listed_rows import ListedRows
from trading_platform.domain.time import Clock
from trading_platform.sources.files.actions.read_actions import read_actions
from trading_platform.sources.files.content.contents import open_contents
from trading_platform.sources.files.reading import SOURCE
from trading_platform.stores.stores import Stores


@dataclass(frozen=True)
class ImportedActions:
    """Result of importing a file of actions.

    Attributes:
        origin: path, and member after an exclamation mark.
        format: its format; empty if it was rejected as a whole.
        rows: number of data rows.
        splits, dividends: number of each in the file.
        changed: how many of these were new or changed.
        quarantined: number of rejected rows.
        reasons: number of rejected rows by reason.
        detail: the first rejection, as text.
    """

    origin: str
    format: str
    rows: int
    splits: int
    dividends: int
    changed: int
    quarantined: int
    reasons: dict[str, int]
    detail: str | None


def import_actions(stores: Stores, paths: Sequence[Path], symbol: str | None, *, clock: Clock) -> list[ImportedActions]:
    """Imports files of splits and dividends one after the other; repeating it changes nothing.

    Args:
        stores: the stores to write to; rejected rows go to the quarantine.
        paths: the files; a ZIP file stands for its members.
        symbol: symbol of the actions, for files without one.
        clock: source of the current time.

    Raises:
        InvalidRequest: if a file does not exist, or neither it nor ``symbol`` names the symbol of its actions.
    """

    def calendar_of(name: str) -> str:
        instrument = stores.instruments.get(name) or guess_instrument(name, SOURCE)
        return check_calendar(instrument.calendar)

    done = []
    for content in [content for path in paths for content in open_contents(path.expanduser().absolute())]:
        reading = read_actions(content, symbol, calendar_of)
        listed = ListedRows().all_of(reading.rejected)
        stores.quarantine.record(listed, source=SOURCE, symbol=symbol, timeframe=None, origin=content.origin)
        saved = stores.corporate_actions.save(reading.actions, clock())
        splits = sum(action.ratio is not None for action in reading.actions)
        done.append(
            ImportedActions(
                origin=content.origin,
                format=reading.format,
                rows=reading.rows,
                splits=splits,
                dividends=len(reading.actions) - splits,
                changed=len(saved.changed),
                quarantined=int(reading.rejected["row_count"].sum()),
                reasons=dict(
                    reading.rejected.group_by("reason").agg(pl.col("row_count").sum()).sort("reason").iter_rows()
                ),
                detail=reading.rejected["detail"][0] if reading.rejected.height else None,
            )
        )
    return done
