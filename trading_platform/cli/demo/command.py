"""``demo``: runs the whole platform on invented data, from a local exchange and news feed to features and quotes.

It uses its own data directory, so that invented prices are never stored with real ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from trading_platform.cli.output import err, number, out, print_json, progress_bars, table
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Clock, Timeframe, utc_now

if TYPE_CHECKING:
    import polars as pl

    from trading_platform.cli.demo.live import LiveOutcome
    from trading_platform.cli.market_data.backfill import Line
    from trading_platform.cli.market_data.dagster_runs import RunOutcome
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.settings import Settings

SYMBOLS = ("ADAUSD", "BTCUSD", "DOTUSD", "ETHUSD", "SOLUSD", "XRPUSD")
SEED = 7


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(demo)


def demo(
    ui: Annotated[
        bool, typer.Option("--ui", help="Then open the Dagster UI together with the local exchange, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the UI. Default: 3000, or a free one if it is taken.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Run the platform on an invented market, without an account or a server, up to checked features.

    Takes about a minute and ends by itself; a second run changes nothing. Without a Redis server on the machine the
    live part is skipped. Example: trading-platform demo
    """
    from trading_platform.settings import load_settings

    began = time.monotonic()
    aside = _puts_aside()
    settings = demo_settings()
    clock = _fixed_clock(settings.root)
    if not json:
        err.print(
            f"A local exchange with {len(SYMBOLS)} invented markets feeds a separate platform in {settings.root}."
        )
    from trading_platform.cli.demo.news import allow_feed, print_news
    from trading_platform.simulator.news import running_feed
    from trading_platform.simulator.seeded import SeededMarket
    from trading_platform.simulator.server import running_exchange

    with (
        running_exchange(SeededMarket(SEED, SYMBOLS), clock=clock) as url,
        running_feed(clock()) as feed,
        progress_bars(quiet=json) as progress,
    ):
        allow_feed(feed)
        os.environ["KRAKEN_API_URL"] = url
        os.environ["KRAKEN_REQUESTS_PER_SECOND"] = "1000"  # the local exchange needs no rate limit
        lines, runs, features, headlines = _run(load_settings(), clock, progress, feed)
    if not json:
        _print_stored(lines, runs, features.height, time.monotonic() - began)
        print_news(headlines, features["news_sentiment_24h"].count())
    if ui:
        _open_ui(port, json=json)
    skipped = _missing_for_live()
    live = _run_live(settings, watch=not json and out.is_terminal) if skipped is None else None
    failed = [line.failed for line in lines if line.failed] + [run.error for run in runs if run.error]
    if json:
        _print_for_machines(lines, runs, features.height, headlines, live, skipped, time.monotonic() - began)
    else:
        _print_live(live, skipped)
        _print_next(f"{aside}DATA_DIR={os.path.relpath(settings.root)}")
    if failed:
        raise typer.Exit(1)


def demo_settings() -> Settings:
    """Settings of the demonstration: embedded servers in ``<data_dir>/demo``, whatever else is configured.

    Variables are removed, not emptied: an empty variable does not override the settings file.
    """
    from trading_platform.settings import SETTINGS_FILE, load_settings

    root = load_settings().root
    for name in _configured():
        os.environ.pop(name, None)
    os.environ["DATA_DIR"] = str(root if root.name == "demo" else root / "demo")
    os.environ[SETTINGS_FILE] = ""
    return load_settings()


def _puts_aside() -> str:
    """What a shell is to put before a command of the platform, so that it shows the demonstration and nothing else."""
    from trading_platform.settings import SETTINGS_FILE, settings_file

    unset = "".join(f" -u {name}" for name in _configured() if name.lower() != "data_dir")
    return (f"env{unset} " if unset else "") + (f"{SETTINGS_FILE}= " if settings_file() else "")


def _configured() -> list[str]:
    """The variables of the environment that say what the platform is to use, in whatever case they are written."""
    from trading_platform.settings import Settings

    names = {*Settings.model_fields, "dagster_home"}
    return [name for name in os.environ if name.lower() in names]


def _fixed_clock(root: Path) -> Clock:
    """The demonstration's clock: fixed at the last UTC midnight before its first run, so that all runs are equal."""
    from trading_platform.resources.demonstration import PRESENT

    file = root / PRESENT
    if not file.exists():
        root.mkdir(parents=True, exist_ok=True)
        today = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
        file.write_text((today + timedelta(seconds=30)).isoformat(), encoding="utf-8")
    present = datetime.fromisoformat(file.read_text(encoding="utf-8")).astimezone(UTC)
    return lambda: present


def _run(
    settings: Settings, clock: Clock, progress: Any, feed: str
) -> tuple[list[Line], list[RunOutcome], pl.DataFrame, pl.DataFrame]:
    from trading_platform.cli.demo.news import fetch_feed, scored_headlines
    from trading_platform.cli.market_data.backfill import run_backfill
    from trading_platform.cli.market_data.backfill_request import BackfillRequest, reach_of
    from trading_platform.resources.platform import open_platform

    with open_platform(settings, clock=clock, progress=progress) as platform:
        for instrument in _instruments():
            platform.stores.instruments.add(instrument)
        fetch_feed(platform, feed)
        lines, runs = run_backfill(platform, reach_of(platform, BackfillRequest(SYMBOLS)), None)
        return lines, runs, _feature_rows(platform), scored_headlines(platform)


def _open_ui(port: int | None, *, json: bool) -> NoReturn:
    """Opens the UI on the demonstration's data, with the exchange and the feed that they are from; ends the command."""
    from trading_platform.cli.demo.news import allow_feed, move_feed
    from trading_platform.cli.operations.dev import dev
    from trading_platform.simulator.news import running_feed
    from trading_platform.simulator.seeded import SeededMarket
    from trading_platform.simulator.server import running_exchange, stream_url

    with running_exchange(SeededMarket(SEED, SYMBOLS), clock=utc_now) as url, running_feed(utc_now()) as feed:
        os.environ |= {"KRAKEN_API_URL": url, "KRAKEN_WS_URL": stream_url(url)}
        allow_feed(feed)
        move_feed(feed)
        err.print(f"The local exchange is at {url} as long as the UI is open; Ctrl-C ends both.", highlight=False)
        dev(host="127.0.0.1", port=port, log_level="info", as_json=json)
    raise typer.Exit


def _missing_for_live() -> str | None:
    """Why the live part is not possible on this machine, as one sentence; None if it is."""
    from trading_platform.domain.errors import ConfigurationError
    from trading_platform.embedded.redis import find_program

    try:
        find_program()
    except ConfigurationError as error:
        return f"The live part is skipped, because this machine has no Redis server: {error.remedy}."
    return None


def _run_live(settings: Settings, *, watch: bool) -> LiveOutcome:
    from trading_platform.cli.demo.live import TRADES_PER_MINUTE, run_live
    from trading_platform.simulator.seeded import SeededMarket

    market = SeededMarket(SEED, SYMBOLS, trades_per_minute=TRADES_PER_MINUTE)
    return run_live(settings, market, list(_instruments()), watch=watch)


def _instruments() -> Iterator[Instrument]:
    for symbol in SYMBOLS:
        sector = "payments" if symbol in ("ADAUSD", "XRPUSD", "BTCUSD") else "contracts"
        yield Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken", sector=sector, benchmark="BTCUSD")


def _feature_rows(platform: PlatformContext) -> pl.DataFrame:
    from trading_platform.domain.time import Window, parse_timestamp

    window = Window(parse_timestamp("2000-01-01"), platform.clock() + timedelta(days=1))
    return platform.stores.features.read(list(SYMBOLS), window)


def _print_for_machines(
    lines: Sequence[Line],
    runs: Sequence[RunOutcome],
    features: int,
    headlines: pl.DataFrame,
    live: LiveOutcome | None,
    skipped: str | None,
    seconds: float,
) -> None:
    print_json(
        {
            "seconds": round(seconds, 1),
            "bars": [asdict(line) for line in lines],
            "feature_rows": features,
            "news": headlines.to_dicts(),
            "runs": [asdict(run) for run in runs],
            "live": live.as_dict() if live else None,
            "live_skipped": skipped,
        }
    )


def _print_stored(lines: Sequence[Line], runs: Sequence[RunOutcome], features: int, seconds: float) -> None:
    from trading_platform.cli.market_data.backfill import print_warnings

    columns = ["timeframe", "symbols", "bars", "expected", "confirmed empty", "rejected", "missing", "partitions"]
    rows = []
    for length in Timeframe:
        own = [line for line in lines if line.timeframe == length]
        rows.append(
            [
                length.value,
                len(own),
                *(
                    sum(getattr(line, name) for line in own)
                    for name in ("stored", "expected", "empty", "rejected", "missing", "partitions")
                ),
            ]
        )
    out.print(table("What is stored", columns, rows, right=columns[1:]))
    checks = [check for run in runs for check in run.checks]
    if runs:
        passed = sum(check.passed for check in checks)
        out.print(
            f"{number(features)} rows of features. {len(runs)} Dagster runs, {passed} of {len(checks)} checks passed, "
            f"{seconds:.0f} seconds."
        )
        print_warnings([check for check in checks if not check.passed])
    else:
        out.print(
            f"{number(features)} rows of features. Everything was up to date; nothing changed ({seconds:.0f} seconds)."
        )


def _print_live(live: LiveOutcome | None, skipped: str | None) -> None:
    from trading_platform.cli.demo.live import print_live

    if live is not None:
        print_live(live)
    else:
        out.print(skipped, highlight=False)


def _print_next(before: str) -> None:
    out.print("\nNext steps:")
    out.print("  make demo-ui", highlight=False)
    out.print("      the Dagster UI on http://127.0.0.1:3000 with the local exchange: lineage, partitions, checks")
    out.print(f"  {before} .venv/bin/trading-platform verify", highlight=False)
    out.print(f"  {before} .venv/bin/trading-platform coverage", highlight=False)
    out.print(f"  {before} .venv/bin/trading-platform export bars btc.csv -s BTCUSD", highlight=False)
