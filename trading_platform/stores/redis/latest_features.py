"""The latest features of each symbol in Redis: the hashes ``features:{symbol}``.

docs/messages.md has the fields. A number is written as the shortest text that reads back to the same float, so that
Redis has the numbers of the files to the bit. :mod:`trading_platform.stores.redis.live` has the other live state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trading_platform.domain.errors import StoreError
from trading_platform.domain.features.latest import LatestRow, Value
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.time import Timeframe, rfc3339
from trading_platform.stores.redis.live import redis_errors

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

_KEYS = ("time", "timeframe", "available_at")
_TRUTH = {True: "true", False: "false"}

# A hash is replaced whole, so that no field of a former row stays. Times sort as texts.
_WRITE = """
local stored = redis.call('HGET', KEYS[1], 'available_at')
if stored and stored > ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


class RedisLatestFeatures:
    """The latest features in a Redis, which is opened by the first call.

    A process that has no Redis, or whose Redis does not take the rows, logs a warning and goes on: the files have the
    rows, and the check ``no_skew`` finds what lacks.

    Args:
        url: returns the address of Redis; None if there is none.
    """

    def __init__(self, url: Callable[[], str | None]) -> None:
        self._url = url

    def write(self, rows: Sequence[tuple[LatestRow, timedelta]]) -> None:
        """Writes rows, each with how long it is kept; a newer row of a symbol is not replaced."""
        try:
            with self._client() as client:
                if client is not None:
                    write_latest(client, rows)
        except StoreError as error:
            _log.warning("The latest features of %d symbols are not in Redis: %s", len(rows), error)

    def read(self, symbols: Sequence[str]) -> dict[str, LatestRow] | None:
        """The rows of some symbols; those without one are left out. None without a Redis.

        Raises:
            StoreUnavailable: if Redis does not answer.
            StoreError: if a hash is not one of features.
        """
        with self._client() as client:
            return None if client is None else read_latest(client, symbols)

    @contextmanager
    def _client(self) -> Iterator[Redis | None]:
        from redis import Redis

        url = self._url()
        if url is None:
            yield None
            return
        with Redis.from_url(url, decode_responses=True, socket_timeout=5) as client:
            yield client


def write_latest(client: Redis, rows: Sequence[tuple[LatestRow, timedelta]]) -> None:
    """Writes rows in one round trip, each with how long it is kept: each row whole, or not if a newer one is there.

    Raises:
        StoreUnavailable: if Redis does not answer.
        StoreFull: if it has no memory or disk space left.
    """
    script = client.register_script(_WRITE)
    with redis_errors(), client.pipeline(transaction=False) as pipeline:
        for row, kept in rows:
            fields = {
                "time": rfc3339(row.time),
                "timeframe": row.timeframe.value,
                "available_at": rfc3339(row.available_at),
                **{name: _text(value) for name, value in row.values.items()},
            }
            flat = [part for field in fields.items() for part in field]
            arguments: list[str | int] = [fields["available_at"], max(1, int(kept.total_seconds())), *flat]
            script([_key(row.symbol)], arguments, client=pipeline)
        pipeline.execute()


def read_latest(client: Redis, symbols: Sequence[str]) -> dict[str, LatestRow]:
    """The rows of some symbols in one round trip; symbols without one are left out.

    Raises:
        StoreUnavailable: if Redis does not answer.
        StoreError: if a hash is not one of features.
    """
    with redis_errors(), client.pipeline(transaction=False) as pipeline:
        for symbol in symbols:
            pipeline.hgetall(_key(symbol))
        found = pipeline.execute()
    return {symbol: _row(symbol, fields) for symbol, fields in zip(symbols, found, strict=True) if fields}


def stored_symbols(client: Redis) -> list[str]:
    """The symbols with a row, in order."""
    with redis_errors():
        return sorted(str(key).removeprefix("features:") for key in client.scan_iter("features:*", count=1000))


def _key(symbol: str) -> str:
    return f"features:{check_symbol(symbol)}"


def _text(value: Value) -> str:
    return _TRUTH[value] if isinstance(value, bool) else repr(value)


def _value(text: str) -> Value:
    truths: dict[str, Value] = {name: value for value, name in _TRUTH.items()}
    if text in truths:
        return truths[text]
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _row(symbol: str, fields: Mapping[str, str]) -> LatestRow:
    try:
        return LatestRow(
            symbol,
            Timeframe(fields["timeframe"]),
            datetime.fromisoformat(fields["time"]),
            datetime.fromisoformat(fields["available_at"]),
            {name: _value(text) for name, text in fields.items() if name not in _KEYS},
        )
    except (KeyError, ValueError) as error:
        raise StoreError(
            f"The key features:{symbol} of Redis has no features.",
            expected=f"the fields {', '.join(_KEYS)}, and a number for each feature",
            received=f"{type(error).__name__}: {error}",
            remedy="delete the key; the next run that computes features writes it again",
        ) from None
