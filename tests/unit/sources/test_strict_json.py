"""JSON of vendors: exact where it is usual, refused where nothing could be done with it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hostile_content import json_values
from hypothesis import given

from trading_platform.domain.texts import fault_in_json
from trading_platform.sources.strict_json import StrictDecoder, excerpt, number_of


def decoded(text: str) -> Any:
    return json.loads(text, cls=StrictDecoder)


def test_numbers_keep_their_digits() -> None:
    assert decoded("[105944.20, 1e-8, 163, 0.10000000000000000001]") == [
        Decimal("105944.20"), Decimal("1e-8"), 163, Decimal("0.10000000000000000001"),
    ]  # fmt: skip
    assert decoded('{"a": "\\ud83d\\ude00 \\\\ud800", "b": "é"}') == {"a": "\U0001f600 \\ud800", "b": "é"}


@pytest.mark.parametrize(
    "text",
    [
        "1e99999999999999999999", "1e401", "-1e-401", "1e999999", "9" * 101, "9" * 5_000, "0." + "1" * 100,
        "NaN", "Infinity", "-Infinity", '"\\ud800"', '{"\\udfff": 1}', '[{"a": ["\\uD800\\uD800"]}]', '"\\u0000"',
        "[" * 100_000, '{"a":' * 100_000, '"\ufffd"', "", "[1", "{'a': 1}",
    ],
)  # fmt: skip
def test_what_cannot_be_processed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decoded(text)


@given(json_values)
def test_whatever_is_decoded_can_be_shown_written_and_stored(value: Any) -> None:
    try:
        found = decoded(json.dumps(value))
    except ValueError:
        return
    assert fault_in_json(found) is None
    assert len(excerpt(found)) <= 200
    excerpt(found).encode()


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1.50", Decimal("1.50")), (3, Decimal(3)), (Decimal("2.5"), Decimal("2.5")), ("1e5", Decimal(100_000)),
        ("1e999999", None), ("1e101", None),
        ("NaN", None), ("sNaN", None), ("Infinity", None), (True, None), (None, None), ("²", None),
        ([1], None), (10**200, None), ("9" * 5_000, None), (1.5, None), ("", None),
    ],
)  # fmt: skip
def test_numbers_are_found_in_numbers_and_texts(value: object, number: Decimal | None) -> None:
    assert number_of(value) == number
