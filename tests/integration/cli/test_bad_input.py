"""What cannot be: every wrong request gets words, the right exit code, and leaves nothing half-stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg
import pytest
from commands import Installation, installation, rows, tables
from databases import on_database
from invented_files import CANNOT_BE, FAILED, assert_plain, daily_file
from processes import free_port

from trading_platform.embedded.stack import Endpoints


@pytest.fixture(scope="module")
def ours(stack: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A platform with two instruments of imported bars."""
    with installation(stack.database_url) as made:
        folder = tmp_path_factory.mktemp("files")
        found = made.run("import", daily_file(folder, "SPY", 400), daily_file(folder, "GOOG", 400))
        assert found.code == 0, found.text
        yield made


def contents(made: Installation) -> dict[str, int]:
    """How many rows there are in every table."""
    return {name: len(found) for name, found in tables(made.database_url).items()}


WRONG = [
    pytest.param(["backfill", "SPYY"], ["no instrument 'SPYY'", "did you mean SPY?"], id="wrong symbol"),
    pytest.param(["backfill", "gooh"], ["no instrument 'GOOH'", "did you mean GOOG?"], id="lower case"),
    pytest.param(
        ["coverage", "GOOGL"], ["no instrument 'GOOGL'", "did you mean GOOG?"], id="coverage of a wrong symbol"
    ),
    pytest.param(["instruments", "remove", "NONE"], ["no instrument 'NONE'"], id="remove what is not there"),
    pytest.param(["instruments", "add", "btc/usd"], ["'BTC/USD' is not a symbol", "BTCUSD"], id="not a symbol"),
    pytest.param(
        ["instruments", "add", "BTCUSD", "--source", "bloomberg"], ["no source 'bloomberg'", "kraken"], id="source"
    ),
    pytest.param(["instruments", "add", "X", "--calendar", "MARS"], ["no calendar 'MARS'", "XNYS"], id="calendar"),
    pytest.param(["instruments", "add", "X", "--tick-size", "-1"], ["positive number", "0.01"], id="tick size"),
    pytest.param(["backfill", "SPY", "-t", "2h"], ["no timeframe '2h'", "1m, 5m, 1h, 1d"], id="timeframe"),
    pytest.param(
        ["export", "bars", "x.csv", "-t", "1M"], ["no timeframe '1M'", "1m for minutes"], id="timeframe of an export"
    ),
    pytest.param(
        ["backfill", "SPY", "--start", "2013-01-01", "--end", "2012-01-01"],
        ["must end after it starts", "2012-01-01"],
        id="end before start",
    ),
    pytest.param(
        ["backfill", "SPY", "--start", "2012-01-01T10:00:00"], ["not a timestamp", "with its zone"], id="naive time"
    ),
    pytest.param(["backfill", "SPY", "--end", "tomorrow"], ["not a timestamp", "2024-01-31"], id="not a time"),
    pytest.param(["export", "bars", "bars.xlsx"], ["supported extension", ".parquet or .csv"], id="ending"),
    pytest.param(["export", "trades", "x.csv"], ["'trades' cannot be exported", "quarantine"], id="what to export"),
    pytest.param(
        ["backfill", "SPY", "-t", "1m"], ["No 1m bars of SPY are available", "import a file"], id="nothing had"
    ),
    pytest.param(["import", "missing.csv"], ["missing.csv"], id="no such file"),
    pytest.param(["import", "\udcff.csv"], ["no file", "\\udcff.csv"], id="a name that is no text"),
    pytest.param(["coverage", "\udcff"], ["cannot be sent to the database"], id="a symbol that is no text"),
    pytest.param(["instruments", "add", "X", "--sector", "\udcff"], ["lone surrogate"], id="a sector that is no text"),
    pytest.param(["instruments", "add", "X", "--tick-size", "1e9999999"], ["positive number"], id="huge tick size"),
    pytest.param(
        ["backfill", "SPY", "-t", "1m", "--start", "0001-01-01", "--end", "0001-01-02"],
        ["has no 1m bars of SPY"],
        id="the first day of all",
    ),
    pytest.param(
        ["backfill", "SPY", "--start", "0001-01-01T00:00:00+14:00"], ["outside of the calendar"], id="before all days"
    ),
    pytest.param(
        ["backfill", "SPY", "--start", "9999-12-31", "--end", "9999-12-31T23:59:59.999999Z"],
        ["when it has ended"],
        id="the last day of all",
    ),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_a_wrong_request_is_answered_in_words(ours: Installation, arguments: list[str], said: list[str]) -> None:
    before = contents(ours)
    found = ours.run(*arguments)
    assert_plain(found, CANNOT_BE)
    assert found.out == ""
    for words in said:
        assert words in found.text
    assert contents(ours) == before


@pytest.mark.parametrize(
    "arguments", [WRONG[0].values[0], WRONG[8].values[0], WRONG[10].values[0], WRONG[16].values[0]]
)
def test_machines_get_the_same_as_json(ours: Installation, arguments: list[str]) -> None:
    found = ours.run(*arguments, "--json")
    assert_plain(found, CANNOT_BE)
    assert found.json["error"] == "InvalidRequest"
    assert found.json["retryable"] is False
    assert found.json["message"]
    assert found.err == ""


@pytest.mark.parametrize("arguments", [["backfill", "--no-such-option"], ["backfil"], ["export", "bars"]])
def test_a_wrong_command_line_is_answered_in_words_and_as_json(ours: Installation, arguments: list[str]) -> None:
    found = ours.run(*arguments)
    assert_plain(found, CANNOT_BE)
    assert found.out == ""
    assert "--help" in found.text
    found = ours.run(*arguments, "--json")
    assert_plain(found, CANNOT_BE)
    assert found.json["error"] == "InvalidRequest"


PASSWORD = "hunter2"  # noqa: S105 - opens nothing
MALFORMED = [
    f"postgresql://me:{PASSWORD}@host:port/db",
    f"postgres//me:{PASSWORD}@host",
    f"postgresql://me:{PASSWORD} x@host/db",
    f"postgresql://me:%zz{PASSWORD}@host/db",
    f"postgresql://me:{PASSWORD}@[::1/db",
    f"postgresql://me:12/{PASSWORD}@host/db",
    f"postgresql://me:12#{PASSWORD}@host/db",
    f"host=localhost password={PASSWORD}",
    f"{PASSWORD}@host",
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("address", MALFORMED)
@pytest.mark.parametrize("command", [["instruments", "list"], ["status"], ["doctor"]])
def test_no_password_of_a_malformed_address_is_shown(ours: Installation, command: list[str], address: str) -> None:
    for name in ("DATABASE_URL", "DAGSTER_DATABASE_URL", "REDIS_URL"):
        for options in ([], ["--json"]):
            found = ours.run(*command, *options, more={name: address})
            assert PASSWORD not in found.out + found.err, name
            assert "unexpected error" not in found.text, name


def test_markup_and_commands_of_a_terminal_are_texts(ours: Installation) -> None:
    for symbol, sector in (("MARKUP", "[/bold] [red]x"), ("ESCAPE", "a\x1b]0;title\x07")):
        assert ours.run("instruments", "add", symbol, "--sector", sector, "--source", "file").code == 0
    found = ours.run("instruments", "list")
    assert_plain(found, 0)
    assert "[/bold] [red]x" in found.out
    assert "a\\x1b]0;title\\x07" in found.out
    assert "\x1b" not in found.out
    for symbol in ("MARKUP", "ESCAPE"):
        assert ours.run("instruments", "remove", symbol).code == 0


def test_an_empty_universe_says_how_to_fill_it(stack: Endpoints) -> None:
    with installation(stack.database_url) as made:
        found = made.run("backfill")
        assert_plain(found, CANNOT_BE)
        assert "the universe is empty" in found.text
        assert "trading-platform import FILE" in found.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("noise.csv", Random(7).randbytes(3000)),
        ("empty.csv", b""),
        ("broken.parquet", b"PAR1 and then nothing"),
        ("broken.csv.gz", b"\x1f\x8b\x08\x00 not gzip"),
        ("broken.zip", b"PK\x03\x04 not a zip"),
        ("page.csv", b"<html><body>404 Not Found</body></html>"),
    ],
)
def test_an_unreadable_file_is_refused_and_kept_on_record(
    ours: Installation, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    found = ours.run("import", "--json", "--symbol", "JUNK", "--timeframe", "1d", tmp_path / name)
    assert_plain(found, FAILED)
    (file,) = found.json["files"]
    assert file["accepted"] == 0
    assert file["status"] == "rejected"
    assert file["detail"]
    kept = rows(ours.database_url, "SELECT reason FROM market_data.quarantine WHERE origin LIKE %s", [f"%{name}"])
    assert kept
    assert not rows(ours.database_url, "SELECT FROM config.instruments WHERE symbol = 'JUNK'")


SECRET = "hunter2-very-secret"  # noqa: S105


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("not a url", CANNOT_BE, "postgresql://"),
        ("mysql://u:p@localhost/x", CANNOT_BE, "postgresql://"),
        (f"postgresql://user:{SECRET}@127.0.0.1:{{port}}/trading", FAILED, "does not answer"),
        (f"postgresql://user:{SECRET}@no-such-host.invalid/trading", FAILED, "does not answer"),
        (f"postgresql://user:{SECRET}@127.0.0.1:{{port}}:7/trading", CANNOT_BE, "DATABASE_URL"),
    ],
)
def test_a_database_that_cannot_be_reached(ours: Installation, url: str, code: int, said: str) -> None:
    more = {"DATABASE_URL": url.format(port=free_port())}
    for arguments in (["instruments", "list"], ["db", "status"]):
        found = ours.run(*arguments, "--json", more=more)
        assert_plain(found, code)
        assert said in found.out
        assert found.json["remedy"]
        assert SECRET not in found.out + found.err


def test_a_dagster_database_that_cannot_be_reached(ours: Installation) -> None:
    more = {"DAGSTER_DATABASE_URL": f"postgresql://user:{SECRET}@127.0.0.1:{free_port()}/dagster"}
    found = ours.run("backfill", "SPY", "--json", more=more)
    assert_plain(found, FAILED)
    assert found.json["error"] == "StoreUnavailable"
    assert SECRET not in found.out + found.err


def test_a_database_that_does_not_exist(ours: Installation) -> None:
    more = {"DATABASE_URL": on_database(ours.database_url, "no_such_database")}
    found = ours.run("instruments", "list", more=more)
    assert_plain(found, FAILED)
    assert "no_such_database" in found.text


def test_a_wrong_password_is_not_repeated(ours: Installation, stack: Endpoints) -> None:
    """The embedded server trusts its socket, so that a rule for one user is what makes it ask."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        hba = rows(stack.database_url, "SHOW hba_file")[0][0]
        connection.execute(f"CREATE ROLE stranger LOGIN PASSWORD '{SECRET}'")
        rules = Path(hba).read_text()
        try:
            Path(hba).write_text(f"local all stranger scram-sha-256\n{rules}")
            connection.execute("SELECT pg_reload_conf()")
            wrong = f"{SECRET}-mistyped"
            url = ours.database_url.replace("//postgres@", f"//stranger:{wrong}@")
            assert "stranger" in url
            found = ours.run("instruments", "list", more={"DATABASE_URL": url})
        finally:
            Path(hba).write_text(rules)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("DROP ROLE stranger")
    assert_plain(found, FAILED)
    assert "password" in found.text
    assert SECRET not in found.out + found.err


@pytest.mark.exhaustive
def test_a_database_without_the_schema_says_how_to_get_it(stack: Endpoints) -> None:
    with installation(stack.database_url, schema=False) as made:
        found = made.run("instruments", "list")
        assert_plain(found, CANNOT_BE)
        assert "trading-platform db upgrade" in found.text
        assert made.run("db", "status").code == FAILED
        assert made.run("db", "upgrade").code == 0
        assert made.run("instruments", "list").code == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KRAKEN_REQUESTS_PER_SECOND", "often"),
        ("KRAKEN_REQUESTS_PER_SECOND", "0"),
        ("KRAKEN_REQUESTS_PER_SECOND", "-3"),
    ],
)
def test_a_broken_setting_is_named(ours: Installation, variable: str, value: str) -> None:
    found = ours.run("coverage", more={variable: value})
    assert_plain(found, CANNOT_BE)
    assert variable in found.text
    (ours.data_dir / ".env").write_text(f"{variable}={value}\n")
    try:
        found = ours.run("coverage", "--json", more={variable: None, "SETTINGS_FILE": None})
    finally:
        (ours.data_dir / ".env").unlink()
    assert_plain(found, CANNOT_BE)
    assert variable in found.json["received"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00DATA_DIR", b"\x00\x01\x02"])
def test_an_env_file_that_is_not_text(ours: Installation, content: bytes) -> None:
    (ours.data_dir / ".env").write_bytes(content)
    try:
        found = ours.run("instruments", "list")
    finally:
        (ours.data_dir / ".env").unlink()
    assert "Traceback" not in found.err
    assert "failed with an unexpected error" not in found.text
    assert found.code in (0, CANNOT_BE)


def test_a_data_directory_that_is_a_file(ours: Installation, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("in the way")
    found = ours.run("instruments", "list", more={"DATA_DIR": str(path), "DATABASE_URL": None})
    assert found.code in (FAILED, CANNOT_BE)
    assert_plain(found, found.code)
    assert str(path) in found.text
    assert path.read_text() == "in the way"


def test_an_export_to_where_nothing_can_be_written(ours: Installation, tmp_path: Path) -> None:
    for target in (tmp_path / "no" / "such" / "folder.csv", Path("/proc/bars.csv")):
        found = ours.run("export", "bars", target, "--json")
        assert_plain(found, FAILED)
        assert found.json["error"] in ("StoreError", "StoreFull")
        assert str(target) in found.json["message"]
