"""Values computed from bars: indicators and features.

They are floats; prices stay decimal in :mod:`trading_platform.domain.market`.
"""
