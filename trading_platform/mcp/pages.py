"""Pages of an answer: where one begins, and the cursor of the next.

A cursor carries the time of the first page, so that all pages are of one state, whatever is stored meanwhile; and a
checksum of the arguments, so that it does not continue another question.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown

MOST_ROWS = 1_000
"""Rows of a page at most; the size of the text limits them as well."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_CURSOR = 200


@dataclass(frozen=True)
class Page:
    """One page of an answer.

    Attributes:
        as_of: the time of the answer, UTC: now, the one asked for, or that of the first page.
        continued: whether it is not the first page.
        offset: rows before it.
        limit: rows at most.
        request: checksum of the arguments.
    """

    as_of: datetime
    continued: bool
    offset: int
    limit: int
    request: str

    def after(self, rows: int) -> str:
        """The cursor of the page after this one, which has ``rows`` rows."""
        content = [self.offset + rows, (self.as_of - _EPOCH) // _MICROSECOND, self.request]
        return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")


def page_of(
    cursor: str | None, limit: int, arguments: Mapping[str, object], as_of: datetime | None, now: datetime
) -> Page:
    """The page that a call asks for.

    Args:
        cursor: the cursor of the page before; None for the first page.
        limit: rows at most.
        arguments: the arguments but cursor and limit.
        as_of: the time that was asked for; None means now.
        now: the present time.

    Raises:
        InvalidRequest: for a cursor that is none, or of other arguments; a limit out of range; a time to come.
    """
    if isinstance(limit, bool) or not 1 <= limit <= MOST_ROWS:
        raise InvalidRequest(
            "This number of rows cannot be given.",
            expected=f"a limit from 1 to {MOST_ROWS}",
            received=shown(limit),
            remedy="take a smaller limit, and the cursor for more",
        )
    if as_of is not None and as_of > now:
        raise InvalidRequest(
            "What will be known later is not known.",
            expected=f"an as_of not after now, {now:%Y-%m-%dT%H:%M:%SZ}",
            received=f"{as_of:%Y-%m-%dT%H:%M:%SZ}",
            remedy="leave as_of out to read as of now",
        )
    request = hashlib.sha256(json.dumps(arguments, sort_keys=True, default=str).encode()).hexdigest()[:12]
    if cursor is None:
        return Page(as_of or now, continued=False, offset=0, limit=limit, request=request)
    offset, microseconds, own = _content(cursor)
    if own != request:
        raise _no_cursor("a cursor of other arguments", cursor)
    begun = _EPOCH + microseconds * _MICROSECOND
    if begun > now:
        raise _no_cursor("a cursor of a later time", cursor)
    return Page(begun, continued=True, offset=offset, limit=limit, request=request)


def _content(cursor: str) -> tuple[int, int, str]:
    if len(cursor) > _LONGEST_CURSOR:
        raise _no_cursor(f"a text of {len(cursor)} characters", cursor)
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise _no_cursor("a text that is no cursor", cursor) from None
    match found:
        case [int(offset), int(microseconds), str(request)] if 0 <= offset < 1 << 40 and 0 <= microseconds < 1 << 53:
            return offset, microseconds, request
    raise _no_cursor("a text that is no cursor", cursor)


def _no_cursor(received: str, cursor: str) -> InvalidRequest:
    return InvalidRequest(
        "This cursor does not continue this call.",
        expected="the next_cursor of the page before, with the same arguments",
        received=f"{received}, {shown(cursor)}",
        remedy="call again without a cursor for the first page",
    )
