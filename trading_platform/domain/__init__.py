"""Domain types and rules of the platform. They do no input or output.

Import the concrete module (``trading_platform.domain.market.bars`` …); this package re-exports nothing.
"""
