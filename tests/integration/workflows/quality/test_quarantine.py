"""Rejected rows on a real database: kept with rule and values, logged, released by the same rules, dropped, once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from daily_files import import_daily, line
from pydantic import SecretStr
from typer import Typer
from typer.testing import CliRunner

from trading_platform.cli.quality.quarantine import register
from trading_platform.client.operations.quarantine import Quarantine
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Timeframe, Window
from trading_platform.settings import Settings
from trading_platform.stores.audit.journal import AuditStore, SystemEvent
from trading_platform.stores.market_data.quarantine import RejectedRow, RowFilter
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.quality.release_rows import drop_row, release_row

NOW = datetime(2024, 5, 20, tzinfo=UTC)
LATER = NOW + timedelta(days=3)
MAY = Window(datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC))
WHO = {"by": "ana", "because": "the vendor confirmed it"}


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as opened:
        yield opened


def load(stores: Stores, folder: Path, symbol: str, lines: list[str]) -> dict[str, RejectedRow]:
    """Imports a file of daily bars and stores them; returns the rejected rows by reason."""
    import_daily(stores, folder / f"{symbol}.csv", symbol, lines, NOW, force=False)
    return {row.reason: row for row in stores.quarantine.listed(RowFilter(symbol), 100)}


def stored(stores: Stores, symbol: str) -> dict[int, tuple[Decimal, str]]:
    """Close and quality of the stored bars by day."""
    bars = stores.bars.read([symbol], Timeframe.D1, MAY)
    return {row["time"].day: (row["close"], row["quality"]) for row in bars.iter_rows(named=True)}


def version_of(stores: Stores, symbol: str) -> object:
    """The version of the bars that computed values are compared with."""
    return stores.input_versions.bar_versions([symbol], Timeframe.D1).before([symbol], MAY.end)


def events(stores: Stores, symbol: str) -> list[SystemEvent]:
    found = AuditStore(stores.database).events(component="quarantine")
    return [event for event in found if (event.metadata or {}).get("symbol") == symbol]


def test_each_rule_of_incoming_data_keeps_the_row_with_its_values_and_logs_by_severity(
    stores: Stores, tmp_path: Path
) -> None:
    good = [line(1), line(2), line(3, open_="111", close="112"), line(4, open_="112", close="112")]
    wrong = [line(5, close="0"), line(6, volume="-1"), line(25), line(7, close="101"), line(7, close="102")]
    rows = load(stores, tmp_path, "RULES", good + wrong)
    assert set(rows) == {"non_positive_price", "negative_volume", "future_time", "duplicate"}
    assert {day: quality for day, (_, quality) in stored(stores, "RULES").items()} == {
        1: "traded", 2: "traded", 3: "review", 4: "traded", 7: "review",
    }  # fmt: skip
    assert stored(stores, "RULES")[7][0] == Decimal(102)
    assert rows["negative_volume"].record == line(6, volume="-1")
    assert rows["negative_volume"].bar == '{"open":"100","high":"100","low":"100","close":"100","volume":"-1"}'
    assert rows["negative_volume"].source == "file"
    (event,) = events(stores, "RULES")
    assert event.severity == Severity.ERROR  # because of the time to come
    assert event.metadata is not None
    assert event.metadata["reasons"] == {
        "duplicate": 1, "future_time": 1, "negative_volume": 1, "non_positive_price": 1,
    }  # fmt: skip
    load(stores, tmp_path, "RULES", good + wrong)
    assert len(events(stores, "RULES")) == 1, "the same rows are logged once"


def test_a_released_row_meets_the_same_rules_is_stored_as_a_correction_and_once(stores: Stores, tmp_path: Path) -> None:
    (row,) = load(stores, tmp_path, "LATE", [line(18), line(19), line(21, open_="120", close="120")]).values()
    with pytest.raises(InvalidRequest, match="future_time"):
        release_row(stores, row.id, **WHO, override=None, clock=lambda: NOW)
    assert 21 not in stored(stores, "LATE")
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda _: release_row(stores, row.id, **WHO, override=None, clock=lambda: LATER), range(4))
        )
    assert sorted(new for _, new in done) == [False, False, False, True]
    assert {(each.decision, each.decided_by, each.because) for each, _ in done} == {("release", *WHO.values())}
    assert stored(stores, "LATE")[21] == (Decimal(120), "review")
    with pytest.raises(InvalidRequest, match="was released"):
        drop_row(stores, row.id, **WHO)


def test_a_duplicate_replaces_the_stored_bar_only_if_a_person_says_so(
    stores: Stores, tmp_path: Path, database_url: str
) -> None:
    (row,) = load(stores, tmp_path, "TWICE", [line(1), line(2, close="101"), line(2, close="102")]).values()
    with pytest.raises(InvalidRequest) as refused:
        release_row(stores, row.id, **WHO, override=None, clock=lambda: NOW)
    assert "--override duplicate" in str(refused.value.remedy)
    assert stored(stores, "TWICE")[2][0] == Decimal(102)
    before = version_of(stores, "TWICE")
    released, new = release_row(stores, row.id, **WHO, override="duplicate", clock=lambda: NOW)
    assert version_of(stores, "TWICE") != before, "what was computed from the bars is stale"
    assert (new, released.overridden) == (True, "duplicate")
    assert stored(stores, "TWICE")[2][0] == Decimal(101)
    with psycopg.connect(database_url) as connection:
        query = "SELECT close, reason FROM market_data.bar_revisions WHERE symbol = 'TWICE'"
        ((close, reason),) = connection.execute(query).fetchall()
        assert close == Decimal(102)
        assert "released by ana: the vendor confirmed it" in reason
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("DELETE FROM market_data.quarantine_decisions")


@pytest.mark.parametrize("override", [None, "duplicate"])
def test_what_no_stored_bar_may_break_is_not_overridden(stores: Stores, tmp_path: Path, override: str | None) -> None:
    symbol = f"ZERO{override or ''}".upper()
    (row,) = load(stores, tmp_path, symbol, [line(1), line(2, close="0")]).values()
    with pytest.raises(InvalidRequest, match="non_positive_price"):
        release_row(stores, row.id, **WHO, override=override, clock=lambda: NOW)
    with pytest.raises(InvalidRequest, match="cannot be overridden"):
        release_row(stores, row.id, **WHO, override="non_positive_price", clock=lambda: NOW)
    assert list(stored(stores, symbol)) == [1]


def test_a_dropped_row_is_kept_and_no_longer_listed(stores: Stores, tmp_path: Path) -> None:
    (row,) = load(stores, tmp_path, "DROP", [line(1), line(2, close="0")]).values()
    reader = Quarantine(stores.quarantine)
    assert reader.counts(symbol="DROP") == {"non_positive_price": 1}
    assert drop_row(stores, row.id, **WHO)[1]
    assert not drop_row(stores, row.id, by="eve", because="again")[1]
    assert (reader.counts(symbol="DROP"), reader.list(symbol="DROP")) == ({}, [])
    assert reader.list(symbol="DROP", undecided=False) == [reader.show(row.id)]
    assert (reader.show(row.id).decision, reader.show(row.id).decided_by) == ("drop", "ana")
    with pytest.raises(InvalidRequest, match="There is no rejected row 99999"):
        reader.show(99999)


def test_the_commands_show_release_and_drop(
    stores: Stores, tmp_path: Path, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    (row,) = load(stores, tmp_path, "SHOWN", [line(1), line(2, close="0")]).values()
    monkeypatch.setattr(
        "trading_platform.settings.load_settings",
        lambda: stack_settings.model_copy(update={"database_url": SecretStr(database_url), "data_dir": tmp_path}),
    )
    run = CliRunner()
    app = Typer()
    register(app)
    shown = run.invoke(app, ["quarantine", "show", str(row.id)])
    assert (shown.exit_code, "every price is above zero" in shown.output) == (0, True), shown.output
    listed = run.invoke(app, ["quarantine", "list", "--symbol", "SHOWN"])
    assert (listed.exit_code, "non_positive_price" in listed.output) == (0, True), listed.output
    refused = run.invoke(app, ["quarantine", "release", str(row.id), "--because", "it is right"])
    assert isinstance(refused.exception, InvalidRequest)
    dropped = run.invoke(app, ["quarantine", "drop", str(row.id), "--because", "a test", "--by", "ana"])
    assert f"Row {row.id} is dropped by ana: a test" in dropped.output
