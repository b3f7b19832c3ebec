"""Connections to public addresses alone: a feed's host is resolved once, checked, and connected to by its address.

A feed names hosts, and so do its redirects. None may make the platform send a request into the network that it runs in,
whatever a name resolves to the second time (DNS rebinding): the address that is checked is the address of the
connection. TLS still verifies the name. Hosts that the user allows by NEWS_ALLOWED_HOSTS are exempt.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection, Sequence

from trading_platform.domain.errors import SourceRejected, SourceUnavailable

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, as texts."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, by the system's resolver.

    Raises:
        OSError: if there is none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def is_public(address: str) -> bool:
    """Whether an address is of the public internet, also by the IPv4 address that an IPv6 one stands for."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def checked_addresses(host: str, port: int, allowed: Collection[str], resolve: Resolve = addresses_of) -> list[str]:
    """The addresses by which a host may be connected to.

    Args:
        host: name or address.
        port: its port.
        allowed: hosts, or hosts with port (``localhost:8101``), that need not be public.
        resolve: finds addresses.

    Raises:
        SourceRejected: if one of them is not public; a name with public and other addresses is suspicious as a whole.
        SourceUnavailable: if the name has no address.
    """
    bare = host.strip("[]").rstrip(".").lower()
    try:
        found = list(resolve(bare, port))
    except OSError as error:
        raise SourceUnavailable(
            f"The host {host} is not known.", received=str(error)[:200], remedy="check the address and the network"
        ) from None
    if {bare, f"{bare}:{port}"} & set(allowed):
        return found
    private = [address for address in found if not is_public(address)]
    if private or not found:
        raise SourceRejected(
            f"The host {host} is not on the public internet; nothing was sent to it.",
            expected="public addresses alone",
            received=", ".join(private[:3]) or "no address",
            remedy=f"if it is a feed of your own, set NEWS_ALLOWED_HOSTS={bare}",
        )
    return found
