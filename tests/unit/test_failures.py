"""Our failures as Dagster's: what may be tried again, and what a person reads."""

from __future__ import annotations

import pytest
from dagster import Failure
from dagster._core.errors import DagsterExecutionInterruptedError

from trading_platform.domain.errors import (
    ConfigurationError,
    InvalidRequest,
    MalformedPayload,
    QualityError,
    RateLimited,
    SourceRejected,
    SourceUnavailable,
    StoreError,
    StoreFull,
    StoreUnavailable,
    TradingPlatformError,
)
from trading_platform.failures import STEP_RETRIES, as_failure, as_failures, dagster_failures

RETRYABLE = [SourceUnavailable, RateLimited, StoreUnavailable]
FINAL = [
    InvalidRequest,
    ConfigurationError,
    SourceRejected,
    MalformedPayload,
    StoreError,
    StoreFull,
    QualityError,
    TradingPlatformError,
]


@pytest.mark.parametrize("kind", RETRYABLE)
def test_what_can_pass_by_itself_is_tried_again(kind: type[TradingPlatformError]) -> None:
    assert as_failure(kind("gone")).allow_retries
    assert str(kind("gone")).endswith("Trying again can help.")


@pytest.mark.parametrize("kind", FINAL)
def test_what_cannot_is_not(kind: type[TradingPlatformError]) -> None:
    assert not as_failure(kind("wrong")).allow_retries
    assert str(kind("wrong")).endswith("Trying again will not help.")


def test_an_error_may_know_better_than_its_class() -> None:
    assert as_failure(StoreError("locked", retryable=True)).allow_retries
    assert not as_failure(StoreUnavailable("dismissed", retryable=False)).allow_retries


def test_a_failure_carries_every_part_of_the_error() -> None:
    error = InvalidRequest("No such thing.", expected="a thing", received="a thong", remedy="spell it right")
    failure = as_failure(error)
    assert failure.description == (
        "No such thing. Expected: a thing. Received: a thong. To do: spell it right. Trying again will not help."
    )
    assert {key: value.value for key, value in failure.metadata.items()} == {
        "error": "InvalidRequest",
        "message": "No such thing.",
        "expected": "a thing",
        "received": "a thong",
        "remedy": "spell it right",
        "retryable": "False",
    }


def test_a_run_of_several_symbols_names_those_that_failed_and_says_what_stays() -> None:
    errors = [("BADUSD", SourceRejected("Unknown pair.")), ("BTCUSD", SourceUnavailable("No answer."))]
    failure = as_failures(errors, kept=7)
    assert failure.description is not None
    assert "2 symbols failed (BADUSD, BTCUSD); 7 partitions are stored" in failure.description
    assert "Unknown pair." in failure.description
    assert not failure.allow_retries, "sources try again by themselves"
    assert "**BTCUSD**: No answer." in str(failure.metadata["failed"].value)


@pytest.mark.parametrize("kind", [*RETRYABLE, *FINAL])
def test_a_step_fails_in_dagster_s_way(kind: type[TradingPlatformError]) -> None:
    with pytest.raises(Failure) as caught, dagster_failures():
        raise kind("Something happened.")
    assert caught.value.allow_retries == (kind in RETRYABLE)
    assert isinstance(caught.value.__cause__, kind)


def test_retries_are_bounded() -> None:
    assert 0 < STEP_RETRIES.max_retries <= 5
    assert STEP_RETRIES.delay is not None
    assert STEP_RETRIES.delay * 2**STEP_RETRIES.max_retries < 60


def test_an_interrupted_step_is_not_tried_again() -> None:
    with pytest.raises(Failure) as caught, dagster_failures():
        raise DagsterExecutionInterruptedError
    assert not caught.value.allow_retries
    assert "interrupted" in str(caught.value.description)
