"""Outages of feeds: noted once, repaired from the source without anyone's help, given up with a warning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest
from commands import ROLES_PASSWORD, installation
from waiting import DEADLINE

from trading_platform.domain.errors import SourceUnavailable
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import build_sources, open_platform
from trading_platform.settings import Settings
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.sources.base import BarResponse
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.market_data.completeness.outages import LATE_EVENTS, Outage, OutageState
from trading_platform.stores.postgres.roles import Role, as_role
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.bars.roll_up_bars import roll_up_bars
from trading_platform.workflows.gaps.repair_outages import AT_MOST, ATTEMPTS, FIRST_WAIT, repair_outages

MINUTE, HOUR, SECOND = timedelta(minutes=1), timedelta(hours=1), timedelta(seconds=1)
START = datetime(2026, 11, 25, 6, tzinfo=UTC)
WHOLE = Window(START, START + HOUR)
BTC = Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken")


@dataclass
class Time:
    """A clock that stands until it is moved."""

    now: datetime = START + 2 * HOUR

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def stores(server_url: str, tmp_path: Path) -> Iterator[Stores]:
    with psycopg.connect(server_url) as connection:
        connection.execute(
            "TRUNCATE config.instruments, market_data.bars_1m, market_data.bars_5m, market_data.bars_1h,"
            " market_data.bars_1d, market_data.coverage, market_data.coverage_requests, market_data.input_versions,"
            " market_data.stream_positions, market_data.outages, audit.system_events"
        )
    with open_stores(as_role(server_url, Role.INGEST, ROLES_PASSWORD), tmp_path) as opened:
        opened.instruments.add(BTC)
        yield opened


@pytest.fixture
def clock() -> Time:
    return Time()


class Exchange:
    """The far side of a network: knows every minute, but is sometimes away or answers in part."""

    name = "kraken"

    def __init__(self, clock: Time, minutes: pl.DataFrame) -> None:
        self.clock, self.minutes = clock, minutes
        self.away = False
        self.knows_until = WHOLE.end
        self.asked: list[Window] = []

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        del timeframe
        return timedelta(days=1)

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        del instrument
        return (Window(self.clock() - MINUTE, self.clock()),) if timeframe is Timeframe.M1 else ()

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        del instrument, timeframe
        self.asked.append(window)
        if self.away:
            raise SourceUnavailable("The exchange does not answer.")
        inside = pl.col("time").is_between(window.start, min(window.end, self.knows_until), closed="left")
        answered = window.intersect(Window(START, self.knows_until))
        return BarResponse(
            self.minutes.filter(inside),
            pl.DataFrame(schema=REJECTED_SCHEMA),
            (answered,) if answered else (),
            "a test",
            None if answered == window else "no more is known",
        )


@pytest.fixture
def exchange(clock: Time) -> Exchange:
    """An hour of minutes, but for two in which nothing was traded."""
    minutes = [(START + n * MINUTE, 100 + n % 7) for n in range(60) if n not in (22, 40)]
    return Exchange(clock, frame_of(minutes))


def frame_of(minutes: list[tuple[datetime, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (time, "BTCUSD", "1m", *map(Decimal, (price, price + 1, price - 1, price, 2)), "kraken", "traded")
            for time, price in minutes
        ],
        schema=BAR_SCHEMA,
        orient="row",
    )


def stream(stores: Stores, exchange: Exchange, *gaps: Window, late: tuple[datetime, ...] = ()) -> None:
    """An hour as the live path stores it: nothing of the gaps is known."""
    bars = exchange.minutes
    for gap in gaps:
        bars = bars.filter(~pl.col("time").is_between(gap.start, gap.end, closed="left"))
    stores.stream.commit(
        "live",
        "kraken",
        bars=bars,
        answered={"BTCUSD": WHOLE.subtract(gaps)},
        until=WHOLE.end,
        position={"offset": 1},
        now=WHOLE.end,
        late=[("BTCUSD", timestamp) for timestamp in late],
    )


def repair(stores: Stores, exchange: Exchange, clock: Time) -> list[tuple[OutageState, int]]:
    done = repair_outages(stores, {"kraken": exchange}, clock=clock)
    return [(each.state, each.outage.attempts) for each in done]


def stored(stores: Stores, timeframe: Timeframe = Timeframe.M1) -> pl.DataFrame:
    return stores.bars.read(["BTCUSD"], timeframe, WHOLE)


def only(stores: Stores) -> Outage:
    (outage,) = stores.outages.all()
    return outage


def minutes(first: int, end: int) -> Window:
    return Window(START + first * MINUTE, START + end * MINUTE)


VALUES = ["time", "open", "high", "low", "close", "volume", "source"]
DOWN, UP = START + 20 * MINUTE + 30 * SECOND, START + 24 * MINUTE + 10 * SECOND
GAP = Window(START + 20 * MINUTE, START + 25 * MINUTE)


def test_an_outage_is_noted_once_and_closed_once(stores: Stores) -> None:
    assert stores.outages.opened("kraken", ["BTCUSD", "ETHUSD"], DOWN, "silent for 5 s") == 2
    assert stores.outages.opened("kraken", ["BTCUSD"], DOWN + SECOND, "silent still") == 0
    assert stores.outages.due(UP + HOUR) == [], "it goes on"
    assert stores.outages.closed("kraken", ["BTCUSD"], UP) == 1
    assert stores.outages.closed("kraken", ["BTCUSD"], UP + SECOND) == 0
    (found,) = stores.outages.all([OutageState.CLOSED])
    assert (found.symbol, found.down_at, found.up_at, found.window()) == ("BTCUSD", DOWN, UP, GAP)
    assert stores.outages.due(GAP.end - SECOND) == [], "its last minute has not ended"
    assert stores.outages.due(GAP.end) == [found]
    assert stores.outages.opened("kraken", ["BTCUSD"], UP + MINUTE, "again") == 1
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    assert stores.outages.all([OutageState.CLOSED])[0].up_at == UP + MINUTE, "no outage ends before it begins"


def test_a_stream_that_dies_again_before_it_has_stored_anything_goes_on_with_its_outage(
    stores: Stores, exchange: Exchange, clock: Time
) -> None:
    """What it heard between the two deaths is in no bar, and must be asked for."""
    stores.outages.opened("kraken", ["BTCUSD"], DOWN, "the stream was not running")
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    assert repair(stores, exchange, clock) == [(OutageState.REPAIRED, 1)]
    assert stores.outages.opened("kraken", ["BTCUSD"], DOWN, "the stream was not running") == 1
    assert stores.outages.due(clock() + HOUR) == []
    stores.outages.closed("kraken", ["BTCUSD"], START + 40 * MINUTE)
    assert repair(stores, exchange, clock) == [(OutageState.REPAIRED, 1)]
    assert exchange.asked == [GAP, minutes(25, 40)]
    assert only(stores).window() == minutes(20, 40)


def test_the_minutes_of_an_outage_are_asked_for_and_nothing_else(
    stores: Stores, exchange: Exchange, clock: Time
) -> None:
    stores.outages.opened("kraken", ["BTCUSD"], DOWN, "silent for 5 s")
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    stream(stores, exchange, GAP)
    assert stored(stores).height == 58 - 4
    assert stored(stores, Timeframe.M5).height == 11
    assert stored(stores, Timeframe.H1).is_empty()
    assert repair(stores, exchange, clock) == [(OutageState.REPAIRED, 1)]
    assert exchange.asked == [GAP]
    assert stored(stores).select(VALUES).equals(exchange.minutes.select(VALUES))
    in_gap = pl.col("time").is_between(GAP.start, GAP.end, closed="left")
    assert set(stored(stores).filter(in_gap)["quality"]) == {"repaired"}
    assert set(stored(stores).filter(~in_gap)["quality"]) == {"traded"}
    assert stores.coverage.answered("BTCUSD", Timeframe.M1) == {"kraken": [WHOLE]}
    assert stored(stores, Timeframe.M5).height == 12
    assert stored(stores, Timeframe.H1)["volume"].to_list() == [Decimal(2 * 58)]
    outage = only(stores)
    assert (outage.state, outage.repaired_at) == (OutageState.REPAIRED, clock())
    clock.now += HOUR
    assert repair(stores, exchange, clock) == []
    assert len(exchange.asked) == 1, "nothing is repaired twice"


def test_a_minute_told_of_too_late_becomes_what_the_source_says(
    stores: Stores, exchange: Exchange, clock: Time
) -> None:
    minute = START + 7 * MINUTE
    truth = exchange.minutes
    exchange.minutes = truth.filter(pl.col("time") != minute).vstack(frame_of([(minute, 3)])).sort("time")
    stream(stores, exchange, late=(minute + 3 * SECOND, minute + 9 * SECOND, START + 22 * MINUTE))
    exchange.minutes = truth
    assert stores.coverage.answered("BTCUSD", Timeframe.M1) == {
        "kraken": [minutes(0, 7), minutes(8, 22), minutes(23, 60)]
    }
    assert {(each.reason, each.window()) for each in stores.outages.all()} == {
        (LATE_EVENTS, minutes(7, 8)),
        (LATE_EVENTS, minutes(22, 23)),
    }
    assert repair(stores, exchange, clock) == [(OutageState.REPAIRED, 1)] * 2
    assert sorted(exchange.asked) == [minutes(7, 8), minutes(22, 23)]
    assert stored(stores).select(VALUES).equals(truth.select(VALUES))
    assert set(stored(stores)["quality"]) == {"traded"}, "the bar was there before"
    assert stored(stores, Timeframe.M5).filter(pl.col("time") == START + 5 * MINUTE)["low"].to_list() == [Decimal(99)]


def test_a_source_that_is_away_is_asked_again_later_each_time_and_not_for_ever(
    stores: Stores, exchange: Exchange, clock: Time
) -> None:
    stores.outages.opened("kraken", ["BTCUSD"], DOWN, "silent for 5 s")
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    exchange.away = True
    waited = []
    for attempt in range(1, ATTEMPTS):
        assert repair(stores, exchange, clock) == [(OutageState.CLOSED, attempt)]
        outage = only(stores)
        assert "does not answer" in str(outage.note)
        assert outage.next_attempt_at is not None
        waited.append(outage.next_attempt_at - clock())
        clock.now = outage.next_attempt_at - SECOND
        assert repair(stores, exchange, clock) == []
        clock.now += SECOND
    assert waited == [FIRST_WAIT * 2**number for number in range(ATTEMPTS - 1)]
    assert AuditStore(stores.database).events() == []
    assert repair(stores, exchange, clock) == [(OutageState.FAILED_PERMANENTLY, ATTEMPTS)]
    (event,) = AuditStore(stores.database).events()
    assert (event.event_type, event.severity, event.component) == (
        "outage_failed_permanently",
        "warning",
        "repair_outages",
    )
    assert event.metadata["symbol"] == "BTCUSD"
    assert len(stores.coverage.failures(["BTCUSD"], Timeframe.M1)) == 1
    exchange.away = False
    clock.now += 30 * HOUR
    assert repair(stores, exchange, clock) == []
    assert len(exchange.asked) == ATTEMPTS


def test_what_was_answered_in_part_is_kept_and_only_the_rest_asked_again(
    stores: Stores, exchange: Exchange, clock: Time
) -> None:
    stores.outages.opened("kraken", ["BTCUSD"], DOWN, "silent for 5 s")
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    exchange.knows_until = START + 23 * MINUTE
    assert repair(stores, exchange, clock) == [(OutageState.CLOSED, 1)]
    assert stored(stores)["time"].to_list() == [START + 20 * MINUTE, START + 21 * MINUTE]
    exchange.knows_until = WHOLE.end
    clock.now += HOUR
    assert repair(stores, exchange, clock) == [(OutageState.REPAIRED, 2)]
    assert exchange.asked == [GAP, minutes(23, 25)]


def test_one_that_died_is_taken_up_again_and_one_at_work_is_left_alone(
    stores: Stores, exchange: Exchange, clock: Time
) -> None:
    stores.outages.opened("kraken", ["BTCUSD"], DOWN, "silent for 5 s")
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    begun = stores.outages.begin(only(stores).id, clock(), AT_MOST)
    assert begun is not None
    assert stores.outages.begin(begun.id, clock(), AT_MOST) is None
    assert repair(stores, exchange, clock) == []
    clock.now += AT_MOST
    assert repair(stores, exchange, clock) == [(OutageState.REPAIRED, 2)]


def test_a_window_that_a_backfill_had_since_is_not_asked_for(stores: Stores, exchange: Exchange, clock: Time) -> None:
    stores.outages.opened("kraken", ["BTCUSD"], DOWN, "silent for 5 s")
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    stream(stores, exchange)
    assert repair(stores, exchange, clock) == [(OutageState.REPAIRED, 1)]
    assert exchange.asked == []


def test_an_instrument_that_has_left_is_given_up(stores: Stores, exchange: Exchange, clock: Time) -> None:
    stores.outages.opened("kraken", ["BTCUSD"], DOWN, "silent for 5 s")
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    stores.instruments.remove("BTCUSD")
    assert repair(stores, exchange, clock) == [(OutageState.FAILED_PERMANENTLY, 1)]


def test_the_longer_bars_of_a_repair_are_those_of_a_roll_up(stores: Stores, exchange: Exchange, clock: Time) -> None:
    stores.outages.opened("kraken", ["BTCUSD"], DOWN, "silent for 5 s")
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    stream(stores, exchange, GAP)
    repair(stores, exchange, clock)
    for timeframe in (Timeframe.M5, Timeframe.H1):
        partitions = partition_windows(timeframe, WHOLE)
        assert not any(roll_up_bars(stores, BTC, timeframe, partitions, clock=clock, force=True))


def test_minutes_come_from_the_exchange_s_own_trades(stores: Stores, clock: Time, tmp_path: Path) -> None:
    """The real source over the local exchange."""
    stores.outages.opened("kraken", ["BTCUSD"], DOWN, "cut")
    stores.outages.closed("kraken", ["BTCUSD"], UP)
    with running_exchange(SeededMarket(7, ["BTCUSD"]), clock=clock) as url:
        settings = Settings(_env_file=None, data_dir=tmp_path, kraken_api_url=url, kraken_requests_per_second=1000)  # type: ignore[call-arg]
        (done,) = repair_outages(stores, build_sources(settings, clock), clock=clock)
    assert done.state is OutageState.REPAIRED, done.note
    assert stores.coverage.answered("BTCUSD", Timeframe.M1) == {"kraken": [GAP]}
    assert stored(stores)["time"].to_list() == [GAP.start + n * MINUTE for n in range(5)]
    assert set(stored(stores)["quality"]) <= {"repaired", "no_trade"}


def test_a_changed_position_is_told_to_who_listens(server_url: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as listener, psycopg.connect(server_url) as ledger:
        listener.execute("LISTEN positions")
        ledger.execute("INSERT INTO trading.positions (symbol) VALUES ('BTCUSD')")
        listener.execute("SELECT")  # with whose answer all notifications have come
        assert list(listener.notifies(timeout=0)) == [], "not before it is committed"
        ledger.commit()
        ledger.execute("UPDATE trading.positions SET realized_pnl = 1 WHERE symbol = 'BTCUSD'")
        ledger.commit()
        ledger.execute("DELETE FROM trading.positions WHERE symbol = 'BTCUSD'")
        ledger.commit()
        notified = [(each.channel, each.payload) for each in listener.notifies(timeout=DEADLINE, stop_after=3)]
        assert notified == [("positions", "BTCUSD")] * 3


# The command


@pytest.mark.exhaustive
def test_the_command_lists_what_is_not_repaired_and_repairs_it(stack: Endpoints) -> None:
    with installation(stack.database_url) as ours:
        nothing = ours.run("outages")
        assert (nothing.code, nothing.text) == (0, "No outage is left to repair.")
        with open_platform(ours.settings()) as platform:
            platform.stores.instruments.add(BTC)
            platform.stores.outages.opened("kraken", ["BTCUSD"], DOWN, "silent for 5 s")
            platform.stores.outages.closed("kraken", ["BTCUSD"], UP)
            platform.stores.outages.opened("kraken", ["BTCUSD"], UP + MINUTE, "cut")
        listed = ours.run("outages", "--json")
        assert listed.code == 0
        assert [(each["state"], each["reason"]) for each in listed.json] == [
            ("open", "cut"),
            ("closed", "silent for 5 s"),
        ]
        assert "silent for 5 s" in ours.run("outages").text
        with running_exchange(SeededMarket(7, ["BTCUSD"]), clock=lambda: UP + HOUR) as url:
            repaired = ours.run("outages", "--repair", more={"KRAKEN_API_URL": url})
        assert repaired.code == 0, repaired.text
        assert "BTCUSD: repaired" in repaired.text
        assert [each["state"] for each in ours.run("outages", "--all", "--json").json] == ["open", "repaired"]
        with open_platform(ours.settings()) as platform:
            platform.stores.outages.closed("kraken", ["BTCUSD"], UP + 2 * MINUTE)
            platform.stores.instruments.remove("BTCUSD")
        failed_permanently = ours.run("outages", "--repair")
        assert failed_permanently.code == 1
        assert "has left the universe" in failed_permanently.text
