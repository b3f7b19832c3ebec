"""The rule book: every validation of incoming data, with its severity, its action and the reason for it.

Files, requests to sources, the stream, news and corporate actions name a rule by its
:class:`~trading_platform.domain.rejection_reasons.Reason`; what follows from it is stated here once. The quarantine
logs by the severity, the release of a row asks :attr:`Rule.may_be_overridden`, and ``docs/rules.md`` and the command
``rules`` show the book. The conditions over frames are in :mod:`trading_platform.domain.quality.rules`, those over
single events in :mod:`trading_platform.domain.market.live.event_validation`; the rules over stored data are in
``docs/checks.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.severity import Severity
from trading_platform.domain.suspicions import Suspicion


class Action(StrEnum):
    """What happens with a row that breaks a rule."""

    DISCARD = "discard"
    KEEP_LAST = "keep the last one"
    MARK = "accept, mark for review"
    REPORT = "accept, report with the likely cause"


class Path(StrEnum):
    """A way by which data comes in."""

    FILES = "files"
    REQUESTS = "requests"
    STREAM = "stream"
    NEWS = "news"
    ACTIONS = "corporate actions"


@dataclass(frozen=True)
class Rule:
    """A validation of incoming data.

    Attributes:
        name: its name; for rejected rows the column ``reason`` of the quarantine.
        severity: with which it is logged in ``audit.system_events``; of ``info`` nothing is logged.
        action: what happens with the row.
        requires: what must hold.
        explanation: why, or what it means if it does not hold.
        applies_to: the ways by which data comes in that it applies to.
        may_be_overridden: whether a person may release a row although it breaks the rule. Only rules are overridden
            that a stored bar can break without failing a check.
    """

    name: str
    severity: Severity
    action: Action
    requires: str
    explanation: str
    applies_to: tuple[Path, ...]
    may_be_overridden: bool = False


_PRICES = (Path.FILES, Path.REQUESTS, Path.STREAM)
_BARS = (Path.FILES, Path.REQUESTS)
_ALL = tuple(Path)


def _discard(
    reason: Reason,
    requires: str,
    explanation: str,
    applies_to: tuple[Path, ...],
    severity: Severity = Severity.WARNING,
    *,
    may_be_overridden: bool = False,
) -> Rule:
    return Rule(reason.value, severity, Action.DISCARD, requires, explanation, applies_to, may_be_overridden)


PRICE_JUMP = Rule(
    "price_jump",
    Severity.INFO,
    Action.MARK,
    "a traded bar opens at most 10 % from the close before",
    "A jump is a split, an error or a move of the market. The bar is stored with the quality `review`.",
    _PRICES,
)


def _report(suspicion: Suspicion, requires: str, explanation: str) -> Rule:
    return Rule(suspicion.value, Severity.WARNING, Action.REPORT, requires, explanation, _PRICES)


PLAUSIBILITY: tuple[Rule, ...] = (
    _report(
        Suspicion.UNIT,
        "prices do not change by a power of ten, from one bar to the next or within a bar, without a split",
        "Cents were taken for dollars or points for prices, or a split is not stored.",
    ),
    _report(
        Suspicion.OTHER_INSTRUMENT,
        "no run of bars is on another level than the bars before and after it",
        "Rows of another instrument came between. A move of the market is not taken back at once.",
    ),
    _report(
        Suspicion.TIME_ZONE,
        "no other reading of the times puts distinctly more bars into the sessions",
        "The times were read in the wrong zone, in all bars or in some days, weeks or quarters.",
    ),
    _report(
        Suspicion.FROZEN,
        "prices stay the same no longer than usual for the instrument while it trades",
        "The source has repeated its last value. A bar with a volume and different prices is repeated at most twice.",
    ),
    _report(
        Suspicion.REPEATED_DAY,
        "no day has the bars of another day",
        "A day was written twice, under two dates.",
    ),
    _report(
        Suspicion.SWAPPED_COLUMNS,
        "bars open near the close before, and no two columns make inconsistent rows consistent when swapped",
        "The header of the file is wrong.",
    ),
    _report(
        Suspicion.MISSING_SESSIONS,
        "each session between the first and the last bar has a bar",
        "The source or the file lacks it, or the calendar lacks a holiday.",
    ),
    _report(
        Suspicion.SOURCES_DIFFER,
        "closes of two sources differ by no more than ten usual moves, at most 1 %",
        "One of both is adjusted, of another instrument, or wrong there.",
    ),
)
"""The rules over many bars together (:mod:`trading_platform.domain.quality.plausibility`)."""

RULES: tuple[Rule, ...] = (
    _discard(
        Reason.NON_POSITIVE_PRICE,
        "every price is above zero",
        "A price of zero stands for no price in many sources.",
        _PRICES,
    ),
    _discard(
        Reason.NEGATIVE_VOLUME,
        "the volume is not negative",
        "A negative volume stands for no volume, or a sign was read wrong. An unknown volume is accepted.",
        _PRICES,
    ),
    _discard(
        Reason.FUTURE_TIME,
        "the time is not later than now; of live events by more than five seconds",
        "The time zone was read wrong, or a clock is off.",
        _PRICES,
        Severity.ERROR,
    ),
    PRICE_JUMP,
    Rule(
        Reason.DUPLICATE.value,
        Severity.INFO,
        Action.KEEP_LAST,
        "one bar for a symbol and time; one corporate action of a kind for a date",
        "The last one is stored, as by an upsert; the others are in the quarantine. Repeated live events are counted.",
        (*_BARS, Path.ACTIONS),
        may_be_overridden=True,
    ),
    _discard(
        Reason.OHLC_INCONSISTENT,
        "low <= open, close <= high",
        "Columns are swapped, or one of the four prices is wrong.",
        _BARS,
    ),
    _discard(
        Reason.OFF_GRID,
        "the time lies on the grid of the timeframe in UTC",
        "The bar is of another length, or is stamped by its close.",
        _BARS,
    ),
    _discard(
        Reason.TOO_FINE,
        "eight decimals hold the price to the noise of a float",
        "Rounded, the price would be another one. Override it to store the rounded price.",
        (*_PRICES, Path.ACTIONS),
        may_be_overridden=True,
    ),
    _discard(
        Reason.OUT_OF_RANGE,
        "the number fits its column, and the prices of an import those that are stored",
        "A unit was read wrong, or the file is of another instrument.",
        (*_PRICES, Path.ACTIONS),
    ),
    _discard(
        Reason.MISSING_VALUE,
        "every required value is present",
        "A row without a price cannot be a bar; nothing is invented for it.",
        _ALL,
    ),
    _discard(
        Reason.UNREADABLE_NUMBER,
        "every number can be read",
        "The row is damaged, or its numbers have another style.",
        (*_PRICES, Path.ACTIONS),
    ),
    _discard(
        Reason.UNREADABLE_TIME,
        "the time can be read and has a zone",
        "The row is damaged, or the clocks were set forward over its time.",
        (*_PRICES, Path.ACTIONS),
    ),
    _discard(
        Reason.NOT_FINAL,
        "the interval of the bar has ended",
        "A running candle is no bar. Later the source has the final one.",
        _BARS,
        Severity.INFO,
    ),
    _discard(
        Reason.MARKET_CLOSED,
        "a bar of closed time does not only repeat a price",
        "Some sources fill the time in which the market is closed.",
        _BARS,
        Severity.INFO,
    ),
    _discard(
        Reason.UNSUPPORTED,
        "the row, message or file has a known form",
        "What is not understood is not guessed.",
        _ALL,
    ),
    _discard(
        Reason.UNREADABLE_FILE,
        "the file can be read",
        "It is empty, damaged or not text.",
        (Path.FILES, Path.ACTIONS),
    ),
    *PLAUSIBILITY,
)
"""All rules, in the order of the book."""

_BY_NAME = {rule.name: rule for rule in RULES}
_ORDER = tuple(Severity)


def rule_of(reason: str) -> Rule | None:
    """The rule with that name; None for a name that the book does not have, as of rows of former versions."""
    return _BY_NAME.get(reason)


def severity_of(reasons: Iterable[str]) -> Severity:
    """The highest severity of some rules; ``warning`` for one that the book does not have."""
    found = [rule.severity if (rule := rule_of(reason)) else Severity.WARNING for reason in reasons]
    return max(found, key=_ORDER.index, default=Severity.INFO)


def as_page() -> str:
    """``docs/rules.md``: the book as a page."""
    lines = [
        "# Rules for incoming data",
        "",
        "Written by `trading-platform rules --markdown` from the rule book in",
        "`trading_platform/domain/quality/rule_book.py`. The rules for stored data are the [checks](checks.md).",
        "",
        "A rejected row is in the [quarantine](quarantine.md) with the name of the rule. Rules of severity `warning`",
        "and `error` also write an event `rows_rejected` to `audit.system_events`, one for all rows that are stored",
        "together. What is accepted and reported is in the result of `check-files` and of the check",
        "`plausibility`.",
        "",
        "| rule | must hold | if not | severity | applies to | may be overridden |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {rule.name} | {rule.requires} | {rule.action.value} | {rule.severity.value} | {', '.join(rule.applies_to)} "
        f"| {'yes' if rule.may_be_overridden else 'no'} |"
        for rule in RULES
    ]
    lines += ["", "## Why", "", *(f"- **{rule.name}**: {rule.explanation}" for rule in RULES)]
    return "\n".join(lines) + "\n"
