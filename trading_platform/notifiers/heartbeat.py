"""The heartbeat: a request that says that alerting is alive, to a service that says when it is not.

A service such as healthchecks.io, or one of one's own, expects a GET of an address every few minutes and tells people
if none comes; ``/fail`` after the address says at once that something is wrong.
"""

from __future__ import annotations

SECONDS = 10.0


class Heartbeat:
    """Pings an address.

    Args:
        url: the address; it is a secret of its own and in no error.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def beat(self, *, well: bool) -> str | None:
        """Says that alerting is alive and whether it can work; returns why that could not be said, if so."""
        import asyncio

        import httpx

        try:
            status = asyncio.run(self._status(self._url if well else f"{self._url}/fail"))
        except (TimeoutError, httpx.HTTPError) as error:
            return f"it was not answered ({type(error).__name__})"
        return None if httpx.codes.is_success(status) else f"it was answered with the status {status}"

    @staticmethod
    async def _status(url: str) -> int:
        """The answer's status, within :data:`SECONDS` in all; timeouts of httpx hold for each read."""
        import asyncio

        import httpx

        async with (
            asyncio.timeout(SECONDS),
            httpx.AsyncClient(timeout=SECONDS, follow_redirects=False) as client,
            client.stream("GET", url) as response,
        ):
            return response.status_code
