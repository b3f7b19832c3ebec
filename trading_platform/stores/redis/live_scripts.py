"""The calls to Redis, one round trip each, as Lua scripts with their arguments.

:class:`~trading_platform.stores.redis.live.LiveStore` runs them.

Redis runs each script atomically: state, stream and channel change together or not at all. A batch of quotes is sent
as one text that the script parses, at a fifth of the cost of passing each value to redis-py
(docs/decisions/0020-message-sequence-numbers.md). Each channel has an epoch, which every message contains: it changes
when the server has been restarted or emptied, after which it may number messages again that it has numbered before
(docs/decisions/0045-messages-have-an-epoch.md). The scripts build keys from this text, so a Redis Cluster, which
must know the keys in advance, cannot run them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, TypeVar

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.money import plain_text
from trading_platform.domain.time import rfc3339

QUOTE_SECONDS = 60
SIGNAL_SECONDS = 300
REGIME_SECONDS = 60
PUBLISHED_SECONDS = 600
"""How long Redis remembers a publication, for senders that did not receive the response."""

KEPT = 100_000
"""Default of the approximate number of entries that each stream keeps."""

QUOTES = "quotes"
QUOTES_SEQ = "quotes:seq"
"""Key of the number of the last message on the channel ``quotes``."""

SIGNALS, ALERTS, REGIME = "signals", "alerts", "regime"
FIELD = "message"
"""The field of a stream entry with the message."""

CURRENT_REGIME = "regime:current"
SESSION = "session:state"

_Response = TypeVar("_Response")


@dataclass(frozen=True, slots=True)
class Call(Generic[_Response]):
    """One round trip.

    Attributes:
        script: the script, in Lua.
        keys: its keys.
        arguments: its arguments.
        read: converts the response of Redis to the result.
    """

    script: str
    keys: Sequence[str]
    arguments: Sequence[str | int]
    read: Callable[[Any], _Response]


EPOCH = """
local function epoch_of(channel, is_new)
    local key = 'epoch:' .. channel
    local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
    local known = redis.call('HMGET', key, 'epoch', 'run')
    if known[1] and known[2] == run and not is_new then return known[1] end
    local now = redis.call('TIME')
    local epoch = string.sub(redis.sha1hex(run .. channel .. now[1] .. '.' .. now[2]), 1, 12)
    redis.call('HSET', key, 'epoch', epoch, 'run', run)
    return epoch
end
"""
"""The epoch of a channel; a new one if the server was restarted or emptied since the last message, or ``is_new``."""

_MESSAGE = (
    EPOCH
    + """
local function message(ts, seq, epoch, payload)
    return '{"v":2,"epoch":"' .. epoch .. '","ts":"' .. ts .. '","seq":' .. string.format('%d', seq)
        .. ',"payload":' .. payload .. '}'
end
"""
)

_PUBLISH = (
    _MESSAGE
    + """
local function last(stream)
    if redis.call('EXISTS', stream) == 0 then return 0 end
    local info = redis.call('XINFO', 'STREAM', stream)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then return tonumber(string.match(info[i + 1], '^%d+')) end
    end
end
local function publish(stream, publication, kept, ts, payload)
    local seq = last(stream) + 1
    local epoch = epoch_of(stream, seq == 1)
    local text = message(ts, seq, epoch, payload)
    redis.call('XADD', stream, 'MAXLEN', '~', kept, string.format('%d-0', seq), 'message', text)
    redis.call('PUBLISH', stream, text)
    redis.call('SET', publication, seq, 'EX', 600)
    return seq, epoch
end
"""
)

_WRITE_QUOTES = (
    _MESSAGE
    + """
local function text(value)
    if value and value ~= '' then return '"' .. value .. '"' end
    return 'null'
end
local seq = tonumber(redis.call('GET', KEYS[1]) or '0')
local first = seq
local epoch = epoch_of(ARGV[3], seq == 0)
local line = '([^,]*),([^,]*),([^,]*),([^,]*),([^,]*),([^;]*);'
for symbol, bid, ask, last, volume, time in string.gmatch(ARGV[1], line) do
    local key = 'quote:' .. symbol
    local whole = bid ~= '' and ask ~= '' and last ~= '' and volume ~= ''
    local there
    if whole then there = redis.call('HGET', key, 'timestamp')
    else
        local old = redis.call('HMGET', key, 'bid', 'ask', 'last', 'volume', 'timestamp')
        if bid == '' then bid = old[1] end
        if ask == '' then ask = old[2] end
        if last == '' then last = old[3] end
        if volume == '' then volume = old[4] end
        there = old[5]
    end
    if not there or there <= time then
        if whole then
            redis.call('HSET', key, 'bid', bid, 'ask', ask, 'last', last, 'volume', volume, 'timestamp', time)
        else
            local fields = {'timestamp', time}
            local function add(name, value)
                if value then fields[#fields + 1] = name; fields[#fields + 1] = value end
            end
            add('bid', bid); add('ask', ask); add('last', last); add('volume', volume)
            redis.call('HSET', key, unpack(fields))
        end
        redis.call('EXPIRE', key, ARGV[2])
        seq = seq + 1
        redis.call('PUBLISH', ARGV[3], message(time, seq, epoch, '{"symbol":"' .. symbol .. '","bid":' .. text(bid)
            .. ',"ask":' .. text(ask) .. ',"last":' .. text(last) .. ',"volume":' .. text(volume) .. '}'))
    end
end
if seq > first then redis.call('SET', KEYS[1], string.format('%d', seq)) end
return seq - first
"""
)

_READ_QUOTES = """
local keys = KEYS
if #keys == 0 then keys = redis.call('KEYS', 'quote:*') end
local found = {}
for _, key in ipairs(keys) do
    local values = redis.call('HMGET', key, 'bid', 'ask', 'last', 'volume', 'timestamp')
    if values[5] then
        table.insert(values, 1, string.sub(key, 7))
        found[#found + 1] = values
    end
end
return found
"""

_PUBLISH_STATE = (
    _PUBLISH
    + """
local there = redis.call('GET', KEYS[2])
if there then return tonumber(there) end
local seq, epoch = publish(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
if KEYS[3] then
    redis.call('DEL', KEYS[3])
    redis.call('HSET', KEYS[3], 'seq', seq, 'epoch', epoch, unpack(ARGV, 5))
    redis.call('EXPIRE', KEYS[3], ARGV[4])
end
return seq
"""
)

_SET_REGIME = (
    _PUBLISH
    + """
redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[4])
if redis.call('EXISTS', KEYS[2]) == 1 then return 1 end
local previous = 'null'
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if newest then
    local regime = cjson.decode(newest[2][2]).payload.regime
    if regime == ARGV[3] then return 0 end
    previous = '"' .. regime .. '"'
end
publish(KEYS[1], KEYS[2], ARGV[1], ARGV[2], '{"regime":"' .. ARGV[3] .. '","previous":' .. previous .. '}')
return 1
"""
)

_SET_CIRCUIT = (
    _PUBLISH
    + """
if redis.call('EXISTS', KEYS[2]) == 1 then return 1 end
local before = redis.call('GET', KEYS[3])
if before == ARGV[4] then return 0 end
redis.call('SET', KEYS[3], ARGV[4])
if not before and ARGV[4] == 'closed' then return 0 end
publish(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
return 1
"""
)

_GET_CIRCUITS = """
local found = {}
for _, key in ipairs(redis.call('KEYS', 'circuit:*')) do
    found[#found + 1] = string.sub(key, 9)
    found[#found + 1] = redis.call('GET', key)
end
return found
"""

_WRITE_POSITIONS = """
local positions = cjson.decode(ARGV[1])
if ARGV[2] == 'all' then
    for _, key in ipairs(redis.call('KEYS', 'position:*')) do
        if not positions[string.sub(key, 10)] then redis.call('DEL', key) end
    end
end
for symbol, columns in pairs(positions) do
    redis.call('DEL', 'position:' .. symbol)
    if #columns > 0 then redis.call('HSET', 'position:' .. symbol, unpack(columns)) end
end
return 0
"""

_GET = "return redis.call('GET', KEYS[1])"
_GET_HASH = "return redis.call('HGETALL', KEYS[1])"
_SET_HASH = "return redis.call('HSET', KEYS[1], unpack(ARGV))"

_checked_symbol = lru_cache(maxsize=100_000)(check_symbol)


def write_quotes(quotes: Iterable[Quote]) -> Call[int]:
    """Writes and publishes quotes, in their order; returns how many were not older than the stored ones.

    Raises:
        InvalidRequest: if a quote is invalid; none is written then.
    """
    return Call(_WRITE_QUOTES, [QUOTES_SEQ], ["".join(map(_line, quotes)), QUOTE_SECONDS, QUOTES], int)


def _line(quote: Quote) -> str:
    prices = f"{_number(quote.bid)},{_number(quote.ask)},{_number(quote.last)},{_number(quote.volume)}"
    return f"{_checked_symbol(quote.symbol)},{prices},{rfc3339(quote.time)};"


def _number(value: Decimal | None) -> str:
    if value is None:
        return ""
    text = str(value)
    if "E" not in text and text[-1].isdecimal():
        return text  # the usual case, five times as fast
    if not value.is_finite():
        raise InvalidRequest("A value of a quote is not a number.", expected="a finite number", received=str(value))
    return plain_text(value)


def read_quotes(symbols: Sequence[str] | None) -> Call[dict[str, Quote]]:
    """Reads the quotes of these symbols, or of all; symbols without a quote are left out."""
    keys = [] if symbols is None else [f"quote:{check_symbol(symbol)}" for symbol in symbols]
    return Call(_READ_QUOTES, keys, [], lambda rows: {row[0]: _quote(row) for row in sorted(rows)})


def _quote(row: Sequence[str | None]) -> Quote:
    symbol, *numbers, time = row
    bid, ask, last, volume = (None if number is None else Decimal(number) for number in numbers)
    return Quote(str(symbol), datetime.fromisoformat(str(time)), bid, ask, last, volume)


def publish_signal(
    publication: str, ts: datetime, payload: str, strategy: str, symbol: str, fields: Mapping[str, str], kept: int
) -> Call[int]:
    """Publishes a signal and writes its hash; returns its number."""
    pairs = [part for pair in fields.items() for part in pair]
    keys = [SIGNALS, f"told:{publication}", _signal_key(strategy, symbol)]
    return Call(_PUBLISH_STATE, keys, [kept, rfc3339(ts), payload, SIGNAL_SECONDS, *pairs], int)


def read_signal(strategy: str, symbol: str) -> Call[dict[str, str]]:
    """Reads the hash of a strategy's last signal; empty if there was none within five minutes."""
    return Call(_GET_HASH, [_signal_key(strategy, symbol)], [], _mapping)


def _signal_key(strategy: str, symbol: str) -> str:
    return f"signal:{strategy}:{check_symbol(symbol)}"


def publish_alert(publication: str, ts: datetime, payload: str, kept: int) -> Call[int]:
    """Publishes an alert; returns its number."""
    return Call(_PUBLISH_STATE, [ALERTS, f"told:{publication}"], [kept, rfc3339(ts), payload], int)


def set_regime(publication: str, ts: datetime, regime: str, kept: int) -> Call[bool]:
    """Stores the regime and publishes it if it differs from the last published one; returns whether it did."""
    keys = [REGIME, f"told:{publication}", CURRENT_REGIME]
    return Call(_SET_REGIME, keys, [kept, rfc3339(ts), regime, REGIME_SECONDS], bool)


def read_regime() -> Call[str | None]:
    """Reads the regime stored within the last minute."""
    return Call(_GET, [CURRENT_REGIME], [], _optional)


def set_circuit(publication: str, ts: datetime, component: str, state: str, payload: str, kept: int) -> Call[bool]:
    """Stores the state of a circuit breaker and publishes the alert if it changed; returns whether it changed."""
    keys = [ALERTS, f"told:{publication}", f"circuit:{component}"]
    return Call(_SET_CIRCUIT, keys, [kept, rfc3339(ts), payload, state], bool)


def read_circuit(component: str) -> Call[str | None]:
    """Reads the state of a circuit breaker; None if the component has none."""
    return Call(_GET, [f"circuit:{component}"], [], _optional)


def read_circuits() -> Call[dict[str, str]]:
    """Reads the state of each circuit breaker, by its component."""
    return Call(_GET_CIRCUITS, [], [], _mapping)


def write_positions(positions: Mapping[str, Mapping[str, str]], *, whole: bool) -> Call[None]:
    """Writes positions by symbol; deletes those without columns and, if these are all positions, all others."""
    flat = {symbol: [part for pair in columns.items() for part in pair] for symbol, columns in positions.items()}
    return Call(_WRITE_POSITIONS, [], [json.dumps(flat), "all" if whole else "some"], lambda _: None)


def write_session(fields: Mapping[str, str]) -> Call[None]:
    """Sets fields of the session's state; other fields stay."""
    return Call(_SET_HASH, [SESSION], [part for pair in fields.items() for part in pair], lambda _: None)


def read_session() -> Call[dict[str, str]]:
    """Reads the session's state."""
    return Call(_GET_HASH, [SESSION], [], _mapping)


def _mapping(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _optional(value: str | None) -> str | None:
    return value
