"""What the doctor says of a machine, without any server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from trading_platform.embedded.doctor import (
    Verdict,
    check_data_folders,
    check_leftovers,
    check_permissions,
    check_python,
    examine,
)
from trading_platform.settings import Settings


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ((3, 10, 12), Verdict.BROKEN),
        ((3, 11, 0), Verdict.OK),
        ((3, 13, 9), Verdict.OK),
        ((3, 14, 0), Verdict.BROKEN),
    ],
)
def test_python_versions(version: tuple[int, ...], verdict: Verdict) -> None:
    assert check_python(version).verdict is verdict


def test_a_readable_password_is_broken_and_the_remedy_names_it(tmp_path: Path) -> None:
    password = tmp_path / "redis" / "password"
    password.parent.mkdir(mode=0o700)
    password.touch(mode=0o600)
    assert [check.verdict for check in check_permissions(tmp_path)] == [Verdict.OK]
    password.chmod(0o644)
    (found,) = check_permissions(tmp_path)
    assert found.verdict is Verdict.BROKEN
    assert str(password) in found.remedy
    assert str(password.parent) + " " not in found.remedy


def test_folders_that_others_can_read_are_named_with_what_to_do(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", archive_dir=tmp_path / "an archive")
    assert [check.verdict for check in check_data_folders(settings)] == [Verdict.OK]
    for folder in (settings.archive_directory, settings.root / "imports", settings.logs_directory):
        folder.mkdir(parents=True)
        folder.chmod(0o700)
    assert [check.verdict for check in check_data_folders(settings)] == [Verdict.OK]
    settings.archive_directory.chmod(0o755)
    settings.logs_directory.chmod(0o710)
    (found,) = check_data_folders(settings)
    assert found.verdict is Verdict.NOTE
    assert found.remedy == f"run: chmod -R go= '{tmp_path / 'an archive'}' {settings.logs_directory}"
    subprocess.run(found.remedy.removeprefix("run: "), shell=True, check=True)  # noqa: S602
    assert [check.verdict for check in check_data_folders(settings)] == [Verdict.OK]


def test_databases_without_an_owner_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    kept.mkdir()
    for name, owner in (("postgres-1", kept), ("postgres-2", gone)):
        (tmp_path / f"{name}.belongs-to").write_text(f"{owner}\n")
    (kept / "postgres-location").write_text(f"{tmp_path / 'postgres-1'}\n")
    assert [str(gone) in check.found for check in check_leftovers(tmp_path)] == [True]


def test_servers_that_do_not_answer_are_findings_not_failures(tmp_path: Path) -> None:
    nowhere = Settings(
        _env_file=None,
        data_dir=tmp_path,
        database_url="postgresql://nobody@127.0.0.1:9/none",  # type: ignore[arg-type]
        redis_url="redis://127.0.0.1:9",  # type: ignore[arg-type]
    )
    broken = [check for check in examine(nowhere) if check.verdict is Verdict.BROKEN]
    assert [check.part for check in broken] == ["PostgreSQL", "Redis"]
    assert all(check.remedy for check in broken)
