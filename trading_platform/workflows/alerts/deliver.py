"""Sends what is in the outbox: each channel by itself and in order, so that one that is away holds up no other."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from trading_platform.domain.alerts.delivery import CannotBeSent, Notifier, TryLater
from trading_platform.domain.time import Clock
from trading_platform.stores.alerts.outbox import Delivery, NotificationOutbox

FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(minutes=5)
"""Between attempts; it doubles from the first to the longest, and goes on for ever: nothing is given up."""

AT_ONCE = 20
"""Messages of a channel that are sent one after the other before the next look."""

AT_LONGEST = 30.0
"""Seconds after which a slow channel is sent no further message before the next look."""

log = logging.getLogger(__name__)


def deliver(outbox: NotificationOutbox, notifiers: Sequence[Notifier], clock: Clock) -> int:
    """Sends what is due to all channels at the same time; returns the number of messages that were taken.

    Raises:
        StoreError: if the outbox cannot be used.
    """
    if len(notifiers) < 2:  # noqa: PLR2004 - none has to wait for another
        return sum(_deliver_to(outbox, notifier, clock) for notifier in notifiers)
    with ThreadPoolExecutor(len(notifiers), "deliver") as pool:
        return sum(pool.map(lambda notifier: _deliver_to(outbox, notifier, clock), notifiers))


def _deliver_to(outbox: NotificationOutbox, notifier: Notifier, clock: Clock) -> int:
    until = time.monotonic() + AT_LONGEST
    for done in range(AT_ONCE):
        if time.monotonic() > until:
            return done
        delivery = outbox.claim(notifier.name, clock())
        if delivery is None or not _sent(outbox, notifier, delivery, clock):
            return done
    return AT_ONCE


def _sent(outbox: NotificationOutbox, notifier: Notifier, delivery: Delivery, clock: Clock) -> bool:
    """Sends one message; False if the channel has to be left alone for now."""
    message = delivery.notification
    try:
        notifier.send(message.text, message.severity, message.incidents, message.created_at)
    except CannotBeSent as error:
        outbox.park(delivery, error.reason)
        cause = {"cause": f"parked {notifier.name}"}
        log.warning("message %d can never be sent to %s: %s", message.number, notifier.name, error.reason, extra=cause)
        return True
    except TryLater as error:
        wait = error.after or min(FIRST_WAIT * 2 ** min(delivery.attempts, 10), LONGEST_WAIT)
        outbox.put_off(delivery, clock() + wait, error.reason, counts=error.after is None)
        cause = {"cause": f"channel {notifier.name}"}
        log.warning("message %d waits for %s: %s", message.number, notifier.name, error.reason, extra=cause)
        return False
    outbox.mark_sent(delivery, clock())
    return True
