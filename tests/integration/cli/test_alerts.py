"""The commands of alerts: what is wrong is listed, acknowledged and silenced, and a watch tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from commands import Installation, installation
from telegram_server import telegram_server

from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.severity import Severity
from trading_platform.embedded.stack import Endpoints
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.postgres.database import Database


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


def test_from_a_problem_to_a_message_and_a_silence(ours: Installation) -> None:
    assert "nothing has looked for problems yet" in ours.run("alerts", "list").text
    database = Database(ours.database_url)
    problem = Problem(
        Key("tests", "broken", "a"), Level.SERVICE, Severity.CRITICAL, "A is broken.", datetime(2026, 1, 1, tzinfo=UTC)
    )
    day = timedelta(days=1)
    IncidentStore(database).report("tests", [problem], at=datetime.now(UTC), every=day, components=["tests"])
    database.close()
    with telegram_server() as telegram:
        ways = {"TELEGRAM_BOT_TOKEN": "1:x", "TELEGRAM_CHAT_ID": "7", "TELEGRAM_API_URL": telegram.url}
        ran = ours.run("alerts", "run", "--duration", "1", more=ways)
        assert ran.code == 0, ran.text
        assert [text for text in telegram.texts if "[critical] tests broken a #" in text]
        tried = ours.run("alerts", "test", "--json", more=ways)
        assert (tried.code, tried.json["telegram"], tried.json["log"]) == (0, "taken", "taken")
    listed = ours.run("alerts", "list", "--json").json
    (number,) = [each["number"] for each in listed["incidents"] if each["subject"] == "a"]
    assert "A is broken." in ours.run("alerts", "show", str(number)).text
    acked = ours.run("alerts", "ack", str(number), "--because", "known", "--by", "ana", "--json").json
    assert (acked["acknowledged_by"], acked["acknowledged_because"]) == ("ana", "known")
    assert ours.run("alerts", "silence", "tests:*", "--for", "4h", "--because", "maintenance").code == 0
    assert "tests:* until" in ours.run("alerts", "list").text
    assert ours.run("alerts", "silence", "--end", "1").code == 0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("show", "99"), "no incident #99"),
        (("ack", "99", "--because", "x"), "no incident #99"),
        (("silence", "a:*"), "A silence needs"),
        (("silence", "a:*", "--for", "soon", "--because", "x"), "soon"),
        (("silence", "--end", "99"), "No silence 99"),
    ],
)
def test_what_cannot_be_is_said(ours: Installation, asked: tuple[str, ...], words: str) -> None:
    found = ours.run("alerts", *asked)
    assert found.code != 0
    assert words in found.text
    assert "Traceback" not in found.text


def test_half_a_configuration_is_refused(ours: Installation) -> None:
    found = ours.run("alerts", "test", more={"TELEGRAM_BOT_TOKEN": "1:secret"})
    assert found.code != 0
    assert "TELEGRAM_CHAT_ID" in found.text
    assert "secret" not in found.text
    found = ours.run("alerts", "test", more={"ALERT_URLS": "nonsense://user:secret@host"})
    assert "ALERT_URLS cannot be used" in found.text
    assert "secret" not in found.text
