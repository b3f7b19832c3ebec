"""A wheel of the checkout has what the installed package reads: pages, SQL, Dagster's settings; and it serves them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import REPOSITORY, environment
from waiting import LONG

READ = """
import sys
sys.path.insert(0, sys.argv[1])
import trading_platform
from trading_platform.mcp.resources import docs_directory, resources
assert trading_platform.__file__.startswith(sys.argv[1]), trading_platform.__file__
assert str(docs_directory()).startswith(sys.argv[1])
class Platform:
    feature_catalog = None
for each in resources(Platform()):
    if str(each.uri).startswith("docs://"):
        print(each.uri, len(each.fn()))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the wheel."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: `pip install hatchling`, or `make .venv/.installed`")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(
        build, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False, timeout=LONG
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "files")
    return folder / "files"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_wheel_has_the_files_of_the_checkout(unpacked: Path) -> None:
    package = unpacked / "trading_platform"
    for folder in ("docs", "sql"):
        ours = {each.relative_to(REPOSITORY / folder) for each in (REPOSITORY / folder).rglob("*.*") if each.is_file()}
        packed = {each.relative_to(package / folder) for each in (package / folder).rglob("*.*") if each.is_file()}
        unread = {each for each in ours if "__pycache__" in each.parts}
        assert packed == ours - unread, folder
    assert (package / "dagster.yaml").read_bytes() == (REPOSITORY / "dagster.yaml").read_bytes()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_installed_server_offers_the_pages_of_the_wheel(unpacked: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-P", "-c", READ, str(unpacked)], cwd=unpacked, env=environment(),
        capture_output=True, text=True, check=False, timeout=LONG,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    pages = dict(line.split() for line in ran.stdout.splitlines())
    for page in ("docs://mcp", "docs://ledger", "docs://sources/kraken"):
        assert int(pages[page]) > 500
    assert len(pages) == sum(
        len(list((REPOSITORY / "docs" / folder).glob("*.md"))) for folder in ("", "sources", "runbooks")
    )
