"""The language of the platform, without any input or output.

Import the concrete module (``trading_platform.domain.market.bars`` …); this package wires nothing.
"""
