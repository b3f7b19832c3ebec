"""A local server that answers as Yahoo's chart API does, splits undone backwards included, and with its moods."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
EMPTY = {"chart": {"result": [{"meta": {}, "indicators": {"quote": [{}]}}], "error": None}}
DELISTED = {
    "chart": {"result": None, "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"}}
}
TOO_MUCH = {
    "chart": {
        "result": None,
        "error": {
            "code": "Unprocessable Entity",
            "description": "1m data not available for startTime=1 and endTime=2. Only 8 days worth of 1m granularity"
            " data are allowed to be fetched per request.",
        },
    }
}


@dataclass
class Listing:
    """What Yahoo knows of an instrument.

    Attributes:
        rows: by interval, rows of (time, open, high, low, close, volume), adjusted for splits, as it has them.
        splits: by date, new shares per old one.
        dividends: by date, amounts in today's shares.
        zone: of the exchange.
        kind: Yahoo's word for what it is.
        first: the first day that it was traded.
    """

    rows: dict[str, list[tuple[datetime, float | None, float | None, float | None, float | None, float | None]]]
    splits: dict[datetime, Fraction] = field(default_factory=dict)
    dividends: dict[datetime, float] = field(default_factory=dict)
    zone: ZoneInfo = NEW_YORK
    kind: str = "EQUITY"
    currency: str = "USD"
    first: datetime | None = None

    def chart(self, ticker: str, query: dict[str, list[str]]) -> dict[str, Any]:
        """The document for a question."""
        interval = query["interval"][0]
        start, end = (
            int(query.get(name, [default])[0]) for name, default in (("period1", "0"), ("period2", "9999999999"))
        )
        rows = [row for row in self.rows.get(interval, []) if start <= self._stamp(row[0], interval) < end]
        if query.get("range") == ["1d"]:
            rows = self.rows.get(interval, [])[-1:]
        if not rows:
            return EMPTY
        names = ("open", "high", "low", "close", "volume")
        quote = {name: [row[place] for row in rows] for place, name in enumerate(names, start=1)}
        result: dict[str, Any] = {
            "meta": self._meta(ticker, interval, rows),
            "timestamp": [self._stamp(row[0], interval) for row in rows],
            "indicators": {"quote": [quote]},
        }
        if interval == "1d":
            result["indicators"]["adjclose"] = [{"adjclose": quote["close"]}]
        events = self._events(start, end)
        if events:
            result["events"] = events
        return {"chart": {"result": [result], "error": None}}

    def _stamp(self, timestamp: datetime, interval: str) -> int:
        """Daily rows are stamped at the opening, which is how Yahoo does it."""
        return self._opening(timestamp) if interval == "1d" else int(timestamp.timestamp())

    def _opening(self, day: datetime) -> int:
        return int(datetime.combine(day.date(), time(9, 30), self.zone).timestamp())

    def _events(self, start: int, end: int) -> dict[str, Any]:
        events: dict[str, Any] = {}
        for day, ratio in self.splits.items():
            if start <= (stamp := self._opening(day)) < end:
                events.setdefault("splits", {})[str(stamp)] = {
                    "date": stamp,
                    "numerator": ratio.numerator,
                    "denominator": ratio.denominator,
                    "splitRatio": f"{ratio.numerator}:{ratio.denominator}",
                }
        for day, amount in self.dividends.items():
            if start <= (stamp := self._opening(day)) < end:
                events.setdefault("dividends", {})[str(stamp)] = {"amount": amount, "date": stamp}
        return events

    def _meta(self, ticker: str, interval: str, rows: list[Any]) -> dict[str, Any]:
        meta: dict[str, Any] = {
            "currency": self.currency,
            "symbol": ticker,
            "exchangeName": "NMS",
            "instrumentType": self.kind,
            "firstTradeDate": self._opening(self.first) if self.first else None,
            "exchangeTimezoneName": self.zone.key,
            "timezone": "EDT",
            "gmtoffset": -14400,
            "priceHint": 2,
            "regularMarketPrice": rows[-1][4],
            "regularMarketTime": self._stamp(rows[-1][0], interval),
            "dataGranularity": interval,
            "validRanges": ["1d", "5d", "1mo", "max"],
        }
        if interval != "1d":
            days = sorted({row[0].astimezone(self.zone).date() for row in rows})
            meta["tradingPeriods"] = [
                [
                    {
                        "timezone": "EDT",
                        "gmtoffset": -14400,
                        "start": int(datetime.combine(day, time(9, 30), self.zone).timestamp()),
                        "end": int(datetime.combine(day, time(16), self.zone).timestamp()),
                    }
                ]
                for day in days
            ]
        return meta


@dataclass
class FakeYahoo:
    """The server's state: what it lists, and what it answers instead.

    Attributes:
        listings: by ticker, in Yahoo's spelling.
        mood: how a document is spoiled before it is sent; None sends it as it is.
        status: of the answers.
        asked: the paths of all questions about prices, with their parameters.
    """

    listings: dict[str, Listing] = field(default_factory=dict)
    mood: Any = None
    status: int = 200
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    url: str = ""

    def response(self, path: str, query: dict[str, list[str]]) -> tuple[int, str]:
        """Status and body."""
        if path == "/v1/test/getcrumb":
            return 200, "a-crumb"
        if not path.startswith("/v8/finance/chart/"):
            return 404, "<html>nothing here</html>"
        ticker = path.rpartition("/")[2]
        self.asked.append((ticker, query))
        if self.status != 200:
            return self.status, "Too Many Requests" if self.status == 429 else "<html>Bad Gateway</html>"
        listing = self.listings.get(ticker)
        document = listing.chart(ticker, query) if listing else DELISTED
        if self.mood is not None:
            document = self.mood(json.loads(json.dumps(document)))
        return (404 if document is DELISTED else 200), json.dumps(document)


@contextmanager
def running_yahoo() -> Iterator[FakeYahoo]:
    """The server on a free port of this machine."""
    yahoo = FakeYahoo()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, body = yahoo.response(parts.path, parse_qs(parts.query))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yahoo.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield yahoo
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
