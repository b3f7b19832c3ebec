"""The documented request limits of Interactive Brokers, and the cost of requests.

https://interactivebrokers.github.io/tws-api/historical_limitations.html. Its rules bind bars of 30 seconds and
shorter; longer ones are throttled "softly", without numbers. The platform applies all of them to all bars.
"""

from __future__ import annotations

from dataclasses import dataclass

from trading_platform.sources.rate_limits import Cost, Rate, Within

HISTORY_REQUESTS = 60
"""Maximum number of requests for bars in any ten minutes; BID_ASK counts twice."""

MOST_OPEN = 50
"""Maximum number of simultaneous requests for bars."""

MARKET_DATA_LINES = 100
"""Number of instruments that an account may follow live at once, unless it has bought more."""

_SHIFT = 1.0
"""Seconds by which the distance of two requests may shrink on their way from the rate limiter to the gateway."""

IDENTICAL = Within("ibkr:identical", 1, 15 + _SHIFT)
"""No request may be repeated within 15 seconds."""

SAME_CONTRACT = Within("ibkr:contract", 5, 2 + _SHIFT)
"""Fewer than six for the same contract, exchange and kind of prices in two seconds."""

MESSAGES = Rate("ibkr:messages", 45.0, 45.0)
"""50 messages a second are allowed, 45 are sent; ib_async applies the same limit to its connection."""

_TWICE = frozenset({"BID_ASK"})


@dataclass(frozen=True)
class HistoryLimit:
    """The limits of requests for bars.

    Attributes:
        account: who shares them: the account, or the gateway's address if the account is not given.
        requests: maximum number in any ten minutes.
    """

    account: str
    requests: int = HISTORY_REQUESTS

    def costs(self, contract: str, what: str, request: str) -> tuple[Cost, ...]:
        """The cost of a request.

        Args:
            contract: contract and exchange.
            what: kind of prices: TRADES, MIDPOINT, BID_ASK.
            request: the whole request, as text; equal for identical requests.
        """
        weight = 2 if what in _TWICE else 1
        history = Within("ibkr:history", self.requests, 600 + _SHIFT)
        return (
            Cost(history, self.account, weight),
            Cost(SAME_CONTRACT, f"{self.account}:{contract}:{what}", weight),
            Cost(IDENTICAL, f"{self.account}:{request}"),
            *self.message(),
        )

    def message(self) -> tuple[Cost, ...]:
        """The cost of any other request."""
        return (Cost(MESSAGES, self.account),)
