"""``check-files`` and ``source-health`` as a person runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Installation, installation, rows

from trading_platform.embedded.stack import Endpoints


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


def file(folder: Path, name: str, closes: list[float]) -> Path:
    lines = ["timestamp,open,high,low,close,volume"]
    for day, close in enumerate(closes, start=1):
        before = closes[max(0, day - 2)]
        lines.append(f"2024-05-{day:02d},{before},{max(before, close)},{min(before, close)},{close},{100 + day}")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_file_is_judged_and_not_imported(ours: Installation, tmp_path: Path) -> None:
    prices = [100 + n % 7 * 0.5 for n in range(31)]
    clean = file(tmp_path, "BTCUSD.csv", prices)
    scaled = file(tmp_path, "ETHUSD.csv", [price * (100 if 9 < n < 15 else 1) for n, price in enumerate(prices)])
    good = ours.run("check-files", clean, "--json")
    assert (good.code, good.json[0]["is_clean"], good.json[0]["bars"]) == (0, True, 31), good.text
    bad = ours.run("check-files", clean, scaled)
    assert bad.code == 1
    for words in (
        "BTCUSD 1d: clean",
        "ETHUSD 1d: suspect",
        "unit",
        "2024-05-11",
        "Nothing was imported",
        "assumed: dates, stamped midnight UTC; BTCUSD is taken for crypto",
    ):
        assert words in bad.text
    (found,) = ours.run("check-files", scaled, "--alone", "--json").json
    (finding,) = found["findings"]
    assert (finding["rule"], finding["bars"], finding["first"]) == ("unit", 5, "2024-05-11T00:00:00.000000Z")
    assert rows(ours.database_url, "SELECT count(*) FROM market_data.quarantine") == [(0,)]

    assert ours.run("import", clean).code == 0
    assert ours.run("backfill", "BTCUSD").code == 0
    another = file(tmp_path, "btcusd.csv", [price * 1.2 for price in prices])
    compared = ours.run("check-files", another, "--symbol", "BTCUSD", "--json").json[0]
    assert [each["rule"] for each in compared["findings"]] == ["sources_differ"]
    health = ours.run("source-health", "--json").json
    assert {(each["source"], each["score"]) for each in health} == {("file", 100.0)}
    assert "file" in ours.run("source-health").text


def test_what_is_no_file_is_said(ours: Installation, tmp_path: Path) -> None:
    found = ours.run("check-files", tmp_path / "nothing.csv", "--alone")
    assert found.code == 2
    assert "nothing.csv" in found.text
    empty = tmp_path / "EMPTY.csv"
    empty.write_text("")
    found = ours.run("check-files", empty, "--alone")
    assert found.code == 1
    assert "would be rejected" in found.text
