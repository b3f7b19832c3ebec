"""The outside: each vendor in a package of its own (client, wire, parse), behind :mod:`trading_platform.sources.base`."""
