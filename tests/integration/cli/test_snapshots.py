"""``features snapshot delete``, with the locks of the database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from feature_rows import YEAR, rows
from typer.testing import CliRunner

from trading_platform.cli.main import app
from trading_platform.domain.errors import InvalidRequest
from trading_platform.stores.features.recorded.manifests import Contents
from trading_platform.stores.stores import open_stores


def test_a_deleted_snapshot_takes_only_what_nothing_else_needs(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FEATURES_DIR", str(tmp_path / "features"))
    with open_stores(database_url, tmp_path / "features") as stores:
        store = stores.features
        store.replace(rows(YEAR), "AAPL", YEAR)
        for number, name in enumerate(("first", "second", "third")):
            with store.snapshots.saving(name) as saving:
                read = store.read(["AAPL"], YEAR, ["rsi_14"], saving.months(store.live))
                saving.save(read[number:], Contents())
    done = CliRunner().invoke(app, ["features", "snapshot", "delete", "first"])
    assert done.exit_code == 0, done.output
    said = "Deleted first. Files removed that nothing needs: 1. 12 of its files stay, because others need them."
    assert said in " ".join(done.output.split())
    done = CliRunner().invoke(app, ["features", "snapshot", "delete", "second", "--json"])
    assert json.loads(done.stdout) == {"removed": 1, "needed": 12}
    failed = CliRunner().invoke(app, ["features", "snapshot", "delete", "first"])
    assert isinstance(failed.exception, InvalidRequest)
