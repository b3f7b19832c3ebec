"""Symbols and names of columns as agents write them."""

from __future__ import annotations

from collections.abc import Sequence

from trading_platform.domain.errors import InvalidRequest
from trading_platform.stores.postgres.records import texts_of


def listed(symbols: str | Sequence[str]) -> list[str]:
    """One or several symbols as a list, each once."""
    return [symbols] if isinstance(symbols, str) else list(dict.fromkeys(texts_of(symbols, "symbols")))


def symbols_of(symbols: str | Sequence[str]) -> list[str]:
    """One or several symbols as a list, each once.

    Raises:
        InvalidRequest: if there is none.
    """
    names = listed(symbols)
    if not names:
        raise InvalidRequest("No symbol was given.", expected="at least one symbol", remedy="name the symbols you want")
    return names


def known_names(kind: str, names: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The named columns, all by default.

    Args:
        kind: what they are, as in ``indicator``.
        names: the names that were given.
        known: all names there are.

    Raises:
        InvalidRequest: for a name that is not known.
    """
    wanted = list(known) if names is None else texts_of(names, f"{kind}s")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidRequest(
            f"There is no {kind} {', '.join(map(repr, unknown))}.",
            expected=f"some of {', '.join(known)}",
            received=", ".join(unknown),
            remedy="choose from the listed names",
        )
    return wanted
