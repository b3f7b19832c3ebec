"""The states of a connection to Interactive Brokers, against what the codes are said to mean, and its maintenance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from properties import examples

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.time import Window
from trading_platform.settings import Settings
from trading_platform.sources.ibkr.connection import ANSWERING, PATIENCE, SPEAKING, ConnectionMachine, Link, Severity
from trading_platform.sources.ibkr.maintenance import DEFAULT, Maintenance, parse_maintenance

START = datetime(2024, 3, 8, 20, tzinfo=UTC)  # the Friday before New York's clocks change
NORTH_AMERICA = parse_maintenance(DEFAULT)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("timestamp", "window"),
    [
        ("2024-07-02 04:14:59", None),
        ("2024-07-02 04:15:00", ("2024-07-02 04:15", "2024-07-02 05:45")),
        ("2024-07-02 05:44:59", ("2024-07-02 04:15", "2024-07-02 05:45")),
        ("2024-07-02 05:45:00", None),
        ("2024-01-02 05:15:00", ("2024-01-02 05:15", "2024-01-02 06:45")),  # winter
        ("2024-07-06 02:59:59", None),
        ("2024-07-06 03:00:00", ("2024-07-06 03:00", "2024-07-06 07:00")),  # Friday 23:00 in New York
        ("2024-07-06 04:30:00", ("2024-07-06 03:00", "2024-07-06 07:00")),  # the longer of two
        ("2024-07-06 07:00:00", None),
        ("2024-07-07 03:30:00", None),  # Saturday's evening
        ("2024-03-10 05:30:00", ("2024-03-10 05:15", "2024-03-10 06:45")),  # clocks go forward at 07:00 UTC
        ("2024-11-03 05:30:00", ("2024-11-03 04:15", "2024-11-03 05:45")),  # and back at 06:00 UTC
    ],
)
def test_maintenance_is_in_local_time(timestamp: str, window: tuple[str, str] | None) -> None:
    expected = None if window is None else Window(utc(window[0]), utc(window[1]))
    assert NORTH_AMERICA.around(utc(timestamp)) == expected


def test_an_absence_over_midnight_and_a_week_end() -> None:
    across = parse_maintenance("daily 23:30-00:30 Europe/Berlin; Sun 22:00-Mon 02:00 UTC")
    assert across.around(utc("2024-07-01 21:45")) == Window(utc("2024-07-01 21:30"), utc("2024-07-01 22:30"))
    assert across.around(utc("2024-07-01 01:00")) == Window(utc("2024-06-30 22:00"), utc("2024-07-01 02:00"))
    assert parse_maintenance("  ") == Maintenance()


@pytest.mark.parametrize(
    "text",
    [
        "daily",
        "daily 25:00-26:00 UTC",
        "Fre 01:00-02:00 UTC",
        "daily 01:00-02:00 Nowhere/Here",
        "daily 1:00-2:00 UTC",
        "daily 01:00-Mon 02:00 UTC",
    ],
)
def test_a_time_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="IBKR_MAINTENANCE") as error:
        parse_maintenance(f"{DEFAULT}; {text}")
    assert repr(text) in str(error.value)


def test_the_setting_and_the_module_agree() -> None:
    assert Settings.model_fields["ibkr_maintenance"].default == DEFAULT


def test_a_reset_that_outlives_its_time_is_critical_and_not_before() -> None:
    now = [utc("2024-07-02 04:20")]
    machine = ConnectionMachine(NORTH_AMERICA, clock=lambda: now[0])
    machine.connected()
    machine.process_code(1100, "lost")
    for later, severity in [("04:20", "expected"), ("05:46", "expected"), ("05:47", "critical"), ("20:00", "critical")]:
        now[0] = utc(f"2024-07-02 {later}")
        absence = machine.absence()
        assert absence is not None
        assert (absence.severity, absence.since) == (severity, utc("2024-07-02 04:20"))
    assert "expected to end at 05:45" in str(absence)
    machine.process_code(1101, "restored, lost")
    assert machine.absence() is None


def test_an_absence_that_began_before_its_maintenance_is_not_excused_by_it() -> None:
    now = [utc("2024-07-02 04:10")]
    machine = ConnectionMachine(NORTH_AMERICA, clock=lambda: now[0])
    machine.disconnected("gone")
    now[0] = utc("2024-07-02 04:30")
    absence = machine.absence()
    assert absence is not None
    assert absence.severity is Severity.WARNING


def test_833_losses_in_fifteen_hours_are_one_absence() -> None:
    """A gateway that only ever says 1100, as reported in QuantConnect/Lean.Brokerages.InteractiveBrokers#258."""
    now = [utc("2024-07-02 10:00")]
    machine = ConnectionMachine(NORTH_AMERICA, clock=lambda: now[0])
    machine.connected()
    severities = []
    for _ in range(833):
        machine.process_code(1100, "lost")
        now[0] += timedelta(seconds=65)
        absence = machine.absence()
        assert absence is not None
        assert absence.since == utc("2024-07-02 10:00")
        severities.append(absence.severity)
    assert severities[0] is Severity.EXPECTED
    assert set(severities[2:]) == {Severity.WARNING}


FARMS = ["usfarm", "eufarm", "ushmds"]


class Connection(RuleBasedStateMachine):
    """Whatever happens in whatever order: a model of what the two links are, beside the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.machine = ConnectionMachine(NORTH_AMERICA, clock=lambda: self.now)
        self.gateway = False  # there is a connection to it
        self.their_link = True  # it has one to Interactive Brokers
        self.subscribed = True  # what we had subscribed is still reported
        self.login = False
        self.bad_since: datetime | None = None
        self.farms: set[str] = set()

    def note(self) -> None:
        bad = not (self.gateway and self.their_link)
        if not bad:
            self.bad_since = None
        elif self.bad_since is None:
            self.bad_since = self.now

    @rule(minutes=st.integers(0, 200))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def connect(self) -> None:
        self.machine.connected()
        self.gateway = self.their_link = self.subscribed = True
        self.login = False
        self.farms.clear()
        self.note()

    @rule()
    def drop(self) -> None:
        self.machine.disconnected("dropped")
        self.gateway = self.login = False
        self.farms.clear()
        self.note()

    @rule()
    def no_greeting(self) -> None:
        self.machine.not_greeted("silent")
        self.gateway, self.login = False, True
        self.farms.clear()
        self.note()

    @rule(code=st.sampled_from([1100, 1101, 1102, 2110, 2107, 2119, 200, 354]))
    def process_code(self, code: int) -> None:
        self.machine.process_code(code, "said")
        if self.gateway:
            if code in (1100, 2110):
                self.their_link = False
            elif code == 1101:
                self.their_link, self.subscribed = True, False
            elif code == 1102:
                self.their_link = True
            self.note()

    @rule(farm=st.sampled_from(FARMS), code=st.sampled_from([2103, 2104, 2105, 2106, 2108]))
    def farm(self, farm: str, code: int) -> None:
        self.machine.process_code(code, f"a data farm connection is so and so:{farm}")
        if self.gateway:
            (self.farms.add if code in (2103, 2105) else self.farms.discard)(farm)

    @rule(is_interrupted=st.booleans())
    def resubscribe(self, is_interrupted: bool) -> None:  # noqa: FBT001
        before = self.machine.losses
        if is_interrupted:
            self.process_code(1101)
        self.machine.resubscribed(before)
        if self.gateway and not is_interrupted:
            self.subscribed = True

    @invariant()
    def it_speaks_only_when_all_is_whole(self) -> None:
        link = self.machine.link
        assert (link in ANSWERING) == (self.gateway and self.their_link)
        assert (link is Link.NEEDS_LOGIN) == self.login
        if link in SPEAKING:
            assert self.subscribed
        assert self.machine.quote_farms_down | self.machine.history_farms_down == self.farms

    @invariant()
    def an_absence_is_told_in_time_and_not_without_one(self) -> None:
        absence = self.machine.absence()
        if self.gateway and self.their_link:
            assert absence is None
            return
        if self.bad_since is None:
            assert absence is None  # nothing has happened yet
            return
        assert absence is not None
        assert absence.since == self.bad_since
        excuse = NORTH_AMERICA.around(self.bad_since)
        until = (excuse.end if excuse else self.bad_since) + PATIENCE
        assert (absence.severity is Severity.EXPECTED) == (self.now < until)


TestConnection = Connection.TestCase
TestConnection.settings = settings(max_examples=examples(30), stateful_step_count=30, deadline=None)


@given(st.lists(st.sampled_from([1100, 1101, 1102]), max_size=30))
def test_after_1101_nothing_speaks_until_it_is_subscribed_again(codes: list[int]) -> None:
    machine = ConnectionMachine(Maintenance(), clock=lambda: START)
    machine.connected()
    lost = False
    for code in codes:
        machine.process_code(code, "")
        lost = lost or code == 1101
        if lost:
            assert machine.link not in SPEAKING
    machine.process_code(1101, "")
    machine.resubscribed(machine.losses)
    assert machine.link is Link.CONNECTED
