"""A local feed of invented news about the invented markets, for the demonstration.

The exchange that the markets are on is :mod:`trading_platform.simulator.server`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEADLINES = (
    (30, "Bitcoin slips as traders take profits after a record month"),
    (26, "Cardano rallies after a successful upgrade of its network"),
    (20, "Ripple wins approval for payments in two more countries"),
    (15, "Solana suffers an outage of its network, validators lose hours of rewards"),
    (11, "Ethereum gains as demand for staking beats expectations"),
    (8, "Polkadot falls after its largest developer cuts jobs"),
    (5, "Bitcoin surges past its record as strong demand from funds grows"),
    (4, "Weather: heavy snow is expected in the Alps"),
)
"""Hours before the present, and what was published then; the last is about no market."""


def feed(present: datetime) -> bytes:
    """The feed at a time, as RSS 2.0."""
    items = "".join(
        f"<item><title>{escape(headline)}</title><guid isPermaLink='false'>invented-{number}</guid>"
        f"<link>https://news.example/{number}</link>"
        f"<pubDate>{format_datetime(present - timedelta(hours=hours), usegmt=True)}</pubDate></item>"
        for number, (hours, headline) in enumerate(HEADLINES)
    )
    channel = f"<title>Invented news</title><language>en</language>{items}"
    return f'<?xml version="1.0"?><rss version="2.0"><channel>{channel}</channel></rss>'.encode()


@contextmanager
def running_feed(present: datetime) -> Iterator[str]:
    """Serves the feed of a time on a free port of this machine; gives its URL."""
    document = feed(present)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/rss+xml")
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's name
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, name="invented news", daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/news.xml"
        finally:
            server.shutdown()
