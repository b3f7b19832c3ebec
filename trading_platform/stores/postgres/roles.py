"""The three roles of the database, and the URL by which a process works as one of them.

The migration ``0003_roles`` grants their privileges; ``docs/roles.md`` documents them. A URL of the owner of the
schema is converted to a role's URL: with the role's password if one is configured, without a password if the server
trusts local connections (the embedded one), and otherwise with ``SET ROLE`` at the beginning of each connection.
Connections are made in :mod:`trading_platform.stores.postgres.database`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from trading_platform.domain.errors import ConfigurationError, StoreUnavailable
from trading_platform.domain.time import Sleep

if TYPE_CHECKING:
    from psycopg import Connection

_SET_ROLE = "-c role="
LIMITS = {
    "ingest": {"statement_timeout": "1h", "lock_timeout": "10min", "idle_in_transaction_session_timeout": "10min"},
    "agent": {"statement_timeout": "5min", "lock_timeout": "30s", "idle_in_transaction_session_timeout": "1min"},
    "dashboard": {"statement_timeout": "10min", "lock_timeout": "30s", "idle_in_transaction_session_timeout": "1min"},
}
"""What a session of each role begins with, as ``config.grant_roles()`` sets it for logins; ``docs/roles.md`` has the
reasons. PostgreSQL applies settings of a role at login only, so ``SET ROLE`` needs them besides."""
_ATTEMPTS = 20
_CONCURRENTLY = "XX000"  # internal_error: "tuple concurrently updated", which has no code of its own


class Role(StrEnum):
    """Roles of the database.

    Attributes:
        INGEST: batch work and the streamer: writes market data, news and the feature catalog.
        AGENT: the bot: reads market data and writes the ledger.
        DASHBOARD: reads everything and writes nothing.
    """

    INGEST = "ingest"
    AGENT = "agent"
    DASHBOARD = "dashboard"


def role_of(url: str) -> Role | None:
    """The role of connections with a URL; None for any other user, such as the owner of the schema."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    _, taken, name = query.get("options", "").rpartition(_SET_ROLE)
    user = name.partition(" ")[0] if taken else query.get("user") or unquote(parts.username or "")
    return Role(user) if user in set(Role) else None


def as_role(url: str, role: Role, password: str | None = None, *, trusted: bool = False) -> str:
    """The URL by which a process works as a role.

    Args:
        url: libpq URL as configured: of the owner of the schema, or of a role already.
        role: the role needed. For ``dashboard`` the URL of any of the three roles is accepted, because all of
            them may read market data.
        password: the role's password, if one is configured.
        trusted: the server requires no passwords, as the embedded one.

    Raises:
        ConfigurationError: if the URL belongs to another role.
    """
    given = role_of(url)
    if given is not None:
        if role not in (given, Role.DASHBOARD):
            raise ConfigurationError(
                f"This needs the role {role} of the database.",
                expected=f"DATABASE_URL with the user {role}, or with the owner of the schema",
                received=f"DATABASE_URL with the user {given}",
                remedy=f"give this process a DATABASE_URL that works as {role}",
            )
        return url
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if password is None and not trusted:
        limits = " ".join(f"-c {name}={value}" for name, value in LIMITS[role].items())
        query["options"] = " ".join(filter(None, (limits, query.get("options"), f"{_SET_ROLE}{role}")))
        return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
    login = str(role) if password is None else f"{role}:{quote(password, safe='')}"
    options = {name: value for name, value in query.items() if name not in ("user", "password")}
    server = f"{login}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=server, query=urlencode(options, quote_via=quote)))


def as_owner(url: str) -> str:
    """The URL itself, for work that only the owner of the schema may do: upgrades, retention, archive.

    Raises:
        ConfigurationError: if the URL belongs to one of the three roles.
    """
    if role_of(url) is not None:
        raise needs_owner()
    return url


def needs_owner() -> ConfigurationError:
    """The error for work that needs the owner of the schema while only a role is configured."""
    return ConfigurationError(
        "This needs the owner of the database's schema.",
        expected="DATABASE_URL with the user that owns the database",
        received="DATABASE_URL with one of the roles ingest, agent and dashboard",
        remedy="run it where DATABASE_URL names the owner",
    )


def set_passwords(owner_url: str, passwords: Mapping[Role, str], sleep: Sleep = time.sleep) -> None:
    """Sets the configured passwords of roles that do not have them yet.

    A password leaves this process only as its SCRAM verifier, so that no log of the server can contain it.

    Args:
        owner_url: libpq URL of the owner of the schema.
        passwords: passwords by role.
        sleep: waits while another process changes the same role; an argument so that tests control time.

    Raises:
        ConfigurationError: if the role has another password and the owner may not change it.
        StoreUnavailable: if the server cannot be reached.
    """
    import psycopg

    for role, password in passwords.items():
        works, used_password = _login(as_role(owner_url, role, password))
        if works and used_password:
            continue
        try:
            with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection:
                _set_password(connection, role, password, sleep)
        except psycopg.errors.InsufficientPrivilege as error:
            if not works:
                raise _may_not_set(role, str(error)) from error
        except psycopg.OperationalError as error:
            raise StoreUnavailable(
                "PostgreSQL does not answer.", received=str(error).strip(), remedy="see `trading-platform doctor`"
            ) from error


def _login(url: str) -> tuple[bool, bool]:
    """Whether the URL connects, and whether the server required its password."""
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            return True, connection.pgconn.used_password
    except psycopg.OperationalError:
        return False, False


def _set_password(connection: Connection, role: Role, password: str, sleep: Sleep) -> None:
    from psycopg import errors, sql

    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))
    for attempt in range(_ATTEMPTS):
        try:
            connection.execute(statement)
        except errors.InternalError_ as error:
            if error.sqlstate != _CONCURRENTLY or attempt == _ATTEMPTS - 1:
                raise
            sleep(0.05)
        else:
            return


def _may_not_set(role: Role, message: str) -> ConfigurationError:
    variable = f"{role.upper()}_PASSWORD"
    return ConfigurationError(
        f"The role {role} does not have the password in {variable}, and this user may not set it.",
        expected="the password of the role, or an owner of the schema that may change the role",
        received=message.strip().splitlines()[0],
        remedy=f"correct {variable}, or let an administrator set it, in psql with: \\password {role}",
    )
