"""Splits and dividends: fetch, import, adjust."""
