"""The schema of yfinance's frames: checked with dagster-pandas, then converted to a Polars frame.

yfinance changes the shape of its frames between releases, and Yahoo that of its responses. The check turns each
change into an error that names the column, instead of wrong prices. Columns are found by name, never by position.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_platform.domain.errors import MalformedPayload
from trading_platform.domain.market.bars import TIME

if TYPE_CHECKING:
    import pandas as pd

HISTORY_SCHEMA: dict[str, pl.DataType] = {
    "time": TIME,
    "date": TIME,
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
    "dividend": pl.Float64(),
    "split": pl.Float64(),
}
"""Yahoo's rows, adjusted for splits as delivered: ``time`` is the open of the bar in UTC, ``date`` midnight UTC
of the date at the exchange; prices NULL if Yahoo has a time without a price; ``dividend`` and ``split`` 0 for none."""

_PRICES = ("Open", "High", "Low", "Close")
_NUMBERS = {
    **{name: name.lower() for name in (*_PRICES, "Volume")},
    "Dividends": "dividend",
    "Stock Splits": "split",
}


def as_history(frame: object, ticker: str) -> pl.DataFrame:
    """Converts a frame of yfinance to one of :data:`HISTORY_SCHEMA`.

    Args:
        frame: with flat columns, as from ``Ticker.history``, or with prices × tickers, as from ``download``.
        ticker: ticker of the rows, in Yahoo's spelling.

    Raises:
        MalformedPayload: if it does not have the agreed shape, naming the column that differs.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise _malformed("a pandas frame", type(frame).__name__)
    flat = _flat(frame, ticker)
    # isinstance and not the dtype's name: both a fixed zone and one with daylight saving are valid
    if not isinstance(flat.index, pd.DatetimeIndex) or flat.index.tz is None:
        raise _malformed("an index of times with their zone", f"an index of {flat.index.dtype}")
    if not flat.index.is_unique or not flat.index.is_monotonic_increasing:
        raise _malformed("each time once, in order", "an index with times repeated or out of order")
    checked = _frame_type().type_check(None, flat)
    if not checked.success:
        raise _malformed("the columns " + ", ".join(_NUMBERS), str(checked.description))
    times = flat.index.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")
    dates = flat.index.tz_localize(None).normalize().to_numpy().astype("datetime64[us]")
    return pl.DataFrame(
        {
            "time": pl.Series(times).dt.replace_time_zone("UTC"),
            "date": pl.Series(dates).dt.replace_time_zone("UTC"),
            **{ours: pl.Series(flat[theirs].to_numpy(), nan_to_null=True) for theirs, ours in _NUMBERS.items()},
        },
        schema_overrides=HISTORY_SCHEMA,
    ).cast(HISTORY_SCHEMA)  # type: ignore[arg-type]


def _flat(frame: pd.DataFrame, ticker: str) -> pd.DataFrame:
    """The frame with one level of columns: the names of the prices."""
    if frame.columns.nlevels == 1:
        return frame
    for level in range(frame.columns.nlevels):
        if set(_PRICES) <= set(frame.columns.get_level_values(level)):
            others = [other for other in range(frame.columns.nlevels) if other != level]
            tickers = {tuple(key[other] for other in others) for key in frame.columns}
            if tickers != {(ticker,)}:
                raise _malformed(f"columns of {ticker} alone", f"columns of {sorted(tickers)}")
            flat = frame.copy(deep=False)
            flat.columns = frame.columns.get_level_values(level)
            return flat
    raise _malformed("the columns " + ", ".join(_PRICES), f"columns {list(frame.columns)[:8]}")


@cache
def _frame_type() -> Any:
    import dagster_pandas
    from dagster import BetaWarning

    # The lock file pins the tested release; a user at a terminal cannot act on the warning.
    warnings.filterwarnings("ignore", category=BetaWarning)
    dgp: Any = dagster_pandas  # its functions have no types
    numbers = {"float64", "int64"}  # a column without a fraction, or without a dividend, may come as whole numbers
    return dgp.create_dagster_pandas_dataframe_type(
        name="YahooHistory",
        description="Bars from yfinance with auto_adjust=False and actions=True.",
        columns=[
            dgp.PandasColumn(name, constraints=[dgp.constraints.ColumnDTypeInSetConstraint(numbers)])
            for name in _NUMBERS
        ],
    )


def _malformed(expected: str, received: str) -> MalformedPayload:
    return MalformedPayload(
        "Yahoo's response does not have the agreed shape; nothing of it was used.",
        expected=expected,
        received=" ".join(received.split())[:300],
        remedy="check whether yfinance or Yahoo has changed its format (docs/sources/yahoo.md); report it",
    )
