"""A decision is explained by what a reader got when it was taken, whatever was corrected or reported since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import polars as pl
import pytest
from clients import platform_on

from trading_platform.client import Platform
from trading_platform.client.explanations import BARS, GONE, text_of
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.feature_set import KEYS
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, rfc3339, utc_now
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.news.import_news import import_news

SYMBOL = "BTCUSD"
Fact = tuple[str, str, str]
OPEN = ("pending", "sent", "partial")


class Life:
    """A store that changes at random."""

    def __init__(self, stores: Stores, platform: Platform, folder: Path, seed: int) -> None:
        self.stores, self.platform, self.folder, self.random = stores, platform, folder, Random(seed)
        self.today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.days = [self.today - timedelta(days=back) for back in range(10, 0, -1)]
        self.orders: list[UUID] = []
        self.fills: list[tuple[UUID, str]] = []
        self.articles = 0
        for change in (self.bars, self.features, self.order, self.limit, self.regime, self.article):
            change()

    def change(self) -> None:
        changes = (
            *(self.bars, self.features, self.order, self.fill, self.fill, self.correction, self.bust, self.cancel),
            *(self.limit, self.regime, self.article),
        )
        self.random.choice(changes)()

    def bars(self) -> None:
        rows = [
            (day, SYMBOL, "1d", close, close + 1, close - 1, close, Decimal(5), "kraken", "traded")
            for day in self.days[: self.random.randint(6, 10)]
            if (close := Decimal(self.random.randint(100, 110)))
        ]
        frame = pl.DataFrame(rows, schema=BAR_SCHEMA, orient="row")
        self.stores.bars.prepare(Timeframe.D1, frame)
        with self.stores.database.begin() as connection:
            self.stores.bars.replace(
                connection, SYMBOL, Timeframe.D1, Window(self.days[0], self.today), frame, reason="a correction"
            )

    def features(self) -> None:
        names = [name for name in self.stores.features.definitions.features.schema if name not in KEYS]
        rows = pl.DataFrame(
            {
                "time": self.days,
                "symbol": [SYMBOL] * len(self.days),
                "available_at": [day + timedelta(days=1) for day in self.days],
                **{name: [self.random.choice((0.25, 0.5, None)) for _ in self.days] for name in names},
            },
            schema=self.stores.features.definitions.features.schema,
        )
        self.stores.features.replace(rows, SYMBOL, Window(self.days[0], self.today))

    def order(self) -> None:
        side = self.random.choice(("buy", "sell"))
        self.orders.append(self.platform.orders.place(SYMBOL, side, "limit", 4, broker="ibkr", price=100).id)

    def fill(self) -> None:
        order, name = self.random.choice(self.orders), f"{uuid4().hex}.01"
        self._report(order, name, self.random.randint(1, 2))

    def correction(self) -> None:
        if self.fills:
            order, name = self.fills.pop(self.random.randrange(len(self.fills)))
            self._report(order, f"{name[:-1]}2", 1)

    def bust(self) -> None:
        if self.fills:
            self.platform.orders.record_bust(*self.fills.pop())

    def cancel(self) -> None:
        order = self.random.choice(self.orders)
        if self.platform.orders.get(order).status in OPEN:
            self.platform.orders.cancel(order)

    def limit(self) -> None:
        key = self.random.choice(("max_position_pct", "max_leverage"))
        if self.random.random() < 0.3:
            self.platform.risk_limits.remove(key)
        else:
            self.platform.risk_limits.set(key, self.random.randint(1, 9))

    def regime(self) -> None:
        self.platform.regime.set(self.random.choice(("calm", "wild")))

    def article(self) -> None:
        self.articles += self.random.random() < 0.5
        file = self.folder / "news.jsonl"
        line = {
            "title": f"Bitcoin (BTCUSD) report {self.random.randint(1, 99)}",
            "url": f"https://wire.example/{self.articles}",
            "guid": str(self.articles),
            "published_at": rfc3339(datetime.now(UTC) - timedelta(hours=1)),
        }
        file.write_text(json.dumps(line))
        import_news(self.stores, file, clock=utc_now)

    def _report(self, order: UUID, name: str, quantity: int) -> None:
        executed = datetime.now(UTC) - timedelta(minutes=self.random.randint(0, 60))
        try:
            self.platform.orders.record_fill(order, name, quantity=quantity, price=101, executed_at=executed)
            self.fills += [(order, name)] if name.endswith(".01") else []
        except InvalidRequest:
            assert self.platform.orders.get(order).open_quantity < quantity


def copy(platform: Platform) -> set[Fact]:
    """What a reader gets now: section, name and value."""
    now = datetime.now(UTC)
    bars = platform.bars(SYMBOL, "1d", now - timedelta(days=300), now).tail(BARS).to_dicts()
    parts = ("open", "high", "low", "close", "volume", "quality")
    found = {("bar", f"1d {bar['time']}", " ".join(f"{part} {text_of(bar[part])}" for part in parts)) for bar in bars}
    (row,) = platform.features(SYMBOL, now - timedelta(days=14), now, missing="keep").tail(1).to_dicts()
    found |= {
        ("feature", name, text_of(value)) for name, value in row.items() if name not in KEYS and value is not None
    }
    position = platform.positions(SYMBOL).get(SYMBOL)
    if position is not None and position.quantity:
        held = f"quantity {text_of(position.quantity)} at {text_of(position.avg_entry_price)}"
        found.add(("position", "position", f"{held}, realized {text_of(position.realized_pnl)}"))
    for status in OPEN:
        for order in platform.orders.list(symbol=SYMBOL, status=status):
            found.add(("order", str(order.id), f"{status}, {text_of(order.filled_qty)} filled"))
    found |= {("limit", each.key, text_of(each.value)) for each in platform.risk_limits.all()}
    found.add(("regime", "regime", str(platform.regime.get())))
    articles = platform.news(SYMBOL, now - timedelta(days=1), now).iter_rows(named=True)
    return found | {("news", "title", row["title"]) for row in articles}


def told(platform: Platform, decision: UUID) -> set[Fact]:
    """The same as the explanation of a decision has it."""
    facts = platform.explain_decision(decision).facts.iter_rows(named=True)
    return {
        (fact["section"], f"1d {fact['time']}" if fact["section"] == "bar" else fact["name"], fact["value"])
        for fact in facts
        if fact["value"] and fact["value"] != "quantity 0" and not fact["value"].startswith("quantity 0,")
    }


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as opened:
        opened.instruments.add(Instrument(SYMBOL, AssetClass.CRYPTO, "24/7", "kraken"))
        yield opened


@pytest.fixture(scope="module")
def platform(stores: Stores, redis_url: str) -> Iterator[Platform]:
    with platform_on(stores, redis_url) as made:
        yield made


@pytest.mark.parametrize("count", [8, pytest.param(100, marks=pytest.mark.exhaustive)])
def test_an_explanation_is_what_a_reader_got_then(
    stores: Stores, platform: Platform, tmp_path: Path, count: int
) -> None:
    life = Life(stores, platform, tmp_path, seed=count)
    copies: dict[UUID, set[Fact]] = {}
    for _ in range(count):
        for _ in range(life.random.randint(1, 4)):
            life.change()
        expected = copy(platform)
        copies[platform.decisions.record("entry", symbol=SYMBOL, reasoning="it rises").id] = expected
    for _ in range(10):
        life.change()
    for decision, expected in copies.items():
        assert told(platform, decision) == expected


def test_what_is_different_now_stands_beside_it(stores: Stores, platform: Platform, tmp_path: Path) -> None:
    life = Life(stores, platform, tmp_path, seed=1)
    decision = platform.decisions.record("exit", symbol=SYMBOL)
    before = platform.bars(SYMBOL, "1d", life.days[0], life.today).tail(1)["close"].item()
    assert platform.explain_decision(decision.id).changed().filter(pl.col("section") != "position").is_empty()
    platform.orders.cancel(life.orders[-1])
    platform.orders.record_fill(
        life.orders[-1], "late.01", quantity=1, price=102, executed_at=decision.timestamp - timedelta(seconds=1)
    )
    while platform.bars(SYMBOL, "1d", life.days[0], life.today).tail(1)["close"].item() == before:
        life.bars()
    explanation = platform.explain_decision(str(decision.id))
    changed = {row["section"]: row for row in explanation.changed().iter_rows(named=True)}
    assert changed["order"]["value"] == "pending, 0 filled"
    assert changed["order"]["now"] == "cancelled, 1 filled"
    assert changed["position"]["value"] != changed["position"]["now"]
    assert f"close {before} " not in changed["bar"]["now"] or changed["bar"]["now"] == GONE
    features = explanation.facts.filter(pl.col("section") == "feature").iter_rows(named=True)
    hashes = stores.features.definitions.hashes
    for feature in features:
        assert feature["detail"].endswith(f", definition {hashes[feature['name']][:12]}")


def test_what_is_not_known_is_said(platform: Platform) -> None:
    early = datetime(2020, 1, 2, tzinfo=UTC)
    decision = platform.decisions.record("skip", symbol="GONE", timestamp=early)
    notes = " ".join(platform.explain_decision(decision.id).notes)
    assert "not in the universe" in notes
    assert "open orders and limits of that time are not known" in notes
    with pytest.raises(InvalidRequest, match="There is no decision"):
        platform.explain_decision(uuid4())
    with pytest.raises(InvalidRequest):
        platform.explain_decision("seven")
    whole = platform.decisions.record("hold")
    assert {"bar", "position", "limit"} <= set(platform.explain_decision(whole.id).facts["section"])
