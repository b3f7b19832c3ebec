"""Kraken spot.

:mod:`~trading_platform.sources.kraken.wire` speaks HTTP through krakenex and turns failures into the
platform's errors, :mod:`~trading_platform.sources.kraken.client` has a method an endpoint,
:mod:`~trading_platform.sources.kraken.parse` reads answers into frames,
:mod:`~trading_platform.sources.kraken.pairs` translates symbols, and
:mod:`~trading_platform.sources.kraken.source` is the ``BarSource``. Limits and oddities of the
vendor stand in docs/sources/kraken.md.
"""
