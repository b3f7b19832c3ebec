"""What is computed from bars: indicators and features.

Floats live here; prices stay decimal in :mod:`trading_platform.domain.market`.
"""
