"""Total return across a gap in the bars: the close before a dividend is the stored one, else the one of its source."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.errors import QualityError
from trading_platform.domain.market.adjustment import Adjustment
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.checks import Scope
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.corporate_actions.adjust import adjusted_bars
from trading_platform.workflows.corporate_actions.import_actions import import_actions
from trading_platform.workflows.quality.check_results import Status
from trading_platform.workflows.quality.suites.verify import verify_asset

NOW = datetime(2015, 1, 1, tzinfo=UTC)
WHOLE = Window(datetime(2004, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC))


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        yield opened


def store(stores: Stores, symbol: str, lacking: Window) -> Instrument:
    """Bars at a close of 100 in every session outside of a gap."""
    instrument = Instrument(symbol, AssetClass.ETF, "XNYS", "file")
    stores.instruments.add(instrument)
    times = sessions("XNYS", WHOLE)["session"].alias("time")
    bars = times.to_frame().filter(~pl.col("time").is_between(lacking.start, lacking.end, closed="left"))
    frame = bars.with_columns(
        symbol=pl.lit(symbol),
        timeframe=pl.lit("1d"),
        **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.lit(100)),
        source=pl.lit("file"),
        quality=pl.lit("traded"),
    ).select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())
    with stores.database.begin() as connection:
        stores.bars.replace(connection, symbol, Timeframe.D1, WHOLE, frame)
    return instrument


def first_close(stores: Stores, instrument: Instrument) -> Decimal:
    bars = stores.bars.read([instrument.symbol], Timeframe.D1, WHOLE)
    universe = {instrument.symbol: instrument}
    adjusted = adjusted_bars(stores, bars, universe, Timeframe.D1, Adjustment.TOTAL_RETURN, NOW)
    close: Decimal = adjusted["close"][0]
    return close


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


YEARS = Window(day("2004-12-01"), day("2011-03-23"))


def test_a_factor_file_has_the_closes_of_missing_years(stores: Stores, tmp_path: Path) -> None:
    """Two dividends in the gap, at reference closes of 40 and 50, one outside at the stored close of 100."""
    instrument = store(stores, "FUND", YEARS)
    steps = [(1 - Decimal("0.4") / 40), (1 - Decimal("0.5") / 50), (1 - Decimal(1) / 100)]
    factors = [steps[0] * steps[1] * steps[2], steps[1] * steps[2], steps[2], Decimal(1)]
    rows = zip(("20070614", "20090319", "20120914", "20501231"), factors, (40, 50, 100, 0), strict=True)
    file = tmp_path / "fund.csv"
    file.write_text("".join(f"{date},{factor:.7f},1,{close}\n" for date, factor, close in rows))
    (imported,) = import_actions(stores, [file], "FUND", clock=lambda: NOW)
    assert (imported.dividends, imported.quarantined) == (3, 0)
    assert first_close(stores, instrument) == pytest.approx(100 * factors[0], abs=Decimal("1e-5"))
    (found,) = verify_asset(
        stores, {}, "corporate_actions", [Scope(("FUND",))], clock=lambda: NOW, only={"valid_terms"}
    )
    assert found.status is Status.PASSED


def test_a_session_or_two_are_a_gap_too(stores: Stores, tmp_path: Path) -> None:
    """The close of two sessions before is not the close before: the table states that one."""
    instrument = store(stores, "SHORT", Window(day("2010-06-16"), day("2010-06-18")))
    file = tmp_path / "actions.csv"
    file.write_text("symbol,ex_date,kind,amount,close_before\nSHORT,2010-06-18,dividend,2,80\n")
    import_actions(stores, [file], None, clock=lambda: NOW)
    assert first_close(stores, instrument) == Decimal("97.5")


def test_the_stored_close_of_the_session_before_comes_first(stores: Stores, tmp_path: Path) -> None:
    instrument = store(stores, "STORED", YEARS)
    file = tmp_path / "actions.csv"
    file.write_text("symbol,ex_date,kind,amount,close_before\nSTORED,2012-06-18,dividend,2,80\n")
    import_actions(stores, [file], None, clock=lambda: NOW)
    assert first_close(stores, instrument) == Decimal(98)


def test_without_any_close_the_read_is_an_error_that_says_what_helps(stores: Stores, tmp_path: Path) -> None:
    instrument = store(stores, "NONE", YEARS)
    file = tmp_path / "actions.csv"
    file.write_text("symbol,ex_date,kind,amount\nNONE,2008-06-18,dividend,2\n")
    import_actions(stores, [file], None, clock=lambda: NOW)
    with pytest.raises(QualityError, match="2008-06-18") as caught:
        first_close(stores, instrument)
    assert "factor file" in str(caught.value)


def test_a_split_on_the_day_of_the_dividend_counts_for_the_stated_close(stores: Stores, tmp_path: Path) -> None:
    instrument = store(stores, "BOTH", YEARS)
    file = tmp_path / "actions.csv"
    file.write_text(
        "symbol,ex_date,kind,ratio,amount,close_before\nBOTH,2008-06-18,split,2:1,,\nBOTH,2008-06-18,dividend,,1,40\n"
    )
    import_actions(stores, [file], None, clock=lambda: NOW)
    assert first_close(stores, instrument) == Decimal(100) / 2 * (1 - Decimal(1) / 20)
