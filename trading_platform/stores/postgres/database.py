"""One PostgreSQL database: connections, transactions, and frames in and out by COPY.

Stores take a :class:`Database`; their SQL is in ``sql/queries``. A method that writes takes the connection of a
transaction, so that bars, coverage and quarantine commit together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from trading_platform.domain.errors import ConfigurationError, InvalidRequest
from trading_platform.domain.texts import shown
from trading_platform.stores.postgres.errors import connection_is_lost, store_error
from trading_platform.stores.postgres.readers import Readers

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection, Engine

_COPY_CHUNK = 1 << 20
_WHOLE_SECONDS = "%Y-%m-%d %H:%M:%S+00"
_TIME_TEXT = "%Y-%m-%d %H:%M:%S%.f%#z"

_Result = TypeVar("_Result")


class Database:
    """A PostgreSQL database, with a small pool of connections.

    Args:
        url: a libpq URL, ``postgresql://user:password@host/database``.

    Raises:
        ConfigurationError: if the URL is invalid.
    """

    def __init__(self, url: str) -> None:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        try:
            parsed = conninfo_to_dict(url)
            # libpq looks at the ports when it connects, and calls a wrong one a failure of the connection.
            for port in filter(None, str(parsed.get("port", "")).split(",")):
                int(port)
        except (psycopg.Error, ValueError) as error:
            raise _unreadable(error) from None
        given = str(parsed.get("options", ""))  # an argument of the driver would replace the URL's
        self._options = f"{given} -c timezone=UTC".strip()
        self._url = url
        self._readers = Readers({**parsed, "options": self._options})

    @cached_property
    def _engine(self) -> Engine:
        """The connections of writes, made by the first one."""
        from sqlalchemy import create_engine, make_url
        from sqlalchemy.exc import SQLAlchemyError

        try:
            address = make_url(self._url).difference_update_query(["options"]).set(drivername="postgresql+psycopg")
        except (SQLAlchemyError, ValueError) as error:  # the latter for a port that is no number
            raise _unreadable(error) from None
        return create_engine(address, pool_pre_ping=True, pool_size=4, connect_args={"options": self._options})

    def close(self) -> None:
        """Closes all connections."""
        self._readers.close()
        if "_engine" in self.__dict__:
            self._engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed on leaving, rolled back when anything is raised inside.

        Raises:
            StoreUnavailable: if the server cannot be reached or the connection is lost.
            StoreFull: if it has no space left.
            StoreBusy: if something that a statement needs is taken, or takes too long.
            StoreError: if it rejects a statement for another reason.
            InvalidRequest: if a text cannot be sent to it.
        """
        import psycopg
        from sqlalchemy.exc import DBAPIError

        try:
            with self._engine.begin() as connection:
                yield connection
        except UnicodeEncodeError as error:
            raise _unsendable(error) from error
        except (DBAPIError, psycopg.Error) as error:
            _raise_interruption(error)
            raise store_error(error) from error

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """A connection in autocommit mode, for statements that cannot run in a transaction.

        Raises:
            StoreUnavailable, StoreFull, StoreBusy, StoreError: as :meth:`begin`.
        """
        import psycopg
        from sqlalchemy.exc import DBAPIError

        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                yield connection
        except (DBAPIError, psycopg.Error) as error:
            _raise_interruption(error)
            raise store_error(error) from error

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection that is closed at the end of the block, which also ends its session on the server.

        Raises:
            StoreUnavailable, StoreFull, StoreBusy, StoreError: as :meth:`begin`.
        """
        with self.autocommit() as connection:
            try:
                yield connection
            finally:
                connection.invalidate()

    def read(self, statement: str, parameters: Mapping[str, Any], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """The rows of a query as a frame of ``schema``, by COPY in one round trip.

        The columns of the query must be in the order of the schema; times are in UTC.

        Raises:
            StoreUnavailable, StoreBusy, StoreError: as :meth:`begin`. A connection that died while idle is replaced
                once.
        """
        return self._reading(lambda raw: _frame(_copied(raw, statement, parameters), schema))

    def read_few(
        self, statement: str, parameters: Mapping[str, Any], schema: Mapping[str, pl.DataType]
    ) -> pl.DataFrame:
        """As :meth:`read`, for up to some thousands of rows: faster for these, slower for more.

        The parameters are sent separately from the statement; the server plans it for their values and skips the
        partitions that they exclude.
        """
        return self._reading(lambda raw: _frame_of_rows(_fetched(raw, statement, parameters), schema))

    def rows(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query, for small results.

        Raises:
            StoreUnavailable, StoreBusy, StoreError: as :meth:`read`.
        """
        return self._reading(lambda raw: raw.execute(statement.encode(), parameters).fetchall())

    def _reading(self, work: Callable[[psycopg.Connection[Any]], _Result]) -> _Result:
        import psycopg

        try:
            try:
                return self._readers.run(work)
            except psycopg.OperationalError as error:
                _raise_interruption(error)
                if not connection_is_lost(error.sqlstate):
                    raise
                self._readers.close()  # what broke one connection has broken the others too
                return self._readers.run(work)
        except UnicodeEncodeError as error:
            raise _unsendable(error) from error
        except psycopg.Error as error:
            _raise_interruption(error)
            raise store_error(error) from error


def _unreadable(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        "DATABASE_URL cannot be read.",
        expected="postgresql://user:password@host:5432/database",
        received=type(error).__name__,
        remedy="correct DATABASE_URL",
    )


def _unsendable(error: UnicodeEncodeError) -> InvalidRequest:
    return InvalidRequest(
        "A text cannot be sent to the database.",
        expected="texts without a lone surrogate",
        received=shown(error.object),
        remedy="correct the text; its encoding was probably misread",
    )


def _raise_interruption(error: BaseException | None) -> None:
    """Raises Ctrl-C, or Dagster's form of it, again if the rollback after it has failed."""
    while error is not None:
        if not isinstance(error, Exception):
            raise error
        error = error.__context__


def driver(connection: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection behind a SQLAlchemy one, in the same transaction."""
    import psycopg

    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError(f"expected a psycopg connection, received {type(raw).__name__}")
    return raw


def execute(
    connection: Connection, statement: str, parameters: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Runs one statement with named parameters and returns its rows, if it has any."""
    with driver(connection).cursor() as cursor:
        cursor.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def execute_together(connection: Connection, *statements: tuple[str, Mapping[str, Any]]) -> list[list[tuple[Any, ...]]]:
    """Runs several statements in one round trip and returns the rows of each."""
    raw = driver(connection)
    with raw.pipeline():
        cursors = [raw.execute(statement.encode(), parameters) for statement, parameters in statements]
    return [cursor.fetchall() if cursor.description else [] for cursor in cursors]


def read_frame(
    connection: Connection, statement: str, parameters: Mapping[str, Any], schema: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """As :meth:`Database.read`, inside a transaction."""
    return _frame(_copied(driver(connection), statement, parameters), schema)


def _copied(raw: psycopg.Connection[Any], statement: str, parameters: Mapping[str, Any]) -> bytes:
    import psycopg

    with psycopg.ClientCursor(raw) as cursor:
        bound = cursor.mogrify(statement.strip().rstrip(";").encode(), parameters)
        with cursor.copy(f"COPY ({bound}) TO STDOUT (FORMAT csv)".encode()) as copy:
            return b"".join(copy)


def _fetched(raw: psycopg.Connection[Any], statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows, with numbers and times as text, from which a frame is built faster than from Python objects."""
    from psycopg.types.string import TextLoader

    with raw.cursor() as cursor:
        for name in ("numeric", "timestamptz"):
            cursor.adapters.register_loader(name, TextLoader)
        # Not prepared: the generic plan that the server would choose opens every partition.
        return cursor.execute(statement.encode(), parameters, prepare=False).fetchall()


def _frame_of_rows(rows: Sequence[tuple[Any, ...]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    if not rows:
        return pl.DataFrame(schema=dict(schema))
    columns = zip(schema.items(), zip(*rows, strict=True), strict=True)
    return pl.DataFrame([_column(name, values, dtype) for (name, dtype), values in columns])


def _column(name: str, values: Sequence[Any], dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.Decimal):
        return pl.Series(name, values, dtype=pl.String).cast(dtype)
    if not isinstance(dtype, pl.Datetime):
        return pl.Series(name, values, dtype=dtype)
    texts = pl.Series(name, values, dtype=pl.String)
    times = texts.str.to_datetime(_WHOLE_SECONDS, time_unit="us", time_zone="UTC", strict=False)
    if times.null_count() == texts.null_count():
        return times
    return texts.str.to_datetime(_TIME_TEXT, time_unit="us", time_zone="UTC")


def _frame(body: bytes, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    if not body:
        return pl.DataFrame(schema=dict(schema))
    return pl.read_csv(body, has_header=False, schema=dict(schema))


def copy_frame(connection: Connection, table: str, frame: pl.DataFrame, columns: Sequence[str] | None = None) -> None:
    """Appends a frame to ``schema.table`` by COPY."""
    from psycopg import sql

    names = list(columns or frame.columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    body = frame.select(names).write_csv(include_header=False).encode()
    with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for start in range(0, len(body), _COPY_CHUNK):
            copy.write(body[start : start + _COPY_CHUNK])
