"""The command ``simulate-exchange``: runs the local exchange as a separate process."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Clock, utc_now

if TYPE_CHECKING:
    from trading_platform.simulator.faults import Faults
    from trading_platform.simulator.market import Market
    from trading_platform.simulator.private import PrivateRest


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("simulate-exchange")(simulate_exchange)


def simulate_exchange(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Seed of the market; equal seeds give equal markets.")] = 7,
    symbols: Annotated[
        str | None, typer.Option(help="Symbols to list, separated by commas. Default: all six of the seeded market.")
    ] = None,
    trades_per_minute: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Trades per minute of the seeded market.")
    ] = 5.0,
    recorded_trades: Annotated[
        Path | None, typer.Option(help="Replay this recorded response of Kraken's Trades instead of a seeded market.")
    ] = None,
    recorded_ohlc: Annotated[
        Path | None, typer.Option(help="The recorded response of Kraken's OHLC (1 minute) for the same market.")
    ] = None,
    recorded_pairs: Annotated[
        Path | None, typer.Option(help="The recorded response of Kraken's AssetPairs for the same market.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND=PROBABILITY of a fault in any response or live message; KIND is rate_limit, server_error, "
            "unavailable, slow, truncate or drop for REST responses, refuse, stall, reset, duplicate, reorder, late, "
            "lag, malformed or unknown for the WebSocket. Can be given several times."
        ),
    ] = None,
    next_faults: Annotated[
        list[str] | None,
        typer.Option(
            "--next",
            help="KIND=COUNT: faults in the next COUNT responses or live messages. Can be given several times.",
        ),
    ] = None,
    slow_seconds: Annotated[float, typer.Option(min=0, help="Delay of a slow response or a lagging message.")] = 2.0,
    speed: Annotated[
        float, typer.Option(min=0.01, max=3600, help="Seconds of the exchange in one second of real time.")
    ] = 1.0,
    fills: Annotated[int, typer.Option(min=0, help="Number of fills that the account has at the start.")] = 120,
    api_key: Annotated[
        str | None, typer.Option(help="API key of the account. Default: a fixed key, which is printed.")
    ] = None,
    api_secret: Annotated[
        str | None, typer.Option(help="API secret, in Base64. Default: a fixed secret, which is printed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses and the key as JSON.")] = False,
) -> None:
    """Run a local exchange with Kraken's REST API and WebSocket v2, until Ctrl-C or SIGTERM.

    Configure the platform for it with KRAKEN_API_URL and KRAKEN_WS_URL, and with KRAKEN_API_KEY and KRAKEN_API_SECRET
    for its account. Faults can be changed while it runs: POST them as JSON to /faults, for example
    {"next": {"drop": 3}, "probability": {"slow": 0.1}}.

    Example: trading-platform simulate-exchange --port 8100 --seed 7 --fault server_error=0.05
    """
    from trading_platform.simulator.account import KEY, SECRET
    from trading_platform.simulator.server import running_exchange

    faults = _faults(fault or [], next_faults or [], slow_seconds, seed)
    market: Market
    clock: Clock = utc_now
    if recorded_trades or recorded_ohlc:
        market, clock = _recorded(recorded_trades, recorded_ohlc, recorded_pairs)
    else:
        market = _seeded(seed, symbols, trades_per_minute)
    if speed != 1:
        clock = _at_speed(clock, speed)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    key, secret = api_key or KEY, _base64(api_secret or SECRET)
    private = _account(market, clock, fills, seed, key, secret)
    with running_exchange(market, faults, clock, host=host, port=port, private=private) as url:
        _print_ready(url, [pair.symbol for pair in market.pairs], key, secret, as_json=as_json)
        while not ended.wait(0.5):
            pass


def _print_ready(url: str, symbols: list[str], key: str, secret: str, *, as_json: bool) -> None:
    from trading_platform.simulator.server import stream_url

    if as_json:
        addresses = {"url": url, "stream_url": stream_url(url), "symbols": symbols}
        typer.echo(json.dumps(addresses | {"api_key": key, "api_secret": secret}))
        return
    typer.echo(
        f"Local exchange ready: {url}, live at {stream_url(url)} ({', '.join(symbols)}). Ctrl-C ends it."
        f"\nIts account: KRAKEN_API_KEY={key} KRAKEN_API_SECRET={secret}"
    )


def _account(market: Market, clock: Clock, fills: int, seed: int, key: str, secret: str) -> PrivateRest:
    from trading_platform.simulator.account import Account
    from trading_platform.simulator.private import PrivateRest
    from trading_platform.simulator.server import ACCOUNT_PAIRS

    pairs = market.pairs[:ACCOUNT_PAIRS]
    return PrivateRest(Account(pairs, clock, fills=fills, seed=seed, key=key, secret=secret))


def _base64(secret: str) -> str:
    import base64
    import binascii

    try:
        base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(
            "The account's secret is invalid.",
            expected="Base64",
            received="something else",
            remedy="omit --api-secret to use the default secret",
        ) from None
    return secret


def _at_speed(clock: Clock, speed: float) -> Clock:
    """A clock that starts at the present time and runs faster by a factor."""
    start = clock()
    return lambda: start + (clock() - start) * speed


def _seeded(seed: int, symbols: str | None, trades_per_minute: float) -> Market:
    from trading_platform.simulator.seeded import SeededMarket

    chosen = [text.strip().upper() for text in symbols.split(",")] if symbols else None
    return SeededMarket(seed, chosen, trades_per_minute=trades_per_minute)


def _recorded(trades: Path | None, ohlc: Path | None, pairs: Path | None) -> tuple[Market, Clock]:
    """The recorded market, and a clock that starts at its end."""
    from trading_platform.simulator.recorded import RecordedMarket

    market = RecordedMarket.from_payloads(trades, {1: ohlc} if ohlc else None, pairs)
    behind = utc_now() - market.end
    return market, lambda: utc_now() - behind


def _faults(probabilities: list[str], counts: list[str], slow_seconds: float, seed: int) -> Faults:
    from pydantic import ValidationError

    from trading_platform.simulator.faults import Faults

    settings = {
        "probability": _by_kind(probabilities),
        "next": _by_kind(counts),
        "slow_seconds": slow_seconds,
        "seed": seed,
    }
    try:
        return Faults.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(
            "A fault is invalid.",
            expected="KIND=PROBABILITY for --fault, KIND=COUNT for --next",
            received=f"{first['input']!r}: {first['msg']}",
            remedy="see trading-platform simulate-exchange --help",
        ) from None


def _by_kind(settings: list[str]) -> dict[str, str]:
    return {kind: value for kind, _, value in (text.partition("=") for text in settings)}
