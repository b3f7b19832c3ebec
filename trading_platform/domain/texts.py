"""Texts and values of unknown origin: which of them can be stored, and how they are shown in messages.

Python's texts can hold lone surrogates, which no UTF-8 can; PostgreSQL's cannot hold NUL. A vendor, a file name or a
caller can bring both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

_SHOWN = 200
_LARGEST_BITS = 1024  # as far as floats reach; Python does not read numbers of more than 4,300 digits
_DEEPEST = 100  # levels of JSON: readers of JSON end with an error at some hundreds, and the database rejects more


def is_storable(text: str) -> bool:
    """Whether a text can be written as UTF-8 and stored by PostgreSQL."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def storable(text: str) -> str:
    """A text with escapes for what cannot be stored: lone surrogates and NUL."""
    if is_storable(text):
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def shown(value: object) -> str:
    """The beginning of a value's repr, for messages; it never fails and is short."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - an integer of too many digits, or a repr of somebody else
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def fault_in_json(value: object, level: int = 0) -> str | None:
    """What of a value of objects, lists and plain values cannot be stored as JSON, in words; None if all can."""
    if level >= _DEEPEST:
        return f"it is nested more than {_DEEPEST} levels deep"
    if isinstance(value, str):
        return None if is_storable(value) else f"{shown(value)} has a lone surrogate or a NUL"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is no finite number"
    if isinstance(value, int):
        return None if value.bit_length() <= _LARGEST_BITS else "a number has more digits than can be read back"
    parts: list[object] = []
    if isinstance(value, Mapping):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        parts = list(value)
    return next((fault for part in parts if (fault := fault_in_json(part, level + 1)) is not None), None)
