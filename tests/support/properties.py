"""How many examples a property is tried with: a quarter in `make test`, all of them in `make test-all`."""

from __future__ import annotations

import os

THOROUGH = os.environ.get("TEST_THOROUGH") == "1"
"""Set by `make test-all` for its own part."""

USUAL = 100
"""Examples of a property that names no number."""


def examples(number: int) -> int:
    """The examples of a property in this run, of the number that it is tried with in full."""
    return number if THOROUGH else max(10, number // 4)
