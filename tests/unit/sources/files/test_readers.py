"""A fuzzer over readers: thousands of files whose right bars are known, and none is silently misread.

``TEST_READER_FILES`` is the number of files, ``TEST_READER_SEED`` the first seed: 20,000 take some minutes. Half of
them hold bars of real files, where those are present, the others invented ones.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from market_files import Written, write, write_plainly
from market_truth import Row, Truth, invented, real
from reader_verdicts import Verdict, judge

FEW = 20
NEXT = datetime(2031, 1, 1, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[4]


def real_folder() -> Path | None:
    folder = Path(os.environ.get("TRADING_TEST_DATA", REPOSITORY.parent / "shared" / "data")).resolve()
    return folder if (folder / "MANIFEST.tsv").exists() else None


def file_of(seed: int, folder: Path | None) -> Written:
    chance = random.Random(seed)
    truth = real(folder, chance) if folder is not None and seed % 2 else invented(chance)
    return write(truth, chance)


def run(count: int, first: int) -> Counter[Verdict]:
    folder = real_folder()
    counts: Counter[Verdict] = Counter()
    wrong = []
    for seed in range(first, first + count):
        written = file_of(seed, folder)
        verdict, why = judge(written)
        counts[verdict] += 1
        if verdict is Verdict.WRONG:
            wrong.append(f"seed {seed}: {why}\n{written.ways} {written.options}\n{written.data[:600]!r}")
    print("\n" + ", ".join(f"{verdict.value}: {counts[verdict]}" for verdict in Verdict))  # noqa: T201
    assert not wrong, f"{len(wrong)} files are silently wrong:\n" + "\n\n".join(wrong[:5])
    return counts


FAULTS: dict[str, Callable[[Row], Row]] = {
    "open and close exchanged": lambda row: replace(row, open=row.close, close=row.open),
    "high and low shuffled": lambda row: replace(row, high=row.low, low=row.high),
    "a price doubled": lambda row: replace(row, high=row.high * 2),
    "prices scaled": lambda row: replace(row, open=row.open * 10, high=row.high * 10, low=row.low * 10),
    "the last digit rounded": lambda row: replace(row, close=row.close.quantize(row.close.to_integral_value())),
    "a zone's offset": lambda row: replace(row, time=row.time + timedelta(hours=5)),
    "the next day": lambda row: replace(row, time=row.time + timedelta(days=1)),
    "volume in thousands": lambda row: replace(row, volume=row.volume * 1000),
    "turnover for volume": lambda row: replace(row, volume=row.turnover),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_judge_sees_a_fault_in_a_single_bar(name: str) -> None:
    truth = invented(random.Random(11))
    middle = len(truth.rows) // 2
    written = write_plainly(truth)
    assert judge(written)[0] is Verdict.RIGHT
    other = FAULTS[name](truth.rows[middle])
    rows = [*truth.rows[:middle], other, *truth.rows[middle + 1 :]]
    assert judge(replace(written, rows={row.time: row for row in rows}))[0] is Verdict.WRONG


@pytest.mark.parametrize(
    "change",
    [
        lambda truth: replace(truth, symbol="MSFT"),
        lambda truth: replace(truth, timeframe="5m"),
        lambda truth: replace(truth, rows=[*truth.rows, replace(truth.rows[-1], time=NEXT)]),
    ],
    ids=["symbol", "timeframe", "a bar lost"],
)
def test_the_judge_sees_a_fault_of_the_whole(change: Callable[[Truth], Truth]) -> None:
    truth = invented(random.Random(11))
    said = write_plainly(change(truth))
    read = write_plainly(truth)
    assert judge(replace(said, data=read.data, name=read.name, options={}))[0] is Verdict.WRONG


def test_a_few_files_are_right_refused_or_said() -> None:
    run(FEW, 0)


@pytest.mark.exhaustive
def test_no_file_is_silently_wrong() -> None:
    counts = run(int(os.environ.get("TEST_READER_FILES", "400")), int(os.environ.get("TEST_READER_SEED", "1000")))
    read = counts[Verdict.RIGHT] + counts[Verdict.SAID] + counts[Verdict.PARTLY]
    assert read > counts.total() / 2, "most files must be read, or the fuzzer shows nothing"
