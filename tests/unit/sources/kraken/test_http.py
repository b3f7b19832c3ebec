"""Retries, and what Kraken's errors become."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import requests

from trading_platform.domain.errors import (
    MalformedPayload,
    RateLimited,
    SourceError,
    SourceRejected,
    SourceUnavailable,
)
from trading_platform.sources.kraken.http import Retries, envelope_of, parsed, unwrap

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


@pytest.mark.parametrize("until", ["9" * 400, "9" * 13, "soon", "²", "-5", "1.5", "1e9", "\u0661"])
def test_a_throttling_until_no_time_is_malformed_and_tried_again(until: str) -> None:
    with pytest.raises(MalformedPayload) as caught:
        unwrap("OHLC", {"error": [f"EService:Throttled: {until}"]}, lambda: NOW)
    assert caught.value.retryable


class Status(requests.Response):
    """A response with this status and header."""

    def __init__(self, status: int, name: str = "", value: str = "") -> None:
        super().__init__()
        self.status_code = status
        self.headers[name] = value


def with_status(response: Status) -> SourceError:
    def ask() -> object:
        raise requests.exceptions.HTTPError(response=response)

    with pytest.raises(SourceError) as caught:
        envelope_of("OHLC", ask, lambda: NOW)
    return caught.value


@pytest.mark.parametrize(
    ("stated", "wait"),
    [("7", 7), (" 120 ", 120), ("", None), ("Tue, 11 Nov 2025 00:00:30 GMT", 30), ("Mon, 10 Nov 2025 00:00:00 GMT", 0)],
)
def test_a_wait_is_read_in_both_its_forms(stated: str, wait: float | None) -> None:
    error = with_status(Status(429, "Retry-After", stated))
    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


@pytest.mark.parametrize("stated", ["²", "9" * 400, "-1", "1.5", "soon", "Fri, 31 Dec 9999 23:59:59 -2400", "٣"])
def test_a_wait_that_is_none_is_malformed_and_tried_again(stated: str) -> None:
    error = with_status(Status(429, "Retry-After", stated))
    assert isinstance(error, MalformedPayload)
    assert error.retryable


def test_an_error_message_is_short_and_of_one_line() -> None:
    with pytest.raises(SourceRejected) as caught:
        unwrap("OHLC", {"error": ["EQuery:no\r\nWARNING forged" + "x" * 10_000]})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_reader_that_fails_on_a_result_says_so_as_a_source_error() -> None:
    with pytest.raises(MalformedPayload, match="ZeroDivisionError"):
        parsed("OHLC", {"a": 1}, lambda _: 1 / 0)
    with pytest.raises(SourceUnavailable):
        parsed("OHLC", {}, lambda _: (_ for _ in ()).throw(SourceUnavailable("away")))


def test_a_warning_does_not_spoil_the_answer() -> None:
    assert unwrap("OHLC", {"error": ["WGeneral:Deprecated"], "result": {"a": 1}}) == {"a": 1}


@pytest.mark.parametrize("envelope", [None, [], {}, {"error": "x"}, {"error": []}, {"error": [], "result": []}])
def test_no_envelope_is_malformed(envelope: object) -> None:
    with pytest.raises(MalformedPayload):
        unwrap("OHLC", envelope)
