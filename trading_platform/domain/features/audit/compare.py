"""Compares stored features with what their definitions give from what was known at some times.

A stored value is right if nothing that became known after its row could change it. What is supposed to be equal, and to
which precision, is in docs/audit.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_platform.domain.derived.smoothing import Floats
from trading_platform.domain.features.audit.causes import Cause, Difference, likely_cause
from trading_platform.domain.features.audit.stored_part import StoredPart
from trading_platform.domain.market.bars import PRICES

ABOUT = 1e-9
"""Difference up to which two values agree, as a share of the larger one or of the feature's median size in the part:
two computations that begin at different bars agree to it (docs/features.md)."""

Flags = npt.NDArray[np.bool_]

AVAILABLE_AT = "available_at"
"""Stands in place of a feature where a row can be read too early."""

ROW = "time"
"""Stands in place of a feature where a row is stored for which no bar was known."""

_EXPLAINED = 3  # differences of a feature whose cause is looked for


@dataclass(frozen=True)
class AuditFinding:
    """A stored value that is not what could be known.

    Attributes:
        feature: the feature; ``available_at`` for a row that can be read too early, ``time`` for a row without a bar.
        symbol: the symbol.
        time: time of the row.
        as_of: the time as of which it was recomputed.
        stored: the stored value; None for NULL.
        recomputed: the value from what was known; None for NULL.
        cause: the likely cause.
        detail: the cause in words.
    """

    feature: str
    symbol: str
    time: datetime
    as_of: datetime
    stored: float | datetime | None
    recomputed: float | datetime | None
    cause: Cause
    detail: str


@dataclass(frozen=True)
class PartAudit:
    """What the audit of one part compared and found."""

    findings: Sequence[AuditFinding]
    times: int
    values: int


def audit_part(part: StoredPart, times: int, random: np.random.Generator) -> PartAudit:
    """Recomputes a part as of some times and compares all of its rows that were known by then.

    Args:
        part: the part.
        times: number of times; fewer if the part has fewer bars.
        random: chooses the times (:func:`moments_of`).
    """
    found: dict[str, dict[datetime, Difference]] = {}
    values = 0
    moments = moments_of(part, times, random) if part.bars.height and part.names else []
    for moment in moments:
        frame = part.frame_at(moment).join(part.rows.drop("symbol", AVAILABLE_AT), on="time", suffix=" stored")
        values += frame.height * len(part.names)
        for difference in _differences(part, frame, moment):
            found.setdefault(difference.feature, {}).setdefault(difference.time, difference)
    wrong_times = _wrong_times(part)
    findings = [finding for own in found.values() for finding in _explained(part, list(own.values()), wrong_times)]
    return PartAudit([*_read_too_early(part), *_rows_without_bar(part), *findings], len(moments), values)


def moments_of(part: StoredPart, times: int, random: np.random.Generator) -> list[datetime]:
    """When some bars of the part closed, in order: the last one, some where look-ahead shows most, and random ones."""
    closed = part.bars["closed"]
    pools = [list(random.permutation(rows)) for rows in _telling_rows(part)]
    chosen = {len(closed) - 1}
    while len(chosen) < min(times, len(closed)):
        for pool in pools:
            if pool and len(chosen) < times:
                chosen.add(int(pool.pop()))
    return [closed[row] for row in sorted(chosen)]


def _telling_rows(part: StoredPart) -> Iterator[list[int]]:
    """The first row with all features; rows at splits, gaps, unknown volumes, revised bars, repeated values; all."""
    times = part.bars["time"]

    def rows_of(dates: pl.Series) -> list[int]:
        rows = times.search_sorted(dates.filter(dates >= part.start).cast(times.dtype)).to_list()
        return sorted({row for row in rows if row < len(times)})

    firsts = [part.rows.filter(pl.col(name).is_not_null())["time"].head(1) for name in part.names]
    yield rows_of(pl.concat(firsts).sort().tail(1))  # what is of the whole series is of later rows here
    yield rows_of(pl.Series([date for own in part.market.splits.values() for date, _ in own], dtype=times.dtype))
    yield rows_of(pl.Series([date for date, _ in part.market.gaps.get(part.symbol, ())], dtype=times.dtype))
    own = part.market.bars.filter((pl.col("symbol") == part.symbol) & (pl.col("time") >= part.start))
    yield rows_of(own.filter(pl.col("volume").is_null())["time"])
    if part.revised is not None:
        columns = ["symbol", "time", *PRICES, "volume"]
        before = part.market.bars.select(columns)
        changed = part.revised.bars.select(columns).join(before, on=columns, how="anti", nulls_equal=True)
        yield rows_of(changed["time"].unique())
    for name in part.names:
        stored = part.rows.select("time", value=pl.col(name), next=pl.col(name).shift(-1)).drop_nulls()
        if stored["value"].n_unique() > stored.height // 2:
            yield rows_of(stored.filter(pl.col("value") == pl.col("next"))["time"])
    yield list(range(len(times)))


def _differences(part: StoredPart, frame: pl.DataFrame, moment: datetime) -> Iterator[Difference]:
    for name in part.names:
        recomputed, stored = (_floats(frame[column]) for column in (name, f"{name} stored"))
        for row in np.flatnonzero(differing(stored, recomputed)):
            yield Difference(
                name, frame["time"][int(row)], moment, _known(stored[int(row)]), _known(recomputed[int(row)])
            )


def differing(stored: Floats, recomputed: Floats) -> Flags:
    """Where two series of a feature differ by more than :data:`ABOUT`, or only one has a value; NaN is no value."""
    sizes = np.abs(recomputed[np.isfinite(recomputed)])
    typical = float(np.median(sizes)) if len(sizes) else 0.0
    limit = ABOUT * np.fmax(np.fmax(np.abs(stored), np.abs(recomputed)), typical)
    one = np.isfinite(stored) != np.isfinite(recomputed)
    with np.errstate(invalid="ignore"):
        differs: Flags = one | ~(np.isnan(stored) | (stored == recomputed) | (np.abs(stored - recomputed) <= limit))
    return differs


def _floats(values: pl.Series) -> Floats:
    floats: Floats = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return floats


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _explained(
    part: StoredPart, differences: Sequence[Difference], wrong_times: Mapping[datetime, str]
) -> Iterator[AuditFinding]:
    """The differences of a feature with their likely cause: the most frequent one among some of them."""
    with_value = [each for each in differences if each.stored is not None] or list(differences)
    alike = [each for each in with_value if each.as_of == with_value[0].as_of]  # they share what is computed for them
    causes = Counter(
        (Cause.CALENDAR, wrong_times[each.time]) if each.time in wrong_times else likely_cause(part, each)
        for each in alike[:_EXPLAINED]
    )
    known = [each for each in causes.most_common() if each[0][0] is not Cause.UNKNOWN] or causes.most_common()
    (cause, detail), _ = known[0]
    for each in differences:
        yield AuditFinding(
            each.feature, part.symbol, each.time, each.as_of, each.stored, each.recomputed, cause, detail
        )


def _wrong_times(part: StoredPart) -> dict[datetime, str]:
    """For rows whose ``available_at`` is not when their bar closed, both times in words."""
    wrong = part.rows.select("time", AVAILABLE_AT, known=part.known).filter(pl.col(AVAILABLE_AT) != pl.col("known"))
    return {
        time: f"its row is available at {stored:%Y-%m-%d %H:%M}, and its bar closes at {known:%Y-%m-%d %H:%M}"
        for time, stored, known in wrong.iter_rows()
    }


def _read_too_early(part: StoredPart) -> Iterator[AuditFinding]:
    """The rows that a reader as of a time gets although their bar had not closed by then."""
    early = part.rows.select("time", AVAILABLE_AT, known=part.known).filter(
        (pl.col("time") >= part.start) & ~(pl.col(AVAILABLE_AT) >= pl.col("known")).fill_null(value=False)
    )
    for time, stored, known in early.iter_rows():
        said = f"the bar closes at {known:%Y-%m-%d %H:%M} by the calendar {part.own.calendar}"
        yield AuditFinding(AVAILABLE_AT, part.symbol, time, known, stored, known, Cause.CALENDAR, said)


def _rows_without_bar(part: StoredPart) -> Iterator[AuditFinding]:
    inside = part.rows.filter(pl.col("time") >= part.start)
    for time, known in (
        inside.select("time", AVAILABLE_AT).join(part.bars.select("time"), on="time", how="anti").iter_rows()
    ):
        said = "there is no bar of that date; the row was filled from others"
        yield AuditFinding(ROW, part.symbol, time, known, None, None, Cause.FILLED, said)
