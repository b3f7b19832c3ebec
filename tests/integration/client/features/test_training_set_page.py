"""The examples on the page about training sets run, and give what the page says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from feature_rows import rows

from trading_platform.client.market_data import MarketData
from trading_platform.domain.features.point_in_time import NullReason
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Window, utc_now
from trading_platform.stores.stores import Stores, open_stores

PAGE = (Path(__file__).parents[4] / "docs" / "training-sets.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
YEARS = Window(datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features") as opened:
        for symbol, value in (("SPY", 60.0), ("AAPL", 40.0)):
            opened.instruments.add(Instrument(symbol, AssetClass.EQUITY, "XNYS", "file"))
            opened.features.replace(rows(YEARS, symbol, value), symbol, YEARS)
        yield opened


def test_the_examples_run(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"platform": MarketData(stores, utc_now)}
    found = []
    for block in BLOCKS:
        exec(compile(block, "docs/training-sets.md", "exec"), names)  # noqa: S102 - the page's own code
        found.append(names["training"])
    assert [frame["rsi_14"].to_list() for frame in found] == [[60.0, 40.0, None]] * len(BLOCKS)
    assert found[0].columns == ["symbol", "time", "profit", "rsi_14", "returns_5d"]
    assert names["why"].to_list() == [None, None, "no_row_yet"]
    assert names["rows"] == 3
    assert pl.read_parquet("training.parquet")["rsi_14"].to_list() == [60.0, 40.0, None]


def test_every_reason_is_on_the_page() -> None:
    table = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert table == [reason.value for reason in NullReason]
