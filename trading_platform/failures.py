"""Maps the platform's errors to Dagster failures; the error itself defines whether a retry can help.

Dagster has three retry mechanisms; the platform uses the one of the step: a retryable error lets Dagster retry the
step by :data:`STEP_RETRIES`, any other error ends the run (``allow_retries=False``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dagster import Backoff, Failure, Jitter, MetadataValue, RetryPolicy
from dagster._core.errors import DagsterExecutionInterruptedError

from trading_platform.domain.errors import TradingPlatformError

STEP_RETRIES = RetryPolicy(max_retries=3, delay=2, backoff=Backoff.EXPONENTIAL, jitter=Jitter.PLUS_MINUS)
"""Bounded: three retries take about a quarter of a minute; a failure that remains needs a person."""


def as_failure(error: TradingPlatformError) -> Failure:
    """The Dagster failure for an error of the platform."""
    return Failure(
        description=str(error),
        metadata={key: MetadataValue.text(str(value)) for key, value in error.as_dict().items() if value is not None},
        allow_retries=error.retryable,
    )


INTERRUPTED = "The run was interrupted. Finished work is stored; the next run continues from there."
"""Description of the failure of a step that a person or Dagster interrupted."""


@contextmanager
def dagster_failures() -> Iterator[None]:
    """Raises a Dagster failure for any error of the platform; Dagster retries it only where a retry can help.

    An interrupted step is never retried, whatever the retry policy.
    """
    try:
        yield
    except TradingPlatformError as error:
        raise as_failure(error) from error
    except DagsterExecutionInterruptedError as error:
        raise Failure(description=INTERRUPTED, allow_retries=False) from error


def as_failures(errors: Sequence[tuple[str, TradingPlatformError]], *, kept: int) -> Failure:
    """The Dagster failure of a run in which some symbols failed and ``kept`` partitions were stored.

    Dagster does not retry it: the sources have already retried within their own limits.
    """
    lines = [f"- **{symbol}**: {error}" for symbol, error in errors]
    names = ", ".join(symbol for symbol, _ in errors[:10])
    return Failure(
        description=f"{len(errors)} symbols failed ({names}); {kept} partitions are stored. First: {errors[0][1]}",
        metadata={"failed": MetadataValue.md("\n".join(lines)), "partitions stored": MetadataValue.int(kept)},
        allow_retries=False,
    )
