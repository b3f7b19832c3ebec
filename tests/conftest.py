"""What all tests share: an environment without the user's settings, and where the real data is."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from isolation import isolate, signals_reach_children
from properties import USUAL, examples

isolate()

# A first example pays for the loading of libraries, and a busy machine for its other work.
settings.register_profile("platform", deadline=None, max_examples=examples(USUAL))
settings.load_profile("platform")

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def usual_signals() -> Iterator[None]:
    """What tests start ends on the signals it is sent, also where the tests run in the background or under nohup."""
    with signals_reach_children():
        yield


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real market and news data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("TRADING_TEST_DATA", REPOSITORY.parent / "shared" / "data")).resolve()
    if not (folder / "MANIFEST.tsv").exists():
        pytest.skip(f"real test data is absent: no MANIFEST.tsv in {folder} (set TRADING_TEST_DATA)")
    return folder


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks properties, and puts files with slow tests first, so that none is alone with one worker at the end."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("property")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured output as text that can be sent between processes: hostile inputs that are logged are no UTF-8."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
