"""What the database's errors become: a real fault each, with both drivers, and every SQLSTATE there is."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg
import psycopg2
import pytest
from commands import rows
from databases import create, drop, on_database
from psycopg import errors
from sqlalchemy import Connection
from waiting import DEADLINE, wait_until

from trading_platform.domain.errors import StoreBusy, StoreError, StoreFull, StoreUnavailable
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.errors import store_error
from trading_platform.stores.postgres.roles import Role, as_role

LOCK = "LOCK TABLE config.instruments IN ACCESS EXCLUSIVE MODE"


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody else has a table."""
    with psycopg.connect(url) as other:
        other.execute(LOCK)
        yield


def with_options(url: str, **options: str) -> Database:
    """A database whose sessions have some settings."""
    given = "%20".join(f"-c%20{name}%3D{value}" for name, value in options.items())
    return Database(f"{url}{'&' if '?' in url else '?'}options={given}")


def failure(database: Database, work: str | Callable[[Connection], object]) -> StoreError:
    """The error of a transaction: a statement, or more."""
    try:
        with closing(database), database.begin() as connection:
            if isinstance(work, str):
                execute(connection, work)
            else:
                work(connection)
    except StoreError as error:
        return error
    return pytest.fail("no error")


def lock_not_available(url: str) -> StoreError:
    with locked(url):
        return failure(Database(url), f"{LOCK} NOWAIT")


def lock_timeout(url: str) -> StoreError:
    with locked(url):
        return failure(with_options(url, lock_timeout="10ms"), LOCK)


def statement_timeout(url: str) -> StoreError:
    return failure(with_options(url, statement_timeout="10ms"), "SELECT pg_sleep(60)")


def cancelled_by_a_person(url: str) -> StoreError:
    return interrupted(url, "pg_cancel_backend")


def ended_by_a_person(url: str) -> StoreError:
    return interrupted(url, "pg_terminate_backend")


def interrupted(url: str, by: str) -> StoreError:
    found: list[StoreError] = []
    sleeper = threading.Thread(target=lambda: found.append(failure(Database(url), "SELECT pg_sleep(600), 'its own'")))
    sleeper.start()
    query = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()"
    ((pid,),) = wait_until(lambda: rows(url, query, ("%pg_sleep(600), 'its own'%",)), "the statement")
    rows(url, f"SELECT {by}({pid})")
    sleeper.join(DEADLINE)
    return found[0]


def transaction_timeout(url: str) -> StoreError:
    def work(connection: Connection) -> None:
        execute(connection, "SET LOCAL transaction_timeout = '10ms'")
        execute(connection, "SELECT pg_sleep(60)")

    return failure(Database(url), work)


def idle_in_transaction(url: str) -> StoreError:
    def work(connection: Connection) -> None:
        own = execute(connection, "SELECT pg_backend_pid()")[0]
        execute(connection, "SET LOCAL idle_in_transaction_session_timeout = '10ms'")
        gone = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)"
        wait_until(lambda: rows(url, gone, own), "the end of the session")
        execute(connection, "SELECT 1")

    return failure(Database(url), work)


def deadlock(url: str) -> StoreError:
    with psycopg.connect(url) as other:
        other.execute("SET deadlock_timeout = '60s'")  # it is this transaction that notices
        other.execute("LOCK TABLE config.retention")

        def work(connection: Connection) -> threading.Thread:
            execute(connection, LOCK)
            waits = threading.Thread(target=lambda: other.execute(LOCK))
            waits.start()
            blocked = "SELECT 1 FROM pg_locks WHERE relation = 'config.instruments'::regclass AND NOT granted"
            wait_until(lambda: rows(url, blocked), "the other one")
            execute(connection, "SET LOCAL deadlock_timeout = '1ms'")
            execute(connection, "LOCK TABLE config.retention")
            return waits

        found = failure(Database(url), work)
        wait_until(lambda: other.info.transaction_status != psycopg.pq.TransactionStatus.ACTIVE, "the lock")
    return found


def serialization_failure(url: str) -> StoreError:
    change = "UPDATE config.retention SET keep = keep WHERE table_name = 'bars_1m'"

    def work(connection: Connection) -> None:
        execute(connection, "SELECT count(*) FROM config.retention")
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(change.encode())
        execute(connection, change)

    return failure(with_options(url, default_transaction_isolation="serializable"), work)


def catalog_changed_at_once(url: str) -> StoreError:
    grant = "GRANT SELECT ON config.instruments TO dashboard"
    with psycopg.connect(url) as other, ThreadPoolExecutor() as pool:
        other.execute(grant.encode())
        second = pool.submit(failure, Database(url), grant)
        wait_until(lambda: rows(url, "SELECT 1 FROM pg_locks WHERE NOT granted"), "the second one")
        other.commit()
        return second.result(DEADLINE)


def read_only(url: str) -> StoreError:
    return failure(with_options(url, default_transaction_read_only="on"), "DELETE FROM market_data.gaps")


def no_connection_left(url: str) -> StoreError:
    name = url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
        try:
            return failure(Database(as_role(url, Role.INGEST, trusted=True)), "SELECT 1")
        finally:
            owner.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')


def no_memory_left(url: str) -> StoreError:
    return failure(
        Database(url), "SELECT count(pg_advisory_xact_lock(number)) FROM generate_series(1, 10000000) AS number"
    )


def limit_exceeded(url: str) -> StoreError:
    sort = "SELECT number FROM generate_series(1, 1000000) AS number ORDER BY number DESC"
    return failure(with_options(url, temp_file_limit="64kB", work_mem="64kB"), sort)


def no_such_database(url: str) -> StoreError:
    return failure(Database(on_database(url, "no_such_database")), "SELECT 1")


def dropped_database(url: str) -> StoreError:
    name = f"dropped_{uuid.uuid4().hex[:8]}"

    def work(connection: Connection) -> None:
        execute(connection, "SELECT 1")
        drop(url, name)
        execute(connection, "SELECT 1")

    return failure(Database(create(url, name)), work)


def no_such_role(url: str) -> StoreError:
    return failure(Database(as_role(url, Role.INGEST, trusted=True).replace("ingest", "nobody_at_all")), "SELECT 1")


def nobody_listens(_: str) -> StoreError:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return failure(Database(f"postgresql://ana@127.0.0.1:{taken.getsockname()[1]}/trading"), "SELECT 1")


def wrong_statement(url: str) -> StoreError:
    return failure(Database(url), "SELECT no_such_column FROM config.instruments")


def write_to_a_view(url: str) -> StoreError:
    return failure(Database(url), "INSERT INTO market_data.ohlcv (time) VALUES (now())")


FAULTS: list[tuple[Callable[[str], StoreError], type[StoreError], bool, str]] = [
    (lock_not_available, StoreBusy, True, "Another transaction has what this one needs"),
    (lock_timeout, StoreBusy, True, "Another transaction has what this one needs"),
    (deadlock, StoreBusy, True, "Another transaction has what this one needs"),
    (catalog_changed_at_once, StoreBusy, True, "Another transaction has what this one needs"),
    (serialization_failure, StoreBusy, True, "Another transaction has what this one needs"),
    (statement_timeout, StoreBusy, True, "cancelled a statement"),
    (cancelled_by_a_person, StoreBusy, True, "cancelled a statement"),
    (no_memory_left, StoreBusy, True, "no memory left"),
    (no_connection_left, StoreBusy, True, "no connection left"),
    (ended_by_a_person, StoreUnavailable, True, "ended the connection"),
    (dropped_database, StoreUnavailable, True, "ended the connection"),
    (transaction_timeout, StoreUnavailable, True, "idle or at work for too long"),
    (idle_in_transaction, StoreUnavailable, True, "idle or at work for too long"),
    (nobody_listens, StoreUnavailable, True, "does not answer"),
    (no_such_database, StoreUnavailable, False, "does not exist"),
    (no_such_role, StoreUnavailable, False, "rejects the login"),
    (read_only, StoreError, False, "accepts no writes here"),
    (limit_exceeded, StoreError, False, "limit in the configuration"),
    (wrong_statement, StoreError, False, "rejected a statement"),
    (write_to_a_view, StoreError, False, "rejected a statement"),
]


@pytest.mark.parametrize(("fault", "kind", "retryable", "message"), FAULTS)
def test_a_fault_is_what_it_is(
    database_url: str, fault: Callable[[str], StoreError], kind: type[StoreError], message: str, *, retryable: bool
) -> None:
    error = fault(database_url)
    assert type(error) is kind, error
    assert error.retryable is retryable
    assert message in error.message
    assert error.received
    assert error.remedy
    assert ("does not answer" in str(error)) == (fault is nobody_listens)
    with psycopg.connect(database_url) as connection:  # and the database is as it was
        connection.execute("SELECT 1")


def test_dagsters_driver_is_understood_too(database_url: str) -> None:
    with locked(database_url), closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        with pytest.raises(psycopg2.OperationalError) as caught:
            cursor.execute(f"{LOCK} NOWAIT")
        assert isinstance(store_error(caught.value), StoreBusy)
    with pytest.raises(psycopg2.OperationalError) as missing:
        psycopg2.connect(on_database(database_url, "no_such_database"))
    assert "does not exist" in store_error(missing.value).message


BEFORE_LOGIN = [
    ("sorry, too many clients already", "no connection left", True),
    ("remaining connection slots are reserved for roles with the SUPERUSER attribute", "no connection left", True),
    ('too many connections for role "ingest"', "no connection left", True),
    ("the database system is starting up", "accepts no connections yet", True),
    ("the database system is shutting down", "accepts no connections yet", True),
    ("the database system is in recovery mode", "accepts no connections yet", True),
    ('database "trading" does not exist', "does not exist", False),
    ('role "agent" is not permitted to log in', "rejects the login", False),
    ('no pg_hba.conf entry for host "10.0.0.1", user "ana", database "trading"', "refuses the connection", True),
    ("lo sentimos, ya tenemos demasiados clientes", "refuses the connection", True),
]


@pytest.mark.parametrize(("said", "message", "retryable"), BEFORE_LOGIN)
def test_what_a_server_says_before_the_login(said: str, message: str, *, retryable: bool) -> None:
    text = f'connection failed: connection to server at "db" (10.0.0.2), port 5432 failed: FATAL:  {said}'
    error = store_error(psycopg.OperationalError(text))
    assert message in error.message
    assert error.retryable is retryable


def test_no_answer_of_the_server_is_called_none() -> None:
    """Over every SQLSTATE: a reason is not lost, and only a server that is not there is waited for as if it were."""
    known = {kind.sqlstate: kind for kind in vars(errors).values() if isinstance(getattr(kind, "sqlstate", None), str)}
    assert len(known) > 200
    for state, kind in known.items():
        error = store_error(kind("what it says"))
        assert ("does not answer" in error.message) == state.startswith(("08", "57P02")), state
        assert isinstance(error, StoreFull) == (state == "53100")
        if state.startswith(("40", "53", "55P03", "570", "57P", "58")):
            assert error.retryable == (state not in ("53100", "53400", "57000", "57P04")), state
        if state.startswith(("22", "23", "42", "P0", "0A", "54")):
            assert not error.retryable, state
