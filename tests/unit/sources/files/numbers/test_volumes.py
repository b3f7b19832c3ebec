"""Which column is the volume: base volume, not turnover; ticks where the volume is zero; what is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.reading import FileReading, read_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def read(text: str, symbol: str = "ETHUSDT", **said: object) -> FileReading:
    content = FileContent(Path("/somewhere/file.csv"), None, text.encode)
    options = ImportOptions(symbol=symbol, **said)  # type: ignore[arg-type]
    return read_content(content, options, now=NOW, zone_of=lambda _symbol: "UTC")


def bars(names: str, *amounts: str) -> str:
    """Hourly bars around 400 with these columns of amounts."""
    rows = [f"2024-01-02 {hour:02}:00:00,400,410,390,405,{amount}" for hour, amount in enumerate(amounts)]
    return "\n".join([f"time,open,high,low,close,{names}", *rows])


def volumes(reading: FileReading) -> list[Decimal | None]:
    assert reading.rejected.is_empty(), reading.rejected.rows()
    return reading.bars["volume"].to_list()


UNITS = [Decimal("10.5"), Decimal(20)]
BASE_AND_TURNOVER = ("10.5,4200.1", "20,8050")
TURNOVER_AND_BASE = ("4200.1,10.5", "8050,20")


@pytest.mark.parametrize(
    ("names", "symbol", "amounts"),
    [
        ("Volume ETH,Volume USDT", "ETHUSDT", BASE_AND_TURNOVER),
        ("Volume USDT,Volume ETH", "ETHUSDT", TURNOVER_AND_BASE),
        ("Volume_(BTC),Volume_(Currency)", "BTCUSD", BASE_AND_TURNOVER),
        ("Volume USD,Volume BTC", "BTCUSD", TURNOVER_AND_BASE),
        ("Volume BTC,Volume ETH", "ETHBTC", TURNOVER_AND_BASE),
        ("Volume XBT,Volume USD", "BTCUSD", BASE_AND_TURNOVER),
        ("Volume PEPE,Volume USDT", "PEPEUSDT", BASE_AND_TURNOVER),
        ("volume,turnover", "BTCUSDT", BASE_AND_TURNOVER),
        ("5. volume,turnover", "SPY", BASE_AND_TURNOVER),
        ("turnover,volume", "BTCUSDT", TURNOVER_AND_BASE),
        ("volumefrom,volumeto", "BTCUSD", BASE_AND_TURNOVER),
        ("quote_volume,base_volume", "BTCUSD", TURNOVER_AND_BASE),
        ("quote_asset_volume,volume", "BTCUSDT", TURNOVER_AND_BASE),
        ("amount,volume", "600519", TURNOVER_AND_BASE),
        ("Volume EUR,Volume USD", "EURUSD", BASE_AND_TURNOVER),
        ("volume,vol", "SPY", BASE_AND_TURNOVER),  # neither name says which: the content does
        ("volume,vol", "SPY", TURNOVER_AND_BASE),
    ],
)
def test_the_base_volume_is_taken_and_said(names: str, symbol: str, amounts: tuple[str, ...]) -> None:
    reading = read(bars(names, *amounts), symbol)
    assert volumes(reading) == UNITS
    taken = names.split(",")[amounts is TURNOVER_AND_BASE]
    assert f"volume from {taken}, not from" in reading.assumption


@pytest.mark.parametrize(
    ("names", "amounts", "meant", "note"),
    [
        ("<TICKVOL>,<VOL>", ("97,0", "2857,0"), [97, 2857], "tick volume from <TICKVOL>, as <VOL> is zero"),
        ("volume,tick_volume", ("0,97", "0,2857"), [97, 2857], "tick volume from tick_volume, as volume is zero"),
        ("real_volume,tickvolume", ("500,97", "700,2857"), [500, 700], "volume from real_volume, not from tickvolume"),
        ("tickvolume,real_volume", ("97,", "2857,"), [97, 2857], "tick volume from tickvolume"),
        ("volume,vol", ("0,97", "0,2857"), [97, 2857], "volume from vol, not from volume"),
        ("volume", ("0", "0"), [0, 0], "every volume in volume is zero"),
    ],
)
def test_zeros_do_not_win(names: str, amounts: tuple[str, ...], meant: list[int], note: str) -> None:
    reading = read(bars(names, *amounts), "EURUSD")
    assert volumes(reading) == meant
    assert note in reading.assumption


@pytest.mark.parametrize(
    ("names", "amounts", "note"),
    [
        ("Volume USDT", ("4200.1", "8050"), "no volume: Volume USDT counts the quote's money"),
        ("turnover", ("4200.1", "8050"), "no volume: turnover counts the quote's money"),
        ("amount", ("4200.1", "8050"), "no volume: amount does not say what it counts"),
        ("Vol.", ("", "-"), "no volume: Vol. is empty"),
    ],
)
def test_no_volume_rather_than_a_wrong_one(names: str, amounts: tuple[str, ...], note: str) -> None:
    reading = read(bars(names, *amounts))
    assert volumes(reading) == [None, None]
    assert note in reading.assumption


@pytest.mark.parametrize(
    ("names", "amounts", "symbol"),
    [
        ("volume,vol", ("10,33", "20,12"), "SPY"),
        ("Volume ETH,Volume USDT", TURNOVER_AND_BASE, "ETHUSDT"),  # the content says the opposite
        ("volume,turnover", TURNOVER_AND_BASE, "BTCUSDT"),
    ],
)
def test_an_open_choice_is_asked_for(names: str, amounts: tuple[str, ...], symbol: str) -> None:
    text = bars(names, *amounts)
    reading = read(text, symbol)
    assert reading.rejected_whole
    assert "--volume" in reading.rejected["detail"][0]
    second = names.split(",")[1]
    given = read(text, symbol, volume=second.upper())
    assert volumes(given) == [Decimal(amount.split(",")[1]) for amount in amounts]
    assert f"volume from the column {second}, as given" in given.assumption


def test_a_given_column_has_to_be_there() -> None:
    reading = read(bars("volume", "1", "2"), volume="Umsatz")
    assert reading.rejected_whole
    assert "no column Umsatz" in reading.rejected["detail"][0]


@pytest.mark.parametrize("header", ["Volume MA", "Volume Change", "Volume SMA"])
def test_averages_of_volume_are_no_volume(header: str) -> None:
    reading = read(bars(f"Volume,{header}", "10.5,99", "20,98"), "MA")
    assert volumes(reading) == UNITS


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        ("time,price,amount,cost", ("400,2,800", "410,3,1230")),
        ("time,price,quote_qty,qty", ("400,800,2", "410,1230,3")),
        ("time,price,amount,volume", ("400,800,2", "410,1230,3")),
        ("time,price,size,homeNotional,foreignNotional", ("400,800,2,800", "410,1230,3,1230")),
    ],
)
def test_the_quantity_of_trades_counts_units(names: str, rows: tuple[str, ...]) -> None:
    text = "\n".join([names, *(f"2024-01-02 00:00:{10 * number:02},{row}" for number, row in enumerate(rows))])
    assert volumes(read(text)) == [Decimal(5)]


def test_contracts_of_coin_margined_futures_are_no_units() -> None:
    opens = 1_704_153_600_000
    rows = [f"{opens + 60_000 * i},400,410,390,400,{80 + i},0,{(80 + i) * 10 / 400},5,1,1,0" for i in range(3)]
    reading = read("\n".join(rows), "ETHUSD")
    assert volumes(reading) == [None] * 3
    assert "it counts contracts of 10 USD" in reading.assumption


@pytest.mark.parametrize(
    ("names", "prices"),
    [
        ("Date,Price,Open,High,Low,Vol.,Change %", "405,400,410,390,7,1"),
        ("Date,Open,High,Low,Price,Quantity", "400,410,390,405,7"),
        ("Date,Open,High,Low,Last,Volume", "400,410,390,405,7"),
    ],
)
def test_open_high_and_low_make_bars_whatever_the_close_is_called(names: str, prices: str) -> None:
    reading = read(f"{names}\n2024-01-02,{prices}\n2024-01-03,{prices}\n", "SPY")
    assert reading.bars.select("open", "high", "low", "close", "volume").row(0) == (400, 410, 390, 405, 7)
    assert reading.bars.height == 2


@pytest.mark.parametrize(
    "names", ["open,high,low,bid,ask,quantity", "open,x,low,Price,Vol.,note", "x,high,y,price,qty,z"]
)
def test_parts_of_a_bar_are_no_trades_and_no_quotes(names: str) -> None:
    reading = read(f"time,{names}\n2024-01-02,1,2,1,1,1,5\n2024-01-03,1,2,1,1,1,5\n")
    assert reading.rejected_whole
    assert reading.rejected["reason"].to_list() == ["unsupported"]
