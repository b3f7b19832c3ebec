"""Releases rejected bars into the stored bars, or drops them; both with who and why, once, and nothing is deleted.

A released bar goes through the same validation as any other
(:func:`~trading_platform.domain.quality.rules.screen_bars`) and is stored by the same function
(:meth:`~trading_platform.stores.market_data.bars.BarStore.replace`), which makes what was computed from it stale. A
rule can be overridden by its name if the rule book says so.
"""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import NoReturn

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES, Quality, mark_gaps
from trading_platform.domain.market.calendars import last_closed
from trading_platform.domain.quality.rule_book import RULES, rule_of
from trading_platform.domain.quality.rules import RAW_BAR_SCHEMA, screen_bars
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.market_data.quarantine import RejectedRow
from trading_platform.stores.stores import Stores

_EIGHT_DECIMALS = Decimal("1E-8")
_NOTE_LENGTH = 1_000


def release_row(
    stores: Stores, number: int, *, by: str, because: str, override: str | None, clock: Clock
) -> tuple[RejectedRow, bool]:
    """Stores a rejected bar after all.

    Args:
        stores: the stores to write to.
        number: number of the row in the quarantine.
        by: who decides.
        because: for which reason.
        override: name of the one rule that the row may break; None: it must meet all.
        clock: the present, for the rules about time.

    Returns:
        The row with the decision, and whether it is new: a row that was released before is not stored again.

    Raises:
        InvalidRequest: if the row is no single bar, still breaks a rule, or the rule may not be overridden.
    """
    _check_words(by, because)
    _check_override(override)
    row = stores.quarantine.get(number)
    if row.decision == "release":
        return row, False
    bars, timeframe = _bar_of(stores, row, override, clock)
    symbol, time = bars["symbol"][0], bars["time"][0]
    window = Window(time, time + timeframe.duration)
    stores.bars.prepare(timeframe, bars)
    with stores.database.begin() as connection:
        if not stores.quarantine.decide(connection, number, "release", by=by, because=because, overridden=override):
            return stores.quarantine.get(number), False
        stored = stores.bars.read_within(connection, symbol, timeframe, window)
        if stored.height and override != Reason.DUPLICATE:
            _refuse(row, Reason.DUPLICATE.value, f"a bar of {symbol} at {time:%Y-%m-%d %H:%M}Z is stored already")
        marked = mark_gaps(bars, stores.bars.previous_close(connection, symbol, timeframe, time))
        reason = f"row {number} of the quarantine was released by {by}: {because}"
        changed = stores.bars.replace(connection, symbol, timeframe, window, marked, reason=reason)
        # The request is the version of the bars by which what was computed from them is found to be stale.
        stores.coverage.record(
            connection,
            Request(
                symbol,
                timeframe,
                row.source,
                window,
                Outcome.STORED,
                row.origin,
                clock(),
                stored=1,
                rejected=0,
                changed=changed,
                note=reason[:_NOTE_LENGTH],
            ),
            [window],
            [],
        )
    return stores.quarantine.get(number), True


def drop_row(stores: Stores, number: int, *, by: str, because: str) -> tuple[RejectedRow, bool]:
    """Records that a rejected row stays out.

    Returns:
        The row with the decision, and whether it is new.

    Raises:
        InvalidRequest: if the row was released.
    """
    _check_words(by, because)
    row = stores.quarantine.get(number)
    if row.decision == "release":
        raise InvalidRequest(
            f"Row {number} was released by {row.decided_by}.",
            expected="a row that is not stored",
            received=f"a row whose bar is stored, because: {row.because}",
            remedy="`trading-platform backfill --force` stores the bars of the source again",
        )
    with stores.database.begin() as connection:
        new = stores.quarantine.decide(connection, number, "drop", by=by, because=because)
    return stores.quarantine.get(number), new


def _bar_of(stores: Stores, row: RejectedRow, override: str | None, clock: Clock) -> tuple[pl.DataFrame, Timeframe]:
    """The row as a frame of ``BAR_SCHEMA`` with one bar, by the rules for every bar."""
    if row.symbol is None or row.timeframe is None or row.time is None or row.bar is None or row.row_count != 1:
        raise InvalidRequest(
            f"Row {row.id} is no single bar with a symbol and a time.",
            expected="a bar of a file or of a response of a source",
            received=f"{row.reason}: {row.detail or row.origin}",
            remedy="mend it at its source: `import` the corrected file, or `backfill --force` its time",
        )
    timeframe, now = Timeframe(row.timeframe), clock()
    calendar = stores.instruments.require([row.symbol])[row.symbol].calendar
    values: dict[str, str | None] = json.loads(row.bar)
    if override == Reason.TOO_FINE:
        values |= {name: _rounded(values[name]) for name in PRICES}
    raw = pl.DataFrame(
        [{"line": row.line, "record": row.record, "time": row.time, "time_text": row.time.isoformat(), **values}],
        schema=RAW_BAR_SCHEMA,
    )
    screened = screen_bars(raw, timeframe, now)
    if screened.rejected.height:
        _refuse(row, screened.rejected["reason"][0], screened.rejected["detail"][0])
    if row.time >= last_closed(calendar, timeframe, now):
        _refuse(row, Reason.NOT_FINAL.value, "its interval has not ended yet")
    bars = screened.accepted.with_columns(
        symbol=pl.lit(row.symbol),
        timeframe=pl.lit(timeframe.value),
        source=pl.lit(row.source),
        quality=pl.lit(Quality.TRADED.value),
    )
    return bars.select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items()), timeframe


def _rounded(text: str | None) -> str | None:
    try:
        return None if text is None else format(Decimal(text).quantize(_EIGHT_DECIMALS, ROUND_HALF_EVEN), "f")
    except InvalidOperation:
        return text


def _refuse(row: RejectedRow, reason: str, detail: str) -> NoReturn:
    rule = rule_of(reason)
    may = rule is not None and rule.may_be_overridden
    raise InvalidRequest(
        f"Row {row.id} breaks the rule {reason}: {detail}.",
        expected=rule.requires if rule else "a row that meets all rules",
        received=row.bar or "",
        remedy=f"if it is right nevertheless, release it with --override {reason}"
        if may
        else "this rule cannot be overridden; mend the row at its source and import it, or drop it",
    )


def _check_override(override: str | None) -> None:
    names = [rule.name for rule in RULES if rule.may_be_overridden]
    if override is not None and override not in names:
        raise InvalidRequest(
            f"The rule {override!r} cannot be overridden.",
            expected=f"one of {', '.join(names)}",
            received=override,
            remedy="`trading-platform rules` shows the rules",
        )


def _check_words(by: str, because: str) -> None:
    if not by.strip() or not because.strip():
        raise InvalidRequest(
            "A decision needs who made it and why.",
            expected="both",
            received=f"by {by!r}, because {because!r}",
            remedy="give --by and --because",
        )
