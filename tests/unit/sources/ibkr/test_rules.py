"""What Interactive Brokers allows, means and is asked for, against its documentation; no connection is made."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import exchange_calendars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async import BarData, Contract, ContractDetails, TickData
from properties import some_usual

from trading_platform.domain.errors import (
    ConfigurationError,
    InvalidRequest,
    RateLimited,
    SourceRejected,
    SourceUnavailable,
)
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe, Window, utc_now
from trading_platform.resources.platform import build_sources
from trading_platform.settings import Settings
from trading_platform.sources.ibkr.contracts import VENUES, choose, spec_of, symbol_of
from trading_platform.sources.ibkr.durations import BAR_SECONDS, BAR_SIZES, check_duration, duration_for
from trading_platform.sources.ibkr.error_codes import Verdict, error_of, verdict_of
from trading_platform.sources.ibkr.limits import IDENTICAL, MESSAGES, SAME_CONTRACT, HistoryLimit
from trading_platform.sources.ibkr.parse import QuoteFold, number, price, raw_bars, read_bars
from trading_platform.sources.ibkr.source import IbkrSource
from trading_platform.workflows.bars.bar_sources import source_of

DOCUMENTED = {
    "60 S": ("1 secs", "1 min"),
    "120 S": ("1 secs", "2 mins"),
    "1800 S": ("1 secs", "30 mins"),
    "3600 S": ("5 secs", "1 hour"),
    "14400 S": ("10 secs", "3 hours"),
    "28800 S": ("30 secs", "8 hours"),
    "1 D": ("1 min", "1 day"),
    "2 D": ("2 mins", "1 day"),
    "1 W": ("3 mins", "1 week"),
    "1 M": ("30 mins", "1 month"),
    "1 Y": ("1 day", "1 month"),
}
"""The table of the documentation: of each duration the shortest and the longest bars."""


@pytest.mark.parametrize("duration", DOCUMENTED)
@pytest.mark.parametrize("bar", BAR_SECONDS)
def test_the_table_of_durations_is_the_documented_one(duration: str, bar: str) -> None:
    shortest, longest = DOCUMENTED[duration]
    if BAR_SECONDS[shortest] <= BAR_SECONDS[bar] <= BAR_SECONDS[longest]:
        check_duration(duration, bar)
    else:
        with pytest.raises(InvalidRequest, match=f"no bars of {bar} for {duration}"):
            check_duration(duration, bar)


@pytest.mark.parametrize(
    "duration", ["", "1", "D", "0 D", "-1 D", "1.5 D", "1 H", "28801 S", "366 D", "2 Y", "1  D", "१ D"]
)
def test_other_durations_there_are_not(duration: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a duration"):
        check_duration(duration, "1 day")


def test_other_bars_there_are_not() -> None:
    with pytest.raises(InvalidRequest, match="no bars of '7 mins'"):
        check_duration("1 D", "7 mins")


@given(st.integers(1, 400 * 86_400), st.sampled_from(list(Timeframe)))
def test_the_duration_chosen_is_legal_and_covers(seconds: int, timeframe: Timeframe) -> None:
    span = timedelta(seconds=seconds)
    longest = {"1m": 1, "5m": 7, "1h": 28, "1d": 365}[timeframe.value]
    if span > timedelta(days=longest):
        with pytest.raises(InvalidRequest, match="cannot cover"):
            duration_for(span, timeframe)
        return
    chosen = duration_for(span, timeframe)
    check_duration(chosen, BAR_SIZES[timeframe])
    count, unit = chosen.split()
    covered = timedelta(seconds=int(count)) if unit == "S" else int(count) * timedelta(**_unit(unit))
    assert covered >= span
    assert covered >= timeframe.duration


def _unit(unit: str) -> dict[str, int]:
    return {"D": {"days": 1}, "W": {"weeks": 1}, "M": {"days": 28}, "Y": {"days": 365}}[unit]


def test_a_request_pays_what_the_documentation_says() -> None:
    limit = HistoryLimit("DU1")
    costs = limit.costs("101@SMART", "TRADES", "all of it")
    assert [(cost.limit.name, cost.key, cost.weight) for cost in costs] == [
        ("ibkr:history", "DU1", 1),
        ("ibkr:contract", "DU1:101@SMART:TRADES", 1),
        ("ibkr:identical", "DU1:all of it", 1),
        ("ibkr:messages", "DU1", 1),
    ]
    assert [cost.weight for cost in limit.costs("1@SMART", "BID_ASK", "r")] == [2, 2, 1, 1]
    history = costs[0].limit
    assert (history.count, history.seconds >= 600) == (60, True)  # type: ignore[union-attr]
    assert (SAME_CONTRACT.count, SAME_CONTRACT.seconds >= 2) == (5, True)
    assert (IDENTICAL.count, IDENTICAL.seconds >= 15) == (1, True)
    assert (MESSAGES.per_second, MESSAGES.burst) == (45, 45)


HISTORY = "Historical Market Data Service error message:"


@pytest.mark.parametrize(
    ("code", "text", "verdict"),
    [
        (162, f"{HISTORY}HMDS query returned no data: IBM@SMART Trades", Verdict.NO_DATA),
        (162, f"{HISTORY}Historical data request pacing violation", Verdict.PACING),
        (162, f"{HISTORY}No market data permissions for NYSE STK", Verdict.NO_PERMISSION),
        (162, f"{HISTORY}API historical data query cancelled: 12", Verdict.UNAVAILABLE),
        (162, f"{HISTORY}Trading TWS session is connected from a different IP address", Verdict.UNAVAILABLE),
        (162, f"{HISTORY}invalid step: 1 secs", Verdict.REJECTED),
        (165, "Historical Market Data Service query message:HMDS server connection was successful.", Verdict.NOTICE),
        (100, "Max rate of messages per second has been exceeded:50", Verdict.PACING),
        (101, "Max number of tickers has been reached", Verdict.TOO_MANY_LINES),
        (200, "No security definition has been found for the request", Verdict.UNKNOWN_CONTRACT),
        (354, "Requested market data is not subscribed.", Verdict.NO_PERMISSION),
        (2104, "Market data farm connection is OK:usfarm", Verdict.NOTICE),
        (10197, "No market data during competing live session", Verdict.UNAVAILABLE),
        (9999, "what has not been thought of", Verdict.REJECTED),
    ],
)
def test_codes_and_texts_mean_what_they_mean(code: int, text: str, verdict: Verdict) -> None:
    assert verdict_of(code, text) is verdict
    kinds = {Verdict.PACING: RateLimited, Verdict.UNAVAILABLE: SourceUnavailable, Verdict.NOTICE: SourceUnavailable}
    error = error_of(code, text, "bars of IBM")
    assert type(error) is kinds.get(verdict, SourceRejected)
    assert str(code) in str(error)
    assert "bars of IBM" in str(error)


def instrument(symbol: str, kind: AssetClass = AssetClass.EQUITY, calendar: str = "XNYS") -> Instrument:
    return Instrument(symbol, kind, calendar, "ibkr")


@pytest.mark.parametrize(
    ("asked", "spec"),
    [
        (instrument("IBM"), ("STK", "IBM", "SMART", "USD")),
        (instrument("BRK.B"), ("STK", "BRK B", "SMART", "USD")),
        (instrument("MSFT", calendar="XNAS"), ("STK", "MSFT", "SMART", "USD")),
        (instrument("SAP", calendar="XETR"), ("STK", "SAP", "SMART", "EUR")),
        (instrument("VOD", calendar="XLON"), ("STK", "VOD", "SMART", "GBP")),
        (instrument("EURUSD", AssetClass.FX, "FX"), ("CASH", "EUR", "IDEALPRO", "USD")),
        (instrument("BTCUSD", AssetClass.CRYPTO, "24/7"), ("CRYPTO", "BTC", "PAXOS", "USD")),
        (instrument("SPX", AssetClass.INDEX), ("IND", "SPX", "CBOE", "USD")),
    ],
)
def test_what_is_asked_for(asked: Instrument, spec: tuple[str, str, str, str]) -> None:
    found = spec_of(asked)
    assert (found.security_type, found.symbol, found.exchange, found.currency) == spec


@pytest.mark.parametrize(
    "asked",
    [
        instrument("IBM", calendar="XBOM"),
        instrument("EURUSDX", AssetClass.FX, "FX"),
        instrument("BTCXYZ", AssetClass.CRYPTO, "24/7"),
        instrument("IBM", calendar="24/7"),
    ],
)
def test_what_cannot_be_asked_for_is_said(asked: Instrument) -> None:
    with pytest.raises(InvalidRequest, match=asked.symbol):
        spec_of(asked)


def test_it_is_there_only_where_it_is_configured(tmp_path: Path) -> None:
    without = build_sources(Settings(_env_file=None, data_dir=tmp_path), utc_now)  # type: ignore[call-arg]
    assert "ibkr" not in without
    with pytest.raises(ConfigurationError, match="IBKR_HOST"):
        source_of(without, instrument("IBM"))
    configured = Settings(_env_file=None, data_dir=tmp_path, ibkr_host="127.0.0.1", ibkr_port=9)  # type: ignore[call-arg]
    source = source_of(build_sources(configured, utc_now), instrument("IBM"))
    assert (source.name, len(source.available_history(instrument("IBM"), Timeframe.M1))) == (
        "ibkr",
        1,
    )  # and nobody was asked


@pytest.mark.parametrize(
    ("asked", "theirs"),
    some_usual(
        [
            (instrument("IBM"), "1m 5m 1h 1d"),
            (instrument("EURUSD", AssetClass.FX, "FX"), "1m 5m 1h"),
            (instrument("BTCUSD", AssetClass.CRYPTO, "24/7"), "1m 5m 1h"),
            (instrument("INFY", calendar="XBOM"), "1m 5m 1d"),  # half an hour from whole hours
        ],
        usual=2,
    ),
)
def test_bars_that_are_cut_otherwise_are_not_offered(asked: Instrument, theirs: str) -> None:
    source = IbkrSource(lambda: pytest.fail("nobody is asked"), clock=lambda: NOW)
    assert [timeframe.value for timeframe in Timeframe if source.available_history(asked, timeframe)] == theirs.split()


def test_every_venue_is_a_calendar_with_a_currency() -> None:
    known = set(exchange_calendars.get_calendar_names())
    assert set(VENUES) <= known
    assert all(len(currency) == 3 and primary for currency, primary in VENUES.values())


def details(number_: int, primary: str, currency: str = "USD", kind: str = "STK") -> ContractDetails:
    contract = Contract(
        secType=kind, conId=number_, symbol="X", exchange="NYSE", primaryExchange=primary, currency=currency
    )
    return ContractDetails(contract=contract, minTick=0.01)


@pytest.mark.parametrize(
    ("calendar", "found", "chosen"),
    [
        ("XNYS", [details(1, "NYSE")], 1),
        ("XNYS", [details(2, "NASDAQ"), details(1, "NYSE")], 1),
        ("XNYS", [details(3, "ARCA")], 3),  # SPY
        ("XNAS", [details(1, "NYSE"), details(2, "NASDAQ")], 2),
        ("XETR", [details(4, "IBIS", "EUR"), details(5, "FWB", "EUR"), details(1, "NYSE")], 4),
        ("XNYS", [details(1, "NYSE"), details(1, "NYSE")], 1),  # the same twice
        ("XNYS", [details(1, "NYSE"), details(7, "NYSE", kind="OPT")], 1),
        ("XNYS", [], None),
        ("XNYS", [details(1, "NYSE"), details(2, "NYSE")], None),
        ("XNYS", [details(6, "TSE", "CAD")], None),
        ("XETR", [details(5, "FWB", "EUR")], None),
    ],
)
def test_the_contract_chosen_is_the_one_that_is_meant(
    calendar: str, found: list[ContractDetails], chosen: int | None
) -> None:
    asked = instrument("X", calendar=calendar)
    if chosen is None:
        with pytest.raises(SourceRejected, match="contract"):
            choose(spec_of(asked), asked, found)
        return
    qualified = choose(spec_of(asked), asked, found)
    assert (qualified.contract.conId, qualified.contract.exchange) == (chosen, "SMART")
    assert (qualified.min_tick, qualified.what, qualified.has_volume) == (Decimal("0.01"), "TRADES", True)


def test_symbols_of_contracts() -> None:
    assert symbol_of(Contract(secType="STK", symbol="BRK B", currency="USD")) == "BRK.B"
    assert symbol_of(Contract(secType="CASH", symbol="EUR", currency="USD")) == "EURUSD"
    assert symbol_of(Contract(secType="CRYPTO", symbol="BTC", currency="USD")) == "BTCUSD"
    assert symbol_of(Contract(secType="OPT", symbol="IBM", conId=9)) == "OPT-9"
    assert symbol_of(Contract(secType="STK", symbol="", conId=9)) == "STK-9"


@given(st.decimals(min_value=Decimal("0.0001"), max_value=Decimal(1_000_000), places=4))
def test_floats_are_the_decimals_that_were_sent(sent: Decimal) -> None:
    assert number(float(str(sent))) == sent
    assert price(float(str(sent)), Decimal("0.01")) == sent


@given(st.integers(1, 10_000_000), st.sampled_from(["0.01", "0.005", "0.00005", "0.25"]))
def test_noise_is_taken_away_and_true_prices_stay(steps: int, tick: str) -> None:
    exact, step = steps * Decimal(tick), Decimal(tick)
    assert price(float(exact) * (1 + 2**-52), step) == exact
    half = exact + step / 2
    assert price(float(half), step) == half


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.7976931348623157e308])
def test_what_says_that_there_is_no_number_is_none(value: float) -> None:
    assert number(value) is None
    assert price(value, Decimal("0.01")) is None


NOW = datetime(2024, 7, 1, 15, tzinfo=UTC)


def bar(timestamp: datetime | date, **values: float) -> BarData:
    given_ = {"open": 1.5, "high": 1.6, "low": 1.4, "close": 1.5, "volume": 10.0, "barCount": 2, **values}
    return BarData(date=timestamp, **given_)  # type: ignore[arg-type]


def test_bars_that_cannot_be_one_are_refused_and_others_not() -> None:
    def at(minute: int, second: int = 0) -> datetime:
        return datetime(2024, 7, 1, 14, minute, second, tzinfo=UTC)

    bars = [
        bar(at(0)),
        bar(at(1), volume=0.0, barCount=0),
        bar(at(2), high=1.0),
        bar(at(3), close=float("nan")),
        bar(at(4), open=-1.0, low=-1.0),
        bar(at(5, 30)),
        bar(at(30)),
    ]
    raw = raw_bars(bars, Timeframe.M1, min_tick=None, has_volume=True)
    window = Window(at(0), at(30))
    read = read_bars(raw, "IBM", Timeframe.M1, window, source="ibkr", now=NOW)
    assert read.bars.select("time", "quality").rows() == [(at(0), "traded"), (at(1), "no_trade")]
    reasons = [Reason.OHLC_INCONSISTENT, Reason.MISSING_VALUE, Reason.NON_POSITIVE_PRICE, Reason.OFF_GRID]
    assert read.rejected["reason"].to_list() == [reason.value for reason in reasons]


def test_a_running_bar_is_none() -> None:
    raw = raw_bars([bar(NOW - timedelta(minutes=1)), bar(NOW)], Timeframe.M1, min_tick=None, has_volume=False)
    window = Window(NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    read = read_bars(raw, "IBM", Timeframe.M1, window, source="ibkr", now=NOW + timedelta(seconds=30))
    assert read.bars["time"].to_list() == [NOW - timedelta(minutes=1)]
    assert read.bars["volume"].to_list() == [None]


def test_days_are_dates_and_hours_are_cut_as_ours() -> None:
    days = raw_bars([bar(date(2024, 7, 1))], Timeframe.D1, min_tick=None, has_volume=True)
    assert days["time"].to_list() == [datetime(2024, 7, 1, tzinfo=UTC)]
    half = datetime(2024, 7, 1, 13, 30, tzinfo=UTC)
    hours = raw_bars([bar(half), bar(half + timedelta(minutes=30))], Timeframe.H1, min_tick=None, has_volume=True)
    assert [timestamp.hour for timestamp in hours["time"]] == [13, 14]


def tick(kind: int, value: float, size: float = 1.0) -> TickData:
    return TickData(NOW, kind, value, size)


def test_ticks_make_quotes_of_what_has_changed() -> None:
    fold = QuoteFold("IBM", Decimal("0.01"))
    quote = fold.fold([tick(1, 150.1), tick(2, 150.2), tick(1, 150.11)], NOW)
    assert quote is not None
    assert (quote.bid, quote.ask, quote.last, quote.volume) == (Decimal("150.11"), Decimal("150.2"), None, None)
    assert fold.fold([tick(1, 150.11), tick(0, 150.11, 7), tick(3, 150.2, 9)], NOW) is None
    assert fold.fold([tick(8, -1, 3373), tick(1, -1, 0), tick(4, float("nan"))], NOW).volume == 3373  # type: ignore[union-attr]
    assert fold.fold([tick(kind, 99.0) for kind in (6, 7, 9, 14, 66, 67, 68, 74)], NOW) is None
