"""``features training-set``: from a file of symbols and times to a file with their features."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from commands import Installation, installation
from feature_rows import rows

from trading_platform.domain.time import Window
from trading_platform.embedded.stack import Endpoints
from trading_platform.stores.features.files import FeatureStore

MONTH = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
NAMES = ("--names", "rsi_14, social_volume_7d")


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        assert made.run("instruments", "add", "AAPL", "7203", "--calendar", "XNYS").code == 0
        FeatureStore(made.settings().features_directory).replace(rows(MONTH, "7203", 55.5), "7203", MONTH)
        yield made


def test_a_file_of_trades_gets_its_features(ours: Installation, tmp_path: Path) -> None:
    spine, made = tmp_path / "trades.csv", tmp_path / "training.parquet"
    spine.write_text(
        "profit,symbol,time\n"
        "0.5,aapl,2024-01-15T14:30:00Z\n"
        "1,7203,2024-01-15\n"
        "-2,7203,2024-03-01T00:00+01:00\n"
        "3,7203,2023-12-31\n"
    )
    asked = ("features", "training-set", "--spine", spine, *NAMES, "--to", made, "--reasons")
    found = ours.run(*asked, "--tolerance", "5d", "--tolerance", "social_volume_7d=12h")
    assert found.code == 0, found.text
    for words in ("no row yet no source not computed too old rsi_14 1 3 1 0 1 1", "4 rows written to"):
        assert words in found.text
    read = pl.read_parquet(made)
    assert read["profit"].to_list() == [0.5, 1.0, -2.0, 3.0]
    assert read["rsi_14"].to_list() == [None, 55.5, None, None]
    why = [row["rsi_14"] for row in read["null_reasons"]]
    assert why == ["not_computed", None, "too_old", "no_row_yet"]
    again = ours.run(*asked, "--json").json
    assert again["rows"] == 4
    assert again["features"][0] == {"name": "rsi_14", "nulls": 2, "null_reasons": {"no_row_yet": 1, "not_computed": 1}}


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("symbol,when\nAAPL,2024-01-15\n", (), "no column 'time'"),
        ("symbol,time\nAAPL,15.1.2024\n", (), "Row 1 of the spine has no time"),
        ("symbol,time\nAAPL,2024-01-15\n", ("--tolerance", "soon"), "tolerance cannot be read"),
        ("", (), "cannot be read as a spine"),
        ("symbol,time\nAAPL,2024-01-15\n", ("--spine", "nowhere.csv"), "no such file"),
    ],
)
@pytest.mark.exhaustive
def test_what_cannot_be_is_said(
    ours: Installation, tmp_path: Path, text: str, options: tuple[str, ...], words: str
) -> None:
    (tmp_path / "spine.csv").write_text(text)
    asked = ("features", "training-set", "--spine", tmp_path / "spine.csv", *NAMES, "--to", tmp_path / "set.parquet")
    found = ours.run(*asked, *options)
    assert found.code == 2, found.text
    assert words in found.text
    assert "Traceback" not in found.text
    assert not (tmp_path / "set.parquet").exists()
