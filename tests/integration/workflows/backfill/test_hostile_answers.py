"""A symbol whose answers are hostile fails alone: the others of the same backfill are stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hostile_server import endless, hostile_server, redirect, response

from trading_platform.domain.errors import MalformedPayload, SourceRejected
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.time import Timeframe, year_window
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.kraken.source import KrakenSource
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars

NOW = datetime(2025, 3, 4, 15, 17, 42, tzinfo=UTC)
SYMBOLS = ("ADAUSD", "BTCUSD", "ETHUSD")
DAYS = range(int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()), int(NOW.timestamp()), 86_400)
PAIRS = {symbol: {"altname": symbol, "wsname": f"{symbol[:3]}/USD", "tick_size": "0.01"} for symbol in SYMBOLS}
CANDLES = [[day, "1", "2", "0.5", "1.5", "1.2", "10", 5] for day in DAYS]

SPOILED = {
    "400 digits": lambda: response(b'{"error":["EService:Throttled: ' + b"9" * 400 + b'"]}'),
    "superscript two": lambda: response(b"", "Retry-After: \xb2", status="429 Too Many Requests"),
    "depth": lambda: response(b"[" * 100_000),
    "exponent": lambda: response(b'{"error":[],"result":1e99999999999999999999}'),
    "5000 digits": lambda: response(b'{"error":[],"result":' + b"9" * 5_000 + b"}"),
    "surrogate": lambda: response(b'{"error":["E\\ud800"]}'),
    "endless": lambda: endless(b"[" * 65_536),
    "redirect": lambda: redirect("http://127.0.0.1:1/"),
}


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path, may_upgrade=True) as opened:
        for symbol in SYMBOLS:
            opened.instruments.add(guess_instrument(symbol, "kraken"))
        yield opened


@pytest.mark.parametrize("spoiled", SPOILED)
def test_siblings_are_not_taken_along(stores: Stores, spoiled: str) -> None:
    def respond(request: bytes):
        line = request.partition(b"\r\n")[0].decode()
        if "/AssetPairs" in line:
            return response(json.dumps({"error": [], "result": PAIRS}).encode())
        if "pair=BTCUSD" in line:
            return SPOILED[spoiled]()
        if "/Time" in line:
            return response(json.dumps({"error": [], "result": {"unixtime": int(NOW.timestamp())}}).encode())
        symbol = next(each for each in SYMBOLS if each in line)
        result = {symbol: CANDLES, "last": DAYS[-2]}
        return response(json.dumps({"error": [], "result": result}).encode())

    with hostile_server(respond) as server:
        client = connect(server.url, 1e6, retries=Retries(attempts=2, sleep=lambda _: None))
        report = backfill_bars(
            stores,
            {"kraken": KrakenSource(client, clock=lambda: NOW)},
            [guess_instrument(symbol, "kraken") for symbol in SYMBOLS],
            Timeframe.D1,
            [year_window(NOW)],
            clock=lambda: NOW,
            force=True,
        )
    (failure,) = report.failures
    assert failure.symbol == "BTCUSD"
    assert type(failure.error) is (SourceRejected if spoiled == "redirect" else MalformedPayload)
    stored = {each.symbol: each.stored for each in report.counts}
    assert (stored["ADAUSD"], stored["BTCUSD"], stored["ETHUSD"]) == (len(DAYS) - 1, 0, len(DAYS) - 1)
