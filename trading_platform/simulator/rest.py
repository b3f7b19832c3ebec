"""Kraken's public REST as an ASGI application over a market.

The forms were taken from recorded responses: numbers as text, ``last`` as text in nanoseconds for trades
and as an integer for candles, errors in the envelope under HTTP 200, the running candle as last
row. The WebSocket (:mod:`trading_platform.simulator.websocket`) is served beside it, on the
same server.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from email.utils import format_datetime
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from trading_platform.domain.time import Clock
from trading_platform.simulator.faults import FaultInjector, Faults
from trading_platform.simulator.market import MINUTE_SECONDS, SECOND, Candles, Market, Trades, aligned, nanoseconds
from trading_platform.simulator.pairs import LOT_DECIMALS, Pair, find_pair, units_text
from trading_platform.simulator.ticker import best_quote, last_day, summary

CANDLES = 720
"""Number of closed candles available, in addition to the running one, as in recorded responses."""
PAGE = 1000
"""Maximum and default number of trades per response."""
INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
"""Lengths of candles, in minutes."""

_DAY_MINUTES = 1440
_TRADE_PRICE_DECIMALS = 5  # minimum for trades and the ticker; candles have the decimals of the pair


class _RejectionError(Exception):
    """An entry of the envelope's ``error`` list."""


_UNKNOWN_PAIR = _RejectionError("EQuery:Unknown asset pair")
_INVALID = _RejectionError("EGeneral:Invalid arguments")


class PublicRest:
    """The public endpoints of one market.

    Args:
        market: the market.
        clock: the present; nothing later is returned.
    """

    def __init__(self, market: Market, clock: Clock) -> None:
        self._market = market
        self._clock = clock

    def time(self, _: Request) -> str:
        """``Time``."""
        now = self._clock()
        return json.dumps({"unixtime": int(now.timestamp()), "rfc1123": format_datetime(now, usegmt=False)})

    def system_status(self, _: Request) -> str:
        """``SystemStatus``."""
        return json.dumps({"status": "online", "timestamp": f"{self._clock():%Y-%m-%dT%H:%M:%SZ}"})

    def asset_pairs(self, request: Request) -> str:
        """``AssetPairs``, of all pairs or those of ``pair``."""
        return json.dumps({_key(pair, request): _describe(pair) for pair in self._requested(request)})

    def ohlc(self, request: Request) -> str:
        """``OHLC``: candles later than ``since``, at most the last 720 and the running one."""
        pair = self._one(request)
        minutes = _integer(request, "interval", 1)
        if minutes not in INTERVALS:
            raise _INVALID
        now = self._now()
        running = aligned(now // SECOND, minutes)
        length = minutes * MINUTE_SECONDS
        first = max(running - CANDLES * length, _integer(request, "since", 0) + 1)
        candles = self._market.candles(pair, minutes, first, now)
        rows = ",".join(_candle_rows(candles, pair.price_decimals))
        return f'{{"{_key(pair, request)}":[{rows}],"last":{running - length}}}'

    def trades(self, request: Request) -> str:
        """``Trades``: up to ``count`` of them later than ``since`` (nanoseconds), or the latest."""
        pair = self._one(request)
        limit = _integer(request, "count", PAGE)
        if not 1 <= limit <= PAGE:
            raise _INVALID
        now = self._now()
        if "since" in request.query_params:
            since = _integer(request, "since", 0)
            since = since if since >= SECOND**2 // 10 else since * SECOND  # Kraken accepts seconds, too
            trades = self._market.trades_after(pair, since, now, limit)
        else:
            since = now
            trades = self._market.latest_trades(pair, now, limit)
        last = int(trades.time[-1]) if len(trades) else since
        rows = ",".join(_trade_rows(trades, pair.price_decimals))
        return f'{{"{_key(pair, request)}":[{rows}],"last":"{last}"}}'

    def ticker(self, request: Request) -> str:
        """``Ticker``, of all pairs or those of ``pair``."""
        return json.dumps({_key(pair, request): self._ticker(pair) for pair in self._requested(request)})

    def _now(self) -> int:
        return nanoseconds(self._clock())

    def _one(self, request: Request) -> Pair:
        if "pair" not in request.query_params:
            raise _INVALID
        pair = find_pair(self._market.pairs, request.query_params["pair"])
        if pair is None:
            raise _UNKNOWN_PAIR
        return pair

    def _requested(self, request: Request) -> list[Pair]:
        if not request.query_params.get("pair"):
            return list(self._market.pairs)
        found = [find_pair(self._market.pairs, text) for text in request.query_params["pair"].split(",")]
        if None in found:
            raise _UNKNOWN_PAIR
        return [pair for pair in found if pair is not None]

    def _ticker(self, pair: Pair) -> dict[str, Any]:
        now = self._now()
        midnight = aligned(now // SECOND, _DAY_MINUTES) * SECOND
        day = last_day(self._market, pair, now)
        quote = best_quote(self._market, pair, now)
        latest = self._market.latest_trades(pair, now, 1)
        spans = [summary(day.between(midnight, now + 1), quote.last), summary(day, quote.last)]

        def price(value: int) -> str:
            return units_text(value, pair.price_decimals, _TRADE_PRICE_DECIMALS)

        return {
            "a": [price(quote.ask), "1", "1.000"],
            "b": [price(quote.bid), "1", "1.000"],
            "c": [price(quote.last), units_text(int(latest.quantity[0]) if len(latest) else 0, LOT_DECIMALS)],
            "v": [units_text(span["volume"], LOT_DECIMALS) for span in spans],
            "p": [price(span["vwap"]) for span in spans],
            "t": [span["count"] for span in spans],
            "l": [price(span["low"]) for span in spans],
            "h": [price(span["high"]) for span in spans],
            "o": price(spans[0]["open"]),
        }


def application(market: Market, clock: Clock, injector: FaultInjector, beside: Sequence[BaseRoute] = ()) -> Starlette:
    """The exchange as an ASGI application: the public endpoints, and ``/faults`` to inject faults.

    ``GET /faults`` returns the settings, ``POST /faults`` sets them (JSON of :class:`Faults`).

    Args:
        market: the market.
        clock: the present.
        injector: injector of the faults that ``/faults`` sets.
        beside: routes served beside these.
    """
    public = PublicRest(market, clock)
    endpoints: dict[str, Callable[[Request], str]] = {
        "Time": public.time,
        "SystemStatus": public.system_status,
        "AssetPairs": public.asset_pairs,
        "OHLC": public.ohlc,
        "Trades": public.trades,
        "Ticker": public.ticker,
    }
    routes = [Route(f"/0/public/{name}", _enveloped(endpoint)) for name, endpoint in endpoints.items()]
    return Starlette(
        routes=[
            *routes,
            *beside,
            Route("/0/public/{method}", _unknown_method),
            Route("/faults", _faults_endpoint(injector), methods=["GET", "POST"]),
        ]
    )


def error_envelope(*errors: str) -> str:
    """The body of Kraken's response when it rejects a request."""
    return json.dumps({"error": list(errors)})


def _enveloped(endpoint: Callable[[Request], str]) -> Callable[[Request], Awaitable[Response]]:
    async def response(request: Request) -> Response:
        try:
            body = f'{{"error":[],"result":{endpoint(request)}}}'
        except _RejectionError as rejection:
            body = error_envelope(str(rejection))
        return Response(body, media_type="application/json")

    return response


async def _unknown_method(_: Request) -> Response:
    return Response(error_envelope("EGeneral:Unknown method"), media_type="application/json")


def _faults_endpoint(injector: FaultInjector) -> Callable[[Request], Awaitable[Response]]:
    async def response(request: Request) -> Response:
        if request.method == "POST":
            try:
                injector.set(Faults.model_validate_json(await request.body()))
            except ValidationError as error:
                return JSONResponse({"error": json.loads(error.json(include_url=False))}, status_code=422)
        return JSONResponse(injector.faults.model_dump(mode="json"))

    return response


def _key(pair: Pair, request: Request) -> str:
    return pair.display_name if request.query_params.get("assetVersion") == "1" else pair.name


def _integer(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, str(otherwise))
    try:
        return int(text)
    except ValueError:
        raise _INVALID from None


def _describe(pair: Pair) -> dict[str, Any]:
    return {
        "altname": pair.altname,
        "wsname": pair.wsname,
        "aclass_base": "currency",
        "base": pair.base,
        "aclass_quote": "currency",
        "quote": pair.quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": pair.price_decimals,
        "lot_decimals": LOT_DECIMALS,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": pair.order_minimum,
        "costmin": "0.5",
        "tick_size": pair.tick_size,
        "status": "online",
    }


def _candle_rows(candles: Candles, decimals: int) -> Iterator[str]:
    columns = (
        candles.time, candles.open, candles.high, candles.low, candles.close,
        candles.vwap, candles.volume, candles.count,
    )  # fmt: skip
    for time, *prices, vwap, volume, count in zip(*(column.tolist() for column in columns), strict=True):
        texts = '","'.join(units_text(price, decimals) for price in prices)
        mean = units_text(vwap, decimals) if count else "0.0"
        yield f'[{time},"{texts}","{mean}","{units_text(volume, LOT_DECIMALS)}",{count}]'


def _trade_rows(trades: Trades, decimals: int) -> Iterator[str]:
    columns = (trades.time, trades.price, trades.quantity, trades.buyer, trades.market, trades.trade_id)
    for time, price, quantity, buyer, market, number in zip(*(column.tolist() for column in columns), strict=True):
        seconds = units_text(time // 100, 7)
        yield (
            f'["{units_text(price, decimals, _TRADE_PRICE_DECIMALS)}","{units_text(quantity, LOT_DECIMALS)}",{seconds},'
            f'"{"b" if buyer else "s"}","{"m" if market else "l"}","",{number}]'
        )
