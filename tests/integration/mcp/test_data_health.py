"""What ``data_health`` says of incidents, pauses and reconciliations, and the client's reads behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from mcp_calls import call, rows_of, text_of

from trading_platform.client import Platform
from trading_platform.domain.alerts.incidents import Incident
from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.severity import Severity
from trading_platform.mcp.server import AgentServer
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.stores import Stores
from trading_platform.stores.trading.pauses import PauseStore
from trading_platform.stores.trading.reconciliations import Reconciliation, ReconciliationStore

BEGAN = datetime(2024, 12, 31, 20, tzinfo=UTC)


@pytest.fixture
def server(platform: Platform, now: datetime) -> AgentServer:
    return AgentServer(platform, clock=lambda: now)


@pytest.fixture
def wrong(stores: Stores) -> Iterator[int]:
    """An incident that goes on, and one that is over; a pause; and comparisons with a broker."""

    def incident(rule: str) -> Incident:
        problem = Problem(
            Key("feed", rule, "BTCUSD"), Level.SYMBOL, Severity.ERROR, "No quotes, in spite of trades", BEGAN
        )
        return Incident(0, problem, BEGAN, BEGAN)

    store = IncidentStore(stores.database)
    with stores.database.begin() as connection:
        over, end = incident("symbol_silent"), BEGAN + timedelta(minutes=5)
        store.update(connection, replace(over, number=store.add(connection, over), ended_at=end, closed_at=end))
        number = store.add(connection, incident("feed_inactive"))
    store.acknowledge(number, by="Ada", because="I look at it", at=BEGAN + timedelta(minutes=9))
    PauseStore(stores.database).begin(by="Ada", because="a fill is missing", at=BEGAN)
    for result in ("equal", "different"):
        found = Reconciliation(0, "kraken", date(2024, 12, 31), BEGAN, result, 3, 7, None)
        ReconciliationStore(stores.database).add(found)
    yield number
    PauseStore(stores.database).end(by="Ada", because="over", at=datetime.now(UTC))
    with stores.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM audit.incidents")
        connection.exec_driver_sql("DELETE FROM trading.reconciliations")


def test_what_goes_on_is_told_with_its_beginning(server: AgentServer, wrong: int) -> None:
    result = call(server, "data_health")
    assert "Incidents that go on: 1." in text_of(result)
    rows = {row["kind"]: row for row in rows_of(result)}
    incident = rows[f"incident #{wrong}, error of feed"]
    assert incident["state"] == "feed_inactive, acknowledged by Ada"
    assert incident["message"] == "BTCUSD: No quotes, in spite of trades"
    assert incident["time"] == "2024-12-31T20:00:00Z"
    assert "symbol_silent" not in text_of(result), "it is over"
    assert rows["pause of trading"]["message"] == "Ada: a fill is missing"
    (kind,) = (each for each in rows if each.startswith("reconciliation"))
    assert rows[kind]["state"] == "different", "the newest one of the broker"
    assert "kraken on 2024-12-31: 3 positions, 7 fills" in rows[kind]["message"]


def test_nothing_known_is_not_called_well(server: AgentServer) -> None:
    text = text_of(call(server, "data_health"))
    assert "No incident is known, and nothing has looked for problems yet" in text
    assert "pause of trading" not in text


@pytest.fixture
def report(stores: Stores) -> Iterator[Callable[[datetime], None]]:
    """An observer that reports at a time."""

    def reported(at: datetime) -> None:
        IncidentStore(stores.database).report("host", (), at=at, every=timedelta(minutes=1), components=("host",))

    yield reported
    IncidentStore(stores.database).forget("host")


def test_no_incident_means_little_where_nothing_looks(
    server: AgentServer, report: Callable[[datetime], None], now: datetime
) -> None:
    report(now - timedelta(minutes=3))
    assert "Nothing is wrong as far as host can see." in text_of(call(server, "data_health"))
    report(now - timedelta(minutes=5))
    assert (
        f"nothing has looked for problems since {now - timedelta(minutes=5):%Y-%m-%d %H:%M:%S} UTC (host)"
        in text_of(call(server, "data_health"))
    )


def test_the_client_reads_the_same(platform: Platform, wrong: int) -> None:
    assert [each.number for each in platform.incidents()] == [wrong]
    assert [each.key.rule for each in platform.incidents(open_only=False)] == ["feed_inactive", "symbol_silent"]
    assert platform.incidents(at_least="critical") == []
    assert [each.because for each in platform.pauses()] == ["a fill is missing"]
    newest, before = platform.reconciliations()
    assert (newest.result, before.result) == ("different", "equal")
    assert platform.reconciliation(before.number).differences == ()
    with pytest.raises(InvalidRequest):
        platform.incidents(at_least="bad")
    with pytest.raises(InvalidRequest, match="10"):
        platform.reconciliation(10**9)
