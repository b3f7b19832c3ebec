"""The audit of calls is written in batches, and nothing of it is lost silently."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from waiting import wait_until

from trading_platform.domain.errors import StoreError, StoreUnavailable
from trading_platform.mcp.call_log import MOST_WAITING, CallLog


class Table:
    """The far side of the log: takes rows unless it is away, and can be held up."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, str, Mapping[str, Any]]] = []
        self.batches = 0
        self.away = False
        self.open = threading.Event()
        self.open.set()

    def write(self, events: Sequence[tuple[float, str, Mapping[str, Any]]]) -> None:
        self.open.wait()
        if self.away:
            raise StoreUnavailable("The database does not answer.")
        self.rows += events
        self.batches += 1

    @property
    def messages(self) -> list[str]:
        return [message for _, message, _ in self.rows]


def test_rows_are_written_behind_in_batches_in_the_order_of_the_calls() -> None:
    table = Table()
    table.open.clear()
    log = CallLog(table.write)
    for number in range(500):
        log.add(str(number), {})
    table.open.set()
    log.flush()
    assert table.messages == [str(number) for number in range(500)]
    assert table.batches < 10
    assert [metadata["number"] for _, _, metadata in table.rows] == list(range(1, 501))
    assert len({metadata["server"] for _, _, metadata in table.rows}) == 1
    log.add("later", {})
    wait_until(lambda: table.messages[-1] == "later", "the row of a later call")


def test_rows_say_how_long_ago_the_call_was() -> None:
    table, time = Table(), [10.0]
    table.away = True
    log = CallLog(table.write, timer=lambda: time[0], again_after=0)
    log.add("a", {})
    time[0] = 17.5
    table.away = False
    log.flush()
    wait_until(lambda: len(table.rows) == 1, "the row")
    assert table.rows[0][0] == 7.5


def test_what_the_database_does_not_take_is_kept_and_tried_again() -> None:
    table = Table()
    table.away = True
    log = CallLog(table.write, again_after=0)
    log.add("a", {})
    with pytest.raises(StoreUnavailable):
        log.flush()
    assert table.rows == []
    table.away = False
    wait_until(lambda: table.messages == ["a"], "the row, once the database is back")


def test_a_full_log_says_so() -> None:
    table = Table()
    table.away = True
    log = CallLog(table.write, again_after=0)
    for number in range(MOST_WAITING):
        assert not log.full
        log.add(str(number), {})
    assert log.full
    table.away = False
    log.flush()
    assert not log.full
    assert len(table.rows) == MOST_WAITING


def test_the_end_writes_what_is_left_or_says_what_it_could_not(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    log = CallLog(table.write)
    log.add("a", {})
    log.close()
    assert table.messages == ["a"]
    table.away = True
    log = CallLog(table.write, again_after=0)
    log.add("b", {"tool": "bars"})
    with caplog.at_level(logging.ERROR), pytest.raises(StoreError, match="audit of 1 calls could not be written"):
        log.close()
    assert "b {'tool': 'bars'" in caplog.text
