"""The three roles of the database, and the URL with which a process works as one of them.

What each may do is granted by the migration ``0003_roles`` and written down in ``docs/roles.md``. A URL
of the owner of the schema becomes a role's by the role's own password where one is configured, by its
name alone where the server trusts whoever reaches it (the embedded one), and else by ``SET ROLE`` at
the beginning of each connection. Connections themselves: :mod:`trading_platform.stores.postgres.database`.
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
_ATTEMPTS = 20
_CONCURRENTLY = "XX000"  # internal_error: "tuple concurrently updated", which has no code of its own


class Role(StrEnum):
    """Who works on the database.

    Attributes:
        INGEST: batch work and the streamer: market data, news, the feature catalog.
        AGENT: the bot: reads market data, keeps the ledger.
        DASHBOARD: reads everything and writes nothing.
    """

    INGEST = "ingest"
    AGENT = "agent"
    DASHBOARD = "dashboard"


def role_of(url: str) -> Role | None:
    """The role that connections of a URL work as; None for any other user, such as the owner of the schema."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    _, taken, name = query.get("options", "").rpartition(_SET_ROLE)
    user = name.partition(" ")[0] if taken else query.get("user") or unquote(parts.username or "")
    return Role(user) if user in set(Role) else None


def as_role(url: str, role: Role, password: str | None = None, *, trusted: bool = False) -> str:
    """The URL with which a process works as a role.

    Args:
        url: libpq URL as configured: of the owner of the schema, or of a role already.
        role: whose work it is. What ``dashboard`` may read the others may read of market data, too, so
            a URL of any of the three will do for it.
        password: the role's own, where one is configured.
        trusted: the server asks nobody for a password, as the embedded one.

    Raises:
        ConfigurationError: if the URL is another role's.
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
        query["options"] = f"{query.get('options', '')} {_SET_ROLE}{role}".strip()
        return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
    login = str(role) if password is None else f"{role}:{quote(password, safe='')}"
    kept = {name: value for name, value in query.items() if name not in ("user", "password")}
    server = f"{login}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=server, query=urlencode(kept, quote_via=quote)))


def as_owner(url: str) -> str:
    """The URL itself, for what only the owner of the schema may do: upgrades, lifecycle, archive.

    Raises:
        ConfigurationError: if it is one of the three roles'.
    """
    if role_of(url) is not None:
        raise needs_owner()
    return url


def needs_owner() -> ConfigurationError:
    """What to say where only a role is configured and the owner of the schema is needed."""
    return ConfigurationError(
        "This needs the owner of the database's schema.",
        expected="DATABASE_URL with the user that owns the database",
        received="DATABASE_URL with one of the roles ingest, agent and dashboard",
        remedy="run it where DATABASE_URL names the owner",
    )


def set_passwords(owner_url: str, passwords: Mapping[Role, str], sleep: Sleep = time.sleep) -> None:
    """Gives roles the passwords that are configured, where they do not have them already.

    A password leaves this process only as its SCRAM verifier, so that no log of the server can show it.

    Args:
        owner_url: libpq URL of the owner of the schema.
        passwords: by role.
        sleep: waits while another process changes the same role; an argument so that tests own time.

    Raises:
        ConfigurationError: if the owner may not set it and it is not the role's password.
        StoreUnavailable: if the server is away.
    """
    import psycopg

    for role, password in passwords.items():
        works, asked = _login(as_role(owner_url, role, password))
        if works and asked:
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
    """Whether the URL connects, and whether the server asked for its password."""
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


def _may_not_set(role: Role, said: str) -> ConfigurationError:
    variable = f"{role.upper()}_PASSWORD"
    return ConfigurationError(
        f"The role {role} does not have the password in {variable}, and it may not be set.",
        expected="its password, or an owner of the schema that may change the role",
        received=said.strip().splitlines()[0],
        remedy=f"correct {variable}, or let an administrator set it, in psql with: \\password {role}",
    )
