"""Rows of the small tables as dataclasses, and validation of their input with errors that name the field.

Used by the ledger, audit and configuration stores; bars and indicators are read as frames
(:mod:`trading_platform.stores.postgres.database`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, get_type_hints
from uuid import UUID

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.texts import fault_in_json, is_storable, shown
from trading_platform.domain.time import in_utc
from trading_platform.stores.postgres.database import driver

if TYPE_CHECKING:
    from dataclasses import Field

    from psycopg import Cursor
    from sqlalchemy import Connection


_LARGEST_COUNT = 2**31 - 1
_NOT_IN_FUTURE = "not_in_future"  # what the triggers of migration 0013 name as their constraint
_UNREADABLE = (ValueError, OverflowError, RecursionError)  # of values that Python cannot hold, and JSON

_log = logging.getLogger(__name__)


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_Record = TypeVar("_Record", bound=_Dataclass)
_Choice = TypeVar("_Choice", bound=StrEnum)


def fetch(
    connection: Connection, record: type[_Record], statement: str, parameters: Mapping[str, Any] | None = None
) -> list[_Record]:
    """Runs a statement; returns its rows as dataclasses with the same field names, enums converted.

    Raises:
        StoreError: if a row cannot be read, because what is computed from the others would be wrong.
    """
    import psycopg

    with driver(connection).cursor() as cursor:
        cursor.execute(statement.encode(), parameters)
        try:
            return _built(record, cursor)
        except (psycopg.DataError, *_UNREADABLE) as error:
            raise StoreError(
                "A stored row cannot be read.",
                expected=f"the columns of a {record.__name__}, with times from the year 1 to the year 9999",
                received=str(error),
                remedy="`trading-platform doctor` names the table",
            ) from error


def fetch_readable(
    connection: Connection, record: type[_Record], statement: str, parameters: Mapping[str, Any] | None = None
) -> list[_Record]:
    """As :func:`fetch`, for lists that are only shown: a row that cannot be read is left out, with a warning.

    Tables accept no such rows; those from before the migration 0013 are in its system events, and in ``doctor``.
    """
    import psycopg

    with driver(connection).cursor() as cursor:
        cursor.execute(statement.encode(), parameters)
        try:
            return _built(record, cursor)
        except (psycopg.DataError, *_UNREADABLE):
            readable: list[_Record] = []
            for place in range(cursor.rowcount):
                cursor.scroll(place, mode="absolute")
                try:
                    readable += _built(record, cursor, 1)
                except (psycopg.DataError, *_UNREADABLE) as error:
                    _log.warning("a stored %s cannot be read and is left out: %s", record.__name__, error)
            return readable


def _built(record: type[_Record], cursor: Cursor[Any], most: int | None = None) -> list[_Record]:
    columns = [column.name for column in cursor.description or ()]
    rows = cursor.fetchall() if most is None else cursor.fetchmany(most)
    return [_build(record, dict(zip(columns, row, strict=True))) for row in rows]


@contextmanager
def not_in_future(kind: type[InvalidRequest], timestamp: datetime | None) -> Iterator[None]:
    """Runs statements that the database rejects where a time is more than an hour ahead of its clock.

    Raises:
        InvalidRequest: of the given kind, if it is.
    """
    from psycopg.errors import CheckViolation

    try:
        yield
    except CheckViolation as error:
        if error.diag.constraint_name != _NOT_IN_FUTURE:
            raise
        raise kind(
            "The time is in the future.",
            expected="a time of at most an hour after the clock of the database's machine",
            received=f"{timestamp}: {error.diag.message_primary}",
            remedy="give the time with its right zone; if it is right, correct the clock of that machine and try again",
        ) from None


def _build(record: type[_Record], row: dict[str, Any]) -> _Record:
    enums = _enums(record)
    return record(**{name: enums[name](row[name]) if name in enums else row[name] for name in _names(record)})


@cache
def _names(record: type[_Dataclass]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))


@cache
def _enums(record: type[_Dataclass]) -> dict[str, type[StrEnum]]:
    hints = get_type_hints(record)
    return {name: kind for name, kind in hints.items() if isinstance(kind, type) and issubclass(kind, StrEnum)}


def choice(kind: type[_Choice], value: str, name: str) -> _Choice:
    """The member of an enum with this value.

    Raises:
        InvalidRequest: if there is none.
    """
    try:
        return kind(value)
    except (ValueError, TypeError):
        raise InvalidRequest(
            f"There is no {name} {shown(value)}.",
            expected=f"one of {', '.join(kind)}",
            received=shown(value),
            remedy="choose one of the listed values",
        ) from None


def checked_text(value: str, name: str, limit: int | None = None) -> str:
    """Validates a text for a column.

    Raises:
        InvalidRequest: if it is no text, empty, longer than ``limit``, or contains a NUL or a lone surrogate.
    """
    is_text = isinstance(value, str)
    if not is_text or not value or (limit is not None and len(value) > limit) or not is_storable(value):
        size = f"1 to {limit} characters" if limit else "at least one character"
        is_long = is_text and limit is not None and len(value) > limit
        raise InvalidRequest(
            f"The {name} cannot be stored.",
            expected=f"a text of {size}, none of them NUL or half of a surrogate pair",
            received=f"{len(value)} characters" if is_long else shown(value),
            remedy=f"give another {name}",
        )
    return value


def texts_of(values: Iterable[str], name: str) -> list[str]:
    """Several texts, as a list.

    Raises:
        InvalidRequest: if it is something else, a single text included.
    """
    try:
        texts = [] if isinstance(values, str | bytes) else list(values)
        is_usable = not isinstance(values, str | bytes) and all(isinstance(each, str) for each in texts)
    except TypeError:
        is_usable = False
    if not is_usable:
        raise InvalidRequest(
            f"These {name} cannot be used.",
            expected="a list of texts",
            received=shown(values),
            remedy=f"give the {name} as a list",
        )
    return texts


def checked_id(value: UUID | str, name: str) -> UUID:
    """An id, given as such or as its text.

    Raises:
        InvalidRequest: if it is neither.
    """
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidRequest(
            f"This is no {name}.",
            expected="a UUID, or its text",
            received=shown(value),
            remedy=f"give the {name} as it was returned",
        ) from None


def checked_count(value: int, name: str) -> int:
    """A number of things, from 0 on, that fits a column of integers.

    Raises:
        InvalidRequest: if it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_COUNT:
        raise InvalidRequest(
            f"This {name} cannot be used.",
            expected=f"a whole number from 0 to {_LARGEST_COUNT}",
            received=shown(value),
            remedy=f"give another {name}",
        )
    return value


def checked_time(value: datetime, name: str) -> datetime:
    """A timestamp converted to UTC.

    Raises:
        InvalidRequest: if it is none, has no time zone, or is outside of the calendar in UTC.
    """
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidRequest(
            f"The {name} has no time zone." if isinstance(value, datetime) else f"The {name} is no time.",
            expected="an aware datetime",
            received=value.isoformat() if isinstance(value, datetime) else shown(value),
            remedy="give the time with its zone: datetime(…, tzinfo=UTC)",
        )
    return in_utc(value, name)


def json_object(value: Mapping[str, Any], name: str) -> str:
    """JSON for a JSONB column of objects; see :func:`json_text`.

    Raises:
        InvalidRequest: if it is no mapping, or a value cannot be written as JSON.
    """
    if not isinstance(value, Mapping):
        raise InvalidRequest(
            f"The {name} cannot be stored.",
            expected="a mapping with texts as keys",
            received=shown(value),
            remedy="give a dictionary",
        )
    return json_text(dict(value), name)


def json_text(value: object, name: str) -> str:
    """JSON for a JSONB column, with decimals, ids and times as text, so that no digit is lost.

    Raises:
        InvalidRequest: if a value cannot be written as JSON, such as NaN and infinity, or cannot be stored.
    """
    try:
        fault = fault_in_json(value)
        text = json.dumps(value, default=_plain, allow_nan=False) if fault is None else ""
    except (TypeError, ValueError, RecursionError) as error:
        fault = str(error)
    if fault is not None:
        raise InvalidRequest(
            f"The {name} cannot be written as JSON.",
            expected="objects, lists, texts, finite numbers, decimals, times, true, false and null",
            received=fault,
            remedy="replace such values, a missing value by None",
        )
    return text


def _plain(value: object) -> str:
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, datetime):
        return checked_time(value, "time").isoformat()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
