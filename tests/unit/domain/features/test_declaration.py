"""What a declaration takes, and what it says of one that it does not take."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features import Feature, Label, bars, benchmark, feature, formulas, indicator, news, peers
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.feature_set import FeatureSet

CLOSE = pl.col("close")


def declare(name: str = "mine", **parts: Any) -> Feature:
    given: dict[str, Any] = {
        "category": "technical",
        "description": "A feature",
        "formula": "close",
        "inputs": [bars("close")],
        "lookback_days": 1,
        "warm_up": 1,
        "compute": CLOSE / CLOSE.shift(1),
    }
    return Feature(name=name, **{**given, **parts})


def forward(name: str = "ahead", **parts: Any) -> Label:
    given: dict[str, Any] = {
        "description": "A label",
        "formula": "close_(t+5)",
        "inputs": [bars("close")],
        "horizon": 5,
        "compute": CLOSE.shift(-5) / CLOSE,
    }
    return Label(name=name, **{**given, **parts})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"name": "Mine"}, "lower-case letters"),
        ({"name": "close"}, "none of available_at"),
        ({"name": "x" * 51}, "at most 50"),
        ({"version": 0}, "from 1 on"),
        ({"version": True}, "from 1 on"),
        ({"description": " "}, "one sentence"),
        ({"category": "x" * 31}, "at most 30"),
        ({"data_type": "decimal"}, "float64, int64, boolean"),
        ({"unit": "dollars"}, "none, price, volume"),
        ({"gaps": "ignore"}, "break, bridge, span"),
        ({"inputs": []}, "a list of bars"),
        ({"inputs": ["close"]}, "a list of bars"),
        ({"inputs": [bars("close"), bars("close", "open")]}, "declared once"),
        ({"warm_up": -1}, "warm_up from 0"),
        ({"warm_up": 5_001}, "to 5,000"),
        ({"lookback_days": 1.5}, "lookback_days from 0"),
        ({"compute": lambda inputs: inputs.frame["close"]}, "defined with def"),
        ({"compute": "close"}, "a Polars expression or a function"),
        ({"compute": None}, "a Polars expression or a function"),
        ({"compute": pl.col("open")}, "declared columns only: close"),
        ({"compute": CLOSE.map_batches(lambda values: values)}, "without Python code"),
        ({"inputs": [news("sentiment")], "compute": pl.col("news.sentiment")}, "a function to compute with news"),
        ({"inputs": [news("mentions")], "compute": formulas.news_sentiment_24h}, "awaits"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_in_words(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        declare(**parts)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: bars("vwap"), "open, high, low, close, volume"),
        (lambda: bars("close", timeframe="5m"), "from 5m bars"),
        (bars, "one or more names"),
        (lambda: indicator("rsi_15"), "rsi_14"),
        (lambda: feature(""), "one or more names"),
        (lambda: forward(horizon=0), "without one it is a feature"),
        (lambda: forward(inputs=[peers("returns_1d")], compute=pl.col("peers.returns_1d")), "symbol itself only"),
    ],
)
def test_an_input_or_label_that_cannot_be_is_refused_in_words(make: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make()
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ([declare("rsi_14")], "rsi_14 is defined more than once"),
        ([declare(inputs=[feature("absent")], compute=pl.col("absent"))], "needs the feature absent"),
        ([declare(inputs=[feature("mine")], compute=pl.col("mine"))], "computed from itself"),
        (
            [
                declare("one", inputs=[feature("two")], compute=pl.col("two")),
                declare("two", inputs=[feature("one")], compute=pl.col("one")),
            ],
            "computed from itself",
        ),
        ([forward(), declare(inputs=[feature("ahead")], compute=pl.col("ahead"))], "the label ahead, which looks 5"),
        ([forward(), declare(inputs=[peers("ahead")], compute=pl.col("peers.ahead").list.mean())], "the label ahead"),
        ([forward(), forward("other", inputs=[feature("ahead")], compute=pl.col("ahead"))], "the label ahead"),
        ([declare(inputs=[feature("returns_20d")], compute=pl.col("returns_20d"))], "at least 20 bars"),
        ([declare(inputs=[indicator("sma_50")], compute=pl.col("sma_50"))], "at least 49 bars"),
        (
            [declare(inputs=[peers("atr_14")], warm_up=700, compute=pl.col("peers.atr_14").list.mean())],
            "cannot be compared between symbols",
        ),
        (
            [declare(inputs=[benchmark("market_beta_60d")], warm_up=120, compute=pl.col("benchmark.market_beta_60d"))],
            "cannot be compared between symbols",
        ),
    ],
)
def test_definitions_that_do_not_fit_together_are_refused_in_words(further: list[Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        FeatureSet([*BUILT_IN.features.values(), *further])
    assert said in str(refused.value)


def test_a_label_is_kept_apart_and_refused_as_a_feature() -> None:
    known = FeatureSet([*BUILT_IN.features.values(), forward()])
    assert "ahead" not in known.schema
    assert known.names == BUILT_IN.names
    with pytest.raises(InvalidRequest, match="ahead is a label: it looks 5 bars ahead, and no feature may"):
        known.known(["rsi_14", "ahead"])


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest) as refused:
        BUILT_IN.known(["rsi14"])
    assert refused.value.remedy == "did you mean rsi_14?"


def test_features_come_after_what_they_are_computed_from() -> None:
    last = declare("last", inputs=[feature("middle")], compute=pl.col("middle"))
    middle = declare("middle", inputs=[feature("returns_1d")], compute=pl.col("returns_1d"))
    known = FeatureSet([last, middle, *BUILT_IN.features.values()])
    assert known.in_order(["last"]) == ("returns_1d", "middle", "last")
    assert known.needed_by("returns_1d") == ("middle", "volatility_20d", "market_beta_60d")
