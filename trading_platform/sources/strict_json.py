"""Parses JSON of a vendor: decimals exact, and nothing that the platform could not process or store afterwards.

Python's parser accepts more than JSON: texts that no UTF-8 can hold, numbers of any length, NaN. Such values would
fail later, in the arithmetic or in the database, where it is not known any more that a vendor sent them.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from reprlib import Repr
from typing import Any, NoReturn

from trading_platform.domain.texts import fault_in_json

LONGEST_NUMBER = 100
"""Characters of a number; nanoseconds since 1970 have 19 digits, the digits of a float at most 17 and zeros."""

LARGEST_EXPONENT = 400
"""Powers of ten of a number, up or down, as far as floats reach: a number written out has that many digits then."""

_LARGEST_AMOUNT = 100  # powers of ten that sums and products of amounts are exact with

_UNUSUAL = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
"""Escapes of surrogates and of NUL; what they stand for is looked at only where there are some."""

_ESCAPED, _REPLACED = "\\u", "\ufffd"


class StrictDecoder(json.JSONDecoder):
    """A decoder for ``json.loads(text, cls=StrictDecoder)``: numbers with a fraction or exponent become ``Decimal``.

    It ignores all options: libraries pass some of their own.
    """

    def __init__(self, **_options: object) -> None:
        super().__init__(parse_float=_decimal, parse_int=_integer, parse_constant=_no_number)

    def decode(self, text: str, *_: Any) -> Any:
        """The value of a JSON text.

        Raises:
            ValueError: if it is not JSON, not UTF-8 (bytes that are not were replaced by U+FFFD), nested too deeply,
                or holds a number or a text that cannot be processed.
        """
        if _REPLACED in text:
            raise ValueError("text that is not UTF-8")
        try:
            value = super().decode(text)
            if _ESCAPED in text and _UNUSUAL.search(text) and (fault := fault_in_json(value)) is not None:
                raise ValueError(fault)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        except InvalidOperation:
            raise ValueError("a number is too large") from None
        return value


def number_of(value: object) -> Decimal | None:
    """The number that a vendor sent as a number or as text; None if it is none, or too long or too large."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = _decimal(str(value))
    except (ValueError, InvalidOperation):
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= _LARGEST_AMOUNT else None


def excerpt(value: object) -> str:
    """The beginning of a value's repr, for messages; short whatever the value."""
    return _EXCERPT.repr(value)[:200]


_EXCERPT = Repr()
_EXCERPT.maxlevel = 3
_EXCERPT.maxstring = _EXCERPT.maxother = _EXCERPT.maxlong = 80


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if len(text) > LONGEST_NUMBER or abs(number.adjusted()) > LARGEST_EXPONENT:
        raise ValueError(f"the number {text[:40]} is too long or too large")
    return number


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"the number {text[:40]}… has {len(text)} digits")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
