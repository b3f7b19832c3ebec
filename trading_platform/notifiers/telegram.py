"""Messages through a bot of Telegram (https://core.telegram.org/bots/api#sendmessage).

Telegram says how long to wait when it is sent too much (``parameters.retry_after``, seconds); that is obeyed. What it
refuses because of the message itself (400) can never be sent. A wrong token or chat (401, 403, 404) is tried again,
because a person can correct it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from trading_platform.domain.alerts.delivery import CannotBeSent, TryLater
from trading_platform.domain.severity import Severity

SECONDS = 20.0
"""Seconds that Telegram may take in all."""

LARGEST = 64 * 1024
"""Bytes of an answer that are read."""

MARKS = {Severity.CRITICAL: "🛑", Severity.ERROR: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🟢"}

_OK = 200
_TAKEN = re.compile(rb'\s*\{\s*"ok"\s*:\s*true\b')
"""How the answer to a message that was taken begins; the rest is not waited for."""

_LONGEST_WAIT = timedelta(hours=1)
_CHAT = ("chat not found", "chat_id is empty", "user not found")


class Telegram:
    """A bot that writes to a chat.

    Args:
        token: of the bot; it is in no error and no log.
        chat: id of the chat.
        api: address of the API.
        seconds: how long it may take in all.
    """

    name = "telegram"

    def __init__(
        self, token: str, chat: str, api: str = "https://api.telegram.org", *, seconds: float = SECONDS
    ) -> None:
        self._seconds = seconds
        self._url = f"{api.rstrip('/')}/bot{token}/sendMessage"
        self._chat = chat

    def send(self, text: str, severity: Severity, incidents: Sequence[int], at: datetime) -> None:  # noqa: ARG002
        """As :meth:`trading_platform.domain.alerts.delivery.Notifier.send`."""
        import asyncio

        import httpx

        message = {
            "chat_id": self._chat,
            "text": f"{MARKS[severity]} {text}",
            "disable_notification": _is_quiet(severity),
        }
        try:
            status, body = asyncio.run(self._post(message))
        except TimeoutError:
            raise TryLater(f"Telegram does not answer within {self._seconds:g} s.") from None
        except httpx.HTTPError as error:  # its text may contain the address, and with it the token
            raise TryLater(f"Telegram does not answer ({type(error).__name__}).") from None
        if status != _OK or not _TAKEN.match(body):
            self._judge(status, _parsed(body))

    async def _post(self, message: dict[str, object]) -> tuple[int, bytes]:
        """Its status and what it answered; no more is read, and no longer, than an answer takes.

        Timeouts of httpx hold for each read; a server that sends a byte every few seconds would never meet one.
        """
        import asyncio

        import httpx

        status, body = None, b""
        try:
            async with (
                asyncio.timeout(self._seconds),
                httpx.AsyncClient(timeout=self._seconds, follow_redirects=False) as client,
                client.stream("POST", self._url, json=message) as response,
            ):
                status = response.status_code
                async for part in response.aiter_bytes():
                    body += part
                    if status == _OK and _TAKEN.match(body):
                        break
                    if len(body) > LARGEST:
                        raise TryLater("Telegram's answer has no end.")
        except (TimeoutError, httpx.HTTPError):
            if status is None:
                raise
        return status, body

    def _judge(self, status: int, answer: dict[str, Any]) -> None:
        if status == _OK and answer.get("ok") is True:
            return
        said = str(answer.get("description") or f"status {status}")[:300]
        parameters = answer.get("parameters")
        after = parameters.get("retry_after") if isinstance(parameters, dict) else None
        if status == 429:  # noqa: PLR2004
            seconds = after if isinstance(after, int | float) and after > 0 else 30
            raise TryLater(f"Telegram asks to wait: {said}", min(timedelta(seconds=seconds), _LONGEST_WAIT))
        if status == 400 and not any(word in said.lower() for word in _CHAT):  # noqa: PLR2004
            raise CannotBeSent(f"Telegram refuses this message: {said}")
        raise TryLater(f"Telegram did not take the message: {said}")


def _is_quiet(severity: Severity) -> bool:
    """Whether the phone stays silent."""
    return severity in (Severity.INFO, Severity.WARNING)


def _parsed(body: bytes) -> dict[str, Any]:
    import json

    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
