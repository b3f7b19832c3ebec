"""``Platform.explain_decision``: what was recorded when a decision was taken, and what of it is different now.

Everything is read as it was recorded at the time of the decision: bars and features by ``recorded_as_of``
(docs/reading.md), orders, positions and limits from the states that the ledger keeps
(:mod:`trading_platform.stores.trading.recorded`), news by when they were first seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, get_args
from uuid import UUID

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.declaration import Frequency
from trading_platform.domain.features.feature_set import KEYS
from trading_platform.domain.features.inputs import parse_frequency
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.money import plain_text
from trading_platform.domain.time import Clock, Timeframe, rfc3339, shifted
from trading_platform.stores.audit.journal import AuditStore, Decision
from trading_platform.stores.features.recorded.content import Stamp, stamps_in
from trading_platform.stores.trading.recorded import RecordedLedger, RecordedOrder, RecordedPosition

if TYPE_CHECKING:
    from trading_platform.client.platform import Platform
    from trading_platform.stores.stores import Stores

FACTS: dict[str, pl.DataType] = {
    "section": pl.String(),
    "symbol": pl.String(),
    "time": TIME,
    "name": pl.String(),
    "value": pl.String(),
    "now": pl.String(),
    "detail": pl.String(),
}
"""The columns of the facts: ``section`` (``bar``, ``feature``, ``regime``, ``position``, ``order``, ``limit``,
``news``), ``symbol``, ``time`` (UTC: open of the bar, of the order its placing, of news when they became available),
``name``, ``value`` at the time of the decision, ``now`` where it is different today (``-``: it is gone), ``detail``."""

GONE = "-"
BARS = 3
"""Last bars of each timeframe."""

MOST_SYMBOLS = 20
"""Symbols of a decision on the whole portfolio: those that were held, the first by name."""

_SPANS = {  # how far back the last bars are looked for
    Timeframe.M1: timedelta(days=1),
    Timeframe.M5: timedelta(days=4),
    Timeframe.H1: timedelta(days=5),
    Timeframe.D1: timedelta(days=400),
}
_NEWS = timedelta(days=1)
_FEATURES = timedelta(days=14)
_HASH = 12


@dataclass(frozen=True)
class Explanation:
    """What was recorded when a decision was taken.

    Attributes:
        decision: the decision.
        facts: what was recorded at its time, a row for each (:data:`FACTS`).
        notes: what is not known, and why.
    """

    decision: Decision
    facts: pl.DataFrame
    notes: tuple[str, ...]

    def changed(self) -> pl.DataFrame:
        """The facts that are different now."""
        return self.facts.filter(pl.col("now").is_not_null())


@dataclass
class _Facts:
    """Facts and notes while they are collected."""

    rows: list[tuple[object, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        section: str,
        name: str,
        value: str,
        *,
        symbol: str | None = None,
        time: datetime | None = None,
        now: str | None = None,
        detail: str | None = None,
    ) -> None:
        self.rows.append((section, symbol, time, name, value, None if now == value else now, detail))


class Explanations:
    """Explains decisions.

    Args:
        platform: the reads of market data, features and news.
        stores: the stores.
        audit: the decisions.
        clock: the present time.
    """

    def __init__(self, platform: Platform, stores: Stores, audit: AuditStore, clock: Clock) -> None:
        self._platform = platform
        self._stores = stores
        self._audit = audit
        self._clock = clock
        self._ledger = RecordedLedger(stores.database)

    def explain(self, decision_id: UUID | str) -> Explanation:
        """The explanation of a decision.

        Raises:
            InvalidRequest: if there is no decision with this id.
        """
        decision = self._audit.decision(decision_id)
        if decision is None:
            raise InvalidRequest(
                f"There is no decision {decision_id}.",
                expected="the id of a recorded decision",
                received=str(decision_id),
                remedy="list the decisions for their ids (Platform.decisions.list)",
            )
        facts, time = _Facts(), decision.timestamp
        self._ledger_facts(decision, facts)
        self._regime(time, facts)
        symbols = self._symbols(decision, facts)
        if symbols:
            self._bars(symbols, time, facts)
            self._features(symbols, time, facts)
            self._news(symbols, time, facts)
        facts.notes.append("Live quotes are not kept; the newest bars that were stored stand for them.")
        return Explanation(decision, pl.DataFrame(facts.rows, schema=FACTS, orient="row"), tuple(facts.notes))

    def _symbols(self, decision: Decision, facts: _Facts) -> list[str]:
        """The instruments it is about: its own; of a decision on the whole portfolio those that were held."""
        if decision.symbol is None:
            held = sorted({str(row[1]) for row in facts.rows if row[0] == "position"})
            if len(held) > MOST_SYMBOLS:
                facts.notes.append(f"{len(held)} instruments were held; bars, features and news are of the first 20.")
            wanted = held[:MOST_SYMBOLS]
        else:
            wanted = [decision.symbol]
        known = self._platform.instruments()
        gone = [symbol for symbol in wanted if symbol not in known]
        if gone:
            facts.notes.append(f"{', '.join(gone)}: not in the universe, so no bars, features and news are read.")
        return [symbol for symbol in wanted if symbol in known]

    def _bars(self, symbols: Sequence[str], time: datetime, facts: _Facts) -> None:
        unknown = _refusal(lambda: self._stores.revisions.check(time, self._clock()))
        for timeframe, span in _SPANS.items():
            now = self._last_bars(symbols, timeframe, span, time, None)
            then = now if unknown else self._last_bars(symbols, timeframe, span, time, time)
            for symbol, opened in sorted(then.keys() | now.keys()):
                before, after = then.get((symbol, opened)), now.get((symbol, opened))
                facts.add(
                    "bar",
                    timeframe.value,
                    "" if before is None else _bar(before),
                    symbol=symbol,
                    time=opened,
                    now=GONE if after is None else _bar(after),
                    detail="stored later" if before is None else f"from {before['source']}",
                )
            if unknown and then:
                facts.notes.append(_not_recorded(f"{timeframe.value} bars", unknown))

    def _last_bars(
        self, symbols: Sequence[str], timeframe: Timeframe, span: timedelta, time: datetime, recorded: datetime | None
    ) -> _Rows:
        start = shifted(time, -span)
        rows = self._platform.bars(symbols, timeframe.value, start, time, as_of=time, recorded_as_of=recorded)
        return _by_key(rows.group_by("symbol", maintain_order=True).tail(BARS))

    def _features(self, symbols: Sequence[str], time: datetime, facts: _Facts) -> None:
        for frequency in get_args(Frequency):
            store = self._stores.features_of(parse_frequency(frequency))
            unknown = _refusal(partial(store.recorded, time, self._clock()))
            now = self._last_features(symbols, frequency, time, None)
            then = now if unknown else self._last_features(symbols, frequency, time, time)
            months = store.live if unknown else store.recorded(time, self._clock())
            for (symbol, opened), row in sorted(then.items()):
                content = months.content(symbol, f"{opened:%Y-%m}")
                definitions = {} if content is None else stamps_in(content)
                present = now.get((symbol, opened), {})
                for name in sorted(row.keys() - KEYS.keys()):
                    if row[name] is None and present.get(name) is None:
                        continue
                    facts.add(
                        "feature",
                        name,
                        text_of(row[name]),
                        symbol=symbol,
                        time=opened,
                        now=text_of(present[name]) if name in present else GONE,
                        detail=f"{frequency}, {_definition(definitions.get(name))}",
                    )
            if unknown and then:
                facts.notes.append(_not_recorded(f"{frequency} features", unknown))

    def _last_features(
        self, symbols: Sequence[str], frequency: Frequency, time: datetime, recorded: datetime | None
    ) -> _Rows:
        start = shifted(time, -_FEATURES)
        rows = self._platform.features(
            symbols, start, time, as_of=time, recorded_as_of=recorded, frequency=frequency, missing="keep"
        )
        return _by_key(rows.group_by("symbol", maintain_order=True).tail(1))

    def _ledger_facts(self, decision: Decision, facts: _Facts) -> None:
        time, symbol, since = decision.timestamp, decision.symbol, self._ledger.since()
        present = {each.symbol: each for each in self._ledger.executed_positions(symbol, time)}
        if time >= since:
            then = {each.symbol: each for each in self._ledger.positions(symbol, time)}
        else:
            then = present
            facts.notes.append(
                f"States of the ledger are kept since {rfc3339(since)}: positions are those of the fills executed by"
                " then, as they are known now; open orders and limits of that time are not known."
            )
        for name in sorted(then.keys() | present.keys()):
            before, after = then.get(name), present.get(name)
            if any(each is not None and each.quantity for each in (before, after)):
                facts.add("position", "position", _position(before), symbol=name, now=_position(after))
        if time < since:
            return
        for order in self._ledger.orders(symbol, time):
            facts.add(
                "order",
                str(order.id),
                f"{order.status}, {text_of(order.filled_qty)} filled",
                symbol=order.symbol,
                time=order.created_at,
                now=f"{order.status_now}, {text_of(order.filled_now)} filled",
                detail=_terms(order),
            )
        for limit in self._ledger.risk_limits(time):
            now = GONE if limit.value_now is None else text_of(limit.value_now)
            facts.add("limit", limit.key, text_of(limit.value), now=now)

    def _regime(self, time: datetime, facts: _Facts) -> None:
        found = self._audit.events(end=time + timedelta(microseconds=1), event_type="regime_changed", limit=1)
        if not found:
            facts.notes.append("No regime was recorded by then.")
            return
        facts.add("regime", "regime", str(found[0].metadata["regime"]), time=found[0].timestamp)
        facts.notes.append("A regime holds for a minute; when it ended without another one is not recorded.")

    def _news(self, symbols: Sequence[str], time: datetime, facts: _Facts) -> None:
        start = shifted(time, -_NEWS)
        until = time + timedelta(microseconds=1)
        present = {
            (row["news_id"], row["symbol"]): str(row["title"])
            for row in self._platform.news(symbols, start, until).iter_rows(named=True)
        }
        for row in self._platform.news(symbols, start, until, time).iter_rows(named=True):
            now = present.get((row["news_id"], row["symbol"]), GONE)
            available, url = row["available_at"], row["url"]
            facts.add("news", "title", str(row["title"]), symbol=row["symbol"], time=available, now=now, detail=url)


_Rows = dict[tuple[str, datetime], dict[str, object]]


def _refusal(check: Callable[[], object]) -> str | None:
    """Why what was stored at a time cannot be read; None if it can."""
    try:
        check()
    except InvalidRequest as error:
        return str(error.expected)
    return None


def _not_recorded(what: str, why: str) -> str:
    return (
        f"What was stored of {what} then is not known (it is for {why}); shown are those that were available by"
        " then, as they are stored now."
    )


def _definition(stamp: Stamp | None) -> str:
    return f"version {stamp[0]}, definition {stamp[1][:_HASH]}" if stamp and stamp[1] else "definition not recorded"


def _by_key(rows: pl.DataFrame) -> _Rows:
    return {(row["symbol"], row["time"]): row for row in rows.iter_rows(named=True)}


def _bar(row: dict[str, object]) -> str:
    parts = ("open", "high", "low", "close", "volume", "quality")
    return " ".join(f"{name} {text_of(row[name])}" for name in parts)


def _position(position: RecordedPosition | None) -> str:
    if position is None:
        return "quantity 0"
    at = "" if position.avg_entry_price is None else f" at {text_of(position.avg_entry_price)}"
    return f"quantity {text_of(position.quantity)}{at}, realized {text_of(position.realized_pnl)}"


def _terms(order: RecordedOrder) -> str:
    prices = (("at", order.price), ("stop", order.stop_price))
    said = "".join(f" {word} {text_of(price)}" for word, price in prices if price is not None)
    return f"{order.side} {text_of(order.quantity)} {order.order_type}{said}"


def text_of(value: object) -> str:
    """A value as text: decimals exactly, without trailing zeros; floats with ten digits; nothing for NULL."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        text = plain_text(value)
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.10g}" if isinstance(value, float) else str(value)
