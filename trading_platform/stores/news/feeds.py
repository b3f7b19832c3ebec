"""The feeds that news are fetched from, and how the last fetch of each ended (``news.feeds``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.news.urls import http_url
from trading_platform.domain.texts import is_storable, shown
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

NEWSAPI = "newsapi:"
"""Beginning of the address of a query to NewsAPI: ``newsapi:q=bitcoin&language=en``."""

LONGEST_NAME = 50


@dataclass(frozen=True)
class Feed:
    """A feed.

    Attributes:
        name: its name, the source of its articles.
        url: its address.
        is_enabled: whether it is fetched.
        title: title that it gives itself.
        etag: of the last response.
        last_modified: of the last response.
        fetched_at: when it was last fetched, UTC.
        due_at: before this time it is not fetched again, UTC; None: at once.
        new_at: when it last had a new article, UTC.
        status: how the last fetch ended: ``new``, ``ok``, ``not_modified`` or ``failed``.
        error: why it failed.
        failures: failures one after the other, up to now.
        fetches: number of all fetches.
        not_modified: number of those without a change.
        failed: number of those that failed.
    """

    name: str
    url: str
    is_enabled: bool = True
    title: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    fetched_at: datetime | None = None
    due_at: datetime | None = None
    new_at: datetime | None = None
    status: str = "new"
    error: str | None = None
    failures: int = 0
    fetches: int = 0
    not_modified: int = 0
    failed: int = 0

    @property
    def host(self) -> str:
        """The host whose limit its requests share."""
        return "newsapi.org" if self.url.startswith(NEWSAPI) else urlsplit(self.url).hostname or ""


@dataclass(frozen=True)
class FetchEnd:
    """How a fetch ended; the attributes are those of :class:`Feed`."""

    status: str
    at: datetime
    due_at: datetime
    title: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    error: str | None = None
    has_new: bool = False


class FeedStore:
    """The table ``news.feeds``.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Feed]:
        """All feeds by name."""
        return {row[0]: Feed(*row) for row in self._database.rows(query("news/feeds/all"))}

    def add(self, name: str, url: str) -> bool:
        """Adds a feed or changes its address; True if it is new.

        Raises:
            InvalidRequest: for an invalid name or address, or one that another feed has.
        """
        _check(name, url)
        other = next((feed.name for feed in self.all().values() if feed.url == url and feed.name != name), None)
        if other is not None:
            raise InvalidRequest(
                f"The feed {other} has this address.", received=url, remedy="remove it first, or keep its name"
            )
        with self._database.begin() as connection:
            return bool(
                execute(
                    connection,
                    "INSERT INTO news.feeds AS feed (name, url) VALUES (%(name)s, %(url)s) ON CONFLICT (name) DO UPDATE"
                    " SET url = EXCLUDED.url, is_enabled = TRUE, due_at = NULL,"
                    " etag = CASE WHEN feed.url = EXCLUDED.url THEN feed.etag END,"
                    " last_modified = CASE WHEN feed.url = EXCLUDED.url THEN feed.last_modified END"
                    " RETURNING xmax = 0",
                    {"name": name, "url": url},
                )[0][0]
            )

    def remove(self, name: str) -> bool:
        """Removes a feed; its articles stay. True if it was there."""
        with self._database.begin() as connection:
            return bool(
                execute(connection, "DELETE FROM news.feeds WHERE name = %(name)s RETURNING name", {"name": name})
            )

    @staticmethod
    def record(connection: Connection, name: str, end: FetchEnd) -> None:
        """Records how a fetch ended, in the caller's transaction."""
        execute(connection, query("news/feeds/record"), {"name": name, **vars(end)})


def _check(name: str, url: str) -> None:
    if not name or len(name) > LONGEST_NAME or not is_storable(name) or not name.isprintable():
        raise InvalidRequest(
            f"{shown(name)} cannot be the name of a feed.",
            expected=f"1 to {LONGEST_NAME} characters",
            received=shown(name),
            remedy="choose another name",
        )
    is_query = url.startswith(NEWSAPI) and "=" in url and is_storable(url)
    if not is_query and (http_url(url) is None or urlsplit(url).username is not None):
        raise InvalidRequest(
            f"{shown(url)} is no address of a feed.",
            expected="http(s)://host/path without user name, or newsapi:q=… for a query to NewsAPI",
            received=shown(url),
            remedy="correct the address",
        )
