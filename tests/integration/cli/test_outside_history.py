"""A request for what no source has is refused, one for more than it has says what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from commands import Installation, installation

from trading_platform.cli.market_data.backfill_request import BackfillRequest, Reach, reach_of
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.time import Timeframe, parse_timestamp
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import PlatformContext, open_platform

pytestmark = pytest.mark.slow

DAYS = ("2016-03-01", "2016-03-02", "2016-03-03", "2016-03-04", "2016-03-07")


def in_days(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    """Five days of KO and an hour of minutes of PEP from files; coins at Kraken and a share at Yahoo."""
    with installation(stack.database_url) as made:
        daily = made.data_dir / "KO.csv"
        daily.write_text("Date,Open,High,Low,Close,Volume\n" + "".join(f"{day},45,46,44,45.5,1000\n" for day in DAYS))
        minutes = made.data_dir / "PEP.csv"
        rows = [f"2016-03-01T15:{minute:02}:00Z,99,100,98,99.5,10\n" for minute in range(60)]
        minutes.write_text("time,open,high,low,close,volume\n" + "".join(rows))
        found = made.run("import", daily, minutes, "--json")
        assert found.code == 0, found.text
        yield made


@pytest.fixture(scope="module")
def platform(ours: Installation) -> Iterator[PlatformContext]:
    with open_platform(ours.settings()) as opened:
        instruments = opened.stores.instruments
        for symbol, source in (("XRPUSD", "kraken"), ("IBM", "yahoo"), ("ACME", "file")):
            instruments.add(replace(guess_instrument(symbol, source), source=source))
        yield opened


def reach(
    platform: PlatformContext,
    *symbols: str,
    timeframes: Sequence[str] = (),
    start: str | None = None,
    end: str | None = None,
) -> Reach:
    bounds = [parse_timestamp(text) if text else None for text in (start, end)]
    return reach_of(platform, BackfillRequest(symbols, tuple(map(Timeframe, timeframes)), *bounds))


def left_out(found: Reach) -> dict[str, list[list[str]]]:
    """The parts that are left out, by symbol and timeframe, to the minute."""
    return {
        f"{less.instrument.symbol} {less.timeframe}": [
            [
                f"{time:%Y-%m-%d}" if f"{time:%H%M}" == "0000" else f"{time:%Y-%m-%d %H:%M}"
                for time in (part.start, part.end)
            ]
            for part in less.outside
        ]
        for less in found.outside
    }


@pytest.mark.parametrize(
    ("symbols", "timeframes", "start", "end", "has", "to_do"),
    [
        ("KO", "1d", "2019-01-01", None, "file has 1d bars of KO from 2016-03-01 to", "import a file"),
        ("KO", "1d", None, "2012-01-01", "file has 1d bars of KO from 2016-03-01 to", "import a file"),
        ("KO", "", "1999-01-01", "2000-01-01", "1d bars of KO from 2016-03-01", "import a file"),
        ("KO", "1m", None, None, "file has no 1m bars of KO", "import a file"),
        ("KO", "1d 5m", None, None, "file has no 5m bars of KO", "import a file"),
        ("PEP", "1m", "2016-03-05", None, "1m bars of PEP from 2016-03-01 15:00 to 2016-03-01 16:00", "import a file"),
        ("ACME", "", None, None, "its source, file", "import a file"),
        ("XRPUSD", "1d", "2014-01-01", "2015-01-01", "kraken has 1d bars", "Kraken_OHLCVT.zip"),
        ("XRPUSD", "1m", None, "2015-01-01", "kraken has 1m bars", "--start"),
        ("XRPUSD", "1d", in_days(40), None, "kraken has 1d bars", "again when it has ended"),
        ("IBM", "1m", "2012-01-01", "2013-01-01", "yahoo has 1m bars", "--source file"),
        ("IBM", "1d", None, "1985-01-01", "yahoo has 1d bars of IBM from 1990-01-01", "--source file"),
        ("XRPUSD KO", "1d", in_days(-300), None, "file has 1d bars of KO", "import a file"),
        ("", "", "2001-01-01", "2001-06-01", "", ""),
    ],
)
def test_nothing_of_a_request_is_refused(
    platform: PlatformContext, symbols: str, timeframes: str, start: str | None, end: str | None, has: str, to_do: str
) -> None:
    if not symbols:
        platform.stores.instruments.remove("IBM")
    with pytest.raises(InvalidRequest) as refused:
        reach(platform, *symbols.split(), timeframes=timeframes.split(), start=start, end=end)
    platform.stores.instruments.add(guess_instrument("IBM", "yahoo"))
    assert "are available" in refused.value.message
    assert has in str(refused.value)
    assert to_do in (refused.value.remedy or "")


@pytest.mark.parametrize(
    ("symbol", "timeframe", "start", "end", "parts"),
    [
        ("KO", "1d", "2016-03-01", "2016-03-08", None),
        ("KO", "1d", "2016-02-27", "2016-03-08", [["2016-02-27", "2016-03-01"]]),  # the Monday is missing
        ("KO", "1d", "2016-03-05", "2016-03-08", None),  # a weekend and the last day
        ("KO", "1d", "2010-01-01", "2017-01-01", [["2010-01-01", "2016-03-01"], ["2016-03-08", "2017-01-01"]]),
        ("PEP", "1m", "2016-03-01T15:10:00Z", "2016-03-02", [["2016-03-01 16:00", "2016-03-02"]]),
        ("PEP", "5m", "2016-03-01T15:00:00Z", "2016-03-01T15:30:00Z", None),
        ("PEP", "5m", "2016-02-29", "2016-03-01T16:00:00Z", [["2016-02-29", "2016-03-01 15:00"]]),
        ("IBM", "1d", "1985-01-01", "1995-01-01", [["1985-01-01", "1990-01-01"]]),
    ],
)
def test_a_clipped_window_is_said(
    platform: PlatformContext, symbol: str, timeframe: str, start: str, end: str, parts: list[list[str]] | None
) -> None:
    found = left_out(reach(platform, symbol, timeframes=[timeframe], start=start, end=end))
    assert found == ({} if parts is None else {f"{symbol} {timeframe}": parts})


def test_the_universe_goes_on_and_names_who_has_nothing(platform: PlatformContext) -> None:
    found = reach(platform)
    assert {history.instrument.symbol for history in found.available} == {"KO", "PEP", "XRPUSD", "IBM"}
    assert left_out(found) == {"ACME 1d": []}
    found = reach(platform, start="2016-03-01", end="2016-03-08")
    assert set(left_out(found)) >= {"ACME 1d", "PEP 1m", "XRPUSD 1d"}
    assert "KO 1d" not in left_out(found)


@pytest.mark.exhaustive
def test_the_command_ends_with_2_or_says_what_it_left_out(ours: Installation) -> None:
    for as_json in ([], ["--json"]):
        nothing = ours.run("backfill", "KO", "-t", "1d", "--start", "2019-01-01", *as_json)
        assert nothing.code == 2, nothing.text
        assert "file has 1d bars of KO from 2016-03-01 to 2016-03-08" in nothing.text
        assert "up to date" not in nothing.text
    found = ours.run("backfill", "KO", "-t", "1d", "--start", "2010-01-01")
    assert found.code == 0, found.text
    assert "2010-01-01 to 2016-03-01" in found.text
    assert "is left out; file has 1d bars of KO from 2016-03-01 to 2016-03-08" in found.text
    again = ours.run("backfill", "KO", "-t", "1d", "--start", "2010-01-01", "--json")
    assert [less["outside"][0][0][:10] for less in again.json["not_available"]] == ["2010-01-01"]


def test_what_is_not_stored_is_neither_without_gaps_nor_an_empty_file(ours: Installation) -> None:
    gaps = ours.run("gaps", "PEP", "-t", "1d")
    assert "PEP: no 1d bars were ever requested or stored" in gaps.text
    covered = ours.run("coverage", "KO", "-t", "1m")
    assert "KO: no 1m bars are stored, and its source has none" in covered.text
    target = ours.data_dir / "pep.csv"
    found = ours.run("export", "bars", target, "-s", "PEP", "-t", "1d")
    assert found.code == 2, found.text
    assert "No bars of PEP are stored" in found.text
    assert not target.exists()
