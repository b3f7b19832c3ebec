"""The rules for splits and dividends; each is a function from an examination to its result.

Rules over rows are SQL in ``sql/checks/corporate_actions__<rule>.sql``; they read the daily bars around each action.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.corporate_actions import CorporateAction
from trading_platform.domain.time import Window
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.market_data.checks import SAMPLE_ROWS
from trading_platform.workflows.quality.check_results import Check, CheckResult, Examination, Severity, finding
from trading_platform.workflows.quality.verify_bars import bars_in, rows_of

_AROUND = timedelta(days=30)
_CORRECT = (
    "`trading-platform corporate-actions list` shows them, `corporate-actions import` corrects one, "
    "`corporate-actions remove` deletes it"
)


def _actions_in(examination: Examination) -> list[CorporateAction]:
    """The actions of the scopes; read once."""
    if "actions" not in examination.kept:
        examination.kept["actions"] = [
            action
            for scope in examination.scopes
            for action in examination.stores.corporate_actions.read(scope.symbols)
            if scope.window is None or action.ex_date in scope.window
        ]
    kept: list[CorporateAction] = examination.kept["actions"]
    return kept


def _rule(
    examination: Examination, *, name: str, wrong: str, remedy: str, severity: Severity, of_bars: bool = False
) -> CheckResult:
    found = [
        examination.live.failing_rows(f"corporate_actions__{name}", scope, parts={}) for scope in examination.scopes
    ]
    return finding(
        rows_checked=bars_in(examination) if of_bars else len(_actions_in(examination)),
        failing_rows=sum(one.count for one in found),
        what=f"rows of {bars_table(examination.timeframe)}" if of_bars else "splits and dividends",
        wrong=wrong,
        remedy=remedy,
        severity=severity,
        sample=rows_of(one.sample for one in found),
    )


def _ex_date_is_session(examination: Examination) -> CheckResult:
    actions = _actions_in(examination)
    universe = examination.stores.instruments.all()
    by_calendar: dict[str, list[CorporateAction]] = {}
    for action in actions:
        if action.symbol in universe:
            by_calendar.setdefault(universe[action.symbol].calendar, []).append(action)
    wrong = [action for calendar, of_it in by_calendar.items() for action in _off_session(calendar, of_it)]
    return finding(
        rows_checked=len(actions),
        failing_rows=len(wrong),
        what="splits and dividends",
        wrong="have an ex-date on which their exchange was closed",
        remedy=f"look the date up; {_CORRECT}",
        severity=Severity.WARN,
        sample=[
            {"symbol": action.symbol, "time": action.ex_date.isoformat(), "detail": f"{action.kind} of {action.terms}"}
            for action in wrong[:SAMPLE_ROWS]
        ],
    )


def _off_session(calendar: str, actions: list[CorporateAction]) -> list[CorporateAction]:
    dates = [action.ex_date for action in actions]
    try:
        known = sessions(calendar, Window(min(dates) - _AROUND, max(dates) + _AROUND))["session"].to_list()
    except InvalidRequest:
        return []  # the completeness check reports a calendar that cannot be computed
    open_days = set(known)
    return [action for action in actions if known and action.ex_date >= known[0] and action.ex_date not in open_days]


ACTION_CHECKS: tuple[Check, ...] = (
    Check(
        "valid_terms",
        "Every ratio and amount is above zero, and no dividend takes the whole price.",
        partial(
            _rule,
            name="valid_terms",
            wrong="have terms that cannot be",
            remedy=_CORRECT,
            severity=Severity.ERROR,
        ),
        blocking=True,
    ),
    Check(
        "split_in_prices",
        "The daily bars show every split: they are raw, and the split was one.",
        partial(
            _rule,
            name="split_in_prices",
            wrong="are not in the prices: those are adjusted already, or the split is not one",
            remedy=f"find out which; {_CORRECT}",
            severity=Severity.ERROR,
        ),
        blocking=False,
    ),
    Check(
        "price_jumps_explained",
        "A price that opened at two thirds or three halves of the close before has a split that says why.",
        partial(
            _rule,
            name="price_jumps_explained",
            wrong="opened at two thirds of the close before or less, or half as much again, and no split says why",
            remedy="look each up: a split is missing, a price is wrong, or the market did it",
            severity=Severity.WARN,
            of_bars=True,
        ),
        blocking=False,
    ),
    Check(
        "ex_date_is_session",
        "Every ex-date is a day on which the exchange was open.",
        _ex_date_is_session,
        blocking=False,
    ),
)
"""All rules of the asset ``corporate_actions``."""
