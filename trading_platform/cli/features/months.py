"""The part of ``features show`` about months: their statistics, distance from the baseline, and distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trading_platform.cli.output import out, table

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from trading_platform.domain.features.statistics import Bins

_SHOWN = 12
_WIDTH = 40


def monthly(directory: Path, name: str, definition_hash: str, symbols: Sequence[str]) -> list[dict[str, Any]]:
    """The statistics of a feature by month, of some symbols together, in order.

    ``to_month_before`` and ``to_baseline`` are population stability indices, None where they are not defined.
    """
    from trading_platform.domain.features.statistics import pooled, stability_index

    own, bins = _of(directory, name, symbols)
    if own.is_empty():
        return []
    rows = pooled(own).to_dicts()
    known = bins if bins is not None and bins.definition_hash == definition_hash else None
    size = None if known is None else len(known.edges) + 1
    base = [row["counts"] for row in rows if known and known.first <= row["month"] <= known.last and row["counts"]]
    expected = [sum(column) for column in zip(*base, strict=True)] if base else None
    found, before = [], None
    for row in rows:
        counts = row["counts"] if row["counts"] and len(row["counts"]) == size and sum(row["counts"]) else None
        found.append(
            {
                **{key: row[key] for key in ("month", "rows", "nulls", "mean", "deviation", "counts")},
                "to_month_before": stability_index(before, counts) if before and counts else None,
                "to_baseline": stability_index(expected, counts) if expected and counts else None,
            }
        )
        before = counts
    return found


def edges_of(directory: Path, name: str) -> list[float]:
    """The inner edges of a feature's bins; none if they are not fixed."""
    _, bins = _of(directory, name, [])
    return [] if bins is None else list(bins.edges)


def print_months(directory: Path, name: str, definition_hash: str, symbols: Sequence[str]) -> None:
    """Prints the last months, and the distribution of all of them over the bins."""
    months = monthly(directory, name, definition_hash, symbols)
    if not months:
        return
    columns = ("month", "rows", "NULL", "mean", "deviation", "to month before", "to baseline")
    rows = [
        (
            each["month"],
            each["rows"],
            f"{each['nulls'] / each['rows']:.1%}",
            *(_figure(each[key]) for key in ("mean", "deviation", "to_month_before", "to_baseline")),
        )
        for each in months[-_SHOWN:]
    ]
    title = f"Months of {len(symbols)} symbol{'s' if len(symbols) > 1 else ''} (population stability indices)"
    out.print(table(title, columns, rows, right=columns[1:], keys=("month",)))
    _print_distribution(months, edges_of(directory, name))


def _print_distribution(months: Sequence[dict[str, Any]], edges: Sequence[float]) -> None:
    counts = [each["counts"] for each in months if each["counts"] and len(each["counts"]) == len(edges) + 1]
    if not counts:
        return
    total = [sum(column) for column in zip(*counts, strict=True)]
    bounds = ["", *(f"{edge:.4g}" for edge in edges), ""]
    rows = [
        (low, high, count, "█" * round(_WIDTH * count / max(total)))
        for low, high, count in zip(bounds, bounds[1:], total, strict=False)
    ]
    names = ("from", "below", "values", "distribution")
    out.print(table("Distribution over the fixed bins", names, rows, right=names[:3], keys=names[:2]))


def _of(directory: Path, name: str, symbols: Sequence[str]) -> tuple[pl.DataFrame, Bins | None]:
    from trading_platform.stores.features.statistics import FeatureStatistics

    store = FeatureStatistics(directory)
    return store.read(symbols).filter(feature=name), store.bins().get(name)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
