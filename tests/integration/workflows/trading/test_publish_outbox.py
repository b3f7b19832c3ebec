"""The ledger's messages on the real Redis: each once, in order, whatever dies when."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from ears import Ear
from processes import REPOSITORY, environment
from properties import some_usual
from redis import Redis
from waiting import DEADLINE

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.messages import OrderMessage
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query
from trading_platform.stores.redis.order_stream import FIELD, NAME, OrderStream, open_order_stream
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.stores.trading.outbox import OutboxStore
from trading_platform.workflows.trading.publish_outbox import publish_outbox

TIMESTAMP = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)

COMMIT_AND_DIE = """
import os, signal, sys
from datetime import UTC, datetime
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.stores.postgres.database import Database
ledger = Ledger(Database(sys.argv[1]))
order = ledger.place(symbol="SPY", side="buy", order_type="market", quantity="2", broker="ibkr")
moment = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
ledger.record_fill(order.id, "die-" + str(order.id), quantity="2", price="500.25", executed_at=moment)
print(order.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

PUBLISH_AND_DIE = """
import os, signal, sys
from trading_platform.stores.redis.order_stream import OrderStream
from trading_platform.stores.trading.outbox import OutboxStore
from trading_platform.stores.postgres.database import Database
from trading_platform.workflows.trading.publish_outbox import publish_outbox
stream, left = OrderStream(sys.argv[2]), int(sys.argv[3])
class DiesOnTheWay:
    def publish(self, seq, message):
        global left
        published = stream.publish(seq, message)
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return published
publish_outbox(OutboxStore(Database(sys.argv[1])), DiesOnTheWay())
"""


@pytest.fixture
def redis(redis_url: str, database: Database) -> Iterator[Redis]:
    """Empty, and nothing waits to be published."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        with open_order_stream(redis_url) as stream:
            publish_outbox(OutboxStore(database), stream)
        client.xtrim(NAME, maxlen=0)
        yield client


@pytest.fixture
def stream(redis_url: str) -> Iterator[OrderStream]:
    with open_order_stream(redis_url) as opened:
        yield opened


@pytest.fixture
def ear(redis: Redis) -> Iterator[Ear]:
    made = Ear(redis, NAME)
    yield made
    made.close()


def on_stream(redis: Redis) -> list[OrderMessage]:
    entries = redis.xrange(NAME)
    messages = [OrderMessage.model_validate_json(fields[FIELD]) for _, fields in entries]
    assert [identifier for identifier, _ in entries] == [f"{message.seq}-0" for message in messages]
    return messages


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=REPOSITORY,
        timeout=DEADLINE,
        check=False,
    )


def unmarked(database: Database) -> int:
    with database.begin() as connection:
        return execute(connection, "SELECT count(*) FROM trading.outbox WHERE published_at IS NULL")[0][0]


def a_life(ledger: Ledger, name: str) -> str:
    order = ledger.place(symbol="SPY", side="buy", order_type="limit", quantity="3", price="500", broker="ibkr")
    ledger.advance(order.id, "sent", broker_order_id=name)
    ledger.record_fill(
        order.id, f"{name}-1", quantity="1", price="499.99999999", executed_at=TIMESTAMP, commission="0.35"
    )
    ledger.record_fill(order.id, f"{name}-2", quantity="2", price="499.5", executed_at=TIMESTAMP, commission="0.7")
    return str(order.id)


def test_every_change_is_told_in_order_with_every_digit(database, redis, stream, ear):
    order_id = a_life(Ledger(database), "published")
    assert publish_outbox(OutboxStore(database), stream) == 4
    messages = on_stream(redis)
    assert [message.payload.order.status.value for message in messages] == ["pending", "sent", "partial", "filled"]
    assert [message.payload.previous_status for message in messages] == [None, "pending", "sent", "partial"]
    assert {str(message.payload.order.id) for message in messages} == {order_id}
    assert [message.seq for message in messages] == list(range(messages[0].seq, messages[0].seq + 4))
    fill = messages[2].payload.fill
    assert fill is not None
    assert (fill.price, fill.commission, fill.broker_fill_id) == (
        Decimal("499.99999999"),
        Decimal("0.35"),
        "published-1",
    )
    assert json.loads(redis.xrange(NAME)[2][1][FIELD])["payload"]["fill"]["price"] == "499.99999999"
    assert [OrderMessage.model_validate_json(heard) for heard in ear.all()] == messages
    assert publish_outbox(OutboxStore(database), stream) == 0


def test_what_did_not_change_anything_is_not_told(database, redis, stream):
    ledger = Ledger(database)
    order = ledger.place(symbol="SPY", side="buy", order_type="market", quantity="1", broker="ibkr")
    for _ in range(3):
        ledger.place(symbol="SPY", side="buy", order_type="market", quantity="1", broker="ibkr", order_id=order.id)
        ledger.advance(order.id, "sent")
    for _ in range(3):
        ledger.record_fill(order.id, "same", quantity="1", price="500", executed_at=TIMESTAMP)
    publish_outbox(OutboxStore(database), stream)
    assert [message.payload.order.status.value for message in on_stream(redis)] == ["pending", "sent", "filled"]


def test_killed_between_commit_and_publishing(database, database_url, redis, stream, ear):
    died = run(COMMIT_AND_DIE, database_url)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not on_stream(redis)
    assert unmarked(database) == 3
    assert [publish_outbox(OutboxStore(database), stream) for _ in range(2)] == [3, 0]
    messages = on_stream(redis)
    assert [message.payload.order.status.value for message in messages] == ["pending", "sent", "filled"]
    assert {str(message.payload.order.id) for message in messages} == {died.stdout.strip()}
    assert len(ear.all()) == 3


@pytest.mark.parametrize("published", some_usual([1, 3, 4]))
def test_killed_between_publishing_and_noting_it(database, database_url, redis_url, redis, stream, ear, published):
    a_life(Ledger(database), f"killed-{published}")
    died = run(PUBLISH_AND_DIE, database_url, redis_url, str(published))
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(on_stream(redis)) == published
    assert unmarked(database) == 4
    assert publish_outbox(OutboxStore(database), stream) == 4 - published
    seqs = [message.seq for message in on_stream(redis)]
    assert seqs == list(range(seqs[0], seqs[0] + 4))
    assert [OrderMessage.model_validate_json(heard).seq for heard in ear.all()] == seqs


def test_publishers_and_writers_at_once(database, redis, redis_url, ear):
    before = unmarked(database)
    assert before == 0

    def publish(_: int) -> int:
        with open_order_stream(redis_url) as mine:
            return sum(publish_outbox(OutboxStore(database), mine, batch=3) for _ in range(10))

    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(a_life, Ledger(database), f"at-once-{number}") for number in range(12)]
        published = sum(pool.map(publish, range(4)))
        orders = {job.result() for job in writing}
    published += publish(0)
    messages = on_stream(redis)
    seqs = [message.seq for message in messages]
    assert seqs == list(range(seqs[0], seqs[0] + published))
    assert published == 4 * len(orders)
    for order in orders:
        mine = [message.payload.order.status.value for message in messages if str(message.payload.order.id) == order]
        assert mine == ["pending", "sent", "partial", "filled"]
    assert len(ear.all()) == published


def test_a_stream_of_another_ledger_is_not_taken_for_ours(database, redis, stream):
    a_life(Ledger(database), "foreign")
    redis.xadd(NAME, {FIELD: "something else"}, id="999999999-0")
    with pytest.raises(StoreError, match="ahead of the ledger"):
        publish_outbox(OutboxStore(database), stream)
    assert unmarked(database) == 4
    redis.delete(NAME)
    assert publish_outbox(OutboxStore(database), stream) == 4


def numbers(database: Database) -> list[int | None]:
    """What the outbox still holds, in the order of writing."""
    with database.begin() as connection:
        return [seq for (seq,) in execute(connection, "SELECT seq FROM trading.outbox ORDER BY id")]


def test_numbers_go_on_after_all_that_can_be_pruned_is(database, redis, stream):
    outbox, ledger = OutboxStore(database), Ledger(database)
    a_life(ledger, "before-pruning")
    publish_outbox(outbox, stream)
    newest = max(numbers(database))
    assert outbox.prune(timedelta()) > 0
    assert numbers(database) == [newest]
    assert outbox.prune(timedelta()) == 0
    a_life(ledger, "after-pruning")
    assert outbox.prune(timedelta()) == 0, "what was not published must stay"
    assert publish_outbox(outbox, stream) == 4
    assert [message.seq for message in on_stream(redis)] == list(range(newest - 3, newest + 5))
    assert numbers(database) == list(range(newest, newest + 5))


@pytest.mark.usefixtures("redis")
def test_what_was_told_lately_or_never_stays(database, stream):
    outbox, ledger = OutboxStore(database), Ledger(database)
    a_life(ledger, "ages")
    publish_outbox(outbox, stream)
    outbox.prune(timedelta())
    first = numbers(database)[0]
    a_life(ledger, "ages-more")
    publish_outbox(outbox, stream)
    a_life(ledger, "ages-untold")
    mark_published = "UPDATE trading.outbox SET published_at = now() - %(ago)s::interval WHERE seq = ANY(%(numbers)s)"
    with database.begin() as connection:
        execute(connection, "UPDATE trading.outbox SET created_at = now() - interval '90 days'")
        execute(connection, mark_published, {"ago": "29 days 23 hours", "numbers": [first + 1]})
        execute(connection, mark_published, {"ago": "31 days", "numbers": [first, first + 2]})
    assert outbox.prune() == 2
    assert numbers(database) == [first + 1, first + 3, first + 4, None, None, None, None]
    with pytest.raises(InvalidRequest, match="age"):
        outbox.prune(timedelta(days=-1))
    assert publish_outbox(outbox, stream) == 4


def test_pruned_while_others_write_number_and_tell(database, redis, redis_url):
    def publish(_: int) -> int:
        with open_order_stream(redis_url) as mine:
            return sum(publish_outbox(OutboxStore(database), mine, batch=3) for _ in range(10))

    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(a_life, Ledger(database), f"pruned-{number}") for number in range(12)]
        publishing = [pool.submit(publish, number) for number in range(3)]
        pruning = [pool.submit(OutboxStore(database).prune, timedelta()) for _ in range(40)]
        for job in (*writing, *publishing):
            job.result()
        removed = sum(job.result() for job in pruning)
    publish(0)
    seqs = [message.seq for message in on_stream(redis)]
    assert seqs == list(range(seqs[0], seqs[0] + 48))
    assert removed > 0


def test_the_highest_number_is_found_by_its_index(database):
    with database.begin() as connection:
        order = Ledger(database).place(symbol="SPY", side="buy", order_type="market", quantity="1", broker="ibkr")
        execute(
            connection,
            "INSERT INTO trading.outbox (order_id, payload, seq, published_at)"
            " SELECT %(order)s, jsonb_build_object('order', jsonb_build_object('id', %(order)s::uuid)),"
            " 10000000 + number, now() FROM generate_series(1, 20000) AS number",
            {"order": order.id},
        )
        execute(connection, "ANALYZE trading.outbox")
        plan = "\n".join(
            line for (line,) in execute(connection, f"EXPLAIN {query('trading/outbox/number')}", {"ids": [1]})
        )
        connection.rollback()
    assert "Index Only Scan Backward using outbox_seq_key" in plan
