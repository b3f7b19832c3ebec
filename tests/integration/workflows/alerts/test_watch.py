"""Problems become incidents and messages, over a real database and a server that answers as Telegram does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alert_scene import EVERY, TOKEN, Scene, forget_alerts, made_scene, new_scene
from telegram_server import TelegramServer, refused, telegram_server, wait
from waiting import DEADLINE

from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.errors import InvalidRequest, StoreUnavailable
from trading_platform.domain.severity import Severity
from trading_platform.notifiers.telegram import Telegram
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.alerts.outbox import LEASE, NotificationOutbox
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.alerts.deliver import deliver
from trading_platform.workflows.alerts.watch import AlertWatch, Surroundings


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features") as opened:
        yield opened
        forget_alerts(opened)


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with telegram_server() as server:
        yield server


@pytest.fixture
def scene(stores: Stores, telegram: TelegramServer, tmp_path: Path) -> Scene:
    return new_scene(stores, telegram, tmp_path)


def problem(subject: str, severity: Severity = Severity.ERROR, rule: str = "broken") -> Problem:
    return Problem(
        Key("tests", rule, subject), Level.SERVICE, severity, f"{subject} is broken.", datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_one_message_at_the_beginning_and_one_at_the_end(scene: Scene) -> None:
    scene.problems = [problem("a"), problem("b")]
    scene.pass_time(2)
    scene.problems = []
    scene.pass_time(4)
    begun, over = scene.telegram.texts[0], scene.telegram.texts[-1]
    assert "tests broken, 2 incidents: a #1, b #2" in begun
    assert begun.startswith("🔴")
    assert "Over: [error] tests broken, 2 incidents: a #1, b #2" in over
    events = AuditStore(scene.stores.database).events(event_type="alert")
    assert len(events) == len(scene.telegram.texts)


def test_events_of_others_are_incidents_until_they_end(scene: Scene) -> None:
    audit = AuditStore(scene.stores.database)
    about = {"incident": "symbol_silent:feed:ETHUSD", "symbol": "ETHUSD"}
    audit.log(
        event_type="symbol_silent",
        severity="warning",
        component="feed",
        message="No data of ETHUSD.",
        timestamp=scene.clock.now,
        metadata={**about, "over": False},
    )
    audit.log(
        event_type="part_failed",
        severity="error",
        component="streamer",
        message="The part x failed.",
        timestamp=scene.clock.now,
    )
    audit.log(
        event_type="noted",
        severity="warning",
        component="streamer",
        message="Only a warning without an end.",
        timestamp=scene.clock.now,
    )
    audit.log(
        event_type="transaction_long",
        severity="info",
        component="streamer",
        message="Worth knowing, and nothing is wrong.",
        metadata={"incident": "transaction:3/7", "over": False},
        timestamp=scene.clock.now,
    )
    scene.pass_time(2)
    going = {str(each.key): each.problem.level for each in IncidentStore(scene.stores.database).listed(open_only=True)}
    assert going["feed:symbol_silent:ETHUSD"] is Level.SYMBOL
    assert [each for each in going if each.startswith("streamer:part_failed")]
    assert not [each for each in going if "noted" in each or "transaction_long" in each]
    audit.log(
        event_type="symbol_silent",
        severity="info",
        component="feed",
        message="Data again.",
        metadata={**about, "over": True},
        timestamp=scene.clock.now,
    )
    scene.pass_time(4)
    assert "feed:symbol_silent:ETHUSD" not in [
        str(e.key) for e in IncidentStore(scene.stores.database).listed(open_only=True)
    ]
    assert any("Over: [warning] feed symbol_silent ETHUSD" in text for text in scene.telegram.texts)


def test_an_observer_that_dies_is_told_and_what_it_said_stays(scene: Scene) -> None:
    store = IncidentStore(scene.stores.database)
    dead = problem("a")
    store.report("dagster", [dead], at=scene.clock.now, every=timedelta(seconds=30), components=["tests"])
    scene.pass_time(4)
    going = {str(each.key) for each in store.listed(open_only=True)}
    assert {"dagster:silent", "tests:broken:a"} <= going
    assert any("Dagster's daemon has said nothing since" in text for text in scene.telegram.texts)
    store.report("dagster", [], at=scene.clock.now, every=timedelta(seconds=30), components=["tests"])
    store.forget("dagster")
    scene.pass_time(4)
    assert not {"dagster:silent", "tests:broken:a"} & {str(each.key) for each in store.listed(open_only=True)}


def test_telegram_away_for_an_hour_gets_each_message_once_and_in_order(scene: Scene) -> None:
    scene.telegram.answers = lambda _: (502, b"<html>Bad Gateway</html>")
    for number in range(4):
        scene.problems.append(problem(f"p{number}"))
        scene.pass_time(15)
    assert scene.telegram.texts == []
    scene.telegram.answers = lambda _: None
    scene.pass_time(12)
    notified = [name for text in scene.telegram.texts for name in ("p0", "p1", "p2", "p3") if f"broken {name} " in text]
    assert notified == ["p0", "p1", "p2", "p3"]


@dataclass
class Other:
    """Another way to people, that takes everything."""

    name: str = "other"
    taken_at: float = 0.0

    def send(self, text: str, severity: Severity, incidents: Sequence[int], at: datetime) -> None:  # noqa: ARG002
        self.taken_at = time.monotonic()


@pytest.mark.parametrize(
    ("drips_after", "taken"), [(0, False), (2, False), (len('{"ok":true,'), True)], ids=["head", "body", "after ok"]
)
def test_a_slow_answer_holds_up_no_other_way_and_is_repeated_only_if_nobody_knows(
    scene: Scene, drips_after: int, *, taken: bool
) -> None:
    other, outbox = Other(), NotificationOutbox(scene.stores.database)
    with scene.stores.database.begin() as connection:
        outbox.write(connection, "message", Severity.ERROR, [1], ["telegram", "other"], scene.clock.now)
    notifiers = [Telegram(TOKEN, "42", scene.telegram.url, seconds=1), other]
    scene.telegram.drips_after = drips_after
    began = time.monotonic()
    assert deliver(outbox, notifiers, scene.clock) == (2 if taken else 1)
    ended = time.monotonic()
    assert taken or ended - other.taken_at > 0.3, "it did not wait for the slow one"
    assert ended - began < DEADLINE / 10, "a byte now and then keeps nobody"
    scene.telegram.drips_after = None
    scene.clock.now += LEASE
    assert deliver(outbox, notifiers, scene.clock) == (0 if taken else 1)
    assert len(scene.telegram.requests) == (1 if taken else 2)


def test_retry_after_is_obeyed_and_is_no_failed_attempt(scene: Scene) -> None:
    answers = iter([wait(60), wait(60)])
    scene.telegram.answers = lambda _: next(answers, None)
    scene.problems = [problem("a")]
    scene.pass_time(1.5)
    came = len(scene.telegram.requests)
    scene.pass_time(3)
    assert came <= 2
    assert len(scene.telegram.texts) == 1
    ((attempts,),) = scene.stores.database.rows("SELECT max(attempts) FROM audit.deliveries")
    assert attempts == 0


def test_what_can_never_be_sent_is_parked_and_the_next_is_sent(scene: Scene) -> None:
    scene.telegram.answers = lambda text: refused(400, "Bad Request: message is too long") if " a " in text else None
    scene.problems = [problem("a")]
    scene.pass_time(2)
    scene.problems.append(problem("b", rule="other"))
    scene.pass_time(2)
    assert any("other b" in text for text in scene.telegram.texts)
    (state,) = NotificationOutbox(scene.stores.database).channels()
    assert (state.parked, state.waiting) == (1, 0)
    assert state.error is not None
    assert "too long" in state.error


@pytest.mark.parametrize(
    "answer", [(200, b"<html>"), (200, b"[" * 50_000), refused(401, "Unauthorized"), refused(400, "chat not found")]
)
def test_an_answer_that_is_no_success_is_tried_again_without_the_token(
    scene: Scene, answer: tuple[int, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([answer])
    scene.telegram.answers = lambda _: next(answers, None)
    scene.problems = [problem("a")]
    scene.pass_time(3)
    assert len(scene.telegram.texts) == 1
    assert TOKEN not in caplog.text


def test_a_sender_that_dies_in_between_sends_once_more(scene: Scene) -> None:
    outbox = NotificationOutbox(scene.stores.database)
    with scene.stores.database.begin() as connection:
        for number in (1, 2):
            outbox.write(connection, f"message {number}", Severity.ERROR, [number], ["telegram"], scene.clock.now)
    notifier = Telegram(TOKEN, "42", scene.telegram.url)
    taken = outbox.claim("telegram", scene.clock.now)
    assert taken is not None
    notifier.send(taken.notification.text, Severity.ERROR, [1], scene.clock.now)  # and it dies before it is marked
    assert deliver(outbox, [notifier], scene.clock) == 0
    scene.clock.now += LEASE
    assert deliver(outbox, [notifier], scene.clock) == 2
    assert [text[2:] for text in scene.telegram.texts] == ["message 1", "message 1", "message 2"]


def test_a_database_that_is_away_is_told_without_it(scene: Scene, tmp_path: Path) -> None:
    away = made_scene(scene.stores, scene.telegram, scene.clock, scene.pulse, tmp_path)
    around = Surroundings(
        Database("postgresql://nobody@127.0.0.1:9/nothing"), {}, lambda: None, scene.clock, scene.clock
    )
    away.watch = AlertWatch(around, away.watch._notifiers, scene.pulse, frozenset({"telegram"}))
    for _ in range(8):
        assert away.watch.tick() is None
        scene.clock.now += EVERY
    assert len(scene.telegram.texts) == 1
    assert "The database cannot be used since" in scene.telegram.texts[0]
    assert scene.pulse.beats[0] is False


def test_acknowledged_silenced_and_listed(scene: Scene) -> None:
    store = IncidentStore(scene.stores.database)
    scene.problems = [problem("a"), problem("b", rule="noise")]
    silence = store.silence(
        "tests:noise:*", scene.clock.now + timedelta(hours=1), by="ana", because="works on it", at=scene.clock.now
    )
    scene.pass_time(2)
    assert "noise" not in "".join(scene.telegram.texts)
    number = next(each.number for each in store.listed() if each.key.subject == "a")
    done = store.acknowledge(number, by="ana", because="known", at=scene.clock.now)
    assert (done.acknowledged_by, done.acknowledged_because) == ("ana", "known")
    assert [each.silence.number for each in store.silences(scene.clock.now)] == [silence.silence.number]
    store.end_silence(silence.silence.number, scene.clock.now)
    assert store.silences(scene.clock.now) == []
    with pytest.raises(InvalidRequest, match="no incident #99"):
        store.acknowledge(99, by="ana", because="x", at=scene.clock.now)
    with pytest.raises(InvalidRequest, match="end in the future"):
        store.silence("*", scene.clock.now, by="ana", because="x", at=scene.clock.now)
    with pytest.raises(InvalidRequest, match="No silence"):
        store.end_silence(silence.silence.number, scene.clock.now)
    scene.problems = []
    scene.pass_time(4)
    with pytest.raises(InvalidRequest, match="is over"):
        store.acknowledge(number, by="ana", because="late", at=scene.clock.now)


def test_redis_and_a_full_disk_are_problems_of_the_machine(scene: Scene, small_disk: Path) -> None:
    def away() -> None:
        raise StoreUnavailable("Redis does not answer.", remedy="start it")

    scene.watch._around = Surroundings(scene.stores.database, {"DATA_DIR": small_disk}, away, scene.clock, scene.clock)
    (small_disk / "ballast").write_bytes(b"")
    with (small_disk / "ballast").open("ab", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            pass
    scene.pass_time(1)
    going = {str(each.key) for each in IncidentStore(scene.stores.database).listed(open_only=True)}
    assert f"host:disk_full:{small_disk}" in going
    assert "host:redis_away" in going
