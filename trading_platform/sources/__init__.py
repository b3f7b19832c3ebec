"""The outside: a package a vendor (client, wire, parse), behind :mod:`trading_platform.sources.base`
for bars and :mod:`trading_platform.sources.live` for what happens now."""
