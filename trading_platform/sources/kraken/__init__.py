"""Kraken spot.

REST: :mod:`~trading_platform.sources.kraken.http` speaks HTTP through krakenex and turns failures into
the platform's errors, :mod:`~trading_platform.sources.kraken.client` has a method an endpoint,
:mod:`~trading_platform.sources.kraken.parse` reads answers into frames,
:mod:`~trading_platform.sources.kraken.pairs` translates symbols, and
:mod:`~trading_platform.sources.kraken.source` is the ``BarSource``,
:mod:`~trading_platform.sources.kraken.live.quotes` a ``QuoteSource``.

History: :mod:`~trading_platform.sources.kraken.cursor` follows the pages of trades,
:mod:`~trading_platform.sources.kraken.minutes` makes bars of them and keeps where to go on,
:mod:`~trading_platform.sources.kraken.archives.archive` and :mod:`~trading_platform.sources.kraken.archives.rows` read
bulk archives, and :mod:`~trading_platform.sources.kraken.landing_source` answers from those that were imported.

An account: :mod:`~trading_platform.sources.kraken.account.private` signs requests,
:mod:`~trading_platform.sources.kraken.account.source` is the ``BrokerAccount``,
:mod:`~trading_platform.sources.kraken.account.history` reads fills page by page. How often any of it may be asked is in
:mod:`~trading_platform.sources.kraken.limits`.

Live: :mod:`~trading_platform.sources.kraken.live.feed` is the ``LiveFeed`` over the WebSocket,
:mod:`~trading_platform.sources.kraken.live.messages` reads a message,
:mod:`~trading_platform.sources.kraken.live.stream` knows what it means after those before, and
:mod:`~trading_platform.sources.kraken.live.sequence` what is missing by the numbers of trades.

Limits and oddities of the vendor stand in docs/sources/kraken.md.
"""
