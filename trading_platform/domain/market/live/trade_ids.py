"""The set of trade ids seen so far, compressed to runs of consecutive numbers.

Exchanges send the last trades again after a reconnect; counted twice they would double a bar's volume
(:mod:`trading_platform.domain.market.live.bar_builder`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

MOST_RUNS = 256
"""Maximum number of runs; beyond it the lowest run is dropped. An exchange that numbers its
trades without gaps needs one run, and one more for each outage."""


class SeenTradeIds:
    """The trade ids of one symbol, as runs ``[first, last]`` in ascending order.

    Args:
        runs: a result of :meth:`runs`.
    """

    __slots__ = ("_runs",)

    def __init__(self, runs: Iterable[Iterable[int]] = ()) -> None:
        self._runs = [list(run) for run in runs]

    def add(self, number: int) -> bool:
        """Adds ``number``; True if it was new."""
        runs = self._runs
        if not runs or number > runs[-1][1] + 1:
            runs.append([number, number])
            if len(runs) > MOST_RUNS:
                del runs[0]
            return True
        if number == runs[-1][1] + 1:
            runs[-1][1] = number
            return True
        return number < runs[-1][0] and self._insert(number)

    def _insert(self, number: int) -> bool:
        """Inserts ``number``, lower than the last run, in its place and joins adjacent runs."""
        runs = self._runs
        after = bisect_right(runs, number, key=lambda run: run[0])
        if after and number <= runs[after - 1][1]:
            return False
        joins_lower = after > 0 and runs[after - 1][1] == number - 1
        joins_higher = runs[after][0] == number + 1
        if joins_lower and joins_higher:
            runs[after - 1][1] = runs.pop(after)[1]
        elif joins_lower:
            runs[after - 1][1] = number
        elif joins_higher:
            runs[after][0] = number
        elif len(runs) < MOST_RUNS:
            runs.insert(after, [number, number])
        return True

    def runs(self) -> list[list[int]]:
        """The runs, to be stored as JSON."""
        return [list(run) for run in self._runs]
