"""How often Interactive Brokers may be asked, as it documents it, and what a request takes from that.

https://interactivebrokers.github.io/tws-api/historical_limitations.html. Its rules bind bars of 30 seconds and
shorter; longer ones are throttled "softly", without numbers. Ours keeps all of them for all bars.
"""

from __future__ import annotations

from dataclasses import dataclass

from trading_platform.sources.rate_limits import Cost, Rate, Within

HISTORY_REQUESTS = 60
"""Requests for bars in any ten minutes; BID_ASK counts twice."""

MOST_OPEN = 50
"""Requests for bars that may wait for their answers at once."""

MARKET_DATA_LINES = 100
"""Instruments that an account may follow live at once, unless it has bought more."""

_SHIFT = 1.0
"""Seconds that two requests may come nearer to each other on their way from the budget to the gateway."""

IDENTICAL = Within("ibkr:identical", 1, 15 + _SHIFT)
"""No request may be repeated within 15 seconds."""

SAME_CONTRACT = Within("ibkr:contract", 5, 2 + _SHIFT)
"""Fewer than six for the same contract, exchange and kind of prices in two seconds."""

MESSAGES = Rate("ibkr:messages", 45.0, 45.0)
"""50 messages a second are allowed, 45 are sent; ib_async keeps to the same for its connection."""

_TWICE = frozenset({"BID_ASK"})


@dataclass(frozen=True)
class HistoryLimit:
    """The limits of requests for bars.

    Attributes:
        account: who shares them: the account, or the gateway's address where it is not named.
        requests: so many in any ten minutes.
    """

    account: str
    requests: int = HISTORY_REQUESTS

    def costs(self, contract: str, what: str, request: str) -> tuple[Cost, ...]:
        """What a request takes.

        Args:
            contract: contract and exchange.
            what: kind of prices: TRADES, MIDPOINT, BID_ASK.
            request: all of the request, as text; equal for identical requests.
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
        """What any other request takes."""
        return (Cost(MESSAGES, self.account),)
