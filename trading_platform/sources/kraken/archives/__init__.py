"""Kraken's bulk archives of candles and trades."""
