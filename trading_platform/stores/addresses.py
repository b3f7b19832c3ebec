"""Addresses of servers as they are configured: checked as a whole, and never shown, because they hold a password.

A password with a character that has a meaning in an address moves its parts: what a program then takes for the host,
the port or the database can be a piece of it.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from trading_platform.domain.errors import ConfigurationError

_SCHEMES = frozenset({"postgresql", "postgres"})
_REDIS_SCHEMES = frozenset({"redis", "rediss", "unix"})
_NOT_SHOWN = "something else, not shown because of its password"
_ENCODED = "in a user or password, write @ as %40, / as %2F, # as %23, ? as %3F, % as %25 and a blank as %20"


def with_scheme(url: str, scheme: str) -> str:
    """A database's address with another scheme.

    Raises:
        ConfigurationError: if it is no address of that form; a keyword DSN is none, because SQLAlchemy cannot read it.
    """
    parts = _parts_of(url)
    if parts is None or parts.scheme.partition("+")[0] not in _SCHEMES or not _is_readable(parts):
        raise ConfigurationError(
            "The address of a database has the wrong form.",
            expected="postgresql://user:password@host:port/database",
            received=_NOT_SHOWN,
            remedy=f"correct DATABASE_URL or DAGSTER_DATABASE_URL; {_ENCODED}",
        )
    return _joined(scheme, parts)


def checked_redis(url: str) -> str:
    """The address of a Redis server, if it has the form of one.

    Raises:
        ConfigurationError: if it has not.
    """
    parts = _parts_of(url)
    if parts is None or parts.scheme not in _REDIS_SCHEMES or _is_displaced(parts):
        raise ConfigurationError(
            "The address of Redis has the wrong form.",
            expected="redis://:password@host:port/0, rediss://… or unix:///path",
            received=_NOT_SHOWN,
            remedy=f"correct REDIS_URL; {_ENCODED}",
        )
    return url


def shown_address(url: str) -> str:
    """The host of a server's address, or the path of its socket; nothing that can hold a part of a password."""
    parts = _parts_of(url)
    if parts is None or not parts.scheme or _is_displaced(parts):
        return "an address that cannot be read"
    return parts.hostname or parts.path


def _parts_of(url: str) -> SplitResult | None:
    """The parts of an address; None if they cannot be told apart."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_readable(parts: SplitResult) -> bool:
    """Whether the driver reads the address, too, and no part of it is a piece of a password."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(_joined("postgresql", parts))
    except (psycopg.Error, ValueError):
        return False
    return not _is_displaced(parts)


def _is_displaced(parts: SplitResult) -> bool:
    """Whether a character of the password has ended the host early: its rest is then in a later part."""
    return bool(parts.fragment) or "@" in parts.path + parts.query


def _joined(scheme: str, parts: SplitResult) -> str:
    """The address with both slashes, which ``urlunsplit`` leaves out where there is no host."""
    return f"{scheme}://{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")
