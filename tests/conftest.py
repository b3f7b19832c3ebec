"""What all tests share: where the real data is."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Dagster's test instances would report their use to its makers.
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"

# Whoever started the tests may ignore signals (a script does, in the background), and what tests start inherits that.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# A first example pays for the loading of libraries, and a busy machine for its other work.
settings.register_profile("platform", deadline=None)
settings.load_profile("platform")

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real market and news data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("TRADING_TEST_DATA", REPOSITORY.parent / "shared" / "data")).resolve()
    if not (folder / "MANIFEST.tsv").exists():
        pytest.skip(f"real test data is absent: no MANIFEST.tsv in {folder} (set TRADING_TEST_DATA)")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that with several workers none of them is alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
