"""Kraken spot.

REST: :mod:`~trading_platform.sources.kraken.http` sends HTTP requests through krakenex and turns failures into
the platform's errors, :mod:`~trading_platform.sources.kraken.client` has one method per endpoint,
:mod:`~trading_platform.sources.kraken.parse` parses responses into frames,
:mod:`~trading_platform.sources.kraken.pairs` translates symbols, and
:mod:`~trading_platform.sources.kraken.source` is the ``BarSource``,
:mod:`~trading_platform.sources.kraken.live.quotes` a ``QuoteSource``.

History: :mod:`~trading_platform.sources.kraken.cursor` follows the pages of trades,
:mod:`~trading_platform.sources.kraken.minutes` makes bars of them and stores checkpoints,
:mod:`~trading_platform.sources.kraken.archives.archive` and :mod:`~trading_platform.sources.kraken.archives.rows` read
bulk archives, and :mod:`~trading_platform.sources.kraken.landing_source` serves the imported ones.

An account: :mod:`~trading_platform.sources.kraken.account.private` signs requests,
:mod:`~trading_platform.sources.kraken.account.source` is the ``BrokerAccount``,
:mod:`~trading_platform.sources.kraken.account.history` reads fills page by page. The rate limits are in
:mod:`~trading_platform.sources.kraken.limits`.

Live: :mod:`~trading_platform.sources.kraken.live.feed` is the ``LiveFeed`` over the WebSocket,
:mod:`~trading_platform.sources.kraken.live.messages` parses a message,
:mod:`~trading_platform.sources.kraken.live.stream` turns messages into events, and
:mod:`~trading_platform.sources.kraken.live.sequence` detects missing trades by their ids.

docs/sources/kraken.md describes the vendor's limits and peculiarities.
"""
