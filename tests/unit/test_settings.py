"""Where settings come from: the environment, then the file that SETTINGS_FILE names, else ``.env``."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest

from trading_platform.cli.demo.command import demo_settings
from trading_platform.domain.errors import ConfigurationError
from trading_platform.settings import Settings, load_settings, settings_file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a ``.env``, for somebody who has not set SETTINGS_FILE."""
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://server/real\nREDIS_URL=redis://server\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SETTINGS_FILE")
    return tmp_path


def database(settings: Settings) -> str | None:
    return settings.database_url and settings.database_url.get_secret_value()


@pytest.mark.usefixtures("folder")
def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database(load_settings()) == "postgresql://server/real"
    monkeypatch.setenv("DATABASE_URL", "postgresql://server/other")
    assert database(load_settings()) == "postgresql://server/other"
    monkeypatch.setenv("DATABASE_URL", "")
    assert database(load_settings()) == "postgresql://server/real"


def test_another_file_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "second.env").write_text("DATABASE_URL=postgresql://server/second\n")
    monkeypatch.setenv("SETTINGS_FILE", "second.env")
    assert settings_file() == folder / "second.env"
    assert database(load_settings()) == "postgresql://server/second"
    assert load_settings().redis_url is None


@pytest.mark.usefixtures("folder")
def test_an_empty_name_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTINGS_FILE", "")
    assert settings_file() is None
    assert load_settings() == Settings(_env_file=None)


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_named_and_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTINGS_FILE", "third.env")
    with pytest.raises(ConfigurationError, match=r"third\.env"):
        load_settings()


def test_the_demonstration_keeps_away_from_every_server_that_is_configured(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / ".env").open("a") as file:
        file.write(f"DATA_DIR={folder / 'mine'}\nKRAKEN_API_KEY=of-the-account\n")
    monkeypatch.setenv("redis_url", "redis://server")
    monkeypatch.setenv("ARCHIVE_DIR", str(folder / "archive"))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with patch.dict(os.environ):
        settings = demo_settings()
        assert settings == Settings(_env_file=None, data_dir=folder / "mine" / "demo")
        assert settings == load_settings(), "also for what asks later, as Dagster's storage does"
        assert "DAGSTER_HOME" not in os.environ
