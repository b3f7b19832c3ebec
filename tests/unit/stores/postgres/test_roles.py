"""With which URL a process works as a role."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from trading_platform.domain.errors import ConfigurationError
from trading_platform.settings import Settings
from trading_platform.stores.postgres.roles import Role, as_owner, as_role, role_of

OWNER = "postgresql://ana:s3cret@db.example:5433/trading?sslmode=require"
SOCKET = "postgresql://postgres@/trading?host=%2Frun%2Fpg&port=5432"


@pytest.mark.parametrize("role", Role)
def test_a_password_of_its_own_replaces_the_owners_login(role: Role) -> None:
    url = make_url(as_role(OWNER, role, "p@ss:w/ö%rd"))
    assert (url.username, url.password) == (role, "p@ss:w/ö%rd")
    assert (url.host, url.port, url.database, url.query) == ("db.example", 5433, "trading", {"sslmode": "require"})
    assert role_of(url.render_as_string(hide_password=False)) is role


def test_a_server_that_trusts_is_told_the_name_alone() -> None:
    url = make_url(as_role(SOCKET, Role.AGENT, trusted=True))
    assert (url.username, url.password) == ("agent", None)
    assert url.query == {"host": "/run/pg", "port": "5432"}


def test_without_a_password_the_owner_works_as_the_role_and_keeps_other_options() -> None:
    url = as_role(f"{OWNER}&options=-c%20work_mem%3D64MB", Role.INGEST)
    parsed = make_url(url)
    assert (parsed.username, parsed.password) == ("ana", "s3cret")
    assert str(parsed.query["options"]).endswith(" -c work_mem=64MB -c role=ingest")
    assert "-c statement_timeout=1h -c lock_timeout=10min" in str(parsed.query["options"])
    assert role_of(url) is Role.INGEST


def test_a_user_in_the_query_gives_way_to_the_role() -> None:
    url = make_url(as_role("postgresql:///trading?host=%2Frun&user=ana&password=x", Role.AGENT, "y"))
    assert (url.username, url.password, url.query) == ("agent", "y", {"host": "/run"})


@pytest.mark.parametrize(
    ("url", "role"),
    [
        (OWNER, None),
        (SOCKET, None),
        ("postgresql://agent:x@db/trading", Role.AGENT),
        ("postgresql:///trading?user=dashboard", Role.DASHBOARD),
        ("postgresql://agent@db/trading?options=-c%20work_mem%3D1MB", Role.AGENT),
        ("postgresql://ana@db/trading?options=-c%20role%3Dingest%20-c%20work_mem%3D1MB", Role.INGEST),
    ],
)
def test_the_role_of_a_url(url: str, role: Role | None) -> None:
    assert role_of(url) is role


def test_a_url_of_the_role_is_used_as_it_is_whatever_is_configured() -> None:
    url = "postgresql://agent:x@db/trading"
    assert as_role(url, Role.AGENT, "another") == url
    assert as_role(url, Role.DASHBOARD) == url, "an agent may read what a dashboard reads of market data"


@pytest.mark.parametrize(
    ("given", "wanted"), [("agent", Role.INGEST), ("ingest", Role.AGENT), ("dashboard", Role.AGENT)]
)
def test_a_url_of_another_role_is_refused_with_what_is_needed(given: str, wanted: Role) -> None:
    with pytest.raises(ConfigurationError, match=f"the user {wanted}, or with the owner") as failure:
        as_role(f"postgresql://{given}:hidden@db/trading", wanted)
    assert "hidden" not in str(failure.value)


def test_the_owner_is_needed_where_it_is_needed() -> None:
    assert as_owner(OWNER) == OWNER
    with pytest.raises(ConfigurationError, match="owner of the database's schema"):
        as_owner("postgresql://ingest@db/trading")


def test_passwords_are_settings_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for role in Role:
        monkeypatch.setenv(f"{role.upper()}_PASSWORD", "")
    assert Settings(_env_file=None).role_passwords() == {}  # type: ignore[call-arg]
    monkeypatch.setenv("INGEST_PASSWORD", "one two")
    monkeypatch.setenv("AGENT_PASSWORD", "three")
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert settings.role_passwords() == {"ingest": "one two", "agent": "three"}
    assert "one two" not in repr(settings) + str(settings) + settings.model_dump_json()
