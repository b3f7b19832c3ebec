"""How much is tried in `make test`, of what `make test-all` tries in full: examples of properties, cases of tables."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

THOROUGH = os.environ.get("TEST_THOROUGH") == "1"
"""Set by `make test-all` for its own part."""

USUAL = 100
"""Examples of a property that names no number."""


def examples(number: int) -> int:
    """The examples of a property in this run, of the number that it is tried with in full."""
    return number if THOROUGH else max(10, number // 8)


def some_usual(cases: Iterable[Any], usual: int = 1) -> list[Any]:
    """The first cases are tried by `make test`, all others, which go the same way through the code, by `make test-all`.

    Args:
        cases: values of one parameter, or tuples of several.
        usual: how many of them `make test` tries.
    """
    given = list(cases)
    others = (case if isinstance(case, tuple) else (case,) for case in given[usual:])
    return given[:usual] + [pytest.param(*case, marks=pytest.mark.exhaustive) for case in others]
