"""Data sources: one package per vendor (client, HTTP, parser).

:mod:`trading_platform.sources.base` is the interface to bars, :mod:`trading_platform.sources.live` the one to
live events.
"""
