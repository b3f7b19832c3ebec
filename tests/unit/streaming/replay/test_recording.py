"""Recordings of a feed: written, torn, recorded on, read."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from waiting import LONG

from trading_platform.domain.errors import InvalidRequest, MalformedPayload
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.streaming.replay.recorded_events import Recorded
from trading_platform.streaming.replay.recording import (
    MEMBER_EVENTS,
    NOT_RECORDED,
    Recording,
    RecordingHeader,
    RecordingWriter,
    is_recording,
)

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
BASIS = {"BTCUSD": Basis.TRADE, "EURUSD": Basis.MID}

timestamps = st.timedeltas(timedelta(days=-40_000), timedelta(days=40_000)).map(lambda away: NOON + away)
numbers = st.decimals(allow_nan=False)
symbols = st.sampled_from(sorted(BASIS))
some_symbols = st.frozensets(symbols)
events = st.one_of(
    st.builds(Trade, symbols, timestamps, numbers, numbers, st.none() | st.integers(0, 2**63)),
    st.builds(Quote, symbols, timestamps, *[st.none() | numbers] * 4),
    st.builds(Heartbeat, timestamps),
    st.builds(FeedUp, timestamps, some_symbols),
    st.builds(FeedDown, timestamps, some_symbols, st.text()),
)


def read(path: Path, after: int = 0) -> list[Recorded]:
    rejected: list[object] = []
    found = list(Recording(path).events(after, reject=lambda *fault: rejected.append(fault)))
    assert rejected == []
    return found


def write(path: Path, *said: Event, source: str = "kraken") -> None:
    with RecordingWriter(path, source=source, basis=BASIS, clock=lambda: NOON) as writer:
        for event in said:
            writer.write(event)


def quotes(count: int) -> list[Quote]:
    chance = random.Random(5)
    return [
        Quote("EURUSD", NOON + timedelta(milliseconds=index), Decimal(chance.randint(1, 10**9)) / 10**5, Decimal(9))
        for index in range(count)
    ]


@given(said=st.lists(events, max_size=30), received=timestamps)
def test_what_was_said_is_read_back_as_it_was(
    said: list[Event], received: datetime, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("recording") / "feed.jsonl.gz"
    with RecordingWriter(path, source="kraken", basis=BASIS, clock=lambda: NOON) as writer:
        for event in said:
            writer.write(event, received)
    assert read(path) == [Recorded(offset, event, received) for offset, event in enumerate(said, 1)]
    assert Recording(path).count() == len(said) + 1


def test_the_header_tells_source_symbols_and_basis(tmp_path: Path) -> None:
    path = tmp_path / "new" / "feed.jsonl.gz"
    write(path)
    header = Recording(path).header
    assert (header.source, header.started, header.basis) == ("kraken", NOON, BASIS)
    assert is_recording(path)
    first = gzip.decompress(path.read_bytes()).splitlines()[0]
    assert json.loads(first)["version"] == 1


@pytest.mark.parametrize("fills", [True, False])
def test_a_header_with_the_former_name_of_its_filling_is_read(tmp_path: Path, *, fills: bool) -> None:
    line = RecordingHeader("kraken", NOON, BASIS, timedelta(seconds=5), fills).as_line()
    former = line.replace(b'"fill_no_trade"', b'"fill_silent"')
    assert former != line
    assert RecordingHeader.of_line(former, tmp_path).fill_no_trade is fills


def test_reading_goes_on_after_an_offset(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    said = quotes(10)
    write(path, *said)
    assert [recorded.offset for recorded in read(path, after=7)] == [8, 9, 10]


def test_members_are_bounded_so_that_little_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    writer = RecordingWriter(path, source="kraken", basis=BASIS, clock=lambda: NOON)
    for event in quotes(MEMBER_EVENTS + 10):
        writer.write(event, NOON)
    assert len(read(path)) == MEMBER_EVENTS
    writer.write(Heartbeat(NOON), NOON + timedelta(seconds=2))
    assert len(read(path)) == MEMBER_EVENTS + 11
    writer.close()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_torn_anywhere_it_is_read_up_to_the_tear_and_recorded_on(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl.gz"
    said = quotes(3 * MEMBER_EVENTS)
    write(whole, *said)
    data, all_read = whole.read_bytes(), read(whole)
    header = len(gzip.compress(b"")) + 60
    chance = random.Random(11)
    for _ in range(examples(40)):
        torn = tmp_path / "torn.jsonl.gz"
        torn.write_bytes(data[: chance.randrange(header + 100, len(data))])
        before = read(torn)
        assert before == all_read[: len(before)]
        write(torn, Heartbeat(NOON))
        after = read(torn)
        assert after[: len(before)] == before
        gap = [FeedDown(NOON, frozenset(BASIS), NOT_RECORDED)] if before else []  # all was received at noon
        assert [recorded.event for recorded in after[len(before) :]] == [*gap, Heartbeat(NOON)]
        torn.unlink()


@pytest.mark.slow
def test_a_killed_recorder_leaves_what_it_had_written(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    program = (
        "import sys, datetime, pathlib\n"
        "from trading_platform.domain.market.live.bar_series import Basis\n"
        "from trading_platform.domain.market.live.events import Heartbeat\n"
        "from trading_platform.streaming.replay.recording import RecordingWriter\n"
        "writer = RecordingWriter(pathlib.Path(sys.argv[1]), source='kraken', basis={'BTCUSD': Basis.TRADE})\n"
        "noon = datetime.datetime(2024, 5, 6, 12, tzinfo=datetime.UTC)\n"
        "number = 0\n"
        "while True:\n"
        "    writer.write(Heartbeat(noon + datetime.timedelta(seconds=number)))\n"
        "    number += 1\n"
    )
    for _ in range(2):
        size = path.stat().st_size if path.exists() else 0
        with subprocess.Popen([sys.executable, "-c", program, str(path)]) as process:
            deadline = time.monotonic() + LONG
            while (not path.exists() or path.stat().st_size < size + 20_000) and time.monotonic() < deadline:
                time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)
    found = read(path)
    assert len(found) > 2 * MEMBER_EVENTS
    (gap,) = (place for place, recorded in enumerate(found) if isinstance(recorded.event, FeedDown))
    assert found[gap].event.time == found[gap - 1].event.time == max(recorded.event.time for recorded in found[:gap])
    assert found[gap + 1].event == Heartbeat(NOON)
    assert [recorded.offset for recorded in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", Reason.UNSUPPORTED),
        ("[1, 2]", Reason.UNSUPPORTED),
        ('{"event":"split","time":"2024-05-06T12:00:00Z"}', Reason.UNSUPPORTED),
        ('{"event":"heartbeat"}', Reason.MISSING_VALUE),
        ('{"event":"heartbeat","time":"noon"}', Reason.UNREADABLE_TIME),
        ('{"event":"heartbeat","time":"2024-05-06T12:00:00"}', Reason.UNREADABLE_TIME),
        ('{"event":"heartbeat","time":12}', Reason.UNREADABLE_TIME),
        ('{"event":"trade","time":"2024-05-06T12:00:00Z","symbol":"BTCUSD","price":"1"}', Reason.MISSING_VALUE),
        ('{"event":"quote","time":"2024-05-06T12:00:00Z","symbol":"BTCUSD","bid":1.5}', Reason.UNREADABLE_NUMBER),
        ('{"event":"quote","time":"2024-05-06T12:00:00Z","symbol":"BTCUSD","bid":"x"}', Reason.UNREADABLE_NUMBER),
    ],
)
def test_bad_lines_are_refused_with_their_number_and_reason(tmp_path: Path, line: str, reason: Reason) -> None:
    path = tmp_path / "feed.jsonl.gz"
    write(path, Heartbeat(NOON))
    with gzip.open(path, "at") as file:
        file.write(line + "\n")
    write(path, Heartbeat(NOON))
    rejected: list[tuple[int, Reason, str, str]] = []
    found = list(Recording(path).events(reject=lambda *fault: rejected.append(fault)))
    assert [recorded.offset for recorded in found] == [1, 3, 4]
    assert [(number, why, shown) for number, why, _, shown in rejected] == [(3, reason, line)]


@given(data=st.binary(max_size=400), seed=st.integers())
def test_no_byte_makes_reading_fail(data: bytes, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("recording") / "feed.jsonl"
    write(path, *quotes(20))
    content = bytearray(gzip.decompress(path.read_bytes()))
    place = random.Random(seed).randrange(content.index(b"\n") + 1, len(content))
    content[place : place + len(data)] = data
    path.write_bytes(content)
    rejected: list[object] = []
    found = list(Recording(path).events(reject=lambda *fault: rejected.append(fault)))
    assert len(found) + len(rejected) == content.count(b"\n") - 1


def test_what_is_no_recording_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("time,bid,ask\n")
    assert not is_recording(path)
    with pytest.raises(MalformedPayload):
        Recording(path)
    path.write_text('{"format":"trading-platform-events","version":2}\n')
    with pytest.raises(InvalidRequest, match="unknown version"):
        Recording(path)


def test_a_recording_of_another_source_is_not_recorded_on(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    write(path, Heartbeat(NOON))
    with pytest.raises(InvalidRequest, match="continued"):
        write(path, source="ibkr")
    with pytest.raises(InvalidRequest, match="minutes without trades filled"):
        RecordingWriter(path, source="kraken", basis=BASIS, fill_no_trade=True)
    assert len(read(path)) == 1
