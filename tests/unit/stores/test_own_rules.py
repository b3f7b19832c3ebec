"""Rules of a user's own: which rows break them, and what is no rule."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.quality.own_rules import OwnRule
from trading_platform.stores.own_rules import read_own_rules

ASSETS = {"ohlcv_1d": pl.DataFrame(schema=BAR_SCHEMA), "features": pl.DataFrame(schema={"rsi_14": pl.Float64})}
RULE = """[[rules]]
name = "calm"
assets = ["ohlcv_1d"]
holds = "high <= 1.5 * low"
why = "A day of more than half is looked at."
"""


def bars() -> pl.DataFrame:
    """Three days of two symbols; the second volume is unknown."""
    rows = [("KO", 10, 11, 5), ("KO", 10, 40, None), ("PEP", 20, 20, 7)]
    return pl.DataFrame(
        [
            {
                "time": datetime(2024, 1, 2 + number, tzinfo=UTC),
                "symbol": symbol,
                "low": Decimal(low),
                "high": Decimal(high),
                "close": Decimal(high),
                "volume": volume if volume is None else Decimal(volume),
            }
            for number, (symbol, low, high, volume) in enumerate(rows)
        ],
        schema=BAR_SCHEMA,
    )


@pytest.mark.parametrize(
    ("holds", "symbols", "failing"),
    [
        ("high <= 1.5 * low", None, [3]),
        ("high <= 1.05 * low", None, [2, 3]),
        ("high <= 1.05 * low", {"PEP"}, []),
        ("volume >= 6", None, [2]),
        ("volume IS NOT NULL AND volume >= 6", None, [2, 3]),
        ("symbol IN ('KO')", None, [4]),
        ("EXTRACT(DAY FROM time) BETWEEN 2 AND 3", None, [4]),
        ("ABS(close - high) < 0.001 OR symbol = 'min(x)'", None, []),
    ],
)
def test_the_rows_that_do_not_meet_a_condition(holds: str, symbols: set[str] | None, failing: list[int]) -> None:
    """A row of which the condition is unknown breaks none."""
    rule = OwnRule("one", ("ohlcv_1d",), holds, "why", symbols=None if symbols is None else frozenset(symbols))
    assert [time.day for time in rule.failing(bars())["time"]] == failing


@pytest.mark.parametrize(
    "holds",
    [
        "",
        "high <",
        "height > 1",
        "high",
        "TRUE",
        "sum(high) > 3",
        "LAG(close) OVER (ORDER BY time) < close",
        "high > (SELECT 1)",
        "high > 1; DROP TABLE bars",
        "high = 'x'",
        "read_csv('x')",
        "close > First (close)",
    ],
)
def test_what_is_no_condition_over_a_row_is_refused_when_the_file_is_read(holds: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULE.replace("high <= 1.5 * low", holds))
    with pytest.raises(ConfigurationError, match="calm"):
        read_own_rules(file, ASSETS)


def test_a_file_of_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(f'{RULE}severity = "warn"\nsymbols = ["KO"]\n{RULE.replace("calm", "calmer")}')
    calm, calmer = read_own_rules(file, ASSETS)
    assert (calm.name, calm.severity, calm.symbols) == ("calm", "warn", frozenset({"KO"}))
    assert (calmer.name, calmer.severity, calmer.symbols) == ("calmer", "error", None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the keys none"),
        ("rules = 3", "the keys rules"),
        ("[[rules]", "cannot be read"),
        ("[[rule]]\nname = 'x'", "the keys rule"),
        (RULE.replace("calm", ""), "no name"),
        (RULE.replace("why", "because"), "no why, an unknown key because"),
        (RULE.replace("ohlcv_1d", "ohlcv_2d"), "the asset 'ohlcv_2d'"),
        (RULE.replace("ohlcv_1d", "features"), "unable to find column"),
        (RULE + "severity = 'fatal'", "severity 'fatal'"),
        (RULE + "symbols = 'KO'", "symbols is 'KO'"),
        (RULE + "symbols = [7]", "the symbol 7"),
        (RULE + RULE, "several rules with the name calm"),
    ],
)
def test_what_cannot_be_used_is_said(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        read_own_rules(file, ASSETS)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_own_rules(tmp_path / "none.toml", ASSETS)
