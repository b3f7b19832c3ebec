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
        import httpx

        try:
            with (
                httpx.Client(timeout=SECONDS, follow_redirects=False) as client,
                client.stream("GET", self._url if well else f"{self._url}/fail") as response,
            ):
                return None if response.is_success else f"it was answered with the status {response.status_code}"
        except httpx.HTTPError as error:
            return f"it was not answered ({type(error).__name__})"
