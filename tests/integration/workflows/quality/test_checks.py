"""Each rule over what is stored: holds on clean data, and names just what was planted behind the stores' backs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.market.bars import BAR_SCHEMA, mark_gaps
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.sources.base import BarResponse
from trading_platform.stores.market_data.checks import Scope
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of
from trading_platform.workflows.quality.check_results import CheckResult, Severity, Status
from trading_platform.workflows.quality.suites.verify import CHECKED_ASSETS, EVERYTHING, verify, verify_asset

NOW = datetime(2021, 3, 1, 12, tzinfo=UTC)
HISTORY = Window(datetime(2018, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
YEAR_2019 = Window(datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
SYMBOLS = ("AAA", "BBB")
DAYS = sessions("XNYS", HISTORY)["session"].to_list()


class AvailableHistory:
    """A source that could be asked for the whole history; it has answered already."""

    name = "file"

    def longest_request(self, _timeframe: Timeframe) -> timedelta:
        return timedelta(days=36500)

    def available_history(self, _instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        return (HISTORY,) if timeframe is Timeframe.D1 else ()

    def bars(self, _instrument: Instrument, _timeframe: Timeframe, _window: Window) -> BarResponse:
        raise AssertionError("a check asks no source for bars")


@dataclass(frozen=True)
class Platform:
    """Clean data of two symbols, and the means to spoil and to check it."""

    stores: Stores

    def sql(self, statement: str, **parameters: object) -> list[tuple]:
        with self.stores.database.begin() as connection:
            return execute(connection, statement, parameters)

    def check(self, asset: str, name: str, scopes: tuple[Scope, ...] = EVERYTHING) -> CheckResult:
        found = verify_asset(self.stores, {"file": AvailableHistory()}, asset, scopes, clock=lambda: NOW, only={name})
        assert len(found) == 1
        return found[0]


def clean_bars(symbol: str, days: list[datetime]) -> pl.DataFrame:
    """Bars that rise and fall by less than the limit, a little different for each symbol."""
    close = [100 + (number * 7 + len(symbol)) % 13 * 0.5 + ord(symbol[0]) % 5 for number in range(len(days))]
    frame = pl.DataFrame({"time": days, "close": close}).with_columns(
        symbol=pl.lit(symbol),
        timeframe=pl.lit("1d"),
        open=pl.col("close").shift(1).fill_null(100.0),
        volume=pl.lit(1000.0),
        source=pl.lit("file"),
        quality=pl.lit("traded"),
    )
    frame = frame.with_columns(high=pl.max_horizontal("open", "close") + 1, low=pl.min_horizontal("open", "close") - 1)
    return mark_gaps(frame.select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items()))


def fill(stores: Stores) -> None:
    for symbol in SYMBOLS:
        stores.instruments.add(
            Instrument(symbol, AssetClass.EQUITY, "XNYS", "file", sector="tech", benchmark=SYMBOLS[0])
        )
        bars = clean_bars(symbol, DAYS)
        request = Request(
            symbol, Timeframe.D1, "file", HISTORY, Outcome.STORED, "test", NOW, stored=bars.height, changed=True
        )
        with stores.database.begin() as connection:
            stores.bars.replace(connection, symbol, Timeframe.D1, HISTORY, bars)
            stores.coverage.record(connection, request, [HISTORY])
    years = partition_windows(Timeframe.D1, HISTORY)
    compute_indicators_of(stores, SYMBOLS, Timeframe.D1, years, clock=lambda: NOW)
    build_features(stores, stores.instruments.all(), SYMBOLS, years, clock=lambda: NOW)


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as opened:
        fill(opened)
        yield opened


TABLES = ("bars_1d", "indicators_1d", "coverage", "coverage_requests", "quarantine")


@pytest.fixture
def platform(stores: Stores) -> Iterator[Platform]:
    """The clean data; whatever a test does to it is undone."""
    made = Platform(stores)
    files = {path: path.read_bytes() for path in stores.features.directory.glob("symbol=*/*/*.parquet")}
    for table in TABLES:
        made.sql(f"CREATE TABLE public.kept_{table} AS TABLE market_data.{table}")
    yield made
    for table in TABLES:
        made.sql(f"TRUNCATE market_data.{table}")
        made.sql(f"INSERT INTO market_data.{table} OVERRIDING SYSTEM VALUE TABLE public.kept_{table}")
        made.sql(f"DROP TABLE public.kept_{table}")
    for path in stores.features.directory.glob("symbol=*/*/*.parquet"):
        if path not in files:
            path.unlink()
    for path, content in files.items():
        path.write_bytes(content)


DAY = DAYS[400]
"""A day of 2019."""


def change(platform: Platform, table: str, what: str, day: datetime = DAY) -> None:
    """Changes the row of AAA on one day, past the stores and the rules of the table."""
    platform.sql(f"ALTER TABLE market_data.{table} DROP CONSTRAINT IF EXISTS {table}_readable")
    statement = f"UPDATE market_data.{table} SET {what} WHERE symbol = 'AAA' AND time = %(t)s"  # noqa: S608
    platform.sql(statement, t=day)


def named(result: CheckResult) -> list[tuple[object, object]]:
    return [(row["symbol"], row["time"]) for row in result.sample]


def test_clean_data_keeps_every_rule(platform: Platform) -> None:
    results = verify(platform.stores, {"file": AvailableHistory()}, timeframes=[Timeframe.D1], clock=lambda: NOW)
    assert {result.asset for result in results} == {"ohlcv_1d", "indicators_1d", "corporate_actions", "features"}
    about_actions = {"valid_terms", "split_in_prices", "ex_date_is_session"}
    nothing = about_actions | {
        "sources_agree"
    }  # nothing was published twice: tests/integration/workflows/backfill/test_backfill_from_kraken.py
    not_rolled_up = ("ohlcv_1d", "inputs_unchanged")
    empty = {(result.asset, result.check) for result in results if result.status is Status.EMPTY}
    assert not_rolled_up in empty
    assert {check for _, check in empty - {not_rolled_up}} == nothing
    rest = [result for result in results if (result.asset, result.check) not in empty]
    assert {result.status for result in rest} == {Status.PASSED}
    rows = {
        result.rows_checked for result in results if result.check in ("ohlc_consistent", "completeness", "matches_bars")
    }
    assert rows == {2 * len(DAYS)}


@pytest.mark.parametrize(
    ("check", "what"),
    [
        ("ohlc_consistent", "low = close + 0.01"),
        ("ohlc_consistent", "high = open - 5, low = open - 6"),
        ("positive_prices", "open = 0"),
        ("positive_prices", "low = -1"),
        ("positive_prices", "close = NULL"),
        ("positive_prices", "high = 'NaN'"),
        ("positive_prices", "volume = -0.00000001"),
        ("positive_prices", "volume = 'NaN'"),
        ("price_jump_review", "quality = 'traded', open = 200, high = 200"),
        ("price_jump_review", "quality = 'traded', open = 50, low = 50"),
    ],
)
def test_a_broken_bar_is_found_by_its_rule(platform: Platform, check: str, what: str) -> None:
    change(platform, "bars_1d", what)
    result = platform.check("ohlcv_1d", check)
    assert (result.status, result.failing_rows, result.rows_checked) == (Status.FAILED, 1, 2 * len(DAYS))
    assert named(result) == [("AAA", DAY.isoformat())]
    assert "1 of" in result.description
    assert "To do" in result.description


@pytest.mark.parametrize("what", ["volume = NULL", "volume = 0"])
def test_an_unknown_or_empty_volume_is_fine(platform: Platform, what: str) -> None:
    change(platform, "bars_1d", what)
    assert platform.check("ohlcv_1d", "positive_prices").status is Status.PASSED


def test_the_sample_is_short_and_the_count_is_not(platform: Platform) -> None:
    platform.sql("UPDATE market_data.bars_1d SET high = low - 1 WHERE symbol = 'BBB'")
    result = platform.check("ohlcv_1d", "ohlc_consistent")
    assert result.failing_rows == len(DAYS)
    assert named(result) == [("BBB", day.isoformat()) for day in DAYS[:5]]


def test_a_bar_that_is_not_final_is_found_by_its_calendar(platform: Platform) -> None:
    """At noon UTC of 1 March 2021 New York has not opened; the session before is over."""
    platform.sql(
        "INSERT INTO market_data.bars_1d (time, symbol, open, high, low, close)"
        " SELECT t, 'AAA', 1, 1, 1, 1 FROM unnest(%(times)s::timestamptz[]) AS t",
        times=[datetime(2021, 2, 26, tzinfo=UTC), datetime(2021, 3, 1, tzinfo=UTC), datetime(2031, 1, 2, tzinfo=UTC)],
    )
    result = platform.check("ohlcv_1d", "no_future_bar")
    assert (result.status, result.failing_rows) == (Status.FAILED, 2)
    assert [row["time"] for row in result.sample] == ["2021-03-01T00:00:00+00:00", "2031-01-02T00:00:00+00:00"]


def test_a_bar_of_a_symbol_without_instrument_is_judged_by_the_clock(platform: Platform) -> None:
    platform.sql(
        "INSERT INTO market_data.bars_1d (time, symbol, open, high, low, close)"
        " VALUES (%(t)s, 'GONE', 1, 1, 1, 1), ('2021-03-01', 'GONE', 1, 1, 1, 1)",
        t=NOW + timedelta(seconds=1),
    )
    assert platform.check("ohlcv_1d", "no_future_bar").failing_rows == 1


def test_a_time_with_two_bars_is_found(platform: Platform) -> None:
    """Only possible in a table that lost its primary key, as one restored by hand may have."""
    key = "ALTER TABLE market_data.bars_1d ADD PRIMARY KEY (time, symbol, timeframe)"
    platform.sql("ALTER TABLE market_data.bars_1d DROP CONSTRAINT bars_1d_pkey")
    try:
        platform.sql("INSERT INTO market_data.bars_1d SELECT * FROM market_data.bars_1d WHERE time = %(t)s", t=DAY)
        result = platform.check("ohlcv_1d", "no_duplicate")
        assert (result.status, result.failing_rows) == (Status.FAILED, 2)
        assert named(result) == [(symbol, DAY.isoformat()) for symbol in SYMBOLS]
    finally:
        platform.sql("TRUNCATE market_data.bars_1d")
        platform.sql(key)


def test_marked_gaps_are_a_warning_with_a_sample(platform: Platform) -> None:
    change(platform, "bars_1d", "quality = 'review', open = 200, high = 200")
    result = platform.check("ohlcv_1d", "price_jump_review")
    assert (result.status, result.severity, result.failing_rows) == (Status.WARN, Severity.WARN, 1)
    assert named(result) == [("AAA", DAY.isoformat())]
    assert "opened at 200 after a close of" in str(result.sample[0]["detail"])


@pytest.mark.parametrize("quality", ["repaired", "no_trade"])
def test_only_traded_bars_want_the_mark(platform: Platform, quality: str) -> None:
    change(platform, "bars_1d", f"quality = '{quality}', open = 200, high = 200")
    assert platform.check("ohlcv_1d", "price_jump_review").status is Status.PASSED


def test_a_gap_of_exactly_the_limit_needs_no_mark(platform: Platform) -> None:
    [[before]] = platform.sql("SELECT close FROM market_data.bars_1d WHERE symbol='AAA' AND time=%(t)s", t=DAYS[399])
    change(platform, "bars_1d", f"open = {before * Decimal('1.1')}, high = 999")
    assert platform.check("ohlcv_1d", "price_jump_review").status is Status.PASSED
    change(platform, "bars_1d", f"open = {before * Decimal('1.1') + Decimal('0.00000001')}, high = 999")
    assert platform.check("ohlcv_1d", "price_jump_review").failing_rows == 1


def test_the_gap_at_the_edge_of_a_window_is_seen(platform: Platform) -> None:
    """The close before the first bar of the window lies outside of it."""
    first = next(day for day in DAYS if day in YEAR_2019)
    change(platform, "bars_1d", "open = 300, high = 300", first)
    result = platform.check("ohlcv_1d", "price_jump_review", (Scope(("AAA",), YEAR_2019),))
    assert named(result) == [("AAA", first.isoformat())]


def test_schema_shows_expected_against_actual(platform: Platform) -> None:
    spoilt = (
        ("bars_1d ADD COLUMN extra integer", "bars_1d DROP COLUMN extra"),
        ("bars_1d ALTER COLUMN quality TYPE text", "bars_1d ALTER COLUMN quality TYPE varchar(10)"),
        ("indicators_1d RENAME COLUMN rsi_14 TO rsi", "indicators_1d RENAME COLUMN rsi TO rsi_14"),
    )
    for spoil_it, _ in spoilt:
        platform.sql(f"ALTER TABLE market_data.{spoil_it}")
    try:
        bars, indicators = platform.check("ohlcv_1d", "schema"), platform.check("indicators_1d", "schema")
    finally:
        for _, mend in spoilt:
            platform.sql(f"ALTER TABLE market_data.{mend}")
    assert (bars.status, bars.failing_rows, bars.rows_checked) == (Status.FAILED, 2, len(BAR_SCHEMA) + 2)
    assert {"column": "extra", "expected": "absent", "actual": "integer"} in bars.sample
    assert {"column": "quality", "expected": "character varying", "actual": "text"} in bars.sample
    assert {"column": "open", "expected": "numeric(18,8)", "actual": "numeric(18,8)"} in bars.sample
    assert (indicators.status, indicators.failing_rows) == (Status.FAILED, 2)
    assert {"column": "rsi_14", "expected": "double precision", "actual": "absent"} in indicators.sample
    assert platform.check("ohlcv_1d", "schema").status is Status.PASSED


def test_a_check_that_cannot_be_evaluated_is_failed(platform: Platform) -> None:
    platform.sql("ALTER TABLE market_data.bars_5m RENAME COLUMN low TO lowest")
    try:
        schema, rule = platform.check("ohlcv_5m", "schema"), platform.check("ohlcv_5m", "ohlc_consistent")
    finally:
        platform.sql("ALTER TABLE market_data.bars_5m RENAME COLUMN lowest TO low")
    assert (schema.status, schema.failing_rows) == (Status.FAILED, 2)
    assert rule.status is Status.FAILED
    assert "could not be evaluated" in rule.description


def test_complete_fails_for_what_nobody_answered(platform: Platform) -> None:
    platform.sql("DELETE FROM market_data.bars_1d WHERE symbol = 'BBB' AND time = %(t)s", t=DAY)
    warned = platform.check("ohlcv_1d", "completeness")
    assert (warned.status, warned.failing_rows, warned.counts["confirmed empty"]) == (Status.WARN, 1, 1)
    assert warned.sample[0]["symbol"] == "BBB"

    platform.stores.coverage.withdraw("BBB", Timeframe.D1, "file", [Window(DAY, DAY + timedelta(days=1))])
    failed = platform.check("ohlcv_1d", "completeness")
    assert (failed.status, failed.failing_rows, failed.rows_checked) == (Status.FAILED, 1, 2 * len(DAYS))
    assert failed.counts["missing"] == 1
    assert [row["symbol"] for row in failed.sample] == ["BBB"]
    assert failed.sample[0]["for example"] == DAY.isoformat()
    assert failed.counts["partitions"] == 6


def test_complete_warns_of_refused_bars(platform: Platform) -> None:
    platform.sql("DELETE FROM market_data.bars_1d WHERE symbol = 'BBB' AND time = %(t)s", t=DAY)
    rejected = pl.DataFrame(
        [(7, DAY, "ohlc_inconsistent", "low above high", "…", 1, None)], schema=REJECTED_SCHEMA, orient="row"
    )
    platform.stores.quarantine.record(rejected, source="file", symbol="BBB", timeframe="1d", origin="test")
    result = platform.check("ohlcv_1d", "completeness")
    assert (result.status, result.counts["rejected"], result.counts["confirmed empty"]) == (Status.WARN, 1, 0)


def test_complete_does_not_call_missing_what_nobody_asked_for(platform: Platform) -> None:
    """2020 was never asked for: that is work for a backfill, and no error in what is stored."""
    asked = Window(HISTORY.start, YEAR_2019.end)
    platform.sql("DELETE FROM market_data.bars_1d WHERE time >= %(t)s", t=asked.end)
    platform.sql(
        "UPDATE market_data.coverage_requests SET asked = asked * tstzrange(%(a)s, %(b)s)", a=asked.start, b=asked.end
    )
    platform.sql(
        "UPDATE market_data.coverage SET answered = answered * tstzmultirange(tstzrange(%(a)s, %(b)s))",
        a=asked.start,
        b=asked.end,
    )
    result = platform.check("ohlcv_1d", "completeness")
    assert result.status is Status.PASSED
    assert result.rows_checked == 2 * sum(day in asked for day in DAYS)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("rsi_14", "100.001"),
        ("rsi_14", "-0.001"),
        ("adx_14", "'NaN'"),
        ("sma_20", "-1"),
        ("macd_line", "'Infinity'"),
        ("bb_lower", "'-Infinity'"),
        ("macd_hist", "'NaN'"),
    ],
)
def test_an_indicator_outside_of_its_range_is_found(platform: Platform, column: str, value: str) -> None:
    change(platform, "indicators_1d", f"{column} = {value}")
    result = platform.check("indicators_1d", "in_range")
    assert (result.status, result.failing_rows) == (Status.FAILED, 1)
    assert named(result) == [("AAA", DAY.isoformat())]
    assert str(result.sample[0]["detail"]).startswith(f"{column} = ")


def test_indicators_without_bars_and_bars_without_indicators(platform: Platform) -> None:
    platform.sql("DELETE FROM market_data.indicators_1d WHERE symbol = 'AAA' AND time = %(t)s", t=DAY)
    platform.sql("DELETE FROM market_data.bars_1d WHERE symbol = 'BBB' AND time = %(t)s", t=DAY)
    result = platform.check("indicators_1d", "matches_bars")
    assert (result.status, result.failing_rows) == (Status.FAILED, 2)
    assert {row["symbol"]: row["detail"] for row in result.sample} == {
        "AAA": "a bar without indicators",
        "BBB": "indicators without a bar",
    }


def feature_file(platform: Platform, symbol: str, month: str) -> Path:
    return platform.stores.features.directory / f"symbol={symbol}" / month / "features.parquet"


def spoil(file: Path, **columns: pl.Expr) -> pl.DataFrame:
    frame = pl.read_parquet(file, hive_partitioning=False).with_columns(**columns)
    frame.write_parquet(file)
    return frame


def test_a_feature_file_of_another_shape_is_found(platform: Platform) -> None:
    file = feature_file(platform, "AAA", "2019-05")
    pl.read_parquet(file, hive_partitioning=False).drop("rsi_14").write_parquet(file)
    feature_file(platform, "BBB", "2019-06").write_bytes(b"PAR1 cut off")
    result = platform.check("features", "schema")
    assert (result.status, result.failing_rows, result.rows_checked) == (Status.FAILED, 2, 2 * 36)
    assert result.sample[0] == {
        "file": "symbol=AAA/2019-05/features.parquet",
        "expected": "rsi_14: Float64",
        "actual": "rsi_14: absent",
    }
    assert result.sample[1]["actual"] == "unreadable"
    assert platform.check("features", "available_at").status is Status.FAILED


def test_features_of_another_type_fail_and_do_not_crash(platform: Platform) -> None:
    spoil(feature_file(platform, "AAA", "2019-05"), rsi_14=pl.lit("text"))
    assert platform.check("features", "schema").failing_rows == 1
    result = platform.check("features", "available_at")
    assert result.status is Status.FAILED
    assert "could not be evaluated" in result.description


def test_many_missing_feature_values_are_a_warning(platform: Platform) -> None:
    rows = 0
    for month in range(1, 13):
        rows += spoil(
            feature_file(platform, "BBB", f"2019-{month:02d}"), macd_hist=pl.lit(None, dtype=pl.Float64)
        ).height
    result = platform.check("features", "nan_share")
    assert (result.status, result.failing_rows) == (Status.WARN, rows)
    assert {(row["symbol"], row["feature"]) for row in result.sample} == {("BBB", "macd_hist")}
    assert [row["month"] for row in result.sample] == [f"2019-{month:02d}" for month in range(1, 6)]
    assert result.counts["with too many missing"] == 12


def test_nan_counts_as_missing_and_a_few_of_a_month_are_fine(platform: Platform) -> None:
    few = pl.when(pl.int_range(pl.len()) >= 2).then("macd_hist").otherwise(float("nan"))
    spoil(feature_file(platform, "BBB", "2019-04"), macd_hist=few)
    assert platform.check("features", "nan_share").status is Status.PASSED
    spoil(feature_file(platform, "BBB", "2019-05"), macd_hist=pl.lit(float("nan")))
    scoped = platform.check("features", "nan_share", (Scope(("BBB",), YEAR_2019),))
    assert (scoped.status, scoped.failing_rows) == (Status.WARN, 22)
    may = Window(datetime(2019, 5, 1, tzinfo=UTC), datetime(2019, 6, 1, tzinfo=UTC))
    assert platform.check("features", "nan_share", (Scope(("BBB",), may),)).failing_rows == 22


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"available_at": pl.lit(None, dtype=BUILT_IN.schema["available_at"])}, "available_at is missing"),
        ({"available_at": pl.col("available_at") - timedelta(minutes=1)}, "known at"),
        ({"returns_5d": pl.lit(float("inf"))}, "infinite: returns_5d"),
        ({"returns_5d": pl.lit(float("-inf"))}, "infinite: returns_5d"),
        ({"time": pl.col("time").first(), "available_at": pl.col("available_at").last()}, "several rows of one time"),
    ],
)
def test_a_row_of_features_that_may_not_be_read_is_found(
    platform: Platform, columns: dict[str, pl.Expr], said: str
) -> None:
    frame = spoil(feature_file(platform, "AAA", "2019-05"), **columns)
    result = platform.check("features", "available_at")
    assert (result.status, result.failing_rows, result.rows_checked) == (Status.FAILED, frame.height, 2 * len(DAYS))
    assert said in str(result.sample[0]["detail"])


def test_a_scope_is_all_that_is_looked_at(platform: Platform) -> None:
    change(platform, "bars_1d", "high = low - 1")
    days_of_2019 = sum(day in YEAR_2019 for day in DAYS)
    other_symbol = platform.check("ohlcv_1d", "ohlc_consistent", (Scope(("BBB",), YEAR_2019),))
    assert (other_symbol.status, other_symbol.rows_checked) == (Status.PASSED, days_of_2019)
    other_year = platform.check("ohlcv_1d", "ohlc_consistent", (Scope(("AAA",), Window(YEAR_2019.end, HISTORY.end)),))
    assert other_year.status is Status.PASSED
    both = (Scope(("BBB",), YEAR_2019), Scope(("AAA",), YEAR_2019))
    assert platform.check("ohlcv_1d", "ohlc_consistent", both).rows_checked == 2 * days_of_2019
    assert platform.check("ohlcv_1d", "ohlc_consistent", both).failing_rows == 1
    assert platform.check("ohlcv_1d", "completeness", both).rows_checked == 2 * days_of_2019
    assert platform.check("indicators_1d", "matches_bars", both).rows_checked == 2 * days_of_2019
    assert platform.check("features", "available_at", both).rows_checked == 2 * days_of_2019


def test_nothing_stored_is_never_called_passed(platform: Platform) -> None:
    """Nothing was stored of 1m, and of a year without bars; schema alone has columns to look at."""
    empty = (Scope(("AAA",), Window(datetime(1995, 1, 1, tzinfo=UTC), datetime(1996, 1, 1, tzinfo=UTC))),)
    for asset, scopes in (
        ("ohlcv_1m", EVERYTHING),
        ("indicators_1m", EVERYTHING),
        *((a, empty) for a in CHECKED_ASSETS),
    ):
        for check in (*CHECKED_ASSETS[asset].checks, *CHECKED_ASSETS[asset].nightly):
            result = platform.check(asset, check.name, scopes)
            if check.name == "schema" and not asset.startswith("features"):
                assert (result.status, result.rows_checked > 0) == (Status.PASSED, True)
            else:
                assert (result.status, result.rows_checked, result.failing_rows) == (Status.EMPTY, 0, 0), (
                    asset,
                    check.name,
                )
                assert "nothing was checked" in result.description


def test_bars_of_another_unit_and_frozen_bars_are_a_warning(platform: Platform) -> None:
    assert platform.check("ohlcv_1d", "plausibility").status is Status.PASSED
    for day in DAYS[400:410]:
        change(platform, "bars_1d", "open = open * 100, high = high * 100, low = low * 100, close = close * 100", day)
    for day in DAYS[500:515]:
        change(platform, "bars_1d", "open = 100, high = 100, low = 100, close = 100", day)
    result = platform.check("ohlcv_1d", "plausibility")
    assert result.status is Status.WARN
    assert [(row["rule"], row["time"]) for row in result.sample] == [
        ("unit", DAYS[400].isoformat()),
        ("frozen", DAYS[500].isoformat()),
    ]
    scope = Scope(("AAA",), Window(DAYS[0], DAYS[300]))
    assert platform.check("ohlcv_1d", "plausibility", (scope,)).status is Status.PASSED
