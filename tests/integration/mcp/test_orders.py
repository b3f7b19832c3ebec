"""The tools of orders, decisions and training sets: what they write, and what they refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from mcp import Client
from mcp.types import CallToolResult
from mcp_calls import call, rows_of, text_of

from trading_platform.client import Platform
from trading_platform.domain.time import Window
from trading_platform.mcp import training_sets
from trading_platform.mcp.server import AgentServer, Offer
from trading_platform.stores.stores import Stores

KEY = "of the morning"
Asked = Callable[..., CallToolResult]


@pytest.fixture
def server(platform: Platform, now: datetime, tmp_path: Path) -> AgentServer:
    return AgentServer(platform, Offer(False, True, tmp_path / "sets"), clock=lambda: now)


@pytest.fixture
def order(server: AgentServer) -> Asked:
    terms = {"symbol": "BTC/USD", "side": "buy", "order_type": "limit", "quantity": "0.5", "price": "100"}

    def asked(tool: str, **changed: object) -> CallToolResult:
        return call(server, tool, **(terms | {"broker": "kraken"} | changed))

    return asked


def orders(platform: Platform) -> int:
    return len(platform.orders.list(symbol="BTCUSD"))


def test_an_order_is_planned_without_a_trace_and_placed_once(order: Asked, platform: Platform) -> None:
    before = orders(platform)
    planned = order("plan_order")
    assert "It would be placed now." in text_of(planned)
    rows = {row["item"]: row["value"] for row in rows_of(planned)}
    assert (rows["symbol"], rows["quantity"], rows["value"], rows["tick size"]) == ("BTCUSD", "0.5", "50", "0.1")
    assert orders(platform) == before
    (placed,) = rows_of(order("place_order", idempotency_key=KEY))
    (again,) = rows_of(order("place_order", idempotency_key=KEY))
    assert placed == again
    assert (placed["status"], placed["quantity"], placed["price"]) == ("pending", "0.5", "100")
    assert orders(platform) == before + 1
    other = order("place_order", idempotency_key=KEY, quantity="0.6")
    assert other.is_error
    assert "another order" in text_of(other)
    platform.orders.cancel(placed["id"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "0.000000001"}, "quantity"),
        ({"quantity": "NaN"}, "quantity"),
        ({"price": "100.05"}, "multiple of 0.1"),
        ({"price": None}, "price"),
        ({"symbol": "BTCEUR"}, "BTCUSD"),
        ({"broker": "bank"}, "kraken"),
        ({"strategy_id": "nobody"}, "no strategy"),
    ],
)
def test_nothing_is_placed_that_cannot_be(
    order: Asked, platform: Platform, changed: dict[str, object], words: str
) -> None:
    before = orders(platform)
    refused = order("place_order", idempotency_key="another key", **changed)
    assert refused.is_error
    assert words in text_of(refused)
    assert orders(platform) == before


def test_risk_limits_hold_and_are_said_before(order: Asked, platform: Platform) -> None:
    platform.risk_limits.set("max_order_value", 40)
    platform.risk_limits.set("max_position_pct", 10)
    try:
        planned = order("plan_order")
        assert "It would not be placed" in text_of(planned)
        notes = {row["item"]: row["note"] for row in rows_of(planned)}
        assert "max_order_value" in notes["against it: max_order_value"]
        assert notes["limit max_position_pct"].startswith("not checked by the database")
        refused = order("place_order", idempotency_key="a third key")
        assert refused.is_error
        assert "at most 40" in text_of(refused)
    finally:
        for key in ("max_order_value", "max_position_pct"):
            platform.risk_limits.remove(key)


def test_a_quantity_may_be_a_number_of_json_where_its_decimal_is_certain(order: Asked) -> None:
    for given in (0.5, "0.5"):
        rows = {row["item"]: row["value"] for row in rows_of(order("plan_order", quantity=given, price=100))}
        assert (rows["quantity"], rows["value"]) == ("0.5", "50")
    for given in (0.12345678901234567, True, [1]):
        assert order("plan_order", quantity=given).is_error


def test_orders_are_placed_only_where_a_setting_allows_it(platform: Platform) -> None:
    for offer in (Offer(read_only=False), Offer(read_only=True, orders=True)):
        server = AgentServer(platform, offer)
        assert "plan_order" in server.arguments
        assert "place_order" not in server.arguments
        assert call(server, "place_order").is_error


def test_a_decision_is_explained(platform: Platform, tmp_path: Path) -> None:
    server = AgentServer(platform, Offer(read_only=False, training_sets=tmp_path))
    recorded = call(server, "record_decision", decision_type="entry", reasoning="it rises", symbol="BTCUSD")
    decision = rows_of(recorded)[0]["id"]
    platform.risk_limits.set("max_leverage", 2)
    explained = call(server, "explain_decision", decision_id=decision)
    assert "Decision entry of BTCUSD" in text_of(explained)
    assert "reasoning: it rises" in text_of(explained)
    assert {row["section"] for row in rows_of(explained)} <= {"bar", "position", "order", "news", "regime"}
    assert rows_of(call(server, "explain_decision", decision_id=decision, show="changed")) == []
    platform.risk_limits.remove("max_leverage")
    wrong = call(server, "explain_decision", decision_id="7")
    assert wrong.is_error


def test_a_training_set_is_a_file_of_the_platforms_own(
    server: AgentServer, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = pl.datetime_range(datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 6, 9, tzinfo=UTC), "1d", eager=True)
    schema = stores.features.definitions.features.schema
    rows = pl.DataFrame({"time": days.cast(schema["time"]), "symbol": ["BTCUSD"] * len(days)})
    rows = rows.with_columns(available_at=pl.col("time") + pl.duration(days=1))
    values = {name: pl.lit(0.5, kind) for name, kind in schema.items() if name not in rows.columns}
    month = Window(datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
    stores.features.replace(rows.with_columns(**values).select(list(schema)), "BTCUSD", month)
    asked = {"symbols": ["BTC/USD"], "names": ["rsi_14"], "start": "2024-06-01", "end": "2024-06-11"}
    (made,) = rows_of(call(server, "training_set", **asked))
    file = Path(made["file"])
    assert file.parent == tmp_path / "sets"
    written = pl.read_parquet(file)
    assert written.columns == made["columns"].split()
    assert (written.height, made["rows"]) == (10, "10")
    assert written["rsi_14"].to_list() == [None, *[0.5] * 9]
    assert file.stat().st_mode & 0o077 == 0
    for wrong, words in (
        ({"names": ["rsi"]}, "rsi_14"),
        ({"start": "1800-01-01", "every": "1h", "symbols": ["AAPL", "BTCUSD", "BRK.B"]}, "rows"),
        ({"start": "2024-06-12"}, "after"),
        ({"to": "/etc/passwd"}, "no argument"),
    ):
        refused = call(server, "training_set", **(asked | wrong))
        assert refused.is_error
        assert words in text_of(refused)
    monkeypatch.setattr(training_sets, "MOST_FILES", 1)
    assert "is full" in text_of(call(server, "training_set", **asked))
    assert len(list(file.parent.iterdir())) == 1


def test_resources_and_prompts_are_listed_and_read(platform: Platform) -> None:
    async def read() -> tuple[list[str], str, str, list[str], str]:
        async with Client(AgentServer(platform)) as client:
            pages = [str(each.uri) for each in (await client.list_resources()).resources]
            page = (await client.read_resource("docs://ledger")).contents[0].text
            catalog = (await client.read_resource("features://catalog")).contents[0].text
            names = [each.name for each in (await client.list_prompts()).prompts]
            prompt = await client.get_prompt("explain_decision", {"decision_id": "7f"})
            return pages, page, catalog, names, prompt.messages[0].content.text

    pages, page, catalog, names, prompt = asyncio.run(read())
    assert {"docs://mcp", "docs://sources/kraken", "features://catalog"} <= set(pages)
    assert page.startswith("# ")
    assert '"feature_name": "rsi_14"' in catalog
    assert names == ["explain_decision", "check_data", "prepare_training_set"]
    assert "'7f'" in prompt
