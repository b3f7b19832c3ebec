"""Who shares the budget: the streamer and commands, over a configured Redis and over the embedded one."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from commands import IN_BACKGROUND, Installation, finish, installation, kill
from pydantic import SecretStr
from waiting import LONG, wait_until

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


@pytest.mark.exhaustive
def test_streamers_and_commands_take_from_one_budget(ours: Installation, redis_url: str) -> None:
    slow = {"REDIS_URL": redis_url, "KRAKEN_REQUESTS_PER_SECOND": "0.002"}
    with open_platform(ours.settings()) as platform:
        over = utc_now() - timedelta(minutes=5)
        platform.stores.outages.opened("kraken", ["BTCUSD"], over - timedelta(minutes=1), "a cut")
        platform.stores.outages.closed("kraken", ["BTCUSD"], over)

    def standing(waiting: int, process: subprocess.Popen[str]) -> dict[str, Any] | None:
        """The limit, once as many requests wait for it."""
        found = ours.run("limits", "--json", more=slow)
        assert found.code == 0, found.err
        assert process.poll() is None, process.communicate()
        (public,) = [line for line in found.json if line["limit"] == "kraken:public"]
        return public if public["waiting"] == waiting else None

    first = ours.start("stream", "--json", more=slow, through=IN_BACKGROUND)
    try:
        wait_until(lambda: standing(1, first), "the repair to wait for a slot", deadline=LONG)
        first.send_signal(signal.SIGTERM)
        assert finish(first).code == 0, "its repair, for which there is no slot, kept it"
    finally:
        kill(first)
    second = ours.start("stream", "--json", more=slow, through=IN_BACKGROUND)  # may ask 1,000 s after the first
    try:
        public = wait_until(lambda: standing(2, second), "the second to wait behind what the first did not take")
        second.send_signal(signal.SIGTERM)
        assert finish(second).code == 130, "who waits for its first slot ends as well"
    finally:
        kill(second)
    assert public is not None
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
        with pytest.raises(WaitAborted):
            rate_limiter.take([slow])  # or the test would last for ten minutes
        with pytest.raises(WaitAborted):
            rate_limiter.take([Cost(Within("test:free", 1, 600), "k")])
