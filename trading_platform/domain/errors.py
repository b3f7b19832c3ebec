"""The error classes of the platform.

Every error states what was expected, what was received, what to do, and whether a retry can help.
``failures.py`` translates ``retryable`` into Dagster's retry behaviour; the command line prints
the parts and turns the class into an exit code. Add a class only if a caller must handle it differently.

::

    TradingPlatformError
    ├── InvalidRequest         the user or agent requested something impossible
    ├── ConfigurationError     a setting is missing or wrong
    ├── SourceError            a data source failed
    │   ├── SourceUnavailable  no response, 5xx, broken transport          (retryable)
    │   ├── RateLimited        the vendor asked us to slow down            (retryable)
    │   ├── SourceRejected     the vendor understood and rejected
    │   └── MalformedPayload   a response that does not have the agreed shape
    ├── StoreError             one of our own stores failed
    │   ├── StoreUnavailable   server down or refusing connections         (retryable)
    │   ├── StoreBusy          another one has what is needed              (retryable)
    │   └── StoreFull          no space left
    └── QualityError           data that breaks a mandatory rule
"""

from __future__ import annotations

from trading_platform.domain.texts import storable

_LONGEST_PART = 4_000


class TradingPlatformError(Exception):
    """Base class of all errors the platform raises on purpose.

    Args:
        message: what went wrong, one sentence.
        expected: what was expected.
        received: what was received.
        remedy: what the reader can do about it.
        retryable: whether a retry can help; each class has its own default.
    """

    retryable_by_default = False

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        received: str | None = None,
        remedy: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = _quotable(message)
        self.expected = None if expected is None else _quotable(expected)
        self.received = None if received is None else _quotable(received)
        self.remedy = None if remedy is None else _quotable(remedy)
        self.retryable = self.retryable_by_default if retryable is None else retryable

    def __str__(self) -> str:
        parts = [self.message]
        if self.expected:
            parts.append(f"Expected: {self.expected}.")
        if self.received:
            parts.append(f"Received: {self.received}.")
        if self.remedy:
            parts.append(f"To do: {self.remedy}.")
        parts.append("Trying again can help." if self.retryable else "Trying again will not help.")
        return " ".join(parts)

    def as_dict(self) -> dict[str, object]:
        """The parts for ``--json`` output."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "expected": self.expected,
            "received": self.received,
            "remedy": self.remedy,
            "retryable": self.retryable,
        }


def _quotable(part: str) -> str:
    """A part of an error as it can be printed, logged and stored, whatever it quotes, and not too long for that."""
    text = storable(part)
    return text if len(text) <= _LONGEST_PART else f"{text[: _LONGEST_PART - 1]}…"


class InvalidRequest(TradingPlatformError):
    """The request is impossible: unknown symbol, unknown timeframe, end before start."""


class ConfigurationError(TradingPlatformError):
    """A setting is missing or does not have the required shape."""


class SourceError(TradingPlatformError):
    """A data source did not provide what was requested."""


class SourceUnavailable(SourceError):
    """The source did not respond, or responded with a server error."""

    retryable_by_default = True


class RateLimited(SourceError):
    """The source asked us to slow down.

    ``retry_after`` is the number of seconds to wait, if the source states it.
    """

    retryable_by_default = True

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        expected: str | None = None,
        received: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, expected=expected, received=received, remedy=remedy)
        self.retry_after = retry_after


class SourceRejected(SourceError):
    """The source understood the request and rejected it: unknown pair, no permission."""


class MalformedPayload(SourceError):
    """The response does not have the agreed shape; no part of it was used."""


class StoreError(TradingPlatformError):
    """One of the platform's own stores failed."""


class StoreUnavailable(StoreError):
    """A store's server is not reachable; the interrupted write was rolled back."""

    retryable_by_default = True


class StoreBusy(StoreError):
    """Another process has what is needed: a lock, a connection, time; the interrupted write was rolled back."""

    retryable_by_default = True


class StoreFull(StoreError):
    """A store has no space left; the interrupted write was rolled back."""


class QualityError(TradingPlatformError):
    """Data breaks a mandatory rule."""
