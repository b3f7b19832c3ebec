"""Messages through one of the many services that ``apprise`` knows: mail, Slack, ntfy, Matrix and others.

``apprise`` is loaded only where it is used. It says only whether a message was taken, so what was not is tried again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from trading_platform.domain.alerts.delivery import TryLater
from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.severity import Severity

_KINDS = {
    Severity.CRITICAL: "failure",
    Severity.ERROR: "failure",
    Severity.WARNING: "warning",
    Severity.INFO: "success",
}


class ThroughApprise:
    """A service.

    Args:
        url: its address as ``apprise`` spells it, such as ``mailto://…`` or ``ntfys://ntfy.sh/my-topic``.

    Raises:
        ConfigurationError: if ``apprise`` does not know such an address.
    """

    def __init__(self, url: str) -> None:
        scheme = url.partition("://")[0][:20] or "unknown"
        self.name = f"{scheme}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"  # addresses hold passwords
        self._url = url
        if self._made() is None:
            raise ConfigurationError(
                "An address of ALERT_URLS cannot be used.",
                expected="an address that apprise knows, such as mailto://user:password@example.org",
                received=f"one that begins with {scheme}://",
                remedy="correct it; apprise's documentation has the form of each service",
            )

    def _made(self) -> object | None:
        import apprise

        made: object | None = apprise.Apprise.instantiate(self._url)
        return made

    def send(self, text: str, severity: Severity, incidents: Sequence[int], at: datetime) -> None:  # noqa: ARG002
        """As :meth:`trading_platform.domain.alerts.delivery.Notifier.send`."""
        import apprise

        channel = apprise.Apprise()
        channel.add(self._url)
        numbers = ", ".join(f"#{number}" for number in incidents[:5])
        taken = channel.notify(body=text, title=f"trading-platform {severity}: {numbers}", notify_type=_KINDS[severity])
        if not taken:
            raise TryLater(f"{self.name} did not take the message.")
