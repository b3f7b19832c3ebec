"""How several processes share the universe, and under which names their positions are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import InvalidRequest
from trading_platform.streaming.feeds import Shard, stream_name

SYMBOLS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", min_size=1, max_size=20)


@given(SYMBOLS, st.integers(1, 64))
def test_each_symbol_falls_into_one_share(symbol: str, of: int) -> None:
    assert sum(symbol in Shard(number, of) for number in range(1, of + 1)) == 1


def test_shares_are_about_equal() -> None:
    symbols = [f"S{number:05d}" for number in range(10_000)]
    sizes = [sum(symbol in Shard(number, 8) for symbol in symbols) for number in range(1, 9)]
    assert 1_125 < min(sizes) <= max(sizes) < 1_375


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_a_share_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="1/4"):
        Shard.parse(text)


def test_a_name_is_the_same_for_the_same_part_and_another_for_another() -> None:
    everything = ["BTCUSD", "ETHUSD", "SOLUSD"]
    assert stream_name("kraken", reversed(everything), everything, None) == "kraken"
    assert stream_name("kraken", ["SOLUSD"], everything, Shard.parse("2/4")) == "kraken 2/4"
    some = stream_name("kraken", ["ETHUSD", "BTCUSD"], everything, None)
    assert some == stream_name("kraken", ["BTCUSD", "ETHUSD"], [*everything, "XRPUSD"], None)
    assert some.startswith("kraken ")
    assert some != stream_name("kraken", ["BTCUSD"], everything, None)
