"""Rows of the small tables as dataclasses, and validation of their input with errors that name the field.

Used by the ledger, audit and configuration stores; bars and indicators are read as frames
(:mod:`trading_platform.stores.postgres.database`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, get_type_hints
from uuid import UUID

from trading_platform.domain.errors import InvalidRequest
from trading_platform.stores.postgres.database import driver

if TYPE_CHECKING:
    from dataclasses import Field

    from sqlalchemy import Connection


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_Record = TypeVar("_Record", bound=_Dataclass)
_Choice = TypeVar("_Choice", bound=StrEnum)


def fetch(
    connection: Connection, record: type[_Record], statement: str, parameters: Mapping[str, Any] | None = None
) -> list[_Record]:
    """Runs a statement; returns its rows as dataclasses with the same field names, enums converted."""
    with driver(connection).cursor() as cursor:
        cursor.execute(statement.encode(), parameters)
        columns = [column.name for column in cursor.description or ()]
        return [_build(record, dict(zip(columns, row, strict=True))) for row in cursor]


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
    except ValueError:
        raise InvalidRequest(
            f"There is no {name} {value!r}.",
            expected=f"one of {', '.join(kind)}",
            received=repr(value),
            remedy="choose one of the listed values",
        ) from None


def checked_text(value: str, name: str, limit: int | None = None) -> str:
    """Validates a text for a column.

    Raises:
        InvalidRequest: if it is empty, longer than ``limit``, or contains a NUL character.
    """
    if not value or (limit is not None and len(value) > limit) or "\x00" in value:
        size = f"1 to {limit} characters" if limit else "at least one character"
        raise InvalidRequest(
            f"The {name} cannot be stored.",
            expected=f"{size}, none of them NUL",
            received=f"{len(value)} characters" if len(value) > (limit or 0) else repr(value),
            remedy=f"give another {name}",
        )
    return value


def checked_time(value: datetime, name: str) -> datetime:
    """A timestamp converted to UTC.

    Raises:
        InvalidRequest: if it has no time zone.
    """
    if value.tzinfo is None:
        raise InvalidRequest(
            f"The {name} has no time zone.",
            expected="an aware datetime",
            received=value.isoformat(),
            remedy="give the time with its zone: datetime(…, tzinfo=UTC)",
        )
    return value.astimezone(UTC)


def json_text(value: object, name: str) -> str:
    """JSON for a JSONB column, with decimals, ids and times as text, so that no digit is lost.

    Raises:
        InvalidRequest: if a value cannot be written as JSON, such as NaN and infinity.
    """
    try:
        text = json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"The {name} cannot be written as JSON.",
            expected="objects, lists, texts, finite numbers, decimals, times, true, false and null",
            received=str(error),
            remedy="replace such values, a missing value by None",
        ) from None
    if "\\u0000" in text:
        raise InvalidRequest(f"The {name} has a NUL character.", remedy="remove it; the database cannot store it")
    return text


def _plain(value: object) -> str:
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, datetime):
        return checked_time(value, "time").isoformat()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
