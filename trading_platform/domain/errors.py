"""The platform's failures, as one small family.

Every error says what was expected, what came, what to do, and whether trying again can help.
``failures.py`` translates ``retryable`` into Dagster's retry behaviour; the command line prints
the parts and turns the class into an exit code. Add a class only when a caller must tell it apart.

::

    TradingPlatformError
    ├── InvalidRequest         the user or agent asked for something that cannot be
    ├── ConfigurationError     a setting is missing or wrong
    ├── SourceError            the outside
    │   ├── SourceUnavailable  no answer, 5xx, broken transport            (retryable)
    │   ├── RateLimited        the vendor asked us to slow down            (retryable)
    │   ├── SourceRejected     the vendor understood and refused
    │   └── MalformedPayload   an answer that does not have the agreed shape
    ├── StoreError             our own stores
    │   ├── StoreUnavailable   server gone or refusing connections         (retryable)
    │   └── StoreFull          no space left
    └── QualityError           data that breaks a rule which may not be broken
"""

from __future__ import annotations


class TradingPlatformError(Exception):
    """Base of all failures the platform raises on purpose.

    Args:
        message: what went wrong, one sentence.
        expected: what would have been right.
        received: what came instead.
        remedy: what the reader can do about it.
        retryable: whether trying the same again can help; a class has its own default.
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
        self.message = message
        self.expected = expected
        self.received = received
        self.remedy = remedy
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


class InvalidRequest(TradingPlatformError):
    """What was asked for cannot be: unknown symbol, unknown timeframe, end before start."""


class ConfigurationError(TradingPlatformError):
    """A setting is missing or does not have the shape it must have."""


class SourceError(TradingPlatformError):
    """Something outside the platform did not give what was asked of it."""


class SourceUnavailable(SourceError):
    """The source did not answer, or answered that it is broken."""

    retryable_by_default = True


class RateLimited(SourceError):
    """The source asked us to slow down.

    ``retry_after`` is the number of seconds to wait where the source says so.
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
    """The source understood the request and refuses it: unknown pair, no permission."""


class MalformedPayload(SourceError):
    """The answer does not have the agreed shape; nothing of it was used."""


class StoreError(TradingPlatformError):
    """One of the platform's own stores could not do what was asked."""


class StoreUnavailable(StoreError):
    """A store's server is away; what was under way left nothing behind."""

    retryable_by_default = True


class StoreFull(StoreError):
    """No space left where a store writes; what was under way left nothing behind."""


class QualityError(TradingPlatformError):
    """Data breaks a rule that nothing may break."""
