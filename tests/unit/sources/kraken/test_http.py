"""Retries, and what Kraken's errors become."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trading_platform.domain.errors import (
    MalformedPayload,
    RateLimited,
    SourceError,
    SourceRejected,
    SourceUnavailable,
)
from trading_platform.sources.kraken.http import Retries, unwrap

NOW = datetime(2025, 11, 11, tzinfo=UTC)


class Time:
    """Remembers what was waited."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def failing(*errors: SourceError) -> tuple[list[int], object]:
    calls: list[int] = []
    left = list(errors)

    def request() -> str:
        calls.append(len(calls))
        if left:
            raise left.pop(0)
        return "answer"

    return calls, request


def test_waits_double_and_jitter_shortens_them() -> None:
    time = Time()
    calls, request = failing(*(SourceUnavailable("away") for _ in range(3)))
    assert Retries(first_wait=1.0, jitter=lambda: 0.5, sleep=time.sleep).call(request) == "answer"
    assert len(calls) == 4
    assert time.waits == [0.75, 1.5, 3.0]


def test_after_the_attempts_the_last_error_rises() -> None:
    time = Time()
    calls, request = failing(*(SourceUnavailable(f"away {number}") for number in range(9)))
    with pytest.raises(SourceUnavailable, match="away 2"):
        Retries(attempts=3, sleep=time.sleep).call(request)
    assert (len(calls), len(time.waits)) == (3, 2)


def test_what_cannot_help_is_not_tried() -> None:
    calls, request = failing(SourceRejected("no"))
    with pytest.raises(SourceRejected):
        Retries(sleep=Time().sleep).call(request)
    assert len(calls) == 1


def test_a_wait_asked_for_is_kept_and_a_too_long_one_raised_at_once() -> None:
    time = Time()
    _, request = failing(RateLimited("slow down", retry_after=20))
    assert Retries(sleep=time.sleep).call(request) == "answer"
    assert time.waits == [20]
    calls, request = failing(RateLimited("slow down", retry_after=3600))
    with pytest.raises(RateLimited):
        Retries(sleep=time.sleep).call(request)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("EAPI:Rate limit exceeded", RateLimited),
        ("EService:Throttled: 1762819230", RateLimited),
        ("EService: Throttled: 1762819230", RateLimited),
        ("EGeneral:Temporary lockout", RateLimited),
        ("EService:Unavailable", SourceUnavailable),
        ("EService:Busy", SourceUnavailable),
        ("EGeneral:Internal error", SourceUnavailable),
        ("EQuery:Unknown asset pair", SourceRejected),
        ("EGeneral:Invalid arguments", SourceRejected),
        ("EGeneral:Permission denied", SourceRejected),
    ],
)
def test_an_error_under_http_200_becomes_ours(message: str, kind: type[SourceError]) -> None:
    with pytest.raises(kind) as caught:
        unwrap("OHLC", {"error": [message], "result": {}}, lambda: NOW)
    assert type(caught.value) is kind
    assert message in str(caught.value)


def test_a_throttling_says_until_when() -> None:
    until = int(NOW.timestamp()) + 30
    with pytest.raises(RateLimited) as caught:
        unwrap("OHLC", {"error": [f"EService: Throttled: {until}"]}, lambda: NOW)
    assert caught.value.retry_after == 30


def test_a_warning_does_not_spoil_the_answer() -> None:
    assert unwrap("OHLC", {"error": ["WGeneral:Deprecated"], "result": {"a": 1}}) == {"a": 1}


@pytest.mark.parametrize("envelope", [None, [], {}, {"error": "x"}, {"error": []}, {"error": [], "result": []}])
def test_no_envelope_is_malformed(envelope: object) -> None:
    with pytest.raises(MalformedPayload):
        unwrap("OHLC", envelope)
