"""Who may call what: tokens with scopes over HTTP, and the audit of each call."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken

from trading_platform.domain.errors import ConfigurationError

READ, DECIDE, ORDER = "read", "decide", "order"
SCOPES = (READ, DECIDE, ORDER)
"""``read`` reads; ``decide`` records decisions, publishes signals and writes training sets; ``order`` places orders,
where a setting allows it."""

_SHORTEST = 24
"""Characters of a token: of random letters and digits, more than 128 bits."""


@dataclass(frozen=True)
class Holder:
    """Somebody with a token."""

    name: str
    scopes: tuple[str, ...]
    token: str


def holders(setting: str) -> list[Holder]:
    """The holders of tokens, from a setting such as ``assistant:read:TOKEN;bot:read+decide:TOKEN``.

    Raises:
        ConfigurationError: naming the entry that is wrong, never its token.
    """
    found = [_holder(entry, number) for number, entry in enumerate(filter(None, setting.split(";")), 1)]
    if not found or len({each.token for each in found}) < len(found) or len({each.name for each in found}) < len(found):
        raise ConfigurationError(
            "MCP_TOKENS does not tell callers apart.",
            expected="at least one entry NAME:SCOPES:TOKEN, each with a name and a token of its own",
            received=f"{len(found)} entries",
            remedy="give each caller one entry; entries are separated by ;",
        )
    return found


def _holder(entry: str, number: int) -> Holder:
    name, _, rest = entry.strip().partition(":")
    scopes, _, token = rest.partition(":")
    wanted = tuple(scopes.split("+"))
    if name and set(wanted) <= set(SCOPES) and len(token) >= _SHORTEST and token.isascii() and token.isprintable():
        return Holder(name, wanted, token)
    raise ConfigurationError(
        f"Entry {number} of MCP_TOKENS cannot be used.",
        expected=f"NAME:SCOPES:TOKEN with scopes of {'+'.join(SCOPES)} and a token of {_SHORTEST} characters or more",
        received=f"the name {name!r}, the scopes {scopes!r} and a token of {len(token)} characters",
        remedy='make a token with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
    )


class Tokens:
    """Checks bearer tokens against those of the settings, as the SDK asks.

    Args:
        known: who has a token.
        resource: address of the server, for which the tokens are.
    """

    def __init__(self, known: Sequence[Holder], resource: str) -> None:
        self._known = [
            (
                each.token.encode(),
                AccessToken(token=each.token, client_id=each.name, scopes=list(each.scopes), resource=resource),
            )
            for each in known
        ]

    async def verify_token(self, token: str) -> AccessToken | None:
        """The holder of a token; None if nobody has it. All are compared, so that the time tells nothing."""
        given = token.encode(errors="surrogatepass")
        fitting = [access for known, access in self._known if hmac.compare_digest(known, given)]
        return fitting[0] if fitting else None


def caller() -> str:
    """Name of the present caller: the holder of the token, or ``stdio``, whoever started the process."""
    token = get_access_token()
    return "stdio" if token is None else token.client_id


def may(scope: str) -> bool:
    """Whether the present caller has a scope; who started the process has all."""
    token = get_access_token()
    return token is None or scope in token.scopes
