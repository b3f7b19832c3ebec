"""The outside: a package a vendor (client, wire, parse), behind :mod:`trading_platform.sources.base`."""
