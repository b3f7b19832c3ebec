"""Small charts as text, for the metadata of a materialization.

Dagster's UI renders Markdown images from ``data:`` addresses and does not render inline SVG. So a chart is
encoded in its own address and needs no file, server or dependency. A heat map is a plain table.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

_INTERVALS = 200
_STROKE = "#4f6bed"  # readable on the light and on the dark theme
_MARGIN = 2
_PANEL = (120, 30)  # one chart of several, in pixels
_LABEL = 12  # room for its name

_Point = tuple[int, float]


def sparkline(values: Sequence[float | None], width: int = 240, height: int = 48) -> str:
    """A line chart of the values, as a Markdown image.

    Args:
        values: evenly spaced; None, NaN and infinities leave a gap. A long series is reduced to the
            lowest and the highest value of each of 200 intervals, so that no spike is lost.
        width: in pixels.
        height: in pixels.

    Returns:
        ``![lowest to highest](data:image/svg+xml;base64,...)`` for ``MetadataValue.md``, or a
        sentence if there is no finite value.
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return "nothing to draw"
    low, high = min(finite), max(finite)
    path = _path(_intervals(values), len(values), (low, high), (width, height))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<path d="{path}" fill="none" stroke="{_STROKE}" stroke-width="1.5" stroke-linecap="round"/></svg>'
    )
    return f"![{low:g} to {high:g}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def small_multiples(series: Mapping[str, Sequence[float | None]], *, columns: int = 5) -> str:
    """A line chart of each series with its name, side by side in one Markdown image.

    Args:
        series: the values of each, evenly spaced; None, NaN and infinities leave a gap. Each has a scale of its own.
        columns: number of charts in a row.

    Returns:
        ``![names](data:image/svg+xml;base64,...)`` for ``MetadataValue.md``, or a sentence if there is no finite value.
    """
    drawn = {
        name: values
        for name, values in series.items()
        if any(value is not None and math.isfinite(value) for value in values)
    }
    if not drawn:
        return "nothing to draw"
    rows = -(-len(drawn) // columns)
    size = (columns * _PANEL[0], rows * (_PANEL[1] + _LABEL))
    parts = []
    for number, (name, values) in enumerate(drawn.items()):
        finite = [value for value in values if value is not None and math.isfinite(value)]
        across, down = number % columns * _PANEL[0], number // columns * (_PANEL[1] + _LABEL)
        path = _path(_intervals(values), len(values), (min(finite), max(finite)), (_PANEL[0] - _LABEL, _PANEL[1]))
        parts.append(
            f'<g transform="translate({across} {down})"><text y="9" font-size="9" font-family="sans-serif" '
            f'fill="{_STROKE}">{name}</text><path transform="translate(0 {_LABEL})" d="{path}" fill="none" '
            f'stroke="{_STROKE}" stroke-linecap="round"/></g>'
        )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {size[0]} {size[1]}">{"".join(parts)}</svg>'
    )
    return f"![{', '.join(drawn)}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def heat_map(shares: Mapping[str, Mapping[str, float]], *, columns: int = 24, rows: int = 50) -> str:
    """A table of shares as Markdown text, without an image. Lower shares are shaded darker.

    Args:
        shares: the cells of each row by column, from 0 to 1. A missing cell means that there is no data to rate.
        columns: maximum number of columns, the last ones; earlier ones are combined in one column.
        rows: maximum number of rows; those with the lowest share are chosen.

    Returns:
        A Markdown table, cells in per cent: ``▓ 45`` below a half, ``▒ 97.3`` below the whole, ``100`` and ``·``.
    """
    names = sorted({name for cells in shares.values() for name in cells})
    if not names:
        return "nothing to draw"
    early, late = names[:-columns], names[-columns:]
    worst = sorted(shares, key=lambda row: (min(shares[row].values(), default=1.0), row))
    heads = [*([f"to {early[-1]}"] if early else []), *late]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for row in sorted(worst[:rows]):
        before = [shares[row][name] for name in early if name in shares[row]]
        cells = [_cell(min(before, default=None))] if early else []
        cells += [_cell(shares[row].get(name)) for name in late]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    if len(worst) > rows:
        lines.append(f"\n{len(worst) - rows} more rows have no lower share than these.")
    return "\n".join(lines)


def _cell(share: float | None) -> str:
    if share is None:
        return "·"
    if share >= 1:
        return "100"
    shade = "▓" if share < 0.5 else "▒"  # noqa: PLR2004 - a half
    return f"{shade} {math.floor(share * 1000) / 10:g}"


def _intervals(values: Sequence[float | None]) -> Iterator[list[_Point]]:
    """The lowest and the highest point of each interval, in order; an empty list for an interval without a value."""
    length = -(-len(values) // _INTERVALS) if len(values) > 2 * _INTERVALS else 1
    for start in range(0, len(values), length):
        points = [
            (start + offset, value)
            for offset, value in enumerate(values[start : start + length])
            if value is not None and math.isfinite(value)
        ]
        ends = {min(points, key=_height), max(points, key=_height)} if points else set()
        yield sorted(ends)


def _height(point: _Point) -> float:
    return point[1]


def _path(intervals: Iterable[list[_Point]], count: int, span: tuple[float, float], size: tuple[int, int]) -> str:
    """The line as SVG path data; an interval without a point interrupts the line."""
    (low, high), (width, height) = span, size
    across = (width - 2 * _MARGIN) / max(count - 1, 1)
    up = (height - 2 * _MARGIN) / (high - low) if high > low else 0.0
    floor = height - _MARGIN if high > low else height / 2
    drawn, pen_down = [], False
    for points in intervals:
        for index, value in points:
            drawn.append(f"{'L' if pen_down else 'M'}{_MARGIN + index * across:.1f} {floor - (value - low) * up:.1f}")
            pen_down = True
        if not points:
            pen_down = False
    return "".join(f"{step}h0" if step.startswith("M") else step for step in drawn)


_BLOCKS = "▁▂▃▄▅▆▇█"


def text_chart(values: Sequence[float | None], columns: int = 60) -> str:
    """The course of a series for a terminal, a character for each of some intervals: the mean of the interval.

    Args:
        values: evenly spaced; None and what is not finite is left out, and an interval without a value is a space.
        columns: number of characters at most.
    """
    length = max(1, -(-len(values) // columns))
    means: list[float | None] = []
    for start in range(0, len(values), length):
        known = [value for value in values[start : start + length] if value is not None and math.isfinite(value)]
        means.append(math.fsum(known) / len(known) if known else None)
    finite = [mean for mean in means if mean is not None]
    if not finite:
        return ""
    low, span = min(finite), max(finite) - min(finite)
    heights = (None if mean is None else round((mean - low) / span * 7) if span else 3 for mean in means)
    return "".join(" " if height is None else _BLOCKS[height] for height in heights).rstrip()
