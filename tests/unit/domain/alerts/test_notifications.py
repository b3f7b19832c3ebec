"""Incidents and the messages a person gets of them: each once, when it is over too, and few messages on a bad day."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from trading_platform.domain.alerts.incidents import HOLD, Incident, followed
from trading_platform.domain.alerts.notifications import Due, Sent, Silence, due, settled, with_causes
from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.alerts.wording import LONGEST, message_of
from trading_platform.domain.severity import Severity

START = datetime(2026, 3, 2, tzinfo=UTC)
TICK = timedelta(seconds=15)
MINUTE = timedelta(minutes=1)


def problem(
    rule: str = "check_failed",
    subject: str = "",
    *,
    level: Level = Level.SERVICE,
    severity: Severity = Severity.ERROR,
    source: str | None = None,
    component: str = "dagster",
    since: datetime = START + timedelta(minutes=1),
) -> Problem:
    return Problem(Key(component, rule, subject), level, severity, f"{rule} of {subject}", since, source)


@dataclass
class Desk:
    """Runs the rules tick by tick over what is wrong, as the workflow does over its tables."""

    wrong: Callable[[datetime], Iterable[Problem]]
    now: datetime = START
    every: timedelta = TICK
    silences: Sequence[Silence] = ()
    known: dict[int, Incident] = field(default_factory=dict)
    messages: list[tuple[datetime, Due, str]] = field(default_factory=list)

    def tick(self) -> None:
        going = [each for each in self.known.values() if each.is_open or each.end_notified_at is None]
        recent = [
            e for e in self.known.values() if e.ended_at and e.end_notified_at and self.now - e.ended_at < 5 * MINUTE
        ]
        for each in followed(going, self.wrong(self.now), self.now):
            number = each.number or len(self.known) + 1
            self.known[number] = replace(each, number=number)
        going = [each for each in self.known.values() if each.is_open or each.end_notified_at is None]
        for each in with_causes([*going, *recent], self.now):
            self.known[each.number] = each
        going = [self.known[each.number] for each in going]
        in_a_day = [at for at, *_ in self.messages if self.now - at < timedelta(days=1)]
        found = due(going, self.silences, Sent(len(in_a_day), max(in_a_day, default=None)), self.now)
        for each in found.notified(self.now) if found else ():
            self.known[each.number] = each
        for each in settled([self.known[each.number] for each in going], self.silences, self.now):
            self.known[each.number] = each
        if found:
            self.messages.append((self.now, found, message_of(found, 0)))

    def run(self, span: timedelta) -> Desk:
        until = self.now + span
        while self.now < until:
            self.tick()
            self.now += self.every
        return self

    def notified(self) -> list[tuple[list[str], list[str]]]:
        """Subjects that began and that are over, by message."""
        return [
            (sorted(e.key.subject for e in found.begun), sorted(e.key.subject for e in found.over))
            for _, found, _ in self.messages
        ]


def during(problems: Mapping[tuple[float, float], Problem]) -> Callable[[datetime], list[Problem]]:
    """Problems that are there from one minute to another."""
    return lambda now: [
        each for (first, last), each in problems.items() if START + first * MINUTE <= now < START + last * MINUTE
    ]


def test_one_message_at_the_beginning_and_one_when_it_is_over() -> None:
    desk = Desk(during({(1, 30): problem(subject="a"), (1.2, 30): problem(subject="b")})).run(timedelta(hours=1))
    assert desk.notified() == [(["a", "b"], []), ([], ["a", "b"])]
    assert "[error] dagster check_failed, 2 incidents: a #1, b #2" in desk.messages[0][2]
    assert "29 min" in desk.messages[1][2]


def test_one_that_comes_and_goes_is_one_incident() -> None:
    flapping = {(first, first + 1): problem(subject="a") for first in range(0, 60, 2)}
    desk = Desk(during(flapping)).run(timedelta(hours=2))
    assert desk.notified() == [(["a"], []), ([], ["a"])]
    assert "came back 29 times" in desk.messages[1][2]


def test_symbols_of_a_dead_feed_are_one_message() -> None:
    feed = problem("feed_down", "kraken", level=Level.SOURCE, source="kraken", component="streamer")
    silent = [
        problem(
            "symbol_silent", f"S{n}", level=Level.SYMBOL, source="kraken", severity=Severity.WARNING, component="feed"
        )
        for n in range(300)
    ]
    other = problem(
        "symbol_silent", "SPY", level=Level.SYMBOL, source="ibkr", severity=Severity.WARNING, component="feed"
    )
    wrong = {(2, 30): feed} | {(2, 31): other}

    def now_wrong(now: datetime) -> list[Problem]:
        of_feed = silent if START + 5 * MINUTE <= now < START + 31 * MINUTE else []
        return [*during(wrong)(now), *of_feed]

    desk = Desk(now_wrong).run(timedelta(hours=1))
    assert desk.notified()[0] == (["SPY", "kraken"], [])
    assert sorted(name for _, over in desk.notified()[1:] for name in over) == ["SPY", "kraken"]
    assert len(desk.messages) <= 3
    assert all(each.end_notified_at for each in desk.known.values())
    assert sum(each.hidden_by is not None for each in desk.known.values()) == 300


def test_what_outlasts_its_cause_is_told() -> None:
    feed = problem("feed_down", "kraken", level=Level.SOURCE, source="kraken")
    silent = problem("symbol_silent", "ETHUSD", level=Level.SYMBOL, source="kraken", severity=Severity.WARNING)
    desk = Desk(during({(1, 10): feed, (2, 40): silent})).run(timedelta(hours=1))
    assert desk.notified() == [(["kraken"], []), ([], ["kraken"]), (["ETHUSD"], []), ([], ["ETHUSD"])]


def test_silences_hold_and_end() -> None:
    wrong = during({(1, 90): problem(subject="a"), (2, 5): problem(subject="b"), (3, 90): problem("other", "c")})
    quiet = [Silence(1, "dagster:check_failed:*", START + timedelta(hours=1))]
    desk = Desk(wrong, silences=quiet).run(timedelta(hours=2))
    assert desk.notified() == [(["c"], []), (["a"], []), ([], ["a", "c"])]


def test_an_acknowledged_incident_has_no_reminder_and_an_end() -> None:
    desk = Desk(during({(1, 600): problem(subject="a")})).run(timedelta(hours=5))
    assert [len(found.ongoing) for _, found, _ in desk.messages] == [0, 1]
    (number,) = desk.known
    desk.known[number] = replace(desk.known[number], acknowledged_at=desk.now, acknowledged_by="me")
    desk.run(timedelta(hours=6))
    assert desk.notified()[2:] == [([], ["a"])]


def test_a_rise_in_severity_is_told_and_a_fall_is_not() -> None:
    warned, failed = problem(subject="a", severity=Severity.WARNING), problem(subject="a", severity=Severity.CRITICAL)
    desk = Desk(during({(1, 10): warned, (10, 20): failed, (20, 30): warned})).run(timedelta(hours=1))
    assert desk.notified() == [(["a"], []), (["a"], []), ([], ["a"])]
    assert [found.severity for _, found, _ in desk.messages] == [Severity.WARNING, Severity.CRITICAL, Severity.INFO]


def test_a_critical_one_does_not_wait() -> None:
    desk = Desk(during({(1, 20): problem(subject="a", severity=Severity.CRITICAL)})).run(10 * MINUTE)
    assert desk.messages[0][0] == START + MINUTE


@pytest.mark.parametrize("seed", range(2))
def test_a_day_of_a_thousand_incidents_is_sixty_messages_at_most(seed: int) -> None:
    chance = random.Random(seed)
    wrong: dict[tuple[int, int, int], Problem] = {}
    for cause in range(30):
        begin = chance.randrange(24 * 60 - 120)
        for n in range(1000 // 30 + 1):
            first = min(begin + chance.randrange(90), 24 * 60 - 5)
            severity = chance.choice([Severity.WARNING, Severity.ERROR, Severity.ERROR])
            wrong[first, first + chance.randrange(4, 200), len(wrong)] = problem(
                f"rule_{cause}", f"S{n}", severity=severity, component=f"part_{cause % 7}"
            )

    def now_wrong(now: datetime) -> list[Problem]:
        minute = (now - START) / MINUTE
        return [each for (first, last, _), each in wrong.items() if first <= minute < last]

    desk = Desk(now_wrong, every=3 * MINUTE)
    desk.run(timedelta(days=1))
    assert len(desk.messages) <= 60
    desk.run(timedelta(hours=6))
    notified = {(e.key, e.since) for _, found, _ in desk.messages for e in found.begun}
    assert len({key for key, _ in notified}) == len({each.key for each in wrong.values()})
    assert all(each.notified_at and each.end_notified_at for each in desk.known.values())
    assert max(len(text) for *_, text in desk.messages) <= LONGEST + 100


def test_what_an_observer_that_is_silent_reported_stays_open() -> None:
    before = followed([], [problem(subject="a"), problem(subject="b", component="host")], START)
    before = [replace(each, number=n + 1) for n, each in enumerate(before)]
    later = followed(before, [], START + timedelta(hours=1), silent=frozenset({"dagster"}))
    later = followed(later, [], START + timedelta(hours=1) + HOLD, silent=frozenset({"dagster"}))
    assert {each.key.subject: each.is_open for each in later} == {"a": True, "b": False}
