"""What each role of the database may do, and that everything else is refused: on PostgreSQL and on TimescaleDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest
from commands import ROLES_PASSWORD
from psycopg import errors, sql
from redis import Redis

from trading_platform.client import Platform
from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.roles import Role, as_role, set_passwords
from trading_platform.stores.redis.order_stream import NAME, open_order_stream
from trading_platform.stores.stores import open_stores
from trading_platform.stores.trading.outbox import OutboxStore
from trading_platform.workflows.trading.publish_outbox import publish_outbox

READ, WRITE, NOTHING = "SELECT", "SELECT INSERT UPDATE DELETE", ""
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
SCHEMAS = ("market_data", "features", "news", "trading", "audit", "config")

# What ingest and agent may do with each table and view; dashboard reads every one and does nothing else.
MATRIX = {
    **dict.fromkeys([f"market_data.bars_{length}" for length in ("1m", "5m", "1h", "1d")], (WRITE, READ)),
    **dict.fromkeys([f"market_data.indicators_{length}" for length in ("1m", "5m", "1h", "1d")], (WRITE, READ)),
    "market_data.ohlcv": (READ, READ),
    "market_data.ohlcv_1h": (READ, READ),
    "market_data.ohlcv_1h_changes": (READ, READ),
    "market_data.indicators": (READ, READ),
    "market_data.coverage": (WRITE, READ),
    "market_data.coverage_requests": (WRITE, READ),
    "market_data.input_versions": (WRITE, READ),
    "market_data.quarantine": (WRITE, READ),
    "market_data.quarantine_decisions": (WRITE, READ),
    "market_data.stream_positions": (WRITE, READ),
    "market_data.outages": (WRITE, READ),
    "market_data.checkpoints": (WRITE, READ),
    "market_data.source_comparisons": (WRITE, READ),
    "market_data.conflicting_versions": (WRITE, READ),
    "market_data.corporate_actions": (WRITE, READ),
    "market_data.fingerprints": (WRITE, READ),
    "market_data.gaps": (WRITE, READ),
    "market_data.bar_revisions": ("SELECT INSERT", READ),
    "market_data.indicator_revisions": ("SELECT INSERT", READ),
    "market_data.corporate_action_revisions": ("SELECT INSERT", READ),
    "market_data.revisions_kept": (READ, READ),
    "features.catalog": (WRITE, READ),
    "news.raw_news": (WRITE, READ),
    "news.news_sentiment": (WRITE, READ),
    "news.identities": (WRITE, READ),
    "news.sightings": (WRITE, READ),
    "news.versions": (WRITE, READ),
    "news.links": (WRITE, READ),
    "news.aliases": (WRITE, READ),
    "news.feeds": (WRITE, READ),
    "trading.orders": (READ, "SELECT INSERT UPDATE"),
    "trading.trades": (READ, "SELECT INSERT"),
    "trading.reconciliations": ("SELECT INSERT UPDATE", READ),
    "trading.reconciled_cash": ("SELECT INSERT", READ),
    "trading.reconciliation_differences": ("SELECT INSERT", READ),
    "trading.pauses": ("SELECT INSERT UPDATE", READ),
    "trading.replaced_trades": (NOTHING, "SELECT INSERT"),
    "trading.positions": (READ, "SELECT INSERT UPDATE"),
    "trading.position_history": (NOTHING, "SELECT INSERT UPDATE"),
    "trading.recorded_since": (NOTHING, READ),
    "trading.recorded_orders": (NOTHING, READ),
    "trading.recorded_positions": (NOTHING, READ),
    "trading.outbox": ("SELECT UPDATE", "INSERT"),
    "audit.decisions": (NOTHING, "SELECT INSERT"),
    "audit.system_events": ("SELECT INSERT", "SELECT INSERT"),
    "audit.set_aside": (NOTHING, NOTHING),
    "audit.archived_months": (READ, READ),
    **dict.fromkeys(
        [f"audit.{name}" for name in ("problems", "silences", "notifications", "deliveries")],
        (WRITE, NOTHING),
    ),
    **dict.fromkeys(["audit.incidents", "audit.observers"], (WRITE, READ)),
    "config.instruments": (WRITE, READ),
    "config.strategies": (NOTHING, "SELECT INSERT UPDATE"),
    "config.risk_limits": (NOTHING, "SELECT INSERT UPDATE"),
    "config.recorded_risk_limits": (NOTHING, READ),
    "config.retention": (READ, READ),
    "public.alembic_version": (READ, READ),
}
WITHOUT_TIMESCALE = {  # what stands in for the extension's own
    "market_data.ohlcv_1h_stored": (READ, READ),
    "market_data.aggregates": (READ, READ),
}
EVENT_COLUMNS = "timestamp event_type severity component message metadata"
# Where a verb is granted for some columns only.
COLUMNS = {
    (Role.AGENT, "trading.orders", "UPDATE"): "status broker_order_id filled_qty avg_fill_price commission filled_at",
    (Role.AGENT, "trading.positions", "INSERT"): "symbol",
    (Role.AGENT, "trading.positions", "UPDATE"): (
        "quantity avg_entry_price current_price unrealized_pnl realized_pnl opened_at"
    ),
    (Role.AGENT, "trading.position_history", "UPDATE"): "quantity cost realized_pnl opened_at",
    (Role.AGENT, "trading.outbox", "INSERT"): "order_id payload",
    (Role.INGEST, "trading.outbox", "UPDATE"): "seq published_at fault",
    (Role.AGENT, "config.strategies", "UPDATE"): ("name enabled params allowed_symbols regime_filter max_positions"),
    (Role.AGENT, "config.risk_limits", "UPDATE"): "value description updated_by",
    (Role.AGENT, "audit.system_events", "INSERT"): EVENT_COLUMNS,
    (Role.INGEST, "audit.system_events", "INSERT"): EVENT_COLUMNS,
    (Role.INGEST, "trading.pauses", "UPDATE"): "trials_left ended_at ended_by ended_because",
    (Role.INGEST, "trading.reconciliations", "UPDATE"): "accepted_at accepted_by accepted_because",
}
VIEWS = {"market_data.ohlcv", "market_data.ohlcv_1h", "market_data.indicators"}
CALLED_BY_INGEST = {
    *("note_expired", "expire_fingerprints", "note_change", "make_partitions", "refresh_ohlcv_1h", "refresh_old_hours"),
    *("prune_outbox", "expire_revisions"),
}
CALLED_BY_AGENT = {"remove_replaced_trade", "order_faults", "newest_price"}
CALLED_BY_ALL = {"chunk_start", "uses_timescaledb", "chunks", "held", "waiting", "fingerprint_period", "bar_weight"}
"""They only look. Nobody may call any other of our functions."""
NO_SUCH_VIEW_WRITE = (errors.ObjectNotInPrerequisiteState, errors.WrongObjectType, errors.FeatureNotSupported)

DDL = [
    *(f"CREATE TABLE {schema}.made_by_a_role (id integer)" for schema in (*SCHEMAS, "public")),
    *(f"CREATE VIEW {schema}.seen_by_a_role AS SELECT 1 AS one" for schema in (*SCHEMAS, "public")),
    *(f"DROP SCHEMA {schema} CASCADE" for schema in SCHEMAS),
    *(f"CREATE FUNCTION {schema}.by_a_role() RETURNS integer LANGUAGE sql AS 'SELECT 1'" for schema in SCHEMAS),
    "CREATE SCHEMA of_a_role",
    "ALTER TABLE trading.trades DISABLE TRIGGER ALL",
    "DROP TRIGGER trades_stay ON trading.trades",
    "CREATE TRIGGER mine BEFORE INSERT ON trading.trades FOR EACH ROW EXECUTE FUNCTION trading.guard_trade()",
    "CREATE OR REPLACE FUNCTION trading.guard_trade() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "DROP FUNCTION trading.guard_trade() CASCADE",
    "ALTER TABLE trading.orders DROP CONSTRAINT orders_filled_within_quantity",
    "ALTER TYPE trading.order_status ADD VALUE 'forgotten'",
    "CREATE INDEX ON market_data.bars_1m (close)",
    "CREATE RULE gone AS ON DELETE TO audit.decisions DO INSTEAD NOTHING",
    "REINDEX TABLE trading.orders",
    "DROP EXTENSION plpgsql CASCADE",
    "CREATE PUBLICATION everything FOR ALL TABLES",
    "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION trading.guard_order()",
]
SERVER = [
    "CREATE ROLE made_by_a_role",
    "CREATE DATABASE made_by_a_role",
    "CREATE TABLESPACE made_by_a_role LOCATION '/nowhere'",
    "ALTER ROLE {me} SUPERUSER",
    "ALTER ROLE {me} CREATEROLE",
    "ALTER ROLE {other} PASSWORD 'mine'",
    "GRANT {other} TO {me}",
    "GRANT pg_write_all_data TO {me}",
    "DROP ROLE {other}",
    "SET ROLE {owner}",
    "SET ROLE {other}",
    "SET SESSION AUTHORIZATION {owner}",
    "SET session_replication_role = replica",
    "ALTER SYSTEM SET log_connections = on",
    "ALTER DATABASE {database} SET work_mem = '1MB'",
    "ALTER DATABASE {database} OWNER TO {me}",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/nowhere/written_by_a_role'",
    "COPY market_data.quarantine (origin) FROM '/etc/passwd'",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_reload_conf()",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
    "SELECT audit.ensure_partitions()",
    "SELECT audit.make_partition('decisions', 'decisions_2001_01', '2001-01-01', '2001-02-01')",
    "SELECT config.grant_roles()",
    "SELECT market_data.drop_expired(now())",
    "SELECT setval('audit.system_events_id_seq', 1)",
    "DO 'BEGIN LOCK TABLE trading.orders IN ACCESS EXCLUSIVE MODE; END'",
    "CLUSTER trading.orders USING orders_pkey",
]

TIMESCALE = [
    "SELECT drop_chunks('market_data.bars_1m', now())",
    "SELECT remove_retention_policy('market_data.bars_1m')",
    "SELECT remove_compression_policy('market_data.bars_1m')",
    "SELECT add_retention_policy('market_data.bars_1d', interval '1 day')",
    "SELECT alter_job(job_id, scheduled => FALSE) FROM timescaledb_information.jobs",
    "SELECT delete_job(job_id) FROM timescaledb_information.jobs",
    "SELECT set_chunk_time_interval('market_data.bars_1m', interval '1 year')",
    "DROP MATERIALIZED VIEW market_data.ohlcv_1h",
    "SELECT add_job('market_data.held', '1 minute')",
    "CALL run_job(1)",
]


@dataclass(frozen=True)
class Server:
    """A migrated database, and what the tests must know of it."""

    url: str
    owner: str
    database: str
    timescale: bool

    def as_role(self, role: Role) -> str:
        return as_role(self.url, role, ROLES_PASSWORD)

    @property
    def matrix(self) -> dict[str, tuple[str, str]]:
        return MATRIX if self.timescale else MATRIX | WITHOUT_TIMESCALE


@pytest.fixture(scope="module", params=["database_url", "timescale_url"])
def server(request: pytest.FixtureRequest) -> Server:
    """The embedded PostgreSQL, then TimescaleDB."""
    url = request.getfixturevalue(request.param)
    set_passwords(url, dict.fromkeys(Role, ROLES_PASSWORD))
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT current_user::text, current_database()::text,"
            " EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"
        ).fetchone()
    assert found is not None
    return Server(url, *found)


@contextmanager
def session(server: Server, role: Role) -> Iterator[psycopg.Connection]:
    """A connection of a role that does what it can to write: each statement is its own transaction."""
    with psycopg.connect(server.as_role(role), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        yield connection


def rejection(
    connection: psycopg.Connection, statement: sql.Composed | sql.SQL, *, keep: bool = False
) -> psycopg.Error | None:
    """What a statement is answered with; None if it was done, which is then undone unless it is to be kept."""
    try:
        with connection.transaction(force_rollback=not keep):
            connection.execute(statement)
    except psycopg.Error as error:
        return error
    return None


def relations(server: Server, *, partitions: bool) -> dict[str, list[str]]:
    """Every table and view there is, with the columns that can be written."""
    with psycopg.connect(server.url) as connection:
        return dict(
            connection.execute(
                "SELECT format('%%s.%%s', nspname, relname), array_agg(attname::text ORDER BY attnum)"
                " FROM pg_class AS relation JOIN pg_namespace AS schema ON schema.oid = relnamespace"
                " JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped"
                " WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relispartition = %s"
                " AND nspname <> 'information_schema' AND nspname !~ '^(pg|_?timescaledb)_' GROUP BY 1",
                [partitions],
            ).fetchall()
        )


def rights(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    """Everything that is granted to anybody in the database."""
    return connection.execute(
        "SELECT 'pg_class', oid, 0, relacl::text FROM pg_class"
        " UNION ALL SELECT 'pg_attribute', attrelid, attnum, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL"
        " UNION ALL SELECT 'pg_proc', oid, 0, proacl::text FROM pg_proc"
        " UNION ALL SELECT 'pg_namespace', oid, 0, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_'"
        " UNION ALL SELECT 'pg_default_acl', oid, 0, defaclacl::text FROM pg_default_acl"
        " UNION ALL SELECT 'pg_database', oid, 0, datacl::text FROM pg_database WHERE datname = current_database()"
        " ORDER BY 1, 2, 3"
    ).fetchall()


def attempts(relation: str, columns: Sequence[str]) -> Iterator[tuple[str, str, sql.Composed]]:
    """Verb, column and statement of everything one can do to a relation; nothing of it reads where it writes."""
    table = sql.Identifier(*relation.split("."))
    yield "SELECT", "", sql.SQL("SELECT * FROM {} LIMIT 0").format(table)
    yield "DELETE", "", sql.SQL("DELETE FROM {} WHERE FALSE").format(table)
    yield "TRUNCATE", "", sql.SQL("TRUNCATE {} CASCADE").format(table)
    for name in columns:
        column = sql.Identifier(name)
        yield "INSERT", name, sql.SQL("INSERT INTO {} ({}) VALUES (DEFAULT)").format(table, column)
        yield "UPDATE", name, sql.SQL("UPDATE {} SET {} = DEFAULT WHERE FALSE").format(table, column)


def may(server: Server, role: Role, relation: str, verb: str, column: str) -> bool:
    ingest, agent = server.matrix[relation]
    granted = {Role.INGEST: ingest, Role.AGENT: agent, Role.DASHBOARD: READ}[role].split()
    limited = COLUMNS.get((role, relation, verb))
    return verb in granted and (limited is None or not column or column in limited.split())


def test_every_table_is_in_the_matrix(server: Server) -> None:
    assert set(relations(server, partitions=False)) == set(server.matrix)


@pytest.mark.parametrize("role", Role)
def test_each_role_does_with_each_table_what_it_may_and_nothing_else(server: Server, role: Role) -> None:
    wrong = []
    with session(server, role) as connection:
        for relation, columns in relations(server, partitions=False).items():
            for verb, column, statement in attempts(relation, columns):
                error = rejection(connection, statement)
                rejected = isinstance(error, errors.InsufficientPrivilege)
                writes_a_view = verb != "SELECT" and isinstance(error, NO_SUCH_VIEW_WRITE)
                if may(server, role, relation, verb, column) == (rejected or writes_a_view):
                    wrong.append(f"{verb} {relation} {column}: {error}")
    assert wrong == []


@pytest.mark.parametrize("role", Role)
def test_partitions_are_no_way_around_their_tables(server: Server, role: Role) -> None:
    found = relations(server, partitions=True)
    assert found
    wrong = []
    with session(server, role) as connection:
        for relation, columns in found.items():
            for verb, column, statement in attempts(relation, columns):
                if verb == "SELECT" and role is Role.DASHBOARD:
                    continue  # reads all
                if not isinstance(rejection(connection, statement), errors.InsufficientPrivilege):
                    wrong.append(f"{verb} {relation} {column}")
    assert wrong == []


@pytest.mark.parametrize("role", Role)
def test_no_role_changes_the_schema_or_the_server(server: Server, role: Role) -> None:
    other = Role.DASHBOARD if role is Role.INGEST else Role.INGEST
    names = {"me": role, "other": other, "owner": server.owner, "database": server.database}
    tried = [*DDL, *SERVER, *(TIMESCALE if server.timescale else ())]
    tables = [relation for relation in MATRIX if relation not in VIEWS]
    tried += [f"DROP TABLE {table} CASCADE" for table in tables]
    tried += [f"ALTER TABLE {table} ADD COLUMN mine integer" for table in tables]
    done = []
    with session(server, role) as connection:
        for statement in tried:
            quoted = sql.SQL(statement).format(**{name: sql.Identifier(value) for name, value in names.items()})
            try:
                connection.execute(quoted)
            except errors.InsufficientPrivilege:
                continue
            except psycopg.Error as error:
                done.append(f"{statement}: {error}")
            else:
                done.append(statement)
    assert done == []


@pytest.mark.parametrize("role", [Role.AGENT, Role.DASHBOARD])
def test_only_ingest_makes_temporary_tables(server: Server, role: Role) -> None:
    statement = sql.SQL("CREATE TEMPORARY TABLE mine (id integer)")
    with session(server, role) as connection:
        assert isinstance(rejection(connection, statement), errors.InsufficientPrivilege)
    with session(server, Role.INGEST) as connection:
        assert rejection(connection, statement) is None


def test_no_role_calls_functions_that_are_not_its_own_and_none_can_be_turned(server: Server) -> None:
    with psycopg.connect(server.url) as connection:
        found = connection.execute(
            "SELECT proname, prosecdef, COALESCE(proconfig::text, '') ~ 'search_path', array_agg(caller)"
            " FILTER (WHERE has_function_privilege(caller, routine.oid, 'EXECUTE'))"
            " FROM pg_proc AS routine, unnest(ARRAY['ingest', 'agent', 'dashboard']) AS caller"
            " WHERE pronamespace::regnamespace::text = ANY(%s) GROUP BY routine.oid, 1, 2, 3",
            [list(SCHEMAS)],
        ).fetchall()
    for name, as_owner, path_is_set, callers in found:
        allowed = set(Role) if name in CALLED_BY_ALL else {"ingest"} if name in CALLED_BY_INGEST else set()
        allowed |= {"agent"} if name in CALLED_BY_AGENT else set()
        assert set(callers or ()) == allowed, name
        assert path_is_set or not as_owner, f"{name} runs as the owner with the caller's search_path"


def test_dashboard_begins_read_only(server: Server) -> None:
    with (
        psycopg.connect(server.as_role(Role.DASHBOARD)) as connection,
        pytest.raises(errors.ReadOnlySqlTransaction),
    ):
        connection.execute("CREATE TABLE public.mine (id integer)")


@pytest.mark.parametrize("role", Role)
def test_no_role_passes_anything_on(server: Server, role: Role) -> None:
    """PostgreSQL answers who may read but not pass on with a warning: nothing is granted all the same."""
    with psycopg.connect(server.url) as connection, session(server, role) as mine:
        before = rights(connection)
        for relation in server.matrix:
            for taker in ("PUBLIC", "ingest, agent, dashboard"):
                rejection(mine, sql.SQL(f"GRANT ALL ON {relation} TO {taker}"), keep=True)
        assert rights(connection) == before


def test_everything_is_granted_again_without_a_change(server: Server) -> None:
    with psycopg.connect(server.url) as connection:
        before = rights(connection)
        connection.execute("SELECT config.grant_roles()")
        assert rights(connection) == before


def test_dashboard_reads_what_is_made_later(server: Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE trading.later (id integer)")
        try:
            with psycopg.connect(server.as_role(Role.DASHBOARD)) as dashboard:
                assert dashboard.execute("SELECT * FROM trading.later").fetchall() == []
            with session(server, Role.AGENT) as agent:
                error = rejection(agent, sql.SQL("SELECT * FROM trading.later"))
                assert isinstance(error, errors.InsufficientPrivilege)
        finally:
            connection.execute("DROP TABLE trading.later")


def test_an_agent_keeps_the_ledger_and_ingest_tells_of_it(server: Server, redis_url: str, tmp_path: Path) -> None:
    with open_stores(server.as_role(Role.AGENT), tmp_path) as stores:
        platform = Platform(stores)
        platform.strategies.save("momentum", "Momentum", enabled=True)
        platform.strategies.save("momentum", "Momentum of the year", enabled=False)
        platform.strategies.enable("momentum")
        assert platform.strategies.get("momentum")
        platform.risk_limits.set("max_position_pct", "5", by="ana")
        assert platform.risk_limits.set("max_position_pct", "4", by="ana").value == 4
        order = platform.orders.place("SPY", "buy", "limit", 10, broker="ibkr", price="500", strategy_id="momentum")
        assert platform.decisions.record("entry", symbol="SPY", order_id=order.id) in platform.decisions.list()
        platform.orders.advance(order.id, "sent", broker_order_id="17")
        later = datetime(2024, 3, 4, 15, tzinfo=UTC)
        platform.orders.record_fill(order.id, "b", quantity=4, price="499", executed_at=later, commission="1")
        platform.orders.record_fill(order.id, "a", quantity=1, price="498", executed_at=later - timedelta(hours=1))
        platform.orders.cancel(order.id)
        late = platform.orders.record_fill(order.id, "c", quantity=1, price="497", executed_at=later)
        assert late.position.quantity == 6
        platform.orders.record_fill(order.id, "0a.01", quantity=3, price="496", executed_at=later)
        corrected = platform.orders.record_fill(order.id, "0a.02", quantity=2, price="496", executed_at=later)
        assert (corrected.position.quantity, len(corrected.replaced)) == (8, 1)
        assert platform.orders.record_bust(order.id, "0a.02").position.quantity == 6
        assert [fill.broker_fill_id for fill in platform.orders.replaced_fills(symbol="SPY")] == ["0a.01", "0a.02"]
        marked = platform.mark_price("SPY", 500)
        assert marked is not None
        assert marked.unrealized_pnl == Decimal(3000 - 4 * 499 - 498 - 497)
        assert [event.event_type for event in platform.events.list(at_least="warning")] == [
            "fill_busted",
            "fill_corrected",
            "fill_after_cancel",
            "fill_after_cancel",
        ]
        assert platform.instruments() == {}
    ingest = Database(server.as_role(Role.INGEST))
    with Redis.from_url(redis_url) as redis, open_order_stream(redis_url) as stream:
        redis.delete(NAME)  # the other server's
        assert publish_outbox(OutboxStore(ingest), stream) == 9
        assert publish_outbox(OutboxStore(ingest), stream) == 0
        assert OutboxStore(ingest).prune(timedelta(0)) == 8
    ingest.close()


def test_ingest_keeps_market_data_and_the_others_read_them(server: Server, tmp_path: Path) -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    bar = pl.DataFrame(
        [(start, "BTCUSD", "1m", *[Decimal(100)] * 4, Decimal(1), "file", "traded")], schema=BAR_SCHEMA, orient="row"
    )
    rejected = pl.DataFrame(
        {
            "line": [7],
            "time": [start],
            "reason": ["price_not_positive"],
            "detail": [None],
            "record": ["-1"],
            "bar": [None],
        }
        | {"row_count": [1]},
        schema=REJECTED_SCHEMA,
    )
    window = Window(start, start + timedelta(hours=1))
    with open_stores(server.as_role(Role.INGEST), tmp_path) as stores:
        stores.instruments.add(Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "file"))
        with stores.database.begin() as connection:
            assert stores.bars.replace(connection, "BTCUSD", Timeframe.M1, window, bar)
        with stores.database.begin() as connection:
            assert stores.bars.replace(connection, "BTCUSD", Timeframe.M1, window, bar.clear())
            assert stores.bars.replace(connection, "BTCUSD", Timeframe.M1, window, bar)
        assert stores.quarantine.record(rejected, source="file", symbol="BTCUSD", timeframe="1m", origin="a.csv") == 1
    for role in (Role.AGENT, Role.DASHBOARD):
        with open_stores(server.as_role(role), tmp_path) as stores:
            assert stores.bars.read(["BTCUSD"], Timeframe.M1, window).height == 1
            assert stores.quarantine.read("BTCUSD").height == 1
            with pytest.raises(StoreError, match=r"permission denied|read-only"):
                stores.instruments.add(Instrument("ETHUSD", AssetClass.CRYPTO, "24/7", "file"))
