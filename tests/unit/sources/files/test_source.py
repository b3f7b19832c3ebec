"""The landing area and the source that reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import Instrument, guess_instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.landing import Kept, LandingArea
from trading_platform.sources.files.source import LONGEST_GAP, FileSource

KO = guess_instrument("KO", "file")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def bars_at(times: list[datetime], price: str, timeframe: Timeframe = Timeframe.D1) -> pl.DataFrame:
    rows = [(time, "KO", timeframe.value, *[Decimal(price)] * 4, None, "file", "traded") for time in times]
    return pl.DataFrame(rows, schema=BAR_SCHEMA, orient="row")


def keep(landing: LandingArea, bars: pl.DataFrame, name: str, *, options: str = "", span: Window | None = None) -> Kept:
    timeframe = Timeframe.parse(bars["timeframe"][0])
    first, last = bars["time"].min(), bars["time"].max()
    return landing.keep(
        bars,
        sha256=name,
        symbol="KO",
        timeframe=timeframe,
        span=span or Window(first, last + timeframe.duration),  # type: ignore[arg-type,operator]
        options=options,
        clock=lambda: at("2024-01-01"),
    )


def days(first: str, count: int) -> list[datetime]:
    return [at(first) + timedelta(days=day) for day in range(count)]


YEAR = Window(at("2020-01-01"), at("2021-01-01"))


def test_nothing_imported_is_no_reach_and_no_answer(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "imports")
    assert source.available_history(KO, Timeframe.D1) == ()
    response = source.bars(KO, Timeframe.D1, YEAR)
    assert response.bars.is_empty()
    assert response.bars.schema == pl.Schema(BAR_SCHEMA)
    assert response.answered == ()


def test_bars_come_back_as_they_were_kept(tmp_path: Path) -> None:
    kept = bars_at(days("2020-03-01", 5), "10.12345678")
    keep(LandingArea(tmp_path), kept, "a")
    source = FileSource(tmp_path)
    assert source.available_history(KO, Timeframe.D1) == (Window(at("2020-03-01"), at("2020-03-06")),)
    response = source.bars(KO, Timeframe.D1, YEAR)
    assert response.bars.equals(kept)
    assert response.answered == (Window(at("2020-03-01"), at("2020-03-06")),)
    assert response.rejected.is_empty()
    part = source.bars(KO, Timeframe.D1, Window(at("2020-03-02"), at("2020-03-04")))
    assert part.bars["time"].to_list() == days("2020-03-02", 2)
    assert part.answered == (Window(at("2020-03-02"), at("2020-03-04")),)
    assert source.available_history(KO, Timeframe.M1) == ()


def test_the_file_imported_last_wins_whatever_its_name(tmp_path: Path) -> None:
    for names in (("a", "b"), ("d", "c")):
        landing = LandingArea(tmp_path / names[0])
        keep(landing, bars_at(days("2020-03-01", 5), "10"), names[0])
        keep(landing, bars_at(days("2020-03-03", 5), "20"), names[1])
        bars = FileSource(tmp_path / names[0]).bars(KO, Timeframe.D1, YEAR).bars
        assert bars["time"].to_list() == days("2020-03-01", 7)
        assert bars["close"].to_list() == [Decimal(10)] * 2 + [Decimal(20)] * 5


def test_same_content_changes_nothing_and_other_options_replace_it(tmp_path: Path) -> None:
    landing = LandingArea(tmp_path)
    bars = bars_at(days("2020-03-01", 2), "10")
    assert keep(landing, bars, "a") is Kept.NEW
    (path,) = tmp_path.rglob("*.parquet")
    before = (path.stat().st_mtime_ns, path.read_bytes())
    assert keep(LandingArea(tmp_path), bars, "a") is Kept.UNCHANGED
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    source = FileSource(tmp_path)
    assert source.bars(KO, Timeframe.D1, YEAR).bars["close"][0] == Decimal(10)
    assert keep(landing, bars_at(days("2020-03-01", 2), "30"), "a", options="ask") is Kept.REPLACED
    assert source.bars(KO, Timeframe.D1, YEAR).bars["close"][0] == Decimal(30)
    assert [found.name for found in tmp_path.rglob("*") if found.is_file()] == ["a.parquet"]


def test_intraday_recordings_far_apart_are_answered_for_one_by_one(tmp_path: Path) -> None:
    first, second = at("2020-03-02T10:00"), at("2020-03-05T09:00")
    later = second + LONGEST_GAP + timedelta(days=2)
    keep(LandingArea(tmp_path), bars_at([first, second, later], "10", Timeframe.M1), "a")
    source = FileSource(tmp_path)
    response = source.bars(KO, Timeframe.M1, YEAR)
    before, after = response.answered
    assert first in before
    assert second in before
    assert later in after
    assert before.end < after.start
    assert source.available_history(KO, Timeframe.M1) == response.answered
    assert response.note is not None


def test_hole_inside_a_recording_is_proven_empty(tmp_path: Path) -> None:
    times = [at("2020-03-02T10:00"), at("2020-03-02T23:59")]
    keep(LandingArea(tmp_path), bars_at(times, "10", Timeframe.M1), "a")
    gap = Window(at("2020-03-02T12:00"), at("2020-03-02T13:00"))
    response = FileSource(tmp_path).bars(KO, Timeframe.M1, gap)
    assert response.bars.is_empty()
    assert response.answered == (gap,)
    assert response.note is None


def test_a_file_that_speaks_for_a_whole_day_answers_for_it(tmp_path: Path) -> None:
    bars = bars_at([at("2020-03-02T10:00")], "10", Timeframe.M1)
    day = Window(at("2020-03-02"), at("2020-03-03"))
    keep(LandingArea(tmp_path), bars, "a", span=day)
    assert FileSource(tmp_path).bars(KO, Timeframe.M1, YEAR).answered == (day,)


def test_damaged_landing_is_a_clear_error(tmp_path: Path) -> None:
    keep(LandingArea(tmp_path), bars_at(days("2020-03-01", 2), "10"), "a")
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StoreError, match="import the original file again"):
        FileSource(tmp_path).bars(KO, Timeframe.D1, YEAR)


def test_landing_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "symbol=KO").write_text("in the way")
    with pytest.raises(StoreError):
        keep(LandingArea(tmp_path), bars_at(days("2020-03-01", 2), "10"), "a")
    assert [path.name for path in tmp_path.iterdir()] == ["symbol=KO"]


def test_symbols_do_not_mix(tmp_path: Path) -> None:
    keep(LandingArea(tmp_path), bars_at(days("2020-03-01", 2), "10"), "a")
    other: Instrument = guess_instrument("KOF", "file")
    assert FileSource(tmp_path).available_history(other, Timeframe.D1) == ()
