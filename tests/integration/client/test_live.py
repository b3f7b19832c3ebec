"""What an agent hears and tells through the client: nothing of the four streams missed, nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clients import platform_on
from processes import REPOSITORY, environment
from redis import Redis
from redis_servers import await_written, flush
from waiting import DEADLINE, wait_until

from trading_platform.client import Platform
from trading_platform.client.subscription import Subscription, positions_of
from trading_platform.domain.errors import ConfigurationError, InvalidRequest, StoreError, StoreUnavailable
from trading_platform.domain.market.live.events import Quote
from trading_platform.embedded.redis import RedisServer
from trading_platform.embedded.stack import running_stack, stack_status
from trading_platform.settings import Settings
from trading_platform.stores.redis.channels import ChannelReader
from trading_platform.stores.redis.live import open_live_store
from trading_platform.stores.stores import Stores, open_stores

SUBSCRIBER = """
import json, sys
from trading_platform.client.subscription import Subscription, positions_of
from trading_platform.stores.redis.channels import ChannelReader
import time
url, path = sys.argv[1:]
try:
    seen = [json.loads(line) for line in open(path)]
except FileNotFoundError:
    seen = []
after = {"signals": 0, "alerts": 0}
for channel, _, position in seen:
    after[channel] = position
streams, quotes = positions_of(list(after), after)
with Subscription(ChannelReader(url, streams, quotes=quotes), time.monotonic) as messages, open(path, "a") as out:
    for message in messages:
        channel = "signals" if hasattr(message.payload, "strategy") else "alerts"
        out.write(json.dumps([channel, message.seq, message.position]) + "\\n")
        out.flush()
"""


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as opened:
        yield opened


@pytest.fixture
def platform(stores: Stores, redis_url: str) -> Iterator[Platform]:
    with Redis.from_url(redis_url) as client:
        flush(client)
    with platform_on(stores, redis_url) as made:
        yield made


@pytest.fixture
def server(new_settings: Callable[..., Settings]) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be restarted."""
    settings = new_settings()
    made = RedisServer(settings.root)
    made.ensure_running()
    yield made
    made.remove()


def seqs(messages: object, count: int) -> list[int]:
    return [messages.receive(DEADLINE).seq for _ in range(count)]  # type: ignore[attr-defined]


def test_a_signal_is_told_kept_and_read(platform: Platform):
    assert platform.signals.last("momentum", "BTCUSD") is None
    before = datetime.now(UTC)
    with platform.subscribe("signals") as messages:
        number = platform.signals.publish(
            "momentum", "BTCUSD", "long", strength="0.80", price=Decimal("1E+4"), data={"rsi": 71.5, "bars": [1, 2]}
        )
        heard = messages.receive(DEADLINE)
    assert heard is not None
    assert heard == platform.signals.last("momentum", "BTCUSD")
    assert (heard.seq, heard.payload.direction, str(heard.payload.strength)) == (number, "long", "0.80")
    assert (str(heard.payload.price), heard.payload.data) == ("10000", {"rsi": 71.5, "bars": [1, 2]})
    assert before - timedelta(milliseconds=1) <= heard.ts <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"direction": "up"}, "direction"),
        ({"strength": "1.5"}, "strength"),
        ({"strategy": "a:b"}, "strategy"),
        ({"symbol": "btc usd"}, "symbol"),
        ({"price": "NaN"}, "price"),
    ],
)
def test_a_signal_that_cannot_be_is_refused_by_name(platform: Platform, wrong: dict[str, str], said: str):
    with pytest.raises(InvalidRequest, match=said):
        platform.signals.publish(**{"strategy": "momentum", "symbol": "BTCUSD", "direction": "long", **wrong})  # type: ignore[arg-type]
    with platform.subscribe("signals", after=0) as messages:
        assert messages.receive(0.1) is None


def test_quotes_regime_circuit_and_session(platform: Platform, redis_url: str):
    quote = Quote("AAPL", datetime(2024, 12, 15, 14, 30, tzinfo=UTC), Decimal("185.50"), Decimal("185.52"))
    assert platform.quote("AAPL") is None
    with open_live_store(redis_url) as live:
        live.write_quotes([quote])
    assert platform.quote("AAPL") == quote
    assert platform.quotes() == {"AAPL": quote}
    assert platform.quotes([]) == platform.quotes(["MSFT"]) == {}
    assert platform.regime.get() is None
    assert [platform.regime.set("trending"), platform.regime.set("trending")] == [True, False]
    assert platform.regime.get() == "trending"
    with pytest.raises(InvalidRequest, match="regime"):
        platform.regime.set('a"b')
    assert platform.circuit.get("feed") is None
    assert platform.session == {}


def test_an_alert_reaches_the_channel_and_the_system_events(platform: Platform):
    with platform.subscribe("alerts") as messages:
        platform.alerts.publish("drift", "warning", "risk", "Too much.", metadata={"by": "0.2"}, incident="drift-1")
        heard = messages.receive(DEADLINE)
    assert heard is not None
    assert (heard.payload.event_type, heard.payload.severity, heard.payload.incident) == ("drift", "warning", "drift-1")
    event = platform.events.list(component="risk")[0]
    assert (event.message, event.metadata["by"], event.metadata["incident"]) == ("Too much.", "0.2", "drift-1")
    assert abs(event.timestamp - heard.ts) < timedelta(milliseconds=1)


def test_a_late_subscriber_reads_what_it_missed(platform: Platform):
    for _ in range(1200):
        platform.signals.publish("late", "BTCUSD", "flat")
    with platform.subscribe("signals", after=0) as messages:
        assert seqs(messages, 1200) == list(range(1, 1201))
        assert messages.receive(0.05) is None
        position = messages.position
    platform.signals.publish("late", "BTCUSD", "long")
    with platform.subscribe("signals", after=position) as messages:
        assert seqs(messages, 1) == [1201]
    with platform.subscribe("signals") as messages:
        assert messages.receive(0.05) is None


def test_quotes_and_streams_in_one_subscription(platform: Platform, redis_url: str):
    quote = Quote("AAPL", datetime(2024, 12, 15, 14, 30, tzinfo=UTC), Decimal("185.50"), Decimal("185.52"))
    streams, quotes = positions_of(("quotes", "signals", "regime"), None)
    standing = ChannelReader(redis_url, streams, quotes=quotes, monotonic=lambda: 0.0)  # reads streams only if asked
    with Subscription(standing, time.monotonic) as messages, open_live_store(redis_url) as live:
        assert messages.receive(0) is None
        live.write_quotes([quote])
        platform.signals.publish("both", "AAPL", "long")
        platform.regime.set("calm")
        heard = [messages.receive(DEADLINE) for _ in range(3)]
    kinds = {type(message).__name__: message for message in heard}
    assert set(kinds) == {"QuoteMessage", "SignalMessage", "RegimeMessage"}
    assert kinds["QuoteMessage"].quote == quote


def test_close_from_another_thread_ends_the_loop(platform: Platform):
    messages = platform.subscribe("signals")
    heard: list[object] = []
    thread = threading.Thread(target=lambda: heard.extend(messages))
    thread.start()
    platform.signals.publish("closing", "AAPL", "long")
    wait_until(lambda: heard, "the signal")
    messages.close()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("channels", "after"),
    [
        ((), None),
        (("news",), None),
        (("signals", "orders"), 0),
        (("quotes",), 0),
        (("signals",), -1),
        (("signals",), 3),
        (("signals",), True),
        (("signals",), "3"),
        (("signals",), "0@"),
        (("signals",), "3@xyz"),
        (("signals",), "²@5e0f7c31a9d2"),
        (("signals",), {"quotes": "3@5e0f7c31a9d2"}),
    ],
)
def test_a_subscription_that_cannot_be(platform: Platform, channels: tuple[str, ...], after: Any):
    with pytest.raises(InvalidRequest):
        platform.subscribe(*channels, after=after)


def test_what_is_gone_is_said_and_reading_goes_on(platform: Platform, redis_url: str):
    for _ in range(10):
        platform.signals.publish("gone", "AAPL", "long")
    with platform.subscribe("signals", after=0) as messages:
        assert seqs(messages, 2) == [1, 2]
        second = messages.position["signals"]
        assert seqs(messages, 1) == [3]
    with Redis.from_url(redis_url) as client:
        client.xtrim("signals", maxlen=4, approximate=False)
    with platform.subscribe("signals", "alerts", after={"signals": second, "alerts": 0}) as messages:
        with pytest.raises(StoreError, match="numbers 3 to 6"):
            messages.receive(DEADLINE)
        assert seqs(messages, 4) == [7, 8, 9, 10]
    with platform.subscribe("signals", after=0) as messages:
        assert seqs(messages, 4) == [7, 8, 9, 10]


def test_a_redis_that_was_emptied_is_noticed(platform: Platform, redis_url: str):
    for _ in range(3):
        platform.signals.publish("emptied", "AAPL", "long")
    with platform.subscribe("signals", after=0) as messages:
        assert seqs(messages, 3) == [1, 2, 3]
        with Redis.from_url(redis_url) as client:
            flush(client)
        platform.signals.publish("emptied", "AAPL", "flat")
        with pytest.raises(StoreError, match="not the one that was read"):
            messages.receive(DEADLINE)
    with pytest.raises(StoreError, match="not the one that was read"):
        platform.subscribe("signals", after=messages.position)


def test_a_message_without_its_form_is_said_and_reading_goes_on(platform: Platform, redis_url: str):
    with platform.subscribe("signals") as messages:
        with Redis.from_url(redis_url) as client:
            client.xadd("signals", {"message": '{"v":3}'}, id="1-0")
        platform.signals.publish("form", "AAPL", "long")
        with pytest.raises(StoreError, match="form of version 2"):
            messages.receive(DEADLINE)
        assert seqs(messages, 1) == [2]


@pytest.mark.exhaustive
def test_a_subscriber_that_is_killed_and_a_redis_that_restarts(stores: Stores, server: RedisServer, tmp_path: Path):
    """Two channels, a process killed five times and a server twice, once in an orderly way and once not."""
    path = tmp_path / "received"
    published = {"signals": 0, "alerts": 0}
    with platform_on(stores, server.url()) as platform:
        for disturbed in (False, True, False, True, False):
            with subscriber(server, path):
                tell(platform, published, 75)
                wait_for_lines(path, len(lines(path)) + 1)
                if disturbed:
                    restart(server, hard=published["signals"] > 300)
                tell(platform, published, 75)
            tell(platform, published, 30)
        with subscriber(server, path):
            wait_for_lines(path, sum(published.values()))
    for channel, count in published.items():
        assert [seq for name, seq, _ in lines(path) if name == channel] == list(range(1, count + 1))
    assert published == {"signals": 5 * 180, "alerts": 5 * 60}


@contextmanager
def subscriber(server: RedisServer, path: Path) -> Iterator[None]:
    """A process that goes on where the file ends, killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUBSCRIBER, server.url(), str(path)], env=environment(), cwd=REPOSITORY
    )
    try:
        yield
        assert process.poll() is None, "it ended by itself"
    finally:
        process.kill()
        process.wait()


def tell(platform: Platform, published: dict[str, int], count: int) -> None:
    for number in range(count):
        published["signals"] = at_last(lambda: platform.signals.publish("killed", "AAPL", "long"))
        if number % 3 == 0:
            published["alerts"] = at_last(lambda: platform.alerts.publish("killed", "info", "test", "Published."))


def at_last(publish: Callable[[], int]) -> int:
    """Tells what nobody took within the client's own patience, where Redis takes long to start."""

    def number() -> int | None:
        with suppress(StoreUnavailable):
            return publish()
        return None

    return wait_until(number, "Redis") or 0


def wait_for_lines(path: Path, count: int) -> None:
    wait_until(lambda: len(lines(path)) >= count, f"{count} lines of the subscriber")


def lines(path: Path) -> list[tuple[str, int, str]]:
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def restart(server: RedisServer, *, hard: bool) -> None:
    """In a thread of its own, so that those who tell find nobody there."""
    process = server.running()
    assert process is not None
    if hard:
        with Redis.from_url(server.url()) as client:
            await_written(client)
        process.kill()
    else:
        process.terminate()
    process.wait(DEADLINE)
    threading.Timer(0.7, server.ensure_running).start()


@pytest.mark.exhaustive
def test_quotes_are_heard_again_after_a_restart(stores: Stores, server: RedisServer):
    timestamp = datetime(2024, 12, 15, 14, 30, tzinfo=UTC)
    with (
        platform_on(stores, server.url()) as platform,
        platform.subscribe("quotes") as messages,
        open_live_store(server.url()) as live,
    ):
        live.write_quotes([Quote("AAPL", timestamp, Decimal(1), Decimal(2))])
        assert messages.receive(DEADLINE).quote.bid == 1  # type: ignore[union-attr]
        restart(server, hard=True)

        def received_again() -> bool:
            with suppress(StoreUnavailable):
                live.write_quotes([Quote("AAPL", timestamp, Decimal(5), Decimal(6))])
            return messages.receive(0.2) is not None

        wait_until(received_again, "a quote after the restart")


@pytest.mark.exhaustive
def test_redis_is_started_when_it_is_first_asked_for_and_given_back(new_settings: Callable[..., Settings]):
    settings = new_settings()
    with running_stack(settings, need_redis=False):
        with Platform.connect(settings) as platform:
            assert running(settings) == {"postgresql": True, "redis": False}
            platform.signals.publish("lazy", "AAPL", "long")
            assert running(settings)["redis"]
            assert len(stack_status(settings).users) == 3
            subscription = platform.subscribe("signals")
        assert subscription.receive() is None, "ended with its platform"
        assert len(stack_status(settings).users) == 1
    assert running(settings) == {"postgresql": False, "redis": False}
    with Platform.connect(settings) as platform:
        assert platform.signals.last("lazy", "AAPL") is not None


def running(settings: Settings) -> dict[str, bool]:
    return {server.part: server.state == "running" for server in stack_status(settings).servers}


def test_a_platform_without_redis_says_so(stores: Stores):
    with pytest.raises(ConfigurationError, match="without Redis"):
        Platform(stores).quote("AAPL")
