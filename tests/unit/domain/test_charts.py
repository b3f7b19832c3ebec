"""Sparklines: valid images, nothing lost, nothing drawn where there is nothing."""

from __future__ import annotations

import base64
import math
import re
import xml.etree.ElementTree as ET

import pytest

from trading_platform.domain.charts import small_multiples, sparkline, text_chart


def points(chart: str) -> list[tuple[str, float, float]]:
    """The steps of the drawn path: ``M`` lifts the pen, ``L`` draws."""
    encoded = re.fullmatch(r"!\[[^\]]+\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", chart)
    assert encoded is not None
    root = ET.fromstring(base64.b64decode(encoded[1]))  # noqa: S314  our own text
    path = root.find("{http://www.w3.org/2000/svg}path")
    assert path is not None
    return [(step, float(x), float(y)) for step, x, y in re.findall(r"([ML])([\d.]+) ([\d.]+)", path.attrib["d"])]


def test_high_values_stand_above_low_ones() -> None:
    drawn = points(sparkline([1, 3, 2], width=100, height=50))
    assert [step for step, _, _ in drawn] == ["M", "L", "L"]
    assert [x for _, x, _ in drawn] == [2.0, 50.0, 98.0]
    assert [y for _, _, y in drawn] == [48.0, 2.0, 25.0], "SVG counts from the top"


def test_gaps_lift_the_pen() -> None:
    drawn = points(sparkline([1.0, 2.0, None, math.nan, math.inf, 2.0, 1.0]))
    assert [step for step, _, _ in drawn] == ["M", "L", "M", "L"]


def test_a_spike_survives_thinning() -> None:
    values = [0.0] * 100_000
    values[77_777] = 1.0
    chart = sparkline(values, height=50)
    assert min(y for _, _, y in points(chart)) == 2.0
    assert len(chart) < 12_000


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0, 5.0]])
def test_a_flat_line_runs_through_the_middle(values: list[float]) -> None:
    assert {y for _, _, y in points(sparkline(values, height=50))} == {25.0}


@pytest.mark.parametrize("values", [[], [None, math.nan]])
def test_nothing_to_draw(values: list[float | None]) -> None:
    assert sparkline(values) == "nothing to draw"


def test_the_course_of_a_series_as_text() -> None:
    assert text_chart([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert text_chart([1.0, None, math.nan, 8.0, math.inf]) == "▁  █"
    assert text_chart([5.0] * 3) == "▄▄▄"
    assert text_chart([None, math.nan]) == ""
    assert text_chart([]) == ""
    assert text_chart(range(1_000), 10) == "▁▂▃▃▄▅▆▆▇█"
    assert len(text_chart(range(1_001), 60)) <= 60


def test_several_series_are_one_picture_with_their_names() -> None:
    drawn = small_multiples(
        {"a": [1.0, 2.0, None, 1.0], "empty": [None], "b": [3.0] * 12, "c": [0.0, math.nan]}, columns=2
    )
    found = re.fullmatch(r"!\[a, b, c\]\(data:image/svg\+xml;base64,(.+)\)", drawn)
    assert found is not None
    picture = ET.fromstring(base64.b64decode(found[1]))  # noqa: S314  our own text
    panels = list(picture)
    assert [panel[0].text for panel in panels] == ["a", "b", "c"]
    assert [panel.attrib["transform"] for panel in panels] == ["translate(0 0)", "translate(120 0)", "translate(0 42)"]
    assert panels[0][1].attrib["d"].count("M") == 2, "a gap lifts the pen"
    assert len(small_multiples({f"feature_{number}": [1.0, 2.0] * 6 for number in range(15)})) < 8_000
    assert small_multiples({"a": [None]}) == "nothing to draw"
