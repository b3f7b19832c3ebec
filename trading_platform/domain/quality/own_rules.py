"""Rules of a user's own for stored rows: one TOML file that says which condition each row must meet.

A condition is an SQL expression over the columns of one row, such as ``high <= 1.5 * low``. Numbers are compared as
floats. A row for which the condition is NULL, because a value in it is missing, breaks no rule. The check ``own_rules``
evaluates them (:mod:`trading_platform.workflows.quality.verify_own_rules`), :mod:`trading_platform.stores.own_rules`
reads the file; the platform's own rules for incoming data are in :mod:`trading_platform.domain.quality.rule_book`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from trading_platform.domain.errors import ConfigurationError

_KEYS = {"name": str, "assets": list, "holds": str, "severity": str, "why": str, "symbols": list}
_REQUIRED = ("name", "assets", "holds", "why")
SEVERITIES = ("error", "warn")
_QUOTED = re.compile(r"'[^']*'")
_OTHER_ROWS = re.compile(
    r"\bover\b|\b(array_agg|avg|corr|count|covar\w*|dense_rank|explode|first\w*|lag|last\w*|lead|max|mean|median|min"
    r"|nth_value|quantile\w*|rank|row_number|std\w*|string_agg|sum|unnest|var\w*)\s*\(",
    re.IGNORECASE,
)
"""The functions of Polars' SQL that look at more than one row: what they see depends on how much is read at once."""
_EVALUATION_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError)
"""What Polars raises for SQL that it cannot parse or evaluate."""


@dataclass(frozen=True)
class OwnRule:
    """One rule.

    Attributes:
        name: its name, once in the file.
        assets: names of the assets whose rows must meet it, such as ``ohlcv_1d``.
        holds: the condition, as SQL.
        why: what it means if a row does not meet it.
        severity: ``error``, or ``warn`` if a person should look.
        symbols: the symbols that it applies to; None means all.
    """

    name: str
    assets: tuple[str, ...]
    holds: str
    why: str
    severity: str = "error"
    symbols: frozenset[str] | None = None

    def failing(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that do not meet the condition.

        Args:
            rows: rows of an asset, with a column ``symbol``.

        Raises:
            ConfigurationError: if the condition cannot be evaluated over such rows.
        """
        chosen = rows if self.symbols is None else rows.filter(pl.col("symbol").is_in(sorted(self.symbols)))
        numbers = chosen.with_columns(pl.col(pl.Decimal).cast(pl.Float64))
        try:
            condition = pl.sql_expr(self.holds)
            if not condition.meta.root_names() or _OTHER_ROWS.search(_QUOTED.sub("", self.holds)):
                raise self._wrong("it looks at other rows, or at no column", rows)
            met = numbers.select(met=condition)["met"]
        except _EVALUATION_ERRORS as error:
            raise self._wrong(_first_line(error), rows) from None
        if met.dtype != pl.Boolean:
            raise self._wrong(f"it gives {met.dtype}", rows)
        return chosen.filter(~met)

    def _wrong(self, why: str, rows: pl.DataFrame) -> ConfigurationError:
        return ConfigurationError(
            f"The condition of your rule {self.name!r} cannot be evaluated.",
            expected=f"an SQL expression that is true or false for a row with {', '.join(rows.columns)}",
            received=f"{self.holds!r}: {why}",
            remedy="correct it in the file that QUALITY_RULES names",
        )


def own_rules_of(content: Mapping[str, Any], origin: str, assets: Mapping[str, pl.DataFrame]) -> tuple[OwnRule, ...]:
    """The rules of a file, each tried on its assets.

    Args:
        content: what the file has.
        origin: its name, for errors.
        assets: an empty frame with the columns of each asset that can have rules.

    Raises:
        ConfigurationError: if the content is no list of rules, or a rule in it cannot be evaluated.
    """
    listed = content.get("rules")
    if content.keys() != {"rules"} or not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise unreadable_rules(origin, f"the keys {', '.join(content) or 'none'}")
    rules = tuple(_rule(origin, number, one, assets) for number, one in enumerate(listed, start=1))
    names = [rule.name for rule in rules]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise unreadable_rules(origin, f"several rules with the name {', '.join(repeated)}")
    for rule in rules:
        for asset in rule.assets:
            rule.failing(assets[asset])
    return rules


def unreadable_rules(origin: str, received: str) -> ConfigurationError:
    """The error for a file that is no list of rules."""
    return ConfigurationError(
        f"The rules in {origin} cannot be read.",
        expected="a TOML file of [[rules]], each with a name of its own, as in docs/checks.md",
        received=received,
        remedy="correct the file that QUALITY_RULES names, or leave the setting empty",
    )


def _rule(origin: str, number: int, given: dict[str, Any], assets: Mapping[str, pl.DataFrame]) -> OwnRule:
    wrong = [
        *(f"no {name}" for name in _REQUIRED if not given.get(name)),
        *(f"an unknown key {name}" for name in given if name not in _KEYS),
        *(f"{name} is {value!r}" for name, value in given.items() if not isinstance(value, _KEYS.get(name, object))),
    ]
    if not wrong:
        wrong = [
            *(f"the asset {one!r}" for one in given["assets"] if one not in assets),
            *(f"the symbol {one!r}" for one in given.get("symbols", ()) if not isinstance(one, str)),
            *([f"severity {given['severity']!r}"] if given.get("severity", "error") not in SEVERITIES else ()),
        ]
    if wrong:
        raise ConfigurationError(
            f"Rule {given.get('name', number)!r} in {origin} cannot be used.",
            expected=f"{', '.join(_REQUIRED)}, and if wanted severity ({' or '.join(SEVERITIES)}) and symbols; assets "
            f"among {', '.join(assets)}",
            received=", ".join(wrong),
            remedy="correct the file that QUALITY_RULES names",
        )
    symbols = given.get("symbols")
    return OwnRule(
        given["name"],
        tuple(given["assets"]),
        given["holds"],
        given["why"],
        given.get("severity", "error"),
        None if symbols is None else frozenset(symbols),
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
