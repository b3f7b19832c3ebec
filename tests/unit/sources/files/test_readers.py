"""A fuzzer over readers: thousands of files whose right bars are known, and none is silently misread.

``TEST_READER_FILES`` is the number of files, ``TEST_READER_SEED`` the first seed: 20,000 take some minutes. Half of
them hold bars of real files, where those are present, the others invented ones.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from market_files import Written, invented, real, write
from reader_verdicts import Verdict, judge

FEW = 20
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


def test_a_few_files_are_right_refused_or_said() -> None:
    run(FEW, 0)


@pytest.mark.exhaustive
def test_no_file_is_silently_wrong() -> None:
    counts = run(int(os.environ.get("TEST_READER_FILES", "400")), int(os.environ.get("TEST_READER_SEED", "1000")))
    read = counts[Verdict.RIGHT] + counts[Verdict.SAID] + counts[Verdict.PARTLY]
    assert read > counts.total() / 2, "most files must be read, or the fuzzer shows nothing"
