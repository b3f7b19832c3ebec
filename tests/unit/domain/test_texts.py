"""Texts of unknown origin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import fault_in_json, is_storable, shown, storable

any_text = st.text(st.characters(exclude_categories=()))


@given(any_text)
def test_every_text_can_be_made_storable_and_storable_ones_stay(text: str) -> None:
    assert is_storable(storable(text))
    assert (storable(text) == text) == is_storable(text)


@given(any_text)
def test_every_error_can_be_printed(text: str) -> None:
    error = InvalidRequest(text, expected=text, received=text, remedy=text)
    str(error).encode()
    assert "\0" not in str(error)


def test_a_long_error_is_cut() -> None:
    assert len(str(InvalidRequest("x" * 10**6))) < 5_000


def test_values_without_a_repr_are_shown() -> None:
    class Unwilling:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown(10**5000) == "a int"
    assert shown(Unwilling()) == "a Unwilling"
    assert len(shown("x" * 1000)) == 200
    assert shown("\ud800") == "'\\ud800'"


def test_faults_of_json_are_found_at_any_depth() -> None:
    assert fault_in_json({"a": [1, "b", None, 1.5, {"c": (True,)}]}) is None
    for value in ("\ud800", "a\0", float("nan"), float("inf"), 10**400):
        assert fault_in_json({"a": [{"b": (value,)}]}) is not None
    assert fault_in_json({"\udfff": 1}) is not None
