"""Splits and dividends through the real command, database, feature files and client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from commands import Installation, installation, rows
from dagster import AssetKey, DagsterInstance, RunRequest, build_sensor_context
from split_years import (
    MINUTES,
    OCTOBER,
    SPLIT,
    SYMBOLS,
    YEARS,
    derive,
    differing,
    dividend,
    features_of,
    loads_across,
    split,
)
from typer.testing import CliRunner
from yahoo_server import Listing, running_yahoo

from trading_platform.cli.main import app
from trading_platform.client import Platform
from trading_platform.definitions import build_definitions
from trading_platform.domain.errors import InvalidRequest, QualityError
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.market.bars import PRICES
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.time import Timeframe, Window
from trading_platform.embedded.stack import Endpoints
from trading_platform.partitions import symbols as symbol_partitions
from trading_platform.resources.platform import PlatformContext, open_platform
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.yahoo.client import YahooClient
from trading_platform.sources.yahoo.source import YahooSource
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.backfill.plan_backfill import available_history_of, unfinished_partitions
from trading_platform.workflows.derived.build_features import build_features, stale_features
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of, stale_indicators
from trading_platform.workflows.imports.import_files import import_files
from trading_platform.workflows.quality.check_results import CheckResult, Severity, Status
from trading_platform.workflows.quality.suites.verify import verify_asset


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


@pytest.fixture(scope="module")
def platform(ours: Installation, test_data: Path) -> Iterator[PlatformContext]:
    """Nine years of raw daily bars of a share, a peer and a benchmark, with features that know of no split."""
    with open_platform(ours.settings()) as opened:
        import_files(
            [*(test_data / "daily" / f"{symbol}_lean_daily.csv" for symbol in SYMBOLS), test_data / MINUTES],
            ImportOptions(),
            landing=LandingArea(ours.settings().imports_directory),
            quarantine=opened.stores.quarantine,
            coverage=opened.stores.coverage,
            instruments=opened.stores.instruments,
            clock=opened.clock,
        )
        for instrument in opened.instruments(SYMBOLS):
            sector = None if instrument.symbol == "SPY" else "tech"
            opened.stores.instruments.add(replace(instrument, sector=sector, benchmark="SPY"))
        instruments = opened.instruments(SYMBOLS)
        backfill_bars(opened.stores, opened.sources, instruments, Timeframe.D1, YEARS, clock=opened.clock)
        spy = opened.instruments(["SPY"])
        backfill_bars(opened.stores, opened.sources, spy, Timeframe.M1, [OCTOBER], clock=opened.clock)
        derive(opened)
        yield opened


@pytest.mark.exhaustive
def test_a_split_stored_later_makes_exactly_what_it_touches_again(platform: PlatformContext) -> None:
    before = features_of(platform)
    assert derive(platform) == (set(), set())
    assert platform.stores.corporate_actions.save([split("AAPL", SPLIT, 7)], platform.clock()).changed
    universe = platform.stores.instruments.all()
    stale = {
        (symbol, window.start.year)
        for symbol, windows in stale_features(platform.stores, universe, SYMBOLS, YEARS).items()
        for window in windows
    }
    own = {("AAPL", year) for year in loads_across(platform, "AAPL", BUILT_IN.warm_up, SPLIT)}
    assert own == {("AAPL", year) for year in (2014, 2015, 2016, 2017)}
    assert stale == own | {("IWM", 2014)}, "of its peer, the year that has the split within twenty bars"
    touched = {
        (symbol, window.start.year)
        for symbol, windows in stale_indicators(platform.stores, SYMBOLS, Timeframe.D1, YEARS).items()
        for window in windows
    }
    assert touched == own

    available = [
        available_history_of(platform.stores, platform.sources, one, Timeframe.D1, platform.clock)
        for one in universe.values()
    ]
    asked = Window(YEARS[0].start, YEARS[-1].end)
    plan = unfinished_partitions(platform.stores, platform.sources, list(filter(None, available)), asked, force=False)
    planned = {(symbol, window.start.year) for symbol, windows in plan.items() for window in windows}
    assert planned == stale, "what `backfill` would do"

    made, indicators = derive(platform)
    assert {(symbol, window.start.year) for symbol, window in made} == stale
    assert {(symbol, window.start.year) for symbol, window in indicators} == own
    assert derive(platform) == (set(), set())

    after = features_of(platform)
    assert differing(before, after, list(BUILT_IN.names), 1e-9) <= stale
    assert {("AAPL", 2014), ("AAPL", 2015), ("IWM", 2014)} <= differing(before, after, list(BUILT_IN.names), 1e-9)
    untouched = [(symbol, time.year) not in stale for symbol, time in after.select("symbol", "time").iter_rows()]
    assert after.filter(untouched).equals(before.filter(untouched))
    until = (pl.col("time") < SPLIT) & (pl.col("symbol") == "AAPL")
    assert after.filter(until).equals(before.filter(until)), "no look-ahead: rows before the split are as they were"

    build_features(platform.stores, universe, SYMBOLS, YEARS, clock=platform.clock, force=True)
    assert differing(after, features_of(platform), list(BUILT_IN.names), 1e-9) == set()
    (jump,) = after.filter((pl.col("time") == SPLIT) & (pl.col("symbol") == "AAPL"))["returns_1d"]
    assert jump == pytest.approx(93.70 * 7 / 645.57 - 1, abs=1e-4)


@pytest.mark.exhaustive
def test_the_same_split_again_makes_nothing_stale_and_none_undoes_it(platform: PlatformContext) -> None:
    saved = platform.stores.corporate_actions.save([split("AAPL", SPLIT, 7)], platform.clock())
    assert (len(saved.changed), len(saved.kept)) == (0, 1)
    assert derive(platform) == (set(), set())
    before = features_of(platform)
    benchmark = split("SPY", datetime(2016, 12, 28, tzinfo=UTC), 2)
    platform.stores.corporate_actions.save([benchmark], platform.clock())
    made, _ = derive(platform)
    years = {(symbol, window.start.year) for symbol, window in made}
    assert {year for symbol, year in years if symbol == "AAPL"} == {2016, 2017}, "as far as sixty pairs may reach"
    assert platform.stores.corporate_actions.remove("SPY", benchmark.ex_date, ActionKind.SPLIT)
    assert not platform.stores.corporate_actions.remove("SPY", benchmark.ex_date, ActionKind.SPLIT)
    force, _ = derive(platform)
    assert force == made
    assert differing(before, features_of(platform), list(BUILT_IN.names), 1e-9) == set()


def test_what_a_person_imported_no_vendor_overwrites(platform: PlatformContext) -> None:
    vendor = CorporateAction("AAPL", SPLIT, ActionKind.SPLIT, SPLIT, "yahoo", ratio=Fraction(6))
    store = platform.stores.corporate_actions
    store.save([split("AAPL", SPLIT, 7)], platform.clock())
    assert store.save([vendor], platform.clock()).kept == (vendor,)
    assert store.splits(["AAPL"]) == {"AAPL": [(SPLIT, Fraction(7))]}
    corrected = split("AAPL", SPLIT, 6)
    assert store.save([corrected], platform.clock()).changed == (corrected,)
    assert store.save([split("AAPL", SPLIT, 7)], platform.clock()).changed


# --- the command and the client ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


Command = Callable[..., Said]


@pytest.fixture(scope="module")
def command(ours: Installation, platform: PlatformContext) -> Command:
    """The command line in this process, which has loaded what each process of its own would load again."""
    assert platform.stores.instruments.get("AAPL")

    def run(*arguments: str | Path, more: Mapping[str, str | None] | None = None) -> Said:
        found = CliRunner().invoke(app, [str(argument) for argument in arguments], env=ours.environment(more))
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Said(found.exit_code, found.stdout)

    return run


@pytest.fixture(scope="module")
def client(ours: Installation, command: Command, test_data: Path) -> Iterator[Platform]:
    """A client of a platform that has imported a factor file."""
    file = test_data / "daily" / "corporate_actions" / "aapl_factor_file.csv"
    (said,) = command("actions", "import", file, "--symbol", "AAPL", "--json").json
    assert (said["rows"], said["splits"], said["dividends"], said["quarantined"]) == (41, 4, 35, 0)
    with Platform.connect(ours.settings()) as connected:
        yield connected


def test_importing_again_changes_nothing(client: Platform, command: Command, test_data: Path) -> None:
    assert client.corporate_actions("AAPL").height == 39
    file = test_data / "daily" / "corporate_actions" / "aapl_factor_file.csv"
    assert command("actions", "import", file, "-s", "aapl", "--json").json[0]["changed"] == 0
    listed = command("actions", "list", "AAPL", "--json").json
    assert [action["ratio"] for action in listed if action["kind"] == "split"] == ["2:1", "2:1", "7:1", "4:1"]


def test_refused_rows_are_quarantined_with_their_reason(command: Command, ours: Installation, tmp_path: Path) -> None:
    table = tmp_path / "actions.csv"
    table.write_text("symbol,ex_date,kind,ratio,amount\nIWM,2005-06-09,split,2:1,\nIWM,2005-06-10,split,0:1,\n")
    found = command("actions", "import", table)
    assert found.code == 0
    assert "out of range" in found.text
    reasons = rows(ours.database_url, "SELECT reason, line FROM market_data.quarantine WHERE origin = %s", [str(table)])
    assert reasons == [("out_of_range", 3)]
    table.write_text("a,b\n1,2\n")
    assert command("actions", "import", table).code == 1
    assert command("actions", "remove", "IWM", "2005-06-09", "split").code == 0
    with pytest.raises(InvalidRequest, match="corporate-actions list IWM"):
        command("actions", "remove", "IWM", "2005-06-09", "split")


def test_the_client_reads_what_the_vendor_shows(client: Platform, test_data: Path) -> None:
    vendor = pl.read_csv(test_data / "daily" / "AAPL_2004-2018_yahoo.csv").select(
        time=pl.col("Date").str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC"),
        close="Close",
        total="Adj Close",
    )
    window = ("AAPL", "1d", "2010-01-01", "2018-01-20")
    for adjust, column, tolerance in (("split", "close", 4e-6), ("total_return", "total", 5e-4)):
        bars = client.bars(*window, adjust=adjust, as_of="2018-01-20").join(vendor, on="time", suffix="_theirs")
        theirs = "close_theirs" if column == "close" else column
        ratio = bars.select(pl.col("close").cast(pl.Float64) / pl.col(theirs))["close"]
        assert bars.height > 2000
        assert ratio.median() == pytest.approx(1, abs=tolerance)
    now = client.bars(*window, adjust="split").join(vendor, on="time", suffix="_theirs")
    ratio = now.select(pl.col("close").cast(pl.Float64) / pl.col("close_theirs"))["close"]
    assert ratio.median() == pytest.approx(0.25, abs=1e-6)
    assert 0.2467 - 5e-5 <= ratio.min() <= ratio.max() <= 0.2526 + 5e-5


def test_as_of_a_day_before_a_split_there_is_no_trace_of_it(client: Platform) -> None:
    raw = client.bars("AAPL", "1d", "2010-01-01", "2018-01-01", as_of="2014-06-07")
    assert raw["time"].max() == datetime(2014, 6, 6, tzinfo=UTC)
    assert client.bars("AAPL", "1d", "2010-01-01", "2018-01-01", adjust="split", as_of="2014-06-07").equals(raw)
    assert not client.bars("AAPL", "1d", "2010-01-01", "2018-01-01", "split", "2014-06-10").head(9).equals(raw.head(9))


def test_the_last_bars_and_files_are_adjusted_too(client: Platform, command: Command, tmp_path: Path) -> None:
    raw, adjusted = (client.last_bars(["AAPL", "SPY"], "1d", 5, adjust=adjust) for adjust in ("raw", "split"))
    for name in PRICES:
        quarter = raw.filter(pl.col("symbol") == "AAPL")[name].to_list()
        assert adjusted.filter(pl.col("symbol") == "AAPL")[name].to_list() == [value / 4 for value in quarter]
    assert adjusted.filter(pl.col("symbol") == "SPY").equals(raw.filter(pl.col("symbol") == "SPY"))
    file = tmp_path / "aapl.parquet"
    options = ["-s", "AAPL", "--start", "2014-01-01", "--end", "2015-01-01", "--adjust", "split"]
    assert command("export", "bars", file, *options).code == 0
    read = client.bars("AAPL", "1d", "2014-01-01", "2015-01-01", "split", "2015-01-01")
    assert pl.read_parquet(file).equals(read)


def test_intraday_bars_go_by_their_day_at_the_exchange(client: Platform, platform: PlatformContext) -> None:
    """A split and a dividend of 2013-10-08, whose trading before hours begins at 04:00 in New York."""
    ex, begins = datetime(2013, 10, 8, tzinfo=UTC), datetime(2013, 10, 8, 4, tzinfo=UTC)
    raw = client.bars("SPY", "1m", "2013-10-07", "2013-10-09")
    assert raw["time"].is_between(ex, begins).sum() == 0
    assert raw.filter(pl.col("time") < ex)["time"].max() > datetime(2013, 10, 7, 23, tzinfo=UTC), (
        "after hours of the 7th"
    )
    assert raw.filter(pl.col("time") > begins)["time"].min() < datetime(2013, 10, 8, 9, tzinfo=UTC), "before hours"
    stores = platform.stores
    assert compute_indicators_of(stores, ["SPY"], Timeframe.M1, [OCTOBER], clock=platform.clock).rows
    plain = stores.indicators.read(["SPY"], Timeframe.M1, OCTOBER)

    stores.corporate_actions.save([split("SPY", ex, 2), dividend("SPY", "2013-10-08", "1.5")], platform.clock())
    before = pl.col("time") < begins
    (close,) = client.bars("SPY", "1d", "2013-10-07", "2013-10-08")["close"]
    for adjust, factor in (("split", Decimal(1) / 2), ("total_return", (1 - Decimal("1.5") / (close / 2)) / 2)):
        found = client.bars("SPY", "1m", "2013-10-07", "2013-10-09", adjust=adjust)
        assert found.filter(~before).equals(raw.filter(~before))
        expected = [(price * factor).quantize(Decimal("1e-8"), ROUND_HALF_UP) for price in raw.filter(before)["close"]]
        assert found.filter(before)["close"].to_list() == expected
    assert client.bars("SPY", "1m", "2013-10-07", "2013-10-09", "split", begins).equals(
        client.bars("SPY", "1m", "2013-10-07", begins, "split")
    )

    assert compute_indicators_of(stores, ["SPY"], Timeframe.M1, [OCTOBER], clock=platform.clock).rows
    after = stores.indicators.read(["SPY"], Timeframe.M1, OCTOBER)
    assert after.filter(before).equals(plain.filter(before))
    opened = float(raw.filter(~before)["close"][0])
    naive, right = (frame.filter(~before)["sma_200"][0] for frame in (plain, after))
    assert right == pytest.approx((200 * naive - opened) / 2 / 200 + opened / 200, rel=1e-12), "199 old closes, halved"
    for kind in ActionKind:
        stores.corporate_actions.remove("SPY", ex, kind)


def test_actions_are_read_as_a_frame(client: Platform) -> None:
    found = client.corporate_actions("AAPL")
    assert found.height == 39
    assert found.filter(pl.col("kind") == "split")["new_shares"].to_list() == [2, 2, 7, 4]
    first = found.filter(pl.col("kind") == "dividend").row(0, named=True)
    assert (first["ex_date"], first["amount"]) == (datetime(2012, 8, 9, tzinfo=UTC), Decimal("2.65"))
    assert client.corporate_actions("NONE").is_empty()


def test_what_cannot_be_adjusted_is_said(client: Platform, platform: PlatformContext) -> None:
    with pytest.raises(InvalidRequest, match="raw, split, total_return"):
        client.last_bars("AAPL", "1d", 1, adjust="both")  # type: ignore[arg-type]
    wrong = CorporateAction(
        "SPY", datetime(2012, 6, 15, tzinfo=UTC), ActionKind.DIVIDEND, SPLIT, "file", amount=Decimal(500)
    )
    platform.stores.corporate_actions.save([wrong], platform.clock())
    with pytest.raises(QualityError, match="cannot be adjusted for its dividend of 500"):
        client.bars("SPY", "1d", "2012-01-01", "2013-01-01", adjust="total_return")
    assert client.bars("SPY", "1d", "2012-01-01", "2013-01-01", adjust="split").height == 250
    platform.stores.corporate_actions.remove("SPY", wrong.ex_date, ActionKind.DIVIDEND)


# --- checks -----------------------------------------------------------------------------------------------------------


def checked(platform: PlatformContext, name: str, asset: str = "corporate_actions") -> CheckResult:
    (found,) = verify_asset(platform.stores, platform.sources, asset, clock=platform.clock, only={name})
    return found


def offending(result: CheckResult) -> list[tuple[object, str]]:
    return [(row["symbol"], str(row["time"])[:10]) for row in result.sample]


@pytest.mark.parametrize(
    ("action", "check", "severity"),
    [
        (dividend("SPY", "2012-06-15", "500"), "valid_terms", Severity.ERROR),
        (split("IWM", datetime(2015, 1, 5, tzinfo=UTC), 2), "split_in_prices", Severity.ERROR),
        (dividend("SPY", "2012-06-16", "0.5"), "ex_date_is_session", Severity.WARN),
    ],
)
def test_an_action_that_cannot_be_right_is_found(
    client: Platform, platform: PlatformContext, action: CorporateAction, check: str, severity: Severity
) -> None:
    assert client.corporate_actions("AAPL").height == 39
    before = checked(platform, check)
    assert (before.status, before.rows_checked) == (Status.PASSED, 39)
    platform.stores.corporate_actions.save([action], platform.clock())
    found = checked(platform, check)
    assert (found.passed, found.severity, found.rows_checked) == (False, severity, 40)
    assert offending(found) == [(action.symbol, f"{action.ex_date:%Y-%m-%d}")]
    platform.stores.corporate_actions.remove(action.symbol, action.ex_date, action.kind)


def test_a_jump_needs_a_split_that_says_why(client: Platform, platform: PlatformContext) -> None:
    assert client.corporate_actions("AAPL").height == 39
    assert checked(platform, "price_jumps_explained").status is Status.PASSED, (
        "the bar of the split is marked for review"
    )
    store = platform.stores.corporate_actions
    for instead in (None, split("AAPL", SPLIT, 3)):
        store.remove("AAPL", SPLIT, ActionKind.SPLIT)
        store.save([instead] if instead else [], platform.clock())
        found = checked(platform, "price_jumps_explained")
        assert (found.status, offending(found)) == (Status.WARN, [("AAPL", "2014-06-09")])
        assert "-86 %" in str(found.sample[0]["detail"])
        to_look_at = checked(platform, "price_jump_review", "ohlcv_1d")
        assert ("AAPL", "2014-06-09") in offending(to_look_at)
    store.save([split("AAPL", SPLIT, 7)], platform.clock())
    left = checked(platform, "price_jump_review", "ohlcv_1d")
    assert ("AAPL", "2014-06-09") not in offending(left), "nobody has to look at what is explained"
    assert left.failing_rows == to_look_at.failing_rows - 1


# --- Dagster ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as opened:
        opened.add_dynamic_partitions(str(symbol_partitions.name), SYMBOLS)
        yield opened


def corners(request: RunRequest) -> tuple[str, ...]:
    return tuple(request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))


def tick(
    instance: DagsterInstance, platform: PlatformContext, cursor: str | None
) -> tuple[list[RunRequest], str | None]:
    definitions = build_definitions(resource_overrides={"platform": platform})
    context = build_sensor_context(instance, cursor=cursor, definitions=definitions, resources={"platform": platform})
    result = definitions.resolve_sensor_def("recompute_stale").evaluate_tick(context)
    return list(result.run_requests or ()), result.cursor


@pytest.mark.exhaustive
def test_dagster_makes_what_a_new_split_touches_again(
    client: Platform, platform: PlatformContext, instance: DagsterInstance
) -> None:
    assert client.corporate_actions("AAPL").height == 39
    derive(platform)
    requests, cursor = tick(instance, platform, None)
    assert requests == []
    assert tick(instance, platform, cursor) == ([], cursor)
    later = split("IWM", datetime(2018, 3, 5, tzinfo=UTC), 2)
    platform.stores.corporate_actions.save([later], platform.clock())
    requests, after = tick(instance, platform, cursor)
    assert after != cursor
    ranges = {corners(request) for request in requests}
    assert ranges == {("AAPL|2018", "IWM|2018")}, "its own year, and that of its peer"
    (request,) = requests
    job = build_definitions(resource_overrides={"platform": platform}).resolve_job_def("daily")
    result = job.execute_in_process(
        instance=instance, tags=request.tags, asset_selection=request.asset_selection, raise_on_error=False
    )
    assert result.success
    assert derive(platform) == (set(), set())
    assert instance.get_materialized_partitions(AssetKey("features")) == {"AAPL|2018", "IWM|2018"}
    platform.stores.corporate_actions.remove("IWM", later.ex_date, ActionKind.SPLIT)
    requests, _ = tick(instance, platform, after)
    assert {corners(request) for request in requests} == ranges, "taken out, it is undone"
    derive(platform)


def without_opens_of_iwm(document: dict[str, Any]) -> dict[str, Any]:
    (result,) = document["chart"]["result"]
    if result["meta"]["symbol"] == "IWM":
        del result["indicators"]["quote"][0]["open"]
    return document


def test_the_asset_asks_yahoo_and_keeps_what_was_imported(
    client: Platform, platform: PlatformContext, ours: Installation, instance: DagsterInstance, test_data: Path
) -> None:
    assert client.corporate_actions("AAPL").height == 39
    rows = pl.read_csv(test_data / "daily" / "AAPL_2004-2018_yahoo.csv").iter_rows()
    listed = [(datetime.fromisoformat(day).replace(tzinfo=UTC), *prices, float(last)) for day, *prices, _, last in rows]
    with running_yahoo() as yahoo:
        yahoo.listings["AAPL"] = Listing({"1d": listed}, {SPLIT: Fraction(6)}, {datetime(2010, 3, 5, tzinfo=UTC): 0.25})
        yahoo.listings["IWM"] = yahoo.listings["SPY"] = Listing({"1d": listed})
        yahoo.mood = without_opens_of_iwm
        source = YahooSource(YahooClient(yahoo.url, cache_directory=ours.data_dir / "yahoo"))
        asking = replace(platform, action_sources={"file": source})
        job = build_definitions(resource_overrides={"platform": asking}).resolve_job_def("fetch_corporate_actions")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "1 of 3 symbols could not be fetched; the others are stored. IWM" in str(
        failure.step_failure_data.user_failure_data
    )
    stored = platform.stores.corporate_actions
    assert stored.splits(["AAPL"])["AAPL"][2] == (SPLIT, Fraction(7)), "a person imported another ratio"
    (stored_action,) = [action for action in stored.read(["AAPL"]) if action.source == "yahoo"]
    assert (stored_action.ex_date, stored_action.terms) == (datetime(2010, 3, 5, tzinfo=UTC), "1.5 USD")
    stored.remove("AAPL", stored_action.ex_date, stored_action.kind)


def test_the_command_asks_yahoo_where_it_is_allowed_to(client: Platform, command: Command, test_data: Path) -> None:
    assert "No source has these" in command("actions", "fetch").text
    rows = pl.read_csv(test_data / "daily" / "AAPL_2004-2018_yahoo.csv").tail(20).iter_rows()
    listed = [(datetime.fromisoformat(day).replace(tzinfo=UTC), *prices, float(last)) for day, *prices, _, last in rows]
    with running_yahoo() as yahoo:
        yahoo.listings["AAPL"] = Listing({"1d": listed}, dividends={datetime(2018, 1, 9, tzinfo=UTC): 0.63})
        allowed = {"YAHOO_API_URL": yahoo.url, "YAHOO_ACTIONS": "true"}
        said = command("actions", "fetch", "AAPL", "SPY", "--json", more=allowed)
    assert said.code == 1
    apple, unknown = said.json
    assert (apple["dividends"], apple["changed"], apple["error"]) == (1, 1, None)
    assert unknown["error"]["error"] == "SourceUnavailable"
    assert client.corporate_actions("AAPL").filter(pl.col("source") == "yahoo")["amount"].to_list() == [Decimal("0.63")]
    assert command("actions", "remove", "AAPL", "2018-01-09", "dividend").code == 0
