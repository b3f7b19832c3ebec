"""Whatever a caller passes to the client, it gets an answer or an error of the platform."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest, TradingPlatformError
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.texts import shown
from trading_platform.stores.stores import open_stores

SURROGATE = "\ud800"
EARLIEST, LATEST = datetime.min, datetime.max  # noqa: DTZ901 - naive, which is one of the faults
NOW = datetime(2024, 3, 4, tzinfo=UTC)
WRONG: list[Any] = [
    SURROGATE, "a\0b", "1e9999999", Decimal("1e9999999"), EARLIEST, LATEST.replace(tzinfo=UTC),
    LATEST.replace(tzinfo=timezone(timedelta(hours=-14))), date.max, 5, 10**5000, 1.5, None, [1], [SURROGATE],
    {"a": SURROGATE}, b"x", object(),
]  # fmt: skip
MORE: list[Any] = [
    "-1e-9999999", "NaN", Decimal("sNaN"), "²", "٣", "", " ", "x" * 100_000, "9999-12-31", "0001-01-01", "10000-01-01",
    LATEST, EARLIEST.replace(tzinfo=timezone(timedelta(hours=14))), date.min, -1, True, float("nan"), [], {},
    {"a": float("inf")}, {1: 2}, {"a": {"b": object()}}, {"a": 10**5000}, UUID(int=7), str(UUID(int=7)), ("AAPL",),
]  # fmt: skip


@contextmanager
def _redis(url: str) -> Iterator[str]:
    yield url


@pytest.fixture(scope="module")
def platform(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with open_stores(
        database_url,
        tmp_path_factory.mktemp("features"),
        archive_directory=tmp_path_factory.mktemp("archive"),
        may_upgrade=True,
    ) as stores:
        stores.instruments.add(guess_instrument("BTCUSD", "kraken"))
        opened = Platform(stores, lambda: _redis(redis_url), clock=lambda: NOW)
        yield opened
        opened.disconnect_redis()


def calls(platform: Platform) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    """Methods of the client with arguments that they accept."""
    order = platform.orders.place("BTCUSD", "buy", "limit", "0.5", broker="kraken", price="1").id
    window = {"start": "2017-01-01", "end": "2018-01-01"}
    times = {"start": NOW, "end": NOW}
    fill = {"quantity": "0.1", "price": "1", "executed_at": NOW, "commission": "0", "broker_order_id": None}
    alert = {"event_type": "a", "severity": "info", "component": "c", "message": "m", "metadata": {}}
    return [
        (platform.orders.place, {
            "symbol": "BTCUSD", "side": "buy", "order_type": "limit", "quantity": "0.5", "broker": "kraken",
            "price": "1", "stop_price": None, "strategy_id": None, "order_id": None,
        }),
        (platform.orders.advance, {"order_id": order, "status": "sent", "broker_order_id": None}),
        (platform.orders.record_fill, {"order_id": order, "broker_fill_id": f"of {order}", "corrects": None, **fill}),
        (platform.orders.record_bust, {"order_id": order, "broker_fill_id": f"of {order}"}),
        (platform.orders.get, {"order_id": order}),
        (platform.orders.list, {"symbol": None, "status": None, "strategy_id": None, "limit": 10}),
        (platform.orders.fills, {"order_id": None, "symbol": None}),
        (platform.orders.replaced_fills, {"order_id": None, "symbol": None}),
        (platform.decisions.record, {
            "decision_type": "entry", "symbol": None, "signals": None, "risk_check": None, "final_action": None,
            "reasoning": None, "order_id": None, "timestamp": None, "decision_id": None,
        }),
        (platform.decisions.list, {**times, "symbol": None, "decision_type": None, "order_id": None, "limit": 10}),
        (platform.events.log, {**alert, "timestamp": None}),
        (platform.events.list, {**times, "event_type": None, "component": None, "at_least": "info", "limit": 10}),
        (platform.archive.decisions, dict(window)),
        (platform.archive.events, dict(window)),
        (platform.strategies.save, {
            "strategy_id": "s", "name": "n", "enabled": False, "params": None, "allowed_symbols": None,
            "regime_filter": None, "max_positions": None,
        }),
        (platform.strategies.enable, {"strategy_id": "s", "enabled": True}),
        (platform.strategies.get, {"strategy_id": "s"}),
        (platform.risk_limits.set, {"key": "k", "value": "1", "description": None, "by": None}),
        (platform.risk_limits.get, {"key": "k"}),
        (platform.risk_limits.remove, {"key": "k"}),
        (platform.positions, {"symbol": None, "open_only": False}),
        (platform.mark_price, {"symbol": "BTCUSD", "price": "1"}),
        (platform.quote, {"symbol": "BTCUSD"}),
        (platform.quotes, {"symbols": ["BTCUSD"]}),
        (platform.signals.publish, {
            "strategy": "s", "symbol": "BTCUSD", "direction": "long", "strength": "0.5", "price": "1", "reason": None,
            "data": None,
        }),
        (platform.signals.last, {"strategy": "s", "symbol": "BTCUSD"}),
        (platform.regime.set, {"regime": "calm"}),
        (platform.circuit.get, {"component": "feed"}),
        (platform.alerts.publish, {**alert, "incident": None, "over": False}),
        (platform.bars, {"symbols": "BTCUSD", "timeframe": "1d", **window, "adjust": "raw", "as_of": None}),
        (platform.last_bars, {"symbols": "BTCUSD", "timeframe": "1d", "count": 3, "adjust": "raw"}),
        (platform.corporate_actions, {"symbols": None}),
        (platform.latest_prices, {"symbols": None}),
        (platform.indicators, {"symbols": "BTCUSD", "timeframe": "1d", **window, "names": None}),
        (platform.features, {"symbols": "BTCUSD", **window, "names": None, "as_of": None}),
        (_subscribed(platform), {"channel": "signals", "after": None}),
    ]  # fmt: skip


def _subscribed(platform: Platform) -> Callable[..., None]:
    def subscribe(channel: Any, after: Any) -> None:
        platform.subscribe(channel, after=after).close()

    return subscribe


def raw_errors(platform: Platform, values: list[Any]) -> list[str]:
    """Calls every method with every value in place of every argument; gives what is no error of the platform."""
    found = []
    for method, arguments in calls(platform):
        method(**arguments)
        for name in arguments:
            for value in values:
                try:
                    method(**{**arguments, name: value})
                except TradingPlatformError as error:
                    if len(str(error).encode()) > 20_000:  # it is printed and logged
                        found.append(f"{method.__qualname__}({name}): {str(error)[:200]}")
                except Exception as error:  # noqa: BLE001 - these are looked for
                    found.append(f"{method.__qualname__}({name}={shown(value)}): {type(error).__name__}: {error}"[:200])
    return found


def test_no_value_gives_a_raw_error(platform: Platform) -> None:
    found = raw_errors(platform, WRONG)
    assert not found, "\n".join(found)


@pytest.mark.exhaustive
def test_no_further_value_gives_a_raw_error(platform: Platform) -> None:
    found = raw_errors(platform, WRONG + MORE)
    assert not found, "\n".join(found)


def test_a_text_is_not_taken_for_a_list_of_its_letters(platform: Platform) -> None:
    with pytest.raises(InvalidRequest, match="These symbols cannot be used"):
        platform.strategies.save("s", "n", allowed_symbols="AAPL")
    with pytest.raises(InvalidRequest, match="These indicators cannot be used"):
        platform.indicators("BTCUSD", "1d", "2017-01-01", "2018-01-01", names="rsi_14")


def test_numbers_that_json_lacks_are_not_sent_as_null(platform: Platform) -> None:
    with pytest.raises(InvalidRequest, match="no finite number"):
        platform.signals.publish("s", "BTCUSD", "long", data={"score": float("nan")})


def test_an_end_beyond_all_data_is_no_error(platform: Platform) -> None:
    features = platform.features("BTCUSD", "2017-01-01", date.max)
    assert features.is_empty()
