"""A subscriber that was away while Redis lost what it had read: it is told, whatever numbers were given again since."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clients import platform_on
from redis import Redis
from redis_servers import flush
from waiting import DEADLINE

from trading_platform.client import Platform
from trading_platform.domain.errors import StoreError
from trading_platform.domain.messages import MessagePosition, epoch_of
from trading_platform.embedded.redis import RedisServer
from trading_platform.settings import Settings
from trading_platform.stores.redis.order_stream import OrderStream, open_order_stream
from trading_platform.stores.stores import Stores, open_stores

REPLACED = "not the one that was read"


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as opened:
        yield opened


@pytest.fixture
def server(new_settings: Callable[..., Settings]) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be restarted and restored."""
    made = RedisServer(new_settings().root)
    made.ensure_running()
    yield made
    made.remove()


def signal(platform: Platform, count: int) -> None:
    for _ in range(count):
        platform.signals.publish("epochs", "AAPL", "long")


def read(platform: Platform, count: int, after: str | int = 0) -> tuple[list[int], str]:
    with platform.subscribe("signals", after=after) as messages:
        found = [messages.receive(DEADLINE) for _ in range(count)]
        return [message.seq for message in found if message], messages.position["signals"]


def on_orders(stream: OrderStream, *numbers: int) -> None:
    for seq in numbers:
        stream.publish(seq, f'{{"v":2,"ts":"2026-11-02T10:00:00Z","seq":{seq},"payload":{{}}}}')


def test_a_flush_is_noticed_however_many_messages_came_since(stores: Stores, redis_url: str) -> None:
    with platform_on(stores, redis_url) as platform, Redis.from_url(redis_url) as client:
        flush(client)
        signal(platform, 17)
        _, position = read(platform, 17)
        flush(client)
        signal(platform, 30)
        with pytest.raises(StoreError, match=REPLACED):
            platform.subscribe("signals", after=position)
        assert read(platform, 30)[0] == list(range(1, 31))


def test_a_flush_between_two_reads_of_a_connected_subscriber_is_noticed(stores: Stores, redis_url: str) -> None:
    with platform_on(stores, redis_url) as platform, Redis.from_url(redis_url) as client:
        flush(client)
        signal(platform, 5)
        with platform.subscribe("signals", after=0) as messages:
            assert [messages.receive(DEADLINE).seq for _ in range(5)] == [1, 2, 3, 4, 5]  # type: ignore[union-attr]
            flush(client)
            signal(platform, 9)
            with pytest.raises(StoreError, match=REPLACED):
                messages.receive(DEADLINE)


def test_one_stream_that_was_deleted_alone_is_noticed(stores: Stores, redis_url: str) -> None:
    with platform_on(stores, redis_url) as platform, Redis.from_url(redis_url) as client:
        flush(client)
        signal(platform, 3)
        _, position = read(platform, 3)
        client.delete("signals")
        signal(platform, 8)
        with pytest.raises(StoreError, match=REPLACED):
            platform.subscribe("signals", after=position)


def test_a_restart_that_loses_nothing_is_none_and_an_older_file_is_one(
    stores: Stores, server: RedisServer, tmp_path: Path
) -> None:
    """The file of a stopped server is kept, more is published and read, and then the file is put back."""
    with platform_on(stores, server.url()) as platform:
        signal(platform, 5)
        _, early = read(platform, 5)
    server.stop()
    shutil.copytree(server.directory, tmp_path / "kept", ignore=shutil.ignore_patterns("*.sock", "redis.pid"))
    server.ensure_running()
    with platform_on(stores, server.url()) as platform, open_order_stream(server.url()) as stream:
        signal(platform, 5)
        assert read(platform, 5, early)[0] == [6, 7, 8, 9, 10]
        _, late = read(platform, 10)
        on_orders(stream, 1, 2, 3)
    server.stop()
    shutil.rmtree(server.directory)
    shutil.copytree(tmp_path / "kept", server.directory)
    server.directory.chmod(0o700)
    server.ensure_running()
    with platform_on(stores, server.url()) as platform, open_order_stream(server.url()) as stream:
        with pytest.raises(StoreError, match=REPLACED):
            platform.subscribe("signals", after=late)
        signal(platform, 8)
        with pytest.raises(StoreError, match=REPLACED):
            platform.subscribe("signals", after=late)
        assert read(platform, 8, early)[0] == [6, 7, 8, 9, 10, 11, 12, 13]
        on_orders(stream, 4, 5)
        entries = stream._redis.xrange("orders")
        assert [identifier for identifier, _ in entries] == ["4-0", "5-0"]


def test_orders_have_the_epoch_of_their_stream_and_are_published_once(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as client, open_order_stream(redis_url) as stream:
        flush(client)
        on_orders(stream, 41, 42)
        first = {epoch_of(fields["message"]) for _, fields in client.xrange("orders")}
        assert first == {client.hget("epoch:orders", "epoch")}
        client.hset("epoch:orders", "run", "of a server before")
        assert not stream.publish(42, '{"v":2,"ts":"2026-11-02T10:00:00Z","seq":42,"payload":{}}')
        on_orders(stream, 43)
        (_, newest) = client.xrevrange("orders", count=1)[0]
        assert epoch_of(newest["message"]) not in first
        with pytest.raises(StoreError, match="ahead of the ledger"):
            stream.publish(42, '{"v":2,"ts":"2026-11-02T10:00:00Z","seq":42,"payload":{"another":1}}')


def test_a_message_of_version_1_is_published_once_across_an_upgrade(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as client, open_order_stream(redis_url) as stream:
        flush(client)
        client.xadd("orders", {"message": '{"v":1,"ts":"2026-11-02T10:00:00Z","seq":7,"payload":{}}'}, id="7-0")
        assert not stream.publish(7, '{"v":2,"ts":"2026-11-02T10:00:00Z","seq":7,"payload":{}}')


@pytest.mark.parametrize("text", ["0", "17@", "17@5e0f7c31a9d2"])
def test_a_position_as_text_and_back(text: str) -> None:
    assert str(MessagePosition.parse(text)) == text


@pytest.mark.parametrize("text", ["", "17", "@", "0@5e0f7c31a9d2", "17@5E0F7C31A9D2", "17@5e0f7c31a9d2\n", "-1@", "١@"])
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match="no position of a message"):
        MessagePosition.parse(text)
