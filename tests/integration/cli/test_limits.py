"""Who shares the budget: the streamer and commands, over a configured Redis and over the embedded one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from commands import Installation, finish, installation, kill
from pydantic import SecretStr

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.rate_limits import Cost, WaitAborted, Within
from trading_platform.domain.time import Timeframe, Window, utc_now
from trading_platform.embedded.stack import Endpoints, stack_status
from trading_platform.resources.platform import PlatformContext, open_platform
from trading_platform.resources.rate_limiters import shared_rate_limiter
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    with running_exchange(SeededMarket(5, ("BTCUSD",))) as url, installation(stack.database_url) as made:
        made.variables |= {"KRAKEN_API_URL": url, "KRAKEN_WS_URL": stream_url(url)}
        with open_platform(made.settings()) as platform:
            platform.stores.instruments.add(guess_instrument("BTCUSD", "kraken"))
        yield made


def _ask(platform: PlatformContext) -> None:
    end = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    window = Window(end - timedelta(days=3), end)
    response = platform.sources["kraken"].bars(guess_instrument("BTCUSD", "kraken"), Timeframe.D1, window)
    assert response.bars.height == 3


def test_streamers_and_commands_take_from_one_budget(ours: Installation, redis_url: str) -> None:
    slow = {"REDIS_URL": redis_url, "KRAKEN_REQUESTS_PER_SECOND": "0.002"}
    with open_platform(ours.settings()) as platform:
        over = utc_now() - timedelta(minutes=5)
        platform.stores.outages.opened("kraken", ["BTCUSD"], over - timedelta(minutes=1), "a cut")
        platform.stores.outages.closed("kraken", ["BTCUSD"], over)
    first = ours.start("stream", "--duration", "8", "--json", more=slow)
    assert finish(first, timeout=120).code == 0, "its repair, for which there is no slot, kept it"
    (public,) = [line for line in ours.run("limits", "--json", more=slow).json if line["limit"] == "kraken:public"]
    assert public["waiting"] == 1, "what the repair did not take"
    second = ours.start("stream", "--duration", "2", "--json", more=slow)  # may ask 1,000 s after the first
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        found = ours.run("limits", "--json", more=slow)
        assert found.code == 0, found.err
        (public,) = [line for line in found.json if line["limit"] == "kraken:public"]
        if public["waiting"] == 2:
            break
    assert second.poll() is None, "the second did not wait for the first"
    kill(second)
    assert (public["key"], public["waiting"]) == (ours.variables["KRAKEN_API_URL"], 2)
    assert 0 < public["left"] < 1
    assert public["full_at"] is not None
    shown = ours.run("limits", more=slow)
    assert (shown.code, "1 at once, 0.002 a second" in shown.text) == (0, True)


def test_the_embedded_redis_runs_while_somebody_asks_a_vendor(ours: Installation) -> None:
    settings = ours.settings()

    def redis_state() -> str:
        return stack_status(settings).servers[1].state

    with open_platform(settings) as platform, open_platform(settings) as other:
        platform.instruments(["BTCUSD"])
        assert redis_state() == "stopped"
        _ask(platform)
        assert redis_state() == "running"
        _ask(other)
    assert redis_state() == "stopped"


def test_limits_are_shown_where_no_database_answers(ours: Installation) -> None:
    gone = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "DAGSTER_DATABASE_URL": None}
    found = ours.run("limits", "--json", more=gone)
    assert found.code == 0, found.err
    assert [(line["limit"], line["left"], line["full_at"]) for line in found.json] == [
        ("kraken:public", 1000, None),
        ("yahoo:requests", 10, None),
    ]
    assert stack_status(ours.settings()).servers[1].state == "stopped"


def test_without_any_redis_a_process_keeps_the_limits_by_itself_and_says_so(
    ours: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> None:
        raise ConfigurationError("No Redis server was found.")

    monkeypatch.setattr("trading_platform.embedded.redis.find_program", none)
    with caplog.at_level(logging.WARNING), open_platform(ours.settings()) as platform:
        _ask(platform)
        _ask(platform)
    assert [record.message for record in caplog.records] == [
        "This process enforces the rate limits by itself, not together with others: No Redis server was found."
    ]


def test_who_waits_for_a_slot_can_be_ended(redis_url: str, ours: Installation) -> None:
    settings = ours.settings().model_copy(update={"redis_url": SecretStr(redis_url)})
    with shared_rate_limiter(settings) as rate_limiter:
        slow = Cost(Within("test:ended", 1, 600), "k")
        assert rate_limiter.take([slow]) == 0
        threading.Timer(0.5, rate_limiter.abort).start()
        began = time.monotonic()
        with pytest.raises(WaitAborted):
            rate_limiter.take([slow])
        assert time.monotonic() - began < 60
