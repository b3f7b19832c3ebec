"""Great Expectations: suites over stored bars, features and news, with Data Docs that a person reads in a browser.

They profile whole tables and keep each result; the rules that stop a run are in the modules beside
(:mod:`trading_platform.workflows.quality.suites.verify`). The library is the optional extra ``quality`` and is loaded
only here; its analytics are off. docs/decisions/0070-great-expectations.md has the reasons.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl

from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.stores.stores import Stores

_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
)
YEAR, MONTH = timedelta(days=366), timedelta(days=30)

Suite = tuple[tuple[str, dict[str, Any]], ...]
"""Names of expectations with their arguments."""

_PRICES: Suite = tuple(
    ("ExpectColumnValuesToBeBetween", {"column": name, "min_value": 0, "strict_min": True})
    for name in ("open", "high", "low", "close")
)
SUITES: dict[str, Suite] = {
    "ohlcv_1d": (
        *_PRICES,
        ("ExpectColumnValuesToBeBetween", {"column": "volume", "min_value": 0}),
        ("ExpectColumnValuesToNotBeNull", {"column": "close"}),
        ("ExpectCompoundColumnsToBeUnique", {"column_list": ["symbol", "time"]}),
        (
            "ExpectColumnValuesToBeInSet",
            {"column": "quality", "value_set": ["traded", "no_trade", "repaired", "review"]},
        ),
        ("ExpectColumnPairValuesAToBeGreaterThanB", {"column_A": "high", "column_B": "low", "or_equal": True}),
    ),
    "features": (
        ("ExpectCompoundColumnsToBeUnique", {"column_list": ["symbol", "time"]}),
        ("ExpectColumnValuesToNotBeNull", {"column": "available_at"}),
        ("ExpectColumnPairValuesAToBeGreaterThanB", {"column_A": "available_at", "column_B": "time"}),
    ),
    "raw_news": (
        ("ExpectColumnValuesToNotBeNull", {"column": "title"}),
        ("ExpectColumnValueLengthsToBeBetween", {"column": "title", "min_value": 1}),
        ("ExpectColumnValuesToNotBeNull", {"column": "available_at"}),
    ),
}
"""The suite of each asset."""


@dataclass(frozen=True)
class Outcome:
    """Result of a suite.

    Attributes:
        rows: number of rows it was run over.
        failed: a description of each expectation that does not hold, with the number of values.
        page: the Data Docs; None if the suite was not run.
        note: why it was not run.
    """

    rows: int
    failed: tuple[str, ...] = ()
    page: Path | None = None
    note: str | None = None


def is_installed() -> bool:
    """Whether the extra ``quality`` is installed; loads nothing."""
    return find_spec("great_expectations") is not None


def run_suite(stores: Stores, asset: str, folder: Path, *, clock: Clock) -> Outcome:
    """Runs the suite of an asset over its last year (of news, its last month), and builds the Data Docs.

    Args:
        stores: the stores to read from.
        asset: a key of :data:`SUITES`.
        folder: where Great Expectations keeps its results and pages.
        clock: the present, the end of the rows that are read.
    """
    if not is_installed():
        return Outcome(0, note="Great Expectations is not installed: pip install 'trading-platform[quality]'.")
    frame = _rows(stores, asset, clock)
    if frame.is_empty():
        return Outcome(0, note="Nothing is stored of the time that the suite reads.")
    return validate(asset, frame, folder)


def validate(asset: str, frame: pl.DataFrame, folder: Path) -> Outcome:
    """Runs a suite over a frame, keeps the result and builds the Data Docs; needs the extra ``quality``."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the library is imported
    import great_expectations as gx
    from great_expectations import expectations

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    context = gx.get_context(mode="file", project_root_dir=folder)
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_or_update_pandas(asset)
    batch = source.add_dataframe_asset(asset).add_batch_definition_whole_dataframe("stored")
    wanted = [getattr(expectations, name)(**arguments) for name, arguments in SUITES[asset]]
    suite = context.suites.add_or_update(gx.ExpectationSuite(asset, expectations=wanted))
    definition = gx.ValidationDefinition(name=asset, data=batch, suite=suite)
    validation = context.validation_definitions.add_or_update(definition)
    found = validation.run(batch_parameters={"dataframe": _as_pandas(frame)})
    context.build_data_docs()
    failed = tuple(_words(result) for result in found.results if not result.success)
    site = folder / "gx" / "uncommitted" / "data_docs" / "local_site"
    _keep_at_home(site)
    return Outcome(frame.height, failed, site / "index.html")


def _keep_at_home(site: Path) -> None:
    """Forbids the pages to load anything: they name a picture of the vendor's with an id, and scripts of six hosts."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if _POLICY not in text:
            page.write_text(text.replace("<head>", f"<head>{_POLICY}", 1), encoding="utf-8")


def _rows(stores: Stores, asset: str, clock: Clock) -> pl.DataFrame:
    now = clock()
    symbols = list(stores.instruments.all())
    if asset == "ohlcv_1d":
        return stores.bars.read(symbols, Timeframe.D1, Window(now - YEAR, now))
    if asset == "features":
        return stores.features.read(symbols, Window(now - YEAR, now))
    return stores.sentiment.articles(None, Window(now - MONTH, now), now)


def _as_pandas(frame: pl.DataFrame) -> Any:
    """The frame with floats for decimals: the expectations compare, and nothing of it is stored."""
    decimals = [name for name, kind in frame.schema.items() if kind.is_decimal()]
    floats = frame.with_columns(pl.col(decimals).cast(pl.Float64))
    return floats.to_pandas()


def _words(result: Any) -> str:
    configuration = result.expectation_config
    columns = [str(value) for name, value in configuration.kwargs.items() if name.startswith("column")]
    return f"{configuration.type} of {', '.join(columns)}: {result.result.get('unexpected_count', 'not evaluated')}"
