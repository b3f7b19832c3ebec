"""The demonstration's data directory asks its local exchange and nobody else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading_platform.domain.errors import SourceRejected
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.time import Timeframe, Window, utc_now
from trading_platform.resources.accounts import open_accounts
from trading_platform.resources.demonstration import PRESENT, RefusedSource, check_not_refused, refuses
from trading_platform.resources.platform import build_action_sources, build_sources
from trading_platform.settings import Settings
from trading_platform.sources.base import PagedSource

DAY = Window(datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC))


def settings(folder: Path, **values: str) -> Settings:
    return Settings(_env_file=None, data_dir=folder, **values)  # type: ignore[call-arg, arg-type]


@pytest.fixture
def demonstration(tmp_path: Path) -> Path:
    (tmp_path / PRESENT).write_text("2026-11-30T00:00:30+00:00")
    return tmp_path


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("https://api.kraken.com", True),
        ("http://localhost.example.com:8100", True),
        ("http://127.0.0.1.example.com", True),
        ("http://10.0.0.7:8100", True),
        ("http://127.0.0.1:8100", False),
        ("http://localhost:8100", False),
        ("ws://[::1]:8100/v2", False),
        (None, True),
    ],
)
def test_only_this_machine_is_asked(
    address: str | None,
    refused: bool,  # noqa: FBT001
    demonstration: Path,
    tmp_path: Path,
) -> None:
    assert refuses(settings(demonstration), address) is refused
    assert not refuses(settings(tmp_path / "other"), address)
    if refused:
        with pytest.raises(SourceRejected, match="invented") as error:
            check_not_refused(settings(demonstration), "kraken", address)
        assert "make demo-ui" in (error.value.remedy or "")


@pytest.mark.parametrize(("source", "symbol"), [("kraken", "BTCUSD"), ("yahoo", "IBM"), ("ibkr", "EURUSD")])
def test_vendors_are_refused_and_files_read(source: str, symbol: str, demonstration: Path) -> None:
    sources = build_sources(settings(demonstration, ibkr_host="192.0.2.1"), utc_now)
    vendor, instrument = sources[source], guess_instrument(symbol, source)
    assert vendor.name == source
    assert isinstance(vendor, PagedSource)
    for ask in (
        lambda: vendor.bars(instrument, Timeframe.D1, DAY),
        lambda: vendor.bars_in_parts(instrument, Timeframe.D1, DAY, None),
        lambda: vendor.effort(instrument, Timeframe.M1, DAY),
    ):
        with pytest.raises(SourceRejected, match="invented"):
            ask()
    assert sources["file"].available_history(instrument, Timeframe.D1) == ()
    sources.close()


def test_the_local_exchange_is_asked_and_yahoo_not_for_actions(demonstration: Path) -> None:
    ours = settings(demonstration, kraken_api_url="http://127.0.0.1:9", yahoo_actions="true")
    sources = build_sources(ours, utc_now)
    assert not isinstance(sources["kraken"], RefusedSource)
    with pytest.raises(SourceRejected, match="invented"):
        build_action_sources(ours, sources)["kraken"].actions(guess_instrument("BTCUSD", "kraken"))


def test_an_account_is_not_read(demonstration: Path) -> None:
    ours = settings(demonstration, kraken_api_key="key", kraken_api_secret="c2VjcmV0")  # noqa: S106
    with pytest.raises(SourceRejected, match="invented"), open_accounts(ours):
        pass
