"""Logging in as a role: with passwords on a server that asks for them, and what is said where it does not work."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from processes import environment
from psycopg import sql
from typer.testing import CliRunner
from waiting import DEADLINE

from trading_platform.cli.main import app
from trading_platform.client import Platform
from trading_platform.domain.errors import ConfigurationError, StoreUnavailable
from trading_platform.embedded.doctor import Check, Verdict, check_roles
from trading_platform.embedded.stack import running_stack, upgrade_schema, url_as
from trading_platform.resources.platform import open_platform
from trading_platform.settings import Settings
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.databases import ensure_database
from trading_platform.stores.postgres.roles import Role, as_role, set_passwords
from trading_platform.stores.schema import upgrade

PASSWORDS = {role: f"{role}: {secrets.token_urlsafe(6)}@/%" for role in Role}


MIGRATE_ON_REQUEST = """
import sys
import alembic.command
from trading_platform.stores.schema import upgrade
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.roles import Role, set_passwords
print("ready", flush=True)
sys.stdin.readline()
upgrade(Database(sys.argv[1]))
for _ in range(5):
    set_passwords(sys.argv[1], {role: "the same" for role in Role})
print("done", flush=True)
"""


class Scram:
    """A server of its own that asks everybody but its superuser for a password, and settings for it."""

    def __init__(self, superuser_url: str, new_settings: Callable[..., Settings]) -> None:
        self.superuser_url = superuser_url
        self._new_settings = new_settings

    def run(self, statement: str, *values: str) -> None:
        """As the superuser; values are quoted as literals."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Literal, values)))

    def url(self, user: str, password: str, database: str) -> str:
        query = self.superuser_url.partition("?")[2]
        return f"postgresql://{user}:{quote(password, safe='')}@/{database}?{query}"

    def settings(self, url: str, **passwords: str) -> Settings:
        return self._new_settings(database_url=url, dagster_database_url=self.superuser_url, **passwords)


@pytest.fixture(scope="module")
def scram(new_settings: Callable[..., Settings]) -> Iterator[Scram]:
    settings = new_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        with psycopg.connect(endpoints.database_url, autocommit=True) as connection:
            (rules,) = connection.execute("SHOW hba_file").fetchone() or ("",)
            Path(rules).write_text("local all postgres trust\nlocal all all scram-sha-256\n", encoding="utf-8")
            connection.execute("SELECT pg_reload_conf()")
        server = Scram(endpoints.database_url, new_settings)
        server.run("CREATE ROLE ana LOGIN CREATEROLE PASSWORD {}", "ana's")
        server.run("CREATE ROLE ben LOGIN PASSWORD {}", "ben's")
        yield server


@pytest.fixture(scope="module")
def owned(scram: Scram) -> Settings:
    """A database whose owner is no superuser, brought up to date by it: roles with passwords from the settings."""
    scram.run("CREATE DATABASE owned OWNER ana")
    settings = scram.settings(
        scram.url("ana", "ana's", "owned"), **{f"{role}_password": PASSWORDS[role] for role in Role}
    )
    with running_stack(settings, need_redis=False) as endpoints:
        upgrade_schema(settings, endpoints)
        upgrade_schema(settings, endpoints)
    return settings


def who_works(url: str) -> tuple[str, str]:
    database = Database(url)
    try:
        with database.begin() as connection:
            ((session, current, zone),) = execute(
                connection, "SELECT session_user::text, current_user::text, current_setting('TimeZone')"
            )
    finally:
        database.close()
    assert zone == "UTC"
    return session, current


def examined(settings: Settings) -> Check:
    assert settings.database_url is not None
    return check_roles(settings.database_url.get_secret_value(), settings)


def test_each_role_logs_in_with_the_password_of_the_settings(owned: Settings) -> None:
    with running_stack(owned, need_redis=False) as endpoints:
        for role in Role:
            assert who_works(url_as(owned, endpoints, role)) == (role, role)
    with open_platform(owned) as platform:
        assert platform.stores.instruments.all() == {}
    with Platform.connect(owned) as client:
        client.events.log("hello", "info", "agent", "At work.")
    assert examined(owned).verdict is Verdict.OK


@pytest.mark.usefixtures("owned")
def test_passwords_are_kept_as_scram_verifiers(scram: Scram) -> None:
    with psycopg.connect(scram.superuser_url) as connection:
        kept = connection.execute(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY(%s)", [list(Role)]
        ).fetchall()
    assert {name for name, _ in kept} == set(Role)
    assert all(verifier.startswith("SCRAM-SHA-256$") for _, verifier in kept)


def test_a_password_that_is_right_is_not_written_again(owned: Settings, scram: Scram) -> None:
    def rows() -> list[tuple[object, ...]]:
        with psycopg.connect(scram.superuser_url) as connection:
            return connection.execute("SELECT rolname, xmin::text, rolpassword FROM pg_authid ORDER BY 1").fetchall()

    before = rows()
    assert owned.database_url is not None
    set_passwords(owned.database_url.get_secret_value(), PASSWORDS)
    assert rows() == before


@pytest.mark.usefixtures("owned")
def test_a_wrong_password_is_named_as_such_and_not_shown(scram: Scram) -> None:
    wrong = {"ingest_password": PASSWORDS[Role.AGENT], "agent_password": PASSWORDS[Role.INGEST]}
    settings = scram.settings(scram.url("ana", "ana's", "owned"), **wrong)
    with pytest.raises(StoreUnavailable, match="rejects the login") as ingest, open_platform(settings) as platform:
        platform.stores.instruments.all()
    with pytest.raises(StoreUnavailable, match="rejects the login") as agent, Platform.connect(settings):
        pass
    for failure in (ingest.value, agent.value):
        assert not failure.retryable
        assert "_PASSWORD" in str(failure)
        assert not [password for password in PASSWORDS.values() if password in str(failure)]


@pytest.mark.usefixtures("owned")
def test_without_passwords_the_owner_works_as_the_roles(scram: Scram) -> None:
    settings = scram.settings(scram.url("ana", "ana's", "owned"))
    with running_stack(settings, need_redis=False) as endpoints:
        for role in Role:
            assert who_works(url_as(settings, endpoints, role)) == ("ana", role)
    assert examined(settings).verdict is Verdict.OK


def test_an_agents_machine_needs_the_agents_url_alone(owned: Settings, new_settings: Callable[..., Settings]) -> None:
    assert owned.database_url is not None
    url = as_role(owned.database_url.get_secret_value(), Role.AGENT, PASSWORDS[Role.AGENT])
    settings = new_settings(database_url=url)
    with Platform.connect(settings) as platform:
        assert platform.positions() == {}
    with pytest.raises(ConfigurationError, match="needs the role ingest"), open_platform(settings):
        pass
    with open_platform(settings, role=Role.DASHBOARD) as reading:
        assert reading.stores.instruments.all() == {}
        with pytest.raises(ConfigurationError, match="owner of the database's schema"):
            _ = reading.stores.owner
    found = examined(settings)
    assert (found.verdict, found.found.split(":")[0]) == (Verdict.OK, "agent")


def test_commands_of_an_agents_machine(owned: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert owned.database_url is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv(
        "DATABASE_URL", as_role(owned.database_url.get_secret_value(), Role.AGENT, PASSWORDS[Role.AGENT])
    )
    assert CliRunner().invoke(app, ["coverage", "--json"]).exit_code == 0
    assert CliRunner().invoke(app, ["instruments", "list", "--json"]).exit_code == 0
    for arguments, needed in ((["db", "upgrade"], "owner"), (["instruments", "add", "SPY"], "role ingest")):
        response = CliRunner().invoke(app, arguments)
        assert isinstance(response.exception, ConfigurationError)
        assert needed in str(response.exception)


@pytest.mark.exhaustive
def test_who_may_not_create_roles_is_told_what_an_administrator_has_to_run(
    new_settings: Callable[..., Settings],
) -> None:
    settings = new_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        with psycopg.connect(endpoints.database_url, autocommit=True) as superuser:
            superuser.execute("CREATE ROLE ben LOGIN")
            superuser.execute("CREATE DATABASE bens OWNER ben")
            url = endpoints.database_url.replace("postgres@/trading", "ben@/bens")
            database = Database(url)
            with pytest.raises(ConfigurationError, match="may not create it") as failure:
                upgrade(database)
            remedy = failure.value.remedy or ""
            assert remedy.startswith("let an administrator run: CREATE ROLE ingest LOGIN;")
            superuser.execute(remedy.partition(": ")[2].encode())
        upgrade(database)
        for role in Role:
            assert who_works(as_role(url, role)) == ("ben", role)
        with pytest.raises(ConfigurationError, match="AGENT_PASSWORD, or let an administrator set it"):
            _set_where_asked(url, Path(database_directory(endpoints.database_url)), {Role.AGENT: "x"})
        database.close()


def database_directory(url: str) -> str:
    with psycopg.connect(url) as connection:
        (found,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    return str(found)


def _set_where_asked(url: str, directory: Path, passwords: dict[Role, str]) -> None:
    """Sets passwords on a server that from now on asks the roles for them."""
    rules = "".join(f"local all {role} scram-sha-256\n" for role in Role)
    (directory / "pg_hba.conf").write_text(f"{rules}local all all trust\n", encoding="utf-8")
    with psycopg.connect(url.replace("ben@/bens", "postgres@/postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")
    set_passwords(url, passwords)


@pytest.mark.usefixtures("owned")
def test_a_user_who_is_not_allowed_to_work_as_a_role_is_told_so(scram: Scram) -> None:
    settings = scram.settings(scram.url("ben", "ben's", "owned"))
    with running_stack(settings, need_redis=False) as endpoints:
        database = Database(url_as(settings, endpoints, Role.AGENT))
        with pytest.raises(StoreUnavailable, match="rejects the login"), database.begin():
            pass
        database.close()


@pytest.mark.exhaustive
def test_databases_of_one_server_are_migrated_and_given_passwords_at_the_same_moment(
    new_settings: Callable[..., Settings],
) -> None:
    """The first to come makes the roles, which are the server's."""
    settings = new_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        names = [f"at_once_{number}" for number in range(5)]
        urls = [endpoints.database_url.replace("/trading?", f"/{name}?") for name in names]
        for name in names:
            ensure_database(endpoints.database_url, name)
        command = [sys.executable, "-c", MIGRATE_ON_REQUEST]
        started = [
            subprocess.Popen(
                [*command, url], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for url in urls
        ]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.communicate(timeout=DEADLINE)[0] for process in started] == ["done\n"] * len(names)
        assert [who_works(as_role(url, Role.INGEST)) for url in urls] == [("postgres", "ingest")] * len(names)


def test_a_role_with_rights_over_the_server_is_a_finding(owned: Settings, scram: Scram) -> None:
    scram.run("ALTER ROLE dashboard CREATEDB")
    try:
        found = examined(owned)
    finally:
        scram.run("ALTER ROLE dashboard NOCREATEDB")
    assert found.verdict is Verdict.BROKEN
    assert "dashboard" in found.found
    assert "NOCREATEDB" in found.remedy
