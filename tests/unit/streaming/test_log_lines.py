"""The live process's log: a line a cause and minute, and no line that the process did not write."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.streaming.log_lines import EVERY, MOST_CAUSES, LogLines, printable

START = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)


class Log:
    """A logger that writes to memory, and its clock."""

    def __init__(self, name: str) -> None:
        self.now = 0.0
        self.written = io.StringIO()
        self.handler = LogLines(self.written, lambda: self.now, lambda: START + timedelta(seconds=self.now))
        self.logger = logging.getLogger(f"test_log_lines.{name}")
        self.logger.addHandler(self.handler)
        self.logger.propagate = False

    def say(self, message: str, *arguments: object) -> None:
        """Logs a warning at the time of the clock."""
        record = logging.LogRecord(self.logger.name, logging.WARNING, __file__, 1, message, arguments, None)
        record.created = (START + timedelta(seconds=self.now)).timestamp()
        self.logger.handle(record)

    @property
    def lines(self) -> list[str]:
        return self.written.getvalue().splitlines()


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    made = Log(request.node.name)
    yield made
    made.logger.removeHandler(made.handler)
    made.handler.close()


def test_one_cause_gets_one_line_a_minute_with_a_count(log: Log) -> None:
    for second in range(170):
        log.now = float(second)
        for number in range(20):
            log.say("rejected: %s", f"{second}-{number}")
    assert len(log.lines) == 3
    assert log.lines[0].endswith("rejected: 0-0")
    assert log.lines[1].endswith("rejected: 59-19 (1,199 times since the line before, the last at 10:00:59)")
    assert [line[:20] for line in log.lines] == [f"2026-11-02T10:0{minute}:00Z" for minute in range(3)]
    log.handler.close()
    assert len(log.lines) == 4
    total = sum(int(line.rpartition("(")[2].split()[0].replace(",", "")) for line in log.lines[1:])
    assert total == 170 * 20 - 1


def test_causes_do_not_hide_each_other(log: Log) -> None:
    log.logger.warning("the feed is down (%s)", "cut")
    log.logger.warning("the feed is down (%s)", "cut")
    log.logger.error("the feed is down (%s)", "cut")
    log.logger.warning("the quotes are down")
    for cause in ("a", "b", "a"):
        log.logger.warning("%s", "an incident", extra={"cause": cause})
    assert len(log.lines) == 5


def test_a_count_is_written_when_nothing_else_is_logged(log: Log) -> None:
    log.say("again")
    log.now = 1.0
    log.say("again")
    log.handler.sweep()
    assert len(log.lines) == 1
    log.now = EVERY
    log.handler.sweep()
    log.handler.sweep()
    counted = "again (1 times since the line before, the last at 10:00:01)"
    assert [line.rpartition(": ")[2] for line in log.lines] == ["again", counted]


def test_lines_cannot_be_forged(log: Log) -> None:
    forged = "offline\n2026-11-30T12:00:00Z info streamer: all is well\r\x1b[2J\u2028\x85"
    log.logger.warning("Kraken reports: %s", forged)
    assert len(log.lines) == 1
    assert "offline\\n2026-11-30" in log.lines[0]
    assert log.lines[0].isprintable()


@given(st.text())
def test_what_is_printed_is_printable(text: str) -> None:
    assert printable(text).isprintable() or not text
    assert len(printable(text).splitlines()) <= 1
    if text.isprintable():
        assert printable(text) == text


def test_lone_surrogates_long_messages_and_wrong_arguments_are_one_line(log: Log) -> None:
    log.logger.warning("odd: %s", "\ud800")
    log.logger.warning("long: %s", "x" * 100_000)
    wrong = logging.LogRecord("wrong", logging.WARNING, __file__, 1, "%d symbols", ("no number",), None)
    log.handler.handle(wrong)
    assert len(log.lines) == 3
    assert max(map(len, log.lines)) < 2_200


def test_what_is_remembered_is_bounded(log: Log) -> None:
    for number in range(3 * MOST_CAUSES):
        log.logger.warning("cause", extra={"cause": number})
    assert len(log.handler._said) <= MOST_CAUSES


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, _text: str) -> NoReturn:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    record = logging.LogRecord("full", logging.WARNING, __file__, 1, "nobody reads this", (), None)
    LogLines(Full()).handle(record)
