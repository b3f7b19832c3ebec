"""What a person sees of the platform in the Dagster UI: the real webserver, the demonstration's data, Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from processes import answers, free_port
from waiting import LONG, wait_until

from trading_platform.embedded.stack import stop_stack
from trading_platform.settings import Settings

REPOSITORY = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ASSETS = [f"{kind}_{length}" for kind in ("ohlcv", "indicators") for length in ("1m", "5m", "1h", "1d")]
ASSETS += ["corporate_actions", "features", "features_1h", "raw_news", "news_sentiment"]
SYMBOLS = 500
READABLE = 8
"""Pixels of height below which a name cannot be read."""
YEAR = (datetime.now(UTC) - timedelta(days=2)).year
"""A year in which the demonstration has bars."""
PATIENCE = 60_000
"""Milliseconds after which something will not come any more, on the busiest machine."""

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look with (Debian: apt-get install chromium)"),
]

REGISTER = """
import sys
from trading_platform.resources.dagster_instance import open_instance
from trading_platform.settings import load_settings
with open_instance(load_settings()) as instance:
    there = len(instance.get_dynamic_partitions("symbols"))
    instance.add_dynamic_partitions("symbols", [f"S{number:03}" for number in range(int(sys.argv[1]) - there)])
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A webserver over a finished demonstration, with as many symbols registered as a large universe has."""
    root = Path(tempfile.mkdtemp(prefix="tp-"))
    root.chmod(0o755)
    data = root / "demo"
    bare = ("DAGSTER", "DATABASE_URL", "REDIS_URL", "FEATURES_DIR", "LOGS_DIR", "KRAKEN")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(bare)}
    variables |= {"DATA_DIR": str(data), "PYTHONPATH": str(REPOSITORY)}

    def run(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, *arguments], cwd=REPOSITORY, env=variables, check=True, timeout=LONG, capture_output=True
        )

    try:
        run("-c", "from trading_platform.cli.__main__ import main; main()", "demo", "--json")
        run("-c", REGISTER, str(SYMBOLS))
        home = data / "home"
        home.mkdir()
        shutil.copy(REPOSITORY / "dagster.yaml", home)
        port = free_port()
        server = subprocess.Popen(
            [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)],
            cwd=REPOSITORY, env=variables | {"DAGSTER_HOME": str(home)}, start_new_session=True,
        )  # fmt: skip
        try:
            wait_until(lambda: server.poll() is not None or answers(port), "the webserver", deadline=LONG)
            assert server.poll() is None, f"the webserver ended with {server.returncode}"
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(LONG)
    finally:
        stop_stack(Settings(_env_file=None, data_dir=data), force=True, purge=True)  # type: ignore[call-arg]
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    """A browser past the greeting of a first visit."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        opened.goto(f"{address}/asset-groups/", wait_until="domcontentloaded")
        opened.get_by_text("Skip", exact=True).click()
        yield opened
        browser.close()


def test_the_lineage_shows_thirteen_assets_in_five_groups_in_one_view(page: Page, address: str):
    page.goto(f"{address}/asset-groups/", wait_until="domcontentloaded")
    graph = page.locator("foreignObject")
    for group in ("bars", "indicators", "corporate_actions", "features", "news"):
        expect(graph.get_by_text(group, exact=True).first).to_be_visible()
    expand_all(page)
    for _ in range(10):  # opened, the groups are taller than the window: some clicks on zoom-out show them whole
        page.wait_for_timeout(1500)  # until the drawing has come to rest
        if not (hidden := [asset for asset in ASSETS if not readable(page, asset)]):
            return
        page.locator("[aria-label='zoom_out']").first.click()
    raise AssertionError(f"not to be seen in one view: {hidden}")


def expand_all(page: Page) -> None:
    """Opens all groups by the UI's shortcut, which it does not hear while it is still drawing."""
    # Checks are drawn only in large boxes; the names of the assets are drawn in all.
    opened = page.locator("foreignObject").get_by_text("ohlcv_1d", exact=True).first
    for _ in range(4):
        page.keyboard.press("Alt+e")
        with suppress(AssertionError):
            expect(opened).to_be_visible(timeout=PATIENCE / 4)
            return
    raise AssertionError("the groups did not open")


def readable(page: Page, asset: str) -> bool:
    """Whether the name of an asset is what one sees where it stands, in letters that can be read.

    Being in the viewport is not enough: what lies above the graph's frame is covered by the toolbar.
    """
    name = page.locator("foreignObject").get_by_text(asset, exact=True).last
    box = name.bounding_box() if name.count() else None
    if box is None or box["height"] <= READABLE:
        return False
    return bool(
        name.evaluate(
            """element => {
                const box = element.getBoundingClientRect();
                const seen = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
                const node = element.closest("foreignObject");
                return seen !== null && node !== null && node.contains(seen);
            }"""
        )
    )


def test_all_partitions_of_a_large_universe_are_offered(page: Page, address: str):
    for asset, partitions in (("ohlcv_1d", 37), ("ohlcv_1m", 160)):
        page.goto(f"{address}/assets/{asset}?view=partitions", wait_until="domcontentloaded")
        expect(page.get_by_text("S000", exact=True).first).to_be_visible()
        expect(page.get_by_text(re.compile(r"^Materialized \([1-9]\d*\)$"))).to_be_visible()
        counted = page.get_by_text(re.compile("Partitions Selected")).inner_text()
        assert int(re.sub(r"\D", "", counted)) >= SYMBOLS * partitions


def test_a_partition_tells_its_rows_and_draws_its_chart(page: Page, address: str):
    page.goto(f"{address}/assets/ohlcv_1d?view=partitions&partition=BTCUSD%7C{YEAR}", wait_until="domcontentloaded")
    for name in ("expected", "confirmed empty", "rejected", "first", "last"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    chart = page.locator("img[src^='data:image/svg']").first
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.complete && image.naturalWidth") >= 200


def test_checks_tell_what_they_looked_at(page: Page, address: str):
    page.goto(f"{address}/assets/ohlcv_1d?view=checks", wait_until="domcontentloaded")
    for name in (
        "ohlc_consistent",
        "positive_prices",
        "no_future_bar",
        "no_duplicate",
        "price_jump_review",
        "completeness",
    ):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text("rows checked", exact=True).first).to_be_visible()
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
