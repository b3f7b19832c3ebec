"""What a role can do to others without writing a row: locks, jobs, other databases, time and space.

Which rows it may read and write is in ``test_roles.py``, which rows nobody can read in ``test_unreadable_rows.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest
from commands import ROLES_PASSWORD
from databases import create, drop
from psycopg import errors, sql

from trading_platform.embedded import doctor
from trading_platform.embedded.doctor import Verdict, check_other_databases, check_rows, check_sessions
from trading_platform.embedded.stack import Endpoints, running_stack, upgrade_schema
from trading_platform.settings import Settings
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.databases import open_databases
from trading_platform.stores.postgres.roles import LIMITS, Role, as_role

MODES = (
    "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)  # fmt: skip
HARMLESS = MODES[:3]
"""They exclude no reader and no writer."""
OF_INGEST = (
    *("market_data.", "features.", "news.", "config.instruments"),
    *(f"audit.{name}" for name in ("observers", "problems", "incidents", "silences", "notifications", "deliveries")),
)
"""What no other role writes."""
SCHEMAS = ["market_data", "features", "news", "trading", "audit", "config"]


def login(url: str, role: Role) -> psycopg.Connection:
    return psycopg.connect(as_role(url, role, ROLES_PASSWORD))


def tables(url: str) -> list[str]:
    """Every table and partition of the platform."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT format('%%s.%%s', relnamespace::regnamespace, relname) FROM pg_class"
            " WHERE relnamespace::regnamespace::text = ANY(%s) AND relkind IN ('r', 'p')",
            [SCHEMAS],
        ).fetchall()
    return [name for (name,) in found]


@pytest.mark.parametrize("role", Role)
def test_a_role_locks_no_table_against_the_others(server_url: str, role: Role) -> None:
    strong = [mode for mode in MODES if mode not in HARMLESS]
    taken, found = set(), tables(server_url)
    with login(server_url, role) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.commit()
        for table in found:
            for mode in strong:
                statement = sql.SQL("LOCK TABLE {} IN {} MODE NOWAIT").format(
                    sql.Identifier(*table.split(".")), sql.SQL(mode)
                )
                try:
                    connection.execute(statement)
                    taken.add(table)
                except errors.InsufficientPrivilege:
                    pass
                connection.rollback()
    assert len(found) > 40
    assert [table for table in taken if role is not Role.INGEST or not table.startswith(OF_INGEST)] == []


@pytest.mark.parametrize("role", [Role.AGENT, Role.DASHBOARD])
def test_only_ingest_takes_advisory_locks(server_url: str, role: Role) -> None:
    """With one it could stop the publisher, a stream or an upgrade for as long as it likes."""
    with psycopg.connect(server_url) as connection:
        found = connection.execute(
            "SELECT oid::regprocedure::text, has_function_privilege(%s, oid, 'EXECUTE'),"
            " has_function_privilege('ingest', oid, 'EXECUTE') FROM pg_proc"
            " WHERE pronamespace = 'pg_catalog'::regnamespace AND proname LIKE '%%advisory%%lock%%'"
            " AND proname NOT LIKE '%%unlock%%'",
            [role],
        ).fetchall()
    assert len(found) == 16
    assert {(role_may, ingest_may) for _, role_may, ingest_may in found} == {(False, True)}
    with login(server_url, role) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("SELECT pg_advisory_lock(7406003)")


def test_no_role_schedules_jobs(timescale_url: str) -> None:
    """A job runs in the background, as long and as often as it likes."""
    with psycopg.connect(timescale_url) as connection:
        found = connection.execute(
            "SELECT routine.oid::regprocedure::text, role"
            " FROM pg_proc AS routine"
            " JOIN pg_depend ON classid = 'pg_proc'::regclass AND objid = routine.oid AND deptype = 'e'"
            " JOIN pg_extension AS extension ON refobjid = extension.oid AND extname = 'timescaledb',"
            " unnest(ARRAY['ingest', 'agent', 'dashboard']) AS role"
            " WHERE proname ~ '(_job|_policy|_policies)$' AND proname !~ '^(show_|policy_|_?get_)'"
            " AND provolatile = 'v' AND has_function_privilege(role, routine.oid, 'EXECUTE')"
        ).fetchall()
    assert found == []


# Time and space


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("password", [ROLES_PASSWORD, None])
def test_every_session_begins_with_the_limits_of_its_role(server_url: str, role: Role, password: str | None) -> None:
    """With a login of its own, and as the owner that works as the role."""
    with psycopg.connect(as_role(server_url, role, password)) as connection:
        found = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in LIMITS[role]}
    assert {name: value for name, (value,) in found.items() if value} == LIMITS[role]


def test_limits_that_an_administrator_has_set_stay(server_url: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        (name,) = connection.execute("SELECT current_database()").fetchone() or ("",)
        statement = sql.SQL("ALTER ROLE agent IN DATABASE {} SET statement_timeout = {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Literal("7min")))
        connection.execute("SELECT config.grant_roles()")
        with login(server_url, Role.AGENT) as agent:
            assert agent.execute("SHOW statement_timeout").fetchone() == ("7min",)
        connection.execute(statement.format(sql.Identifier(name), sql.Literal(LIMITS["agent"]["statement_timeout"])))


SORT = "SELECT n FROM generate_series(1, 3000000) AS n ORDER BY md5(n::text) OFFSET 2999999"


def test_a_statement_past_its_time_is_cancelled(server_url: str) -> None:
    with login(server_url, Role.DASHBOARD) as connection:
        connection.execute("SET statement_timeout = '100ms'")
        with pytest.raises(errors.QueryCanceled):
            connection.execute(SORT)


@pytest.mark.parametrize("role", [Role.AGENT, Role.DASHBOARD])
def test_a_sort_fills_no_disk_and_the_role_cannot_lift_that(server_url: str, role: Role) -> None:
    with login(server_url, role) as connection:
        assert connection.execute("SHOW temp_file_limit").fetchone() == ("4GB",)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SET temp_file_limit = -1")
    with psycopg.connect(server_url) as owner:
        owner.execute("SET temp_file_limit = '1MB'; SET work_mem = '64kB'")
        with pytest.raises(errors.ConfigurationLimitExceeded):
            owner.execute(SORT)


def test_who_idles_in_a_transaction_loses_its_locks(server_url: str) -> None:
    with login(server_url, Role.AGENT) as idle, login(server_url, Role.AGENT) as waiting:
        idle.execute("INSERT INTO trading.positions (symbol) VALUES ('IDLE') ON CONFLICT DO NOTHING")
        idle.commit()
        idle.execute("SET idle_in_transaction_session_timeout = '100ms'")
        idle.commit()
        idle.execute("SELECT * FROM trading.positions WHERE symbol = 'IDLE' FOR UPDATE")
        assert waiting.execute("UPDATE trading.positions SET current_price = 2 WHERE symbol = 'IDLE'").rowcount == 1
        with pytest.raises(errors.IdleInTransactionSessionTimeout):
            idle.execute("SELECT 1")


def test_a_role_that_lifts_its_limits_is_named(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_sessions(server_url).verdict is Verdict.OK
    monkeypatch.setattr(doctor, "LONGEST_TRANSACTION", timedelta(0))
    with login(server_url, Role.AGENT) as holding:
        holding.execute("SELECT count(*) FROM trading.orders")
        found = check_sessions(server_url)
        assert f"agent (process {holding.info.backend_pid})" in found.found
        assert f"pg_terminate_backend({holding.info.backend_pid})" in found.remedy


# Other databases


@pytest.fixture(scope="module")
def own(new_settings: Callable[..., Settings]) -> Iterator[Endpoints]:
    """An embedded server that no test has made databases on."""
    settings = new_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        upgrade_schema(settings, endpoints)
        yield endpoints


@pytest.mark.exhaustive
def test_the_roles_connect_to_no_other_database_of_the_embedded_server(own: Endpoints) -> None:
    with psycopg.connect(own.database_url) as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
    others = {name for (name,) in names} - {"trading"}
    assert others == {"postgres", "template1", "dagster"}
    for role in Role:
        for name in others:
            url = as_role(own.database_url, role, trusted=True).replace("/trading?", f"/{name}?")
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(url).close()
    assert check_other_databases(own.database_url).verdict is Verdict.OK


@pytest.mark.exhaustive
def test_databases_of_others_are_named_with_what_their_owner_can_do(own: Endpoints) -> None:
    create(own.database_url, "of others")
    try:
        found = check_other_databases(own.database_url)
        assert (found.verdict, found.found) == (Verdict.NOTE, "the roles can connect to: of others")
        with psycopg.connect(own.database_url, autocommit=True) as connection:
            connection.execute(found.remedy.partition(": ")[2].encode())
        assert open_databases(own.database_url) == []
    finally:
        drop(own.database_url, "of others")


def test_the_owner_finds_out_what_was_set_aside(own: Endpoints) -> None:
    assert check_rows(own.database_url).verdict is Verdict.OK
    with Database(own.database_url).begin() as connection:
        connection.exec_driver_sql("INSERT INTO audit.set_aside (relation, reason, record) VALUES ('a.b', 'c', '{}')")
    found = check_rows(own.database_url)
    assert (found.verdict, found.found) == (Verdict.NOTE, "a.b: 1 rows in audit.set_aside")
    assert check_rows(as_role(own.database_url, Role.DASHBOARD, trusted=True)) == found
    for role in (Role.AGENT, Role.INGEST):
        assert "not examined" in check_rows(as_role(own.database_url, role, trusted=True)).found
