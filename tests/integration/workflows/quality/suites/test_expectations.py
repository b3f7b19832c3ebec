"""The suites of Great Expectations: what they find, that nothing leaves, where it is loaded."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

LOADED = """
import sys
import trading_platform.definitions
print([name for name in ("great_expectations", "pandas") if name in sys.modules])
"""

RUN = """
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl

asked = []
network = ("socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda event, given: asked.append(event) if event in network else None)

from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.workflows.quality.suites.expectations import validate

folder = Path(sys.argv[1])
start = datetime(2024, 5, 1, tzinfo=UTC)
prices = [Decimal(close) for close in (10, 11, 12)]
rows = [
    (start + timedelta(days=day), "AAA", "1d", close, close, close, close, Decimal(1), "file", "traded")
    for day, close in enumerate(prices)
]
good = pl.DataFrame(rows, schema=BAR_SCHEMA, orient="row")
first = validate("ohlcv_1d", good, folder)
opened = pl.when(pl.col("close") == 11).then(pl.lit(Decimal(0))).otherwise("open")
zero = good.with_columns(open=opened.cast(good["open"].dtype))
second = validate("ohlcv_1d", zero, folder)
print((first.rows, first.failed, second.failed, asked))
pages = [page.read_text() for page in second.page.parent.rglob("*.html")]
print(len(list(folder.rglob("validations/**/*.html"))), all("<head><meta http-equiv=" in page for page in pages))
"""


def python(code: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_definitions_load_neither_great_expectations_nor_pandas() -> None:
    assert python(LOADED) == ["[]"]


@pytest.mark.exhaustive
@pytest.mark.skipif(find_spec("great_expectations") is None, reason="the extra quality is not installed")
def test_a_suite_finds_what_is_wrong_keeps_pages_and_asks_no_server(tmp_path: Path) -> None:
    found, pages = python(RUN, str(tmp_path))[-2:]
    assert found == "(3, (), ('expect_column_values_to_be_between of open: 1',), [])"
    assert pages == "2 True"
