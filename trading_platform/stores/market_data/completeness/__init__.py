"""What is known of the completeness of bars: coverage, gaps, outages of a feed, and checkpoints of a backfill.

The bars themselves are in :mod:`trading_platform.stores.market_data.bars`.
"""
