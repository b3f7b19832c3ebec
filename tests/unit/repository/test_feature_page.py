"""The table of docs/features.md is the one that the declarations give."""

from __future__ import annotations

import os
import re
from pathlib import Path

from trading_platform.domain.features.built_in import BUILT_IN

PAGE = Path(__file__).parents[3] / "docs" / "features.md"
BEGIN, END = "<!-- features: begin -->\n", "<!-- features: end -->\n"


def table() -> str:
    """A row for each feature, from its declaration."""
    lines = ["| name | meaning | formula | computed from | warm-up, bars |", "|---|---|---|---|---:|"]
    for each in BUILT_IN.features.values():
        meaning = f"{each.description}. {each.awaits[0].upper()}{each.awaits[1:]}" if each.awaits else each.description
        cells = (each.name, meaning, each.formula, ", ".join(each.dependencies), str(each.warm_up))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def test_the_table_is_that_of_the_declarations() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = re.search(f"{re.escape(BEGIN)}(.*?){re.escape(END)}", page, re.DOTALL)
    assert found is not None
    if os.environ.get("TEST_WRITE_FEATURE_PAGE"):
        PAGE.write_text(page[: found.start(1)] + table() + page[found.end(1) :], encoding="utf-8")
        return
    assert found[1] == table(), "TEST_WRITE_FEATURE_PAGE=1 writes the table again"
