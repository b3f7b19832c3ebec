"""The rules for stored indicators; each is a function from an examination to its result.

:mod:`trading_platform.domain.derived.indicators` declares the ranges.
"""

from __future__ import annotations

from trading_platform.domain.derived.indicators import INDICATOR_SCHEMA, INDICATORS, IndicatorSpec
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.market_data.checks import database_types
from trading_platform.stores.market_data.indicators import indicators_table
from trading_platform.stores.market_data.revisions import RECORDED
from trading_platform.workflows.quality.check_results import Check, CheckResult, Examination, finding, schema_finding
from trading_platform.workflows.quality.verify_bars import bars_in, rows_of

ROUNDING = 1e-9
"""Tolerance of the range: 100 · a / a is not always 100 in floating point."""


def _schema(examination: Examination) -> CheckResult:
    table = indicators_table(examination.timeframe)
    return schema_finding(database_types({**INDICATOR_SCHEMA, **RECORDED}), examination.live.columns(table), table)


def _in_range(examination: Examination) -> CheckResult:
    table = indicators_table(examination.timeframe)
    conditions = {name: _out_of_range(spec) for name, spec in INDICATORS.items()}
    which = ", ".join(f"CASE WHEN {rule} THEN '{name} = ' || {name} END" for name, rule in conditions.items())
    parts = {"table": table, "out_of_range": " OR ".join(conditions.values()), "which": f"concat_ws(', ', {which})"}
    found = [examination.live.failing_rows("indicators__in_range", scope, parts=parts) for scope in examination.scopes]
    return finding(
        rows_checked=sum(examination.live.count(table, scope) for scope in examination.scopes),
        failing_rows=sum(one.count for one in found),
        what="rows of indicators",
        wrong="have a value that is not finite or lies outside its mathematical range",
        remedy="check the bars they were computed from; if those are right, recompute the rows and report the formula",
        sample=rows_of(one.sample for one in found),
    )


def _out_of_range(spec: IndicatorSpec) -> str:
    """The condition that an impossible value meets; in PostgreSQL NaN is greater than infinity."""
    lowest, highest = spec.range
    below = f"{spec.name} = '-Infinity'" if lowest is None else f"{spec.name} < {lowest - ROUNDING}"
    above = f"{spec.name} >= 'Infinity'" if highest is None else f"{spec.name} > {highest + ROUNDING}"
    return f"({below} OR {above})"


def _matches_bars(examination: Examination) -> CheckResult:
    parts = {"table": indicators_table(examination.timeframe), "bars": bars_table(examination.timeframe)}
    parameters = {
        "dataset": examination.asset,
        "timeframe": examination.timeframe.value,
        "partition": "month" if examination.timeframe.is_intraday else "year",
    }
    found = [
        examination.live.failing_rows("indicators__matches_bars", scope, parts=parts, parameters=parameters)
        for scope in examination.scopes
    ]
    return finding(
        rows_checked=bars_in(examination),
        failing_rows=sum(one.count for one in found),
        what="bars",
        wrong="do not match the rows of indicators: one exists without the other",
        remedy="materialize the indicators of these partitions",
        sample=rows_of(one.sample for one in found),
    )


INDICATOR_CHECKS: tuple[Check, ...] = (
    Check("schema", "The table has the declared columns and types.", _schema, blocking=True),
    Check("in_range", "Every value is finite and within its mathematical range.", _in_range, blocking=True),
    Check(
        "matches_bars",
        "Every bar has its row of indicators, and every row of indicators has its bar, as of the version of the bars"
        " that the indicators were computed from.",
        _matches_bars,
        blocking=True,
    ),
)
"""All rules for an asset ``indicators_*``."""
