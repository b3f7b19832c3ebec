"""The rules a row must meet to become a bar or a trade, as Polars expressions.

A row that breaks a rule is returned as a rejected row with its reason and stored in the quarantine
(:mod:`trading_platform.stores.market_data.quarantine`). Rules over stored data are SQL, in ``sql/checks``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.market.bars import PRICE, PRICES, TIME, VOLUME
from trading_platform.domain.money import FINE_BELOW, PRICE_NOISE
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe

RAW_BAR_SCHEMA: dict[str, pl.DataType] = {
    "line": pl.Int64(),
    "record": pl.String(),
    "time": TIME,
    "time_text": pl.String(),
    "open": pl.String(),
    "high": pl.String(),
    "low": pl.String(),
    "close": pl.String(),
    "volume": pl.String(),
}
"""Bars as the source provided them: ``line`` is the line or row number there (counted from 1),
``record`` the original row, ``time`` null if ``time_text`` could not be parsed. Numbers are still
text, so that "not a number" and "too large" can be distinguished. A null volume means that the source
has no such column."""

RAW_TRADE_SCHEMA: dict[str, pl.DataType] = {
    "line": pl.Int64(),
    "record": pl.String(),
    "time": TIME,
    "time_text": pl.String(),
    "price": pl.String(),
    "quantity": pl.String(),
}
"""Trades as the source provided them; columns as in :data:`RAW_BAR_SCHEMA`."""

REJECTED_SCHEMA: dict[str, pl.DataType] = {
    "line": pl.Int64(),
    "time": TIME,
    "reason": pl.String(),
    "detail": pl.String(),
    "record": pl.String(),
    "row_count": pl.Int64(),
    "bar": pl.String(),
}
"""Rejected rows. If a whole file was rejected, ``line`` is null and ``row_count`` its number of rows. ``bar`` has the
texts of a single bar as a JSON object (``open``, ``high``, ``low``, ``close``, ``volume``), from which it can be
released (:mod:`trading_platform.workflows.quality.release_rows`); null for anything else."""


@dataclass(frozen=True)
class Screened:
    """The accepted and the rejected rows of a screening; together all input rows.

    Attributes:
        accepted: the typed rows (``line``, ``time`` and the numbers as decimals), sorted by time.
        rejected: frame of :data:`REJECTED_SCHEMA`.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame


def empty_rejected() -> pl.DataFrame:
    """An empty frame of :data:`REJECTED_SCHEMA`."""
    return pl.DataFrame(schema=REJECTED_SCHEMA)


def rejected_frame(*rows: Mapping[str, object]) -> pl.DataFrame:
    """Rejected rows as a frame of :data:`REJECTED_SCHEMA`.

    Args:
        rows: values by column; a column that is not given is null, a ``row_count`` that is not given is 1.
    """
    given = [{"row_count": 1, **row} for row in rows]
    columns = {name: [row.get(name) for row in given] for name in REJECTED_SCHEMA}
    return pl.DataFrame(columns, schema=REJECTED_SCHEMA)


def screen_bars(raw: pl.DataFrame, timeframe: Timeframe, now: datetime) -> Screened:
    """Separates the bars in ``raw`` from the rows that cannot be a bar.

    Of rows with the same time the last one is accepted, as in an upsert; the others are rejected as
    duplicates. Numbers are rounded half to even to eight decimals, the width of the columns, and
    checked as they would be stored. A price that the rounding changes by more than the noise of a
    float is rejected as too fine.

    Args:
        raw: frame of :data:`RAW_BAR_SCHEMA`, of one symbol.
        timeframe: length of the bars; times must lie on its grid in UTC.
        now: the present; a bar that opens later is rejected.
    """
    typed = _typed(raw, prices=PRICES, amount="volume")
    high, low = pl.col("high"), pl.col("low")
    invalid = (low > pl.min_horizontal("open", "close")) | (high < pl.max_horizontal("open", "close")) | (low > high)
    on_grid = pl.col("time").dt.truncate(timeframe.value) == pl.col("time")
    rules = [
        *_common_rules(prices=PRICES, amount="volume", now=now),
        (
            ~on_grid,
            Reason.OFF_GRID,
            pl.format("{} does not lie on the {} grid", "time_text", pl.lit(timeframe.value)),
        ),
        (
            invalid,
            Reason.OHLC_INCONSISTENT,
            pl.format("low <= open, close <= high does not hold: O {} H {} L {} C {}", *PRICES),
        ),
    ]
    sound = _sound(prices=PRICES, amount="volume", now=now) & on_grid & ~invalid
    return _divide(typed, sound, rules, keep=["line", "time", *PRICES, "volume"], unique_time=True)


def screen_trades(raw: pl.DataFrame, now: datetime) -> Screened:
    """Separates the trades in ``raw`` (frame of :data:`RAW_TRADE_SCHEMA`) from the rows that cannot be a trade.

    Several trades may share a time; their order is kept.
    """
    typed = _typed(raw, prices=("price",), amount="quantity")
    rules = _common_rules(prices=("price",), amount="quantity", now=now)
    sound = _sound(prices=("price",), amount="quantity", now=now)
    return _divide(typed, sound, rules, keep=["line", "time", "price", "quantity"], unique_time=False)


def bar_text(columns: dict[str, pl.Expr]) -> pl.Expr:
    """The values of a bar as a JSON object, for the column ``bar`` of :data:`REJECTED_SCHEMA`.

    Args:
        columns: the prices and the volume by name; their texts, or numbers that are written as texts.
    """
    return pl.struct(column.cast(pl.String()).alias(name) for name, column in columns.items()).struct.json_encode()


_BAR = bar_text({name: pl.col(f"{name}_text") for name in (*PRICES, "volume")})
_NOISE = float(PRICE_NOISE)
_FINE_BELOW = pl.lit(FINE_BELOW, dtype=PRICE)

_Rule = tuple[pl.Expr, Reason, pl.Expr]


def _typed(raw: pl.DataFrame, *, prices: tuple[str, ...], amount: str) -> pl.DataFrame:
    numbers = (*prices, amount)
    texts = raw.with_columns(pl.col(name).str.strip_chars().alias(f"{name}_text") for name in numbers)
    return texts.with_columns(
        *(pl.col(f"{name}_text").cast(PRICE, strict=False).alias(name) for name in prices),
        pl.col(f"{amount}_text").cast(VOLUME, strict=False).alias(amount),
    )


def _common_rules(*, prices: tuple[str, ...], amount: str, now: datetime) -> list[_Rule]:
    numbers = (*prices, amount)
    blank = {
        name: pl.col(f"{name}_text").fill_null("x").str.to_lowercase().is_in(["", "nan", "null", "none"])
        for name in numbers
    }
    missing_price = {name: pl.col(f"{name}_text").is_null() for name in prices}
    unread = {name: pl.col(name).is_null() & pl.col(f"{name}_text").is_not_null() for name in numbers}
    is_number = {
        name: pl.col(f"{name}_text").cast(pl.Float64, strict=False).is_finite().fill_null(value=False)
        for name in numbers
    }

    def first_named(conditions: dict[str, pl.Expr], template: str) -> pl.Expr:
        return pl.coalesce(
            pl.when(condition).then(pl.format(template, pl.lit(name), pl.col(f"{name}_text").fill_null("")))
            for name, condition in conditions.items()
        )

    any_of = pl.any_horizontal
    rules: list[_Rule] = [
        (
            pl.col("time").is_null(),
            Reason.UNREADABLE_TIME,
            pl.format("{} is not a time", pl.col("time_text").fill_null("nothing")),
        ),
    ]
    missing = {name: blank[name] | missing_price[name] if name in missing_price else blank[name] for name in numbers}
    rules.append((any_of(missing.values()), Reason.MISSING_VALUE, first_named(missing, "{} is missing ({})")))
    not_a_number = {name: unread[name] & ~is_number[name] for name in numbers}
    rules.append(
        (any_of(not_a_number.values()), Reason.UNREADABLE_NUMBER, first_named(not_a_number, "{} is not a number: {}"))
    )
    too_large = {name: unread[name] & is_number[name] for name in numbers}
    rules.append(
        (any_of(too_large.values()), Reason.OUT_OF_RANGE, first_named(too_large, "{} does not fit its column: {}"))
    )
    too_fine = {name: ~_keeps_value(name) for name in prices}
    rules.append(
        (any_of(too_fine.values()), Reason.TOO_FINE, first_named(too_fine, "{} is finer than eight decimals: {}"))
    )
    not_positive = {name: pl.col(name) <= 0 for name in prices}
    rules.append(
        (
            any_of(not_positive.values()),
            Reason.NON_POSITIVE_PRICE,
            first_named(not_positive, "{} is not above zero: {}"),
        )
    )
    rules.append(
        (
            pl.col(amount) < 0,
            Reason.NEGATIVE_VOLUME,
            pl.format("{} is negative: {}", pl.lit(amount), pl.col(f"{amount}_text")),
        )
    )
    rules.append((pl.col("time") > now, Reason.FUTURE_TIME, pl.format("{} is later than now", "time_text")))
    return rules


def _sound(*, prices: tuple[str, ...], amount: str, now: datetime) -> pl.Expr:
    """Rows that pass all of :func:`_common_rules`. Cheap, because it builds no messages; nearly all rows pass."""
    numbers = [(pl.col(name) >= _FINE_BELOW) | ((pl.col(name) > 0) & _keeps_value(name)) for name in prices]
    return pl.all_horizontal(
        pl.col("time") <= now, *numbers, (pl.col(amount) >= 0) | pl.col(f"{amount}_text").is_null()
    ).fill_null(value=False)


def _keeps_value(name: str) -> pl.Expr:
    """Whether rounding a price to eight decimals changes it by the noise of a float at most; true below zero."""
    exact = pl.col(f"{name}_text").cast(pl.Float64, strict=False)
    close = (pl.col(name).cast(pl.Float64) - exact).abs() <= exact * _NOISE
    return (close | (exact <= 0)).fill_null(value=True)


def _divide(typed: pl.DataFrame, sound: pl.Expr, rules: list[_Rule], *, keep: list[str], unique_time: bool) -> Screened:
    """Applies the rules only to rows that are not ``sound``, because evaluating them on millions of rows is slow."""
    marked = typed.with_columns(sound=sound.fill_null(value=False), reason=pl.lit(None, dtype=pl.String()))
    details = [(reason, detail) for _, reason, detail in rules]
    suspect = marked["sound"].not_().arg_true()
    if suspect.len():
        reasons = marked[suspect].select(
            reason=pl.coalesce(
                pl.when(broken.fill_null(value=False)).then(pl.lit(reason.value)) for broken, reason, _ in rules
            )
        )["reason"]
        marked = marked.with_columns(reason=marked["reason"].scatter(suspect, reasons))
    if unique_time and not _strictly_ascending(marked["time"]):
        superseded = pl.col("reason").is_null() & (
            pl.int_range(pl.len()) < pl.int_range(pl.len()).filter(pl.col("reason").is_null()).max()
        ).over("time")
        marked = marked.with_columns(
            reason=pl.when(superseded).then(pl.lit(Reason.DUPLICATE.value)).otherwise("reason")
        )
        details.append((Reason.DUPLICATE, pl.format("a later row has the same time {}", "time_text")))
    rejected = marked.filter(pl.col("reason").is_not_null()).with_columns(
        detail=pl.coalesce(
            pl.when(pl.col("reason") == reason.value).then(detail).otherwise(pl.lit(None, dtype=pl.String()))
            for reason, detail in details
        ),
        row_count=pl.lit(1, dtype=pl.Int64),
        bar=_BAR if unique_time else pl.lit(None, dtype=pl.String()),
    )
    accepted = marked.filter(pl.col("reason").is_null()).sort("time", maintain_order=True)
    return Screened(
        accepted.select(keep), rejected.select(pl.col(name).cast(dtype) for name, dtype in REJECTED_SCHEMA.items())
    )


def _strictly_ascending(times: pl.Series) -> bool:
    """Whether the times are strictly ascending, which excludes duplicates cheaply."""
    return times.null_count() == 0 and bool((times.diff().drop_nulls() > timedelta(0)).all())
