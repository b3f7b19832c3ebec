"""The audit finds planted look-ahead of ten kinds, says what it comes from, and finds nothing in what is right."""

from __future__ import annotations

import numpy as np
import pytest
from planted_look_ahead import PLANTS, right

from trading_platform.domain.features.audit.causes import Cause
from trading_platform.domain.features.audit.compare import AuditFinding, audit_part
from trading_platform.domain.features.audit.stored_part import StoredPart

TIMES = 5

CAUSES = {
    "shifted join": {Cause.SHIFTED, Cause.LATER_BARS, Cause.FILLED},
    "centred window": {Cause.LATER_BARS},
    "full-series normalisation": {Cause.LATER_BARS},
    "split known early": {Cause.SPLIT},
    "revised bar": {Cause.REVISED},
    "peer's later close": {Cause.OTHERS},
    "news by publish time": {Cause.OTHERS, Cause.NEVER_KNOWN},
    "wrong calendar": {Cause.CALENDAR, Cause.OTHERS},
    "filled from behind": {Cause.FILLED, Cause.LATER_BARS},
    "label as feature": {Cause.LABEL, Cause.LATER_BARS, Cause.FILLED, Cause.SHIFTED},
}


def audited(part: StoredPart, seed: int) -> list[AuditFinding]:
    return list(audit_part(part, TIMES, np.random.default_rng([seed, 1])).findings)


def is_found(kind: str, seed: int) -> bool:
    """Whether a plant is found, by its feature, and explained."""
    part, feature = PLANTS[kind](np.random.default_rng([seed, sorted(PLANTS).index(kind)]))
    found = [each for each in audited(part, seed) if each.feature == feature]
    return bool(found) and found[0].cause in CAUSES[kind]


@pytest.mark.parametrize("kind", PLANTS)
def test_planted_look_ahead_is_found(kind: str) -> None:
    assert [is_found(kind, seed) for seed in range(2)] == [True, True]


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", PLANTS)
def test_each_of_eighteen_more_plants_is_found(kind: str) -> None:
    assert [seed for seed in range(2, 20) if not is_found(kind, seed)] == []


def test_nothing_is_found_in_what_is_right() -> None:
    assert audited(right(np.random.default_rng(7)), 7) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_in_random_markets_that_are_right(seed: int) -> None:
    assert audited(right(np.random.default_rng(seed)), seed) == []
