"""Yahoo through the real yfinance, against a local server that answers as Yahoo does, well and badly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import yfinance
from processes import REPOSITORY, environment
from yahoo_server import EMPTY, TOO_MUCH, FakeYahoo, Listing, running_yahoo

from trading_platform.domain.errors import MalformedPayload, RateLimited, SourceRejected, SourceUnavailable
from trading_platform.domain.market.corporate_actions import ActionKind
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, year_window
from trading_platform.sources.rate_limits import Cost
from trading_platform.sources.yahoo.client import YahooClient
from trading_platform.sources.yahoo.frame_schema import HISTORY_SCHEMA, as_history
from trading_platform.sources.yahoo.limits import WAIT
from trading_platform.sources.yahoo.session import YahooSession
from trading_platform.sources.yahoo.source import YahooSource, ticker_of
from trading_platform.stores.stores import open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars

APPLE = Instrument("AAPL", AssetClass.EQUITY, "XNAS", "yahoo")
NOW = datetime(2018, 1, 20, 12, tzinfo=UTC)
SPLITS = {datetime(2005, 2, 28, tzinfo=UTC): Fraction(2), datetime(2014, 6, 9, tzinfo=UTC): Fraction(7)}
FIRST = datetime(2004, 8, 19, tzinfo=UTC)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeYahoo]:
    with running_yahoo() as yahoo:
        yield yahoo


@pytest.fixture
def yahoo(server: FakeYahoo) -> Iterator[FakeYahoo]:
    """The server in a good mood, with an empty list of what it was asked."""
    server.asked.clear()
    server.listings.clear()
    yield server
    server.mood, server.status = None, 200


@pytest.fixture
def client(yahoo: FakeYahoo, tmp_path: Path) -> YahooClient:
    return YahooClient(yahoo.url, cache_directory=tmp_path / "yahoo")


@pytest.fixture
def source(client: YahooClient) -> YahooSource:
    return YahooSource(client, clock=lambda: NOW)


@pytest.fixture(scope="module")
def export(test_data: Path) -> pl.DataFrame:
    """Yahoo's own numbers, as it exported them: adjusted for the split of 2014, to six decimals."""
    return pl.read_csv(test_data / "daily" / "AAPL_2004-2018_yahoo.csv")


@pytest.fixture
def apple(yahoo: FakeYahoo, export: pl.DataFrame) -> FakeYahoo:
    rows = [(day(date), *prices, float(volume)) for date, *prices, _adjusted, volume in export.iter_rows()]
    dividends = {day("2012-08-09"): 0.378571, day("2014-08-07"): 0.47, day("2014-05-08"): 0.47}
    yahoo.listings["AAPL"] = Listing({"1d": rows}, SPLITS, dividends, first=FIRST)
    return yahoo


# --- raw prices -------------------------------------------------------------------------------------------------------


def test_what_yahoo_adjusted_for_splits_is_undone(apple: FakeYahoo, source: YahooSource, test_data: Path) -> None:
    """Held against another vendor's raw bars; the two differ by a cent here and there, as the data's README says."""
    assert apple.listings
    window = Window(day("2004-08-19"), day("2018-01-20"))
    response = source.bars(APPLE, Timeframe.D1, window)
    other = pl.read_csv(test_data / "daily" / "AAPL_lean_daily.csv").select(
        time=pl.col("time_local").str.head(10).str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC"), raw="close"
    )
    both = response.bars.join(other, on="time")
    assert both.height == response.bars.height == 3379
    ratio = both.select(pl.col("close").cast(pl.Float64) / pl.col("raw"))["close"]
    assert ratio.median() == 1.0
    assert 1 / (4 * 0.2526 + 2e-4) <= ratio.min() <= ratio.max() <= 1 / (4 * 0.2467 - 2e-4)
    first = response.bars.row(0, named=True)
    assert [first[name] for name in ("open", "high", "low", "close", "volume")] == [
        Decimal(text) for text in ("31.51", "31.86", "30.36", "30.71", "6945000")
    ]
    assert response.bars.select((pl.col("close") * 100).round() == pl.col("close") * 100).to_series().all(), (
        "whole cents"
    )
    on_the_day = response.bars.filter(pl.col("time") == day("2014-06-09")).row(0, named=True)
    assert on_the_day["close"] == Decimal("93.7"), "the session of the split is in new shares already"
    assert response.rejected.is_empty()


def test_a_split_after_the_window_is_undone_too(apple: FakeYahoo, source: YahooSource) -> None:
    response = source.bars(APPLE, Timeframe.D1, Window(day("2010-01-04"), day("2010-02-01")))
    assert response.bars["close"][0] == Decimal("214.01")
    assert response.answered == (Window(day("2010-01-04"), day("2010-02-01")),)
    questions = [query for _, query in apple.asked if "period1" in query]
    assert len(questions) == 1, "one question for prices and all splits since"


def test_splits_and_dividends_come_in_the_shares_of_their_day(apple: FakeYahoo, source: YahooSource) -> None:
    assert apple.listings
    received = [(f"{action.ex_date:%Y-%m-%d}", action.kind, action.terms) for action in source.actions(APPLE)]
    assert received == [
        ("2005-02-28", ActionKind.SPLIT, "2:1"),
        ("2012-08-09", ActionKind.DIVIDEND, "2.65 USD"),
        ("2014-05-08", ActionKind.DIVIDEND, "3.29 USD"),
        ("2014-06-09", ActionKind.SPLIT, "7:1"),
        ("2014-08-07", ActionKind.DIVIDEND, "0.47 USD"),
    ]
    assert source.actions(APPLE)[0].known_at == datetime(2005, 2, 28, 5, tzinfo=UTC)


def test_numbers_of_single_precision_come_back_whole(yahoo: FakeYahoo, source: YahooSource) -> None:
    """Yahoo's prices have gone through floats of 32 bits: 170.33 arrives as 170.3300018310547."""
    raw = [170.33, 0.0123, 99999.99, 1.0843, 12.3456]
    rows = [(day(f"2018-01-{9 + at:02}"), *[float(np.float32(price))] * 4, 10.0) for at, price in enumerate(raw)]
    yahoo.listings["AAPL"] = Listing({"1d": rows})
    response = source.bars(APPLE, Timeframe.D1, Window(day("2018-01-09"), day("2018-01-14")))
    assert [float(price) for price in response.bars["close"]] == raw


# --- what is answered, and what is not --------------------------------------------------------------------------------


def test_before_its_first_day_an_instrument_is_proven_to_have_none(apple: FakeYahoo, source: YahooSource) -> None:
    assert apple.listings
    window = Window(day("2003-01-01"), day("2004-09-01"))
    response = source.bars(APPLE, Timeframe.D1, window)
    assert response.bars["time"][0] == FIRST
    assert response.answered == (window,)


def test_a_session_without_a_row_is_not_answered_for(apple: FakeYahoo, source: YahooSource) -> None:
    listing = apple.listings["AAPL"]
    listing.rows["1d"] = [row for row in listing.rows["1d"] if row[0] != day("2010-01-13")]
    window = Window(day("2010-01-04"), day("2010-02-01"))
    response = source.bars(APPLE, Timeframe.D1, window)
    assert response.answered == (Window(window.start, day("2010-01-13")), Window(day("2010-01-14"), window.end))
    assert response.note


def test_a_row_without_prices_is_refused_and_not_taken_for_nothing(apple: FakeYahoo, source: YahooSource) -> None:
    listing = apple.listings["AAPL"]
    listing.rows["1d"] = [
        (row[0], None, None, None, None, None) if row[0] == day("2010-01-13") else row for row in listing.rows["1d"]
    ]
    response = source.bars(APPLE, Timeframe.D1, Window(day("2010-01-04"), day("2010-02-01")))
    assert response.rejected.select("time", "reason").rows() == [(day("2010-01-13"), "missing_value")]
    assert response.bars.height == 18


def test_a_running_session_gives_no_bar(apple: FakeYahoo, client: YahooClient) -> None:
    assert apple.listings
    running = YahooSource(client, clock=lambda: datetime(2018, 1, 19, 20, tzinfo=UTC))
    assert running.available_history(APPLE, Timeframe.D1)[0].end == day("2018-01-19")
    response = running.bars(APPLE, Timeframe.D1, Window(day("2018-01-16"), day("2018-01-20")))
    assert response.bars["time"].max() < day("2018-01-19")


Mood = Callable[[dict[str, Any]], dict[str, Any]]


def without(*path: str) -> Mood:
    """The document without one of its parts."""

    def spoil(document: dict[str, Any]) -> dict[str, Any]:
        part = document["chart"]["result"][0]
        for name in path[:-1]:
            part = part[name][0] if isinstance(part[name], list) else part[name]
        del part[path[-1]]
        return document

    return spoil


def with_texts(document: dict[str, Any]) -> dict[str, Any]:
    """Prices as texts that are no numbers."""
    quote = document["chart"]["result"][0]["indicators"]["quote"][0]
    quote["volume"] = ["many"] * len(quote["volume"])
    return document


@pytest.mark.parametrize(
    ("mood", "kind", "said"),
    [
        (without("indicators", "quote", "volume"), MalformedPayload, "volume"),
        (without("indicators", "quote", "open"), MalformedPayload, "open"),
        (without("timestamp"), MalformedPayload, "timestamp"),
        (without("meta", "exchangeTimezoneName"), MalformedPayload, "exchangeTimezoneName"),
        (with_texts, MalformedPayload, "many"),
        (lambda _: EMPTY, SourceUnavailable, "proves nothing"),
        (lambda _: TOO_MUCH, SourceRejected, "Only 8 days"),
        (lambda _: {"chart": {"result": [], "error": None}}, SourceUnavailable, "proves nothing"),
        (lambda _: {"quoteResponse": {}}, SourceUnavailable, "proves nothing"),
    ],
)
def test_each_change_of_shape_is_an_error_of_its_own(
    apple: FakeYahoo, client: YahooClient, mood: Mood, kind: type[Exception], said: str
) -> None:
    client.history(("AAPL", "XNAS"), "1d", datetime(2017, 1, 1))  # noqa: DTZ001 - the exchange's date; its zone is known now
    apple.mood = mood
    with pytest.raises(kind, match=said):
        client.history(("AAPL", "XNAS"), "1d", datetime(2018, 1, 1))  # noqa: DTZ001


def test_what_yahoo_cannot_find_is_unknown_and_not_empty(yahoo: FakeYahoo, source: YahooSource) -> None:
    assert not yahoo.listings
    with pytest.raises(SourceUnavailable, match="proves nothing") as raised:
        source.bars(APPLE, Timeframe.D1, Window(day("2018-01-01"), day("2018-01-20")))
    assert raised.value.retryable


def test_throttling_is_told_apart_and_nothing_is_asked_for_a_while(apple: FakeYahoo, tmp_path: Path) -> None:
    now = [1000.0]
    client = YahooClient(apple.url, cache_directory=tmp_path, monotonic=lambda: now[0])
    apple.status = 429
    with pytest.raises(RateLimited) as raised:
        client.history(("AAPL", "XNAS"), "1d", None)
    assert raised.value.retryable
    assert raised.value.retry_after == WAIT
    asked = len(apple.asked)
    apple.status = 200
    now[0] += WAIT - 1
    with pytest.raises(RateLimited) as raised:
        client.history(("AAPL", "XNAS"), "1d", None)
    assert raised.value.retry_after == pytest.approx(1)
    assert len(apple.asked) == asked
    now[0] += 1
    assert client.history(("AAPL", "XNAS"), "1d", None)[0].height == 3379


def test_a_broken_answer_is_no_answer_and_is_not_remembered(apple: FakeYahoo, client: YahooClient) -> None:
    window = (day("2017-01-01"), day("2017-06-01"))
    client.history(("AAPL", "XNAS"), "1d", *window)
    apple.status = 502
    with pytest.raises(SourceUnavailable, match="did not respond"):
        client.history(("AAPL", "XNAS"), "1d", *window)
    apple.status = 200
    assert client.history(("AAPL", "XNAS"), "1d", *window)[0].height == 103


def test_nobody_at_the_address_is_no_answer(tmp_path: Path) -> None:
    client = YahooClient("http://127.0.0.1:9", cache_directory=tmp_path)
    with pytest.raises(SourceUnavailable, match="did not respond"):
        client.history("AAPL", "1d", None)


# --- the contract -----------------------------------------------------------------------------------------------------


def test_both_shapes_of_columns_are_read_by_their_names(apple: FakeYahoo, client: YahooClient) -> None:
    """Those of ``Ticker.history`` and of ``download``, both from the library itself."""
    flat, _ = client.history(("AAPL", "XNAS"), "1d", day("2018-01-02"), day("2018-01-10"))
    downloaded = yfinance.download(
        "AAPL",
        start=day("2018-01-02"),
        end=day("2018-01-10"),
        auto_adjust=False,
        actions=True,
        progress=False,
        threads=False,
        multi_level_index=True,
        session=YahooSession(apple.url),
    )
    assert downloaded.columns.nlevels == 2
    downloaded.index = downloaded.index.tz_localize("America/New_York")
    assert as_history(downloaded, "AAPL").equals(flat)
    shuffled = downloaded[sorted(downloaded.columns, reverse=True)]
    assert as_history(shuffled, "AAPL").equals(flat), "by name, not by position"
    assert dict(flat.schema) == HISTORY_SCHEMA
    with pytest.raises(MalformedPayload, match="MSFT alone"):
        as_history(downloaded, "MSFT")
    swapped = downloaded.swaplevel(axis=1)
    assert as_history(swapped, "AAPL").equals(flat)


@pytest.fixture
def frame() -> Any:
    index = pd.DatetimeIndex(["2018-01-02", "2018-01-03"], tz="America/New_York")
    values = {name: [1.0, 2.0] for name in ("Open", "High", "Low", "Close", "Adj Close", "Dividends", "Stock Splits")}
    return pd.DataFrame({**values, "Volume": [10, 20]}, index=index)


def test_a_frame_as_agreed_passes_with_columns_nobody_knows(frame: Any) -> None:
    frame["Capital Gains"] = 0.0
    read = as_history(frame, "AAPL")
    assert read["time"].to_list() == [datetime(2018, 1, 2, 5, tzinfo=UTC), datetime(2018, 1, 3, 5, tzinfo=UTC)]
    assert read["date"].to_list() == [day("2018-01-02"), day("2018-01-03")]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda frame: frame.drop(columns="Close"), "Close"),
        (lambda frame: frame.drop(columns="Stock Splits"), "Stock Splits"),
        (lambda frame: frame.rename(columns=str.lower), "Open"),
        (lambda frame: frame.assign(Volume=["10", "20"]), "Volume"),
        (lambda frame: frame.tz_localize(None), "zone"),
        (lambda frame: frame.reset_index(drop=True), "zone"),
        (lambda frame: frame.iloc[[0, 0]], "repeated"),
        (lambda frame: frame.iloc[::-1], "out of order"),
        (lambda _: [], "list"),
    ],
)
def test_a_frame_of_another_shape_is_refused_with_the_name_of_what_differs(
    frame: Any, spoil: Callable[[Any], Any], said: str
) -> None:
    with pytest.raises(MalformedPayload, match=said):
        as_history(spoil(frame), "AAPL")


# --- intraday, and who is who -----------------------------------------------------------------------------------------


def test_minutes_are_undone_by_the_splits_of_the_daily_history(yahoo: FakeYahoo, client: YahooClient) -> None:
    opened = datetime(2018, 1, 18, 14, 30, tzinfo=UTC)
    minutes = [(opened + timedelta(minutes=at), 50.0, 51.0, 49.0, 50.5, 40.0) for at in range(390)]
    daily = [(day(f"2018-01-{at}"), 50.0, 51.0, 49.0, 50.5, 400.0) for at in ("17", "18", "19")]
    yahoo.listings["AAPL"] = Listing({"1m": minutes, "1d": daily}, {day("2018-01-19"): Fraction(2)})
    source = YahooSource(client, clock=lambda: NOW)
    window = Window(day("2018-01-18"), day("2018-01-19"))
    response = source.bars(APPLE, Timeframe.M1, window)
    assert response.bars.height == 390
    assert response.bars["close"].unique().to_list() == [Decimal(101)]
    assert response.bars["volume"].unique().to_list() == [Decimal(20)]
    assert response.answered == (window,)
    quiet = source.bars(APPLE, Timeframe.M1, Window(day("2018-01-18"), day("2018-01-20")))
    assert quiet.answered == (window,), "of the 19th there is no row, which proves nothing"


def test_reach_is_what_yahoo_keeps(source: YahooSource) -> None:
    def days(instrument: Instrument, timeframe: Timeframe) -> int | None:
        available_history = source.available_history(instrument, timeframe)
        return (available_history[0].end - available_history[0].start).days if available_history else None

    berlin = Instrument("SAP", AssetClass.EQUITY, "XETR", "yahoo")
    assert [days(APPLE, length) for length in Timeframe] == [7, 59, None, (day("2018-01-20") - day("1990-01-01")).days]
    assert days(berlin, Timeframe.H1) == 729, "it opens on the hour, so Yahoo's hours are UTC's"
    assert days(Instrument("EURUSD", AssetClass.FX, "FX", "yahoo"), Timeframe.D1) is None
    with pytest.raises(SourceRejected, match="1h bars of AAPL"):
        source.bars(APPLE, Timeframe.H1, Window(day("2018-01-18"), day("2018-01-19")))


@pytest.mark.parametrize(
    ("symbol", "asset_class", "calendar", "ticker"),
    [
        ("BRK.B", AssetClass.EQUITY, "XNYS", "BRK-B"),
        ("SAP", AssetClass.EQUITY, "XETR", "SAP.DE"),
        ("GSPC", AssetClass.INDEX, "XNYS", "^GSPC"),
        ("BTCUSD", AssetClass.CRYPTO, "24/7", "BTC-USD"),
        ("ETHUSDT", AssetClass.CRYPTO, "24/7", "ETH-USDT"),
    ],
)
def test_yahoos_spelling(symbol: str, asset_class: AssetClass, calendar: str, ticker: str, yahoo: FakeYahoo) -> None:
    assert yahoo.url
    assert yfinance.Ticker(ticker_of(Instrument(symbol, asset_class, calendar, "yahoo"))).ticker == ticker


def test_an_exchange_without_a_suffix_is_said(source: YahooSource) -> None:
    with pytest.raises(SourceRejected, match="spelling of that exchange"):
        source.actions(Instrument("ABC", AssetClass.EQUITY, "XNEVER", "yahoo"))


def test_a_budget_is_asked_before_each_question(apple: FakeYahoo, tmp_path: Path) -> None:
    taken: list[Cost] = []

    class Counting:
        def take(self, costs: Any) -> float:
            taken.extend(costs)
            return 0.0

    client = YahooClient(apple.url, cache_directory=tmp_path, rate_limiter=Counting())
    client.history(("AAPL", "XNAS"), "1d", None)
    client.history(("AAPL", "XNAS"), "1d", None)
    assert [cost.limit.name for cost in taken] == ["yahoo:requests"] * 2


@pytest.mark.exhaustive
def test_caches_are_kept_where_they_are_told_and_not_at_home(apple: FakeYahoo, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from trading_platform.sources.yahoo.client import YahooClient;"
        "frame, _ = YahooClient(sys.argv[1], cache_directory=Path(sys.argv[2])).history(('AAPL', 'XNAS'), '1d', None);"
        "print(frame.height)"
    )
    home = tmp_path / "home"
    home.mkdir()
    printed = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program, apple.url, str(tmp_path / "kept")],
        env={**environment(), "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == "3379"
    assert "Warning" not in printed.stderr
    assert (tmp_path / "kept" / "tkr-tz.db").exists()
    assert not [path for path in home.rglob("*") if path.is_file()]


# --- into the database ------------------------------------------------------------------------------------------------


def test_a_backfill_stores_raw_bars_and_asks_again_for_what_was_missing(
    apple: FakeYahoo, source: YahooSource, database_url: str, tmp_path: Path
) -> None:
    listing, gap = apple.listings["AAPL"], day("2010-01-13")
    complete = listing.rows["1d"]
    listing.rows["1d"] = [row for row in complete if row[0] != gap]
    year = year_window(day("2010-01-01"))
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as stores:
        stores.instruments.add(APPLE)

        def backfill() -> tuple[int, int, int]:
            report = backfill_bars(stores, {"yahoo": source}, [APPLE], Timeframe.D1, [year], clock=lambda: NOW)
            (count,) = report.counts
            assert report.failures == ()
            return count.stored, count.empty, count.missing

        assert backfill() == (251, 0, 1)
        listing.rows["1d"] = complete
        assert backfill() == (252, 0, 0)
        asked = len(apple.asked)
        assert backfill() == (252, 0, 0)
        assert len(apple.asked) == asked, "what was answered is not asked for again"
        stored = stores.bars.read(["AAPL"], Timeframe.D1, year)
        assert stored.filter(pl.col("time") == gap)["close"].to_list() == [Decimal("210.65")]
        apple.status = 429
        report = backfill_bars(stores, {"yahoo": source}, [APPLE], Timeframe.D1, [year], clock=lambda: NOW, force=True)
        (failure,) = report.failures
        assert isinstance(failure.error, RateLimited)
        assert stores.bars.read(["AAPL"], Timeframe.D1, year).equals(stored)
