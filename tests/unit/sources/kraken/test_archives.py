"""Members of Kraken's archives, read in pieces: the same rows as at once, and as any imported file's."""

from __future__ import annotations

import random
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples

from trading_platform.domain.market.bars import Quality
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import FileFormat, FileRejected, ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.reading import FileReading, read_content
from trading_platform.sources.kraken.archives.archive import hash_of, is_archive, members_of, read_member
from trading_platform.sources.kraken.archives.rows import ArchiveMember
from trading_platform.sources.kraken.landing_source import ArchiveKind, KrakenArchive

NOW = datetime(2025, 3, 4, tzinfo=UTC)
START = 1_740_000_000  # on the grid of a minute
VALUES = ["time", "open", "high", "low", "close", "volume"]


def member(folder: Path, name: str, rows: list[str]) -> ArchiveMember:
    path = folder / name
    path.write_text("".join(f"{row}\n" for row in rows))
    (found,) = members_of(path)
    return found


def bar_row(number: int, chance: random.Random) -> str:
    low, high = sorted(chance.sample(range(1000, 2000), 2))
    first, last = chance.randint(low, high), chance.randint(low, high)
    prices = ",".join(f"{price / 10}" for price in (first, high, low, last))
    return f"{START + 60 * number},{prices},{chance.random():.8f},{chance.randint(1, 9)}"


def bars_of(readings: list[FileReading]) -> pl.DataFrame:
    return pl.concat([reading.bars for reading in readings])


WRONG = [
    "soon,1,1,1,1,1,1", f"{START},1,1,2,1,1,1", f"{START},-1,1,1,1,1,1", f"{START},1,1,1,1", f"{START},a,1,1,1,1,1",
    f"{START + 7},1,1,1,1,1,1", f"{START},1,1,1,1,1,1,1", f"{START},1,1,1,1,,1", "",
]  # fmt: skip


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(12, 90),
    chunk=st.integers(300, 4000),
    wrong=st.lists(st.tuples(st.integers(6, 89), st.sampled_from(WRONG)), max_size=3),
)
@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_of_any_size_give_what_the_careful_way_gives(
    *, tmp_path: Path, seed: int, count: int, chunk: int, wrong: list[tuple[int, str]]
) -> None:
    chance = random.Random(seed)
    minutes = sorted(chance.sample(range(1, 3 * count + 1), count))
    rows = [bar_row(number, chance) for number in minutes]
    for place, row in wrong:
        rows.insert(min(place, len(rows)), row)
    path = tmp_path / "XBTUSD_1.csv"
    whole = member(tmp_path, path.name, rows)
    options = ImportOptions(timeframe=Timeframe.M1, format=FileFormat.KRAKEN_OHLCVT)
    content = FileContent(path, None, path.read_bytes)
    expected = read_content(content, options, now=NOW, zone_of=lambda _: "UTC")
    readings = list(read_member(whole, NOW, chunk_bytes=chunk))
    assert bars_of(readings).select(VALUES).equals(expected.bars.select(VALUES))
    assert set(bars_of(readings)["source"]) == {"kraken"}
    assert sum(reading.rows for reading in readings) == expected.rows
    assert sum(reading.accepted for reading in readings) == expected.accepted
    columns = ["line", "reason", "record"]
    rejected = pl.concat([reading.rejected for reading in readings]).select(columns)
    assert rejected.equals(expected.rejected.select(columns))
    spans = [reading.span for reading in readings if reading.span is not None]
    assert Window.merge(spans) == [expected.span]
    assert sum((span.end - span.start for span in spans), timedelta(0)) == expected.span.end - expected.span.start  # type: ignore[union-attr]


@pytest.mark.slow
@given(
    seed=st.integers(0, 10**6), count=st.integers(1, 120), chunk=st.integers(400, 3000)
)  # a minute is at most a few of the smallest
@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_minute_of_trades_is_cut(*, tmp_path: Path, seed: int, count: int, chunk: int) -> None:
    chance = random.Random(seed)
    times = sorted(START + chance.randrange(0, 3600 * 10) / 10 for _ in range(count))
    rows = [f"{time:.4f},{chance.randint(10, 99) / 10},{chance.randint(1, 8) / 4}" for time in times]
    found = member(tmp_path, "XBTUSD.csv", rows)
    assert (found.kind, found.timeframe, found.symbol) == (ArchiveKind.TRADES, Timeframe.M1, "BTCUSD")
    bars = bars_of(list(read_member(found, NOW, chunk_bytes=chunk)))
    by_minute: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        time, price, quantity = map(float, row.split(","))
        by_minute.setdefault(int(time) // 60 * 60, []).append((price, quantity))
    expected = [
        (datetime.fromtimestamp(minute, UTC), traded[0][0], max(p for p, _ in traded), min(p for p, _ in traded),
         traded[-1][0], sum(q for _, q in traded))
        for minute, traded in sorted(by_minute.items())
    ]  # fmt: skip
    assert [(row[0], *map(float, row[1:])) for row in bars.select(VALUES).iter_rows()] == expected


def test_rows_out_of_order_across_pieces_refuse_the_member(tmp_path: Path) -> None:
    chance = random.Random(1)
    rows = [bar_row(number, chance) for number in [*range(100), 50]]
    with pytest.raises(FileRejected, match="order of time"):
        list(read_member(member(tmp_path, "XBTUSD_1.csv", rows), NOW, chunk_bytes=400))


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("PEPEUSD_1.csv", ["{},0.00000097,0.000000985,0.00000097,0.00000098,5,1"]),
        ("PEPEUSD.csv", ["{},0.00000097,5", "{},0.000000971,5"]),
        ("SHIBUSD.csv", ["{},0.0000000049,5"]),
    ],
)
def test_prices_finer_than_eight_decimals_refuse_the_member(tmp_path: Path, name: str, rows: list[str]) -> None:
    stamped = [row.format(1_609_459_200 + number) for number, row in enumerate(rows)]
    with pytest.raises(FileRejected, match="finer than eight decimals"):
        list(read_member(member(tmp_path, name, stamped), now=NOW, chunk_bytes=1_000))


def test_text_without_times_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    garbled = member(tmp_path, "XBTUSD_1.csv", ["not a row at all"] * 2000)
    with pytest.raises(FileRejected, match="order of time"):
        list(read_member(garbled, NOW, chunk_bytes=1000))


def test_five_minutes_named_one_minute_are_refused(tmp_path: Path) -> None:
    chance = random.Random(2)
    rows = [bar_row(5 * number, chance) for number in range(60)]
    with pytest.raises(FileRejected, match="grid of 5 minutes"):
        list(read_member(member(tmp_path, "XBTUSD_1.csv", rows), NOW))


def test_a_member_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Kraken_bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("XBTUSD_1.csv", bytes(40 * 1024**2))
    (found,) = members_of(path)
    with pytest.raises(FileRejected, match="times its size"):
        hash_of(found)


def test_members_are_known_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "Kraken_OHLCVT_Q1_2024.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (
            "XBTUSD_1.csv",
            "a/XDGUSD_1440.csv",
            "ETHXBT_60.csv",
            "XBTUSD.csv",
            "readme.txt",
            "__MACOSX/XBTUSD_1.csv",
        ):
            archive.writestr(name, "")
    found = [(one.name, one.symbol, one.kind, one.timeframe) for one in members_of(path)]
    assert found == [
        ("XBTUSD_1.csv", "BTCUSD", ArchiveKind.OHLCVT, Timeframe.M1),
        ("a/XDGUSD_1440.csv", "DOGEUSD", ArchiveKind.OHLCVT, Timeframe.D1),
        ("ETHXBT_60.csv", "ETHBTC", ArchiveKind.OHLCVT, None),
        ("XBTUSD.csv", "BTCUSD", ArchiveKind.TRADES, Timeframe.M1),
    ]
    assert is_archive(path)
    assert not is_archive(tmp_path / "XBTUSD_1.csv")
    assert not is_archive(tmp_path / "my_XBTUSD.zip")


def landed(area: LandingArea, name: str, minutes: list[int], price: int) -> None:
    times = [datetime.fromtimestamp(START + 60 * minute, UTC) for minute in minutes]
    bars = pl.DataFrame({"time": times}, schema={"time": pl.Datetime("us", "UTC")}).with_columns(
        *(pl.lit(price).cast(pl.Decimal(18, 8)).alias(column) for column in VALUES[1:5]),
        volume=pl.lit(1).cast(pl.Decimal(24, 8)),
    )
    span = Window(times[0], times[-1] + timedelta(minutes=1))
    area.keep(bars, sha256=name, symbol="BTCUSD", timeframe=Timeframe.M1, span=span, options="", clock=lambda: NOW)


def test_the_finer_tier_wins_the_later_import_wins_and_both_are_told_again(tmp_path: Path) -> None:
    archive = KrakenArchive(tmp_path)
    landed(archive.areas[ArchiveKind.OHLCVT], "first", [0, 1, 2, 5, 6], 10)
    landed(archive.areas[ArchiveKind.OHLCVT], "later", [5, 9], 20)
    landed(archive.areas[ArchiveKind.TRADES], "trades", [8, 12], 30)
    (span,) = archive.spans("BTCUSD", Timeframe.M1)
    assert span == Window(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START + 13 * 60, UTC))
    (response,) = archive.responses("BTCUSD", Timeframe.M1, span)
    closes = [int(close) for close in response.bars["close"]]
    #        candles      none     later     earlier: no rows   trades, filled with their last price
    assert closes == [10, 10, 10, 10, 10, 20, 10, 10, 30, 30, 30, 30, 30]
    traded = (response.bars["quality"] == Quality.TRADED.value).to_list()
    assert [place for place, each in enumerate(traded) if each] == [0, 1, 2, 5, 6, 8, 12]
    versions = {telling.kind: [int(close) for close in telling.bars["close"]] for telling in response.second_versions}
    assert versions == {"earlier OHLCVT archive": [10], "OHLCVT archive": [10, 20]}
    assert not any(telling.finer for telling in response.second_versions)
    half = Window(span.start + timedelta(minutes=4), span.start + timedelta(minutes=11))
    (part,) = archive.responses("BTCUSD", Timeframe.M1, half)
    assert part.bars.equals(response.bars[4:11])  # what is filled has the price before the window
