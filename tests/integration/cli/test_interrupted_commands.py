"""Commands whose database goes away, disk is full, or exchange does not answer: what was stored stays, and is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from commands import NOWHERE, Installation, finish, installation, kill, rows
from daily_bars import session_days
from invented_files import FAILED, START, assert_plain, daily_file
from waiting import wait_until

from trading_platform.embedded.stack import Endpoints
from trading_platform.simulator.faults import Fault, Faults
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange


@pytest.fixture
def fresh(stack: Endpoints, tmp_path: Path) -> Iterator[Installation]:
    """A platform whose two instruments are imported, and nothing of them stored."""
    with installation(stack.database_url) as made:
        files = [daily_file(tmp_path, symbol, 700) for symbol in ("SPY", "GOOG")]
        assert made.run("import", *files).code == 0
        yield made


FIRST = "SELECT FROM market_data.bars_1d LIMIT 1"


def stored(made: Installation) -> dict[str, int]:
    """How many bars there are of each symbol."""
    return dict(rows(made.database_url, "SELECT symbol, count(*) FROM market_data.bars_1d GROUP BY symbol"))


def sessions_within(days: int) -> int:
    """The number of bars in a file of so many days."""
    return len(session_days(START, START + timedelta(days=days)))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_database_goes_away_in_the_middle(fresh: Installation, stack: Endpoints) -> None:
    """Every connection is ended and new ones are refused, until the command has given up."""
    names = [urlsplit(fresh.variables[name]).path[1:] for name in ("DATABASE_URL", "DAGSTER_DATABASE_URL")]
    process = fresh.start("backfill", "-t", "1d")

    def allow(*, connections: bool) -> None:
        with psycopg.connect(stack.database_url, autocommit=True) as server:
            for name in names:
                server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {str(connections).lower()}")
                if not connections:
                    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    try:
        wait_until(lambda: rows(fresh.database_url, FIRST), "the first bars", every=0.002, running=process)
        allow(connections=False)
        found = finish(process)
    finally:
        allow(connections=True)
        kill(process)
    assert_plain(found, FAILED)
    assert "The database refuses the connection" in found.text
    assert all(count in (0, sessions_within(700)) for count in stored(fresh).values()), "a request was stored in part"
    force = fresh.run("backfill", "-t", "1d", "--json")
    assert_plain(force, 0)
    assert stored(fresh) == dict.fromkeys(("SPY", "GOOG"), sessions_within(700))
    assert [line["missing"] for line in force.json["symbols"]] == [0, 0]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_one_lost_connection_is_survived(fresh: Installation, stack: Endpoints) -> None:
    process = fresh.start("backfill", "-t", "1d", "--json")
    try:
        wait_until(lambda: rows(fresh.database_url, FIRST), "the first bars", every=0.002, running=process)
        name = urlsplit(fresh.database_url).path[1:]
        with psycopg.connect(stack.database_url, autocommit=True) as server:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        found = finish(process)
    finally:
        kill(process)
    assert "Traceback" not in found.err
    if found.code:
        assert fresh.run("backfill", "-t", "1d").code == 0
    assert stored(fresh) == dict.fromkeys(("SPY", "GOOG"), sessions_within(700))


def fill(folder: Path, leave: int = 0) -> None:
    """Takes the space of a disk but for some bytes."""
    free = os.statvfs(folder)
    (folder / "ballast").write_bytes(b"0" * max(free.f_bavail * free.f_frsize - leave, 0))


@pytest.mark.exhaustive
def test_no_space_for_features(fresh: Installation, small_disk: Path) -> None:
    more = {"FEATURES_DIR": str(small_disk / "features")}
    fill(small_disk, leave=64 * 1024)
    found = fresh.run("backfill", "SPY", "-t", "1d", more=more)
    assert_plain(found, FAILED)
    assert "no space left" in found.text.lower()
    assert not list(small_disk.rglob("*.tmp"))
    (small_disk / "ballast").unlink()
    force = fresh.run("backfill", "SPY", "-t", "1d", more=more)
    assert_plain(force, 0)
    target = fresh.data_dir / "features.csv"
    assert_plain(fresh.run("export", "features", target, "-s", "SPY", more=more), 0)
    assert len(target.read_text().splitlines()) == 1 + sessions_within(700)


@pytest.mark.exhaustive
def test_no_space_for_an_export(fresh: Installation, small_disk: Path) -> None:
    assert fresh.run("backfill", "SPY", "-t", "1d").code == 0
    fill(small_disk)
    found = fresh.run("export", "bars", small_disk / "bars.csv", "--json")
    assert_plain(found, FAILED)
    assert found.json["error"] == "StoreFull"
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


@pytest.mark.exhaustive
def test_no_space_for_an_import(fresh: Installation, small_disk: Path, tmp_path: Path) -> None:
    fill(small_disk)
    more = {"DATA_DIR": str(small_disk)}
    found = fresh.run("import", daily_file(tmp_path, "IWM", 100), more=more)
    assert_plain(found, FAILED)
    assert "space" in found.text
    assert not list(small_disk.rglob("*.parquet"))


@pytest.fixture
def trading(stack: Endpoints, tmp_path: Path) -> Iterator[Installation]:
    """A platform with two instruments of imported bars, and two that the exchange is asked for."""
    with installation(stack.database_url) as made:
        assert made.run("import", daily_file(tmp_path, "SPY", 60)).code == 0
        for symbol in ("BTCUSD", "NOSUCHUSD"):
            assert made.run("instruments", "add", symbol, "--source", "kraken", "--calendar", "24/7").code == 0
        yield made


@pytest.mark.exhaustive
def test_an_unknown_pair_does_not_hold_up_the_others(trading: Installation) -> None:
    with running_exchange(SeededMarket(3, ["BTCUSD"])) as url:
        found = trading.run("backfill", "-t", "1d", "--json", more={"KRAKEN_API_URL": url})
    assert_plain(found, FAILED)
    lines = {line["symbol"]: line for line in found.json["symbols"]}
    assert {symbol for symbol, line in lines.items() if line["failed"]} == {"NOSUCHUSD"}
    assert "NOSUCHUSD" in lines["NOSUCHUSD"]["failed"]
    assert lines["BTCUSD"]["stored"] == 720
    computed = rows(
        trading.database_url, "SELECT symbol, count(*) FROM market_data.indicators_1d GROUP BY 1 ORDER BY 1"
    )
    assert computed == [("BTCUSD", 720), ("SPY", sessions_within(60))]
    assert (trading.data_dir / "features" / "symbol=BTCUSD").exists()


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("faults", [None, Faults(probability={Fault.RATE_LIMIT: 1.0})], ids=["no answer", "too often"])
def test_an_exchange_that_never_answers_is_named_and_imported_bars_are_stored(
    stack: Endpoints, tmp_path: Path, faults: Faults | None
) -> None:
    with installation(stack.database_url) as made, running_exchange(SeededMarket(3, ["BTCUSD"]), faults) as url:
        assert made.run("import", daily_file(tmp_path, "SPY", 60)).code == 0
        assert made.run("instruments", "add", "BTCUSD").code == 0
        more = {"KRAKEN_API_URL": url if faults else NOWHERE}
        found = made.run("backfill", "-t", "1d", more=more)
        assert_plain(found, FAILED)
        assert "BTCUSD 1d failed" in found.text
        assert "Trying again can help" in found.text
        assert stored(made) == {"SPY": sessions_within(60)}
        assert rows(made.database_url, "SELECT DISTINCT symbol FROM market_data.indicators_1d") == [("SPY",)]
