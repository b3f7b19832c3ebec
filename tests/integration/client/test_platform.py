"""What agents read: shapes, order, and nothing that was not known at the time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import polars as pl
import psycopg
import pytest
from commands import Installation, installation
from processes import environment
from waiting import LONG

from trading_platform.client import Platform
from trading_platform.domain.derived.indicators import INDICATOR_NAMES, INDICATOR_SCHEMA
from trading_platform.domain.errors import InvalidRequest, StoreUnavailable
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.embedded.stack import Endpoints

FILES = ("SPY_2008-2018_yahoo.csv", "GOOG_2004-2013.csv", "BTCUSD_coinbase_lean_daily_trade.csv")


@pytest.fixture(scope="module")
def ours(stack: Endpoints, test_data: Path) -> Iterator[Installation]:
    """A platform with three instruments, daily, of two years, and minutes of one."""
    with installation(stack.database_url) as made:
        minutes = test_data / "minute" / "SPY_1m_2013-10_trade.csv.gz"
        found = made.run("import", *(test_data / "daily" / name for name in FILES), minutes)
        assert found.code == 0, found.text
        for start, end, lengths in (("2012-01-01", "2015-01-01", ["1d"]), ("2013-10-01", "2013-11-01", ["1m", "5m"])):
            options = [word for length in lengths for word in ("-t", length)]
            found = made.run("backfill", *options, "--start", start, "--end", end)
            assert found.code == 0, found.text
        yield made


@pytest.fixture(scope="module")
def platform(ours: Installation) -> Iterator[Platform]:
    with Platform.connect(ours.settings()) as connected:
        yield connected


def test_bars_have_their_columns_types_and_order(platform: Platform) -> None:
    bars = platform.bars(["SPY", "GOOG"], "1d", "2012-01-01", "2013-01-01")
    assert dict(bars.schema) == BAR_SCHEMA
    assert bars.equals(bars.sort("symbol", "time"))
    assert bars["symbol"].unique().sort().to_list() == ["GOOG", "SPY"]
    assert bars["timeframe"].unique().to_list() == ["1d"]
    assert bars.group_by("symbol").len()["len"].to_list() == [250, 250]


def test_prices_are_the_decimals_of_the_file(platform: Platform, test_data: Path) -> None:
    line = next(
        line for line in (test_data / "daily" / FILES[1]).read_text().splitlines() if line.startswith("2012-06-01")
    )
    _, *values = line.split(",")
    (bar,) = platform.bars("GOOG", "1d", "2012-06-01", "2012-06-02").iter_rows(named=True)
    assert [bar[name] for name in ("open", "high", "low", "close", "volume")] == [Decimal(text) for text in values[:5]]
    assert bar["time"] == datetime(2012, 6, 1, tzinfo=UTC)


def test_the_end_of_a_window_is_not_included(platform: Platform) -> None:
    days = platform.bars("SPY", "1d", "2012-06-01", "2012-06-05")["time"].to_list()
    assert days == [datetime(2012, 6, day, tzinfo=UTC) for day in (1, 4)]


def test_moments_can_be_given_in_every_form(platform: Platform) -> None:
    forms = [
        ("2012-06-01", "2012-06-08"),
        (date(2012, 6, 1), date(2012, 6, 8)),
        (datetime(2012, 6, 1, tzinfo=UTC), "2012-06-08T00:00:00Z"),
    ]
    frames = [platform.bars("SPY", "1d", start, end) for start, end in forms]
    assert frames[0].height == 5
    assert all(frame.equals(frames[0]) for frame in frames)


def test_a_daily_bar_of_an_exchange_is_known_when_its_session_closes(platform: Platform) -> None:
    def known(as_of: str) -> list[int]:
        return [
            time.day for time in platform.bars("SPY", "1d", "2012-07-02", "2012-07-04", as_of=as_of)["time"].to_list()
        ]

    assert known("2012-07-02T19:59:59Z") == []
    assert known("2012-07-02T20:00:00Z") == [2]
    assert known("2012-07-03T16:59:59Z") == [2]  # an early close, at 13:00 in New York
    assert known("2012-07-03T17:00:00Z") == [2, 3]


def test_markets_close_each_at_their_own_time(platform: Platform) -> None:
    day, next_day = "2014-12-02", "2014-12-03"
    read = platform.bars(["SPY", "BTCUSD"], "1d", day, next_day, as_of=f"{day}T21:00:00Z")
    assert read["symbol"].to_list() == ["SPY"]
    read = platform.bars(["SPY", "BTCUSD"], "1d", day, next_day, as_of=next_day)
    assert read["symbol"].to_list() == ["BTCUSD", "SPY"]


@pytest.mark.parametrize(("timeframe", "minutes"), [("1m", 1), ("5m", 5)])
def test_an_intraday_bar_is_known_at_its_end(platform: Platform, timeframe: str, minutes: int) -> None:
    opened = datetime(2013, 10, 8, 14, 0, tzinfo=UTC)
    ended = opened + timedelta(minutes=minutes)
    for as_of, last in ((ended, opened), (ended - timedelta(microseconds=1), opened - timedelta(minutes=minutes))):
        read = platform.bars("SPY", timeframe, "2013-10-08", "2013-10-09", as_of=as_of)
        assert read["time"].max() == last


def test_nothing_read_as_of_a_time_changes_with_what_comes_later(platform: Platform) -> None:
    timestamps = [f"2012-{month:02}-15T12:00:00Z" for month in range(2, 12)]
    for before, after in pairwise(timestamps):
        early = platform.features("SPY", "2012-01-01", "2013-01-01", as_of=before)
        late = platform.features("SPY", "2012-01-01", "2013-01-01", as_of=after)
        assert late.height > early.height
        assert late.head(early.height).equals(early)
        assert early["available_at"].max() <= datetime.fromisoformat(before)  # type: ignore[operator]


def test_indicators_have_a_column_each(platform: Platform) -> None:
    read = platform.indicators(["SPY", "GOOG"], "1d", "2012-01-01", "2013-01-01")
    assert dict(read.schema) == INDICATOR_SCHEMA
    assert read.height == 500
    some = platform.indicators("SPY", "1d", "2012-01-01", "2013-01-01", names=["rsi_14", "sma_20"])
    assert some.columns == ["time", "symbol", "timeframe", "rsi_14", "sma_20"]
    assert some.equals(read.filter(pl.col("symbol") == "SPY").select(some.columns))
    assert platform.indicators("SPY", "5m", "2013-10-08", "2013-10-09").height > 78
    assert set(read.columns) == {"time", "symbol", "timeframe", *INDICATOR_NAMES}


def test_features_are_known_when_their_bar_closes(platform: Platform) -> None:
    read = platform.features(["SPY", "GOOG"], "2012-01-01", "2013-01-01")
    assert dict(read.schema) == BUILT_IN.schema
    assert read.height == 500
    assert read.equals(read.sort("symbol", "time"))
    assert not read.filter(pl.any_horizontal(pl.col(BUILT_IN.names).is_nan())).height
    row = read.filter((pl.col("symbol") == "SPY") & (pl.col("time") == datetime(2012, 7, 3, tzinfo=UTC)))
    assert row["available_at"].to_list() == [datetime(2012, 7, 3, 17, tzinfo=UTC)]
    assert platform.features("SPY", "2012-07-03", "2012-07-04", as_of="2012-07-03T16:59:59Z").is_empty()
    some = platform.features("SPY", "2012-01-01", "2013-01-01", names=["atr_14"])
    assert some.columns == ["time", "symbol", "available_at", "atr_14"]


def test_missing_features_are_imputed_or_excluded_where_they_are_too_many(platform: Platform) -> None:
    window = ("2012-03-10", "2012-12-01")
    names = ["returns_20d", "sector_momentum", "atr_14"]
    kept = platform.features(["SPY", "GOOG"], *window, names=names)
    imputed = platform.features(["SPY", "GOOG"], *window, names=names, missing="impute")
    assert imputed.columns == [*kept.columns, *(f"{name}_imputed" for name in names)]
    assert imputed.select("time", "symbol", "available_at").equals(kept.select("time", "symbol", "available_at"))
    for name in names:
        unmarked = ~imputed[f"{name}_imputed"]
        assert imputed[name].filter(unmarked).equals(kept[name].filter(unmarked))
    excluded = platform.features(["SPY", "GOOG"], *window, names=names, missing="exclude")
    assert excluded.equals(kept.join(excluded.select("time", "symbol"), on=["time", "symbol"], how="semi"))
    assert platform.features("SPY", *window, names=names, missing="keep").equals(kept.filter(symbol="SPY"))
    with pytest.raises(InvalidRequest) as refused:
        platform.features("SPY", *window, missing="interpolate")  # type: ignore[arg-type]
    assert refused.value.expected == "one of keep, impute, exclude"


def test_an_empty_window_gives_no_rows_of_the_right_shape(platform: Platform) -> None:
    window = ("1995-01-01", "1996-01-01")
    assert dict(platform.bars("SPY", "1d", *window).schema) == BAR_SCHEMA
    assert dict(platform.bars("SPY", "1d", *window, as_of="2000-01-01").schema) == BAR_SCHEMA
    assert dict(platform.indicators("SPY", "1h", *window).schema) == INDICATOR_SCHEMA
    assert dict(platform.features("SPY", *window).schema) == BUILT_IN.schema
    assert platform.bars("SPY", "1d", *window).is_empty()


def test_a_symbol_named_twice_is_read_once(platform: Platform) -> None:
    assert platform.bars(["SPY", "SPY"], "1d", "2012-06-01", "2012-06-05").height == 2
    assert set(platform.instruments()) == {"SPY", "GOOG", "BTCUSD"}


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda p: p.bars("SPX", "1d", "2012-01-01", "2013-01-01"), "did you mean SPY"),
        (lambda p: p.bars([], "1d", "2012-01-01", "2013-01-01"), "No symbol"),
        (lambda p: p.bars("SPY", "1w", "2012-01-01", "2013-01-01"), "1m, 5m, 1h, 1d"),
        (lambda p: p.bars("SPY", "1d", "2013-01-01", "2012-01-01"), "must end after"),
        (lambda p: p.bars("SPY", "1d", datetime(2012, 1, 1), "2013-01-01"), "with its zone"),  # noqa: DTZ001
        (lambda p: p.bars("SPY", "1d", "2012-01-01", "2013-01-01", adjust="both"), "raw, split, total_return"),
        (lambda p: p.bars("SPY", "1d", "2012-01-01", "2013-01-01", as_of="now"), "not a timestamp"),
        (lambda p: p.indicators("SPY", "1d", "2012-01-01", "2013-01-01", names=["rsi"]), "rsi_14"),
        (lambda p: p.features("SPY", "2012-01-01", "2013-01-01", names=["alpha"]), "returns_1d"),
        (lambda p: p.features("spy", "2012-01-01", "2013-01-01"), "did you mean SPY"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(platform: Platform, ask, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(platform)
    assert said in str(caught.value)


def test_a_database_that_is_away_is_told_as_such(ours: Installation) -> None:
    away = Installation(ours.data_dir, ours.variables | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/trading"})
    with pytest.raises(StoreUnavailable) as caught, Platform.connect(away.settings()):
        pass
    assert caught.value.retryable


def test_a_lost_connection_is_replaced_at_the_next_question(platform: Platform, ours: Installation) -> None:
    before = platform.bars("SPY", "1d", "2012-06-01", "2012-06-05")
    with psycopg.connect(ours.database_url) as other:
        asked = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        ended = other.execute(f"{asked} AND pid <> pg_backend_pid()").fetchall()
    assert ended
    assert platform.bars("SPY", "1d", "2012-06-01", "2012-06-05").equals(before)


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment(), timeout=LONG
    )
    return done.stdout


def test_importing_the_client_loads_nothing_heavy() -> None:
    loaded = set(python("import sys, trading_platform.client; print(*sys.modules)").split())
    assert "polars" in loaded
    assert not loaded & {"dagster", "pandas", "pyarrow", "exchange_calendars", "talib", "typer", "rich", "alembic"}
