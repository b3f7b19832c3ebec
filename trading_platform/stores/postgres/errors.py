"""Translates a driver's error to the platform's: what happened, what to do, and whether trying again can help.

PostgreSQL states a reason in every answer, the SQLSTATE. The classes of the drivers' errors say much less: the one of
a lost connection is also that of a lock that was not available, a full disk and a statement that was cancelled.
Before the login the drivers have no SQLSTATE; there the text of the server decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from trading_platform.domain.errors import StoreBusy, StoreError, StoreFull, StoreUnavailable

_DOCTOR = "see `trading-platform doctor`"
_SERVER_LOG = "read the server's log"


@dataclass(frozen=True)
class _Meaning:
    """The platform's error for a reason of the server."""

    kind: Callable[..., StoreError]
    message: str
    remedy: str
    retryable: bool


_AWAY = _Meaning(
    StoreUnavailable,
    "The database does not answer; the open transaction was not committed.",
    f"{_DOCTOR}; run the same again when the server is back",
    retryable=True,
)
_REJECTED = _Meaning(StoreError, "The database rejected a statement.", _DOCTOR, retryable=False)
_MET_ANOTHER = _Meaning(
    StoreBusy,
    "Another transaction has what this one needs; this one was rolled back.",
    "run the same again; if it lasts, `SELECT * FROM pg_stat_activity WHERE state <> 'idle'` names who holds it",
    retryable=True,
)
_NO_CONNECTION_LEFT = _Meaning(
    StoreBusy,
    "The database has no connection left.",
    "end processes that need none, or raise max_connections of the server or the limit of the role or database",
    retryable=True,
)
_CANCELLED = _Meaning(
    StoreBusy,
    "The database cancelled a statement; the transaction was rolled back.",
    "run the same again when less runs, or for a shorter window; if it lasts, raise the timeout that is named",
    retryable=True,
)
_TIMED_OUT = _Meaning(
    StoreUnavailable,
    "The database closed the connection, because it was idle or at work for too long; the transaction was rolled back.",
    "run the same again; if it lasts, raise the timeout that is named",
    retryable=True,
)
_NO_DATABASE = _Meaning(
    StoreUnavailable,
    "The database does not exist.",
    "correct DATABASE_URL, or create the database and run `trading-platform db upgrade`",
    retryable=False,
)
_REJECTED_LOGIN = _Meaning(
    StoreUnavailable,
    "The database rejects the login.",
    "check the user and password in DATABASE_URL, and INGEST_PASSWORD, AGENT_PASSWORD or DASHBOARD_PASSWORD;"
    " `trading-platform db upgrade` creates the roles and sets these passwords",
    retryable=False,
)
_REFUSED_CONNECTION = _Meaning(
    StoreUnavailable, "The database refuses the connection.", f"{_DOCTOR}, and {_SERVER_LOG}", retryable=True
)

_MEANINGS: dict[str, _Meaning] = {
    "08": _AWAY,  # connection exceptions
    "28": _REJECTED_LOGIN,
    "3D000": _NO_DATABASE,
    "25006": _Meaning(
        StoreError,
        "The database accepts no writes here: it is a standby, or it was set to read only.",
        "name the primary server in DATABASE_URL, and a role that may write",
        retryable=False,
    ),
    "25P03": _TIMED_OUT,  # idle in a transaction
    "25P04": _TIMED_OUT,  # the transaction as a whole
    "40": _MET_ANOTHER,  # serialization failures and deadlocks
    "53000": _Meaning(StoreBusy, "The database lacks resources.", _SERVER_LOG, retryable=True),
    "53100": _Meaning(
        StoreFull,
        "The database has no space left; the transaction was rolled back.",
        "free disk space where the database stores its files, then run the same again",
        retryable=False,
    ),
    "53200": _Meaning(
        StoreBusy,
        "The database has no memory left for a statement; the transaction was rolled back.",
        "run the same again when less runs, or for a shorter window; if it lasts, give the server more memory, or raise"
        " its max_locks_per_transaction if it is the shared memory that is out",
        retryable=True,
    ),
    "53300": _NO_CONNECTION_LEFT,
    "53400": _Meaning(
        StoreError,
        "A limit in the configuration of the database is exceeded; the transaction was rolled back.",
        "run it for a shorter window, or raise the limit that is named",
        retryable=False,
    ),
    "55006": _MET_ANOTHER,  # an object in use
    "55P03": _MET_ANOTHER,  # a lock that was not available, at once or within lock_timeout
    "57014": _CANCELLED,  # by statement_timeout, a person, or on a standby by what it replays
    "57P01": _Meaning(
        StoreUnavailable,
        "The database ended the connection: it shuts down, or a person ended it. The transaction was not committed.",
        "run the same again when the server is back",
        retryable=True,
    ),
    "57P02": _AWAY,  # another process of the server crashed
    "57P03": _Meaning(
        StoreUnavailable,
        "The database starts, stops or recovers, and accepts no connections yet.",
        "run the same again in a while",
        retryable=True,
    ),
    "57P04": _NO_DATABASE,  # dropped while it was used
    "57P05": _TIMED_OUT,  # an idle session
    "58": _Meaning(
        StoreUnavailable,
        "The database cannot read or write its files; the transaction was rolled back.",
        f"{_SERVER_LOG}, and check its disk",
        retryable=True,
    ),
    "XX001": _Meaning(
        StoreError, "Data of the database is damaged.", f"{_SERVER_LOG}, and restore a backup", retryable=False
    ),
    "XX002": _Meaning(
        StoreError, "An index of the database is damaged.", f"{_SERVER_LOG}, and REINDEX the index", retryable=False
    ),
}
"""By SQLSTATE, or by its class (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

_CONCURRENTLY = "tuple concurrently "
"""Updated, or deleted: how PostgreSQL says that the catalog was changed at once; the SQLSTATE says nothing."""

_BEFORE_LOGIN = [
    (re.compile(r"FATAL: .*(too many clients|too many connections|connection slots)"), _NO_CONNECTION_LEFT),
    (re.compile(r"FATAL: .*the database system is"), _MEANINGS["57P03"]),
    (re.compile(r'FATAL: .*database ".*" does not exist'), _NO_DATABASE),
    (re.compile(r'FATAL: .*\brole "'), _REJECTED_LOGIN),
    (re.compile(r"FATAL: "), _REFUSED_CONNECTION),
]
"""What a server says before the login, in English; in other languages the last pattern has to do."""


def store_error(error: Exception) -> StoreError:
    """The platform's error for a driver's error: of psycopg, or of psycopg2, which Dagster uses."""
    reason = _reason(error)
    text = str(reason).strip()
    found = _meaning(reason, text)
    received = text.splitlines()[0] if text else type(reason).__name__
    return found.kind(found.message, received=received, remedy=found.remedy, retryable=found.retryable)


def connection_is_lost(state: str | None) -> bool:
    """Whether the connection is lost, rather than the statement rejected; a broken connection has no SQLSTATE."""
    return state is None or state.startswith(("08", "57P")) or state in ("25P03", "25P04")


def _reason(error: Exception) -> BaseException:
    """The driver's error that states a reason.

    Where the server ended the connection, the rollback after that fails, too, and says only that there is none.
    """
    first = found = getattr(error, "orig", None) or error  # SQLAlchemy wraps the driver's error
    while found is not None and _state(found) is None:
        found = getattr(found, "orig", None) or found.__context__
    return first if found is None else found


def _state(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _meaning(reason: BaseException, text: str) -> _Meaning:
    state = _state(reason)
    if state == "XX000" and text.startswith(_CONCURRENTLY):
        return _MET_ANOTHER
    if state is not None:
        return _MEANINGS.get(state) or _MEANINGS.get(state[:2]) or _REJECTED
    kinds = {kind.__name__ for kind in type(reason).__mro__}  # class names of the DB API, the same in every driver
    if not kinds & {"OperationalError", "InterfaceError"}:
        return _REJECTED
    attempt = getattr(reason, "pgconn", None)
    if attempt and (attempt.needs_password or attempt.used_password):
        return _REJECTED_LOGIN
    return next((meaning for pattern, meaning in _BEFORE_LOGIN if pattern.search(text)), _AWAY)
