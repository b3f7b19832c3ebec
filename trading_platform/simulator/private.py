"""The reading endpoints of Kraken's private REST: keys, signatures, nonces, permissions and the call counter.

:mod:`trading_platform.simulator.account` is the account itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trading_platform.simulator.account import Account

Monotonic = Callable[[], float]

METHODS: Mapping[str, tuple[str, int]] = {
    "Balance": ("funds", 1),
    "TradeBalance": ("funds", 1),
    "OpenOrders": ("open", 1),
    "OpenPositions": ("open", 1),
    "TradesHistory": ("closed", 2),
}
"""Endpoints: the required permission, and the weight on the call counter."""


class Gate(BaseModel):
    """Access to the account: the JSON of ``POST /account``.

    Attributes:
        permissions: of the key: ``funds``, ``open`` (orders and trades), ``closed`` (likewise).
        counter_falls: how much the call counter falls a second.
        counter_most: maximum of the call counter.
        grows: number of fills added before each response of TradesHistory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    permissions: frozenset[str] = frozenset({"funds", "open", "closed"})
    counter_falls: Annotated[float, Field(ge=0)] = 0.33
    counter_most: Annotated[float, Field(gt=0)] = 15
    grows: NonNegativeInt = 0


class _RejectionError(Exception):
    """An entry of the envelope's ``error`` list."""


class PrivateRest:
    """The private endpoints of one account.

    Args:
        account: the account.
        gate: access at the beginning.
        monotonic: the clock of the call counter, in seconds.
    """

    def __init__(self, account: Account, gate: Gate | None = None, monotonic: Monotonic = time.monotonic) -> None:
        self._account = account
        self._monotonic = monotonic
        self._nonce = 0
        self._counter = 0.0
        self._counted = monotonic()
        self.seen = {"answered": 0, "invalid_nonce": 0, "rate_limited": 0, "highest_counter": 0.0}
        self.set(gate or Gate(grows=account.grows))

    def set(self, gate: Gate) -> None:
        """Sets the access."""
        self.gate = gate
        self._account.grows = gate.grows

    def response(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """The body of the response to a request.

        Args:
            path: path of the request.
            headers: headers of the request, by names in lower case.
            body: body of the request.
        """
        try:
            result = self._result(path, headers, body)
        except _RejectionError as rejection:
            return json.dumps({"error": [str(rejection)]})
        return f'{{"error":[],"result":{result}}}'

    def _result(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        if headers.get("api-key") != self._account.key:
            raise _RejectionError("EAPI:Invalid key")
        form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        nonce = form.get("nonce", "")
        expected = sign(self._account.secret, path, nonce, body)
        if not hmac.compare_digest(expected, headers.get("api-sign", "")):
            raise _RejectionError("EAPI:Invalid signature")
        self._check_nonce(nonce)
        method = path.rpartition("/")[2]
        if method not in METHODS:
            raise _RejectionError("EGeneral:Unknown method")
        permission, weight = METHODS[method]
        if permission not in self.gate.permissions:
            raise _RejectionError("EGeneral:Permission denied")
        self._count(weight)
        self.seen["answered"] += 1
        return self._of(method, form)

    def _check_nonce(self, text: str) -> None:
        if not text.isdecimal() or not self._nonce < int(text) < 2**64:
            self.seen["invalid_nonce"] += 1
            raise _RejectionError("EAPI:Invalid nonce")
        self._nonce = int(text)

    def _count(self, weight: int) -> None:
        now = self._monotonic()
        level = max(0.0, self._counter - (now - self._counted) * self.gate.counter_falls)
        self._counter, self._counted = level, now
        self.seen["highest_counter"] = max(self.seen["highest_counter"], level + weight)
        if level + weight > self.gate.counter_most:
            self.seen["rate_limited"] += 1
            raise _RejectionError("EAPI:Rate limit exceeded")
        self._counter = level + weight

    def _of(self, method: str, form: Mapping[str, str]) -> str:
        match method:
            case "Balance":
                return json.dumps({asset: f"{held:.10f}" for asset, held in self._account.balances().items()})
            case "TradeBalance":
                total = f"{self._account.balances()[form.get('asset', 'ZUSD')]:.4f}"
                names = dict.fromkeys(("m", "n", "c", "v", "uv"), "0.0000")
                return json.dumps({"eb": total, "tb": total, **names, "e": total, "mf": total})
            case "OpenOrders":
                return json.dumps({"open": self._account.orders})
            case "OpenPositions":
                return json.dumps(self._account.positions())
            case _:
                return self._history(form)

    def _history(self, form: Mapping[str, str]) -> str:
        self._account.grow()
        offset = form.get("ofs", "0")
        if not offset.isdecimal():
            raise _RejectionError("EGeneral:Invalid arguments")
        fills, count = self._account.history(_timestamp(form, "start"), _timestamp(form, "end"), int(offset))
        return json.dumps({"trades": {fill.number: fill.entry() for fill in fills}, "count": count})


def private_routes(rest: PrivateRest) -> list[Route]:
    """The private endpoints, and ``/account``, which shows and sets the access."""

    async def response(request: Request) -> Response:
        body = rest.response(request.url.path, request.headers, await request.body())
        return Response(body, media_type="application/json")

    async def gate(request: Request) -> Response:
        if request.method == "POST":
            try:
                rest.set(Gate.model_validate_json(await request.body()))
            except ValidationError as error:
                return JSONResponse({"error": json.loads(error.json(include_url=False))}, status_code=422)
        return JSONResponse({**rest.gate.model_dump(mode="json"), "seen": rest.seen})

    routes: list[tuple[str, Callable[[Request], Awaitable[Response]], list[str]]] = [
        ("/0/private/{method}", response, ["POST"]),
        ("/account", gate, ["GET", "POST"]),
    ]
    return [Route(path, endpoint, methods=methods) for path, endpoint, methods in routes]


def sign(secret: str, path: str, nonce: str, body: bytes) -> str:
    """The signature required by Kraken: HMAC-SHA512 of the path and of SHA256 of nonce and body."""
    digest = hashlib.sha256(nonce.encode() + body).digest()
    signature = hmac.new(base64.b64decode(secret), path.encode() + digest, hashlib.sha512).digest()
    return base64.b64encode(signature).decode()


def _timestamp(form: Mapping[str, str], name: str) -> Decimal | None:
    try:
        return Decimal(form[name]) if name in form else None
    except InvalidOperation:
        raise _RejectionError("EGeneral:Invalid arguments") from None
