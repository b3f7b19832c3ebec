"""What the gateway's codes and texts mean, and the error that becomes of each.

Code 162 stands for anything that can go wrong with a request for bars, so its text decides. Codes:
https://interactivebrokers.github.io/tws-api/message_codes.html.
"""

from __future__ import annotations

from enum import StrEnum

from trading_platform.domain.errors import RateLimited, SourceError, SourceRejected, SourceUnavailable

PACING_WAIT = 600.0
"""Seconds after which the requests of the longest limit are forgotten."""


class Verdict(StrEnum):
    """What a code says about the request it belongs to."""

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
"""300: what is cancelled is not there any more. 10090: a part of what was asked for needs a
subscription, the rest comes. 10197: another session of the same user has the market data."""

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
    """What a code with its text means for the request it belongs to."""
    if code == _HISTORY_ERROR:
        lowered = text.lower()
        return next((verdict for words, verdict in _BY_TEXT if words in lowered), Verdict.REJECTED)
    if code in _STATUS:
        return Verdict.NOTICE
    return _BY_CODE.get(code, Verdict.REJECTED)


def error_of(code: int, text: str, asked: str) -> SourceError:
    """The error that a refused request becomes.

    Args:
        code: of the gateway.
        text: in its words.
        asked: what was asked for, in ours.
    """
    verdict, said = verdict_of(code, text), f"{code}: {text}"
    if verdict is Verdict.PACING:
        return RateLimited(
            f"Interactive Brokers was asked too often for {asked}.",
            retry_after=PACING_WAIT,
            received=said,
            remedy="wait ten minutes; where other programs ask with the same account, lower IBKR_HISTORY_REQUESTS",
        )
    if verdict is Verdict.NO_PERMISSION:
        return SourceRejected(
            f"The account may not have {asked}.",
            expected="a market data subscription that covers it",
            received=said,
            remedy="subscribe to its exchange's data in Client Portal, or take the instrument from another source",
        )
    if verdict is Verdict.UNKNOWN_CONTRACT:
        return SourceRejected(
            f"Interactive Brokers does not know {asked}.",
            expected="a symbol that is traded where its calendar says",
            received=said,
            remedy="correct the instrument's calendar or asset class (`trading-platform instruments add …`)",
        )
    if verdict is Verdict.TOO_MANY_LINES:
        return SourceRejected(
            f"The account has no market data line left for {asked}.",
            expected="no more instruments than the account has lines, other programs' included",
            received=said,
            remedy="follow fewer, or buy more lines and raise IBKR_MARKET_DATA_LINES",
        )
    if verdict in (Verdict.UNAVAILABLE, Verdict.NOTICE):
        return SourceUnavailable(
            f"Interactive Brokers could not answer for {asked}.", received=said, remedy="try again in a minute"
        )
    return SourceRejected(
        f"Interactive Brokers refused {asked}.", received=said, remedy="see what its message says and correct that"
    )


def no_response(asked: str, seconds: float) -> SourceUnavailable:
    """The error of a request that was left unanswered; this says nothing about what there is."""
    return SourceUnavailable(
        f"Interactive Brokers did not answer for {asked}.",
        expected=f"an answer within {seconds:g} s",
        received="nothing",
        remedy="try again later; what was asked for stays to be asked",
    )


def connection_lost(asked: str, why: str) -> SourceUnavailable:
    """The error of a request whose connection broke or is not there."""
    return SourceUnavailable(
        f"There is no connection to Interactive Brokers for {asked}.",
        received=why,
        remedy="see that TWS or the gateway runs and is logged in (IBKR_HOST, IBKR_PORT), then try again",
    )
