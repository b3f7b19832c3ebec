"""The universe from the command line: several at once, from a file, all or none; any case of letters; rejected rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import Installation, installation, rows

from trading_platform.cli.market_data.instrument_list import read_list
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.calendars import check_calendar
from trading_platform.domain.time import Timeframe
from trading_platform.embedded.stack import Endpoints


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


def stored(ours: Installation) -> dict[str, tuple[object, ...]]:
    found = rows(ours.database_url, "SELECT symbol, calendar, source, sector, benchmark FROM config.instruments")
    return {symbol: tuple(values) for symbol, *values in found}


@pytest.mark.exhaustive
def test_several_are_added_with_what_a_file_says_of_them(ours: Installation) -> None:
    table = ours.data_dir / "list.csv"
    table.write_text(
        "Symbol,calendar,source,benchmark\nko,nyse,,spy\nbtcusd,24/7,kraken,  # a coin\n\nsap,FWB,yahoo,\n"
    )
    found = ours.run("instruments", "add", "aapl", "Msft", "--file", table, "--sector", "all")
    assert found.code == 0, found.text
    assert stored(ours) == {
        "AAPL": ("XNYS", "file", "all", None),
        "MSFT": ("XNYS", "file", "all", None),
        "KO": ("XNYS", "file", "all", "SPY"),
        "BTCUSD": ("24/7", "kraken", "all", None),
        "SAP": ("XFRA", "yahoo", "all", None),
    }
    before = stored(ours)
    table.write_text("symbol,tick_size\nPEP,0.01\nWMT,-1\n")
    found = ours.run("instruments", "add", "IBM", "--file", table)
    assert found.code == 2
    assert "line 3" in found.text
    assert "positive number" in found.text
    assert stored(ours) == before
    found = ours.run("instruments", "remove", "sap", "--json")
    assert found.json == {"removed": "SAP"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no symbol"),
        ("# only a comment\n", "no symbol"),
        ("symbol,colour\nKO,red\n", "unknown column colour"),
        ("KO\nPEP\nko\n", "KO twice"),
        ("symbol,calendar\nKO,XNYS,extra\n", "line 2 has more cells"),
    ],
)
def test_a_list_that_cannot_be_is_refused(text: str, said: str, ours: Installation) -> None:
    file = ours.data_dir / "wrong.csv"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=said):
        read_list(file)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("NYSE", "XNYS"), ("nyse", "XNYS"), ("xnys", "XNYS"), ("LSE", "XLON"), ("XNAS", "XNAS"), ("fx", "FX"),
     ("24/7", "24/7"), ("NASDAQ", "XNYS"), ("jpx", "XTKS"), ("CME", "CMES")],
)  # fmt: skip
def test_a_calendar_is_kept_under_its_own_name(given: str, kept: str) -> None:
    assert check_calendar(given) == kept


@pytest.mark.parametrize("text", ["1m", "5m", "1h", "1d", "5M", "1H", "1D"])
def test_timeframes_are_read_in_any_case(text: str) -> None:
    assert Timeframe.parse(text).value == text.lower()


@pytest.mark.parametrize("text", ["1M", "d", "60m", ""])
def test_what_is_no_timeframe_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Timeframe.parse(text)


def test_symbols_are_read_in_any_case() -> None:
    assert in_capitals("btcusd") == "BTCUSD"
    assert in_capitals(["brk.b", "SPY"]) == ["BRK.B", "SPY"]
    assert in_capitals(None) is None


def test_rejected_rows_are_shown_and_names_that_are_no_settings_said(ours: Installation) -> None:
    days = [f"2020-01-{day:02},10,11,9,10,5" for day in (2, 3)]
    bad = [f"2020-01-{day:02},10,9,11,10,5" for day in range(6, 11)] + ["2020-01-13,-1,11,9,10,5"]
    few, many = ours.data_dir / "PG_daily.csv", ours.data_dir / "GE_daily.csv"
    few.write_text("\n".join(["Date,Open,High,Low,Close,Volume", *days, bad[0]]))
    many.write_text("\n".join(["Date,Open,High,Low,Close,Volume", *days, *bad]))
    (ours.data_dir / ".env").write_text("DATABSE_URL=x\nKRAKEN_TEIR=pro\nOTHER=1\nDAGSTER_HOME=\n")
    found = ours.run("import", few, many, more={"SETTINGS_FILE": None})
    (ours.data_dir / ".env").unlink()
    assert found.code == 0, found.text
    assert "The first 5 of 7 rejected rows" in found.text
    assert "PG_daily.csv, line 4: ohlc_inconsistent" in found.text
    assert found.text.count("GE_daily.csv, line ") == 4
    assert "export quarantine rejected.csv -s GE -s PG" in found.text
    assert "DATABSE_URL (did you mean DATABASE_URL?), KRAKEN_TEIR (did you mean KRAKEN_TIER?), OTHER" in found.err
    assert "DAGSTER_HOME" not in found.err
