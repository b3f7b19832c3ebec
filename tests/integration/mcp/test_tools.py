"""What tools answer, asked through the SDK's own client: tables, pages, as-of, spellings, and errors to act on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_calls import call, rows_of, text_of
from stored_year import INSTRUMENTS, bars_of, store

from trading_platform.client import Platform
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.market.live.events import Quote
from trading_platform.mcp.answers import LARGEST_TEXT
from trading_platform.mcp.server import AgentServer, Offer
from trading_platform.stores.news.model_file import own_model
from trading_platform.stores.stores import Stores
from trading_platform.workflows.news.classify_news import classify_news
from trading_platform.workflows.news.import_news import import_news


@pytest.fixture(scope="module")
def server(platform: Platform, now: datetime, tmp_path_factory: pytest.TempPathFactory) -> AgentServer:
    return AgentServer(platform, Offer(False, True, tmp_path_factory.mktemp("sets") / "of agents"), clock=lambda: now)


def test_the_listing_is_small(server: AgentServer) -> None:
    async def listed() -> tuple[int, list[str], int]:
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
            size = sum(len(tool.model_dump_json(exclude_none=True)) for tool in tools)
            return len(tools), [tool.name for tool in tools], size

    count, names, size = asyncio.run(listed())
    assert count == 15
    assert max(map(len, names)) <= 40
    assert size / 4 <= 4_000, "tokens, of four characters each"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("BTC/USD", "BTCUSD"), ("XBTUSD", "BTCUSD"), ("XXBTZUSD", "BTCUSD"), ("btc-usd", "BTCUSD"), ("brk-b", "BRK.B"),
     ("BRK/B", "BRK.B"), ("aapl", "AAPL"), ("NASDAQ:AAPL", "AAPL"), ("AAPL.US", "AAPL")],
)  # fmt: skip
def test_every_spelling_is_understood_and_said(server: AgentServer, theirs: str, ours: str) -> None:
    result = call(server, "instrument_info", symbols=[theirs])
    (row,) = rows_of(result)
    assert row["symbol"] == ours
    assert f"{theirs} was taken for {ours}." in text_of(result)


def test_bars_are_those_of_the_client_as_of_a_time(server: AgentServer, platform: Platform) -> None:
    as_of = "2024-07-02T19:59:59Z"
    result = call(server, "bars", symbols=["AAPL", "BTCUSD"], start="2024-06-28", as_of=as_of)
    frame = platform.bars(["AAPL", "BTCUSD"], "1d", "2024-06-28", "2025-01-01", as_of=as_of)
    read = rows_of(result)
    assert [(row["symbol"], row["time"][:10], Decimal(row["close"])) for row in read] == [
        (row["symbol"], f"{row['time']:%Y-%m-%d}", row["close"]) for row in frame.iter_rows(named=True)
    ]
    assert max(row["time"] for row in read if row["symbol"] == "AAPL") < "2024-07-02", "the session is not over"
    facts = result.structured_content
    assert facts["as_of"].startswith("2024-07-02T19:59:59Z")
    assert facts["columns"]["close"]
    assert facts["age_seconds"] == pytest.approx(44 * 3_600 - 1)


def test_without_a_start_the_last_rows_of_each_symbol_come(server: AgentServer) -> None:
    read = rows_of(call(server, "bars", symbols=["AAPL", "BTCUSD"], limit=3))
    assert [row["symbol"] for row in read] == ["AAPL"] * 3
    second = call(server, "bars", symbols=["AAPL", "BTCUSD"], limit=6)
    assert [row["symbol"] for row in rows_of(second)] == ["AAPL"] * 6
    assert second.structured_content["all_rows"] == 12


def test_pages_are_of_one_state_whatever_is_stored_meanwhile(stores: Stores, platform: Platform) -> None:
    present = AgentServer(platform, Offer(read_only=True))
    arguments: dict[str, Any] = {"symbols": ["BRK.B"], "start": "2024-01-01", "limit": 100}
    whole = rows_of(call(present, "bars", **(arguments | {"limit": 1000})))
    assert len(whole) < 252, "the size of an answer is limited, too"
    before = platform.bars("BRK.B", "1d", "2024-01-01", "2025-01-01")
    pages, cursor = [], None
    while True:
        result = call(present, "bars", cursor=cursor, **arguments)
        pages += rows_of(result)
        cursor = result.structured_content.get("next_cursor")
        if cursor is None:
            break
        store(stores, bars_of(INSTRUMENTS[1], lambda number: Decimal(500 + number)))
    assert [Decimal(row["close"]) for row in pages] == before["close"].to_list()
    other = call(
        present, "bars", cursor=call(present, "bars", **arguments).structured_content["next_cursor"], symbols=["AAPL"]
    )
    assert other.is_error
    assert "same arguments" in text_of(other)


def test_indicators_and_features_are_read(server: AgentServer, platform: Platform) -> None:
    read = rows_of(call(server, "indicators", symbols=["AAPL"], names=["rsi_14"], start="2024-06-03", end="2024-06-05"))
    frame = platform.indicators("AAPL", "1d", "2024-06-03", "2024-06-05", ["rsi_14"])
    assert [float(row["rsi_14"]) for row in read] == pytest.approx(frame["rsi_14"].to_list(), rel=1e-9)
    nothing = call(server, "features", symbols=["AAPL"], names=["rsi_14"], start="2024-06-03")
    assert rows_of(nothing) == []
    assert "No rows of AAPL" in text_of(nothing)


def test_a_quote_is_live_or_says_what_it_is(platform: Platform) -> None:
    server = AgentServer(platform, Offer(read_only=True))
    time = datetime.now(UTC)
    platform._live().write_quotes([Quote("BTCUSD", time, Decimal("64000.1"), Decimal("64000.2"), Decimal(64000))])
    live, stored = rows_of(call(server, "latest_quotes", symbols=["BTC/USD", "AAPL"]))
    assert (live["kind"], live["bid"], live["ask"]) == ("live", "64000.1", "64000.2")
    assert 0 <= float(live["age_seconds"]) < 3_600
    assert stored["kind"] == "close of a 1d bar"
    assert stored["bid"] == ""


def test_decisions_and_signals_are_written(server: AgentServer, platform: Platform) -> None:
    signals = {"rsi_14": 31.5}
    written = call(
        server, "record_decision", decision_type="entry", reasoning="it rises", symbol="BTC/USD", signals=signals
    )
    (decision,) = [each for each in platform.decisions.list() if str(each.id) == rows_of(written)[0]["id"]]
    assert (decision.symbol, decision.signals, decision.reasoning) == ("BTCUSD", signals, "it rises")
    assert rows_of(call(server, "publish_signal", strategy="s", symbol="BTCUSD", direction="long", strength="0.8"))
    signal = platform.signals.last("s", "BTCUSD")
    assert signal is not None
    assert signal.payload.strength == Decimal("0.8")


def test_the_portfolio_and_the_health_of_the_data(server: AgentServer, platform: Platform) -> None:
    order = platform.orders.place("BTCUSD", "buy", "limit", "0.5", broker="kraken", price="64000")
    assert {"kind": "pending buy limit order", "symbol": "BTCUSD", "quantity": "0.5", "id": str(order.id)}.items() <= (
        rows_of(call(server, "portfolio"))[0].items()
    )
    health = rows_of(call(server, "data_health"))
    assert health[0]["state"] == "unknown"
    assert rows_of(call(server, "regime")) == []


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("bars", {"symbols": ["APPL"]}, "did you mean AAPL?"),
        ("bars", {"symbols": ["AAPL"], "as_off": "2024-01-01"}, "Did you mean as_of?"),
        ("bars", {"symbols": ["AAPL"], "as_of": "2031-01-01"}, "not known"),
        ("bars", {"symbols": ["AAPL"], "as_of": "yesterday"}, "ISO 8601"),
        ("bars", {"symbols": ["AAPL"], "timeframe": "2h"}, "1h"),
        ("bars", {"symbols": []}, "1 to 100 symbols"),
        ("bars", {"symbols": ["A\x00B"]}, "is not a symbol"),
        ("bars", {"symbols": ["AAPL"], "start": "2025-06-01", "end": "2024-06-01"}, "start before the end"),
        ("bars", {"symbols": ["AAPL"], "timeframe": "1m", "start": "1990-01-01"}, "shorter window"),
        ("bars", {"symbols": ["AAPL"], "limit": 0}, "1 to 1000"),
        ("bars", {"symbols": ["AAPL"], "cursor": "nonsense"}, "without a cursor"),
        ("indicators", {"symbols": ["AAPL"], "names": ["rsi"]}, "rsi_14"),
        ("features", {"symbols": ["AAPL"], "names": ["rsi14"]}, "rsi_14"),
        ("barz", {}, "Did you mean bars?"),
        ("record_decision", {"decision_type": "x", "reasoning": "y", "order_id": "7"}, "UUID"),
        ("publish_signal", {"strategy": "s", "symbol": "AAPL", "direction": "up"}, "long"),
        ("publish_signal", {"strategy": "s", "symbol": "AAPL", "direction": "long", "strength": "7"}, "strength"),
    ],
)
def test_mistakes_are_answered_in_words_to_act_on(
    server: AgentServer, tool: str, arguments: Mapping[str, object], words: str
) -> None:
    result = call(server, tool, **arguments)
    assert result.is_error
    assert words in text_of(result)
    assert "Traceback" not in text_of(result)


def test_every_call_is_in_the_audit_trail(server: AgentServer, platform: Platform) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    call(server, "bars", symbols=["AAPL"], start="2024-12-30")
    call(server, "bars", symbols=["APPL"])
    server.calls.flush()
    failed, read = platform.events.list(event_type="mcp_call", start=begun)[:2]
    assert read.metadata["tool"] == "bars"
    assert read.metadata["caller"] == "stdio"
    assert read.metadata["arguments"] == {"symbols": ["AAPL"], "start": "2024-12-30"}
    assert read.metadata["rows"] == 2
    assert (failed.metadata["answered"], failed.metadata["rows"]) == (False, None)
    assert "APPL" in failed.message


def test_an_instrument_that_was_added_meanwhile_is_understood(stores: Stores, platform: Platform) -> None:
    server = AgentServer(platform, Offer(read_only=True))
    assert "There is no instrument" in text_of(call(server, "latest_quotes", symbols=["ETH/USD"]))
    stores.instruments.add(Instrument("ETHUSD", AssetClass.CRYPTO, "24/7", "kraken"))
    try:
        (row,) = rows_of(call(server, "latest_quotes", symbols=["ETH/USD"]))
        assert (row["symbol"], row["kind"]) == ("ETHUSD", "none")
    finally:
        stores.instruments.remove("ETHUSD")


def test_nothing_is_written_under_the_read_only_setting(platform: Platform) -> None:
    server = AgentServer(platform, Offer(read_only=True))
    result = call(server, "record_decision", decision_type="entry", reasoning="it rises")
    assert result.is_error
    assert "There is no tool" in text_of(result)


def test_an_answer_is_never_larger_than_stated(server: AgentServer) -> None:
    result = call(server, "indicators", symbols=["AAPL", "BTCUSD"], start="2024-01-01", limit=1_000)
    assert len(text_of(result)) <= LARGEST_TEXT
    assert result.structured_content["next_cursor"]


def test_news_are_read_as_of_a_time(stores: Stores, platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "news.jsonl"
    published = "2024-06-03T14:30:00Z"
    lines = [
        {"title": "Apple (NASDAQ: AAPL) beats expectations with record profit", "url": "https://wire.example/1"},
        {"title": "Parliament debates the budget", "url": "https://wire.example/2"},
    ]
    texts = [json.dumps(line | {"published_at": published, "guid": line["url"]}) for line in lines]
    file.write_text("\n".join(texts))
    import_news(stores, file, as_published=True, clock=lambda: datetime(2024, 6, 5, tzinfo=UTC))
    classify_news(stores, own_model(), clock=lambda: datetime(2024, 6, 5, tzinfo=UTC))
    server = AgentServer(platform, Offer(read_only=True), clock=lambda: datetime(2024, 6, 6, tzinfo=UTC))
    (about,) = rows_of(call(server, "news", symbols=["aapl"]))
    assert about["title"].startswith("Apple")
    assert about["label"] == "positive"
    assert len(rows_of(call(server, "news"))) == 2
    assert rows_of(call(server, "news", as_of="2024-06-03T14:29:59Z")) == []
