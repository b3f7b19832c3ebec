"""Features that depend on other symbols: momentum against the sector, beta against the market.

Markets close at different times. A value of another symbol is used only if it was available when the symbol's
own bar closed. A later one is used from the next bar on, even if it has the same date. Features of a single
symbol are in :mod:`trading_platform.domain.features.formulas`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_platform.domain.derived.smoothing import Floats
from trading_platform.domain.features.inputs import FeatureInputs

Microseconds = npt.NDArray[np.int64]

STALE_AFTER = timedelta(days=7)
"""A sector member is not counted if its latest bar is older than this (by the bars' dates): longer
than any weekend with holidays, short enough to drop delisted symbols."""

BETA_PAIRS = 60
"""Number of pairs of returns in a beta."""

BETA_LOOKBACK = 120
"""The pairs of a beta must lie within this many bars of the symbol, lacking ones counted. Calendars that share five
days of seven need 84. The bound limits the warm-up of a partition."""

_NO_VARIANCE = 1e-24
"""A benchmark did not move if its daily returns deviate by less than 1e-12: the rest is rounding."""


@dataclass(frozen=True)
class Series:
    """The values of one symbol by the time they were available: one row per daily bar, times in microseconds.

    Attributes:
        time: the bar's date.
        available_at: when the bar was available; increasing.
        values: the values, NaN where there is none.
    """

    time: Microseconds
    available_at: Microseconds
    values: Floats


def series_of(frame: pl.DataFrame, column: str) -> Series:
    """A column of a frame of :class:`~trading_platform.domain.features.inputs.FeatureInputs`."""
    return Series(
        frame["time"].cast(pl.Int64).to_numpy(),
        frame["available_at"].cast(pl.Int64).to_numpy(),
        frame[column].to_numpy(),
    )


def latest_known(own: Series, other: Series) -> Floats:
    """For each row of ``own``, the latest value of ``other`` that was available by then; NaN if none or stale."""
    latest = np.searchsorted(other.available_at, own.available_at, side="right") - 1
    fresh = (latest >= 0) & (own.time - other.time[latest] <= STALE_AFTER // timedelta(microseconds=1))
    known: Floats = np.where(fresh, other.values[latest], np.nan)
    return known


def sector_momentum(inputs: FeatureInputs) -> Floats:
    """The 20-bar return minus the mean 20-bar return of the other members of the sector.

    NaN if the symbol has no sector, or if no other member has a return that was available by then and is
    not stale.
    """
    own = series_of(inputs.frame, "returns_20d")
    peers = [series_of(peer, "returns_20d") for peer in inputs.peers.values()]
    momentum: Floats = own.values - _mean_of_peers(own, peers)
    return momentum


def _mean_of_peers(own: Series, peers: Sequence[Series]) -> Floats:
    total, count = np.zeros(len(own.time)), np.zeros(len(own.time))
    for peer in peers:
        value = latest_known(own, peer)
        known = np.isfinite(value)
        total[known] += value[known]
        count += known
    mean = np.full(len(own.time), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def market_beta_60d(inputs: FeatureInputs) -> Floats:
    """Covariance with the benchmark's daily returns over their variance, from the last 60 common dates.

    NaN without a benchmark, if fewer than 60 pairs lie within :data:`BETA_LOOKBACK` bars, or if
    the benchmark did not move.
    """
    own = series_of(inputs.frame, "returns_1d")
    beta = np.full(len(own.time), np.nan)
    if inputs.benchmark is None:
        return beta
    benchmark = series_of(inputs.benchmark, "returns_1d")
    _, mine, theirs = np.intersect1d(own.time, benchmark.time, assume_unique=True, return_indices=True)
    paired = np.isfinite(own.values[mine]) & np.isfinite(benchmark.values[theirs])
    mine, theirs = mine[paired], theirs[paired]
    if len(mine) < BETA_PAIRS:
        return beta
    betas = _rolling_beta(own.values[mine], benchmark.values[theirs])
    known_at = np.maximum(own.available_at[mine], benchmark.available_at[theirs])
    latest = np.searchsorted(known_at, own.available_at, side="right") - 1
    enough = latest >= BETA_PAIRS - 1
    first = mine[latest[enough] - (BETA_PAIRS - 1)]
    position = inputs.frame["position"].to_numpy()
    within = position[enough] - position[first] < BETA_LOOKBACK
    beta[enough] = np.where(within, betas[latest[enough] - (BETA_PAIRS - 1)], np.nan)
    return beta


def _rolling_beta(own: Floats, market: Floats) -> Floats:
    """One beta per window of 60 pairs, each from deviations about its own means."""
    windows = np.lib.stride_tricks.sliding_window_view(np.stack([own, market]), BETA_PAIRS, axis=1)
    deviations = windows - windows.mean(axis=2, keepdims=True)
    covariance = (deviations[0] * deviations[1]).mean(axis=1)
    variance = (deviations[1] * deviations[1]).mean(axis=1)
    betas: Floats = np.full(len(variance), np.nan)
    np.divide(covariance, variance, out=betas, where=variance > _NO_VARIANCE)
    return betas
