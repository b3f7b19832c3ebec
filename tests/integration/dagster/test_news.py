"""The assets of news in a run of Dagster, with their checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterInstance, build_schedule_context
from news_server import feed, news_server

from trading_platform.assets.news import windows_of
from trading_platform.definitions import build_definitions, defs
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.news.articles import Item
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.quality.verify_news import verify_news

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = f"{NOON:%Y-%m-%d}"


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features")) as opened:
        opened.instruments.add(guess_instrument("TSLA", "file"))
        yield opened


def test_a_run_fetches_links_scores_and_checks(stores: Stores, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NEWS_ALLOWED_HOSTS", "127.0.0.1")
    platform = PlatformContext(stores, {}, clock=lambda: NOON)
    with news_server() as server, DagsterInstance.ephemeral() as instance:
        server.serve("/good", feed("tesla", title="Tesla shares jump {n} percent as {name} profit beats estimates"))
        server.serve("/broken", b"", 500)
        stores.feeds.add("good", server.url("/good"))
        stores.feeds.add("broken", server.url("/broken"))
        job = build_definitions(resource_overrides={"platform": platform}).resolve_job_def("news")
        result = job.execute_in_process(instance=instance, partition_key=DAY)
        assert result.success
        articles, scored = (
            result.asset_materializations_for_node(name)[0].metadata for name in ("raw_news", "news_sentiment")
        )
        assert (articles["new"].value, articles["dagster/partition_row_count"].value) == (3, 3)
        assert (scored["scored in this run"].value, scored["positive"].value) == (3, 3)
        checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
        assert len(checks) == 7
        assert [name for name, passed in checks.items() if not passed] == ["feeds_deliver"]
        again = job.execute_in_process(instance=instance, partition_key="2026-03-01")
        assert again.asset_materializations_for_node("raw_news")[0].metadata["new"].value == 0
        assert len(server.requests) == 2


def test_each_fault_is_found_by_its_check(stores: Stores):
    day = datetime(2026, 4, 1, tzinfo=UTC)
    plain = Item("Nothing is wrong with this headline at all", guid="1", published_at=day)
    faults = {
        "no_future_date": replace(plain, guid="2", title="From the future", published_at=day + timedelta(days=90)),
        "text_readable": replace(plain, guid="3", title="Misread \ufffd\ufffd text"),
    }
    stores.articles.add("faults", [plain, *faults.values()], day)
    results = {one.check: one for one in verify_news(stores, windows_of([f"{day:%Y-%m-%d}"]), clock=lambda: day)}
    assert {name for name, one in results.items() if one.failing_rows == 1} >= set(faults)
    assert results["text_present"].passed
    copies = [Item(f"The very same words about something in copy {n % 2}", guid=f"c{n}") for n in range(60)]
    stores.articles.add("copies", copies, day + timedelta(days=1))
    later = windows_of([f"{day + timedelta(days=1):%Y-%m-%d}"])
    unusual = {one.check for one in verify_news(stores, later, clock=lambda: day) if not one.passed}
    assert {"duplicate_rate", "language_known", "linked_share"} <= unusual


def test_the_schedule_asks_for_the_present_day():
    schedule = defs.resolve_schedule_def("news_refresh")
    with DagsterInstance.ephemeral() as instance:
        context = build_schedule_context(
            instance, scheduled_execution_time=NOON, repository_def=defs.get_repository_def()
        )
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    assert request.partition_key == DAY
