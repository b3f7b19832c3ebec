"""The trial of a definition finds what is planted, and nothing in definitions that are right."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from definition_files import GAP, declared, label, write
from properties import some_usual

from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.trial.invented_market import Market, invented_market
from trading_platform.domain.features.trial.try_definition import Finding, rows_to_try, try_definition
from trading_platform.stores.features.definitions import load_files

RIGHT = {
    "gap": f"gap = {GAP}",
    "relative": declared(
        "relative",
        'pl.col("returns_20d") - pl.col("benchmark.returns_20d") - pl.col("peers.returns_20d").list.mean()',
        'feature("returns_20d"), benchmark("returns_20d"), peers("returns_20d")',
        warm_up=20,
        gaps='"span"',
    ),
    "price": declared("price", 'pl.col("close").rolling_mean(5)', warm_up=4, unit='"price"'),
    "turnover": declared(
        "turnover", '(pl.col("close") * pl.col("volume")).rolling_sum(3)', 'bars("close", "volume")', warm_up=2
    ),
    "up": declared("up", 'pl.col("close") > pl.col("close").shift(1)', warm_up=1, data_type='"boolean"'),
    "label": label("ahead", 5, 'pl.col("close").shift(-5) / pl.col("close") - 1'),
}

WRONG = {
    "shifted": (declared("bad", 'pl.col("close").shift(-1) / pl.col("close")'), "look-ahead"),
    "centred": (declared("bad", 'pl.col("close").rolling_mean(5, center=True) / pl.col("close")'), "look-ahead"),
    "whole series": (
        "def normal(inputs):\n    close = inputs.frame['close']\n    return (close - close.mean()) / close.std()\n"
        + declared("bad", "normal", gaps='"span"'),
        "look-ahead",
    ),
    "filled from behind": (
        declared("bad", 'pl.col("rsi_14").fill_null(strategy="backward")', 'indicator("rsi_14")', 700, gaps='"span"'),
        "look-ahead",
    ),
    "volume filled from behind": (
        declared(
            "bad",
            'pl.col("volume").fill_null(strategy="backward") / pl.col("volume").shift(1).fill_null(1.0)',
            'bars("volume")',
        ),
        "look-ahead",
    ),
    "a peer's bar of the same date": (
        "def theirs(inputs):\n"
        "    peer = inputs.peers['PEER2'].select('time', value='returns_1d')\n"
        "    return inputs.frame.join(peer, on='time', how='left', maintain_order='left')['value']\n"
        + declared("bad", "theirs", 'peers("returns_1d")', gaps='"span"'),
        "look-ahead",
    ),
    "the benchmark's bar of the same date": (
        "def theirs(inputs):\n"
        "    market = inputs.benchmark.select('time', value='returns_1d')\n"
        "    return inputs.frame.join(market, on='time', how='left', maintain_order='left')['value']\n"
        + declared("bad", "theirs", 'benchmark("returns_1d")', gaps='"span"'),
        "look-ahead",
    ),
    "a label declared as a feature": (declared("bad", 'pl.col("close").shift(-5) / pl.col("close") - 1'), "look-ahead"),
    "further than its horizon": (label("bad", 3, 'pl.col("close").shift(-5) / pl.col("close")'), "look-ahead"),
    "a label that looks back": (label("bad", 3, 'pl.col("close").shift(5) / pl.col("close")'), "look-ahead"),
    "too short a warm-up": (declared("bad", 'pl.col("close").ewm_mean(span=20) / pl.col("close")'), "warm-up"),
    "later than declared": (declared("bad", 'pl.col("close").rolling_mean(30) / pl.col("close")'), "first value"),
    "a price without its unit": (declared("bad", 'pl.col("close").rolling_mean(5)'), "splits"),
    "a volume without its unit": (declared("bad", 'pl.col("volume").rolling_mean(5)', 'bars("volume")'), "splits"),
    "the wrong type": (declared("bad", 'pl.col("close").cast(pl.String)'), "computes"),
    "one value for all": (declared("bad", 'pl.col("close").mean()'), "computes"),
    "an error": ("def fails(inputs):\n    return 1 / 0\n" + declared("bad", "fails"), "computes"),
    "an undeclared column": (
        "def other(inputs):\n    return inputs.frame['volume']\n" + declared("bad", "other"),
        "computes",
    ),
}


@cache
def market(rows: int) -> Market:
    return invented_market(rows, 1)


def tried(folder: Path, text: str, seed: int = 3) -> list[Finding]:
    definitions = load_files([write(folder, "mine.py", text)])
    assert not definitions.errors
    (name,) = definitions.files
    ticks = count()
    short = rows_to_try(definitions.features, [name]) < 1_000
    return try_definition(
        definitions.features, name, market(700 if short else 1_400), seed=seed, timer=lambda: float(next(ticks))
    )


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_nothing_is_found_in_a_definition_that_is_right(tmp_path: Path, text: str) -> None:
    assert [each for each in tried(tmp_path, text) if each.verdict != "passed"] == []


@pytest.mark.parametrize(("text", "check"), some_usual(WRONG.values(), usual=6), ids=WRONG)
def test_what_is_planted_is_found(tmp_path: Path, text: str, check: str) -> None:
    assert check in {each.check for each in tried(tmp_path, text) if each.verdict == "failed"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(int(os.environ.get("TEST_TRIAL_SEEDS", "3"))))
def test_what_is_planted_is_found_with_any_seed(tmp_path: Path, seed: int) -> None:
    for name, (text, check) in WRONG.items():
        found = {each.check for each in tried(tmp_path / str(seed), text, seed) if each.verdict == "failed"}
        assert check in found, name
    for name, text in RIGHT.items():
        assert not [each for each in tried(tmp_path / str(seed), text, seed) if each.verdict == "failed"], name


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", BUILT_IN.names)
def test_the_platforms_own_pass(name: str) -> None:
    found = try_definition(BUILT_IN, name, market(1_400), seed=5, timer=lambda: 0.0)
    assert [each for each in found if each.verdict == "failed"] == []


def test_one_that_awaits_its_source_is_said_to() -> None:
    (only,) = try_definition(BUILT_IN, "social_volume_7d", market(700), seed=1, timer=lambda: 0.0)
    assert (only.check, only.verdict) == ("computes", "warn")
    assert "no source of social media" in only.detail


def test_too_few_bars_are_said_and_do_not_fail(tmp_path: Path) -> None:
    definitions = load_files([write(tmp_path, "mine.py", label("ahead", 400, 'pl.col("close").shift(-400)'))])
    found = try_definition(definitions.features, "ahead", invented_market(300, 1), seed=1, timer=lambda: 0.0)
    assert {each.check: each.verdict for each in found}["look-ahead"] == "warn"
    short = load_files([write(tmp_path, "long.py", declared("long", 'pl.col("rsi_14")', 'indicator("rsi_14")', 700))])
    found = try_definition(short.features, "long", invented_market(300, 1), seed=1, timer=lambda: 0.0)
    assert {each.check: each.verdict for each in found}["warm-up"] == "warn"


@pytest.mark.exhaustive
def test_a_symbol_without_what_a_definition_needs_is_said(tmp_path: Path) -> None:
    definitions = load_files([write(tmp_path, "mine.py", RIGHT["relative"])]).features
    whole = market(700)
    alone = replace(
        whole,
        bars=whole.bars.filter(symbol=whole.symbol),
        instruments={whole.symbol: whole.instruments[whole.symbol]},
    )
    found = try_definition(definitions, "relative", alone, seed=1, timer=lambda: 0.0)
    said = {each.check: each for each in found}["first value"]
    assert said.verdict == "warn"
    assert "no benchmark with bars" in said.detail
    never = load_files([write(tmp_path, "never.py", declared("never", 'pl.col("close") / 0 * 0'))]).features
    found = try_definition(never, "never", whole, seed=1, timer=lambda: 0.0)
    assert {each.check: each.verdict for each in found}["first value"] == "failed"
