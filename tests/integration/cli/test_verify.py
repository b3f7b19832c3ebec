"""The command ``verify`` as a person and as a script run it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from trading_platform.cli.market_data.verify import register
from trading_platform.domain.errors import ConfigurationError, InvalidRequest
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, year_window
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of

DAYS = [datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(300)]
WINDOW = Window(DAYS[0], DAYS[-1] + timedelta(days=1))
NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def features_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def stores(database_url: str, features_folder: Path) -> Iterator[Stores]:
    """Two symbols that trade every day, stored and derived without a fault."""
    with open_stores(database_url, features_folder, may_upgrade=True) as opened:
        for symbol in ("BTCUSD", "ETHUSD"):
            opened.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "file"))
            save(opened, symbol)
        derive(opened)
        yield opened


def derive(stores: Stores) -> None:
    symbols, years = ["BTCUSD", "ETHUSD"], [year_window(NOW - timedelta(days=1))]
    compute_indicators_of(stores, symbols, Timeframe.D1, years, clock=lambda: NOW)
    build_features(stores, stores.instruments.all(), symbols, years, clock=lambda: NOW)


def save(stores: Stores, symbol: str) -> None:
    close = pl.Series("close", [100 + day * 13 % 7 * 0.5 for day in range(len(DAYS))])
    bars = pl.DataFrame({"time": DAYS, "close": close}).with_columns(
        symbol=pl.lit(symbol),
        timeframe=pl.lit("1d"),
        open=pl.col("close"),
        high=pl.col("close") + 1,
        low=pl.col("close") - 1,
        volume=pl.lit(3),
        source=pl.lit("file"),
        quality=pl.lit("traded"),
    )
    request = Request(symbol, Timeframe.D1, "file", WINDOW, Outcome.STORED, "test", NOW, changed=True)
    with stores.database.begin() as connection:
        frame = bars.select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())
        stores.bars.replace(connection, symbol, Timeframe.D1, WINDOW, frame)
        stores.coverage.record(connection, request, [WINDOW])


@pytest.fixture
def app(
    stores: Stores, database_url: str, features_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> typer.Typer:
    assert stores.instruments.all()
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("FEATURES_DIR", str(features_folder))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    made = typer.Typer()
    made.callback()(lambda: None)
    register(made)
    return made


@pytest.fixture
def broken(stores: Stores) -> Iterator[None]:
    """One bar of ETHUSD whose high is below its low."""
    day = {"t": DAYS[100]}
    with stores.database.begin() as connection:
        execute(connection, "UPDATE market_data.bars_1d SET high = 1 WHERE symbol = 'ETHUSD' AND time = %(t)s", day)
    yield
    save(stores, "ETHUSD")
    derive(stores)


def test_everything_in_order(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 0, result.output
    assert "ohlc_consistent" in result.output
    assert "600" in result.output
    assert "failed" not in result.output


def test_a_broken_rule_is_an_exit_code_and_words(app: typer.Typer, broken: None) -> None:  # noqa: ARG001
    result = CliRunner().invoke(app, ["verify", "-t", "1d"])
    assert result.exit_code == 1
    assert "1 of 600 bars have an open or a close outside of low to high" in " ".join(result.output.split())
    assert "ETHUSD" in result.output
    assert "To do" in result.output


def test_only_the_symbols_asked_for(app: typer.Typer, broken: None) -> None:  # noqa: ARG001
    result = CliRunner().invoke(app, ["verify", "BTCUSD", "--timeframe", "1d"])
    assert result.exit_code == 0, result.output
    assert "300" in result.output


def test_json_has_all_that_was_found(app: typer.Typer, broken: None) -> None:  # noqa: ARG001
    result = CliRunner().invoke(app, ["verify", "--json"])
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    failed = [check for check in said["checks"] if check["status"] == "failed"]
    assert [(check["asset"], check["check"], check["rows_checked"], check["failing_rows"]) for check in failed] == [
        ("ohlcv_1d", "ohlc_consistent", 600, 1),
        ("features", "no_skew", 2, 1),  # its features are computed from the broken bar, too
    ]
    assert failed[0]["sample"][0]["time"] == DAYS[100].isoformat()
    assert said["summary"]["failed"] == 2
    assert sum(said["summary"].values()) == len(said["checks"]) == 69
    empty = [check for check in said["checks"] if check["status"] == "nothing stored"]
    where_it_applies = ("sources_agree", "inputs_unchanged")  # bars received twice, and rolled-up bars
    nothing = {check["asset"] for check in empty if check["check"] not in where_it_applies}
    intraday = {f"{kind}_{timeframe}" for kind in ("ohlcv", "indicators") for timeframe in ("1m", "5m", "1h")}
    assert nothing == intraday | {"corporate_actions", "features_1h"}


RULES = """[[rules]]
name = "narrow"
assets = ["ohlcv_1d"]
holds = "high - low <= 1.5"
why = "A day of such a range is looked at."
severity = "{severity}"
symbols = ["ETHUSD"]

[[rules]]
name = "known"
assets = ["indicators_1d", "features"]
holds = "rsi_14 BETWEEN 0 AND 100"
why = "It is a share."
"""


@pytest.mark.parametrize(("severity", "status", "code"), [("error", "failed", 1), ("warn", "warn", 0)])
def test_rules_of_ones_own_are_checked(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, severity: str, status: str, code: int
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES.format(severity=severity))
    monkeypatch.setenv("QUALITY_RULES", str(file))
    result = CliRunner().invoke(app, ["verify", "--timeframe", "1d", "--json"])
    assert result.exit_code == code
    own = {check["asset"]: check for check in json.loads(result.stdout)["checks"] if check["check"] == "own_rules"}
    assert own.keys() == {"ohlcv_1d", "indicators_1d", "features"}
    bars = own["ohlcv_1d"]
    assert (bars["status"], bars["rows_checked"], bars["failing_rows"]) == (status, 600, 300)
    assert "narrow (300): A day of such a range is looked at" in bars["description"]
    assert bars["sample"][0] == {
        "symbol": "ETHUSD",
        "time": DAYS[0].isoformat(),
        "detail": "narrow: high 101.00000000, low 99.00000000",
    }
    assert {own[asset]["status"] for asset in ("indicators_1d", "features")} == {"passed"}


def test_rules_that_cannot_be_used_are_said_before_anything_is_checked(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES.format(severity="error").replace("rsi_14", "rsi_15"))
    monkeypatch.setenv("QUALITY_RULES", str(file))
    result = CliRunner().invoke(app, ["verify"])
    assert isinstance(result.exception, ConfigurationError)
    assert "rsi_15" in str(result.exception)


@pytest.mark.parametrize("arguments", [["NOSUCH"], ["BTCUSD", "--timeframe", "2h"]])
def test_what_cannot_be_asked_for_is_said(app: typer.Typer, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["verify", *arguments])
    assert isinstance(result.exception, InvalidRequest)
    assert result.exception.remedy
