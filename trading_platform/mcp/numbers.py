"""Decimals as models write them: as text, or as a number of JSON where it is certain which decimal was meant."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator

_CERTAIN = 15
"""Digits of a decimal that a float of 64 bits gives back."""


def _as_text(value: object) -> object:
    """A number as its decimal; what is no number, and a float that stands for many decimals, as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**_CERTAIN else value
    if isinstance(value, float) and math.isfinite(value):
        decimal = Decimal(repr(value))
        return format(decimal, "f") if len(decimal.normalize().as_tuple().digits) <= _CERTAIN else value
    return value


Decimals = Annotated[str, BeforeValidator(_as_text)]
"""A decimal as text. The listing names only text, which loses no digit."""
