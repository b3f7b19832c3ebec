"""Turns the platform's failures into Dagster's, once: what may be retried is said by the error itself.

Dagster has three retry mechanisms; ours is the one of the failed step: a retryable error lets the
step try again by :data:`STEP_RETRIES`, any other one ends the run (``allow_retries=False``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dagster import Backoff, Failure, Jitter, MetadataValue, RetryPolicy
from dagster._core.errors import DagsterExecutionInterruptedError

from trading_platform.domain.errors import TradingPlatformError

STEP_RETRIES = RetryPolicy(max_retries=3, delay=2, backoff=Backoff.EXPONENTIAL, jitter=Jitter.PLUS_MINUS)
"""Bounded: what three more attempts over about a quarter of a minute do not mend, a person must see."""


def as_failure(error: TradingPlatformError) -> Failure:
    """The Dagster failure for one of our errors."""
    return Failure(
        description=str(error),
        metadata={key: MetadataValue.text(str(value)) for key, value in error.as_dict().items() if value is not None},
        allow_retries=error.retryable,
    )


INTERRUPTED = "The run was interrupted. What was finished is stored; running it again goes on from there."
"""What the failure of a step says that was ended by a person or by Dagster."""


@contextmanager
def dagster_failures() -> Iterator[None]:
    """Lets a step fail in Dagster's way for any of our errors: tried again only where that can help.

    Never after an interruption, which a retry policy would otherwise answer with another attempt.
    """
    try:
        yield
    except TradingPlatformError as error:
        raise as_failure(error) from error
    except DagsterExecutionInterruptedError as error:
        raise Failure(description=INTERRUPTED, allow_retries=False) from error


def as_failures(errors: Sequence[tuple[str, TradingPlatformError]], *, kept: int) -> Failure:
    """The Dagster failure of a run in which some symbols failed and ``kept`` partitions were stored.

    It is final: sources have tried again by themselves for as long as that made sense.
    """
    lines = [f"- **{symbol}**: {error}" for symbol, error in errors]
    names = ", ".join(symbol for symbol, _ in errors[:10])
    return Failure(
        description=f"{len(errors)} symbols failed ({names}); {kept} partitions are stored and stay. "
        f"First: {errors[0][1]}",
        metadata={"failed": MetadataValue.md("\n".join(lines)), "partitions kept": MetadataValue.int(kept)},
        allow_retries=False,
    )
