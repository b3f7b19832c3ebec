"""Contents that no vendor should send: mangled bytes, altered JSON, and whatever Hypothesis thinks of."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import strategies as st

TOKENS = (
    b"null", b"-", b"9" * 30, b"9" * 5_000, b"1e400", b"1e99999999999999999999", b"1e999999", b"1e-99999999", b"-1",
    b'"', b"{", b"}", b"[[", b"[" * 3_000, b"\x00", b"NaN", b"-Infinity", b'"\\ud800"', b"\\udfff", b"\\u0000", b"\xff",
    b"\xed\xa0\x80", b"\r\nforged", b"true", b"[]", b"{}", b'""', b"1.5", b"9223372036854775808", b'"9e999999"', b"\\",
    b'"9999-12-31T23:59:59.999999Z"', b'"0001-01-01T00:00:00-14:00"', b"253402300799.999999999", b'"\xc2\xb2"',
)  # fmt: skip
"""What breaks parsers: numbers too long, too large, too small; texts that are none; depth; ends of the calendar."""

_MARK = "@token {}@"


def mangled(content: bytes, chance: random.Random) -> bytes:
    """A content with some of its bytes changed, removed, repeated or replaced by tokens."""
    found = bytearray(content)
    for _ in range(chance.choice((0, 1, 1, 2, 5, 30))):
        at = chance.randrange(len(found) or 1)
        match chance.randrange(5):
            case 0:
                found[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                found[at : at + chance.randrange(20)] = b""
            case 2:
                found[at:at] = found[at : at + chance.randrange(50)]
            case 3:
                found[at:at] = chance.choice(TOKENS)
            case _:
                found[at:] = b""
    return bytes(found)


def altered(content: bytes, chance: random.Random) -> bytes:
    """A JSON content that stays JSON, except for tokens: some of its values are replaced, removed or exchanged."""
    value = json.loads(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        value = _altered(value, chance)
    return _with_tokens(json.dumps(value).encode())


def hostile(content: bytes, chance: random.Random) -> bytes:
    """One or the other."""
    return (mangled if chance.random() < 0.5 else altered)(content, chance)


def _altered(value: Any, chance: random.Random) -> Any:
    if not isinstance(value, dict | list) or not value or chance.random() < 0.15:
        return _MARK.format(chance.randrange(len(TOKENS)))
    key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    match chance.randrange(10):
        case 0:
            del value[key]
        case 1:
            other = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
            value[key], value[other] = value[other], value[key]
        case 2 if isinstance(value, list):
            value.insert(key, value[key])
        case _:
            value[key] = _altered(value[key], chance)
    return value


def _with_tokens(content: bytes) -> bytes:
    for number, token in enumerate(TOKENS):
        content = content.replace(f'"{_MARK.format(number)}"'.encode(), token)
    return content


_text = st.text(st.characters(exclude_categories=()), max_size=20)
_leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | _text
    | st.integers(0, len(TOKENS) - 1).map(_MARK.format)
)  # fmt: skip
json_values = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4), max_leaves=15
)
"""JSON values, with lone surrogates, NaN and tokens in them."""


def json_contents(names: list[str], likely: list[Any]) -> st.SearchStrategy[bytes]:
    """JSON contents with such names of fields and some likely values, or any bytes."""
    values = st.sampled_from(likely) | json_values
    rows = st.dictionaries(st.sampled_from(names), values, max_size=10)
    parts = values | rows | st.lists(rows | st.lists(values, max_size=9), max_size=3)
    whole = st.dictionaries(st.sampled_from(names), parts, max_size=8)
    return (whole | parts).map(lambda value: _with_tokens(json.dumps(value).encode())) | st.binary(max_size=60)
