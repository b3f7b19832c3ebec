"""The rows of a file's content in the input form of the rules: prices, volumes and sides as text, faults named.

:mod:`trading_platform.sources.files.reading` converts the times before and screens the rows after.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading_platform.domain.market.bars import PRICES
from trading_platform.domain.quality.rules import (
    REJECTED_SCHEMA,
    Screened,
    bar_text,
    empty_rejected,
)
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.content.options import FileRejected, ImportOptions, PriceSide
from trading_platform.sources.files.content.tables import Table
from trading_platform.sources.files.numbers.number_styles import NumberStyle
from trading_platform.sources.files.recognition.formats import Kind, Layout
from trading_platform.sources.files.recognition.names import FileName
from trading_platform.sources.files.times.utc_times import UtcTimes

_WIDE = pl.Decimal(38, 18)
"""Wide enough for the middle of two prices that are finer than the columns, so that it is seen to be."""

_EIGHT_DECIMALS = len(".12345678")

_LEAP = 10.0

_HALF = pl.lit("0.5").cast(pl.Decimal(2, 1))


@dataclass(frozen=True)
class ContentTask:
    """A content after its table and layout have been recognised.

    Attributes:
        table: its rows.
        layout: the meaning of its columns.
        name: the names that it has.
        options: the user's options.
        symbol: symbol of its rows.
        timeframe: length of its bars.
        style: how its numbers are written.
        notes: assumptions about its numbers, in words.
    """

    table: Table
    layout: Layout
    name: FileName
    options: ImportOptions
    symbol: str
    timeframe: Timeframe
    style: NumberStyle
    notes: tuple[str, ...]

    @property
    def is_ticks(self) -> bool:
        """Whether its rows are trades or quotes."""
        return self.layout.kind in (Kind.TRADES, Kind.QUOTES)

    @property
    def is_quotes(self) -> bool:
        """Whether its prices are bids and asks."""
        return self.layout.kind in (Kind.QUOTES, Kind.QUOTE_BARS)


def raw_rows(task: ContentTask, settled: UtcTimes) -> pl.DataFrame:
    """The rows in the input form of the rules, with a column ``fault`` for errors found before any rule."""
    table, roles = task.table, task.layout.roles
    fields = _tick_fields(task) if task.is_ticks else _bar_fields(task)
    time_text = table.frame[roles["time"]].cast(pl.String)
    if "clock" in roles:
        time_text = time_text + " " + table.frame[roles["clock"]].cast(pl.String)
    return fields.with_columns(
        line=table.lines,
        record=pl.lit(None, dtype=pl.String),
        time=settled.time,
        time_text=time_text,
        fault=faults_of(task, settled, time_text),
    )


def faults_of(task: ContentTask, settled: UtcTimes, time_text: pl.Series) -> pl.Series:
    """Errors of rows found before their values are checked, as reason and detail in one text."""
    frame = pl.DataFrame({"fit": task.table.faults, "skipped": settled.nonexistent, "time": time_text})
    suspicious = task.layout.roles.get("suspicious")
    marked = task.table.frame[suspicious].cast(pl.String).str.strip_chars() == "1" if suspicious else None
    frame = frame.with_columns(marked=marked if marked is not None else pl.lit(value=False))
    return frame.select(
        fault=pl.when(pl.col("fit").is_not_null())
        .then(pl.format("{}:{}", pl.lit(Reason.UNREADABLE_NUMBER.value), "fit"))
        .when(pl.col("skipped"))
        .then(
            pl.format(
                "{}:{} was skipped when the clocks were set forward", pl.lit(Reason.UNREADABLE_TIME.value), "time"
            )
        )
        .when(pl.col("marked").fill_null(value=False))
        .then(pl.format("{}:marked as suspicious by its source", pl.lit(Reason.UNSUPPORTED.value)))
    )["fault"]


def rejected_early(raw: pl.DataFrame) -> pl.DataFrame:
    """The rows with a value in their column ``fault``, in ``REJECTED_SCHEMA``."""
    faulty = raw.filter(pl.col("fault").is_not_null())
    if faulty.is_empty():
        return empty_rejected()
    parts = pl.col("fault").str.splitn(":", 2)
    return faulty.with_columns(
        reason=parts.struct.field("field_0"), detail=parts.struct.field("field_1"), row_count=pl.lit(1), bar=None
    ).select(pl.col(name).cast(dtype) for name, dtype in REJECTED_SCHEMA.items())


def _bar_fields(task: ContentTask) -> pl.DataFrame:
    if task.layout.kind is Kind.BARS:
        columns = {name: scaled(task, texts_of(task, name)) for name in PRICES}
        volume = texts_of(task, "volume") if "volume" in task.layout.roles else None
    else:
        columns = {name: _side(task, texts_of(task, f"bid_{name}"), texts_of(task, f"ask_{name}")) for name in PRICES}
        volume = None
    frame = pl.DataFrame(columns)
    return frame.with_columns(volume=volume if volume is not None else pl.lit(None, dtype=pl.String))


def _tick_fields(task: ContentTask) -> pl.DataFrame:
    if task.layout.kind is Kind.TRADES:
        return pl.DataFrame({"price": scaled(task, texts_of(task, "price")), "quantity": texts_of(task, "quantity")})
    bid, ask = _carried(texts_of(task, "bid"), task), _carried(texts_of(task, "ask"), task)
    price = _side(task, bid, ask)
    return pl.DataFrame({"price": price}).with_columns(quantity=pl.lit("0"))


def texts_of(task: ContentTask, role: str) -> pl.Series:
    """A column as text with a decimal point; a missing value in an existing column is the empty text."""
    column = task.table.frame[task.layout.roles[role]]
    texts = column.cast(pl.String, strict=False).fill_null("").str.strip_chars()
    if column.dtype != pl.String or role == "suspicious":
        return texts
    return task.style.normalised(texts, units=role in ("volume", "quantity"))


def _carried(texts: pl.Series, task: ContentTask) -> pl.Series:
    """One side of quotes that update one side at a time: the last known value is carried forward.

    Values that the source itself marks as suspicious are not carried.
    """
    empty = texts == ""
    if "suspicious" in task.layout.roles:
        empty = empty | (texts_of(task, "suspicious") == "1")
    if task.layout.zero_is_missing:
        empty = empty | (texts.cast(pl.Float64, strict=False) == 0).fill_null(value=False)
    return texts.set(empty, None).fill_null(strategy="forward").fill_null("")


def _side(task: ContentTask, bid: pl.Series, ask: pl.Series) -> pl.Series:
    """The chosen price of a quote as text; if it is unavailable, the text that is the cause."""
    if task.options.price is PriceSide.BID:
        return scaled(task, _blank_zero(task, bid))
    if task.options.price is PriceSide.ASK:
        return scaled(task, _blank_zero(task, ask))
    frame = pl.DataFrame({"bid": scaled(task, _blank_zero(task, bid)), "ask": scaled(task, _blank_zero(task, ask))})
    numbers = {side: pl.col(side).cast(_WIDE, strict=False) for side in ("bid", "ask")}
    good = {side: (number > 0).fill_null(value=False) for side, number in numbers.items()}
    return frame.select(
        price=pl.when(~good["bid"])
        .then("bid")
        .when(~good["ask"])
        .then("ask")
        .otherwise(((numbers["bid"] + numbers["ask"]) * _HALF).cast(pl.String))
    )["price"]


def _blank_zero(task: ContentTask, texts: pl.Series) -> pl.Series:
    if not task.layout.zero_is_missing:
        return texts
    return texts.set((texts.cast(pl.Float64, strict=False) == 0).fill_null(value=False), "")


def scaled(task: ContentTask, texts: pl.Series) -> pl.Series:
    """Integer prices scaled exactly; text that is not a number is left unchanged and rejected later."""
    if task.layout.scale == 1:
        return texts
    frame = pl.DataFrame({"text": texts})
    number = pl.col("text").cast(_WIDE, strict=False)
    factor = pl.lit(str(1 / task.layout.scale)).cast(pl.Decimal(10, 8))
    return frame.select(pl.coalesce((number * factor).cast(pl.String), "text"))["text"]


def rounding_of(raw: pl.DataFrame) -> list[str]:
    """What is said if prices have more decimals than are stored; without noise they are rejected by the rules."""
    names = [name for name in (*PRICES, "price") if name in raw.columns]
    long = [raw[name].filter(raw[name].str.len_bytes() > _EIGHT_DECIMALS) for name in names]
    if not any(texts.str.contains(r"\.[0-9]{8}[0-9]*[1-9]").any() for texts in long):
        return []
    return ["prices with more than eight decimals rounded to eight"]


def refuse_too_fine(rejected: pl.DataFrame, rows: int) -> None:
    """Refuses a content whose bars would be wrong without the rows that are too fine: minutes made from trades.

    Raises:
        FileRejected: if there is such a row.
    """
    fine = rejected.filter(pl.col("reason") == Reason.TOO_FINE.value)
    if fine.height:
        detail = f"{fine['detail'][0]} (line {fine['line'][0]}); such prices cannot be stored"
        raise FileRejected(Reason.TOO_FINE, detail, rows=rows)


def reject_unfinished(screened: Screened, timeframe: Timeframe, now: datetime) -> Screened:
    """The same, with bars that have not ended at ``now`` among the rejected."""
    running = pl.col("time") + timeframe.duration > now
    unfinished = screened.accepted.filter(running)
    if unfinished.is_empty():
        return screened
    rejected = unfinished.select(
        "line",
        "time",
        reason=pl.lit(Reason.NOT_FINAL.value),
        detail=pl.lit(f"its interval of {timeframe.value} has not ended yet"),
        record=pl.lit(None, dtype=pl.String),
        row_count=pl.lit(1, dtype=pl.Int64),
        bar=bar_text({name: pl.col(name) for name in (*PRICES, "volume")}),
    )
    return Screened(screened.accepted.filter(~running), pl.concat([screened.rejected, rejected]))


def leaps_of(bars: pl.DataFrame) -> list[str]:
    """What is said if a price opens at ten times the close before, or a tenth: a unit may have changed on the way."""
    ordered = bars.sort("time").select(
        "time", step=pl.col("open").cast(pl.Float64) / pl.col("close").cast(pl.Float64).shift(1)
    )
    leaps = ordered.filter((pl.col("step") >= _LEAP) | (pl.col("step") <= 1 / _LEAP))
    if leaps.is_empty():
        return []
    time, step = leaps.row(0)
    times = f", and {leaps.height - 1} times more" if leaps.height > 1 else ""
    return [
        f"prices change by a factor of {max(step, 1 / step):.3g} at {time:%Y-%m-%d %H:%M} UTC{times}: another unit?"
    ]


def with_records(rejected: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The rejected rows with their original text."""
    if rejected.is_empty():
        return rejected
    positions = table.lines.search_sorted(rejected["line"])
    return rejected.with_columns(record=table.records(positions).cast(pl.String))
