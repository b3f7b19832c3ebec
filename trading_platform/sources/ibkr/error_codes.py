"""The meaning of the gateway's codes and texts, and the error for each.

Code 162 covers every failure of a request for bars, so its text decides. Codes:
https://interactivebrokers.github.io/tws-api/message_codes.html.
"""

from __future__ import annotations

from enum import StrEnum

from trading_platform.domain.errors import RateLimited, SourceError, SourceRejected, SourceUnavailable

PACING_WAIT = 600.0
"""Seconds after which the limit with the longest interval is fully available again."""


class Verdict(StrEnum):
    """The meaning of a code for its request."""

    NO_DATA = "no_data"
    PACING = "pacing"
    NO_PERMISSION = "no_permission"
    UNKNOWN_CONTRACT = "unknown_contract"
    TOO_MANY_LINES = "too_many_lines"
    UNAVAILABLE = "unavailable"
    REJECTED = "rejected"
    NOTICE = "notice"


_BY_CODE = {
    100: Verdict.PACING,
    101: Verdict.TOO_MANY_LINES,
    165: Verdict.NOTICE,
    200: Verdict.UNKNOWN_CONTRACT,
    203: Verdict.NO_PERMISSION,
    300: Verdict.NOTICE,
    322: Verdict.UNAVAILABLE,
    354: Verdict.NO_PERMISSION,
    366: Verdict.NOTICE,
    420: Verdict.PACING,
    430: Verdict.NO_PERMISSION,
    504: Verdict.UNAVAILABLE,
    1100: Verdict.UNAVAILABLE,
    10089: Verdict.NO_PERMISSION,
    10090: Verdict.NOTICE,
    10167: Verdict.NOTICE,
    10168: Verdict.NO_PERMISSION,
    10186: Verdict.NO_PERMISSION,
    10189: Verdict.NO_PERMISSION,
    10197: Verdict.UNAVAILABLE,
}
"""300: the cancelled subscription does not exist any more. 10090: a part of the request needs a
subscription, the rest arrives. 10197: another session of the same user has the market data."""

_HISTORY_ERROR = 162
_BY_TEXT = (
    ("pacing violation", Verdict.PACING),
    ("returned no data", Verdict.NO_DATA),
    ("no data of type", Verdict.NO_DATA),
    ("permission", Verdict.NO_PERMISSION),
    ("not subscribed", Verdict.NO_PERMISSION),
    ("connected from a different ip", Verdict.UNAVAILABLE),
    ("query cancelled", Verdict.UNAVAILABLE),
    ("disconnect", Verdict.UNAVAILABLE),
    ("timed out", Verdict.UNAVAILABLE),
    ("timeout", Verdict.UNAVAILABLE),
    ("try again", Verdict.UNAVAILABLE),
)
_STATUS = range(2100, 2200)


def verdict_of(code: int, text: str) -> Verdict:
    """The meaning of a code and its text for the request it belongs to."""
    if code == _HISTORY_ERROR:
        lowered = text.lower()
        return next((verdict for words, verdict in _BY_TEXT if words in lowered), Verdict.REJECTED)
    if code in _STATUS:
        return Verdict.NOTICE
    return _BY_CODE.get(code, Verdict.REJECTED)


def error_of(code: int, text: str, request: str) -> SourceError:
    """The error of a rejected request.

    Args:
        code: code of the gateway.
        text: text of the gateway.
        request: description of the request, in our words.
    """
    verdict, received = verdict_of(code, text), f"{code}: {text}"
    if verdict is Verdict.PACING:
        return RateLimited(
            f"The request limits of Interactive Brokers were exceeded by {request}.",
            retry_after=PACING_WAIT,
            received=received,
            remedy="wait ten minutes; if other programs use the same account, lower IBKR_HISTORY_REQUESTS",
        )
    if verdict is Verdict.NO_PERMISSION:
        return SourceRejected(
            f"The account has no permission for {request}.",
            expected="a market data subscription that covers it",
            received=received,
            remedy="subscribe to its exchange's data in Client Portal, or choose another source for the instrument",
        )
    if verdict is Verdict.UNKNOWN_CONTRACT:
        return SourceRejected(
            f"Interactive Brokers does not know {request}.",
            expected="a symbol that is traded where its calendar says",
            received=received,
            remedy="correct the instrument's calendar or asset class (`trading-platform instruments add …`)",
        )
    if verdict is Verdict.TOO_MANY_LINES:
        return SourceRejected(
            f"The account has no market data line left for {request}.",
            expected="no more instruments than the account has lines, including other programs",
            received=received,
            remedy="follow fewer instruments, or buy more lines and raise IBKR_MARKET_DATA_LINES",
        )
    if verdict in (Verdict.UNAVAILABLE, Verdict.NOTICE):
        return SourceUnavailable(
            f"Interactive Brokers could not process {request}.", received=received, remedy="try again in a minute"
        )
    return SourceRejected(
        f"Interactive Brokers rejected {request}.", received=received, remedy="correct the request as its message says"
    )


def no_response(request: str, seconds: float) -> SourceUnavailable:
    """The error of an unanswered request; it is no evidence of missing data."""
    return SourceUnavailable(
        f"Interactive Brokers did not respond to {request}.",
        expected=f"a response within {seconds:g} s",
        received="nothing",
        remedy="try again later; the request remains open",
    )


def connection_lost(request: str, reason: str) -> SourceUnavailable:
    """The error of a request without a connection."""
    return SourceUnavailable(
        f"There is no connection to Interactive Brokers for {request}.",
        received=reason,
        remedy="check that TWS or the gateway runs and is logged in (IBKR_HOST, IBKR_PORT), then try again",
    )
