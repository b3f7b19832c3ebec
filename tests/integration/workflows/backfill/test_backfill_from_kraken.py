"""Kraken's history in three tiers: archives, trades, candles, all of one market, over HTTP and into the database."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from kraken_archives import days_before, ohlcvt_rows, trade_rows, write_ohlcvt, write_trades, write_zip
from kraken_history import (
    DAYS,
    INTERRUPTIONS,
    KILLS,
    MINUTE,
    NOW,
    TRADES_PER_MINUTE,
    VALUES,
    Watched,
    backfill,
    clock,
    import_,
    instrument,
    interrupt,
    kill,
    own_candles,
    report,
    set_faults,
    source_of,
    stored,
)

from trading_platform.domain.time import Timeframe, Window
from trading_platform.simulator.faults import Fault, Faults
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.sources.kraken.landing_source import ArchiveKind, KrakenArchive
from trading_platform.stores.market_data.checks import Scope
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.plan_backfill import efforts_of
from trading_platform.workflows.imports.import_archives import import_archives
from trading_platform.workflows.imports.import_files import ImportStatus
from trading_platform.workflows.quality.check_results import Status
from trading_platform.workflows.quality.suites.verify import verify_asset


@pytest.fixture(scope="module")
def market() -> SeededMarket:
    return SeededMarket(11, ["BTCUSD", "ETHUSD"], datetime(2025, 1, 1, tzinfo=UTC), trades_per_minute=TRADES_PER_MINUTE)


@pytest.fixture(scope="module")
def watched(market: SeededMarket) -> Watched:
    return Watched(market)


@pytest.fixture(scope="module")
def exchange(watched: Watched) -> Iterator[str]:
    with running_exchange(watched, clock=clock) as url:
        yield url


@pytest.fixture(scope="module")
def stores(database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    del database  # brings the schema
    with open_stores(database_url, tmp_path_factory.mktemp("features")) as opened:
        yield opened


@pytest.fixture
def clean(stores: Stores) -> Stores:
    """The stores with nothing of Kraken's minutes and days in them."""
    names = "bars_1m bars_1d coverage coverage_requests quarantine checkpoints".split()
    names += ["source_comparisons", "conflicting_versions"]
    with stores.database.begin() as connection:
        for name in (*(f"market_data.{name}" for name in names), "config.instruments"):
            execute(connection, f"DELETE FROM {name}")  # noqa: S608 - names of this test
    return stores


# --- trades, killed and resumed ------------------------------------------------------------------------------------


@pytest.mark.exhaustive
def test_thirty_days_from_trades_killed_ten_times_are_the_exchanges_own_candles_and_nothing_is_asked_twice(
    clean: Stores, database_url: str, exchange: str, watched: Watched, market: SeededMarket, tmp_path: Path
) -> None:
    window = days_before(NOW, DAYS, 0)
    chance = random.Random(5)
    broken = dict.fromkeys((Fault.RATE_LIMIT, Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.DROP), 0.05)
    arguments = [database_url, str(tmp_path / "imports"), exchange, NOW.isoformat(), window.start.isoformat()]
    pages = int(DAYS * 1440 * TRADES_PER_MINUTE / 1000)
    watched.pages.clear()
    for number in range(INTERRUPTIONS):
        set_faults(exchange, Faults(probability=broken, next={Fault.TRUNCATE: 1}, seed=number))
        ahead = chance.randint(1, max(2 * pages // (INTERRUPTIONS + 4), 2))
        if number >= KILLS:
            interrupt(clean, source_of(exchange, None, days=DAYS), window, parts=ahead)
        else:
            kill(watched, arguments, len(watched.pages) + ahead, None if number % 2 else chance.uniform(0, 0.03))
    backfill(clean, source_of(exchange, None, days=DAYS), window)
    set_faults(exchange, Faults())
    found = stored(clean, window)
    assert found.select(VALUES).equals(own_candles(market, "BTCUSD", window))
    assert found.height == DAYS * 1440
    assert set(found["quality"]) <= {"traded", "no_trade", "review"}
    assert found.filter((pl.col("volume") == 0) != (pl.col("quality") == "no_trade")).is_empty()
    asked = Counter(since for since, _, _ in watched.pages)
    repeated = sum(asked.values()) - len(asked)
    assert repeated <= 2 * INTERRUPTIONS  # what was in flight when it broke
    once = sorted({since: (first, last) for since, first, last in watched.pages}.values())
    conflicting_versions = [before - first + 1 for (_, before), (first, _) in pairwise(once)]
    assert all(1 <= overlap <= 12 for overlap in conflicting_versions)  # the trades at the nanosecond a page ends with
    report(f"{len(watched.pages)} requests for {len(asked)} pages, interrupted {INTERRUPTIONS} times")


def test_candles_take_over_from_trades_and_what_both_tell_is_compared(
    clean: Stores, exchange: str, watched: Watched, market: SeededMarket
) -> None:
    watched.pages.clear()
    watched.candles_asked = 0
    window = days_before(NOW, 2, 0)
    backfill(clean, source_of(exchange, None), window)
    assert stored(clean, window).select(VALUES).equals(own_candles(market, "BTCUSD", window))
    assert watched.candles_asked == 1
    compared = clean.conflicting_versions.compared(Timeframe.M1, Scope())
    assert compared["OHLC"] >= 10
    watched.pages.clear()
    recent = Window(window.end - timedelta(hours=5), window.end)
    clean.coverage.withdraw("BTCUSD", Timeframe.M1, "kraken", [recent])
    backfill(clean, source_of(exchange, None), window)
    assert watched.pages == []  # one request for candles, none for trades
    assert stored(clean, window).select(VALUES).equals(own_candles(market, "BTCUSD", window))


@pytest.mark.exhaustive
def test_what_asking_takes_is_told_before(
    clean: Stores, exchange: str, watched: Watched, market: SeededMarket, tmp_path: Path
) -> None:
    window = days_before(NOW, 8, 0)
    source = source_of(exchange, None, days=8)
    (effort,) = efforts_of(
        clean, {"kraken": source}, [instrument()], [Timeframe.M5, Timeframe.H1], None, clock=clock, force=False
    )
    assert (effort.symbol, effort.timeframe, effort.window, effort.seconds) == ("BTCUSD", "1m", window, effort.requests)
    watched.pages.clear()
    backfill(clean, source, window)
    assert len(watched.pages) / 2 <= effort.requests <= len(watched.pages) * 2
    nothing = efforts_of(clean, {"kraken": source}, [instrument()], [Timeframe.M1], None, clock=clock, force=False)
    assert nothing == []
    import_(clean, tmp_path, write_ohlcvt(tmp_path / "Kraken.zip", market, ["BTCUSD"], days_before(NOW, 8, 0.4)))
    known = source_of(exchange, tmp_path, days=8)
    (less,) = efforts_of(clean, {"kraken": known}, [instrument()], [Timeframe.M1], None, clock=clock, force=True)
    assert less.requests < effort.requests


# --- archives ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def span() -> Window:
    return days_before(NOW, 6, 1)


@pytest.fixture(scope="module")
def ohlcvt(market: SeededMarket, span: Window, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ohlcvt(tmp_path_factory.mktemp("a") / "Kraken_OHLCVT.zip", market, ["ETHUSD", "BTCUSD"], span)


@pytest.fixture(scope="module")
def trades(market: SeededMarket, span: Window, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("b")
    return write_trades(folder / "Kraken_Trading_History.zip", market, ["ETHUSD", "BTCUSD"], span)


def test_archives_trades_and_candles_tell_the_same_minutes(
    clean: Stores, exchange: str, market: SeededMarket, tmp_path: Path
) -> None:
    """On the last half day all of them are available."""
    window = days_before(NOW, 0.45, 0)
    long = days_before(NOW, 1, 0)
    import_(clean, tmp_path, write_ohlcvt(tmp_path / "Kraken_1.zip", market, ["BTCUSD"], long))
    import_(clean, tmp_path, write_trades(tmp_path / "Kraken_2.zip", market, ["BTCUSD"], long))
    archive = KrakenArchive(tmp_path)
    live = source_of(exchange, None)
    pair = live._client.pairs().find("BTCUSD")
    spoken = next(part for part in archive.spans("BTCUSD", Timeframe.M1) if part.intersect(window)).intersect(window)
    assert spoken is not None
    assert spoken.end - spoken.start > timedelta(hours=10)
    tiers = {tier: archive.filled(tier, "BTCUSD", Timeframe.M1, spoken) for tier in ArchiveKind}
    tiers["candles"] = live._from_candles("BTCUSD", pair, Timeframe.M1, spoken).bars  # type: ignore[index, union-attr]
    tiers["Trades"] = pl.concat([part.bars for part in live._from_trades("BTCUSD", pair, spoken, None)])  # type: ignore[index]
    expected = own_candles(market, "BTCUSD", spoken)
    for name, bars in tiers.items():
        assert bars.select(VALUES).equals(expected), name
        assert bars.equals(tiers["Trades"]), name  # type: ignore[index]


@pytest.mark.parametrize("kind", ["ohlcvt", "trades"])
def test_an_archive_is_the_first_tier_and_only_what_it_lacks_is_asked(
    clean: Stores, exchange: str, watched: Watched, market: SeededMarket, span: Window, tmp_path: Path,
    request: pytest.FixtureRequest, kind: str,
) -> None:  # fmt: skip
    archive = request.getfixturevalue(kind)
    files = import_(clean, tmp_path, archive)
    assert {file.status for file in files} == {ImportStatus.IMPORTED}
    assert all(file.accepted == file.rows > 0 for file in files)
    assert {file.status for file in import_(clean, tmp_path, archive)} == {ImportStatus.UNCHANGED}
    assert [one.source for one in clean.instruments.all().values()] == ["kraken"]
    source = source_of(exchange, tmp_path)
    (available_history,) = source.available_history(instrument(), Timeframe.M1)
    assert abs(available_history.start - span.start) < timedelta(minutes=15)
    watched.pages.clear()
    backfill(clean, source, Window(available_history.start, NOW))
    found = stored(clean, available_history)
    assert found.select(VALUES).equals(own_candles(market, "BTCUSD", available_history))
    assert found.filter(pl.col("quality") == "no_trade").height > 50
    assert set(found["source"]) == {"kraken"}
    assert len(watched.pages) <= 1 + TRADES_PER_MINUTE * 1440 / 1000 * 2
    assert (
        1 <= clean.conflicting_versions.compared(Timeframe.M1, Scope())["Trades"] <= 5
    )  # those before the archive's end
    (check,) = verify_asset(clean, {"kraken": source}, "ohlcv_1m", clock=clock, only={"sources_agree"})
    assert check.status is Status.PASSED
    assert check.rows_checked >= 11
    watched.pages.clear()
    backfill(clean, source, Window(available_history.start, NOW))
    assert watched.pages == []


def test_daily_bars_come_from_the_archive_before_candles_reach(
    clean: Stores, exchange: str, market: SeededMarket, tmp_path: Path
) -> None:
    start = datetime(2025, 1, 3, tzinfo=UTC)
    rows = ohlcvt_rows(market, "BTCUSD", 1440, Window(start, datetime(2025, 2, 1, tzinfo=UTC)))
    old = [  # of a pair that does not trade on every third day
        f"{int(row.partition(',')[0]) - 900 * 86_400},{row.partition(',')[2]}"
        for number, row in enumerate(rows)
        if number % 3 != 2
    ]
    import_(clean, tmp_path, write_zip(tmp_path / "Kraken_OHLCVT.zip", {"XBTUSD_1440.csv": old, "XBTUSD_1.csv": []}))
    source = source_of(exchange, tmp_path)
    archived, recent = source.available_history(instrument(), Timeframe.D1)
    backfill(clean, source, Window(archived.start, NOW), Timeframe.D1)
    found = stored(clean, archived, Timeframe.D1)
    assert found.height == len(rows)  # days without trades at the last price
    assert found["quality"].to_list()[2::3] == ["no_trade"] * 9
    assert found["close"][5] == found["close"][4]
    assert stored(clean, recent, Timeframe.D1).height > 0


def test_a_difference_at_the_seam_is_recorded_and_the_finer_tier_wins(
    clean: Stores, exchange: str, market: SeededMarket, span: Window, tmp_path: Path
) -> None:
    rows = ohlcvt_rows(market, "BTCUSD", 1, span)
    time, *values = rows[-1].split(",")
    rows[-1] = ",".join([time, *(f"{Decimal(value) + 1}" for value in values[:4]), *values[4:]])
    import_(clean, tmp_path, write_zip(tmp_path / "Kraken_OHLCVT.zip", {"XBTUSD_1.csv": rows}))
    source = source_of(exchange, tmp_path)
    (available_history,) = source.available_history(instrument(), Timeframe.M1)
    backfill(clean, source, Window(available_history.start, NOW))
    assert stored(clean, available_history).select(VALUES).equals(own_candles(market, "BTCUSD", available_history))
    (check,) = verify_asset(clean, {"kraken": source}, "ohlcv_1m", clock=clock, only={"sources_agree"})
    assert (check.status, check.failing_rows) == (Status.WARN, 1)
    (row,) = check.sample
    timestamp = datetime.fromtimestamp(int(time), UTC)
    assert (row["symbol"], row["time"]) == ("BTCUSD", timestamp.isoformat())
    assert "Trades has O " in str(row["detail"])
    assert "it replaced O " in str(row["detail"])
    assert f"C {Decimal(values[3]) + 1} " in str(row["detail"])
    assert f"C {Decimal(values[3]).normalize():f} " in str(row["detail"])
    with clean.database.begin() as connection:
        noted = execute(
            connection,
            "SELECT lower(asked) FROM market_data.coverage_requests WHERE changed AND note LIKE 'Trades differs%%'",
        )
    assert noted == [(timestamp,)]


def test_an_archive_is_compared_with_what_was_stored_before_it(
    clean: Stores, exchange: str, market: SeededMarket, tmp_path: Path
) -> None:
    whole = days_before(NOW, 2, 0)
    source = source_of(exchange, tmp_path)
    backfill(clean, source, whole)
    right = stored(clean, whole)
    span = days_before(NOW, 1.5, 1)
    rows = ohlcvt_rows(market, "BTCUSD", 1, span)
    spoiled = rows.copy()
    time, *values = rows[100].split(",")
    spoiled[100] = ",".join([time, *values[:4], f"{Decimal(values[4]) + 1}", values[5]])
    (file,) = import_(clean, tmp_path, write_zip(tmp_path / "Kraken_A.zip", {"XBTUSD_1.csv": spoiled}))
    assert file.compared >= 700
    assert file.different == 1
    assert stored(clean, whole).equals(right)  # what was stored is no coarser: it stays, and the difference is known
    scope = Scope(("BTCUSD",), span)
    (check,) = verify_asset(clean, {"kraken": source}, "ohlcv_1m", [scope], clock=clock, only={"sources_agree"})
    assert check.failing_rows == 1
    assert "OHLCVT archive has" in str(check.sample[0]["detail"])
    assert "kept is" in str(check.sample[0]["detail"])
    backfill(clean, source, whole, force=True)  # a user may prefer the archive; then nothing differs from it
    assert stored(clean, whole).join(right, on=VALUES, how="anti").height == 1
    (check,) = verify_asset(clean, {"kraken": source}, "ohlcv_1m", clock=clock, only={"sources_agree"})
    assert check.status is Status.PASSED
    (file,) = import_(clean, tmp_path, write_zip(tmp_path / "Kraken_B.zip", {"XBTUSD_1.csv": rows}))
    assert file.different == 1
    backfill(clean, source, whole, force=True)
    assert stored(clean, whole).equals(right)
    (check,) = verify_asset(clean, {"kraken": source}, "ohlcv_1m", clock=clock, only={"sources_agree"})
    assert check.failing_rows == 1  # the two archives differ, and the later one's is taken
    assert "earlier OHLCVT archive has" in str(check.sample[0]["detail"])


# --- what is wrong with archives -----------------------------------------------------------------------------------


def quarantined(stores: Stores) -> list[tuple[str, str]]:
    return list(stores.quarantine.read("BTCUSD").select("reason", "detail").iter_rows())


def test_a_damaged_member_is_refused_whole_and_the_others_are_kept(clean: Stores, ohlcvt: Path, tmp_path: Path) -> None:
    body = bytearray(ohlcvt.read_bytes())
    at = body.index(b"XBTUSD_1.csv") + 20_000
    body[at : at + 4] = bytes(4)
    damaged = tmp_path / "Kraken_OHLCVT.zip"
    damaged.write_bytes(bytes(body))
    files = {file.timeframe: file for file in import_(clean, tmp_path, damaged)}
    assert files["1m"].status is ImportStatus.REJECTED
    assert "damaged" in str(files["1m"].detail)
    assert "download the archive again" in str(files["1m"].detail)
    assert files["1d"].status is ImportStatus.IMPORTED
    assert KrakenArchive(tmp_path).spans("BTCUSD", Timeframe.M1) == []
    assert [reason for reason, _ in quarantined(clean)] == ["unreadable_file"]


@pytest.mark.parametrize("length", [0, 3, 5000])
def test_a_truncated_archive_is_refused(clean: Stores, ohlcvt: Path, tmp_path: Path, length: int) -> None:
    cut = tmp_path / "Kraken_OHLCVT.zip"
    cut.write_bytes(ohlcvt.read_bytes()[:length])
    (file,) = import_(clean, tmp_path, cut)
    assert file.status is ImportStatus.REJECTED
    assert file.detail


def test_an_import_killed_in_the_middle_leaves_nothing_to_be_seen_and_is_simply_done_again(
    clean: Stores, ohlcvt: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "source=kraken"
    done = 0

    def report_progress(what: str, _done: int, _total: int) -> None:
        nonlocal done
        done += what.startswith("XBTUSD_1.csv")
        if done == 5:
            raise KeyboardInterrupt

    archive = KrakenArchive(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        import_archives(
            [ohlcvt],
            symbol="BTCUSD",
            archive=archive,
            stores=clean,
            clock=clock,
            progress=report_progress,
            chunk_bytes=20_000,
        )
    assert len(list(folder.rglob("*.staged"))) == 4
    assert archive.spans("BTCUSD", Timeframe.M1) == []
    done = 6
    force = import_archives(
        [ohlcvt],
        symbol="BTCUSD",
        archive=archive,
        stores=clean,
        clock=clock,
        progress=report_progress,
        chunk_bytes=20_000,
    )
    assert {file.status for file in force} == {ImportStatus.IMPORTED}
    assert list(folder.rglob("*.staged")) == []
    assert len(list((folder / "tier=ohlcvt").rglob("timeframe=1m/*.parquet"))) > 10
    (span,) = archive.spans("BTCUSD", Timeframe.M1)
    assert archive.filled(ArchiveKind.OHLCVT, "BTCUSD", Timeframe.M1, span).height == (span.end - span.start) // MINUTE


def test_missing_members_are_named(clean: Stores, market: SeededMarket, span: Window, tmp_path: Path) -> None:
    other = write_ohlcvt(tmp_path / "Kraken_1.zip", market, ["ETHUSD"], span, [1440])
    (file,) = import_(clean, tmp_path, other)
    assert file.status is ImportStatus.REJECTED
    assert file.detail == "the archive holds nothing of BTCUSD; it has 1 other pairs"
    partial = write_ohlcvt(tmp_path / "Kraken_2.zip", market, ["BTCUSD"], span, [1440])
    absent, daily = import_(clean, tmp_path, partial)
    assert (absent.status, daily.status) == (ImportStatus.REJECTED, ImportStatus.IMPORTED)
    assert "the member with the minutes of BTCUSD is missing" in str(absent.detail)


WRONG = {
    "off_grid": ("1740000030,1,1,1,1,1,1", "off_grid"),
    "high below low": ("1740000000,1,1,2,1,1,1", "ohlc_inconsistent"),
    "negative price": ("1740000000,-1,1,-1,1,1,1", "non_positive_price"),
    "no number": ("1740000000,1,x,1,1,1,1", "unreadable_number"),
    "no time": ("soon,1,1,1,1,1,1", "unreadable_time"),
    "later than now": ("1990000020,1,1,1,1,1,1", "future_time"),
    "a field too many": ("1740000000,1,1,1,1,1,1,1", "unreadable_number"),
    "a value missing": ("1740000000,1,1,1,,1,1", "missing_value"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_row_is_quarantined_and_the_others_are_kept(
    clean: Stores, market: SeededMarket, span: Window, tmp_path: Path, name: str
) -> None:
    wrong, reason = WRONG[name]
    rows = ohlcvt_rows(market, "BTCUSD", 1, span)
    spoiled = [*rows[:700], wrong, *rows[700:]]
    (file,) = import_(clean, tmp_path, write_zip(tmp_path / "Kraken_A.zip", {"XBTUSD_1.csv": spoiled}))
    assert (file.rows, file.accepted, file.quarantined) == (len(rows) + 1, len(rows), 1)
    assert file.reasons == {reason: 1}
    (row,) = clean.quarantine.read("BTCUSD").iter_rows(named=True)
    assert (row["reason"], row["line"], row["record"]) == (reason, 701, wrong)
    assert row["origin"].endswith("Kraken_A.zip!XBTUSD_1.csv")
    bars = KrakenArchive(tmp_path).filled(ArchiveKind.OHLCVT, "BTCUSD", Timeframe.M1, span)
    assert bars.filter(pl.col("quality") == "traded").height == len(rows)


def test_rows_that_are_not_what_the_name_says_are_refused(
    clean: Stores, market: SeededMarket, span: Window, tmp_path: Path
) -> None:
    five = {"XBTUSD_1.csv": ohlcvt_rows(market, "BTCUSD", 5, span)}
    trades = {"XBTUSD_1.csv": trade_rows(market, "BTCUSD", span)}
    for number, members in enumerate((five, trades)):
        (file,) = import_(clean, tmp_path, write_zip(tmp_path / f"Kraken_{number}.zip", members))
        assert file.status is ImportStatus.REJECTED
        assert file.detail
    assert KrakenArchive(tmp_path).spans("BTCUSD", Timeframe.M1) == []


# --- size ----------------------------------------------------------------------------------------------------------

ROWS = int(os.environ.get("TEST_KRAKEN_ROWS", "800000"))
MOST_MEMORY = 350 * 1024**2
"""Read at once, the rows above would need more: about 800 MB a million."""

READ = """
import re, sys, time
from datetime import UTC, datetime
from pathlib import Path
from trading_platform.sources.kraken.archives.archive import hash_of, members_of, read_member
(member,) = members_of(Path(sys.argv[1]))
hash_of(member)
began, rows = time.monotonic(), 0
for reading in read_member(member, datetime(2100, 1, 1, tzinfo=UTC)):
    rows += reading.bars.height
taken = time.monotonic() - began
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(rows, taken, int(peak[1]) * 1024)
"""


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_a_member(tmp_path: Path) -> None:
    minutes = pl.int_range(ROWS, eager=True).alias("minute").to_frame()
    price = 30_000 + (pl.col("minute") * 7919 % 1000) / 10
    rows = minutes.select(
        1_300_000_000 // 60 * 60 + pl.col("minute") * 60, open=price, high=price + 1, low=price - 1, close=price,
        volume=(pl.col("minute") % 997 + 1) / 8, trades=3,
    )  # fmt: skip
    path = tmp_path / "Kraken_OHLCVT.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("XBTUSD_1.csv", rows.write_csv(include_header=False))
    said = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True).stdout
    read, seconds, memory = (float(text) for text in said.split())
    assert read == ROWS
    assert memory < MOST_MEMORY
    report(f"{ROWS} rows in {seconds:.1f} s, {ROWS / seconds:.0f} a second, at most {memory / 1e6:.0f} MB")
