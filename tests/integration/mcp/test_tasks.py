"""Tasks as a new user would put them, each solved by a few calls with small answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from mcp_calls import call, text_of

from trading_platform.client import Platform
from trading_platform.domain.time import utc_now
from trading_platform.mcp.server import AgentServer, Offer

MOST_CALLS = 4
MOST_CHARACTERS = 8_000 * 4
"""8,000 tokens, of four characters each."""

Call = tuple[str, dict[str, object]]
BUY = {"symbol": "BTC/USD", "side": "buy", "order_type": "limit", "quantity": "0.5", "price": "104", "broker": "kraken"}
DECISION = "{id}"
"""Stands for the id that an earlier answer gave."""

TASKS: dict[str, tuple[Sequence[Call], str]] = {
    "Which instruments do you have?": ([("instrument_info", {})], r"AAPL,equity,XNYS"),
    "What does Apple cost?": ([("latest_quotes", {"symbols": ["NASDAQ:AAPL"]})], r"AAPL,close of a 1d bar"),
    "Is New York open, and when next?": ([("instrument_info", {"symbols": ["AAPL"]})], r"closed,2025-01-02"),
    "The last five days of Bitcoin": ([("bars", {"symbols": ["XBT/USD"], "limit": 5})], r"BTCUSD,305,"),
    "How did Apple trade in June 2024?": (
        [("bars", {"symbols": ["AAPL"], "start": "2024-06-01", "end": "2024-07-01"})],
        r"Rows 1 to 19 of 19",
    ),
    "The same in prices after splits": (
        [("bars", {"symbols": ["AAPL"], "start": "2024-06-01", "end": "2024-07-01", "adjust": "split"})],
        r"Rows 1 to 19",
    ),
    "Is Apple overbought?": ([("indicators", {"symbols": ["AAPL"], "names": "rsi_14", "limit": 1})], r"AAPL,\d"),
    "What did a reader know of Apple on the third of June?": (
        [("bars", {"symbols": ["AAPL"], "as_of": "2024-06-03T12:00:00Z", "limit": 1})],
        r"2024-05-31",
    ),
    "Compare the trend of Apple and Berkshire": (
        [("indicators", {"symbols": ["aapl", "brk-b"], "names": ["sma_20", "sma_50"], "limit": 2})],
        r"BRK\.B",
    ),
    "Features of Apple before the summer": (
        [("features", {"symbols": ["AAPL"], "start": "2024-05-01", "as_of": "2024-06-01"})],
        r"No rows|Rows",
    ),
    "News about Apple": ([("news", {"symbols": ["AAPL"]})], r"No rows|Rows"),
    "What do I hold?": ([("portfolio", {})], r"No rows|Rows"),
    "Can the live data be relied on?": ([("data_health", {})], r"no process watches live data"),
    "Which regime is it?": ([("regime", {})], r"unknown|Rows"),
    "Note that I skip Bitcoin today": (
        [("record_decision", {"decision_type": "skip", "reasoning": "too wild", "symbol": "BTCUSD"})],
        r"BTCUSD",
    ),
    "Why did I skip it?": (
        [
            ("record_decision", {"decision_type": "skip", "reasoning": "too wild", "symbol": "BTCUSD"}),
            ("explain_decision", {"decision_id": DECISION}),
        ],
        r"reasoning: too wild",
    ),
    "Was anything corrected since I decided?": (
        [
            ("record_decision", {"decision_type": "hold", "reasoning": "it rises"}),
            ("explain_decision", {"decision_id": DECISION, "show": "changed"}),
        ],
        r"No rows",
    ),
    "Tell the other agents that Bitcoin rises": (
        [("publish_signal", {"strategy": "me", "symbol": "XBT", "direction": "long"}),
         ("publish_signal", {"strategy": "me", "symbol": "BTC/USD", "direction": "long"})],
        r"BTCUSD,long",
    ),
    "Buy half a Bitcoin, if the limits allow it": (
        [("plan_order", BUY), ("place_order", {**BUY, "idempotency_key": "half a bitcoin"}), ("portfolio", {})],
        r"pending buy limit order,BTCUSD,0\.5",
    ),
    "A file to train a model on": (
        [("training_set", {"symbols": ["AAPL"], "names": "rsi_14", "start": "2024-01-01", "end": "2024-06-01"})],
        r"\.parquet,152,",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(platform: Platform, now: object, tmp_path_factory: pytest.TempPathFactory) -> AgentServer:
    return AgentServer(platform, Offer(False, True, tmp_path_factory.mktemp("sets")), clock=lambda: now)


@pytest.fixture(scope="module")
def present(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AgentServer:
    """The same at the present time, at which decisions are recorded."""
    return AgentServer(platform, Offer(False, True, tmp_path_factory.mktemp("sets")), clock=utc_now)


def test_there_are_twenty() -> None:
    assert len(TASKS) == 20


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_solved_in_a_few_calls_with_small_answers(
    server: AgentServer, present: AgentServer, task: str
) -> None:
    calls, wanted = TASKS[task]
    assert len(calls) <= MOST_CALLS
    size, found, text = 0, "", ""
    for tool, arguments in calls:
        given = {name: found if value == DECISION else value for name, value in arguments.items()}
        text = text_of(call(present if "decision" in tool else server, tool, **given))
        size += len(text)
        found = text.splitlines()[-1].split(",")[0]
    assert re.search(wanted, text), text
    assert size <= MOST_CHARACTERS
