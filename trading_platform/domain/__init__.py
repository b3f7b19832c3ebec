"""The language of the platform, without any input or output.

Import the concrete module (``trading_platform.domain.bars`` …); this package wires nothing.
"""
