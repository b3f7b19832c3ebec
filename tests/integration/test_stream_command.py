"""The command ``stream`` as people meet it: quotes and bars while it runs, words where it cannot."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest
from commands import Installation, installation
from pydantic import SecretStr

from trading_platform.client import Platform
from trading_platform.domain.instruments import AssetClass, Instrument
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import open_platform
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url
from trading_platform.streaming.recording import Recording


@pytest.fixture
def ours(stack: Endpoints, redis_url: str) -> Iterator[Installation]:
    with (
        running_exchange(SeededMarket(5, ("BTCUSD", "ETHUSD"), trades_per_minute=200)) as url,
        installation(stack.database_url) as made,
    ):
        made.variables |= {"KRAKEN_API_URL": url, "KRAKEN_WS_URL": stream_url(url), "REDIS_URL": redis_url}
        yield made


def add(made: Installation, symbol: str, source: str = "kraken") -> None:
    with open_platform(made.settings()) as platform:
        platform.stores.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", source))


def test_quotes_can_be_read_while_it_runs_and_sigterm_ends_it(ours: Installation) -> None:
    add(ours, "BTCUSD")
    add(ours, "ETHUSD")
    recording = ours.data_dir / "feed.jsonl.gz"
    process = ours.start("stream", "--record", str(recording), "--json")
    settings = ours.settings().model_copy(update={"redis_url": SecretStr(ours.variables["REDIS_URL"])})
    with Platform.connect(settings) as platform:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(platform.quotes()) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        quotes = platform.quotes()
        session = platform.session
    assert set(quotes) == {"BTCUSD", "ETHUSD"}
    assert quotes["BTCUSD"].bid is not None
    assert session["symbols"] == "2"
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    summary = json.loads(out)
    assert summary["events"] > 0
    assert summary["quotes_written"] > 0
    assert all(part["error"] is None for part in summary["parts"])
    assert Recording(recording).header.source == "kraken"


def test_what_cannot_be_streamed_is_said_with_what_to_do(ours: Installation) -> None:
    nothing = ours.run("stream")
    assert nothing.code == 2
    assert "nothing to stream" in nothing.text
    add(ours, "SPY", "file")
    foreign = ours.run("stream", "SPY")
    assert foreign.code == 2
    assert "SPY from file" in foreign.text
    unknown = ours.run("stream", "BTCUSDD")
    assert unknown.code == 2
    assert "no instrument 'BTCUSDD'" in unknown.text


def test_a_pair_that_kraken_does_not_list(ours: Installation) -> None:
    add(ours, "NOSUCHUSD")
    found = ours.run("stream", "NOSUCHUSD", "--for", "5")
    assert found.code in (1, 2)
    assert "lists no pair" in found.text
