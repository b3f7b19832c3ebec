"""``Platform.signals``, ``.regime``, ``.circuit``, ``.alerts``: messages and state that agents share in Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.time import Clock, rfc3339
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.records import checked_text

if TYPE_CHECKING:
    from trading_platform.domain.messages import SignalMessage
    from trading_platform.stores.redis.live import LiveStore

Store = Callable[[], "LiveStore"]
"""Returns the live store; its first call connects to Redis."""


class Signals:
    """Publishes signals and reads the last ones.

    ::

        platform.signals.publish("momentum", "BTCUSD", "long", strength="0.8", price="64000")
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def publish(
        self,
        strategy: str,
        symbol: str,
        direction: str,
        *,
        strength: Decimal | int | str | None = None,
        price: Decimal | int | str | None = None,
        reason: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> int:
        """Publishes a signal on the channel and stream ``signals``, and stores it for five minutes.

        Args:
            strategy: strategy that gives the signal.
            symbol: instrument of the signal.
            direction: ``long``, ``short`` or ``flat``.
            strength: confidence of the strategy, 0 to 1.
            price: price that the signal is based on.
            reason: the reason, as text.
            data: further data, written as JSON; decimals and times become text.

        Returns:
            The signal's sequence number in the stream.

        Raises:
            InvalidRequest: names the invalid value.
            StoreUnavailable: if Redis does not respond within five seconds.
        """
        from trading_platform.domain.messages import SignalState, checked

        state = checked(
            SignalState,
            "signal",
            strategy=strategy,
            symbol=symbol,
            direction=direction,
            strength=strength,
            price=price,
            reason=reason,
            data={} if data is None else data,
        )
        now = self._clock()
        fields = {name: _text(value) for name, value in state.model_dump(mode="json").items() if value is not None}
        fields["timestamp"] = rfc3339(now)
        return self._store().publish_signal(now, state.model_dump_json(), strategy, symbol, fields)

    def last(self, strategy: str, symbol: str) -> SignalMessage | None:
        """A strategy's last signal for a symbol; None if it is older than five minutes."""
        from trading_platform.domain.messages import SignalMessage, SignalState

        fields = self._store().signal(checked_text(strategy, "strategy's name"), check_symbol(symbol))
        if not fields:
            return None
        ts, seq, data = (fields.pop(name) for name in ("timestamp", "seq", "data"))
        epoch = fields.pop("epoch", None)
        state = SignalState.model_validate({**fields, "data": json.loads(data)})
        return SignalMessage(epoch=epoch, ts=datetime.fromisoformat(ts), seq=int(seq), payload=state)


class Regime:
    """Stores and reads the market regime."""

    def __init__(self, store: Store, audit: AuditStore, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock

    def set(self, regime: str) -> bool:
        """Stores the regime for one minute; store it again within that minute for as long as it holds.

        Returns:
            Whether it differs from the regime published last; then it is published on the channel and stream
            ``regime``, and written to the system events.

        Raises:
            InvalidRequest: if it is not 1 to 50 letters, digits, dots, dashes and underscores.
            StoreUnavailable: if a store does not respond; the regime may be published and not in the system events.
        """
        from trading_platform.domain.messages import RegimeState, checked

        checked(RegimeState, "regime", regime=regime, previous=None)
        now = self._clock()
        changed = self._store().set_regime(now, regime)
        if changed:
            self._audit.log(
                event_type="regime_changed",
                severity="info",
                component="regime",
                message=f"The regime is {regime}.",
                metadata={"regime": regime},
                timestamp=now,
            )
        return changed

    def get(self) -> str | None:
        """The regime; None if none was stored within the last minute."""
        return self._store().regime()


class Circuit:
    """Reads circuit breakers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, component: str) -> str | None:
        """``open`` (do not rely on the component), ``closed`` (it works), or None if no process monitors it."""
        return self._store().circuit(checked_text(component, "component"))


class Alerts:
    """Publishes alerts."""

    def __init__(self, store: Store, audit: AuditStore, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock

    def publish(
        self,
        event_type: str,
        severity: str,
        component: str,
        message: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        incident: str | None = None,
        over: bool = False,
    ) -> int:
        """Publishes an alert on the channel and stream ``alerts``, and writes it to the system events.

        Args:
            event_type: kind of event.
            severity: ``info``, ``warning``, ``error`` or ``critical``.
            component: component that reports the alert.
            message: what happened, as text.
            metadata: further data.
            incident: a name chosen by the caller, the same for an alert and for the message that it is over.
            over: whether the incident is over.

        Returns:
            The alert's sequence number in the stream.

        Raises:
            InvalidRequest: names the invalid value.
            StoreUnavailable: if a store does not respond; the system event may have been written nevertheless.
        """
        from trading_platform.domain.messages import AlertState, checked

        state = checked(
            AlertState,
            "alert",
            event_type=event_type,
            severity=severity,
            component=component,
            message=message,
            metadata={} if metadata is None else metadata,
            incident=incident,
            over=over,
        )
        event = self._audit.log(
            event_type=event_type,
            severity=severity,
            component=component,
            message=message,
            metadata={**state.metadata, "incident": incident, "over": over},
            timestamp=self._clock(),
        )
        return self._store().publish_alert(event.timestamp, state.model_dump_json())


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
