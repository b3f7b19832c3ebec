"""Rate of news from the bytes of feeds to scored articles, against a bare loop of feedparser and COPY.

The platform's side reads each document with its checks, recognises its articles, marks near-duplicates, stores versions
and sightings, links all to a universe and scores them. The baseline parses the same bytes with feedparser and copies
title, summary, link, GUID and date into one table. Notes: the growth exponent of the duration from half of the articles
to all of them (1 is proportional), and the memory that the second half added.
"""

from __future__ import annotations

import calendar
import io
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import feedparser
import psutil
import psycopg
from common import SEED, Figure, arguments, new_stores, on_database, own_servers, seconds, show

from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.sources.news.feeds import read_feed
from trading_platform.stores.news.model_file import own_model
from trading_platform.stores.stores import Stores
from trading_platform.workflows.news.classify_news import classify_news, instrument_dictionary

TARGET = 0.5
ITEMS = 50  # of a document
UNIVERSE = "AAPL MSFT TSLA NVDA AMZN META JPM XOM PFE BA BTCUSD ETHUSD EURUSD".split()
NAMES = "Apple Microsoft Tesla Nvidia Amazon Meta JPMorgan Exxon Pfizer Boeing Bitcoin Ethereum Acme Zeta Omega".split()
VERBS = "beats misses raises cuts unveils delays buys sells recalls sues hires closes opens warns wins".split()
THINGS = (
    "estimates guidance outlook forecast plant deal stake prices jobs dividend chips drug jets orders loans".split()
)
ITEM = (
    "<item><title>{title}</title><description>{summary}</description><link>https://wire.example/{n}</link>"
    "<guid isPermaLink='false'>n{n}</guid><pubDate>{date:%a, %d %b %Y %H:%M:%S} GMT</pubDate></item>"
)


def documents(count: int) -> Iterator[bytes]:
    """Feeds of invented articles, the same at each call."""
    draw = random.Random(SEED)
    for first in range(0, count, ITEMS):
        items = "".join(_item(draw, n) for n in range(first, first + ITEMS))
        yield f"<rss version='2.0'><channel><title>Wire</title><language>en</language>{items}</channel></rss>".encode()


def _item(draw: random.Random, n: int) -> str:
    title = f"{draw.choice(NAMES)} {draw.choice(VERBS)} {draw.choice(THINGS)} by {draw.randint(1, 99)} percent"
    words = " ".join(draw.choice(THINGS + VERBS + NAMES) for _ in range(30))
    return ITEM.format(title=title, summary=words, n=n, date=datetime.fromtimestamp(1_700_000_000 + n * 60, UTC))


def main() -> None:
    """Measures both sides and prints the figures."""
    options = arguments(__doc__ or "")
    count = 1_000 if options.quick else 100_000
    with own_servers() as (_settings, endpoints), TemporaryDirectory() as folder:
        with new_stores(endpoints, "bench_news", Path(folder)) as stores:
            for symbol in UNIVERSE:
                stores.instruments.add(guess_instrument(symbol, "file"))
            bodies = documents(count)
            process = psutil.Process()
            halves, memory = [], []
            for _ in range(2):
                halves.append(seconds(lambda: _ours(stores, bodies, count // 2)))
                memory.append(process.memory_info().rss / 2**20)
            stored = stores.database.rows("SELECT count(*) FROM news.raw_news")[0][0]
        with psycopg.connect(on_database(endpoints.database_url, "bench_news")) as connection:
            baseline = seconds(lambda: _bare(connection, documents(count)))
    exponent = math.log2(sum(halves) / halves[0])
    notes = [
        f"{stored:,} articles, {stored / sum(halves):,.0f} a second; growth exponent {exponent:.2f}",
        f"memory after the second half: {memory[1] - memory[0]:+,.0f} MB to {memory[0]:,.0f} MB after the first",
    ]
    figure = Figure(f"{count:,} articles, bytes to scores", [sum(halves)], [baseline], TARGET)
    show("News", [figure], notes, quick=options.quick)


def _ours(stores: Stores, bodies: Iterator[bytes], count: int) -> None:
    now, dictionary = datetime.now(UTC), instrument_dictionary(stores)
    for _ in range(count // ITEMS):
        stores.articles.add("wire", read_feed(next(bodies)).items, now, dictionary=dictionary)
    classify_news(stores, own_model(), clock=lambda: now)


def _bare(connection: psycopg.Connection, bodies: Iterator[bytes]) -> None:
    connection.execute("CREATE TABLE bare (title text, summary text, link text, guid text, published timestamptz)")
    for body in bodies:
        with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
            for entry in feedparser.parse(io.BytesIO(body)).entries:
                date = datetime.fromtimestamp(calendar.timegm(entry.published_parsed), UTC)
                copy.write_row((entry.title, entry.summary, entry.link, entry.id, date))
        connection.commit()


if __name__ == "__main__":
    main()
