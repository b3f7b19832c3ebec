"""How commands read what several of them take: symbols in any case, ends as spans or times, who and why."""

from __future__ import annotations

import getpass
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

import typer

from trading_platform.domain.time import parse_timestamp

_Text = TypeVar("_Text", str, list[str], None)

Because = Annotated[str, typer.Option("--because", help="The reason, kept with it.")]
By = Annotated[str | None, typer.Option("--by", help="Who you are. Default: the user of this machine.")]

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def in_capitals(value: _Text) -> _Text:
    """A symbol, or each of several, in the platform's spelling, which has capitals only."""
    if isinstance(value, list):
        return [text.upper() for text in value]
    return value.upper() if isinstance(value, str) else value


def end_of(text: str, now: datetime) -> datetime:
    """The end that a span from now (``30m``, ``4h``, ``2d``) or a time means.

    Raises:
        InvalidRequest: if it is neither.
    """
    number, unit = text[:-1], text[-1:]
    if number.isascii() and number.isdigit() and unit in _UNITS and len(number) < 6:  # noqa: PLR2004 - centuries
        return now + timedelta(**{_UNITS[unit]: int(number)})
    return parse_timestamp(text)


def this_user() -> str:
    """The user of this machine, for whoever does not say who they are."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
