"""Quotes, signals, regime, circuits and the session on the real Redis: keys, types and lives as the design has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from ears import Ear
from redis import Redis
from redis_servers import flush

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.messages import QuoteMessage, read_message
from trading_platform.stores.redis.live import AsyncLiveStore, LiveStore, open_live_store

NOON = datetime(2024, 12, 15, 12, tzinfo=UTC)
QUOTE = Quote("AAPL", NOON, Decimal("185.50"), Decimal("185.52"), Decimal("185.51"), Decimal(1234567))
ALERT = '{"event_type":"no_data","severity":"error","component":"feed","message":"Nothing.","metadata":{}}'


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        flush(client)
        yield client


@pytest.fixture
def live(redis: Redis, redis_url: str) -> Iterator[LiveStore]:
    redis.ping()
    with open_live_store(redis_url) as store:
        yield store


def test_a_quote_is_as_the_design_has_it(live: LiveStore, redis: Redis):
    assert live.write_quotes([QUOTE]) == 1
    assert redis.type("quote:AAPL") == "hash"
    assert redis.hgetall("quote:AAPL") == {
        "bid": "185.50",
        "ask": "185.52",
        "last": "185.51",
        "volume": "1234567",
        "timestamp": "2024-12-15T12:00:00.000000Z",
    }
    assert 58 <= redis.ttl("quote:AAPL") <= 60
    assert live.quotes() == {"AAPL": QUOTE}


def test_no_number_gets_an_exponent(live: LiveStore, redis: Redis):
    live.write_quotes([Quote("XYZ", NOON, Decimal("1E-8"), Decimal("1E+3"), volume=Decimal("0E-8"))])
    written = redis.hgetall("quote:XYZ")
    assert (written["bid"], written["ask"], written["volume"]) == ("0.00000001", "1000", "0.00000000")


def test_an_older_quote_replaces_nothing_and_is_not_told(live: LiveStore, redis: Redis):
    ear = Ear(redis, "quotes")
    older = replace(QUOTE, time=NOON - timedelta(microseconds=1), bid=Decimal(1))
    same = replace(QUOTE, bid=Decimal("185.49"))
    assert [live.write_quotes([quote]) for quote in (QUOTE, older, same)] == [1, 0, 1]
    assert live.write_quotes([older, same, older]) == 1
    assert live.quotes(["AAPL", "MSFT"]) == {"AAPL": same}
    messages = [QuoteMessage.model_validate_json(text) for text in ear.all()]
    assert [message.quote for message in messages] == [QUOTE, same, same]
    assert [message.seq for message in messages] == [1, 2, 3]


def test_a_quote_of_one_side_keeps_the_other(live: LiveStore, redis: Redis):
    ear = Ear(redis, "quotes")
    later = NOON + timedelta(seconds=1)
    live.write_quotes([Quote("AAPL", NOON, bid=Decimal(10))])
    assert set(redis.hgetall("quote:AAPL")) == {"bid", "timestamp"}
    live.write_quotes([Quote("AAPL", later, ask=Decimal(11))])
    whole = Quote("AAPL", later, Decimal(10), Decimal(11))
    assert live.quotes() == {"AAPL": whole}
    heard = [read_message("quotes", text) for text in ear.all()]
    assert [message.quote for message in heard if isinstance(message, QuoteMessage)] == [
        Quote("AAPL", NOON, bid=Decimal(10)),
        whole,
    ]


def test_each_write_renews_the_life_of_a_quote(live: LiveStore, redis: Redis):
    live.write_quotes([QUOTE])
    redis.expire("quote:AAPL", 5)
    live.write_quotes([replace(QUOTE, time=NOON - timedelta(seconds=1))])
    assert redis.ttl("quote:AAPL") <= 5, "an older one says nothing of now"
    live.write_quotes([QUOTE])
    assert redis.ttl("quote:AAPL") >= 58


@pytest.mark.parametrize("wrong", [replace(QUOTE, bid=Decimal("NaN")), replace(QUOTE, symbol='A"}')])
def test_what_is_no_quote_is_refused_with_its_batch(live: LiveStore, redis: Redis, wrong: Quote):
    with pytest.raises(InvalidRequest):
        live.write_quotes([QUOTE, wrong])
    assert not redis.keys("quote:*")


def test_numbers_of_quotes_have_no_gaps_whoever_writes(redis: Redis, redis_url: str):
    ear = Ear(redis, "quotes")
    quotes = [replace(QUOTE, symbol=f"S{number}") for number in range(50)]

    def write(_: int) -> None:
        with open_live_store(redis_url) as mine:
            for _ in range(5):
                mine.write_quotes(quotes)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert [json.loads(text)["seq"] for text in ear.all()] == list(range(1, 1001))


def test_a_signal_lives_five_minutes_and_its_message_stays(live: LiveStore, redis: Redis):
    first = live.publish_signal(NOON, '{"a":1}', "momentum", "AAPL", {"direction": "long", "reason": "up"})
    second = live.publish_signal(NOON, '{"a":2}', "momentum", "AAPL", {"direction": "flat"})
    assert (first, second) == (1, 2)
    epoch = redis.hget("epoch:signals", "epoch")
    assert redis.hgetall("signal:momentum:AAPL") == {"direction": "flat", "seq": "2", "epoch": epoch}
    assert 298 <= redis.ttl("signal:momentum:AAPL") <= 300
    assert [identifier for identifier, _ in redis.xrange("signals")] == ["1-0", "2-0"]
    assert json.loads(redis.xrange("signals")[1][1]["message"]) == {
        "v": 2,
        "epoch": epoch,
        "ts": "2024-12-15T12:00:00.000000Z",
        "seq": 2,
        "payload": {"a": 2},
    }


def test_the_regime_lives_a_minute_and_only_changes_are_told(live: LiveStore, redis: Redis):
    assert [live.set_regime(NOON, name) for name in ("calm", "calm", "storm")] == [True, False, True]
    assert redis.type("regime:current") == "string"
    assert 58 <= redis.ttl("regime:current") <= 60
    redis.delete("regime:current")
    assert live.regime() is None
    assert not live.set_regime(NOON, "storm")
    assert live.regime() == "storm"
    published = [json.loads(fields["message"])["payload"] for _, fields in redis.xrange("regime")]
    assert published == [{"regime": "calm", "previous": None}, {"regime": "storm", "previous": "calm"}]


def test_streams_are_capped(redis: Redis, redis_url: str):
    store = LiveStore(redis_url, kept=100)
    for _ in range(500):
        store.publish_alert(NOON, ALERT)
    store.close()
    assert 100 <= redis.xlen("alerts") <= 200
    assert redis.xinfo_stream("alerts")["last-generated-id"] == "500-0"


def test_numbers_go_on_when_a_stream_is_trimmed_to_nothing(live: LiveStore, redis: Redis):
    live.publish_alert(NOON, ALERT)
    redis.xtrim("alerts", maxlen=0)
    assert live.publish_alert(NOON, ALERT) == 2


def test_a_circuit_alerts_when_it_changes(redis: Redis, redis_url: str):
    async def changes() -> list[bool]:
        store = AsyncLiveStore(redis_url)
        states = ["closed", "open", "open", "closed", "closed"]
        found = [
            await store.set_circuit(NOON, "feed", state, ALERT, str(number)) for number, state in enumerate(states)
        ]
        await store.close()
        return found

    assert asyncio.run(changes()) == [False, True, False, True, False]
    assert (redis.type("circuit:feed"), redis.get("circuit:feed"), redis.ttl("circuit:feed")) == (
        "string",
        "closed",
        -1,
    )
    assert redis.xlen("alerts") == 2


def test_the_same_telling_is_told_once(redis: Redis, redis_url: str):
    async def twice() -> list[int]:
        store = AsyncLiveStore(redis_url)
        found = [await store.publish_alert(NOON, ALERT, name) for name in ("one", "one", "two")]
        await store.close()
        return found

    assert asyncio.run(twice()) == [1, 1, 2]
    assert redis.xlen("alerts") == 2


def test_scripts_that_redis_forgot_are_given_again(live: LiveStore, redis: Redis):
    live.write_quotes([QUOTE])
    redis.script_flush()
    assert live.write_quotes([QUOTE]) == 1


def test_the_session_is_a_hash_that_stays(live: LiveStore, redis: Redis, redis_url: str):
    async def write() -> None:
        store = AsyncLiveStore(redis_url)
        await store.write_session({"status": "starting", "symbols": "2"})
        await store.write_session({"status": "running"})
        await store.close()

    assert live.session() == {}
    asyncio.run(write())
    assert live.session() == {"status": "running", "symbols": "2"}
    assert (redis.type("session:state"), redis.ttl("session:state")) == ("hash", -1)
